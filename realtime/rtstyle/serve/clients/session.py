"""One browser: its connection, its picture, its settings, and their end."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import av
from aiortc import RTCDataChannel
from aiortc.mediastreams import MediaStreamError

from rtstyle.errors import RtstyleError
from rtstyle.media.yuv import RgbConverter, YuvConverter
from rtstyle.serve.clients.peer import PaintedTrack, answer, close_peer, open_peer
from rtstyle.serve.live_picture import LivePicture, steady_shape
from rtstyle.serve.painter import Painter, Seat
from rtstyle.serve.settings import read_message

log = logging.getLogger(__name__)

STATUS_EVERY = 0.5
"""Seconds between two reports to the page."""
MAX_MESSAGES = 60
"""Messages a second that a page may send; a slider that is dragged sends some 30."""

Arrived = tuple[av.VideoFrame, float]
"""A frame as it came, and when (monotonic)."""


class Session:
    """One WebRTC client. Lives on the event loop; only `_paint` runs in the painter's thread.

    `ended` is called once, when the other side has gone; the caller then awaits `close`.
    """

    def __init__(
        self, picture: LivePicture, painter: Painter, ended: Callable[[Session], None]
    ) -> None:
        self.id = secrets.token_urlsafe(16)
        self.picture = picture
        self.heard_at = time.monotonic()
        self.answered = False
        self._painter, self._ended = painter, ended
        self._loop = asyncio.get_running_loop()
        self._seat: Seat[Arrived] = painter.join(self._paint, self._failed)
        picture.sit(self._seat)
        self._to_rgb, self._to_yuv = RgbConverter(), YuvConverter()
        self._peer = open_peer()
        self.track = PaintedTrack(picture.note_latency)
        self._channel: RTCDataChannel | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._gone = False
        self._second, self._messages = 0, 0
        self._before = (time.monotonic(), 0)
        self._peer.on("track", self._on_track)
        self._peer.on("datachannel", self._on_channel)
        self._peer.on("connectionstatechange", self._on_state)

    async def answer(self, sdp: str) -> str:
        """Accept a checked offer and return the answer's SDP. Raises `UsageError`."""
        reply = await answer(self._peer, sdp, self.track)
        # From here on it is the client's turn to connect.
        self.heard_at, self.answered = time.monotonic(), True
        return reply

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return bool(self._peer.connectionState == "connected")

    @property
    def seat(self) -> Seat[Arrived]:
        """What was received, painted and dropped."""
        return self._seat

    async def close(self) -> None:
        """Free everything; further calls wait for the first one."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._gone = True
        self._painter.leave(self._seat)
        self.track.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await close_peer(self._peer)

    def _end(self) -> None:
        if not self._gone:
            self._gone = True
            self._ended(self)

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_state(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self._end()

    def _on_track(self, track: Any) -> None:
        if track.kind == "video":
            self._spawn(self._receive(track))

    async def _receive(self, track: Any) -> None:
        """Take every frame at once, so that none waits in aiortc; the painter drops old ones."""
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.heard_at = time.monotonic()
                self._painter.offer(self._seat, (frame, self.heard_at), self.heard_at)
        self._end()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if self._channel is not None:
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._on_message)
        self._spawn(self._report())

    def _on_message(self, message: object) -> None:
        now = time.monotonic()
        if int(now) != self._second:
            self._second, self._messages = int(now), 0
        self._messages += 1
        if self._messages > MAX_MESSAGES:
            return
        self.heard_at = now
        try:
            styles = self.picture.styles
            self.picture.change(read_message(message, styles, styles.mixable))
        except RtstyleError as error:
            self._send({"type": "error", "error": str(error)})

    async def _report(self) -> None:
        while True:
            self._send({"type": "status", **self.status()})
            await asyncio.sleep(STATUS_EVERY)

    def _send(self, message: dict[str, Any]) -> None:
        channel = self._channel
        # A page that does not read gets no heap of old reports.
        if channel and channel.readyState == "open" and channel.bufferedAmount < 16_384:
            channel.send(json.dumps(message))

    def status(self) -> dict[str, Any]:
        """Return what the page shows: rates since the last call, delays in milliseconds."""
        now, frames = time.monotonic(), self.track.frames
        (then, before), self._before = self._before, (now, frames)
        latency = self.picture.latency
        return {
            "fps": round((frames - before) / max(0.001, now - then), 1),
            "latency_ms": None if latency is None else round(1000 * latency),
            "received": self._seat.received,
            "painted": self._seat.painted,
            "dropped": self._seat.dropped + self.track.dropped,
            "scale": self._painter.rung.scale,
            "shown": self.picture.shown,
            "warming": self.picture.warming,
            "problem": self.picture.problem,
            "settings": self.picture.settings(),
            "gallery": self.picture.styles.revision,
        }

    def _paint(self, arrived: Arrived) -> bool:
        frame, arrived_at = arrived
        # Before it is converted, which would take all the memory for a very large one.
        steady_shape(frame.height, frame.width, (0, 0))
        image, painted = self.picture(self._to_rgb(frame))
        out = self._to_yuv(image)
        out.pts, out.time_base = frame.pts, frame.time_base
        # The loop may be closed while the last painting is under way.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.track.show, out, arrived_at)
        return painted

    def _failed(self, error: Exception) -> None:
        if not self.picture.problem:
            log.error("painting failed: %s", error)
        self.picture.tell(error)
