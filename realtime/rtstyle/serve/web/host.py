"""uvicorn as it serves here: patient with nobody, quiet, and stopped in order."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import uvicorn

from rtstyle.errors import UsageError
from rtstyle.files.temporary import temporary_folder
from rtstyle.remote.api import LONGEST_MESSAGE
from rtstyle.serve.defaults import HOST, PORT
from rtstyle.serve.web.addresses import is_loopback
from rtstyle.serve.web.certificate import self_signed
from rtstyle.serve.web.listener import MIN_TOKEN
from rtstyle.serve.web.patience import CONNECTIONS, HANDSHAKE_WITHIN, KEEP_ALIVE, PatientProtocol
from rtstyle.signals import handled

if TYPE_CHECKING:
    from starlette.types import ASGIApp

GRACE = 2
"""Seconds that open requests have to end."""


class Closes(Protocol):
    """What a server closes before it waits for its requests."""

    async def close(self) -> None:
        """End what would not end by itself."""


class Server(uvicorn.Server):
    """A uvicorn server that ends its streams before it waits for them."""

    site: Closes

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the streams, which would not end by themselves, and then the server."""
        await self.site.close()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; who only opens a connection to HTTPS is soon let go."""
        if not self.config.is_ssl:
            await super().startup(sockets)
            return
        # uvicorn has no option for this.
        loop: Any = asyncio.get_running_loop()
        loop.create_server = partial(loop.create_server, ssl_handshake_timeout=HANDSHAKE_WITHIN)
        try:
            await super().startup(sockets)
        finally:
            del loop.create_server

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let the signals of `ENDING` end the server in order, but not the program."""

        def on_signal(_: int, __: FrameType | None) -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

        with handled(on_signal):
            yield


def make_server(app: ASGIApp, site: Closes, certificate: Path | None, key: Path | None) -> Server:
    """Return a server of `app`, which closes `site` when it ends; with a certificate by HTTPS."""
    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            # It would write tokens into the log.
            access_log=False,
            loop="asyncio",
            http=PatientProtocol,
            ws="websockets-sansio",
            ws_max_size=LONGEST_MESSAGE,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
            h11_max_incomplete_event_size=32_768,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    )
    server.site = site
    return server


@contextmanager
def beside(server: Server, listener: socket.socket) -> Iterator[None]:
    """Serve from a thread of its own for as long as the context lasts."""
    thread = threading.Thread(
        target=server.run, args=([listener],), name="rtstyle-serve", daemon=True
    )
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()


@dataclass(frozen=True)
class Access:
    """Where a server listens, and who may come in. `port` 0 is any free one.

    Raises `UsageError` for a host without a token, a short one, or half a certificate.
    """

    host: str = HOST
    port: int = PORT
    token: str | None = None
    https: bool = False
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        check_access(self.host, self.token, self.certificate, self.key)

    @property
    def secure(self) -> bool:
        """Whether it is served by HTTPS."""
        return self.https or self.certificate is not None

    def certificates(self, stack: ExitStack) -> tuple[Path | None, Path | None]:
        """Return certificate and key to serve with; both None without HTTPS."""
        if not self.secure:
            return None, None
        return find_certificate(self.host, self.certificate, self.key, stack)

    def url(self, address: str) -> str:
        """Return the address of the page, with the token, if any."""
        return address + (f"/?token={self.token}" if self.token else "/")


def check_access(host: str, token: str | None, certificate: Path | None, key: Path | None) -> None:
    """Raise `UsageError` for a host without a token, a short one, or half a certificate."""
    if token is not None and len(token) < MIN_TOKEN:
        raise UsageError(f"A token has {MIN_TOKEN} characters at least.")
    if not is_loopback(host) and token is None:
        raise UsageError(f"To serve on {host} a token is needed.")
    if (certificate is None) != (key is None):
        raise UsageError("--certificate and --key go together.")


def find_certificate(
    host: str, certificate: Path | None, key: Path | None, stack: ExitStack
) -> tuple[Path, Path]:
    """Return certificate and key to serve HTTPS with: those given, or new ones of our own."""
    if certificate is not None and key is not None:
        for path in (certificate, key):
            if not path.is_file():
                raise UsageError(f"There is no file {path}.", "", "Check --certificate and --key.")
        return certificate, key
    folder = stack.enter_context(temporary_folder())
    return self_signed(host, Path(folder))


def open_browser(url: str) -> None:
    """Open the page, in a thread because some browsers keep their caller waiting."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
