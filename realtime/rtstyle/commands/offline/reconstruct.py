"""`rtstyle reconstruct`: show what the layers of the loss network know of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.offline.options import (
    SEED_HELP,
    Place,
    VggWeights,
    check_target,
    tell,
)
from rtstyle.commands.options import grouped
from rtstyle.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("reconstruct", help="Draw what layers know of a picture, on one sheet.")(
        grouped(reconstruct)
    )


def parse_sets(text: str) -> list[tuple[str, ...]]:
    """Read `conv1_1,conv1_1+conv2_1` as sets of layers, `-` as none.

    Raises `UsageError` for an empty set.
    """
    if text.strip() == "-":
        return []
    sets = [tuple(layer.strip() for layer in part.split("+")) for part in text.split(",")]
    if not all(all(layers) for layers in sets):
        raise UsageError(
            f"Cannot read the layers {text!r}.", "", "Write conv1_1,conv2_1 or conv1_1+conv2_1."
        )
    return sets


def reconstruct(
    picture: Annotated[Path, typer.Argument(help="Photo or painting.", show_default=False)],
    output: Annotated[Path, typer.Argument(help="The sheet.", show_default=False)],
    painting: Annotated[
        Path | None,
        typer.Option(help="Take style from here, and add a row that balances the two."),
    ] = None,
    content: Annotated[
        str | None,
        typer.Option(help="One picture for each layer, a+b for two together; - for none."),
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="The same. Default: the first layer, the first two, ...")
    ] = None,
    size: Annotated[
        int, typer.Option("--side", help="Side of each picture, pixels.", min=32)
    ] = 192,
    iterations: Annotated[
        int, typer.Option(help="Evaluations of the objective for each picture.", min=1)
    ] = 150,
    seed: Annotated[int, typer.Option(help=SEED_HELP)] = 0,
    vgg_weights: VggWeights = None,
    *,
    place: Place,
) -> None:
    """Draw figures 1 and 4 of Gatys et al. 2016 for a picture, as one labelled sheet.

    Rows: content of single layers, style of growing sets of layers, and with --painting the
    balance of both. Ctrl-C keeps the pictures that are done.
    """
    with needing_torch():
        from rtstyle_export.offline import start
    for source in (picture, painting):
        if source is not None:
            check_target(source, output, None, overwrite=place.overwrite)
    base = start.suited(start.GatysSpec(), vgg_weights, tell)
    sheet = start.Sheet(
        picture, painting, size,
        parse_sets(content or ",".join(base.style_layers)), parse_sets(style) if style else None,
        base, start.Method(closures=iterations), seed,
    )  # fmt: skip
    settings = start.Settings(vgg_weights, place.device, place.threads)
    count, complete = start.write_sheet(sheet, output, settings)
    if not complete:
        kept = f"{output} has what was done." if count else "Nothing was done yet."
        typer.echo(f"Stopped. {kept}")
        raise typer.Exit(130)
    typer.echo(f"{output}  {count} pictures")
