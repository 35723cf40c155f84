"""A part of a video painted: its packets go into a file of segments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtstyle.jobs.journal import first_picture
from rtstyle.jobs.parts.part_source import BEFORE, PartSource
from rtstyle.jobs.parts.survey import Part, Survey
from rtstyle.jobs.video import read_colour
from rtstyle.jobs.video_painter import CoherentVideoPainter, VideoPainter, video_pipeline
from rtstyle.media.limits import check_whole
from rtstyle.painting.canvas.motion import FlowEstimator, look, sight
from rtstyle.painting.stylizer import scaled
from rtstyle.pipeline import one_opencv_thread
from rtstyle.report import Progress
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.tracks.segment_file import SegmentFile
from rtstyle.sinks.video_file import DEFAULT_RATE
from rtstyle.sinks.video_part import VideoPartSink
from rtstyle.styles.recipe import Recipe

if TYPE_CHECKING:
    from rtstyle.media.container import Media
    from rtstyle.painting.stylizer import Stylizer


@dataclass(frozen=True)
class Work:
    """What all parts of a video share. `length` is the frames of a segment.

    The other values are those of `rtstyle.jobs.video.stylize_video`; `kind` is FFmpeg's name of the
    output's container, `deep` says whether more than 8 bits a sample are wanted, `threads` are the
    encoder's.
    """

    recipe: Recipe
    encoding: Encoding
    kind: str
    length: int
    threads: int
    start: float | None = None
    end: float | None = None
    side_by_side: bool = False
    deinterlace: str = "auto"
    background: str = "black"
    deep: bool = False


@dataclass(frozen=True)
class Clip:
    """A stretch of a video's frames, from `first` on: what a `PartSource` must know.

    `times` and `before` are time stamps in ticks of `time_base`, `zero` is in seconds, `frames` the
    number of frames of the whole video, as far as known.
    """

    first: int
    times: tuple[int, ...]
    before: tuple[int, ...]
    zero: Fraction
    origin: Fraction
    time_base: Fraction
    rate: Fraction | None
    ratio: Fraction | None
    frames: int | None

    @classmethod
    def of(cls, found: Survey, first: int, end: int) -> Clip:
        """Return frames `first` to `end` (exclusive) of a video."""
        return cls(
            first, found.times[first:end], found.times[max(0, first - BEFORE) : first],
            found.zero, found.origin, found.time_base, found.rate, found.ratio, found.frames,
        )  # fmt: skip

    def open(self, media: Media, work: Work, *, deep: bool = False) -> PartSource:
        """Return its source, not opened yet."""
        return PartSource(
            media, self.first, self.times, self.before, zero=self.zero, time_base=self.time_base,
            start=work.start, end=work.end, deinterlace=work.deinterlace, deep=deep,
        )  # fmt: skip


@dataclass
class Painted:
    """What became of a part: its frames, what its source counted, and the time it took."""

    frames: int
    seconds: float
    size: int
    width: int
    height: int
    counts: Counter[str] = field(default_factory=Counter)


def paint_part(
    media: Media,
    work: Work,
    clip: Clip,
    part: Part,
    target: Path,
    stylizer: Stylizer,
    progress: Callable[[Progress], None] | None = None,
) -> Painted:
    """Paint frames of a video into the file of segments of `target`.

    `clip` begins at `part.first` and ends at `part.end`. Raises `OtherFramesError` where the video
    cannot be entered there, and other `RtstyleError`s.
    """
    rate = clip.rate or DEFAULT_RATE
    with ExitStack() as stack:
        frames = clip.open(media, work, deep=work.deep)
        mine = stack.enter_context(ExitStack())
        mine.callback(frames.close)
        frames.open()
        check_whole(media.name, frames.width, frames.height, work.recipe.height)
        stylizer.wrap = frames.spherical is not None and frames.spherical.wraps
        painter: VideoPainter | CoherentVideoPainter = VideoPainter(
            stylizer, clip.frames, None, work.side_by_side, background=read_colour(work.background)
        )
        if work.recipe.match_color:
            stylizer.match_next()
            stylizer(first_picture(media, work.start, work.end, None, work.deinterlace))
        coherent = stylizer.coherent()
        if coherent is not None and stylizer.strength:
            assert isinstance(painter, VideoPainter)
            painter = CoherentVideoPainter(painter, coherent)
        segments = SegmentFile(target, {})
        sink = VideoPartSink(
            segments, work.kind, begin=part.begin, length=work.length, rate=rate,
            encoding=work.encoding, origin=clip.origin, sample_aspect_ratio=clip.ratio,
            threads=work.threads,
        )  # fmt: skip
        pipeline = video_pipeline(frames, painter, sink, stylizer.streams, progress)
        mine.pop_all()
        report = pipeline.run()
    if report.stopped:
        raise KeyboardInterrupt
    return Painted(
        part.end - part.begin, report.seconds, segments.path.stat().st_size,
        painter.width, painter.height, report.counts,
    )  # fmt: skip


def find_cuts(media: Media, work: Work, clip: Clip) -> list[int]:
    """Return the frames of a clip, but for its first, at which the canvas of a painter is empty."""

    cuts: list[int] = []
    before, estimate = None, FlowEstimator()
    # The flow depends a little on the number of threads.
    with clip.open(media, work) as source, one_opencv_thread():
        for frame in source:
            now = sight(scaled(frame.image, work.recipe.height), frame.index)
            if before is not None and look(now, before, estimate).flow is None:
                cuts.append(frame.index)
            before = now
    return cuts


def as_known(options: dict[str, Any], found: Survey) -> Encoding:
    """Return the encoding of a run's `options` with what it must know of the source."""
    encoding: Encoding = options["encoding"] or Encoding()
    pixels = found.width * found.height
    return replace(encoding, depth=found.depth, source_rate=found.bit_rate, source_pixels=pixels)
