"""What commands print of the photos that they read and paint."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rtstyle.errors import printable
from rtstyle.files.folders import left_out

if TYPE_CHECKING:
    from rtstyle.jobs.image import ImageReport


def tell_photo(report: ImageReport, output: str = "") -> None:
    """Print what became of a photo; `output` is its name where that is not a path."""
    tiles = f", {report.tiles} tiles" if report.tiles > 1 else ""
    typer.echo(f"{printable(output or report.output)}  {report.width}x{report.height}{tiles}")
    for note in report.notes:
        typer.echo(f"  note: {printable(note)}", err=True)


def tell_left_out(folders: Iterable[Path], taken: Iterable[Path]) -> None:
    """Print what of the folders is not taken; what is not a folder is passed over."""
    files = set(taken)
    for folder in folders:
        if folder.is_dir() and (note := left_out(folder, files)):
            typer.echo(f"note: {printable(note)}", err=True)
