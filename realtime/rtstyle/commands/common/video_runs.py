"""Videos painted one after another: which goes where, what is told, what is left out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import av.error
import typer

from rtstyle.commands.common.photo_notes import tell_left_out
from rtstyle.commands.progress import Bar
from rtstyle.errors import RtstyleError, UsageError, printable
from rtstyle.files.names import STDIN, VIDEO_SUFFIXES, shown_name
from rtstyle.files.pending import check_folder, make_folder
from rtstyle.files.sizes import human_size
from rtstyle.files.temporary import temporary_folder
from rtstyle.jobs.outputs import input_files, list_videos, output_names
from rtstyle.jobs.video import VideoReport, open_stylizer, stylize_video
from rtstyle.media.container import as_media
from rtstyle.report import in_frames
from rtstyle.sinks.encoding.codecs import CONTAINERS
from rtstyle.sinks.encoding.settings import for_one_of_several
from rtstyle.sinks.pipe import is_pipe_output
from rtstyle.sources import open_video
from rtstyle.styles.recipe import Recipe

Pair = tuple[Path | str, Path]
WATCH_EVERY = 2.0
"""Seconds between two looks at a watched folder."""


def plan(inputs: Sequence[Path | str], output: Path) -> list[Pair]:
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
    folder_for_several(output)
    return list(zip(videos, targets, strict=True))


def named(video: Path | str) -> Path:
    """Return a path with the name and the suffix that a painted video gets in a folder."""
    if isinstance(video, Path):
        return video
    return Path("stdin.mkv" if video == STDIN else re.sub(r'[\\/:*?"<>|]', "_", shown_name(video)))


def folder_for_several(folder: Path) -> None:
    """Make the output folder of several videos. Raises `UsageError` or `SinkError`."""
    if folder.suffix.lower() in (*CONTAINERS, ".gif") and not folder.is_dir():
        raise UsageError(f"{folder} names one file.", "Several videos need a folder.", "Name one.")
    make_folder(folder)
    check_folder(folder)


def without_existing(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs whose output is not there yet, and tell how many are."""
    left, there = [], 0
    for source, target in pairs:
        same = isinstance(source, Path) and target.exists() and target.samefile(source)
        if target.is_file() and not same:
            there += 1
        else:
            left.append((source, target))
    if there:
        typer.echo(
            f"{there} of {there + len(left)} videos are painted already "
            "(--no-skip-existing or --overwrite to paint them again)",
            err=True,
        )
    return left


@dataclass
class Batch:
    """How far several videos are as a whole: `lengths` are their seconds, None where unknown."""

    lengths: list[float | None]
    began: float = field(default_factory=time.monotonic)
    at: int = 0

    def title(self, name: str) -> str:
        """Return the name of the present video with its number."""
        return f"{name} ({self.at + 1} of {len(self.lengths)})"

    def left(self, part: float = 0.0) -> str:
        """Say how long all that is left takes, once that is known; `part` is of the present one."""
        known = [length for length in self.lengths if length is not None]
        usual = sum(known) / len(known) if known else 1.0
        every = [usual if length is None else length for length in self.lengths]
        done = sum(every[: self.at]) + part * every[self.at]
        if done <= 0:
            return ""
        seconds = (time.monotonic() - self.began) * (sum(every) - done) / done
        return f"{timedelta(seconds=round(seconds))} left in all"


def length_of(source: Path | str) -> float | None:
    """Return the seconds of a video file by its header, None for others."""
    if not isinstance(source, Path) or not source.is_file():
        return None
    try:
        with as_media(source).open() as container:
            return float(container.duration) / 1e6 if container.duration else None
    except (RtstyleError, av.error.FFmpegError, OSError, ValueError):
        return None


def run_one(
    source: Path | str, target: Path, options: dict[str, Any], batch: Batch | None = None
) -> VideoReport:
    """Paint one video with a progress bar, and print what became of it."""
    # Standard output may carry the video.
    piped = is_pipe_output(target)
    name = shown_name(source)
    with Bar(
        name if batch is None else batch.title(name), None if batch is None else batch.left
    ) as bar:
        report = stylize_video(source, target, progress=bar, **options)
    if report.stopped and not report.frames:
        typer.echo("stopped before the first frame; nothing was written", err=True)
        return report
    shown = "standard output" if target == Path(STDIN) else printable(report.path)
    typer.echo(
        f"{shown}: {in_frames(report.frames)}, {report.fps:.1f} FPS, "
        f"{report.width}x{report.height}, {human_size(report.bytes)}{size_before(source)}"
        + (" (stopped, partial)" if report.stopped else ""),
        err=piped,
    )
    for note in report.notes:
        typer.echo(f"  note: {printable(note)}", err=True)
    if report.stopped and report.resumable:
        typer.echo("  the same command with --resume goes on from there", err=True)
    return report


def size_before(source: Path | str) -> str:
    """Say how large a video file is, in brackets; '' for what is not a file."""
    if isinstance(source, Path) and source.is_file():
        return f" (source {human_size(source.stat().st_size)})"
    return ""


def run_videos(
    inputs: Sequence[Path | str],
    output: Path,
    options: dict[str, Any],
    recipe: Recipe,
    skip_existing: bool | None,
) -> int:
    """Paint videos, and return the exit code. Raises what one video raises that is the only one.

    `skip_existing` leaves out what is painted already; None does so where there are several.
    """
    pairs = told_plan(inputs, output)
    several = len(pairs) > 1
    if skip_existing or (skip_existing is None and several and not options["overwrite"]):
        pairs = without_existing(pairs)
    if several:
        return run_many(pairs, options, recipe)
    stopped = pairs and run_one(*pairs[0], {**options, "style": recipe}).stopped
    return 130 if stopped else 0


def told_plan(inputs: Sequence[Path | str], output: Path) -> list[Pair]:
    """Return the pairs of `plan`, and print which files of the folders are not taken."""
    pairs = plan(inputs, output)
    # Addresses and pipes are not folders.
    read = [source for source, _ in pairs if isinstance(source, Path)]
    folders = [path for path in inputs if isinstance(path, Path)]
    tell_left_out(folders, [file for source in read for file in input_files(source)])
    return pairs


def run_many(pairs: list[Pair], options: dict[str, Any], recipe: Recipe) -> int:
    """Paint several videos, and return the exit code; one that fails stops no other.

    One model serves them all where it can.
    """
    failed = 0
    batch = Batch([length_of(source) for source, _ in pairs])
    with ExitStack() as stack:
        shared = shared_model(stack, options, recipe) if pairs else {}
        for number, (source, target) in enumerate(pairs):
            batch.at = number
            try:
                own = {"encoding": for_one_of_several(options["encoding"], target)}
                report = run_one(source, target, {**options, **shared, **own}, batch)
            except (RtstyleError, OSError) as error:
                failed += 1
                typer.echo(f"failed: {error}", err=True)
                continue
            if report.stopped:
                return 130
    if failed:
        done = len(pairs) - failed
        typer.echo(f"{failed} of {len(pairs)} videos failed, {done} are done.", err=True)
    return 2 if failed else 0


def shared_model(stack: ExitStack, options: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Open the model that serves all videos, where one does, and return it as an option."""
    if recipe.depends_on_clip:
        return {"style": recipe}

    with Bar("opening the model"):
        opened = open_stylizer(recipe, device=options["device"], precision=options["precision"])
    return {"stylizer": stack.enter_context(opened)}


def watch_folder(
    inputs: Sequence[Path | str],
    output: Path,
    options: dict[str, Any],
    recipe: Recipe,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Paint each video that comes into a folder, until Ctrl-C; return the exit code.

    A file is taken once its size has not changed between two looks. One that failed is tried again
    when it changes.
    """
    folder = inputs[0] if len(inputs) == 1 else None
    if not isinstance(folder, Path) or not folder.is_dir():
        raise UsageError(
            "--watch takes one folder, and the folder for what is painted.",
            "",
            "Write: rtstyle video --watch in/ out/",
        )
    if output.exists() and output.samefile(folder):
        raise UsageError(
            f"{output} is the folder that is watched.", "", "Choose another output folder."
        )
    folder_for_several(output)
    typer.echo(f"watching {folder}; Ctrl-C ends it", err=True)
    seen: dict[Path, tuple[int, int]] = {}
    failed: dict[Path, tuple[int, int]] = {}
    with ExitStack() as stack:
        shared = shared_model(stack, options, recipe)
        while True:
            stamps = video_stamps(folder)
            names = output_names(list(stamps))
            for (source, stamp), name in zip(stamps.items(), names, strict=True):
                target = output / name
                settled = seen.get(source) == stamp and failed.get(source) != stamp
                if not settled or target.exists():
                    continue
                try:
                    own = {"encoding": for_one_of_several(options["encoding"], target)}
                    if run_one(source, target, {**options, **shared, **own}).stopped:
                        return 130
                except (RtstyleError, OSError) as error:
                    failed[source] = stamp
                    typer.echo(f"failed: {error}", err=True)
            seen = stamps
            try:
                sleep(WATCH_EVERY)
            except KeyboardInterrupt:
                return 130


def video_stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return the videos in a folder with size and time, which change while they are written."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        status = path.stat()
        if path.is_file() and status.st_size:
            found[path] = (status.st_size, status.st_mtime_ns)
    return found


def tell_estimates(
    inputs: Sequence[Path | str], output: Path, options: dict[str, Any], recipe: Recipe
) -> None:
    """Paint some moments of each video, and print how long it takes and how large it gets."""
    pairs = told_plan(inputs, output)
    with ExitStack() as stack:
        shared = shared_model(stack, options, recipe)
        folder = Path(stack.enter_context(temporary_folder()))
        for source, target in pairs:
            frames, seconds, size = estimate(source, folder / target.name, {**options, **shared})
            typer.echo(
                f"{shown_name(source)}: {in_frames(frames)}, about "
                f"{timedelta(seconds=round(seconds))} and {human_size(size)}{size_before(source)}"
            )


def estimate(source: Path | str, trial: Path, options: dict[str, Any]) -> tuple[int, float, int]:
    """Return the frames of a video, and the seconds and bytes that painting it takes, about.

    A second at its beginning, middle and end is painted into `trial`. Raises `UsageError` for a
    video that does not say how long it is.
    """
    begin, end, rate = options["start"], options["end"], options["rate"]
    with open_video(source, begin, end, rate) as opened:
        frames, fps = opened.frames, opened.rate
    if not frames or not fps:
        raise UsageError(f"{shown_name(source)} does not say how long it is.", "", "Convert it.")
    first, length = begin or 0.0, float(frames / fps)
    window = min(1.0, length)
    places = sorted({round(first + part * (length - window), 3) for part in (0.0, 0.5, 1.0)})
    painted = spent = size = 0.0
    for place in places:
        moment = {"start": place, "end": place + window, "overwrite": True, "resume": False}
        report = stylize_video(source, trial, **{**options, **moment, "audio": False})
        painted += report.frames
        spent += report.frames / report.fps if report.fps else report.seconds
        size += report.bytes
    sound = 0
    if options["audio"] and isinstance(source, Path) and source.is_file():
        with open_video(source, begin, end, rate) as opened:
            picture = (opened.bit_rate or 0) / 8 * (length_of(source) or 0.0)
        whole = max(0.0, source.stat().st_size - picture)
        sound = round(whole * length / (length_of(source) or length)) if picture else 0
    share = frames / painted
    return frames, spent * share, round(size * share) + sound
