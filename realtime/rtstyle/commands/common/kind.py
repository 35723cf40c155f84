"""Which command `rtstyle IN OUT` means: what IN is decides, and where that leaves it open, OUT."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rtstyle.errors import UsageError
from rtstyle.files.names import STDIN, VIDEO_SUFFIXES, is_address

PHOTOS = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "heic", "heif", "avif", "tif", "tiff"),
        *("bmp", "gif", "jp2", "j2k", "ppm", "pgm", "pnm"),
    )
)
VIDEOS = frozenset((".mp4", ".m4v", ".mov", ".mkv", ".webm"))
OPTION = re.compile("--?[a-z].*")


def command_for(arguments: Sequence[str]) -> list[str]:
    """Return `["video"]`, `["image"]`, or nothing for what is not an input. Raises `UsageError`.

    `arguments` begin with the input. A folder with photos and videos is neither.
    """
    first = arguments[0]
    if is_address(first) or first == STDIN or "%" in first or "*" in first:
        return ["video"]
    path = Path(first)
    if path.is_dir():
        return [folder_command(path)]
    if not path.exists():
        return []
    if path.suffix.lower() not in PHOTOS:
        return ["video"]
    # An animation may become a video, or another animation.
    moving = path.suffix.lower() in (".gif", ".webp", ".avif", ".png")
    targets = {Path(word).suffix.lower() for word in arguments[1:] if not OPTION.match(word)}
    return ["video" if moving and targets & VIDEOS else "image"]


def folder_command(folder: Path) -> str:
    """Return the command for a folder of photos or videos. Raises `UsageError` for both."""

    suffixes = {p.suffix.lower() for p in folder.iterdir() if not p.name.startswith(".")}
    videos = bool(suffixes & (VIDEO_SUFFIXES - PHOTOS))
    if videos and suffixes & PHOTOS:
        raise UsageError(
            f"{folder} has photos and videos.",
            "",
            f"Write: rtstyle image {folder} OUT, and rtstyle video {folder} OUT.",
        )
    return "video" if videos else "image"
