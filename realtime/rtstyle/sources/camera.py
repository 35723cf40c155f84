"""Frames of a camera or a network stream, through OpenCV."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rtstyle.errors import SourceError
from rtstyle.frame import Frame
from rtstyle.sources.base import Source

MICROSECOND = Fraction(1, 1_000_000)


class CameraSource(Source):
    """A camera by index or device path, or a stream by URL, as OpenCV knows it.

    Asks for MJPG (raw pictures do not fit through USB 2 at full rate), `width`, `height` and
    `rate`, and then reads back what it got into the attributes of the same names. Time stamps
    are microseconds since the first frame. Raises `SourceError` if there is no picture.
    """

    live = True

    def __init__(
        self, camera: int | str, *, width: int = 640, height: int = 480, rate: float = 30
    ) -> None:
        super().__init__()
        self.camera = camera
        self.name = f"camera {camera}"
        self._asked = (width, height, rate)
        self._capture: Any = None
        self._first: Any = None
        self._stopped = False

    def open(self) -> None:
        """Open the camera and read one frame, which tells the true size."""
        if self._capture is not None:
            return
        with quiet_opencv():
            capture = cv2.VideoCapture(self.camera)
            if not capture.isOpened():
                capture.release()
                raise self._missing("It cannot be opened.")
            if isinstance(self.camera, int) or self.camera.startswith("/dev/"):
                self._ask(capture)
            good, self._first = capture.read()
        if not good:
            capture.release()
            raise self._missing("It opens but gives no picture; another program may be using it.")
        self._capture = capture
        self.height, self.width = self._first.shape[:2]
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else None

    def close(self) -> None:
        """Release the camera."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def stop(self) -> None:
        """End the iteration after the present frame."""
        self._stopped = True

    def describe(self) -> str:
        """Say what was asked for and what the camera gives."""
        width, height, rate = self._asked
        given = f"{self.width}x{self.height} at {float(self.rate or 0):g} FPS"
        return f"{self.name}: {given} (asked for {width}x{height} at {rate:g})"

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        began = time.monotonic()
        index, last, picture = 0, -1, self._first
        while not self._stopped:
            now = time.monotonic()
            last = max(last + 1, int((now - began) * 1e6))
            if picture.shape[:2] != (self.height, self.width):
                self.counts["frames of another size"] += 1
                picture = cv2.resize(picture, (self.width, self.height))
            image = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
            yield Frame(image, index, last, MICROSECOND, now)
            index += 1
            good, picture = self._capture.read()
            if not good:
                return

    def _ask(self, capture: Any) -> None:
        width, height, rate = self._asked
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        capture.set(cv2.CAP_PROP_FPS, rate)
        # One picture in the driver's queue: older ones are only delay.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _missing(self, why: str) -> SourceError:
        found = ", ".join(sorted(map(str, Path("/dev").glob("video*"))))
        if sys.platform.startswith("linux"):
            why += f" Cameras here: {found}." if found else " This machine shows no camera."
        return SourceError(
            f"There is no picture from {self.name}.",
            why,
            "Choose another --camera (an index, a URL or a video file), or --camera test.",
        )


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from printing its own warnings while a failure is turned into one message."""
    logging: Any = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
