"""Where a video may be cut: its frames are listed from its packets, without being decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av.error

from rtstyle.media.container import Media, pick_video_stream
from rtstyle.media.timestamps import TimestampMender, with_following
from rtstyle.sinks.video_file import DEFAULT_RATE
from rtstyle.sources.video_file import HELD, VideoFileSource

if TYPE_CHECKING:
    from rtstyle.sources.base import Source

INDEXED = ("mov", "matroska")
"""Containers, by FFmpeg's name, in which every frame can be found again."""
NEAREST = Fraction(1, 1000)
"""Seconds between two frames at least: the source finds the first frame of a part by its time."""
WASTE = Fraction(1, 10)
"""Share of a part's frames that may be painted besides, to begin the next at a cut."""
FARTHEST = Fraction(1, 5)
"""Segments, at most, from a cut to the part that begins there: more cuts cost a search for them."""


@dataclass(frozen=True)
class Survey:
    """What is known of a video before it is painted.

    `times` are the time stamps of its frames, in order of show and ticks of `time_base`; empty
    where `whole` says why the video cannot be cut. `zero` is the moment of its beginning in
    seconds, `origin` that from which it is painted. `frames` is what the file says of their number.
    """

    width: int
    height: int
    frames: int | None
    rate: Fraction | None
    time_base: Fraction
    zero: Fraction
    origin: Fraction
    ratio: Fraction | None
    depth: int
    bit_rate: int | None
    alpha: bool
    times: tuple[int, ...]
    whole: str

    @property
    def seconds(self) -> float:
        """The length of the video, about."""
        return float((self.frames or 0) / (self.rate or DEFAULT_RATE))


@dataclass(frozen=True, slots=True)
class Part:
    """Frames `begin` to `end` (exclusive) of a video, painted from frame `first` on."""

    first: int
    begin: int
    end: int

    @property
    def name(self) -> str:
        """Name of a file for the part."""
        return f"{self.begin:07d}-{self.end:07d}"


def survey(source: Source, start: float | None, end: float | None) -> Survey:
    """Return what is known of an open source between `start` and `end` (seconds)."""
    times: list[int] = []
    whole, time_base = "it is not a video file", Fraction(1)
    if isinstance(source, VideoFileSource):
        time_base, whole = source.time_base, why_whole(source)
        if not whole:
            times, whole = frame_times(source, start, end)
    return Survey(
        source.width, source.height, source.frames, source.rate, time_base,
        source.zero if isinstance(source, VideoFileSource) else Fraction(0), source.origin,
        source.sample_aspect_ratio, source.depth, source.bit_rate, source.has_alpha,
        tuple(times) if not whole else (), whole,
    )  # fmt: skip


def why_whole(source: VideoFileSource) -> str:
    """Return why a video must be painted at once by its kind, nothing if it need not."""
    if source.media.pipe:
        return "it is a pipe"
    if not source.timed:
        return "its frames have no time stamps"
    if source.has_alpha:
        return "it is transparent"
    return ""


def frame_times(
    source: VideoFileSource, start: float | None, end: float | None
) -> tuple[list[int], str]:
    """Return the time stamps of the frames that the source will give, or why that is not known."""
    try:
        found = packet_times(source.media)
    except (av.error.FFmpegError, OSError):
        return [], "it is damaged"
    if found is None:
        return [], "its container has no index"
    base = source.time_base
    if None in found or not found:
        return [], "its frames have no time stamps"
    times = sorted(time for time in found if time is not None)
    step = round(1 / (source.rate or DEFAULT_RATE) / base)
    if not are_sound(times, base, step):
        return [], "its time stamps are broken"
    if start:
        first = source.origin - Fraction(1, 2000)
        times = [time for time in times if time * base >= first]
        if times and times[0] * base - source.origin > HELD:
            return [], "a picture from before --start is still shown there"
    if end is not None:
        last = source.zero + Fraction(end).limit_denominator(1_000_000)
        times = [time for time in times if time * base < last]
    return times, "" if times else "it has no frame between --start and --end"


def packet_times(media: Media) -> list[int | None] | None:
    """Return the time stamps of all packets that become frames, None without an index."""
    container: Any = media.open()
    with container:
        if not any(name in container.format.name for name in INDEXED):
            return None
        stream = pick_video_stream(container, media.name)
        return [p.pts for p in container.demux(stream) if p.size and not p.is_discard]


def are_sound(times: Sequence[int], time_base: Fraction, step: int) -> bool:
    """Return True if time stamps in order of show need no mending, and are well apart."""
    least = NEAREST / time_base
    if any(later - time < least for time, later in pairwise(times)):
        return False
    mend = TimestampMender(time_base, step)
    same = all(mend(time, following) == time for time, following in with_following(iter(times)))
    return same and not mend.mended


def parts_of(frames: int, length: int, cuts: Sequence[int] | None = None) -> list[Part]:
    """Return the parts of a video of so many `frames`, of whole segments of `length` frames.

    Without `cuts` each segment is a part. With a canvas, which is empty at `cuts` only, a part is
    painted from the last cut before it on: it begins where no more than `WASTE` of the part before
    and `FARTHEST` of a segment are painted besides. Only cuts in the stretches of
    `where_cuts_count` are asked for.
    """
    if cuts is None:
        return [Part(n, n, min(n + length, frames)) for n in range(0, frames, length)]
    begins = list(begins_at_cuts(frames, length, cuts))
    return [
        Part(first, begin, end)
        for (first, begin), end in zip(begins, [*(b for _, b in begins[1:]), frames], strict=True)
    ]


def begins_at_cuts(frames: int, length: int, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first frame to paint and the first to keep of each part."""
    places = iter(sorted(cuts))
    following = next(places, None)
    last, kept = 0, (0, 0)
    for begin in range(length, frames, length):
        while following is not None and following <= begin:
            last, following = following, next(places, None)
        # What is painted twice lies between the cut and the first frame that is kept.
        if begin - last <= min(lead(length), int(WASTE * (begin - kept[1]))):
            yield kept
            kept = (last, begin)
    yield kept


def lead(length: int) -> int:
    """Return how many frames before a segment of `length` may be painted besides."""
    return int(FARTHEST * length)


def where_cuts_count(frames: int, length: int) -> list[tuple[int, int]]:
    """Return the stretches (begin, end) of a video, whose first frames are not asked about.

    A cut that lies farther before a segment begins no part, so that nobody needs to look for it.
    """
    most = lead(length)
    return [(begin - most - 1, begin + 1) for begin in range(length, frames, length)]
