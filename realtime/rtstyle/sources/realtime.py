"""A video file that behaves like a camera: frames come when their time has come."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rtstyle.color import square_width, with_square_pixels
from rtstyle.frame import Frame
from rtstyle.sources import open_video
from rtstyle.sources.base import Source


class RealTimeFileSource(Source):
    """Plays a video file by the clock; with `loop`, again and again with rising time stamps.

    `captured_at` is the moment at which the frame was due, or was ready if decoding is late.
    """

    live = True

    def __init__(self, path: str | Path, *, loop: bool = False) -> None:
        super().__init__()
        self.path, self.loop = Path(path), loop
        self._file = open_video(path)
        self.name = self._file.name
        self._stop = threading.Event()

    def open(self) -> None:
        """Open the file."""
        self._file.open()
        self.width, self.height, self.rate = self._file.width, self._file.height, self._file.rate
        # A camera has square pixels, and so has all that shows it.
        self._ratio = self._file.sample_aspect_ratio
        if self._ratio:
            self.width = square_width(self.width, self._ratio)
        self.origin = self._file.origin
        self.frames = None if self.loop else self._file.frames
        self.counts = self._file.counts

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def stop(self) -> None:
        """Wake the wait for the next frame and end the iteration."""
        self._stop.set()
        self._file.stop()

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        began = time.monotonic()
        for frame in self._endless() if self.loop else self._file:
            due = began + frame.time - float(self.origin)
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            image = with_square_pixels(frame.image, self._ratio)
            yield replace(frame, image=image, captured_at=max(due, time.monotonic()))

    def _endless(self) -> Iterator[Frame]:
        index = offset = 0
        while True:
            step = last = 0
            for frame in self._file:
                pts = frame.pts + offset
                step, last = pts - last if last else step, pts
                yield replace(frame, index=index, pts=pts)
                index += 1
            if self._stop.is_set():
                return
            # The next round starts one frame after the last of this one.
            usual = round(1 / (self.rate or 25) / frame.time_base)
            offset = last + (step or usual) - round(self.origin / frame.time_base)
            self._reopen()

    def _reopen(self) -> None:
        self._file.close()
        counts = self._file.counts
        self._file = open_video(self.path)
        self._file.open()
        self._file.counts.update(counts)
        self.counts = self._file.counts
