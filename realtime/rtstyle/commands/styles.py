"""`rtstyle styles`: list the built-in styles, or show them on a contact sheet."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.commands.common.photo_notes import tell_photo
from rtstyle.commands.options import Device
from rtstyle.commands.progress import Bar
from rtstyle.errors import UsageError
from rtstyle.styles.manifest import SIZES, load_manifest

if TYPE_CHECKING:
    from rtstyle.styles.manifest import Style


OWN = {
    "add": "add FILE.onnx|PICTURE|PACK.zip|FOLDER|ADDRESS [--name NAME]",
    "remove": "remove NAME",
    "pack": "pack NAME FILE.zip",
}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("styles", help="List the styles, add and remove own ones.")(styles)


def styles(
    photo: Annotated[
        Path | None,
        typer.Argument(
            help="With --sheet: the photo. Or `add`, `remove`, `pack`.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Argument(
            help="The sheet to write. Or what to add (an .onnx file, a picture, a pack, a folder, "
            "an address), or the name to remove or pack.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Argument(help="With pack: the pack to write.", show_default=False)
    ] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Paint PHOTO in every style onto one sheet.")
    ] = False,
    size: Annotated[
        str, typer.Option(help="Network on the sheet: fast, balanced or paper.")
    ] = "balanced",
    device: Device = "auto",
    name: Annotated[
        str | None, typer.Option(help="With add: another name.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing sheet.")
    ] = False,
) -> None:
    """List the styles, or paint a photo in all of them: --sheet PHOTO OUT."""
    if photo is not None and not sheet:
        _change_own(str(photo), output, file, name)
        return
    _check_size(size)
    if sheet:
        if photo is None or output is None:
            raise UsageError(
                "A sheet takes a photo and an output.", "", "rtstyle styles --sheet PHOTO OUT"
            )
        _paint_sheet(photo, output, size, device, overwrite=overwrite)
    elif as_json:
        _print_json()
    else:
        _print_table()


def _change_own(what: str, given: Path | None, file: Path | None, name: str | None) -> None:
    """Add, remove or pack styles. Raises `StyleError` or `UsageError`."""
    if what not in OWN:
        raise UsageError(
            f"`styles {what}` is not a command.", "",
            f"`rtstyle styles` lists them; there are {', '.join(OWN)}, and --sheet PHOTO OUT.",
        )  # fmt: skip
    if given is None or (what == "pack") != (file is not None):
        raise UsageError(f"`styles {what}` is not complete.", "", f"rtstyle styles {OWN[what]}")
    from rtstyle.styles import own

    # A path would have one slash of an address only.
    text = re.sub(r"^([a-z][a-z0-9+.-]+):/+", r"\1://", str(given))
    if what == "add":
        for added in own.add(text, name):
            typer.echo(f"added {added}")
    elif what == "remove":
        own.remove(text)
        typer.echo(f"removed {text}")
    elif file is not None:
        # The vectors of a picture are fitted now, if they never were.
        with Bar():
            own.pack(text, file)
        typer.echo(f"{file}")


def _check_size(size: str) -> None:
    """Raise `UsageError` for a size that no network has."""

    known = dict.fromkeys(SIZES)
    for style in load_manifest().styles.values():
        known.update(dict.fromkeys(style.files))
    if size not in known:
        raise UsageError(f"There is no size {size!r}.", "", f"Use {', '.join(known)}.")


def _paint_sheet(photo: Path, output: Path, size: str, device: str, *, overwrite: bool) -> None:
    from rtstyle.jobs.sheet import paint_sheet

    tell_photo(
        paint_sheet(
            photo, output, size=size, device=device, overwrite=overwrite,
            progress=partial(typer.echo, err=True),
        )
    )  # fmt: skip


def _print_json() -> None:
    rows = [
        {
            "name": style.name,
            "title": style.title,
            "artist": style.artist,
            "year": style.year,
            "licence": style.licence,
            "own": style.own,
            "sizes": {s: style.files[s].bytes for s in style.sizes},
        }
        for style in load_manifest().styles.values()
    ]
    typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))


def _print_table() -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("style", "painting", "artist", "year", "sizes", box=None)
    for style in load_manifest().styles.values():
        table.add_row(style.name, style.title, style.artist, style.year, _sizes(style))
    Console().print(table)


def _sizes(style: Style) -> str:
    return ", ".join([*style.sizes, *(["added"] if style.own else [])])
