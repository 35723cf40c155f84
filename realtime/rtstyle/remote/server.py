"""Serves the controls beside a running picture, from a thread of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from rtstyle.closeable import Closing
from rtstyle.errors import RtstyleError, UsageError
from rtstyle.live.controls.bindings import Bindings
from rtstyle.live.controls.board import Board
from rtstyle.remote.api import LONGEST_MESSAGE, ControlApi
from rtstyle.remote.defaults import HOST, PORT
from rtstyle.serve.web.addresses import is_loopback
from rtstyle.serve.web.guard import Guard, RefusedError
from rtstyle.serve.web.listener import MIN_TOKEN, address_of, bind
from rtstyle.serve.web.patience import CONNECTIONS, KEEP_ALIVE, PatientProtocol
from rtstyle.serve.web.replies import handler_for, refused, unforeseen

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

GRACE = 2
"""Seconds that open requests have to end."""


@dataclass(frozen=True)
class Address:
    """Where to listen. Port 0 is any free one. Raises `UsageError`.

    Off loopback a token is needed, as for `rtstyle serve`. It goes over the wire as it is: use it
    in a network that you trust.
    """

    host: str = HOST
    port: int = PORT
    token: str | None = None

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < MIN_TOKEN:
            raise UsageError(f"A token has at least {MIN_TOKEN} characters.")
        if self.token is None and not is_loopback(self.host):
            raise UsageError(f"Control from {self.host} needs a token.")


class ControlServer(Closing):
    """Listens at `address` from the moment it is made; `url` is the page with all controls.

    Raises `UsageError` if the port is taken.
    """

    def __init__(self, board: Board, address: Address, bindings: Bindings | None = None) -> None:
        self._listener = bind(address.host, address.port, "--control-host", "--control-port")
        self.api = ControlApi(board, bindings=bindings)
        self.address = address_of(self._listener, address.host)
        self.url = f"{self.address}/control"
        if address.token:
            self.url += f"?token={address.token}"
        self._server = _Server(uvicorn.Config(self._app(address), **SETTINGS), self.api)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), name="rtstyle-control", daemon=True
        )
        self._thread.start()

    def _app(self, address: Address) -> ASGIApp:
        handlers: dict[Any, Any] = {
            RefusedError: refused,
            RtstyleError: handler_for(400),
            Exception: unforeseen,
        }
        routes = [Route("/", to_page), *self.api.routes()]
        app = Starlette(routes=routes, exception_handlers=handlers)
        return Guard(app, host=address.host, token=address.token)

    def close(self) -> None:
        """End all connections and the thread."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


SETTINGS: dict[str, Any] = {
    "log_config": None,
    # It would write tokens into the log.
    "access_log": False,
    "loop": "asyncio",
    "lifespan": "off",
    "http": PatientProtocol,
    "ws": "websockets-sansio",
    "ws_max_size": LONGEST_MESSAGE,
    "server_header": False,
    "proxy_headers": False,
    "limit_concurrency": CONNECTIONS,
    "timeout_keep_alive": KEEP_ALIVE,
    "timeout_graceful_shutdown": GRACE,
    "h11_max_incomplete_event_size": 32_768,
}


class _Server(uvicorn.Server):
    """Ends its WebSockets before it waits for them."""

    def __init__(self, config: uvicorn.Config, api: ControlApi) -> None:
        super().__init__(config)
        self._api = api

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Close the WebSockets, which would not end by themselves, and then the server."""
        await self._api.close()
        await super().shutdown(sockets)


async def to_page(_: Request) -> Response:
    """Lead to the page."""
    return RedirectResponse("/control")
