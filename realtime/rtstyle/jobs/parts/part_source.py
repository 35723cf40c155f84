"""Some frames of a video, numbered as in the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from rtstyle.errors import SourceError
from rtstyle.frame import Frame
from rtstyle.media.container import Media
from rtstyle.sources.base import Source
from rtstyle.sources.video_file import VideoFileSource

BEFORE = 4
"""Frames that are decoded before the first: what removes interlacing looks at neighbours."""


class OtherFramesError(SourceError):
    """A video that gives other frames, once it is entered in the middle, than it promised."""


class PartSource(Source):
    """Frames `first` to `first + len(times)` of a video, whose time stamps are `times` in ticks.

    `before` are the time stamps of some frames before these, `start` and `end` the seconds between
    which the video counts. Raises `OtherFramesError` where the frames are not those.
    """

    def __init__(
        self,
        media: Media,
        first: int,
        times: tuple[int, ...],
        before: tuple[int, ...],
        *,
        zero: Fraction,
        time_base: Fraction,
        start: float | None = None,
        end: float | None = None,
        deinterlace: str = "auto",
        deep: bool = False,
    ) -> None:
        super().__init__()
        before = before[-BEFORE:]
        self._first, self._times, self._lead = first, times, len(before)
        if first > len(before):
            moment = (*before, *times)[0] * time_base - zero
            start = max(0.0, float(moment))
        self._source = VideoFileSource(
            media, start=start, end=end, deinterlace=deinterlace, keep_alpha=True
        )
        self._source.skip = self._lead
        self.deep = self._source.deep = deep
        self.name, self.frames = media.name, len(times)
        self.counts = self._source.counts

    def open(self) -> None:
        """Open the video."""
        self._source.open()
        self.width, self.height = self._source.width, self._source.height
        self.rate, self.origin = self._source.rate, self._source.origin
        self.spherical = self._source.spherical

    def close(self) -> None:
        """Close the video."""
        self._source.close()

    def stop(self) -> None:
        """End the iteration soon."""
        self._source.stop()
        self._stopped = True

    _stopped = False

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        number = 0
        for frame in self._source:
            number = frame.index - self._lead
            if number < 0:
                continue
            if number >= len(self._times) or frame.pts != self._times[number]:
                raise self._others()
            yield replace(frame, index=self._first + number)
            number += 1
            if number == len(self._times):
                return
        if number < len(self._times) and not self._stopped:
            raise self._others()

    def _others(self) -> OtherFramesError:
        return OtherFramesError(
            f"{self.name} gives different frames when it is read from the middle."
        )
