"""Takes the pictures that pages send: few at a time, decoded one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from rtstyle.errors import UsageError
from rtstyle.serve.apart import keep_apart
from rtstyle.serve.catalogue import Entry
from rtstyle.serve.lobby import FullError, Lobby
from rtstyle.serve.pictures import name_of

if TYPE_CHECKING:
    from starlette.requests import Request

AT_ONCE = 4
"""Pictures on their way; each may hold as many bytes as a request may have."""
TYPES = ("image/", "application/octet-stream")
"""What a picture may come as: nothing that a form of another site can send."""


class Uploads:
    """Adds pictures to the gallery of a lobby; lives on the event loop."""

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby
        self._on_the_way = 0
        # A decoded picture takes much memory, and decoding a core from the painter.
        self._decoding = asyncio.Lock()

    async def take(self, request: Request) -> Entry:
        """Return the entry of the picture in a request; its model is then made ready.

        Raises `UsageError`, `FullError` or `HTTPException`.
        """
        if not request.headers.get("content-type", "").startswith(TYPES):
            raise HTTPException(415, "A picture is sent as image/*.")
        catalogue = self._lobby.catalogue
        if not catalogue.takes_pictures:
            raise HTTPException(404, "This server has no network that paints like any picture.")
        with self._place():
            content = await self._receive(request)
            entry = catalogue.find(name_of(content))
            if entry is None:
                entry = await self._keep(content, request.query_params.get("name", ""))
        self._lobby.make_ready(entry.model)
        return entry

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._on_the_way >= AT_ONCE:
            why = "Other pictures are on their way."
            raise FullError("The picture is not taken.", why, "Please try again in a while.")
        self._on_the_way += 1
        try:
            yield
        finally:
            self._on_the_way -= 1

    async def _receive(self, request: Request) -> bytes:
        content = await request.body()
        if not content:
            raise UsageError("The file is empty.")
        return content

    async def _keep(self, content: bytes, file_name: str) -> Entry:
        catalogue = self._lobby.catalogue
        async with self._decoding:
            kept = await asyncio.to_thread(keep_apart, content, file_name, catalogue.folder)
        return catalogue.hang(kept)
