"""A video file that behaves like a camera: frames come when their time has come."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from rtstyle.errors import SourceError
from rtstyle.frame import Frame, Image
from rtstyle.media.color import resize, square_width, with_square_pixels
from rtstyle.sources import open_video
from rtstyle.sources.base import Source
from rtstyle.sources.cameras.placard import draw_placard
from rtstyle.sources.cameras.resilient import PLACARD_RATE
from rtstyle.sources.video_file import DEFAULT_RATE


class RealTimeFileSource(Source):
    """Plays a video file by the clock; with `loop`, again and again with rising time stamps.

    A file in a loop that is gone or cannot be read when its next round begins gives placards until
    it is back. `captured_at` is the moment at which the frame was due, or was ready if decoding is
    late.
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
        for frame in self._endless() if self.loop else map(self._squared, self._file):
            due = began + frame.time - float(self.origin)
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            yield replace(frame, captured_at=max(due, time.monotonic()))

    def _squared(self, frame: Frame) -> Frame:
        return frame.with_image(with_square_pixels(frame.image, self._ratio))

    def _endless(self) -> Iterator[Frame]:
        """Yield round after round on the scale of the first; placards while there is no file."""
        tick = Fraction(0)
        index, begins, last = 0, Fraction(self.origin), Fraction(0)
        image: Image | None = None
        while not self._stop.is_set():
            step = 1 / (self.rate or DEFAULT_RATE)
            try:
                for frame in self._file:
                    tick = tick or frame.time_base
                    now = begins + frame.pts * frame.time_base - self._file.origin
                    step = now - last if index and now > last else step
                    image, last = self._fitted(self._squared(frame).image), now
                    yield replace(
                        frame, image=image, index=index, pts=round(now / tick), time_base=tick
                    )
                    index += 1
                found = self._reopen()
            except SourceError:
                found = False
            tick = tick or Fraction(1, 90000)
            while not found:
                # As a camera that was pulled out: the run continues, and so does the file once it
                # is back, whatever it is then.
                for _ in range(PLACARD_RATE):
                    if self._stop.is_set():
                        return
                    last += Fraction(1, PLACARD_RATE)
                    placard = self._placard(image)
                    self.counts["placards"] += 1
                    yield Frame(placard, index, round(last / tick), tick, time.monotonic())
                    index += 1
                found = self._reopen()
                if found:
                    self.counts["reconnects"] += 1
            # The next round starts one frame after the last of this one.
            begins = last + step

    def _fitted(self, image: Image) -> Image:
        """Return the picture at the size of the first: another file may have come in its place."""
        if image.shape[:2] == (self.height, self.width):
            return image
        return resize(image, self.height, self.width)

    def _placard(self, backdrop: Image | None) -> Image:
        title = f"No picture from {self.name}"
        return draw_placard(self.width, self.height, title, "waiting for the file", backdrop)

    def _reopen(self) -> bool:
        """Open the file anew; return False if it cannot be read at present."""
        self._file.close()
        file = open_video(self.path)
        try:
            file.open()
        except SourceError:
            return False
        self._file, self._ratio = file, file.sample_aspect_ratio
        if self._stop.is_set():
            file.stop()
        self._file.counts.update(self.counts)
        self.counts = self._file.counts
        return True
