"""The page of a survey and its routes: join, vote, pictures."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from rtstyle.errors import RtstyleError, UsageError
from rtstyle.live.controls.table import is_number
from rtstyle.serve.settings import parse_object
from rtstyle.serve.survey.design import Design
from rtstyle.serve.survey.pictures import Wall
from rtstyle.serve.survey.votes import Votes
from rtstyle.serve.web.guard import Guard, RefusedError
from rtstyle.serve.web.host import (
    Access,
    Server,
    beside,
    make_server,
    open_browser,
)
from rtstyle.serve.web.listener import address_of, bind
from rtstyle.serve.web.replies import handler_for, left, refused, unforeseen

if TYPE_CHECKING:
    from starlette.types import ASGIApp

STATIC = Path(__file__).parents[1] / "static"
KEPT = 64
"""Pictures that are kept as they are sent."""
AHEAD = 1
"""Questions whose pictures a page loads beforehand."""


class SurveyOptions(Access):
    """Where a survey is served, and who may come in."""


class SurveySite:
    """The handlers; they live on the event loop, as the votes do."""

    def __init__(self, design: Design, votes: Votes) -> None:
        self.design, self.votes = design, votes
        self.wall = Wall(design, votes.salt)
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        # A decoded picture takes much memory.
        self._decoding = asyncio.Semaphore(2)

    async def page(self, _: Request) -> Response:
        """Send the page."""
        return FileResponse(STATIC / "survey.html")

    async def join(self, request: Request) -> Response:
        """Begin, or go on by the key of an earlier visit: the key and the question out."""
        body = await read_body(request)
        key, visitor = self.votes.join(text_of(body, "visitor") if "visitor" in body else None)
        return JSONResponse({"visitor": key, **self._state(visitor)})

    async def vote(self, request: Request) -> Response:
        """Take a vote: the next question out. What was answered before counts once."""
        body = await read_body(request)
        visitor = self.votes.number(text_of(body, "visitor"))
        if visitor is None:
            raise HTTPException(404, "This survey does not know you. Reload the page.")
        number, choice, seconds = (number_of(body, n) for n in ("number", "choice", "seconds"))
        done = self.votes.done(visitor)
        if number == done < self.design.total:
            question = self.design.questions(visitor)[done]
            if choice not in range(len(question.shown)):
                raise UsageError("There is no such picture.")
            self.votes.add(visitor, done, question, int(choice), float(seconds))
        return JSONResponse(self._state(visitor))

    def _state(self, visitor: int) -> dict[str, Any]:
        """Return the question that a visitor comes to, and how many there are."""
        done, total = self.votes.done(visitor), self.design.total
        state: dict[str, Any] = {"number": done, "total": total, "question": None, "ahead": []}
        if done < total:
            questions = self.design.questions(visitor)
            question = questions[done]
            state["question"] = {"kind": question.kind, "pictures": self.wall.names(question)}
            coming = questions[done + 1 : done + 1 + AHEAD]
            state["ahead"] = [name for one in coming for name in self.wall.names(one)]
        return state

    async def picture(self, request: Request) -> Response:
        """Send a picture."""
        name = request.path_params["name"]
        if name not in self.wall:
            raise HTTPException(404, "There is no such picture.")
        if name not in self._kept:
            async with self._decoding:
                self._kept[name] = await asyncio.to_thread(self.wall.content, name)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        headers = {"cache-control": "private, max-age=86400"}
        return Response(self._kept[name], media_type="image/jpeg", headers=headers)

    async def close(self) -> None:
        """Nothing here outlasts its request."""


async def read_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request. Raises `HTTPException` or `UsageError`."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "This takes application/json.")
    return parse_object(await request.body())


def text_of(body: dict[str, Any], name: str) -> str:
    """Return a text of a request. Raises `UsageError`."""
    value = body.get(name)
    if not isinstance(value, str) or len(value) > 100:
        raise UsageError(f"{name} is a text.")
    return value


def number_of(body: dict[str, Any], name: str) -> float:
    """Return a number of a request, which is finite. Raises `UsageError`."""
    value = body.get(name)
    if not is_number(value) or not abs(value) < 1e9:  # type: ignore[arg-type]
        raise UsageError(f"{name} is a number.")
    return value  # type: ignore[return-value]


def build_app(design: Design, votes: Votes, options: SurveyOptions) -> tuple[ASGIApp, SurveySite]:
    """Return the guarded ASGI application and its site."""
    site = SurveySite(design, votes)
    routes = [
        Route("/", site.page),
        Route("/api/survey/join", site.join, methods=["POST"]),
        Route("/api/survey/vote", site.vote, methods=["POST"]),
        Route("/survey/{name}.jpg", site.picture),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers: dict[Any, Any] = {
        RefusedError: refused,
        HTTPException: refused,
        ClientDisconnect: left,
        UsageError: handler_for(400),
        RtstyleError: handler_for(500),
        Exception: unforeseen,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guard(app, host=options.host, token=options.token, secure=options.secure), site


@dataclass
class Surveying:
    """A survey that is ready: `url` for the page (with the token, if any), and its server."""

    url: str
    address: str
    server: Server


def survey(
    design: Design,
    votes: Path,
    options: SurveyOptions,
    started: Callable[[Surveying], None],
    *,
    open_page: bool = False,
) -> None:
    """Serve a survey until Ctrl-C or SIGTERM. `started` is called once the port is bound.

    `open_page` then opens the page in a browser.

    Raises `UsageError` (port in use, votes of another survey), `SourceError` or `SinkError`.
    """
    with ExitStack() as stack:
        running, listener = prepare(design, votes, options, stack)
        started(running)
        if open_page:
            open_browser(running.url)
        running.server.run(sockets=[listener])


@contextmanager
def surveying(design: Design, votes: Path, options: SurveyOptions) -> Iterator[Surveying]:
    """Serve a survey from a thread of its own for as long as the context lasts, for tests."""
    with ExitStack() as stack:
        running, listener = prepare(design, votes, options, stack)
        with beside(running.server, listener):
            yield running


def prepare(
    design: Design, votes: Path, options: SurveyOptions, stack: ExitStack
) -> tuple[Surveying, socket.socket]:
    """Bind, and open the votes; `stack` closes all of it."""
    listener = stack.enter_context(
        contextlib.closing(bind(options.host, options.port, "--host", "--port"))
    )
    opened = stack.enter_context(Votes(votes, design.identity()))
    app, site = build_app(design, opened, options)
    server = make_server(app, site, *options.certificates(stack))
    address = address_of(listener, options.host, secure=options.secure)
    return Surveying(options.url(address), address, server), listener
