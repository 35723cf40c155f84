"""Who may come in: counts clients against what the machine was measured to carry."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

from rtstyle.errors import RtstyleError
from rtstyle.live.bank import StyleBank
from rtstyle.machine.heap import release
from rtstyle.serve.clients.session import Session
from rtstyle.serve.defaults import MAX_CLIENTS, MIN_FPS
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.live_picture import LivePicture
from rtstyle.serve.matching import Matching
from rtstyle.serve.painter import Painter

SILENCE = 10.0
"""Seconds without a frame or a message after which a client counts as gone."""
CONNECT_WITHIN = 8.0
"""Seconds that a client has from the answer to the connection."""
ANSWER_WITHIN = 10.0
WATCH_EVERY = 1.0


class FullError(RtstyleError):
    """There is no room for another client."""


class Lobby:
    """All sessions and viewers of one server; lives on the event loop.

    `max_clients` bounds them, `min_fps` is the share of the measured capacity under which a new
    one is refused; the first one never is.
    """

    def __init__(
        self,
        bank: StyleBank,
        painter: Painter,
        catalogue: Catalogue,
        *,
        max_clients: int = MAX_CLIENTS,
        min_fps: float = MIN_FPS,
        silence: float = SILENCE,
    ) -> None:
        self.bank, self.painter, self.catalogue = bank, painter, catalogue
        self.max_clients, self.min_fps, self.silence = max_clients, min_fps, silence
        self.matching = Matching(bank.scale)
        self.sessions: dict[str, Session] = {}
        self.guests = 0
        """Clients without a session: pictures of the server's own camera."""
        self.admitted = self.refused = 0
        self._leaving: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def clients(self) -> int:
        """How many have frames painted."""
        return len(self.sessions) + self.guests

    def make_ready(self, model: str) -> None:
        """Prepare a style in the background for pictures of the usual size."""
        self.bank.prepare([(model, self.catalogue.size)], self.painter.usual)

    def picture(self) -> LivePicture:
        """Return a new live picture."""
        return LivePicture(self.bank, self.painter, self.catalogue, self.matching)

    def admit(self) -> None:
        """Make sure that there is room for one more. Raises `FullError`."""
        if why := self._refusal():
            self.refused += 1
            raise FullError("The studio is full.", why, "Please try again in a while.")
        self.admitted += 1

    def _refusal(self) -> str:
        if self._closed:
            return "The server is closing."
        here, capacity = self.clients, self.painter.capacity
        if here >= self.max_clients:
            return f"{here} of {self.max_clients} places are taken."
        # The first one is let in however slow the machine is: there is nobody to disturb.
        if here and capacity is not None and capacity / (here + 1) < self.min_fps:
            return (
                f"With {here + 1} clients each would get {capacity / (here + 1):.0f} "
                f"frames a second, fewer than {self.min_fps:g}."
            )
        return ""

    async def enter(self, sdp: str, settings: dict[str, Any]) -> tuple[Session, str]:
        """Open a session for a checked offer; return it and the SDP of the answer.

        Raises `FullError` or `UsageError`, and then nothing is left behind.
        """
        self.admit()
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._watch_over())
        picture = self.picture()
        session = Session(picture, self.painter, self.leave)
        # Counted from here on, so that many offers at once do not all find the place free.
        self.sessions[session.id] = session
        try:
            picture.change(settings)
            reply = await asyncio.wait_for(session.answer(sdp), ANSWER_WITHIN)
        except BaseException:
            self.leave(session)
            raise
        return session, reply

    def leave(self, session: Session) -> None:
        """Let a session go; what it held is freed in the background."""
        if self.sessions.pop(session.id, None) is None:
            return
        task = asyncio.get_running_loop().create_task(self._free(session))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _free(self, session: Session) -> None:
        """Free what a session held, its encoder and decoder among it, for the system, too."""
        try:
            await session.close()
        finally:
            await asyncio.to_thread(release)

    async def _watch_over(self) -> None:
        """Let those go who say nothing any more, or never connected."""
        while True:
            await asyncio.sleep(min(WATCH_EVERY, self.silence / 2))
            self.let_go(time.monotonic())

    def let_go(self, now: float) -> None:
        """Let those go who are silent at `now` (monotonic) for too long; see `_watch_over`.

        Who has no answer yet waits for us; `enter` sees to that.
        """
        for session in list(self.sessions.values()):
            patience = self.silence if session.connected else CONNECT_WITHIN
            if session.answered and now - session.heard_at > patience:
                self.leave(session)

    async def close(self) -> None:
        """Let everybody go and wait until all is freed."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        for session in list(self.sessions.values()):
            self.leave(session)
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await asyncio.to_thread(self.matching.close)
