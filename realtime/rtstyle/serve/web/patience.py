"""How long the server waits for a client, and how many it waits for: slow ones lock nobody out.

uvicorn waits for the head of a request for ever, and counts those who are waited for among the
connections it takes. Here each wait has a limit, and where too many are waited for, the one that
took longest makes room: whoever comes next always gets in.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from rtstyle.serve.web.guard import VIDEO_WITHIN

Wait: TypeAlias = Literal["idle", "rest", "head", "body"]
"""What a client owes: a next request, the rest of one that is answered, a head, or a body."""

KEEP_ALIVE = 10
"""Seconds that a connection may be idle between two requests."""
WITHIN: dict[Wait, float] = {
    # uvicorn closes these itself, unless the client does not read what was sent before.
    "idle": KEEP_ALIVE + 5.0,
    "rest": 10.0,
    "head": 10.0,
    # The guard answers before that, with words.
    "body": VIDEO_WITHIN + 10.0,
}
"""Seconds after which a client that is waited for is cut off."""
PER_ADDRESS = 32
"""Clients of one address that are waited for; a browser opens six connections."""
IN_ALL = 128
"""Clients of all addresses that are waited for."""
SETTLED = 0.1
"""Seconds after a new connection in which its request is likely there."""
CONNECTIONS = 256
"""Connections of all kinds; those who are served at once have bounds of their own."""
HANDSHAKE_WITHIN = 10.0
"""Seconds for the handshake of HTTPS."""

_SPARED: tuple[Wait, ...] = ("idle", "rest", "head", "body")
"""Who makes room first: a browser that finds an idle connection closed opens another one."""


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with `WITHIN`, `PER_ADDRESS` and `IN_ALL`."""

    wait: Wait | None = None
    since = 0.0
    address = ""
    _timer: asyncio.TimerHandle | None = None
    _upgraded = False

    def connection_made(self, transport: Any) -> None:
        """Take a new connection, and let another one go if there are too many."""
        super().connection_made(transport)
        self.address = network_of(self.client[0] if self.client else "")
        self._wait_for("head")
        for one in surplus(self._waited_for(), IN_ALL):
            one.cut_off()
        # A request that came along with the connection is read first.
        self.loop.call_later(SETTLED, self._make_room)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        super().data_received(data)
        self._look("head")

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._look("idle")

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to the protocol of WebSockets, which has its own patience."""
        self._upgraded = True
        self._wait_for(None)
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._wait_for(None)
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """End the connection at once, whether or not the client reads."""
        self._wait_for(None)
        self.transport.abort()

    def _waited_for(self) -> list[PatientProtocol]:
        connections = (one for one in self.connections if isinstance(one, PatientProtocol))
        return [one for one in connections if one.wait is not None]

    def _make_room(self) -> None:
        own = [one for one in self._waited_for() if one.address == self.address]
        for one in surplus(own, PER_ADDRESS):
            one.cut_off()

    def _look(self, between: Wait) -> None:
        """See what the client owes now; `between` is what it does while no request has begun."""
        if self._upgraded:
            return
        state = self.conn.their_state
        answered = self.cycle is None or self.cycle.response_complete
        if state is h11.IDLE:
            self._wait_for(between)
        elif state is h11.SEND_BODY:
            self._wait_for("rest" if answered else "body")
        else:
            # The server's turn; a connection that is being closed may still have to be read.
            self._wait_for("rest" if answered else None)

    def _wait_for(self, wait: Wait | None) -> None:
        if wait == self.wait:
            return  # What comes drop by drop gains no time.
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.wait, self.since = wait, self.loop.time()
        if wait is not None:
            self._timer = self.loop.call_later(WITHIN[wait], self.cut_off)


def surplus(waiting: Iterable[PatientProtocol], most: int) -> list[PatientProtocol]:
    """Return who of those that are waited for has to go, so that `most` are left."""
    order = sorted(waiting, key=lambda one: (_SPARED.index(one.wait or "idle"), one.since))
    return order[: max(0, len(order) - most)]


def network_of(host: str) -> str:
    """Return what counts as one client's address: of IPv6 the first 64 bits."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
