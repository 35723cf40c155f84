"""`rtstyle webcam`: paint a camera live."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtstyle.frame import Image
    from rtstyle.pipeline import Report
    from rtstyle.sinks.base import Sink


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("webcam", help="Paint a camera live, in a window.")(webcam)


def webcam(
    camera: Annotated[
        str,
        typer.Option(help="Index, device, URL, a video file played in real time, or `test`."),
    ] = "0",
    style: Annotated[str, typer.Option(help="A style's name, or an .onnx file.")] = "mosaic",
    size: Annotated[str, typer.Option(help="Network: fast, balanced or paper.")] = "fast",
    strength: Annotated[float, typer.Option(help="0 (the camera) to 1 (the painting).")] = 1.0,
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Keep the colours of the camera.")
    ] = False,
    height: Annotated[
        int | None, typer.Option(help="Scale to this many rows.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, coreml, ...")] = "auto",
    resolution: Annotated[str, typer.Option(help="Asked of the camera.")] = "640x480",
    fps: Annotated[float, typer.Option(help="Asked of the camera.")] = 30.0,
    mirror: Annotated[bool, typer.Option("--mirror", help="Swap left and right.")] = False,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat a video file without end.")] = False,
    window: Annotated[bool, typer.Option("--window/--no-window", help="Show a window.")] = True,
    frames: Annotated[
        int | None, typer.Option(help="Stop after so many frames.", min=1, show_default=False)
    ] = None,
) -> None:
    """Paint a camera live, in a window. `q`, Esc or Ctrl-C ends it."""
    width, rows = read_resolution(resolution)
    from rtstyle.sources import open_camera

    with ExitStack() as stack:
        source = stack.enter_context(
            open_camera(camera, width=width, height=rows, rate=fps, loop=loop)
        )
        # Before the model is loaded, so that a missing screen is told at once.
        sink = open_sink(window, style, stack)
        from rtstyle.pipeline import LATEST, Pipeline
        from rtstyle.stylizer import Stylizer

        # One stream: what counts here is the delay of the single frame.
        stylizer = stack.enter_context(
            Stylizer(
                style,
                size,
                device=device,
                strength=strength,
                keep_color=keep_color,
                height=height,
            )
        )
        typer.echo(f"{source.describe()}  |  {stylizer.describe()}", err=True)
        paint = mirrored(stylizer) if mirror else stylizer
        report = Pipeline(source, paint, [sink], policy=LATEST, limit=frames).run()
    typer.echo(summary(report))


def open_sink(window: bool, style: str, stack: ExitStack) -> Sink:
    """Return the open window, or what takes its place without one."""
    from rtstyle.sinks.null import NullSink
    from rtstyle.sinks.window import WindowSink

    sink: Sink = WindowSink(f"rtstyle: {style}") if window else NullSink()
    stack.callback(sink.abort)
    sink.open()
    return sink


def read_resolution(text: str) -> tuple[int, int]:
    """Return width and height of `640x480`. Raises `UsageError`."""
    width, times, height = text.lower().partition("x")
    if not (times and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--resolution {text} is no size.", "", "Write it like 640x480.")
    return int(width), int(height)


def mirrored(stylizer: Callable[[Image], Image]) -> Callable[[Image], Image]:
    """Return a function that swaps left and right, and then paints."""
    import numpy as np

    def paint(image: Image) -> Image:
        return stylizer(np.ascontiguousarray(image[:, ::-1]))

    return paint


def summary(report: Report) -> str:
    """Return one line: frames, rate, delay, drops."""
    if not report.frames_out:
        return "stopped before the first frame"
    share = 100 * report.drops["late"] / max(1, report.frames_in)
    return (
        f"{report.frames_out} frames, {report.steady_fps:.1f} FPS, latency "
        f"p50 {1000 * report.latency['p50']:.0f} ms, p95 {1000 * report.latency['p95']:.0f} ms, "
        f"{report.drops['late']} dropped ({share:.1f} %)"
    )
