"""The server's own camera for `/obs`: opened for the first viewer, closed after the last.

It goes out as MJPEG in an `<img>`: that starts in every browser source without negotiation or
autoplay rules, comes back by a reload after a restart, and one painting and one JPEG serve all
viewers of a look. WebRTC would save bandwidth, which a loopback connection does not need.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import cv2

from rtstyle.errors import RtstyleError, SourceError
from rtstyle.frame import Frame, Image
from rtstyle.machine.heap import release
from rtstyle.serve.clients.lobby import FullError, Lobby
from rtstyle.serve.live_picture import LivePicture, describe
from rtstyle.serve.painter import Seat
from rtstyle.serve.stage import Stage
from rtstyle.sources import open_camera
from rtstyle.sources.base import Source

log = logging.getLogger(__name__)

MAX_VIEWERS = 16
"""Viewers of all looks together; those of one look cost little more than one."""
LINGER = 2.0
"""Seconds that the camera stays open after the last viewer, who may only be reloading."""
QUALITY = 85
STOP_PATIENCE = 5.0


class Viewer:
    """One open stream: waits for pictures newer than the one that it saw."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._jpeg: bytes | None = None
        self.ended = False

    def show(self, jpeg: bytes) -> None:
        """Take a new picture; an older one that was not fetched is gone."""
        self._jpeg = jpeg
        self._news.set()

    def end(self) -> None:
        """Say that no more pictures come."""
        self.ended = True
        self._news.set()

    async def next(self) -> bytes | None:
        """Return the newest JPEG picture, or None at the end."""
        while not self.ended:
            await self._news.wait()
            self._news.clear()
            if self._jpeg is not None and not self.ended:
                jpeg, self._jpeg = self._jpeg, None
                return jpeg
        return None


@dataclass(eq=False)
class Channel:
    """One look at the camera, painted once for all its viewers."""

    picture: LivePicture
    seat: Seat[Frame]
    viewers: set[Viewer] = field(default_factory=set)


class CameraHub:
    """Shares `camera` (as in `open_camera`; a file is repeated) between viewers.

    Lives on the event loop. `problem` says why the camera last ended, for the page.
    """

    def __init__(
        self,
        camera: str,
        lobby: Lobby,
        opener: Callable[[str], Source] = lambda camera: open_camera(camera, loop=True),
        stage: Stage | None = None,
    ) -> None:
        self.stage = stage or Stage(lobby.catalogue)
        self.camera, self._lobby, self._opener = camera, lobby, opener
        self._channels: dict[tuple[Any, ...], Channel] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._source: Source | None = None
        self._thread: threading.Thread | None = None
        self._opening = asyncio.Lock()
        self._last_call: asyncio.TimerHandle | None = None
        self._closed = False
        self.problem = ""

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return sum(len(channel.viewers) for channel in self._channels.values())

    @property
    def is_open(self) -> bool:
        """Whether the camera is held, or just being opened or closed."""
        return self._source is not None or self._opening.locked()

    @asynccontextmanager
    async def watch(self, settings: dict[str, Any]) -> AsyncIterator[Viewer]:
        """Watch the camera painted with checked `settings`; without any, as the stage has it.

        Raises `FullError`, or `SourceError` if the camera gives no picture.
        """
        if self._closed or self.viewers >= MAX_VIEWERS:
            raise FullError("The studio is full.", "", "Please try again in a while.")
        key = tuple(sorted(settings.items()))
        if key not in self._channels:
            self._lobby.admit()
            self._open_channel(key, settings)
        channel, viewer = self._channels[key], Viewer()
        channel.viewers.add(viewer)
        try:
            await self._open_camera()
            yield viewer
        finally:
            channel.viewers.discard(viewer)
            if not channel.viewers and self._channels.get(key) is channel:
                del self._channels[key]
                self._lobby.guests -= 1
                self._lobby.painter.leave(channel.seat)
                channel.picture.leave()
            self._close_later()

    def _open_channel(self, key: tuple[Any, ...], settings: dict[str, Any]) -> None:
        lobby = self._lobby
        picture = lobby.picture()
        if settings:
            picture.change(settings)
        else:
            self.stage.follow(picture)
        viewers: set[Viewer] = set()

        def work(frame: Frame) -> bool:
            image, painted = picture(frame.image)
            jpeg = to_jpeg(image)
            # The loop may be closed while the last painting is under way.
            with suppress(RuntimeError):
                if self._loop is not None:
                    self._loop.call_soon_threadsafe(publish, jpeg)
            return painted

        def publish(jpeg: bytes) -> None:
            for viewer in viewers:
                viewer.show(jpeg)

        def failed(error: Exception) -> None:
            picture.tell(error)
            self.problem = picture.problem

        seat = lobby.painter.join(work, failed)
        picture.sit(seat)
        self._channels[key] = Channel(picture, seat, viewers)
        lobby.guests += 1

    async def _open_camera(self) -> None:
        async with self._opening:
            if self._last_call is not None:
                self._last_call.cancel()
                self._last_call = None
            if self._source is not None:
                return
            self._loop = asyncio.get_running_loop()
            source = self._opener(self.camera)
            try:
                await asyncio.to_thread(source.open)
            except RtstyleError as error:
                self.problem = describe(error)
                raise
            except Exception as error:
                self.problem = f"{source.name} cannot be opened."
                raise SourceError(self.problem, str(error)) from error
            self.problem = ""
            self._source = source
            self._thread = threading.Thread(
                target=self._capture, args=(source,), name="rtstyle-camera", daemon=True
            )
            self._thread.start()

    def _capture(self, source: Source) -> None:
        problem = f"{source.name} has ended."
        try:
            for frame in source:
                for channel in list(self._channels.values()):
                    self._lobby.painter.offer(channel.seat, frame)
        except Exception as error:
            problem = describe(error)
            log.error("%s: %s", source.name, error)
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._capture_ended, source, problem)

    def _capture_ended(self, source: Source, problem: str) -> None:
        """End every stream, so that the pages ask again and the camera is opened anew."""
        if self._source is not source:
            return
        self._source, self._thread, self.problem = None, None, problem
        source.close()
        for channel in self._channels.values():
            for viewer in channel.viewers:
                viewer.end()

    def _close_later(self) -> None:
        if self.viewers or self._source is None or self._loop is None or self._closed:
            return
        if self._last_call is not None:
            self._last_call.cancel()
        self._last_call = self._loop.call_later(LINGER, self._close_if_alone)

    def _close_if_alone(self) -> None:
        if not self.viewers and self._loop is not None:
            self._closer = self._loop.create_task(self._close_camera())

    async def _close_camera(self) -> None:
        # Held to the end: who comes meanwhile would find the device busy.
        async with self._opening:
            source, thread = self._source, self._thread
            self._source = self._thread = None
            if source is None or thread is None:
                return
            source.stop()
            await asyncio.to_thread(thread.join, STOP_PATIENCE)
            # A camera that hangs in its driver must not be closed under its feet.
            if not thread.is_alive():
                source.close()
        # The pictures of its viewers, too.
        await asyncio.to_thread(release)

    async def close(self) -> None:
        """End every stream and close the camera."""
        self._closed = True
        if self._last_call is not None:
            self._last_call.cancel()
        for channel in self._channels.values():
            for viewer in channel.viewers:
                viewer.end()
        await self._close_camera()


def to_jpeg(image: Image) -> bytes:
    """Return (H, W, 3) uint8 RGB as a JPEG file."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
