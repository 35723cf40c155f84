"""An animated GIF with a palette that follows the picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from rtstyle.errors import SinkError
from rtstyle.frame import Frame, Image
from rtstyle.sinks.base import Sink
from rtstyle.sinks.palette import Palette
from rtstyle.sinks.pending import PendingFile, close_anyway, writing_to

CENTISECOND = Fraction(1, 100)
FASTEST = 2
"""Centiseconds between pictures; browsers slow down a GIF that asks for less."""
MISFIT = 12.0
"""Levels of error, beyond those of its first picture, from which a palette is made anew."""


class GifSink(Sink):
    """Writes a GIF, with a new palette whenever the picture has changed enough.

    Above 50 frames a second some are left out; `skipped` counts them. Time stamps are rounded
    to 1/100 s, as the format demands.
    """

    def __init__(self, path: str | Path, *, origin: Fraction = Fraction(0)) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.skipped = 0
        self._origin = origin
        self._pending: PendingFile | None = None
        self._output: Any = None
        self._last: int | None = None
        self._palette: Palette | None = None
        self._tolerated = 0.0

    def open(self) -> None:
        """Check the folder and make the temporary file."""
        if self._pending is None:
            self._pending = PendingFile(self.path)

    def write(self, frame: Frame) -> None:
        """Reduce one frame to its palette and encode it."""
        self.open()
        with writing_to(self.path):
            if self._output is None:
                self._start(frame, self._pending or PendingFile(self.path))
            if frame.image.shape[:2] != self._shape:
                raise SinkError(
                    f"{self.path} cannot be written.", "The size of the pictures changed midway."
                )
            pts = max(0, round((frame.pts * frame.time_base - self._origin) / CENTISECOND))
            if self._last is not None and pts < self._last + FASTEST:
                self.skipped += 1
                return
            self._last = pts
            picture = self._reduce(frame.image)
            picture.pts, picture.time_base = pts, CENTISECOND
            for packet in self._stream.encode(picture):
                self._output.mux(packet)

    def close(self, complete: bool = True) -> None:
        """Write what is left and give the file its name; nothing if no frame came."""
        if self._output is None:
            self.abort()
            return
        try:
            with writing_to(self.path):
                for packet in self._stream.encode(None):
                    self._output.mux(packet)
                output, self._output = self._output, None
                output.close()
        except BaseException:
            self.abort()
            raise
        if self._pending:
            self.path = self._pending.commit(complete)
            self._pending = None

    @property
    def written(self) -> int:
        """Bytes so far."""
        return self._pending.size if self._pending else 0

    def abort(self) -> None:
        """Throw the temporary file away."""
        output, self._output = self._output, None
        try:
            close_anyway(output)
        finally:
            pending, self._pending = self._pending, None
            if pending:
                pending.discard()

    def _start(self, frame: Frame, pending: PendingFile) -> None:
        self._pending = pending
        self._shape = frame.image.shape[:2]
        height, width = self._shape
        self._output = av.open(str(pending.temporary), "w", format="gif")
        self._stream = self._output.add_stream("gif", rate=Fraction(100, FASTEST))
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "pal8"
        self._stream.time_base = self._stream.codec_context.time_base = CENTISECOND

    def _reduce(self, image: Image) -> Any:
        """Return the picture as a pal8 frame."""
        if self._palette is None or self._palette.misfit(image) > self._tolerated:
            self._palette = Palette(image)
            self._tolerated = self._palette.misfit(image) + MISFIT
        opaque = np.full((256, 1), 255, np.uint8)
        argb = np.hstack([opaque, self._palette.colors])
        pair: Any = (self._palette.apply(image), argb)
        return av.VideoFrame.from_ndarray(pair, "pal8")
