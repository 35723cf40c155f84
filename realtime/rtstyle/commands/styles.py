"""`rtstyle styles`: list the built-in styles, or show them on a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.photo_notes import read_photo
from rtstyle.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("styles", help="List the styles, or paint a photo in all of them.")(styles)


def styles(
    photo: Annotated[
        Path | None, typer.Argument(help="With --sheet: the photo.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Argument(help="With --sheet: the sheet to write.", show_default=False)
    ] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Paint PHOTO in every style onto one sheet.")
    ] = False,
    size: Annotated[
        str, typer.Option(help="Network on the sheet: fast, balanced or paper.")
    ] = "balanced",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, coreml, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing sheet.")
    ] = False,
) -> None:
    """List the styles, or paint a photo in all of them: --sheet PHOTO OUT."""
    _check_size(size)
    if sheet or photo is not None:
        if photo is None or output is None or not sheet:
            raise UsageError(
                "A sheet takes a photo and an output.", "", "rtstyle styles --sheet PHOTO OUT"
            )
        _paint_sheet(photo, output, size, device, overwrite=overwrite)
    elif as_json:
        _print_json()
    else:
        _print_table()


def _check_size(size: str) -> None:
    """Raise `UsageError` for a size that no network has."""
    from rtstyle.styles.manifest import SIZES, load_manifest

    known = dict.fromkeys(SIZES)
    for style in load_manifest().styles.values():
        known.update(dict.fromkeys(style.files))
    if size not in known:
        raise UsageError(f"There is no size {size!r}.", "", f"Use {', '.join(known)}.")


def _paint_sheet(photo: Path, output: Path, size: str, device: str, *, overwrite: bool) -> None:
    from rtstyle.jobs.image import check_output
    from rtstyle.jobs.sheet import contact_sheet
    from rtstyle.media.picture import Picture, write_picture

    check_output(photo, output, overwrite=overwrite)
    picture = read_photo(photo)
    image = contact_sheet(
        picture.rgb, size=size, device=device, progress=lambda name: typer.echo(name, err=True)
    )
    write_picture(Picture(image), output)
    typer.echo(f"{output}  {image.shape[1]}x{image.shape[0]}")


def _print_json() -> None:
    import json

    from rtstyle.styles.manifest import load_manifest

    rows = [
        {
            "name": style.name,
            "title": style.title,
            "artist": style.artist,
            "year": style.year,
            "licence": style.licence,
            "sizes": {s: style.files[s].bytes for s in style.sizes},
        }
        for style in load_manifest().styles.values()
    ]
    typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))


def _print_table() -> None:
    from rich.console import Console
    from rich.table import Table

    from rtstyle.styles.manifest import load_manifest

    table = Table("style", "painting", "artist", "year", "sizes", box=None)
    for style in load_manifest().styles.values():
        table.add_row(style.name, style.title, style.artist, style.year, ", ".join(style.sizes))
    Console().print(table)
