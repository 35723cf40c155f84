"""`rtstyle webcam`: paint a camera live."""

from __future__ import annotations

import typer

from rtstyle.commands.live.webcam_options import (
    CameraOptions,
    ChangeOptions,
    ControlOptions,
    LiveStyle,
    OutputOptions,
    RunOptions,
)
from rtstyle.commands.options import grouped


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("webcam", help="Paint a camera live: window, recording, virtual camera.")(
        grouped(webcam)
    )


def webcam(
    *,
    camera: CameraOptions,
    asked: LiveStyle,
    changes: ChangeOptions,
    outputs: OutputOptions,
    controls: ControlOptions,
    run: RunOptions,
) -> None:
    """Paint a camera live. In the window `?` lists the keys; `q` or Ctrl-C ends it."""
    from rtstyle.commands.live.webcam_run import paint

    raise typer.Exit(paint(camera, asked, changes, outputs, controls, run))
