"""`rtstyle video`: paint video files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtstyle.commands.options import (
    MASK_HELP,
    MATCH_HELP,
    PRECISION_HELP,
    REGIONS_HELP,
    SCALE_HELP,
    SEED_HELP,
    SIZE_HELP,
    STYLE_HELP,
    VARY_HELP,
    WALK_HELP,
    sampled,
)
from rtstyle.commands.photo_notes import tell_left_out
from rtstyle.errors import RtstyleError, UsageError
from rtstyle.files.names import STDIN, read_name, shown_name
from rtstyle.jobs.outputs import list_videos, output_names

if TYPE_CHECKING:
    from fractions import Fraction

    from rtstyle.jobs.video import VideoReport
    from rtstyle.styles.recipe import Recipe


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("video", help="Paint a video, several, or a folder of them, with their sound.")(
        video
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
    style: Annotated[
        list[str] | None, typer.Option(help=STYLE_HELP + REGIONS_HELP, show_default="mosaic")
    ] = None,
    size: Annotated[str, typer.Option(help=SIZE_HELP)] = "balanced",
    style_scale: Annotated[float, typer.Option(help=SCALE_HELP)] = 1.0,
    style_sweep: Annotated[
        str | None,
        typer.Option(help="From one style to another over the clip: a.jpg..b.jpg."),
    ] = None,
    style_walk: Annotated[float | None, typer.Option(help=WALK_HELP, show_default=False)] = None,
    vary: Annotated[float, typer.Option(help=VARY_HELP)] = 0.0,
    seed: Annotated[int | None, typer.Option(help=SEED_HELP, show_default=False)] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help=MASK_HELP + " Or a video of grey levels, black to white."),
    ] = None,
    match_color: Annotated[
        bool, typer.Option("--match-color", help=MATCH_HELP + " (of the first frame)")
    ] = False,
    stroke_size: Annotated[
        float,
        typer.Option(help="How wide strokes are, 0.25 to 4 (networks that see a canvas)."),
    ] = 1.0,
    coherence: Annotated[
        str,
        typer.Option(help="Keep what is painted from frame to frame: on, off, or 0 to 1."),
    ] = "on",
    strength: Annotated[float, typer.Option(help="0 (the video) to 1 (the painting).")] = 1.0,
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Keep the colours of the video.")
    ] = False,
    height: Annotated[
        int | None, typer.Option(help="Scale to this many rows.", show_default=False)
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
    background: Annotated[
        str, typer.Option(help="Under what is transparent, where the output cannot keep it.")
    ] = "black",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, coreml, ...")] = "auto",
    precision: Annotated[str, typer.Option(help=PRECISION_HELP)] = "auto",
    encoder: Annotated[
        str, typer.Option(help="auto (hardware if it works), or FFmpeg's name of one.")
    ] = "auto",
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing outputs.")
    ] = False,
) -> None:
    """Paint a video, several, or a folder of them, with their sound."""
    if len(paths) < 2:
        raise UsageError("An input and an output are needed.", "", "rtstyle video IN... OUT")
    from rtstyle.jobs.outputs import input_files
    from rtstyle.sinks.encoding.settings import Encoding
    from rtstyle.styles.manifest import DEFAULT_STYLE
    from rtstyle.styles.recipe import Recipe

    inputs, output = [read_name(text) for text in paths[:-1]], read_output(paths[-1])
    options: dict[str, Any] = {
        "start": read_time("--start", start),
        "end": read_time("--end", end),
        "rate": read_rate(fps),
        "side_by_side": side_by_side,
        "deinterlace": deinterlace,
        "background": background,
        "encoding": Encoding(encoder=encoder),
        "audio": not no_audio,
        "keep_location": keep_location,
        "kind": format_,
        "overwrite": overwrite,
        "device": device,
        "precision": precision,
    }
    recipe = Recipe(
        sampled(style or [DEFAULT_STYLE], vary, seed), size, strength, keep_color, height,
        style_scale, mask,
        style_sweep, match_color, stroke_size, read_coherence(coherence),
        walk=style_walk, seed=seed or 0,
    )  # fmt: skip
    if style and style_sweep:
        raise UsageError("--style and --style-sweep exclude each other.", "", "Give one of them.")
    pairs = plan(inputs, output)
    # Addresses and pipes are not folders.
    read = [source for source, _ in pairs if isinstance(source, Path)]
    folders = [path for path in inputs if isinstance(path, Path)]
    tell_left_out(folders, [file for source in read for file in input_files(source)])
    if len(pairs) == 1:
        if run_one(*pairs[0], {**options, "style": recipe}).stopped:
            raise typer.Exit(130)
        return
    run_many(pairs, options, recipe)


def read_coherence(text: str) -> float:
    """Return the value of `--coherence`, 0 to 1. Raises `UsageError`."""
    try:
        value = {"on": 1.0, "off": 0.0}.get(text) if text in ("on", "off") else float(text)
    except ValueError:
        value = None
    if value is None or not 0 <= value <= 1:
        raise UsageError(f"--coherence {text} is out of range.", "", "Use on, off, or 0 to 1.")
    return value


def read_time(option: str, text: str | None) -> float | None:
    """Return the seconds of an option's value. Raises `UsageError`."""
    if text is None:
        return None
    from rtstyle.commands.progress import parse_time

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
    from rtstyle.commands.progress import LEAST_FPS, MOST_FPS, parse_rate

    try:
        return parse_rate(text)
    except ValueError:
        raise UsageError(
            f"--fps {text} is not a rate.",
            "",
            f"Write 24, 23.976 or 30000/1001, from {float(LEAST_FPS):g} to {MOST_FPS:g}.",
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


def plan(inputs: Sequence[Path | str], output: Path) -> list[tuple[Path | str, Path]]:
    """Return the pairs (video, output) of a run. Raises `SourceError` for a folder without any.

    One video or one folder of pictures goes to `output` itself, several go into the folder; and
    so does one video where the folder is there already.
    """
    several = len(inputs) > 1
    videos: list[Path | str] = []
    for path in inputs:
        folder = isinstance(path, Path) and path.is_dir()
        found: list[Path | str] = [*list_videos(Path(path))] if folder else [path]
        several = several or found != [path]
        videos += found
    first = videos[0]
    no_folder = isinstance(first, Path) and not first.is_file()
    if not several and (not output.is_dir() or no_folder):
        return [(first, output)]
    targets = [output / name for name in output_names([named(video) for video in videos])]
    make_folder(output)
    return list(zip(videos, targets, strict=True))


def named(video: Path | str) -> Path:
    """Return a path with the name and the suffix that a painted video gets in a folder."""
    if isinstance(video, Path):
        return video
    return Path("stdin.mkv" if video == STDIN else re.sub(r'[\\/:*?"<>|]', "_", shown_name(video)))


def make_folder(folder: Path) -> None:
    """Make the output folder of several videos. Raises `UsageError` if that cannot be."""
    from rtstyle.sinks.video_file import CONTAINERS

    if folder.suffix.lower() in (*CONTAINERS, ".gif") and not folder.is_dir():
        raise UsageError(f"{folder} names one file.", "Several videos need a folder.", "Name one.")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder {folder} cannot be made.", error.strerror or "", "Choose another."
        ) from error


def run_one(source: Path | str, target: Path, options: dict[str, Any]) -> VideoReport:
    """Paint one video with a progress bar, and print what became of it."""
    from rtstyle.commands.progress import Bar
    from rtstyle.files.sizes import human_size
    from rtstyle.jobs.video import stylize_video
    from rtstyle.sinks.pipe import is_pipe_output

    # Standard output may carry the video.
    piped = is_pipe_output(target)
    with Bar(shown_name(source)) as bar:
        report = stylize_video(source, target, progress=bar, **options)
    if report.stopped and not report.frames:
        typer.echo("stopped before the first frame; nothing was written", err=True)
        return report
    shown = "standard output" if target == Path(STDIN) else report.path
    typer.echo(
        f"{shown}: {report.frames} frames, {report.fps:.1f} FPS, "
        f"{report.width}x{report.height}, {human_size(report.bytes)}"
        + (" (stopped, partial)" if report.stopped else ""),
        err=piped,
    )
    for note in report.notes:
        typer.echo(f"  note: {note}", err=True)
    return report


def run_many(pairs: list[tuple[Path | str, Path]], options: dict[str, Any], recipe: Recipe) -> None:
    """Paint several videos, with one model where it serves several; a bad one stops no other."""
    from rtstyle.jobs.video import open_stylizer

    failed = 0
    with ExitStack() as stack:
        shared: dict[str, Any] = {"style": recipe}
        if not recipe.depends_on_clip:
            opened = open_stylizer(recipe, device=options["device"], precision=options["precision"])
            shared = {"stylizer": stack.enter_context(opened)}
        for source, target in pairs:
            try:
                report = run_one(source, target, {**options, **shared})
            except (RtstyleError, OSError) as error:
                failed += 1
                typer.echo(f"failed: {error}", err=True)
                continue
            if report.stopped:
                raise typer.Exit(130)
    if failed:
        done = len(pairs) - failed
        typer.echo(f"{failed} of {len(pairs)} videos failed, {done} are done.", err=True)
        raise typer.Exit(2)
