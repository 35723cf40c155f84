"""`rtstyle bench johnson`: the speed table of Johnson et al. 2016 on this machine."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.commands.offline.options import missing_torch
from rtstyle.commands.options import JsonFile
from rtstyle.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from rtstyle_export.offline.johnson_bench import Line

SIZES = ("paper", "fast")


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
    import json

    from rtstyle.commands.bench import STDOUT, check_place, write

    try:
        from rtstyle_export.offline.johnson_bench import measure
    except ImportError as error:
        raise missing_torch(error) from error
    from rich.console import Console

    from rtstyle.bench.report import busy_note, describe_machine
    from rtstyle.painting.stylizer import Stylizer

    check_place(json_file)
    sides = side or [256, 512, 1024]
    if min(sides) < 64:
        raise UsageError("A side below 64 pixels is too small.", "", "Use --side 256.")
    machine = describe_machine()
    with ExitStack() as stack:
        painters = {
            size: stack.enter_context(Stylizer(style, size, device=device)) for size in SIZES
        }
        lines = measure(
            sides, dict(painters), closures, runs, lambda text: typer.echo(text, err=True)
        )
    console = Console(stderr=json_file == STDOUT, width=110)
    console.print(f"{machine['cpu']}, {machine['cores']} cores; {style}", highlight=False)
    if note := busy_note(machine):
        console.print(note, style="yellow", highlight=False)
    for built in (seconds_table(lines), speedup_table(lines)):
        console.print(built)
    text = json.dumps({"johnson": [line.to_json() for line in lines], "machine": machine}, indent=1)
    if json_file == STDOUT:
        typer.echo(text)
    elif json_file is not None:
        write(json_file, f"{text}\n".encode())


def seconds_table(lines: list[Line]) -> Table:
    """Return the seconds of optimisation and networks."""
    from rich.table import Table

    from rtstyle_export.offline.johnson_bench import CLOSURES

    table = Table(title=f"Seconds; ~ is {lines[0].measured} timed closures, multiplied")
    for head in ("side", "1 closure", *(f"Gatys {n}" for n in CLOSURES), *SIZES):
        table.add_column(head, justify="right")
    for line in lines:
        gatys = (f"~{n * line.closure:.1f}" for n in CLOSURES)
        networks = (f"{line.networks[size]:.4f}" for size in SIZES)
        table.add_row(f"{line.side}²", f"{line.closure:.3f}", *gatys, *networks)
    return table


def speedup_table(lines: list[Line]) -> Table:
    """Return how many times quicker the networks are, here and in the paper."""
    from rich.table import Table

    from rtstyle_export.offline.johnson_bench import CLOSURES, PAPER

    table = Table(title="How many times quicker than so many closures (extrapolated)")
    heads = [f"{size}, {n}" for size in SIZES for n in CLOSURES]
    for head in ("side", *heads, "Johnson et al., 500"):
        table.add_column(head, justify="right")
    for line in lines:
        found = (f"{line.speedup(size, n):.0f} x" for size in SIZES for n in CLOSURES)
        gatys, network = PAPER.get(line.side, (0.0, 1.0))
        table.add_row(f"{line.side}²", *found, f"{gatys / network:.0f} x" if gatys else "-")
    return table
