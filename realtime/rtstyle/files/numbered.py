"""Names of numbered pictures, and which files such a name means."""

from __future__ import annotations

import os
import re
from pathlib import Path

PRINTF = re.compile(r"%0?\d*d(?![A-Za-z])")
"""A place for a number; in `100%done.png` there is none."""
SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"))
"""Kinds of pictures that can be written by number."""


def is_pattern(path: Path) -> bool:
    """Return True if a name numbers pictures: `out_%05d.png`, but not `100%done.mp4`."""
    return path.suffix.lower() in SUFFIXES and bool(PRINTF.search(path.name))


def split_target(path: Path) -> tuple[Path, str]:
    """Return the folder and the printf pattern that `path`, a pattern or a folder, stands for."""
    if PRINTF.search(path.name):
        # As FFmpeg does: no tool looks for numbers behind blanks.
        return path.parent, re.sub(r"%([1-9]\d*d)", r"%0\1", path.name)
    return path, "%05d.png"


def numbers_well(pattern: str) -> bool:
    """Say whether a file name has one place for a number, and else no sign that printf knows."""
    try:
        return len(PRINTF.findall(pattern)) == 1 and pattern % 1 != pattern % 2
    except (TypeError, ValueError):
        return False


def existing_pictures(path: Path) -> list[Path]:
    """Return the files that pictures written to `path`, a pattern or a folder, may replace."""
    folder, pattern = split_target(path)
    if not numbers_well(pattern) or not folder.is_dir():
        return []
    head, tail = (re.escape(text % ()) for text in PRINTF.split(pattern))
    # Whether upper and lower case differ, the file system knows.
    name = re.compile(rf"{head} *(\d+){tail}", re.ASCII | re.IGNORECASE)
    found = (name.fullmatch(file.name) for file in folder.iterdir())
    numbers = sorted({int(match[1]) for match in found if match})
    pictures = (folder / (pattern % number) for number in numbers if number)
    return [picture for picture in pictures if os.path.lexists(picture)]
