"""`rtstyle video`: paint video files."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from rtstyle.commands.options import (
    MASK_HELP,
    MATCH_HELP,
    Cluster,
    Coherence,
    Overwrite,
    Precision,
    Size,
    StyleOptions,
    StyleWalk,
    grouped,
    read_coherence,
)
from rtstyle.commands.progress import LEAST_FPS, MOST_FPS, parse_rate, parse_time
from rtstyle.errors import UsageError
from rtstyle.files.names import STDIN, read_name
from rtstyle.sinks.encoding.codecs import AUTO
from rtstyle.sinks.encoding.settings import DEFAULT_QUALITY, Encoding, parse_bitrate
from rtstyle.styles.manifest import DEFAULT_SIZE
from rtstyle.styles.recipe import Recipe


@dataclass(frozen=True)
class ClipStyle(StyleOptions):
    """What is asked of the painting of a clip."""

    size: Size = DEFAULT_SIZE
    style_sweep: Annotated[
        str | None,
        typer.Option(help="From one style to another over the clip: a.jpg..b.jpg."),
    ] = None
    style_walk: StyleWalk = None
    mask: Annotated[
        Path | None,
        typer.Option(help=MASK_HELP + " Or a video of grey levels, black to white."),
    ] = None
    match_color: Annotated[
        bool, typer.Option("--match-color", help=MATCH_HELP + " (of the first frame)")
    ] = False
    coherence: Coherence = "on"
    strength: Annotated[float, typer.Option(help="0 (the video) to 1 (the painting).")] = (
        Recipe.strength
    )
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Keep the colours of the video.")
    ] = False

    def whole(self) -> Recipe:
        """Return the recipe. Raises `UsageError`."""
        if self.style and self.style_sweep:
            todo = "Give one of them."
            raise UsageError("--style and --style-sweep exclude each other.", "", todo)
        return self.recipe(
            self.size, sweep=self.style_sweep, walk=self.style_walk,
            coherence=read_coherence(self.coherence),
        )  # fmt: skip


@dataclass(frozen=True)
class EncodingOptions:
    """How the output is encoded."""

    codec: Annotated[
        str, typer.Option(help="h264, hevc, av1, vp9 or prores; auto: what the file's kind has.")
    ] = AUTO
    quality: Annotated[
        float | None,
        typer.Option(
            help="0 to 100, the same look with every codec.", show_default=f"{DEFAULT_QUALITY:g}"
        ),
    ] = None
    crf: Annotated[
        float | None, typer.Option(help="Quality as the encoder's own number.", show_default=False)
    ] = None
    bitrate: Annotated[
        str | None, typer.Option(help="Bits a second, like 8M or 800k.", show_default=False)
    ] = None
    preset: Annotated[
        str | None,
        typer.Option(help="The encoder's own word for time against size.", show_default=False),
    ] = None
    pixel_format: Annotated[
        str, typer.Option(help="auto (10 bits for 10-bit sources as hevc, av1), 8bit, 10bit, ...")
    ] = AUTO
    hdr: Annotated[
        bool, typer.Option("--hdr", help="Write HDR (HLG, BT.2020); needs --codec hevc or av1.")
    ] = False
    encoder: Annotated[
        str, typer.Option(help="auto (hardware if it works), or FFmpeg's name of one.")
    ] = AUTO

    def encoding(self) -> Encoding:
        """Return what is asked of the encoder. Raises `UsageError`."""
        return Encoding(
            self.codec, self.encoder, self.quality, self.crf, read_bitrate(self.bitrate),
            self.preset, self.pixel_format, hlg=self.hdr,
        )  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("video", help="Paint a video, several, or a folder of them, with their sound.")(
        grouped(video)
    )


def video(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help="Videos, folders, pictures (in_%05d.png), addresses (https://...) or - (standard "
            "input), then the output: .mp4 .mov .mkv .webm .gif, pictures (out_%05d.png), a folder "
            "for several videos, or - (standard output).",
            show_default=False,
        ),
    ],
    keyframes: Annotated[
        Path | None,
        typer.Option(
            help="Folder of rtstyle keyframes, painted over by hand or not: begin shots from them.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="From here, like 12.5 or 1:02:03.5.", show_default=False)
    ] = None,
    end: Annotated[str | None, typer.Option(help="Up to here.", show_default=False)] = None,
    fps: Annotated[
        str | None,
        typer.Option(help="Of numbered pictures, like 24 or 30000/1001.", show_default="25"),
    ] = None,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Show the original to the left.")
    ] = False,
    deinterlace: Annotated[
        str, typer.Option(help="auto (frames that say they are interlaced), on or off.")
    ] = "auto",
    decoder: Annotated[
        str, typer.Option(help="cpu, or nvdec: an NVIDIA card, and the CPU, with a word, if not.")
    ] = "cpu",
    background: Annotated[
        str, typer.Option(help="Under what is transparent, where the output cannot keep it.")
    ] = "black",
    precision: Precision = "auto",
    cluster: Cluster = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Of an output that is a pipe: matroska, nut, webm or y4m.",
            show_default="matroska",
        ),
    ] = None,
    no_audio: Annotated[
        bool, typer.Option("--no-audio", help="Leave sound and subtitles out.")
    ] = False,
    keep_location: Annotated[
        bool, typer.Option("--keep-location", help="Keep the place where it was taken.")
    ] = False,
    overwrite: Overwrite = False,
    skip_existing: Annotated[
        bool | None,
        typer.Option(
            "--skip-existing/--no-skip-existing",
            help="Leave out what is painted already.",
            show_default="on for several videos",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where Ctrl-C or a crash ended the same command.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Paint each video that comes into the folder IN.")
    ] = False,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Only estimate how long it takes and how large it gets."),
    ] = False,
    *,
    asked: ClipStyle,
    encoded: EncodingOptions,
) -> None:
    """Paint a video, several, or a folder of them, with their sound."""
    if len(paths) < 2:
        raise UsageError("An input and an output are needed.", "", "rtstyle video IN... OUT")
    options: dict[str, Any] = {
        "start": read_time("--start", start),
        "end": read_time("--end", end),
        "rate": read_rate(fps),
        "side_by_side": side_by_side,
        "deinterlace": deinterlace,
        "decoder": decoder,
        "background": background,
        "encoding": encoded.encoding(),
        "audio": not no_audio,
        "keep_location": keep_location,
        "kind": format_,
        "keyframes": keyframes,
        "overwrite": overwrite,
        "resume": resume,
        "device": asked.device,
        "precision": precision,
    }
    recipe = asked.whole()
    if cluster is not None:
        if watch or estimate or keyframes or decoder != "cpu":
            raise UsageError(
                "--cluster does not go with --watch, --estimate, --keyframes and --decoder."
            )
        from rtstyle.commands.common.cluster_runs import run_videos

        raise typer.Exit(run_videos(cluster, paths, options, recipe, skip_existing))
    from rtstyle.commands.common import video_runs

    inputs, output = [read_name(text) for text in paths[:-1]], read_output(paths[-1])
    if watch:
        raise typer.Exit(video_runs.watch_folder(inputs, output, options, recipe))
    if estimate:
        video_runs.tell_estimates(inputs, output, options, recipe)
    else:
        code = video_runs.run_videos(inputs, output, options, recipe, skip_existing)
        raise typer.Exit(code)


def read_time(option: str, text: str | None) -> float | None:
    """Return the seconds of an option's value. Raises `UsageError`."""
    if text is None:
        return None

    try:
        return parse_time(text)
    except ValueError:
        raise UsageError(
            f"{option} {text} is not a time.", "", "Write seconds (12.5) or 1:02:03.5."
        ) from None


def read_rate(text: str | None) -> Fraction | None:
    """Return the value of `--fps`. Raises `UsageError`."""
    if text is None:
        return None

    try:
        return parse_rate(text)
    except ValueError:
        raise UsageError(
            f"--fps {text} is not a rate.",
            "",
            f"Write 24, 23.976 or 30000/1001, from {float(LEAST_FPS):g} to {MOST_FPS:g}.",
        ) from None


def read_bitrate(text: str | None) -> int | None:
    """Return the value of `--bitrate`. Raises `UsageError`."""
    if text is None:
        return None
    try:
        return parse_bitrate(text)
    except ValueError:
        raise UsageError(
            f"--bitrate {text} is not a bit rate.", "", "Write 8M, 800k or 8000000."
        ) from None


def read_output(text: str) -> Path:
    """Return the path of the output. Raises `UsageError` for an address."""
    path = read_name(text)
    if isinstance(path, str) and path != STDIN:
        raise UsageError(
            f"{text} cannot be written to.",
            "Outputs are files, folders or pipes.",
            "Write: rtstyle video in.mp4 - | ffmpeg -i - -c copy -f flv rtmp://...",
        )
    return Path(path)
