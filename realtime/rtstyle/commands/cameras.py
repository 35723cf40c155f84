"""`rtstyle cameras`: which cameras there are, and what they can."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rtstyle.sources.cameras.info import CameraInfo, Mode


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("cameras", help="List the cameras of this machine with their modes.")(cameras)


def cameras(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List cameras: index, name, device and modes. `--camera` takes index, device or name.

    Without any camera it says so and exits with 0: the question was answered.
    """
    from rtstyle.sources.cameras.camera_list import list_cameras

    found = list_cameras()
    if as_json:
        typer.echo(json.dumps([asdict(camera) for camera in found], indent=2, ensure_ascii=False))
    elif not found:
        typer.echo("No camera was found. --camera test and video files work without one.")
    else:
        for camera in found:
            _print(camera)


def _print(camera: CameraInfo) -> None:
    typer.secho(f"{camera.index}  {camera.name}", bold=True, nl=False)
    typer.echo(f"  {camera.path}" if camera.path else "")
    if camera.problem:
        typer.secho(f"   {camera.problem}", fg="yellow")
    for pixel_format in dict.fromkeys(mode.pixel_format for mode in camera.modes):
        sizes = [mode for mode in camera.modes if mode.pixel_format == pixel_format]
        typer.echo(f"   {pixel_format or 'any':<5}{', '.join(map(say_mode, sizes))}")


def say_mode(mode: Mode) -> str:
    """Return size and highest rate, as `1280x720 at 30`."""
    rate = f" at {max(mode.rates):g}" if mode.rates else ""
    return f"{mode.width}x{mode.height}{rate}"
