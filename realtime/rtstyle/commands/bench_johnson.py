"""`rtstyle bench johnson`: the speed table of Johnson et al. 2016 on this machine."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.options import JsonFile


def johnson(
    style: Annotated[str, typer.Option(help="A style with the sizes paper and fast.")] = "mosaic",
    side: Annotated[
        list[int] | None,
        typer.Option(
            help="Side of the pictures, may be given more than once. Default: 256, 512, 1024.",
            show_default=False,
        ),
    ] = None,
    closures: Annotated[int, typer.Option(help="Closures to time at each side.", min=1)] = 3,
    runs: Annotated[int, typer.Option(help="Runs of every network.", min=1)] = 5,
    device: Annotated[str, typer.Option(help="Of the networks: auto, cpu, ...")] = "auto",
    json_file: JsonFile = None,
) -> None:
    """Compare Gatys' optimisation with one pass through a network, as table 1 of the paper does.

    A few closures are timed and multiplied by 100, 300 and 500. Needs PyTorch.
    """
    with needing_torch():
        from rtstyle_export.offline.johnson_bench import compare
    compare(
        style, side or (), closures=closures, runs=runs, device=device, json_file=json_file,
        tell=partial(typer.echo, err=True),
    )  # fmt: skip
