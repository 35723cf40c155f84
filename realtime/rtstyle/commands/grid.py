"""`rtstyle grid`: one photo between four styles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.common.photo_notes import tell_photo
from rtstyle.commands.options import SEED_HELP, Device, OverwriteOne, StyleScale, Vary
from rtstyle.commands.progress import Bar


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("grid", help="Paint a photo in all blends between four styles.")(grid)


def grid(
    photo: Annotated[Path, typer.Argument(help="The photo.")],
    styles: Annotated[
        list[str],
        typer.Argument(
            metavar="A B C D",
            help="Pictures or built-in styles: top left, top right, bottom left, bottom right; "
            "with --samples one, or four.",
        ),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The picture to write.")],
    steps: Annotated[int, typer.Option(help="Pictures in a row and in a column, 2 to 9.")] = 5,
    width: Annotated[int, typer.Option(help="Of the whole picture at most, pixels.")] = 1600,
    samples: Annotated[
        bool,
        typer.Option(
            "--samples", help="Paint neighbours of one style, or four styles through latent space."
        ),
    ] = False,
    vary: Vary = 0.5,
    seed: Annotated[int, typer.Option(help=SEED_HELP)] = 0,
    size: Annotated[str, typer.Option(help="Network: fast or paper.")] = "fast",
    strength: Annotated[float, typer.Option(help="0 (the photo) to 1 (the painting).")] = 1.0,
    style_scale: StyleScale = 1.0,
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Keep the colours of the photo.")
    ] = False,
    device: Device = "auto",
    overwrite: OverwriteOne = False,
) -> None:
    """Paint a photo in all blends between four styles, or like neighbours of one."""
    from rtstyle.jobs.grid import write_square

    with Bar():
        report = write_square(
            photo, output, styles, samples=samples, variation=vary, seed=seed, steps=steps,
            size=size, strength=strength, style_scale=style_scale, keep_color=keep_color,
            device=device, width=width, overwrite=overwrite,
        )  # fmt: skip
    tell_photo(report)
