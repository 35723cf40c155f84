"""Going on with a video that was interrupted: what must be the same, and what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtstyle.errors import UsageError
from rtstyle.sinks.tracks.segment_file import SegmentFile
from rtstyle.sources import open_video

if TYPE_CHECKING:
    from rtstyle.frame import Image
    from rtstyle.media.container import Media
    from rtstyle.sinks.encoding.settings import Encoding
    from rtstyle.styles.recipe import Recipe


def identity(media: Media, recipe: Recipe, encoding: Encoding, **options: Any) -> Mapping[str, Any]:
    """Return all that decides the pictures of a painted video, as texts and numbers by name."""
    chosen = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    mask = chosen.pop("mask")
    files = {str(path): stamp(path) for path in recipe.pictures()}
    if mask is not None and not isinstance(mask, (str, Path)):
        # A picture in memory: its content decides.
        mask = sha256(mask.tobytes()).hexdigest()
    return {
        "input": [media.name, None if media.path is None else stamp(media.path)],
        "files": files,
        "mask": str(mask),
        **{name: plain(value) for name, value in {**chosen, **options}.items()},
        "encoding": asdict(encoding),
    }


def plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    return str(value) if isinstance(value, (Path, Fraction)) else value


def stamp(path: Path) -> list[int] | None:
    """Return size and time of a file, which change with its content; None for what is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def resumed(segments: SegmentFile | None, output: Path) -> int:
    """Return how many frames of an interrupted run are kept. Raises `UsageError` for none."""
    if segments is None:
        raise UsageError(
            f"{output} cannot be gone on with.",
            "--resume is for video files without transparency.",
            "Leave out --resume.",
        )
    return segments.resume()


def first_picture(
    media: Media,
    start: float | None,
    end: float | None,
    rate: Fraction | None,
    deinterlace: str,
) -> Image:
    """Return the first picture of a video, (H, W, 3) uint8: what a run that goes on matches."""
    with open_video(media, start, end, rate, deinterlace=deinterlace) as frames:
        return next(iter(frames)).image
