"""OSC over UDP, in and out: `/rtstyle/strength 0.5`, and addresses that are bound."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rtstyle.closeable import Closing
from rtstyle.errors import RtstyleError, UsageError, reason
from rtstyle.live.controls.bindings import Bindings
from rtstyle.live.controls.board import Board
from rtstyle.live.controls.change import from_text
from rtstyle.live.controls.table import Control, Kind, find_control
from rtstyle.remote.defaults import HOST

PREFIX = "/rtstyle/"
LONGEST = 65_535
ALL = f"{PREFIX}state"
"""Asks for all values to be sent."""


class OscFace(Closing):
    """Listens on UDP `port` of `host` (0: any free one), and sends what changes to `out`.

    `/rtstyle/NAME VALUE` sets a control, without a value it is pressed. Other addresses do what
    `bindings` say; their argument, 0 to 1, is the position of a knob. What is refused goes to `out`
    as `/rtstyle/error`. Time tags of bundles do not count: a change is for now. Raises `UsageError`
    if the port is taken.
    """

    def __init__(
        self,
        board: Board,
        bindings: Bindings,
        port: int,
        host: str = HOST,
        out: tuple[str, int] | None = None,
    ) -> None:
        self._board, self._bindings = board, bindings
        self._socket = open_socket(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._out = out
        self._sender = socket.socket(address_family(out, self._socket), socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._closed = False
        self.refused = 0
        self._leave = board.subscribe(self._tell)
        self._thread = threading.Thread(target=self._listen, name="rtstyle-osc", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._leave()
        with socket.socket(self._socket.family, socket.SOCK_DGRAM) as waker:
            host = self._socket.getsockname()[0]
            near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
            waker.sendto(b"", (near, self.port))
        self._thread.join()
        self._socket.close()
        self._sender.close()

    def _listen(self) -> None:
        while not self._closed:
            try:
                packet = self._socket.recv(LONGEST)
            except OSError:
                # Windows says so when what was sent before found nobody.
                continue
            for address, arguments in read_packet(packet):
                self._take(address, arguments)

    def _take(self, address: str, arguments: list[Any]) -> None:
        try:
            if address == ALL:
                self._tell(self._board.state)
            elif asked := self._meant(address, arguments):
                self._board.ask(asked)
        except RtstyleError as error:
            self.refused += 1
            self._send(f"{PREFIX}error", str(error))

    def _meant(self, address: str, arguments: list[Any]) -> dict[str, Any]:
        """Return the changes that a message asks for. Raises `UsageError`."""
        argument = arguments[0] if arguments else None
        waited = self._bindings.waiting is not None
        binding = self._bindings.heard("osc", address)
        if waited:
            return {}
        if binding is not None:
            return binding.pressed() if argument is None else binding.moved(amount_of(argument))
        if not address.startswith(PREFIX):
            return {}
        control = find_control(address.removeprefix(PREFIX))
        return {control.name: value_of(control, argument)}

    def _tell(self, news: Mapping[str, Any]) -> None:
        for name, value in news.items():
            self._send(f"{PREFIX}{name}", int(value) if isinstance(value, bool) else value)

    def _send(self, address: str, value: Any) -> None:
        if self._out is None:
            return
        # Where nobody is there, or the network is down, the next change is sent again.
        with suppress(OSError):
            self._sender.sendto(message_of(address, value), self._out)


def message_of(address: str, *values: Any) -> bytes:
    """Return a packet of one message."""
    from pythonosc.osc_message_builder import OscMessageBuilder

    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build().dgram


def address_family(out: tuple[str, int] | None, listener: socket.socket) -> int:
    """Return the family of the addresses of `out`. Raises `UsageError` for an unknown host."""
    if out is None:
        return listener.family
    try:
        return socket.getaddrinfo(*out, type=socket.SOCK_DGRAM)[0][0]
    except (OSError, UnicodeError) as error:
        listener.close()
        raise UsageError(f"There is no host {out[0]}.", "", "Check --osc-out.") from error


def open_socket(host: str, port: int) -> socket.socket:
    """Return a UDP socket that listens. Raises `UsageError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"There is no host {host}.", "", "Check --osc-host.") from error
    try:
        listener.bind(address)
    except (OSError, OverflowError) as error:
        listener.close()
        why = reason(error)
        raise UsageError(
            f"UDP port {port} of {host} is not free.", f"{why}.", "Choose another --osc, or 0."
        ) from error
    return listener


def read_packet(packet: bytes) -> list[tuple[str, list[Any]]]:
    """Return addresses and arguments of the messages in a packet; none for what is not OSC."""
    from pythonosc.osc_packet import OscPacket

    if len(packet) % 4:
        return []  # Cut off: the parser would fill up what is missing.
    try:
        messages = [timed.message for timed in OscPacket(packet).messages]
        return [(message.address, list(message.params)) for message in messages]
    except Exception:  # Its parsers raise whatever a broken packet leads to.
        return []


def value_of(control: Control, argument: Any) -> object:
    """Return the value of JSON that an argument means: numbers for switches, words for all."""
    if argument is None:
        return from_text(control, "")
    if isinstance(argument, str):
        return from_text(control, argument)
    if control.kind in (Kind.SWITCH, Kind.ACTION) and isinstance(argument, int | float):
        return bool(argument)
    return argument


def amount_of(argument: Any) -> float:
    """Return the position of a knob, 0 to 1. Raises `UsageError`."""
    if isinstance(argument, bool):
        return float(argument)
    if not isinstance(argument, int | float) or not 0 <= argument <= 1:
        raise UsageError(f"{argument!r} is not a position from 0 to 1.")
    return float(argument)
