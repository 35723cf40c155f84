"""An animated GIF with a palette that follows the picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from rtstyle.errors import SinkError
from rtstyle.files.names import as_file
from rtstyle.files.pending import PendingFile, close_anyway, writing_to
from rtstyle.files.space import Room, keeping
from rtstyle.frame import Frame, Image
from rtstyle.media.color import with_square_pixels
from rtstyle.sinks.base import FileSink
from rtstyle.sinks.encoding.palette import Palette

CENTISECOND = Fraction(1, 100)
FASTEST = 2
"""Centiseconds between pictures; browsers slow down a GIF that asks for less."""
MISFIT = 12.0
"""Levels of error, beyond those of its first picture, from which a palette is made anew."""


class GifSink(FileSink):
    """Writes a GIF, with a new palette whenever the picture has changed enough.

    Above 50 frames a second some are left out; `skipped` counts them. Time stamps are rounded
    to 1/100 s, as the format demands. Pictures of other than square pixels are made wider or
    narrower by `sample_aspect_ratio`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        origin: Fraction = Fraction(0),
        sample_aspect_ratio: Fraction | None = None,
    ) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.skipped = 0
        self._origin, self._ratio = origin, sample_aspect_ratio
        self._pending: PendingFile | None = None
        self._room: Room | None = None
        self._muxed = 0
        self._output: Any = None
        self._last: int | None = None
        self._shown_for = FASTEST
        self._held: Any = None
        self._palette: Palette | None = None
        self._tolerated = 0.0

    def open(self) -> None:
        """Check the folder and make the temporary file."""
        if self._pending is None:
            self._pending = PendingFile(self.path)
            self._room = Room(self._pending.temporary)

    def write(self, frame: Frame) -> None:
        """Reduce one frame to its palette and encode it."""
        self.open()
        with writing_to(self.path), keeping(self.path, self._keep):
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
            if self._last is not None:
                self._shown_for = pts - self._last
            self._mux_held()
            self._last = pts
            if frame.duration:
                self._shown_for = round(frame.duration * frame.time_base / CENTISECOND)
            picture = self._reduce(with_square_pixels(frame.image, self._ratio))
            picture.pts, picture.time_base = pts, CENTISECOND
            (self._held,) = self._stream.encode(picture)

    def _mux_held(self) -> None:
        """Write the picture before, now that it is known for how long it is shown."""
        if self._held is not None:
            held, self._held = self._held, None
            held.duration = max(FASTEST, self._shown_for)
            if self._room is not None:
                self._room.take(held.size)
            self._output.mux(held)
            self._muxed += 1

    def _keep(self) -> Path | None:
        """Close the file, which can be played up to where it ends; None if it has no picture."""
        output, self._output = self._output, None
        close_anyway(output)
        pending, self._pending = self._pending, None
        if pending is None or not self._muxed:
            if pending is not None:
                pending.discard()
            return None
        return pending.commit(complete=False)

    def close(self, complete: bool = True) -> None:
        """Write what is left and give the file its name; nothing if no frame came."""
        if self._output is None:
            self.abort()
            return
        try:
            with writing_to(self.path), keeping(self.path, self._keep):
                self._mux_held()
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

    def notes(self) -> list[str]:
        """Return how many frames were left out."""
        left_out = f"{self.skipped} frames left out: GIF shows at most 50 a second"
        return [left_out] if self.skipped else []

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
        height, width = with_square_pixels(frame.image, self._ratio).shape[:2]
        self._output = av.open(as_file(pending.temporary), "w", format="gif")
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
