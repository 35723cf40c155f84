"""`rtstyle serve`: a web page that paints the browser's camera, and a page for OBS."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.commands.live.extras import require_extra
from rtstyle.commands.options import (
    SCALE_HELP,
    STYLE_HELP,
    Certificate,
    Device,
    Host,
    Key,
    OpenPage,
    Port,
    Precision,
    Token,
)
from rtstyle.serve.defaults import HOST, MAX_CLIENTS, MIN_FPS, PORT, TARGET_FPS
from rtstyle.styles.manifest import DEFAULT_STYLE

if TYPE_CHECKING:
    from rtstyle.serve.server import Running


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("serve", help="Serve a web page that paints the browser's camera.")(serve)


def serve(
    host: Host = HOST,
    port: Port = PORT,
    style: Annotated[str, typer.Option(help=f"Shown first. {STYLE_HELP}")] = DEFAULT_STYLE,
    size: Annotated[str, typer.Option(help="Network: fast, balanced or paper.")] = "fast",
    style_scale: Annotated[
        float, typer.Option(help=SCALE_HELP + " Built-in ones keep theirs.")
    ] = 1.0,
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
    token: Token = None,
    https: Annotated[
        bool | None,
        typer.Option(
            "--https/--no-https",
            help="Sign a certificate (default: off loopback, as cameras need it).",
            show_default=False,
        ),
    ] = None,
    certificate: Certificate = None,
    key: Key = None,
    open_page: OpenPage = True,
) -> None:
    """Serve a web page that paints the browser's camera. Ctrl-C ends it."""
    require_extra("serve", "rtstyle serve", "aiortc", "segno", "starlette", "uvicorn", "websockets")
    import logging

    from rtstyle.serve.server import Options
    from rtstyle.serve.server import serve as run
    from rtstyle.serve.settings import as_query
    from rtstyle.serve.web.guard import is_loopback
    from rtstyle.serve.web.host import open_browser

    # aiortc reports every lost packet as if it were news.
    for noisy in ("aiortc", "aioice"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    near = is_loopback(host)
    options = Options(
        host=host,
        port=port,
        style=style,
        size=size,
        style_scale=style_scale,
        device=device,
        precision=precision,
        camera=camera,
        max_clients=max_clients,
        min_fps=min_fps,
        target_fps=target_fps,
        token=token or (None if near else secrets.token_urlsafe(24)),
        https=(not near) if https is None else https,
        certificate=certificate,
        key=key,
        library=library,
        scenes=scenes,
    )

    def started(running: Running) -> None:
        typer.echo(f"rtstyle serves {running.url}")
        link = f"{running.address}/obs?style={as_query(running.lobby.catalogue.first)}"
        typer.echo(f"for OBS: {link}" + (f"&token={options.token}" if options.token else ""))
        if options.secure and certificate is None:
            typer.echo("The certificate is our own: the browser will warn once.", err=True)
        typer.echo("Ctrl-C ends it.", err=True)
        if open_page:
            open_browser(running.url)

    run(options, started)
    typer.echo("stopped", err=True)
