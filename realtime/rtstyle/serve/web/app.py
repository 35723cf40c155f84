"""The routes: the page and its files, offers, pictures, the camera, health and metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from rtstyle import __version__
from rtstyle.errors import RtstyleError, SourceError, StyleError, UsageError
from rtstyle.live.controls.table import BY_NAME, FADE
from rtstyle.live.keys import page_keys
from rtstyle.remote.api import ControlApi
from rtstyle.serve.camera import CameraHub
from rtstyle.serve.clients.lobby import FullError, Lobby
from rtstyle.serve.clients.peer import check_offer, tell
from rtstyle.serve.gallery.catalogue import Entry
from rtstyle.serve.paint_jobs import PaintJobs
from rtstyle.serve.settings import (
    CONTROLS,
    MASK,
    as_json,
    check_settings,
    parse_object,
    read_query,
)
from rtstyle.serve.web.addresses import is_loopback
from rtstyle.serve.web.guard import PICTURES, Guard, RefusedError
from rtstyle.serve.web.metrics import CONTENT_TYPE, Metrics
from rtstyle.serve.web.mjpeg import MjpegResponse
from rtstyle.serve.web.painting import Painting
from rtstyle.serve.web.replies import failure, handler_for, left, refused, unforeseen
from rtstyle.serve.web.sharing import Link
from rtstyle.serve.web.uploads import Uploads

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

STATIC = Path(__file__).parents[1] / "static"


class Site:
    """The handlers, with the lobby and the camera that they serve."""

    def __init__(self, lobby: Lobby, hub: CameraHub, jobs: PaintJobs, link: Link) -> None:
        self.lobby, self.hub, self.metrics = lobby, hub, Metrics(lobby, hub)
        self.jobs, self.link = jobs, link
        self.painting = Painting(jobs, lobby.catalogue)
        self.uploads = Uploads(lobby)
        self.controls = ControlApi(hub.stage.desk.board, hub.stage.turn)

    async def config(self, _: Request) -> Response:
        """Tell the page what there is to choose from."""
        catalogue = self.lobby.catalogue
        return JSONResponse(
            {
                "version": __version__,
                "styles": [public(entry) for entry in catalogue.entries.values()],
                "style": as_json(catalogue.first),
                "size": catalogue.size,
                "pictures": catalogue.takes_pictures,
                "gallery": catalogue.revision,
                "controls": [BY_NAME[name].described() for name in CONTROLS],
                "scenes": [scene.public() for scene in self.hub.stage.scenes],
                "beat": self.hub.stage.beat,
                "keys": [
                    {"shown": key.shown, "does": key.does, "asks": key.bindings}
                    for key in page_keys()
                ],
                "mask": {"rows": MASK[0], "columns": MASK[1]},
                "fade": FADE,
                "draws": catalogue.draws,
                "target_fps": self.lobby.painter.target,
            }
        )

    async def picture(self, request: Request) -> Response:
        """Take a picture as a style: its bytes in, its entry out."""
        return JSONResponse(public(await self.uploads.take(request)))

    async def offer(self, request: Request) -> Response:
        """Open a session: an offer with settings in, the answer out."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "An offer is application/json.")
        body = parse_object(await request.body())
        sdp = check_offer(body.get("sdp"))
        catalogue = self.lobby.catalogue
        settings = check_settings(body.get("settings", {}), catalogue, catalogue.mixable)
        session, reply = await self.lobby.enter(sdp, settings)
        return JSONResponse({"type": "answer", "sdp": reply, "session": session.id})

    async def leave(self, request: Request) -> Response:
        """End a session, if it still is; its name is a secret that only its page knows."""
        session = self.lobby.sessions.get(request.path_params["session"])
        if session is not None:
            self.lobby.leave(session)
        return Response(status_code=204)

    async def thumbnail(self, request: Request) -> Response:
        """Send the picture of a style."""
        name = request.path_params["name"]
        if name not in self.lobby.catalogue:
            raise HTTPException(404, "There is no such style.")
        lobby = self.lobby
        data = await asyncio.to_thread(lobby.catalogue.thumbnail, name, lobby.bank)
        return Response(
            data, media_type="image/webp", headers={"cache-control": "private, max-age=3600"}
        )

    async def stream(self, request: Request) -> ASGIApp:
        """Send the server's camera, painted, as MJPEG."""
        catalogue = self.lobby.catalogue
        settings = read_query(request.query_params, catalogue, catalogue.mixable)
        return Streamed(self.hub, settings)

    async def share(self, request: Request) -> Response:
        """Send the link to this page with a look, and its QR code."""
        look = request.query_params.get("look", "")
        return JSONResponse(self.link.share(look, self.lobby.catalogue))

    async def camera(self, _: Request) -> Response:
        """Tell the page of the camera whether it goes."""
        return JSONResponse({"open": self.hub.is_open, "problem": self.hub.problem})

    async def health(self, _: Request) -> Response:
        """Send the state as JSON."""
        return JSONResponse(self.metrics.health())

    async def prometheus(self, _: Request) -> Response:
        """Send the counters for Prometheus."""
        return PlainTextResponse(self.metrics.text(), media_type=CONTENT_TYPE)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Free everything when the server ends."""
        asyncio.get_running_loop().set_exception_handler(tell)
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """End all streams and sessions."""
        await self.controls.close()
        await self.jobs.close()
        await self.hub.close()
        await self.lobby.close()


def public(entry: Entry) -> dict[str, Any]:
    """Return what a page is told of a style: all but what the bank knows it by."""
    names = ("name", "title", "artist", "year", "mixes", "picture")
    return {name: getattr(entry, name) for name in names}


class Streamed:
    """An MJPEG response that holds its viewer's place exactly as long as it lasts."""

    def __init__(self, hub: CameraHub, settings: dict[str, Any]) -> None:
        self._hub, self._settings = hub, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, or the error that keeps it from starting."""
        try:
            async with self._hub.watch(self._settings) as viewer:
                await MjpegResponse(viewer)(scope, receive, send)
        except (FullError, SourceError) as error:
            await failure(503, str(error))(scope, receive, send)


def page(name: str) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler that sends a file of `static`."""

    async def send(_: Request) -> Response:
        return FileResponse(STATIC / name)

    return send


def build_app(
    lobby: Lobby,
    hub: CameraHub,
    jobs: PaintJobs,
    *,
    host: str,
    address: str,
    token: str | None = None,
    secure: bool = False,
) -> tuple[ASGIApp, Site]:
    """Return the guarded ASGI application, and the site whose `close` ends its streams."""
    site = Site(lobby, hub, jobs, Link(address, token, is_loopback(host)))
    routes = [
        Route("/", page("index.html")),
        Route("/obs", page("bare.html")),
        Route("/stage", page("bare.html")),
        Route("/app.webmanifest", page("app.webmanifest")),
        Route("/favicon.ico", page("icon.svg")),
        Route("/api/config", site.config),
        Route(PICTURES, site.picture, methods=["POST"]),
        Route("/api/offer", site.offer, methods=["POST"]),
        Route("/api/session/{session}/leave", site.leave, methods=["POST"]),
        Route("/api/camera", site.camera),
        Route("/api/share", site.share),
        *site.painting.routes(),
        Route("/obs/stream", site.stream),
        Route("/thumbs/{name}.webp", site.thumbnail),
        Route("/health", site.health),
        Route("/metrics", site.prometheus),
        *site.controls.routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers: dict[Any, Any] = {
        RefusedError: refused,
        HTTPException: refused,
        ClientDisconnect: left,
        FullError: handler_for(503),
        UsageError: handler_for(400),
        StyleError: handler_for(404),
        RtstyleError: handler_for(500),
        Exception: unforeseen,
    }
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=site.lifespan)
    return Guard(app, host=host, token=token, secure=secure), site
