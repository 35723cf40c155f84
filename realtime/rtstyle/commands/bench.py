"""`rtstyle bench`: measure the network alone and whole clips, on this machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.bench_johnson import johnson
from rtstyle.commands.options import Device, JsonFile, Precision, read_resolution
from rtstyle.live.controls.table import FADE


def register(app: typer.Typer) -> None:
    """Add `bench` to `app`: a group, so that further benchmarks become its subcommands."""
    group = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    group.callback()(bench)
    group.command("live", help="Measure a clip as a camera, painted live.")(live)
    group.command("johnson", help="Compare with Gatys' optimisation, as the paper does.")(johnson)
    app.add_typer(group, name="bench", help="Measure speed and memory on this machine.")


def bench(
    context: typer.Context,
    style: Annotated[str, typer.Option(help="A style, a picture, or an .onnx file.")] = "mosaic",
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Network to measure, may be given more than once. "
            "Default: fast, balanced, and of paper only the network.",
            show_default=False,
        ),
    ] = None,
    resolution: Annotated[
        list[str] | None,
        typer.Option(
            help="Size of the clip, may be given more than once. Default: 640x480, 1280x720.",
            metavar="WxH",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    frames: Annotated[int, typer.Option(help="Length of the clip, at most 132.")] = 132,
    runs: Annotated[int, typer.Option(help="Runs of every case; their median counts.")] = 3,
    json_file: JsonFile = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write a picture (.png).", show_default=False)
    ] = None,
) -> None:
    """Measure the network alone, and the bundled clip from decoding to encoding."""
    if context.invoked_subcommand is not None:
        return
    from rtstyle.bench.session import measure, settings_for

    settings = settings_for(
        style, size, [read_resolution(text) for text in resolution or ()],
        device=device, frames=frames, runs=runs, precision=precision,
    )  # fmt: skip
    measure(settings, json_file, plot, partial(typer.echo, err=True))


def live(
    style: Annotated[str, typer.Option(help="A style, or an .onnx file.")] = "mosaic",
    size: Annotated[str, typer.Option(help="auto, fast, balanced or paper.")] = "auto",
    minutes: Annotated[float, typer.Option(help="Length before the changes of style.")] = 10.0,
    target_fps: Annotated[
        float, typer.Option(help="Rate of the camera, which is to be held.")
    ] = 30.0,
    resolution: Annotated[str, typer.Option(help="Size of the clip.")] = "640x480",
    fade: Annotated[
        float, typer.Option(help="Seconds in which styles give way to each other.", min=0, max=1.2)
    ] = FADE,
    device: Device = "auto",
    json_file: JsonFile = None,
) -> None:
    """Play a clip as a camera for minutes, then change the style a dozen times.

    Prints the rate that was sustained, the latency from capture to sink in the first and the last
    minute, the growth of memory between them, and how long a change of style takes.
    """
    from rtstyle.bench.session import measure_live

    measure_live(
        style, size, read_resolution(resolution), minutes=minutes, target=target_fps, fade=fade,
        device=device, json_file=json_file, tell=partial(typer.echo, err=True),
    )  # fmt: skip
