"""The video job: a file in, the painted file out, with its sound."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtstyle.errors import UsageError
from rtstyle.files.names import read_name
from rtstyle.jobs.mask_video import MovingMask, is_video
from rtstyle.jobs.outputs import check_output, keep_what_is_read
from rtstyle.jobs.video_painter import CoherentVideoPainter, VideoPainter
from rtstyle.media.container import Media, as_media
from rtstyle.media.yuv import BLACK, Colour
from rtstyle.pipeline import Pipeline
from rtstyle.report import Progress, Report
from rtstyle.sinks import open_output
from rtstyle.sinks.encoding.alpha import keeps_alpha
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.pipe import check_format
from rtstyle.sources import open_video
from rtstyle.sources.video_file import VideoFileSource

if TYPE_CHECKING:
    from fractions import Fraction

    from rtstyle.media.spherical import Spherical
    from rtstyle.painting.stylizer import Stylizer
    from rtstyle.sinks.base import Sink
    from rtstyle.sinks.tracks.stream_copy import StreamCopier
    from rtstyle.sources.base import Source

MOST_STREAMS = 4


@dataclass
class VideoReport:
    """What became of one video.

    `path` is the output, or `NAME.partial.EXT` if the run was `stopped`. `fps` is the steady
    rate, `seconds` the whole time in the pipeline, `bytes` the size of the output, `width` and
    `height` that of its pictures. `notes` are meant for the user: what was re-encoded, left out,
    mended or skipped. `pipeline` has the details.
    """

    path: Path
    frames: int
    fps: float
    seconds: float
    bytes: int
    width: int
    height: int
    stopped: bool
    notes: list[str] = field(default_factory=list)
    pipeline: Report = field(default_factory=Report)


def stylize_video(
    source: str | Path,
    output: str | Path,
    style: str | Sequence[str] = "mosaic",
    *,
    size: str = "balanced",
    strength: float = 1.0,
    keep_color: bool = False,
    height: int | None = None,
    style_scale: float = 1.0,
    mask: str | Path | None = None,
    sweep: str | None = None,
    match_color: bool = False,
    start: float | None = None,
    end: float | None = None,
    rate: Fraction | None = None,
    side_by_side: bool = False,
    deinterlace: str = "auto",
    background: str = "black",
    stroke_size: float = 1.0,
    coherence: float = 1.0,
    device: str = "auto",
    precision: str = "auto",
    encoding: Encoding | None = None,
    audio: bool = True,
    keep_location: bool = False,
    overwrite: bool = False,
    kind: str | None = None,
    stylizer: Stylizer | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> VideoReport:
    """Paint a video file, or numbered pictures, into `output`.

    `source` as a text may be an address (https://...), or `-` for standard input. `output` is a
    video (.mp4 .mov .mkv .webm), a .gif, pictures (`out_%05d.png` or a folder), or a pipe: `-` or a
    FIFO, to which `kind` is written (matroska, nut, webm, y4m; default matroska).
    `start` and `end` are seconds, `rate` numbered pictures a second (25; a video has its own),
    `height` scales to that many rows, `side_by_side` puts the original to the left. `deinterlace`
    is `auto`, `on` or `off`; `encoding` says how
    videos are encoded. `background`, a name or #rrggbb, is what transparent pictures are laid
    over where the output has no transparency. `audio=False` leaves sound and subtitles out, and all
    tags with them; `keep_location` keeps what tells where a video was taken. A 360-degree video is
    painted without a seam and keeps its tag. `style`, `style_scale`, `match_color` (to the first
    frame) and `sweep`, which goes from one style to another over the clip, `device` and `precision`
    are those of `Stylizer`; `mask` is a picture, or a video whose regions are even grey levels from
    black to white. `stroke_size` is how wide strokes are, `coherence` (0 to 1) how much of what was
    painted is kept from frame to frame, both with networks that see a canvas. `stylizer` uses a
    model that is open already, and all that concerns painting but a mask video and the coherence is
    then its own. An existing file is replaced only with `overwrite`, and only once the new one is
    whole; after Ctrl-C the report is `stopped` and what was done is kept as partial.
    Raises `RtstyleError`s.
    """
    media, output = as_media(read_name(source) if isinstance(source, str) else source), Path(output)
    kind = check_format(kind, output)
    if kind is None:
        check_output(media.path, output, overwrite)
        keep_what_is_read(output, style, mask, sweep)
    with ExitStack() as stack:
        ground = read_colour(background)
        frames = open_video(media, start, end, rate, deinterlace=deinterlace, keep_alpha=True)
        # Once the pipeline runs it closes the source, or leaves it to a thread that hangs in it.
        mine = stack.enter_context(ExitStack())
        mine.callback(frames.close)
        frames.open()
        encoding = of_source(encoding or Encoding(), frames)
        frames.deep = frames.depth > 8 and encoding.wants_depth and kind != "yuv4mpegpipe"
        keep = frames.has_alpha and not side_by_side and kind is None
        keep = keep and keeps_alpha(output, encoding)
        copier = None
        if audio and isinstance(frames, VideoFileSource):
            copier = make_copier(media, output, start, end, kind, keep_location)
        spherical, lost = kept_sphere(frames.spherical, output, side_by_side, kind)
        sink = open_output(
            output, frames, encoding=encoding, copier=copier, alpha=keep, spherical=spherical,
            kind=kind,
        )  # fmt: skip
        stack.callback(sink.abort)
        sink.open()
        if stylizer is None:
            still = None if mask is None or is_video(Path(mask)) else mask
            opened = open_stylizer(
                style, size, device, strength, keep_color, height,
                style_scale=style_scale, mask=still, sweep=sweep, regional=mask is not None,
                match_color=match_color, precision=precision, stroke_size=stroke_size,
                in_order=coherence > 0,
            )  # fmt: skip
            stylizer = stack.enter_context(opened)
        sphere = frames.spherical
        stylizer.wrap = sphere is not None and sphere.wraps
        moving = None
        if mask is not None and is_video(Path(mask)):
            moving = stack.enter_context(MovingMask(Path(mask), start, frames.rate))
        painter: VideoPainter | CoherentVideoPainter = VideoPainter(
            stylizer, frames.frames, moving, side_by_side, sweep is not None,
            background=None if keep else ground,
        )  # fmt: skip
        coherent = stylizer.coherent(coherence) if coherence else None
        if coherent is not None and stylizer.strength:
            assert isinstance(painter, VideoPainter)
            painter = CoherentVideoPainter(painter, coherent)
        if sweep is not None and not frames.frames:
            raise UsageError(
                f"{media.name} does not tell its length.", "A sweep needs it.", "Convert it first."
            )
        workers = 1 if isinstance(painter, CoherentVideoPainter) else stylizer.streams
        pipeline = Pipeline(frames, painter, [sink], workers=workers, progress=progress)
        mine.pop_all()
        report = pipeline.run()
    done = summarize(report, sink, painter, copier)
    done.notes += lost
    if frames.has_alpha and not keep:
        done.notes.append(f"transparency laid over {background}: this output does not keep it")
    return done


def of_source(encoding: Encoding, frames: Source) -> Encoding:
    """Return `encoding` with what it must know of a source that is open."""
    pixels = frames.width * frames.height
    return replace(encoding, depth=frames.depth, source_rate=frames.bit_rate, source_pixels=pixels)


def read_colour(text: str) -> Colour:
    """Return R, G and B of a colour's name or #rrggbb. Raises `UsageError`."""
    if text == "black":
        return BLACK
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise UsageError(
            f"--background {text} is no colour.", "", "Use a name like black, or #rrggbb."
        ) from None
    return red, green, blue


def open_stylizer(
    style: str | Sequence[str],
    size: str,
    device: str,
    strength: float,
    keep_color: bool,
    height: int | None,
    *,
    in_order: bool = False,
    **options: Any,
) -> Stylizer:
    """Open the model with one stream a core: two runs of one thread beat one run of two.

    With `in_order`, a network that sees what it has painted gets one stream of all cores.
    """
    from rtstyle.painting.stylizer import Stylizer

    def opened(streams: int) -> Stylizer:
        return Stylizer(
            style,
            size,
            device=device,
            strength=strength,
            keep_color=keep_color,
            height=height,
            streams=streams,
            **options,
        )

    stylizer = opened(min(MOST_STREAMS, cores()))
    if in_order and stylizer.sees_canvas and stylizer.streams > 1:
        stylizer.close()
        stylizer = opened(1)
    return stylizer


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def kept_sphere(
    spherical: Spherical | None, output: Path, side_by_side: bool, kind: str | None = None
) -> tuple[Spherical | None, list[str]]:
    """Return the 360-degree tag that an output can have, and what is said if that is none."""
    from rtstyle.media.spherical import EQUIRECTANGULAR
    from rtstyle.sinks.video_file import CONTAINERS

    if spherical is None:
        return None, []
    if side_by_side:
        return None, ["the 360-degree tag is left out: beside the original it is no sphere"]
    if kind is None and (output.suffix.lower() not in CONTAINERS or output.is_dir()):
        return None, ["the 360-degree tag is left out: only videos have it"]
    if kind not in (None, "matroska", "webm"):
        return None, ["the 360-degree tag is left out: this format cannot hold it"]
    if spherical.projection != EQUIRECTANGULAR:
        return None, [f"the 360-degree tag is left out: its projection is {spherical.name}"]
    return spherical, []


def make_copier(
    media: Media,
    output: Path,
    start: float | None,
    end: float | None,
    kind: str | None = None,
    keep_location: bool = False,
) -> StreamCopier | None:
    """Return what carries sound and subtitles over, or None where there is no place for them."""
    from rtstyle.sinks.tracks.stream_copy import StreamCopier
    from rtstyle.sinks.video_file import CONTAINERS

    holds = output.suffix.lower() in CONTAINERS if kind is None else kind != "yuv4mpegpipe"
    if not holds or (media.path is not None and not (media.path.is_file() or media.pipe)):
        return None
    return StreamCopier(media, start=start, end=end, keep_location=keep_location)


def summarize(
    report: Report,
    sink: Sink,
    painter: VideoPainter | CoherentVideoPainter,
    copier: StreamCopier | None,
) -> VideoReport:
    """Put together what the user wants to know."""
    path: Path = getattr(sink, "path", Path())
    notes = [f"{count} {what}" for what, count in sorted(report.counts.items())]
    if copier is not None:
        notes += copier.notes
        notes += [f"{copier.damaged} damaged packets of sound"] if copier.damaged else []
    encoder = getattr(sink, "encoder", None)
    if encoder is not None and encoder.even and (painter.width % 2 or painter.height % 2):
        even = f"{painter.width + painter.width % 2}x{painter.height + painter.height % 2}"
        notes.append(f"padded to {even}: {encoder.name} needs even sizes")
    if getattr(sink, "kind", "") == "yuv4mpegpipe":
        notes.append("Y4M holds pictures only, all equally long")
    if getattr(sink, "skipped", 0):
        notes.append(
            f"{getattr(sink, 'skipped', 0)} frames left out: GIF shows at most 50 a second"
        )
    return VideoReport(
        path=path,
        frames=report.frames_out,
        fps=report.steady_fps,
        seconds=report.seconds,
        bytes=path.stat().st_size if path.is_file() else sink.written,
        width=painter.width,
        height=painter.height,
        stopped=report.stopped,
        notes=notes,
        pipeline=report,
    )
