"""Which files a job reads and writes, and which of them it may replace."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rtstyle.errors import SourceError, UsageError
from rtstyle.files.names import VIDEO_SUFFIXES
from rtstyle.files.numbered import existing_pictures, is_pattern
from rtstyle.sources.images import is_image_pattern, list_images
from rtstyle.styles.recipe import Recipe

KEPT_SUFFIXES = frozenset((".gif", ".m4v", ".mkv", ".mov", ".mp4", ".webm"))
"""Kinds that several inputs keep in the output folder; the others become .mp4."""


def list_videos(folder: Path) -> list[Path]:
    """Return the videos of a folder, or the folder itself if it holds pictures only."""
    # Hidden are what macOS notes of a file (._clip.mp4), and an output that is not done yet.
    seen = (f for f in folder.iterdir() if not f.name.startswith("."))
    videos = sorted(f for f in seen if f.suffix.lower() in VIDEO_SUFFIXES and f.is_file())
    if videos:
        return videos
    if list_images(folder):
        return [folder]
    raise SourceError(f"{folder} holds no video and no picture.", "", "Name another folder.")


def output_names(videos: list[Path]) -> list[str]:
    """Return the names of painted videos: the same kind where it can be written, else .mp4.

    `clip.avi` beside `clip.mp4` becomes `clip_avi.mp4`. Raises `UsageError` for equal names.
    """
    plain = [v.name if v.suffix.lower() in KEPT_SUFFIXES else f"{v.stem}.mp4" for v in videos]
    chosen = [
        name if plain.count(name) == 1 or name == v.name else f"{v.stem}_{v.suffix[1:]}.mp4"
        for v, name in zip(videos, plain, strict=True)
    ]
    for name in chosen:
        if chosen.count(name) > 1:
            raise UsageError(f"Two videos would become {name}.", "", "Paint them one by one.")
    return chosen


def check_output(source: Path | None, output: Path, overwrite: bool) -> None:
    """Raise `UsageError` if the output is the input, or exists and may not be replaced.

    `source` is None for what is not a file. The pictures that a folder or a pattern means count one
    by one.
    """
    if source is not None and source.exists() and output.exists() and output.samefile(source):
        raise UsageError(
            f"{output} is both input and output.", "It would be lost.", "Choose another name."
        )
    if source is None:
        beside = False
    else:
        beside = open_by_pattern(source) and output.resolve() == source.parent.resolve()
    if output.is_dir() and beside:
        raise UsageError(
            f"{output} holds the input pictures.", "", "Choose another folder for the output."
        )
    old = existing_outputs(output)
    read = [] if source is None else input_files(source)
    if old and {file_key(file) for file in old} & {file_key(file) for file in read}:
        raise UsageError(
            f"{output} names input pictures.", "They would be lost.", "Choose another name."
        )
    if old and not overwrite:
        raise UsageError(f"{old[0]} exists already.", "", "Add --overwrite, or choose a new name.")


def keep_what_is_read(output: Path, recipe: Recipe) -> None:
    """Raise `UsageError` if the output would replace a painting or the mask of its own run."""
    read = [file for picture in recipe.pictures() for file in input_files(picture)]
    keys = {file_key(file) for file in read}
    for file in existing_outputs(output):
        if file_key(file) in keys:
            raise loss(file)


def refuse_loss(output: Path, read: Iterable[Path]) -> None:
    """Raise `UsageError` if the existing file `output` is one of those that are `read`."""
    if any(path.exists() and output.samefile(path) for path in read):
        raise loss(output)


def loss(output: Path) -> UsageError:
    """Return the error for an output that is one of the pictures of its own run."""
    return UsageError(
        f"{output} is a picture that is read here.",
        "It would be lost.",
        "Name another output, or move it away.",
    )


def existing_outputs(output: Path) -> list[Path]:
    """Return the files that writing to `output`, a file, a folder or a pattern, may replace."""
    if output.is_dir() or is_pattern(output):
        return existing_pictures(output)
    return [output] if output.exists() else []


def input_files(source: Path) -> list[Path]:
    """Return the pictures that a source reads, or the source itself if it is one file."""
    return list_images(source) if source.is_dir() or open_by_pattern(source) else [source]


def open_by_pattern(source: Path) -> bool:
    """Say whether the source is pictures named by a pattern."""
    return is_image_pattern(source) and not source.is_file()


def file_key(file: Path) -> tuple[int, int] | Path:
    """Return what two names of one file share."""
    try:
        status = file.stat()
    except FileNotFoundError:
        # A link that leads nowhere has only its name.
        return file
    return status.st_dev, status.st_ino
