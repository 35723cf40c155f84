"""Stand-ins that ship with the package, for tests of code that is built on rtstyle.

They keep the contracts of the real ones and need no file, camera, model or display.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from rtstyle.frame import Frame, Image
from rtstyle.sinks.base import Sink, SinkClosedError
from rtstyle.sources.base import Source


def negative(image: Image) -> Image:
    """Return the negative of (H, W, 3) uint8 RGB: a style that needs no model."""
    return 255 - image


class FakeSource(Source):
    """`count` frames of one grey level each: frame i is filled with `i % 256`.

    `fails_at` raises `error` in place of that frame; `on_frame` is called with each index before
    the frame is given out, so that a test can hold the source up. `opened` and `closed` count.
    """

    def __init__(
        self,
        count: int = 10,
        *,
        width: int = 32,
        height: int = 24,
        rate: Fraction | int = 25,
        fails_at: int | None = None,
        error: BaseException | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self.name = "fake"
        self.width, self.height, self.rate = width, height, Fraction(rate)
        self.frames = count
        self.opened = self.closed = 0
        self._count, self._fails_at, self._on_frame = count, fails_at, on_frame
        self._error = error or RuntimeError("the fake source fails, as it was told to")
        self._stopped = False

    def open(self) -> None:
        """Count the call."""
        self.opened += 1

    def close(self) -> None:
        """Count the call."""
        self.closed += 1

    def stop(self) -> None:
        """End the iteration after the present frame."""
        self._stopped = True

    def __iter__(self) -> Iterator[Frame]:
        step = 1 / (self.rate or Fraction(25))
        for index in range(self._count):
            if self._stopped:
                return
            if self._on_frame:
                self._on_frame(index)
            if index == self._fails_at:
                raise self._error
            image = np.full((self.height, self.width, 3), index % 256, np.uint8)
            yield Frame(image, index, index, step, time.monotonic())


class FakeSink(Sink):
    """Keeps all frames in `frames` and the calls in `calls`: open, write, close, partial, abort.

    `fails_at` raises `error` in place of that write, `closes_at` ends the run with that frame.
    """

    def __init__(
        self,
        *,
        fails_at: int | None = None,
        error: BaseException | None = None,
        closes_at: int | None = None,
        on_frame: Callable[[Frame], None] | None = None,
    ) -> None:
        self.name = "fake"
        self.frames: list[Frame] = []
        self.calls: list[str] = []
        self._fails_at, self._closes_at, self._on_frame = fails_at, closes_at, on_frame
        self._error = error or RuntimeError("the fake sink fails, as it was told to")

    def open(self) -> None:
        """Note the call."""
        self.calls.append("open")

    def write(self, frame: Frame) -> None:
        """Keep the frame."""
        if len(self.frames) == self._fails_at:
            raise self._error
        self.calls.append("write")
        self.frames.append(frame)
        if self._on_frame:
            self._on_frame(frame)
        if len(self.frames) - 1 == self._closes_at:
            raise SinkClosedError

    def close(self, complete: bool = True) -> None:
        """Note the call."""
        self.calls.append("close" if complete else "partial")

    def abort(self) -> None:
        """Note the call."""
        self.calls.append("abort")
