"""A picture that needs no camera: colour ramps that drift, with a moving square."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from rtstyle.frame import Frame, Image
from rtstyle.sources.base import Source


def draw_pattern(width: int, height: int, index: int) -> Image:
    """Return frame `index` of the pattern: (height, width, 3) uint8 RGB, the same every time."""
    across = (np.arange(width) * 255 // max(1, width - 1)).astype(np.uint8)
    down = (np.arange(height) * 255 // max(1, height - 1)).astype(np.uint8)
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = across
    image[..., 1] = down[:, None]
    image[..., 2] = (128 + 4 * index) % 256
    side = max(2, min(width, height) // 6)
    x, y = (5 * index) % max(1, width - side), (3 * index) % max(1, height - side)
    image[y : y + side, x : x + side] = 255
    return image


class TestPatternSource(Source):
    """`frames` pictures (None: without end); with `live`, by the clock at `rate`."""

    __test__ = False  # pytest would take the name for a test

    def __init__(
        self,
        width: int = 640,
        height: int = 480,
        *,
        rate: Fraction | int = 30,
        frames: int | None = None,
        live: bool = False,
    ) -> None:
        super().__init__()
        self.name = "test pattern"
        self.width, self.height = width, height
        self.rate, self.frames, self.live = Fraction(rate), frames, live
        self._stop = threading.Event()

    def stop(self) -> None:
        """Wake the wait for the next frame and end the iteration."""
        self._stop.set()

    def __iter__(self) -> Iterator[Frame]:
        began = time.monotonic()
        index = 0
        step = 1 / (self.rate or Fraction(30))
        while index != self.frames and not self._stop.is_set():
            due = began + float(index * step)
            if self.live and self._stop.wait(max(0.0, due - time.monotonic())):
                return
            image = draw_pattern(self.width, self.height, index)
            yield Frame(image, index, index, step, time.monotonic())
            index += 1
