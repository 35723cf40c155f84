"""What commands say of the photos that they read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rtstyle.media.picture import Picture


def read_photo(path: Path) -> Picture:
    """Read a photo and print what was lost of it. Raises `SourceError`."""
    from rtstyle.media.picture import read_picture

    picture = read_picture(path)
    for note in picture.notes:
        typer.echo(f"note: {path}: {note}", err=True)
    return picture


def tell_left_out(folders: Iterable[Path], taken: Iterable[Path]) -> None:
    """Print what of the folders is not taken; what is not a folder is passed over."""
    from rtstyle.files.folders import left_out

    files = set(taken)
    for folder in folders:
        if folder.is_dir() and (note := left_out(folder, files)):
            typer.echo(f"note: {note}", err=True)
