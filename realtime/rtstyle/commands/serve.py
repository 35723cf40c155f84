"""`rtstyle serve`: a web page that paints the browser's camera, and a page for OBS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.commands.common.extras import require_extra
from rtstyle.commands.options import (
    SCALE_HELP,
    STYLE_HELP,
    Device,
    Listening,
    Precision,
    grouped,
)
from rtstyle.serve.defaults import MAX_CLIENTS, MIN_FPS, TARGET_FPS
from rtstyle.serve.web.addresses import is_loopback
from rtstyle.styles.manifest import DEFAULT_STYLE
from rtstyle.styles.recipe import Recipe

if TYPE_CHECKING:
    from rtstyle.serve.server import Running


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("serve", help="Serve a web page that paints the browser's camera.")(grouped(serve))


def serve(
    style: Annotated[str, typer.Option(help=f"Shown first. {STYLE_HELP}")] = DEFAULT_STYLE,
    size: Annotated[str, typer.Option(help="Network: fast, balanced or paper.")] = "fast",
    style_scale: Annotated[
        float, typer.Option(help=SCALE_HELP + " Built-in ones keep theirs.")
    ] = Recipe.style_scale,
    device: Device = "auto",
    precision: Precision = "auto",
    camera: Annotated[
        str, typer.Option(help="This machine's camera, for /obs: index, URL, file or `test`.")
    ] = "0",
    max_clients: Annotated[
        int, typer.Option(help="Most clients at once, however quick the machine.", min=1)
    ] = MAX_CLIENTS,
    min_fps: Annotated[
        float, typer.Option(help="Refuse a client if each would get fewer frames.", min=0)
    ] = MIN_FPS,
    target_fps: Annotated[
        float, typer.Option(help="Choose the working resolution for this rate; low is finer.")
    ] = TARGET_FPS,
    library: Annotated[
        Path | None,
        typer.Option(help="Keep pictures that pages send in this folder.", show_default=False),
    ] = None,
    scenes: Annotated[
        Path | None,
        typer.Option(help="Scenes for the page, as TOML: show.toml.", show_default=False),
    ] = None,
    https: Annotated[
        bool | None,
        typer.Option(
            "--https/--no-https",
            help="Sign a certificate (default: off loopback, as cameras need it).",
            show_default=False,
        ),
    ] = None,
    *,
    listening: Listening,
) -> None:
    """Serve a web page that paints the browser's camera. Ctrl-C ends it."""
    require_extra("serve", "rtstyle serve", "aiortc", "segno", "starlette", "uvicorn", "websockets")
    from rtstyle.serve import server

    options = server.Options(
        style=style,
        size=size,
        style_scale=style_scale,
        device=device,
        precision=precision,
        camera=camera,
        max_clients=max_clients,
        min_fps=min_fps,
        target_fps=target_fps,
        https=not is_loopback(listening.host) if https is None else https,
        library=library,
        scenes=scenes,
        **listening.settings(),
    )

    def started(running: Running) -> None:
        typer.echo(f"rtstyle serves {running.url}")
        typer.echo(f"for OBS: {running.obs}")
        if options.secure and options.certificate is None:
            typer.echo("The certificate is our own: the browser will warn once.", err=True)
        typer.echo("Ctrl-C ends it.", err=True)

    server.serve(options, started, open_page=listening.open_page)
    typer.echo("stopped", err=True)
