"""Binds, warms up, serves, and stops in order."""

from __future__ import annotations

import contextlib
import gc
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtstyle.errors import EngineError, UsageError
from rtstyle.files.temporary import temporary_folder
from rtstyle.live.bank import StyleBank
from rtstyle.live.person import compiled_model
from rtstyle.machine.heap import set_apart, share_arenas
from rtstyle.pipeline import one_opencv_thread
from rtstyle.serve.camera import CameraHub
from rtstyle.serve.clients.lobby import SILENCE, Lobby
from rtstyle.serve.defaults import MAX_CLIENTS, MIN_FPS, TARGET_FPS
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.gallery.library import Library
from rtstyle.serve.paint_jobs import PaintJobs
from rtstyle.serve.painter import USUAL, Painter
from rtstyle.serve.scenes import read_beat, read_scenes
from rtstyle.serve.settings import as_query
from rtstyle.serve.stage import Stage
from rtstyle.serve.web.app import build_app
from rtstyle.serve.web.host import (
    Access,
    Server,
    beside,
    make_server,
    open_browser,
)
from rtstyle.serve.web.listener import address_of, bind
from rtstyle.styles.manifest import DEFAULT_STYLE
from rtstyle.styles.recipe import Recipe

WARM_UP = 8
"""Paintings at the start, which also measure the machine."""


@dataclass(frozen=True)
class Options(Access):
    """What `rtstyle serve` was told; see its help.

    Raises `UsageError` for values that contradict each other.
    """

    style: str = DEFAULT_STYLE
    size: str = "fast"
    style_scale: float = 1.0
    device: str = "auto"
    precision: str = "auto"
    camera: str = "0"
    max_clients: int = MAX_CLIENTS
    min_fps: float = MIN_FPS
    target_fps: float = TARGET_FPS
    silence: float = SILENCE
    library: Path | None = None
    scenes: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        Recipe(self.style, self.size, style_scale=self.style_scale)
        if self.max_clients < 1:
            raise UsageError("--max-clients is 1 or more.")


@dataclass
class Running:
    """A server that is ready: `url` for the page (with the token, if any), and its parts."""

    url: str
    address: str
    server: Server
    lobby: Lobby
    hub: CameraHub

    @property
    def obs(self) -> str:
        """The bare page for OBS, in the style that is shown first."""
        token = self.url.partition("?")[2]
        style = f"{self.address}/obs?style={as_query(self.lobby.catalogue.first)}"
        return f"{style}&{token}" if token else style


def serve(options: Options, started: Callable[[Running], None], *, open_page: bool = False) -> None:
    """Serve until Ctrl-C or SIGTERM. `started` is called once the port is bound.

    `open_page` then opens the page in a browser.

    Raises `UsageError` (port in use), `StyleError`, `DeviceError` or `EngineError`.
    """
    # aiortc reports every lost packet as if it were news.
    for noisy in ("aiortc", "aioice"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    share_arenas()
    with ExitStack() as stack:
        running, listener = prepare(options, stack)
        started(running)
        if open_page:
            open_browser(running.url)
        running.server.run(sockets=[listener])


@contextmanager
def serving(options: Options) -> Iterator[Running]:
    """Serve from a thread of its own for as long as the context lasts, for tests and notebooks.

    Raises as `serve` does.
    """
    with ExitStack() as stack:
        running, listener = prepare(options, stack)
        with beside(running.server, listener):
            yield running


def prepare(options: Options, stack: ExitStack) -> tuple[Running, socket.socket]:
    """Bind, open the models and measure the machine; `stack` frees all of it."""
    # First of all, as it takes no time and fails most often.
    listener = stack.enter_context(
        contextlib.closing(bind(options.host, options.port, "--host", "--port"))
    )
    pictures = temporary_folder()
    folder = Path(stack.enter_context(pictures))
    library = Library(options.library) if options.library is not None else None
    catalogue = Catalogue(options.style, options.size, folder, library)
    scenes = read_scenes(options.scenes, catalogue) if options.scenes is not None else ()
    beat = read_beat(options.scenes) if options.scenes is not None else ""
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
    set_apart()
    stack.callback(gc.unfreeze)
    hub = CameraHub(options.camera, lobby, stage=Stage(catalogue, scenes, options.target_fps, beat))
    address = address_of(listener, options.host, secure=options.secure)
    jobs = PaintJobs(folder / "painted", options.device, options.precision)
    app, site = build_app(
        lobby,
        hub,
        jobs,
        host=options.host,
        token=options.token,
        secure=options.secure,
        address=address,
    )
    server = make_server(app, site, *options.certificates(stack))
    return Running(options.url(address), address, server, lobby, hub), listener


def warm_up(bank: StyleBank, painter: Painter, catalogue: Catalogue) -> None:
    """Open the first style, measure the machine with it, and start to open the others."""
    first = catalogue.model_of(catalogue.first)
    picture = np.random.default_rng(0).integers(0, 256, (*USUAL, 3), np.uint8)
    bank.paint(picture, first, catalogue.size)
    # Else everybody waits for it when the first one asks for the person alone.
    with contextlib.suppress(EngineError):
        compiled_model(1)
    for _ in range(WARM_UP):
        began = time.monotonic()
        bank.paint(picture, first, catalogue.size)
        painter.measure(time.monotonic() - began)
    painter.settle()
    models = [entry.model for entry in catalogue.entries.values() if not entry.picture]
    # One painting warms the network for any: the first picture that is sent comes in at once.
    models += [catalogue.model_of(((name, 1.0),)) for name in sorted(catalogue.mixable)[:1]]
    bank.prepare([(model, catalogue.size) for model in models], painter.usual, urgent=False)
