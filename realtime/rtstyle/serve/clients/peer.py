"""The WebRTC side of one client: checks an offer, answers it, and hands frames in and out.

aiortc is corrected in `tune_aiortc`: its bit rates suit talking heads, it overlooks the loopback
address, and it holds every frame back until the next one comes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aioice.ice
import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
    rtcrtpreceiver,
)
from aiortc.codecs import h264, vpx
from aiortc.exceptions import InvalidStateError
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import SessionDescription

from rtstyle.errors import UsageError
from rtstyle.serve.clients.prompt_buffer import PromptJitterBuffer

log = logging.getLogger(__name__)

MAX_SDP = 32_768
"""Characters of the longest offer; those of browsers have some 6,000."""
MAX_CANDIDATES = 64
MIN_BITRATE, MAX_BITRATE = 1_500_000, 4_000_000
"""Bits a second. A painting has far more detail than the face it was made from.

It begins with the most: aiortc makes a new encoder, and so a key frame, at every change.
"""

_host_addresses = aioice.ice.get_host_addresses


def addresses_and_loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """Return the machine's addresses, the loopback one included, without which nothing connects
    while the machine is offline.
    """
    found = _host_addresses(use_ipv4, use_ipv6)
    return [*found, "127.0.0.1"] if use_ipv4 and "127.0.0.1" not in found else found


def tune_aiortc() -> None:
    """Correct aiortc for this use; a second call changes nothing."""
    codec: Any
    for codec in (vpx, h264):
        codec.DEFAULT_BITRATE = codec.MAX_BITRATE = MAX_BITRATE
        codec.MIN_BITRATE = MIN_BITRATE
    aioice.ice.get_host_addresses = addresses_and_loopback
    receiver: Any = rtcrtpreceiver
    receiver.JitterBuffer = PromptJitterBuffer


def open_peer() -> RTCPeerConnection:
    """Return a new connection that talks to nobody but the client: no STUN, no TURN."""
    tune_aiortc()
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def check_offer(sdp: object) -> str:
    """Return `sdp` if it is an offer that the server can answer. Raises `UsageError`.

    Wanted are exactly one video that goes both ways, and at most one data channel section.
    """
    if not isinstance(sdp, str):
        raise UsageError("The offer has no SDP.")
    if len(sdp) > MAX_SDP:
        raise UsageError(f"The SDP of an offer has at most {MAX_SDP} characters.")
    if sdp.count("a=candidate") > MAX_CANDIDATES:
        raise UsageError(f"An offer has at most {MAX_CANDIDATES} candidates.")
    try:
        offered = SessionDescription.parse(sdp)
        media = offered.media
        names = sorted(part.rtp.muxId for part in media)
        bundles = [sorted(map(str, x.items)) for x in offered.group if x.semantic == "BUNDLE"]
    # The parser asserts, indexes and converts without checks of its own.
    except Exception as error:
        raise UsageError("The SDP of the offer is malformed.") from error
    kinds = sorted(part.kind for part in media)
    if kinds not in (["video"], ["application", "video"]):
        raise UsageError("An offer has one video, and a data channel at most.")
    if next(part for part in media if part.kind == "video").direction != "sendrecv":
        raise UsageError("The video of an offer goes both ways (sendrecv).")
    if not all(
        part.dtls and part.dtls.fingerprints and part.ice and part.ice.password for part in media
    ):
        raise UsageError("The offer lacks a fingerprint, or the password of its connection.")
    # aiortc takes away the transport of a part that a bundle names and that is not its first one.
    if len({*names, ""}) != len(names) + 1 or any(bundle != names for bundle in bundles):
        raise UsageError("The parts of the offer are not named, or not bundled, as they should be.")
    return sdp


async def answer(peer: RTCPeerConnection, sdp: str, out: MediaStreamTrack) -> str:
    """Accept a checked offer, send `out` back, and return the SDP of the answer.

    Raises `UsageError` for an offer that cannot be met.
    """
    try:
        await peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        peer.addTrack(out)
        await peer.setLocalDescription(await peer.createAnswer())
    except asyncio.CancelledError:
        raise
    except Exception as error:
        raise UsageError("The offer cannot be met: no common codec, or a broken SDP.") from error
    return str(peer.localDescription.sdp)


async def close_peer(peer: RTCPeerConnection) -> None:
    """Close a connection, in whatever state an offer has left it; raises nothing.

    aiortc stops in the middle at a part that a broken offer kept from coming about: what comes
    after it, with its sockets, is then closed here.
    """
    try:
        await peer.close()
        return
    except Exception as error:
        log.info("a broken connection is closed part by part: %s", error)
    ends: list[Any] = [part.receiver.transport for part in peer.getTransceivers()]
    ends.append(peer.sctp and peer.sctp.transport)
    for dtls in ends:
        if dtls is not None:
            with suppress(Exception):
                await dtls.stop()
            with suppress(Exception):
                await dtls.transport.stop()
    peer.remove_all_listeners()


def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle what fails in tasks that nobody waits for.

    aiortc connects in such a task; that a connection closes meanwhile is not a fault.
    """
    if isinstance(context.get("exception"), InvalidStateError):
        log.info("a connection was closed while it was being made")
    else:
        loop.default_exception_handler(context)


class PaintedTrack(MediaStreamTrack):
    """The video that goes out: always the newest painted frame, an unsent older one is dropped.

    `sent` is called with the seconds from arrival to the hand-over to the encoder. All of it
    belongs to the event loop.
    """

    kind = "video"

    def __init__(self, sent: Callable[[float], None]) -> None:
        super().__init__()
        self._sent = sent
        self._newest: tuple[av.VideoFrame, float] | None = None
        self._news = asyncio.Event()
        self.dropped = self.frames = 0

    def show(self, frame: av.VideoFrame, arrived_at: float) -> None:
        """Take a painted frame whose original arrived at `arrived_at` (monotonic)."""
        if self._newest is not None:
            self.dropped += 1
        self._newest = (frame, arrived_at)
        self._news.set()

    def stop(self) -> None:
        """End the track and wake whoever waits for a frame."""
        super().stop()
        self._news.set()

    async def recv(self) -> Any:
        """Wait for the next painted frame. Raises `MediaStreamError` after `stop`."""
        while self._newest is None:
            if self.readyState != "live":
                raise MediaStreamError
            await self._news.wait()
            self._news.clear()
        (frame, arrived_at), self._newest = self._newest, None
        self.frames += 1
        self._sent(time.monotonic() - arrived_at)
        return frame
