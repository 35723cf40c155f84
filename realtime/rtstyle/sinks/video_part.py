"""A part of a video file: its frames encoded, to be joined with other parts later."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import av

from rtstyle.files.pending import close_anyway, writing_to
from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink
from rtstyle.sinks.encoding.encoders import choose_encoder
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.tracks.picture_track import PictureTrack
from rtstyle.sinks.tracks.segment_file import SegmentFile


class VideoPartSink(Sink):
    """Encodes frames from index `begin` on into `segments`, as `VideoFileSink` would.

    `kind` is FFmpeg's name of the container that the parts will be in, `length` the frames of a
    segment: `begin` must be a multiple of it. `threads` are those of the encoder. Frames before
    `begin` are left out.
    """

    name = "part"

    def __init__(
        self,
        segments: SegmentFile,
        kind: str,
        *,
        begin: int,
        length: int,
        rate: Fraction,
        encoding: Encoding,
        origin: Fraction,
        sample_aspect_ratio: Fraction | None,
        threads: int,
    ) -> None:
        self._segments, self._kind = segments, kind
        segments.length = length
        self._begin, self._rate = begin, rate
        self._encoding, self._origin, self._ratio = encoding, origin, sample_aspect_ratio
        self._threads = threads
        self._output: Any = None
        self._pictures: PictureTrack | None = None

    def write(self, frame: Frame) -> None:
        """Encode one frame."""
        if frame.index < self._begin:
            return
        with writing_to(self._segments.path):
            if self._pictures is None:
                self._pictures = self._start(frame)
            self._pictures.place(frame)
            self._pictures.encode(frame)

    def _start(self, frame: Frame) -> PictureTrack:
        height, width = frame.image.shape[:2]
        # Nothing is written there: a container only decides which encoders go.
        self._output = av.open(os.devnull, "w", format=self._kind)
        chosen = choose_encoder(self._encoding, self._output, width, height, self._rate)
        return PictureTrack(
            self._output, self._kind, chosen, frame, rate=self._rate,
            shift=round(self._origin / frame.time_base), ratio=self._ratio, threads=self._threads,
            segments=self._segments,
        )  # fmt: skip

    def close(self, complete: bool = True) -> None:
        """Keep the last segment; nothing where the run was ended before its end."""
        if complete and self._pictures is not None:
            with writing_to(self._segments.path):
                self._pictures.end_segment()
        self.abort()

    @property
    def written(self) -> int:
        """Bytes in whole segments."""
        try:
            return self._segments.path.stat().st_size
        except OSError:
            return 0

    def abort(self) -> None:
        """Close what is open."""
        self._segments.close()
        output, self._output, self._pictures = self._output, None, None
        close_anyway(output)
