"""`--cluster`: what goes where, what is left out, and what is told of a run on several machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from rtstyle.cluster.clip import Done
from rtstyle.cluster.machines.connection import connected
from rtstyle.cluster.plans import StoppedError
from rtstyle.cluster.run import paint_photos, paint_videos
from rtstyle.cluster.stores import (
    Name,
    as_folder,
    exists,
    is_store,
    list_files,
    shown,
    within,
)
from rtstyle.cluster.tasks import Failure
from rtstyle.commands.common.photo_notes import tell_photo
from rtstyle.commands.common.video_runs import named
from rtstyle.commands.progress import Bar
from rtstyle.errors import RtstyleError, UsageError
from rtstyle.files.names import STDIN, VIDEO_SUFFIXES, read_name, shown_name
from rtstyle.files.pending import make_folder
from rtstyle.files.sizes import human_size
from rtstyle.jobs import image
from rtstyle.jobs.outputs import (
    check_output,
    keep_what_is_read,
    list_videos,
    output_names,
)
from rtstyle.media.picture import INPUT_SUFFIXES, OUTPUT_FORMATS
from rtstyle.report import in_frames
from rtstyle.sinks.encoding.codecs import CONTAINERS
from rtstyle.styles.recipe import Recipe

Pair = tuple[Name, Name]


def run_videos(
    address: str,
    paths: Sequence[str],
    options: dict[str, Any],
    recipe: Recipe,
    skip_existing: bool | None,
) -> int:
    """Paint videos on a cluster, and return the exit code. Raises `UsageError` before it begins."""
    if options["kind"] is not None or STDIN in paths:
        raise UsageError("A cluster reads and writes no pipes.", "", "Name files, or leave it out.")
    pairs = video_pairs(paths)
    overwrite = options["overwrite"]
    if not overwrite:
        skip = skip_existing or (skip_existing is None and len(pairs) > 1)
        pairs = without_existing(pairs, skip)
    check_inputs(pairs, recipe)
    if not pairs:
        return 0
    failed = done = 0
    try:
        with connected(address) as machines:
            title = f"{len(pairs)} videos" if len(pairs) > 1 else shown(pairs[0][0])
            with Bar(f"{title} on {machines.shown}") as bar:
                for number, result in paint_videos(machines, pairs, recipe, options, bar):
                    if isinstance(result, RtstyleError):
                        failed += 1
                        typer.echo(f"failed: {shown(pairs[number][0])}: {result}", err=True)
                    else:
                        done += 1
                        tell_video(result)
    except StoppedError:
        typer.echo(
            f"stopped: {done} of {len(pairs)} videos are done; "
            "the same command goes on with what is painted of the others",
            err=True,
        )
        return 130
    if failed:
        typer.echo(f"{failed} of {len(pairs)} videos failed, {done} are done.", err=True)
    return 2 if failed else 0


def tell_video(done: Done) -> None:
    """Print what became of a video."""
    parts = f", {done.parts} parts" if done.parts > 1 else ""
    typer.echo(
        f"{shown(done.target)}: {in_frames(done.frames)}, {done.width}x{done.height}, "
        f"{human_size(done.bytes)}{parts}"
    )
    if done.kept:
        notes = [f"{done.kept} parts were there from the run before", *done.notes]
    else:
        notes = done.notes
    if done.whole:
        notes = [f"painted on one machine: {done.whole}", *notes]
    for note in notes:
        typer.echo(f"  note: {note}", err=True)


def video_pairs(paths: Sequence[str]) -> list[Pair]:
    """Return the pairs (video, output) of a run. Raises `SourceError` or `UsageError`."""

    def names(videos: list[Name]) -> list[str]:
        return output_names([named(video) for video in videos])

    return paired(paths, list_videos, VIDEO_SUFFIXES, names, "videos", {*CONTAINERS, ".gif"})


def paired(
    paths: Sequence[str],
    list_local: Callable[[Path], Sequence[Path]],
    suffixes: Collection[str],
    names: Callable[[list[Any]], list[str]],
    what: str,
    single: Collection[str],
) -> list[Pair]:
    """Return the pairs (input, output) of a run over files, folders and stores.

    One input goes to the output itself, unless that is a folder; several go into it.
    """
    inputs, output = [read_name(text) for text in paths[:-1]], read_name(paths[-1])
    found: list[Name] = []
    several = len(inputs) > 1
    for name in inputs:
        if is_store(name) and as_folder(name):
            found += list_files(str(name), suffixes)
            several = True
        elif isinstance(name, Path) and name.is_dir():
            listed = list_local(name)
            found += listed
            several = several or listed != [name]
        else:
            found.append(name)
    if isinstance(output, str) and not is_store(output):
        raise UsageError(
            f"{output} cannot be written to.", "", "Name a file, a folder, or a store like s3://."
        )
    is_file = Path(str(output)).suffix.lower() in single
    if not several and (is_file or not as_folder(output)) and not str(output).endswith("/"):
        return [(found[0], output)]
    if is_file and not as_folder(output):
        raise UsageError(
            f"{shown(output)} names one file.", f"Several {what} need a folder.", "Name one."
        )
    if isinstance(output, Path):
        make_folder(output)
    return [
        (source, within(output, name)) for source, name in zip(found, names(found), strict=True)
    ]


def without_existing(pairs: Iterable[Pair], skip: bool) -> list[Pair]:
    """Return the pairs whose output is not there. Raises `UsageError` for one without `skip`."""
    left, there = [], 0
    for source, target in pairs:
        if not exists(target):
            left.append((source, target))
        elif skip:
            there += 1
        else:
            raise UsageError(
                f"{shown(target)} exists already.", "", "Add --overwrite, or choose a new name."
            )
    if there:
        typer.echo(
            f"{there} of {there + len(left)} are painted already (--overwrite to paint them again)",
            err=True,
        )
    return left


def check_inputs(pairs: Iterable[Pair], recipe: Recipe) -> None:
    """Raise `UsageError` where an output is an input, or would replace what the run reads."""

    for source, target in pairs:
        if str(source) == str(target):
            raise UsageError(
                f"{shown(target)} is both input and output.", "", "Choose another name."
            )
        if isinstance(target, Path):
            check_output(source if isinstance(source, Path) else None, target, overwrite=True)
            keep_what_is_read(target, recipe)


def run_photos(
    address: str,
    paths: Sequence[str],
    recipe: Recipe,
    *,
    device: str,
    precision: str,
    quality: int,
    overwrite: bool,
) -> int:
    """Paint photos on a cluster, and return the exit code. Raises `UsageError` before it begins."""
    pairs = photo_pairs(paths)
    if not overwrite:
        pairs = without_existing(pairs, len(pairs) > 1)
    check_inputs(pairs, recipe)
    if not pairs:
        return 0
    failed = done = 0
    try:
        with (
            connected(address) as machines,
            Bar(f"{len(pairs)} photos on {machines.shown}") as bar,
        ):
            for target, result in paint_photos(
                machines, pairs, recipe, device=device, precision=precision, quality=quality,
                watch=bar,
            ):  # fmt: skip
                if isinstance(result, Failure):
                    failed += 1
                    typer.echo(f"skipped: {result.text}", err=True)
                else:
                    done += 1
                    tell_photo(result, shown(target))
    except StoppedError:
        typer.echo(
            f"stopped: {done} of {len(pairs)} photos are done; the same command goes on", err=True
        )
        return 130
    if failed:
        typer.echo(f"{failed} of {len(pairs)} photos were skipped.", err=True)
    return 2 if failed else 0


def photo_pairs(paths: Sequence[str]) -> list[Pair]:
    """Return the pairs (photo, output) of a run. Raises `SourceError` or `UsageError`."""

    def names(photos: list[Name]) -> list[str]:
        return image.output_names([Path(shown_name(photo)) for photo in photos])

    return paired(
        paths, lambda folder: list(image.photos_in(folder)), INPUT_SUFFIXES, names, "photos",
        OUTPUT_FORMATS,
    )  # fmt: skip
