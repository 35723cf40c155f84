"""Motion JPEG over HTTP, as an ASGI response that drops pictures for slow readers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from rtstyle.serve.camera import Viewer

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

BOUNDARY = b"rtstyle-frame"
SEND_WITHIN = 10.0
"""Seconds in which a reader must take a picture; then the line is taken for dead."""


class MjpegResponse:
    """Streams the pictures of `viewer` until it ends or the reader leaves.

    The server's own flow control holds `send` back while a reader is slow, and the viewer keeps
    only the newest picture meanwhile: memory stays bounded and the picture fresh.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        content_type = b"multipart/x-mixed-replace; boundary=" + BOUNDARY
        headers = [(b"content-type", content_type), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.ensure_future(until_gone(receive))
        pictures = asyncio.ensure_future(self._stream(send))
        try:
            await asyncio.wait((gone, pictures), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, pictures):
                task.cancel()
            await asyncio.gather(gone, pictures, return_exceptions=True)

    async def _stream(self, send: Send) -> None:
        with suppress(asyncio.TimeoutError, OSError):
            while (jpeg := await self._viewer.next()) is not None:
                # A browser shows a part when the boundary after it arrives, so that comes at once.
                part = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n--%b\r\n" % (
                    len(jpeg),
                    jpeg,
                    BOUNDARY,
                )
                await asyncio.wait_for(self._send(send, part), SEND_WITHIN)
            await send({"type": "http.response.body", "body": b""})

    _first = True

    async def _send(self, send: Send, part: bytes) -> None:
        if self._first:
            self._first = False
            part = b"--%b\r\n%b" % (BOUNDARY, part)
        await send({"type": "http.response.body", "body": part, "more_body": True})


async def until_gone(receive: Receive) -> None:
    """Wait until the other side has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
