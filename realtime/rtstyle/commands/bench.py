"""`rtstyle bench`: measure the network alone and whole clips, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.commands.bench_johnson import johnson
from rtstyle.commands.options import Device, JsonFile, Precision
from rtstyle.errors import UsageError
from rtstyle.styles.spec import parse_style

if TYPE_CHECKING:
    from rtstyle.bench.suite import Result, Settings

STDOUT = Path("-")


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
    from rtstyle.bench import plot as plotting
    from rtstyle.bench import suite
    from rtstyle.bench.report import describe_machine

    if plot is not None:
        plotting.require_matplotlib()
        check_plot(plot)
    for path in (json_file, plot):
        check_place(path)
    settings = make_settings(style, size, resolution, device, frames, runs, precision)
    machine = describe_machine()
    result = suite.run(settings, progress=lambda text: typer.echo(text, err=True))
    show(result, machine, json_file, plot)


def live(
    style: Annotated[str, typer.Option(help="A style, or an .onnx file.")] = "mosaic",
    size: Annotated[str, typer.Option(help="auto, fast, balanced or paper.")] = "auto",
    minutes: Annotated[float, typer.Option(help="Length before the changes of style.")] = 10.0,
    target_fps: Annotated[float, typer.Option(help="Rate of the camera, and to hold.")] = 30.0,
    resolution: Annotated[str, typer.Option(help="Size of the clip.")] = "640x480",
    fade: Annotated[
        float, typer.Option(help="Seconds in which styles give way to each other.", min=0, max=1.2)
    ] = 0.6,
    device: Device = "auto",
    json_file: JsonFile = None,
) -> None:
    """Play a clip as a camera for minutes, then change the style a dozen times.

    Prints the rate that was sustained, the latency from capture to sink in the first and the last
    minute, the growth of memory between them, and how long a change of style takes.
    """
    import json
    import tempfile

    from rich.console import Console

    from rtstyle.bench import runner
    from rtstyle.bench.camera import camera_clip, stop_figures, table
    from rtstyle.bench.figures import plain
    from rtstyle.bench.report import busy_note, describe_machine

    check_place(json_file)
    width, height = parse_resolution(resolution)
    if not 0.2 <= minutes <= 12:
        raise UsageError(f"{minutes:g} minutes are out of range.", "", "Use 0.2 to 12.")
    if not 1 <= target_fps <= 240 or target_fps != round(target_fps):
        raise UsageError(f"--target-fps {target_fps:g} is out of range.", "", "Use 1 to 240.")
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="rtstyle-") as folder:
        clip = camera_clip(Path(folder) / "camera.mp4", width, height, round(target_fps))
        typer.echo(f"playing {resolution} for {minutes:g} minutes", err=True)
        values = runner.run_case(
            "live", clip=str(clip), style=style, device=device, minutes=minutes,
            target=target_fps, size=size, fade=fade,
        )  # fmt: skip
        values |= stop_figures(str(clip), style, device, lambda text: typer.echo(text, err=True))
    settings = {"style": style, "resolution": resolution, "minutes": minutes, "target": target_fps}
    settings["fade"] = fade
    console = Console(stderr=json_file == STDOUT)
    console.print(f"{machine['cpu']}, {machine['cores']} cores; {style}", highlight=False)
    if note := busy_note(machine):
        console.print(note, style="yellow", highlight=False)
    console.print(table(values, target_fps))
    content = {"live": plain(values), "settings": settings, "machine": machine}
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    if json_file == STDOUT:
        typer.echo(text, nl=False)
    elif json_file is not None:
        write(json_file, text.encode())


def show(
    result: Result, machine: dict[str, object], json_file: Path | None, plot: Path | None
) -> None:
    """Print the tables and write the files that were asked for."""
    from rich.console import Console

    from rtstyle.bench.plot import draw
    from rtstyle.bench.report import print_tables, to_json

    text = to_json(result, machine)
    print_tables(result, machine, Console(stderr=json_file == STDOUT))
    if json_file == STDOUT:
        typer.echo(text, nl=False)
    elif json_file is not None:
        write(json_file, text.encode())
    if plot is not None:
        write(plot, draw(result, machine))


def make_settings(
    style: str,
    sizes: list[str] | None,
    resolutions: list[str] | None,
    device: str,
    frames: int,
    runs: int,
    precision: str = "auto",
) -> Settings:
    """Turn the options into settings; what was not given depends on what the style has."""
    from rtstyle.bench import suite
    from rtstyle.styles import manifest

    network_only: tuple[str, ...] = ()
    if style.lower().endswith(".onnx"):
        # A file is one network, whatever its size is called.
        sizes = ["file"]
    elif not sizes:
        trained = isinstance(parse_style(style), str)
        has = manifest.find_style(style).sizes if trained else manifest.ANY_SIZES
        sizes = [size for size in suite.DEFAULT_SIZES if size in has] or list(has[:1])
        network_only = tuple(size for size in suite.DEFAULT_NETWORK_ONLY if size in has)
    return suite.Settings(
        style=style,
        sizes=tuple(dict.fromkeys(sizes)),
        network_only=tuple(size for size in network_only if size not in sizes),
        resolutions=tuple(map(parse_resolution, resolutions or ())) or suite.DEFAULT_RESOLUTIONS,
        device=device,
        precision=precision,
        frames=frames,
        runs=runs,
    )


def parse_resolution(text: str) -> tuple[int, int]:
    """Return (width, height) of `WxH`. Raises `UsageError`."""
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise UsageError(f"{text!r} is not a resolution.", "", "Write it as 640x480.")
    return int(width), int(height)


def check_plot(path: Path) -> None:
    """Raise `UsageError` unless the name is that of a PNG file."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"A plot cannot be written as {path.name}.", "", "Name it .png.")


def check_place(path: Path | None) -> None:
    """Raise `SinkError` now, not after minutes of measuring, if `path` cannot be written."""
    from rtstyle.files.pending import PendingFile

    if path is not None and path != STDOUT:
        PendingFile(path).discard()


def write(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    from rtstyle.files.pending import PendingFile, writing_to

    pending = PendingFile(path)
    try:
        with writing_to(path):
            pending.temporary.write_bytes(content)
        pending.commit()
    finally:
        pending.discard()
    typer.echo(f"{path} written", err=True)
