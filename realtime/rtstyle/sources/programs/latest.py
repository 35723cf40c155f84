"""The latest picture of another program: what the sources for NDI, Spout and Syphon have in common.

Such a program sends when it likes, and may end and come again; there is no queue to read from.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from fractions import Fraction

from rtstyle.errors import SourceError
from rtstyle.frame import Frame, Image
from rtstyle.media.color import resize
from rtstyle.sources.base import Source

FIND = 5.0
"""Seconds in which a source must be found, and send its first picture."""
TICK = Fraction(1, 90_000)


class LatestSource(Source):
    """The latest picture of a program, `rate` times a second where there is a new one.

    `camera` is `KIND:NAME`, or `KIND` for the first that is found; `kind` is how it is written in
    messages. A program that ends and comes again is followed: no pictures come meanwhile. Pictures
    of another size than the first are scaled. Raises `MissingExtraError` without its library, and
    `SourceError` where no source of that name is found.
    """

    live = True
    kind = ""

    def __init__(self, camera: str, *, rate: float = 30.0) -> None:
        super().__init__()
        self._wanted = camera.partition(":")[2]
        self.name = f"{self.kind} {self._wanted}".strip()
        self.rate = Fraction(rate).limit_denominator(1001)
        self._step = 1 / rate
        self._stop = threading.Event()
        self._first: Image | None = None
        self._opened = False

    @abstractmethod
    def _connect(self) -> str:
        """Find the source, and return its name. Raises as the class says."""

    @abstractmethod
    def _take(self) -> Image | None:
        """Return the latest picture, (H, W, 3) uint8 RGB, where it is a new one."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of what `_connect` made, or of a part of it."""

    def open(self) -> None:
        """Find the source, and wait for its first picture."""
        if self._opened:
            return
        try:
            found = self._connect()
            self.name = f"{self.kind} {found}"
            until = time.monotonic() + FIND
            while (image := self._take()) is None:
                if time.monotonic() > until or self._stop.wait(0.01):
                    raise SourceError(f"{found} sends no picture.", "", "Start it, and try again.")
        except BaseException:
            self._release()
            raise
        self.height, self.width = image.shape[:2]
        self._first, self._opened = image, True

    def missing(self, names: Sequence[str], none: str, hint: str) -> SourceError:
        """Return the error for a source that is not there, though `names` are."""
        wanted = f" {self._wanted!r}" if self._wanted else ""
        why = f"There are {', '.join(names)}." if names else none
        return SourceError(f"There is no {self.kind} source{wanted}.", why, hint)

    def close(self) -> None:
        """Let go of the source."""
        self._opened, self._first = False, None
        self._release()

    def stop(self) -> None:
        """Wake the wait for the next picture and end the iteration."""
        self._stop.set()

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        began, index = time.monotonic(), 0
        # It may be the only one for long: a still picture is sent once.
        image, self._first = self._first, None
        while not self._stop.is_set():
            now = time.monotonic()
            image = self._take() if image is None else image
            if image is not None:
                shown, image = resize(image, self.height, self.width), None
                yield Frame(shown, index, round((now - began) / TICK), TICK, now)
                index += 1
            # Half a step: a picture is never a whole one late.
            self._stop.wait(max(0.0, now + self._step / 2 - time.monotonic()))
