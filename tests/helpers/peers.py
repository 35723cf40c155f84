"""A WebRTC client in Python for the tests of `rtstyle serve`: a real peer over a real socket."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import av
import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError

from rtstyle.serve.clients.peer import tune_aiortc

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds after which a test fails instead of waiting on; nothing takes nearly as long."""


def run(work: Awaitable[T]) -> T:
    """Run a coroutine to its end, within bounds."""

    async def bounded() -> T:
        return await asyncio.wait_for(work, PATIENCE)

    return asyncio.run(bounded())


async def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until `holds` returns something true, and return that."""
    for _ in range(int(PATIENCE / 0.02)):
        if found := holds():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"never came: {what}")


class Grey(VideoStreamTrack):
    """A camera that shows one grey level, with a slope so that the sides differ.

    It gives 30 frames a second, or every so many of these (`every`).
    """

    def __init__(self, level: int, height: int, width: int, every: int = 1) -> None:
        super().__init__()
        self._every = every
        self.image = np.full((height, width, 3), level, np.uint8)
        self.image[:, : width // 2] //= 2

    async def recv(self) -> Any:
        for _ in range(self._every):
            pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame.from_ndarray(self.image, format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Peer:
    """One client. Enter it, `call`, look at `frames` (RGB) and `messages`.

    With `keep=False` frames are counted in `got` and not kept. `token` is what the server asks for;
    `every` makes the camera slower.
    """

    def __init__(
        self,
        address: str,
        level: int = 200,
        height: int = 96,
        width: int = 128,
        *,
        keep: bool = True,
        token: str = "",
        every: int = 1,
    ) -> None:
        tune_aiortc()
        self.address, self._keep = address, keep
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.got = 0
        self.frames: list[Any] = []
        self.messages: list[dict[str, Any]] = []
        self.session = ""
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channel = self._connection.createDataChannel("rtstyle")
        self._channel.on("message", lambda text: self.messages.append(json.loads(text)))
        self.camera = Grey(level, height, width, every)
        self._connection.addTrack(self.camera)
        self._connection.on("track", self._on_track)
        self._readers: list[asyncio.Task[None]] = []

    def _on_track(self, track: Any) -> None:
        self._readers.append(asyncio.ensure_future(self._read(track)))

    async def _read(self, track: Any) -> None:
        try:
            while True:
                frame = await track.recv()
                self.got += 1
                if self._keep:
                    self.frames.append(frame.to_ndarray(format="rgb24"))
        except MediaStreamError:
            pass

    async def offer(self) -> str:
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def call(self, settings: dict[str, Any] | None = None) -> httpx.Response:
        """Send the offer; with a good answer, connect."""
        body = {"sdp": await self.offer(), "settings": settings or {}}
        async with httpx.AsyncClient(timeout=PATIENCE, headers=self._headers) as client:
            response = await client.post(f"{self.address}/api/offer", json=body)
        if response.status_code == 200:
            reply = response.json()
            self.session = reply["session"]
            await self._connection.setRemoteDescription(
                RTCSessionDescription(reply["sdp"], "answer")
            )
        return response

    async def connected(self) -> None:
        await until(lambda: self._channel.readyState == "open", "an open data channel")

    def send(self, message: object) -> None:
        self._channel.send(message if isinstance(message, str) else json.dumps(message))

    def status(self) -> dict[str, Any]:
        return next((m for m in reversed(self.messages) if m["type"] == "status"), {})

    def errors(self) -> list[str]:
        return [m["error"] for m in self.messages if m["type"] == "error"]

    async def painted(self, more: int = 1) -> Any:
        """Wait for so many frames from now on; return the last one."""
        wanted = len(self.frames) + more
        await until(lambda: len(self.frames) >= wanted, f"{more} frames")
        return self.frames[-1]

    async def __aenter__(self) -> Peer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()
        self.camera.stop()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)


def damaged(good: str, chance: random.Random) -> str:
    """An offer with lines that are gone, doubled, swapped or changed."""
    lines = good.split("\r\n")
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(lines))
        line = lines[at]
        if (kind := chance.randrange(5)) == 0:
            lines[at] = ""
        elif kind == 1:
            lines.insert(at, line)
        elif kind == 2:
            lines[at] = lines[chance.randrange(len(lines))]
        elif line:
            cut = chance.randrange(len(line))
            new = "" if kind == 3 else chance.choice(["\x00", "\u00e9", "9" * 40, "-1", " ", ":"])
            lines[at] = line[:cut] + new + line[cut + 1 :]
    return "\r\n".join(lines)
