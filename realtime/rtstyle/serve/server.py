"""Binds, warms up, serves, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import uvicorn

from rtstyle.errors import UsageError
from rtstyle.live.bank import StyleBank
from rtstyle.pipeline import one_opencv_thread
from rtstyle.remote.api import LONGEST_MESSAGE
from rtstyle.serve.camera import CameraHub
from rtstyle.serve.clients.lobby import MAX_CLIENTS, MIN_FPS, SILENCE, Lobby
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.painter import TARGET_FPS, USUAL, Painter
from rtstyle.serve.web.app import Site, build_app
from rtstyle.serve.web.certificate import self_signed
from rtstyle.serve.web.guard import is_loopback
from rtstyle.serve.web.listener import MIN_TOKEN, address_of, bind
from rtstyle.serve.web.patience import CONNECTIONS, HANDSHAKE_WITHIN, KEEP_ALIVE, PatientProtocol
from rtstyle.signals import handled
from rtstyle.styles.manifest import DEFAULT_STYLE
from rtstyle.styles.recipe import Recipe

PORT = 8765
WARM_UP = 8
"""Paintings at the start, which also measure the machine."""
GRACE = 2
"""Seconds that open requests have to end."""


@dataclass(frozen=True)
class Options:
    """What `rtstyle serve` was told; see its help.

    `port` 0 is any free one. Raises `UsageError` for values that contradict each other.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    style: str = DEFAULT_STYLE
    size: str = "fast"
    style_scale: float = 1.0
    device: str = "auto"
    precision: str = "auto"
    camera: str = "0"
    max_clients: int = MAX_CLIENTS
    min_fps: float = MIN_FPS
    target_fps: float = TARGET_FPS
    token: str | None = None
    https: bool = False
    certificate: Path | None = None
    key: Path | None = None
    silence: float = SILENCE

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < MIN_TOKEN:
            raise UsageError(f"A token has {MIN_TOKEN} characters at least.")
        if not is_loopback(self.host) and self.token is None:
            raise UsageError(f"To serve on {self.host} a token is needed.")
        if (self.certificate is None) != (self.key is None):
            raise UsageError("--certificate and --key go together.")
        Recipe(self.style, self.size, style_scale=self.style_scale)
        if self.max_clients < 1:
            raise UsageError("--max-clients is 1 or more.")

    @property
    def secure(self) -> bool:
        """Whether it is served by HTTPS."""
        return self.https or self.certificate is not None


class Server(uvicorn.Server):
    """A uvicorn server that ends its streams before it waits for them."""

    site: Site

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


@dataclass
class Running:
    """A server that is ready: `url` for the page (with the token, if any), and its parts."""

    url: str
    address: str
    server: Server
    lobby: Lobby
    hub: CameraHub


def serve(options: Options, started: Callable[[Running], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. `started` is called once the port is bound.

    Raises `UsageError` (port in use), `StyleError`, `DeviceError` or `EngineError`.
    """
    with ExitStack() as stack:
        running, listener = prepare(options, stack)
        started(running)
        running.server.run(sockets=[listener])


@contextmanager
def serving(options: Options) -> Iterator[Running]:
    """Serve from a thread of its own for as long as the context lasts, for tests and notebooks.

    Raises as `serve` does.
    """
    with ExitStack() as stack:
        running, listener = prepare(options, stack)
        thread = threading.Thread(
            target=running.server.run, args=([listener],), name="rtstyle-serve", daemon=True
        )
        thread.start()
        try:
            while not running.server.started and thread.is_alive():
                time.sleep(0.01)
            yield running
        finally:
            running.server.should_exit = True
            thread.join()


def prepare(options: Options, stack: ExitStack) -> tuple[Running, socket.socket]:
    """Bind, open the models and measure the machine; `stack` frees all of it."""
    # First of all, as it takes no time and fails most often.
    listener = stack.enter_context(
        contextlib.closing(bind(options.host, options.port, "--host", "--port"))
    )
    pictures = tempfile.TemporaryDirectory(prefix="rtstyle-", ignore_cleanup_errors=True)
    catalogue = Catalogue(options.style, options.size, Path(stack.enter_context(pictures)))
    stack.enter_context(one_opencv_thread())
    bank = StyleBank(
        device=options.device,
        precision=options.precision,
        capacity=len(catalogue) + 4,
        style_scale=options.style_scale,
    )
    stack.enter_context(bank)
    painter = Painter(options.size, options.target_fps)
    warm_up(bank, painter, catalogue)
    stack.enter_context(painter)
    lobby = Lobby(
        bank,
        painter,
        catalogue,
        max_clients=options.max_clients,
        min_fps=options.min_fps,
        silence=options.silence,
    )
    hub = CameraHub(options.camera, lobby)
    app, site = build_app(lobby, hub, host=options.host, token=options.token, secure=options.secure)
    certificate, key = certificates(options, stack)
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
    address = address_of(listener, options.host, secure=options.secure)
    url = address + (f"/?token={options.token}" if options.token else "/")
    return Running(url, address, server, lobby, hub), listener


def certificates(options: Options, stack: ExitStack) -> tuple[Path | None, Path | None]:
    """Return the certificate and key to serve with; both None without HTTPS."""
    if not options.secure:
        return None, None
    if options.certificate is not None and options.key is not None:
        for path in (options.certificate, options.key):
            if not path.is_file():
                raise UsageError(f"There is no file {path}.", "", "Check --certificate and --key.")
        return options.certificate, options.key
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rtstyle-"))
    return self_signed(options.host, Path(folder))


def warm_up(bank: StyleBank, painter: Painter, catalogue: Catalogue) -> None:
    """Open the first style, measure the machine with it, and start to open the others."""
    first = catalogue.model_of(catalogue.first)
    picture = np.random.default_rng(0).integers(0, 256, (*USUAL, 3), np.uint8)
    bank.paint(picture, first, catalogue.size)
    for _ in range(WARM_UP):
        began = time.monotonic()
        bank.paint(picture, first, catalogue.size)
        painter.measure(time.monotonic() - began)
    painter.settle()
    models = [entry.model for entry in catalogue.entries.values()]
    # One painting warms the network for any: the first picture that is sent comes in at once.
    models += [catalogue.model_of(((name, 1.0),)) for name in sorted(catalogue.mixable)[:1]]
    bank.prepare([(model, catalogue.size) for model in models], painter.usual, urgent=False)


def open_browser(url: str) -> None:
    """Open the page, in a thread because some browsers keep their caller waiting."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
