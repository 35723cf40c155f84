"""The video job: a file in, the painted file out, with its sound."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtstyle.errors import UsageError
from rtstyle.files.names import as_path, read_name
from rtstyle.jobs.journal import first_picture, identity, resumed
from rtstyle.jobs.keyframe_canvas import KeyframeCanvas
from rtstyle.jobs.mask_video import MovingMask, as_video
from rtstyle.jobs.outputs import check_output, keep_what_is_read
from rtstyle.jobs.video_painter import CoherentVideoPainter, VideoPainter, video_pipeline
from rtstyle.media.container import Media, as_media
from rtstyle.media.limits import check_whole
from rtstyle.media.spherical import EQUIRECTANGULAR
from rtstyle.media.yuv import BLACK, Colour
from rtstyle.painting.stylizer import Stylizer
from rtstyle.report import Progress, Report
from rtstyle.sinks import open_output
from rtstyle.sinks.encoding.alpha import keeps_alpha
from rtstyle.sinks.encoding.codecs import CONTAINERS
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.pipe import check_format
from rtstyle.sinks.tracks.picture_track import segment_length
from rtstyle.sinks.tracks.segment_file import SegmentFile
from rtstyle.sinks.tracks.stream_copy import StreamCopier
from rtstyle.sinks.video_file import DEFAULT_RATE
from rtstyle.sources import open_video
from rtstyle.sources.video_file import VideoFileSource
from rtstyle.styles.manifest import DEFAULT_STYLE
from rtstyle.styles.recipe import Asked, Recipe, Settings, as_recipe

if TYPE_CHECKING:
    from fractions import Fraction

    from typing_extensions import Unpack

    from rtstyle.media.spherical import Spherical
    from rtstyle.painting.stylizer import Stylizer
    from rtstyle.sinks.base import FileSink
    from rtstyle.sinks.tracks.stream_copy import StreamCopier
    from rtstyle.sources.base import Source

MOST_STREAMS = 4


@dataclass
class VideoReport:
    """What became of one video.

    `path` is the output, or `NAME.partial.EXT` if the run was `stopped`. `fps` is the steady
    rate, `seconds` the whole time in the pipeline, `bytes` the size of the output, `width` and
    `height` that of its pictures. `notes` are meant for the user: what was re-encoded, left out,
    mended or skipped. `pipeline` has the details. `resumable` says whether a run that was stopped
    can be continued.
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
    resumable: bool = False


def stylize_video(
    source: str | Path,
    output: str | Path,
    style: Recipe | Asked = DEFAULT_STYLE,
    size: str | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    rate: Fraction | None = None,
    side_by_side: bool = False,
    deinterlace: str = "auto",
    decoder: str = "cpu",
    background: str = "black",
    device: str = "auto",
    precision: str = "auto",
    encoding: Encoding | None = None,
    audio: bool = True,
    keep_location: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    kind: str | None = None,
    keyframes: str | Path | None = None,
    stylizer: Stylizer | None = None,
    progress: Callable[[Progress], None] | None = None,
    **settings: Unpack[Settings],
) -> VideoReport:
    """Paint a video file, or numbered pictures, into `output`.

    `source` as a text may be an address (https://...), or `-` for standard input. `output` is a
    video (.mp4 .mov .mkv .webm), a .gif, pictures (`out_%05d.png` or a folder), or a pipe: `-` or a
    FIFO, to which `kind` is written (matroska, nut, webm, y4m; default matroska).
    `style` is a style or a whole `Recipe`; `size` and `settings` are fields of one. The `mask` may
    be a video, too, whose regions are even grey levels from black to white.
    `start` and `end` are seconds, `rate` numbered pictures a second (25; a video has its own),
    `side_by_side` puts the original to the left. `deinterlace` is `auto`, `on` or `off`, `decoder`
    `cpu` or `nvdec`, an NVIDIA card where it can; `encoding` says how videos are encoded.
    `background`, a name or #rrggbb, is what transparent pictures are laid over where the output
    has no transparency. `audio=False` leaves sound and subtitles out, and all tags with them;
    `keep_location` keeps what says where a video was taken. A 360-degree video is painted without a
    seam and keeps its tag. `device` and `precision` are those of `Stylizer`. `keyframes` is a
    folder of `rtstyle keyframes`: their frames are painted over these
    pictures, which may have been changed by hand. `stylizer` uses a model that is open already, and
    its recipe. An existing file is replaced only with `overwrite`, and only once the new one is
    whole; after Ctrl-C the report is `stopped` and what was done is kept as partial. `resume` goes
    on where an earlier run of the same options was interrupted, by Ctrl-C or by a crash, up to ten
    seconds of video before that; the file becomes the same as without the interruption.
    Raises `RtstyleError`s.
    """
    recipe = as_recipe(style, size, **settings) if stylizer is None else stylizer.recipe
    media, output = (
        as_media(read_name(source) if isinstance(source, str) else source),
        as_path(output),
    )
    kind = check_format(kind, output)
    canvas = None if keyframes is None else KeyframeCanvas(Path(keyframes))
    if kind is None:
        check_output(media.path, output, overwrite)
        keep_what_is_read(output, recipe)
    with ExitStack() as stack:
        ground = read_colour(background)
        frames = open_video(
            media, start, end, rate, deinterlace=deinterlace, keep_alpha=True, decoder=decoder
        )
        # Once the pipeline runs it closes the source, or leaves it to a thread that hangs in it.
        mine = stack.enter_context(ExitStack())
        mine.callback(frames.close)
        frames.open()
        check_whole(media.name, frames.width, frames.height, recipe.height)
        encoding = of_source(encoding or Encoding(), frames)
        frames.deep = frames.depth > 8 and encoding.wants_depth and kind != "yuv4mpegpipe"
        keep = frames.has_alpha and not side_by_side and kind is None
        keep = keep and keeps_alpha(output, encoding)
        copier = None
        if audio and isinstance(frames, VideoFileSource):
            copier = make_copier(media, output, start, end, kind, keep_location)
        segments = None
        if kind is None and output.suffix.lower() in CONTAINERS and not keep:
            asked = identity(
                media, recipe, encoding, start=start, end=end, rate=rate, device=device,
                side_by_side=side_by_side, deinterlace=deinterlace, background=background,
                precision=precision, keyframes=None if canvas is None else canvas.identity(),
            )  # fmt: skip
            segments = SegmentFile(output, asked)
            stack.callback(segments.close)
        if resume:
            frames.skip = resumed(segments, output)
        spherical, lost = kept_sphere(frames.spherical, output, side_by_side, kind)
        sink = open_output(
            output, frames, encoding=encoding, copier=copier, alpha=keep, spherical=spherical,
            kind=kind, segments=segments,
        )  # fmt: skip
        stack.callback(sink.abort)
        sink.open()
        mask_video = as_video(recipe.mask)
        if stylizer is None:
            opened = open_stylizer(
                recipe if mask_video is None else replace(recipe, mask=None, regional=True),
                device=device, precision=precision,
            )  # fmt: skip
            stylizer = stack.enter_context(opened)
        sphere = frames.spherical
        stylizer.wrap = sphere is not None and sphere.wraps
        moving = None
        if mask_video is not None:
            moving = stack.enter_context(MovingMask(mask_video, start, frames.rate))
        painter: VideoPainter | CoherentVideoPainter = VideoPainter(
            stylizer, frames.frames, moving, side_by_side,
            background=None if keep else ground,
        )  # fmt: skip
        if frames.skip and recipe.match_color:
            stylizer(first_picture(media, start, end, rate, deinterlace))
        coherent = stylizer.coherent()
        if coherent is not None and stylizer.strength:
            assert isinstance(painter, VideoPainter)
            painter = CoherentVideoPainter(
                painter, coherent, canvas.at if canvas else nothing,
                keep_every=segment_length(frames.rate or DEFAULT_RATE) if segments else 0,
            )  # fmt: skip
            if segments is not None:
                segments.state_after = painter.state_after
                if frames.skip:
                    painter.go_on(segments.state())
        over = coherent is not None and stylizer.strength and stylizer.network.sees_canvas
        if canvas is not None and not over:
            raise UsageError(
                "Keyframes are for networks that see what they have painted.",
                f"{stylizer.describe()} does not, or may not.",
                "Use a built-in style, and leave out --coherence off and --strength 0.",
            )
        if recipe.sweep is not None and not frames.frames:
            raise UsageError(
                f"{media.name} does not say how long it is.",
                "A sweep needs it.",
                "Convert it first.",
            )
        pipeline = video_pipeline(frames, painter, sink, stylizer.streams, progress)
        mine.pop_all()
        report = pipeline.run()
    done = summarize(report, sink, painter)
    done.notes += lost + media.notes
    if canvas is not None:
        done.notes.append(canvas.note())
    done.resumable = segments is not None and segments.frames > 0
    if frames.skip:
        done.frames += frames.skip
        done.notes.append(f"{frames.skip} frames were there from the run before")
    if frames.has_alpha and not keep:
        done.notes.append(f"transparency laid over {background}: this output does not keep it")
    return done


def nothing(_: float) -> None:
    """Return None: no painting of the frame at that time."""


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
            f"--background {text} is not a colour.", "", "Use a name like black, or #rrggbb."
        ) from None
    return red, green, blue


def open_stylizer(
    recipe: Recipe, *, device: str = "auto", precision: str = "auto", threads: int = 0
) -> Stylizer:
    """Open the model with one stream a core: two runs of one thread beat one run of two.

    A network that paints over what it has painted gets one stream of all cores. With
    `threads` it takes no more than so many.
    """

    streams = min(MOST_STREAMS, threads or cores())
    asked: dict[str, Any] = {"device": device, "precision": precision, "threads": threads}
    stylizer = Stylizer(recipe, streams=streams, **asked)
    if stylizer.coherent() is not None and stylizer.streams > 1:
        stylizer.close()
        stylizer = Stylizer(recipe, **asked)
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

    if spherical is None:
        return None, []
    if side_by_side:
        return None, [
            "the 360-degree tag is left out: beside the original the picture is not a sphere"
        ]
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

    holds = output.suffix.lower() in CONTAINERS if kind is None else kind != "yuv4mpegpipe"
    if not holds or (media.path is not None and not (media.path.is_file() or media.pipe)):
        return None
    return StreamCopier(media, start=start, end=end, keep_location=keep_location)


def summarize(
    report: Report, sink: FileSink, painter: VideoPainter | CoherentVideoPainter
) -> VideoReport:
    """Put together what the user wants to know."""
    path = sink.path
    notes = [f"{count} {what}" for what, count in sorted(report.counts.items())]
    return VideoReport(
        path=path,
        frames=report.frames_out,
        fps=report.steady_fps,
        seconds=report.seconds,
        bytes=path.stat().st_size if path.is_file() else sink.written,
        width=painter.width,
        height=painter.height,
        stopped=report.stopped,
        notes=notes + sink.notes(),
        pipeline=report,
    )
