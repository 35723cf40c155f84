"""The controls by HTTP and WebSocket: JSON in and out, described by OpenAPI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from rtstyle.errors import UsageError
from rtstyle.live.controls.bindings import DEVICES, Bindings
from rtstyle.live.controls.board import Board
from rtstyle.live.controls.change import from_text
from rtstyle.live.controls.table import find_control
from rtstyle.remote.openapi import describe

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.websockets import WebSocket

STATIC = Path(__file__).parent / "static"
MOST_WATCHERS = 32
"""WebSockets at once."""
LONGEST_MESSAGE = 65_536
"""Bytes of the longest message over a WebSocket."""
FIGURES_EVERY = 1.0
"""Seconds between two messages with the figures."""
GOODBYE = 1.0
"""Seconds that WebSockets have to end in order."""
BUSY, TOO_MANY = 1013, "Too many watch already."


class ControlApi:
    """The handlers for one board. `asked` is called after each change that was taken.

    Lives on one event loop; `close` ends the WebSockets, from that loop.
    """

    def __init__(
        self,
        board: Board,
        asked: Callable[[], None] = lambda: None,
        bindings: Bindings | None = None,
    ) -> None:
        self.board, self._asked, self._bindings = board, asked, bindings or Bindings()
        self._watchers: set[Watcher] = set()

    def routes(self) -> list[BaseRoute]:
        """Return what to put into an application."""
        return [
            Route("/api/controls", self.controls, methods=["GET"]),
            Route("/api/controls/{name}", self.read, methods=["GET"]),
            Route("/api/controls/{name}", self.write, methods=["PUT"]),
            Route("/api/state", self.state, methods=["GET"]),
            Route("/api/state", self.change, methods=["PATCH"]),
            Route("/api/do/{name}", self.do, methods=["POST"]),
            Route("/api/do/{name}/{value:path}", self.do, methods=["POST"]),
            Route("/api/openapi.json", self.openapi, methods=["GET"]),
            Route("/api/bindings", self.bindings, methods=["GET"]),
            Route("/api/learn", self.learn, methods=["PUT"]),
            WebSocketRoute("/api/live", self.live),
            Route("/control", self.page, methods=["GET"]),
            Mount("/control", StaticFiles(directory=STATIC)),
        ]

    def ask(self, asked: object) -> None:
        """Ask for changes. Raises `UsageError`."""
        self.board.ask(asked)
        self._asked()

    def snapshot(self) -> dict[str, Any]:
        """Return all that can be read."""
        board = self.board
        return {"state": board.state, "figures": board.figures, "revision": board.revision}

    async def controls(self, _: Request) -> Response:
        """List the controls with their types, ranges and present values."""
        state = self.board.state
        found = [control.described() for control in self.board.controls]
        return JSONResponse([one | {"value": state.get(one["name"])} for one in found])

    async def read(self, request: Request) -> Response:
        """Send one control."""
        control = find_control(request.path_params["name"])
        value = self.board.state.get(control.name)
        return JSONResponse(control.described() | {"value": value})

    async def write(self, request: Request) -> Response:
        """Set one control to the JSON value that is the body."""
        self.ask({request.path_params["name"]: parse(await request.body())})
        return Response(status_code=204)

    async def state(self, _: Request) -> Response:
        """Send the values of all controls."""
        return JSONResponse(self.snapshot())

    async def change(self, request: Request) -> Response:
        """Change several controls at once: an object of values."""
        self.ask(parse(await request.body()))
        return Response(status_code=204)

    async def do(self, request: Request) -> Response:
        """Do what the address says, without a body, as buttons can: `/api/do/style/wave`."""
        name, text = request.path_params["name"], request.path_params.get("value", "")
        self.ask({name: from_text(find_control(name), text)})
        return Response(status_code=204)

    async def openapi(self, _: Request) -> Response:
        """Send the description of all this."""
        return JSONResponse(describe(self.board.controls))

    async def bindings(self, _: Request) -> Response:
        """Send what devices are bound to, what is to be learnt, and what was learnt last."""
        found: dict[str, Any] = {device: self._bindings.of(device) for device in DEVICES}
        last = self._bindings.last
        return JSONResponse(found | {"learning": self._bindings.waiting, "learnt": last})

    async def learn(self, request: Request) -> Response:
        """Bind the knob or address that is touched next to the words in the body; null: nothing."""
        words = parse(await request.body())
        if words is not None and not isinstance(words, str):
            raise UsageError('What is to be learnt are words, such as "strength".')
        self._bindings.learn(words)
        return Response(status_code=204)

    async def page(self, _: Request) -> Response:
        """Send the page with a knob for every control."""
        return FileResponse(STATIC / "control.html")

    async def live(self, socket: WebSocket) -> None:
        """Send every change from now on, and take some."""
        if len(self._watchers) >= MOST_WATCHERS:
            await socket.close(BUSY, TOO_MANY)
            return
        await socket.accept()
        watcher = Watcher(self, socket)
        self._watchers.add(watcher)
        try:
            await watcher.run()
        finally:
            self._watchers.discard(watcher)
            watcher.gone.set()

    async def close(self) -> None:
        """End all WebSockets, and wait a moment for their good-byes."""
        watchers = list(self._watchers)
        for watcher in watchers:
            watcher.end()
        if watchers:
            gone = [asyncio.ensure_future(watcher.gone.wait()) for watcher in watchers]
            await asyncio.wait(gone, timeout=GOODBYE)


class Watcher:
    """One WebSocket. A slow one gets less often what has changed, never out of date."""

    def __init__(self, api: ControlApi, socket: WebSocket) -> None:
        self._api, self._socket = api, socket
        self._news: dict[str, Any] = {}
        self._awake = asyncio.Event()
        self._ended = False
        self._sending = asyncio.Lock()
        self.gone = asyncio.Event()

    def end(self) -> None:
        """Close it soon."""
        self._ended = True
        self._awake.set()

    async def run(self) -> None:
        """Talk until one of both leaves."""
        loop = asyncio.get_running_loop()

        def heard(news: Mapping[str, Any]) -> None:
            # The loop may be closed while the last frame is under way.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._note, dict(news))

        leave = self._api.board.subscribe(heard)
        tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._tell())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leave()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _note(self, news: dict[str, Any]) -> None:
        self._news.update(news)
        self._awake.set()

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._sending:
            await self._socket.send_text(json.dumps(message))

    async def _tell(self) -> None:
        first = self._api.snapshot()
        # Those that were told: what changes while this is sent comes next.
        figures = first["figures"]
        await self._send(first)
        while not self._ended:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._awake.wait(), FIGURES_EVERY)
            self._awake.clear()
            news, self._news = self._news, {}
            message: dict[str, Any] = {"state": news} if news else {}
            if (now := self._api.board.figures) != figures:
                message["figures"] = figures = now
            if message and not self._ended:
                await self._send(message)
        await self._socket.close()

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                self._api.ask(parse(message.get("text") or message.get("bytes") or b""))
            except UsageError as error:
                await self._send({"error": str(error)})


def parse(body: str | bytes) -> Any:
    """Return a value of JSON. Raises `UsageError`."""
    try:
        return json.loads(body)
    # Deep nesting ends in a RecursionError, and is as malformed as the rest.
    except (ValueError, RecursionError) as error:
        raise UsageError("This is not JSON.") from error
