"""The screen as a source, through mss: `--camera screen`, `screen:2`; `screen:0` is all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from rtstyle.errors import MissingExtraError, SourceError
from rtstyle.frame import Frame, Image
from rtstyle.media.color import resize
from rtstyle.sources.base import Source

PREFIX = "screen"
WIDEST = 1920
"""Columns above which the picture is made smaller: no painting has finer strokes."""
TICK = Fraction(1, 90_000)


def is_screen(camera: str) -> bool:
    """Return True for `screen` and `screen:N`."""
    name, colon, number = camera.partition(":")
    return name.lower() == PREFIX and (number.isdecimal() if colon else True)


class ScreenSource(Source):
    """Takes a picture of a screen `rate` times a second; a late one leaves a gap.

    `camera` is `screen` or `screen:N`, with 1 for the first screen and 0 for all together. Raises
    `SourceError` where there is no screen of that number, or none can be read.
    """

    live = True

    def __init__(self, camera: str, *, rate: float = 30.0) -> None:
        super().__init__()
        self.number = int(camera.partition(":")[2] or 1)
        self.name = "screen" if self.number == 1 else f"screen {self.number}"
        self.rate = Fraction(rate).limit_denominator(1001)
        self._step = 1 / rate
        self._stop = threading.Event()
        self._area: dict[str, int] | None = None

    def open(self) -> None:
        """Find the screen."""
        if self._area is not None:
            return
        # Made anew where it is read: on X11 a connection belongs to one thread.
        with _connection() as screens:
            areas = screens.monitors
            if self.number >= len(areas):
                raise SourceError(
                    f"There is no {self.name}.",
                    f"This machine has {len(areas) - 1}.",
                    "Use screen:1 for the first, screen:0 for all together.",
                )
            area = dict(areas[self.number])
            image = _picture(screens, area, None)
        height, width = image.shape[:2]
        scale = min(1.0, WIDEST / width)
        self.width, self.height = max(16, round(width * scale)), max(16, round(height * scale))
        self._area = area

    def close(self) -> None:
        """Forget the screen."""
        self._area = None

    def stop(self) -> None:
        """Wake the wait for the next picture and end the iteration."""
        self._stop.set()

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        assert self._area is not None
        size, began, step = (self.height, self.width), time.monotonic(), self._step
        with _connection() as screens:
            index = 0
            while not self._stop.is_set():
                now = time.monotonic()
                image = _picture(screens, self._area, size)
                yield Frame(image, index, round((now - began) / TICK), TICK, now)
                # By the clock: what takes too long leaves a gap, and no delay.
                index = max(index + 1, int((time.monotonic() - began) / step))
                if self._stop.wait(max(0.0, began + index * step - time.monotonic())):
                    return


def _connection() -> Any:
    try:
        import mss
    except ImportError as error:
        raise MissingExtraError(
            "The screen as a source needs the extra `stage`.", "", "Install rtstyle[stage]."
        ) from error
    try:
        return mss.MSS() if hasattr(mss, "MSS") else mss.mss()
    except mss.ScreenShotError as error:
        raise SourceError(
            "The screen cannot be read here.", str(error), "Start rtstyle on a desktop."
        ) from error


def _picture(screens: Any, area: dict[str, int], size: tuple[int, int] | None) -> Image:
    """Return what an area of the screen shows, of `size` rows and columns."""
    import mss

    try:
        shot = screens.grab(area)
    except mss.ScreenShotError as error:
        why = f"{error}. On Wayland, programs may not read the screen."
        raise SourceError("The screen cannot be read here.", why) from error
    pixels = np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)
    image = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), np.uint8)
    return image if size is None else resize(image, *size)
