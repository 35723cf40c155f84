"""Opens what controls a webcam from outside, as its options say."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING

import typer

from rtstyle.commands.live.extras import require_stage

if TYPE_CHECKING:
    from rtstyle.live.session import LiveSession


def open_control(
    session: LiveSession, host: str, port: int, token: str | None, stack: ExitStack
) -> None:
    """Serve the controls by HTTP, and print where. Raises `UsageError` or `MissingExtraError`."""
    require_stage("--control", "starlette", "uvicorn", "websockets")
    from rtstyle.remote.server import Address, ControlServer
    from rtstyle.serve.web.guard import is_loopback

    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    server = ControlServer(session.desk.board, Address(host, port, token))
    stack.callback(server.close)
    typer.echo(f"controls at {server.url}", err=True)
