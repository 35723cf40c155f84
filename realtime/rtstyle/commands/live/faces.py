"""Opens what controls a webcam from outside, as its options say."""

from __future__ import annotations

from contextlib import ExitStack

import typer

from rtstyle.commands.common.extras import require_stage
from rtstyle.commands.live.webcam_options import ControlOptions
from rtstyle.errors import UsageError
from rtstyle.live.session import LiveSession
from rtstyle.remote.midi import MidiFace
from rtstyle.remote.osc import OscFace
from rtstyle.serve.web.addresses import token_for


def open_faces(asked: ControlOptions, session: LiveSession, stack: ExitStack) -> None:
    """Open all that were asked for, until `stack` closes. Raises `RtstyleError`."""
    if asked.control:
        open_control(session, asked.control_host, asked.control_port, asked.control_token, stack)
    if asked.osc is not None:
        open_osc(session, asked.osc, asked.osc_host, asked.osc_out, stack)
    if asked.midi is not None:
        open_midi(session, asked.midi, stack)


def open_control(
    session: LiveSession, host: str, port: int, token: str | None, stack: ExitStack
) -> None:
    """Serve the controls by HTTP, and print where. Raises `UsageError` or `MissingExtraError`."""
    require_stage("--control", "starlette", "uvicorn", "websockets")
    from rtstyle.remote.server import Address, ControlServer

    address = Address(host, port, token_for(host, token))
    server = ControlServer(session.desk.board, address, session.bindings)
    stack.callback(server.close)
    typer.echo(f"controls at {server.url}", err=True)


def open_osc(session: LiveSession, port: int, host: str, out: str | None, stack: ExitStack) -> None:
    """Listen to OSC. Raises `UsageError` or `MissingExtraError`."""
    require_stage("--osc", "pythonosc")
    target = read_target(out) if out is not None else None
    face = OscFace(session.desk.board, session.bindings, port, host, target)
    stack.callback(face.close)
    typer.echo(f"OSC at UDP {host}:{face.port}", err=True)


def read_target(text: str) -> tuple[str, int]:
    """Return host and port of `192.168.1.20:9001`. Raises `UsageError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise UsageError(f"--osc-out {text} is not HOST:PORT.", "", "Write 192.168.1.20:9001.")
    return host, int(port)


def open_midi(session: LiveSession, port: str, stack: ExitStack) -> None:
    """Listen to a MIDI port. Raises `SourceError` or `MissingExtraError`."""
    require_stage("--midi", "mido", "rtmidi")
    face = MidiFace(
        session.desk.board, session.bindings, port, lambda text: typer.echo(text, err=True)
    )
    stack.callback(face.close)
    typer.echo(f"MIDI from {face.name}", err=True)
