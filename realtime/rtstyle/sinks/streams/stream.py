"""A live stream to a server or a player: `--stream rtmp://...`, srt, rtsp or udp."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from urllib.parse import urlsplit

import av
import av.error

from rtstyle.errors import SinkError
from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink
from rtstyle.sinks.streams.program import ProgramRelay, program_has
from rtstyle.sinks.streams.relay import Relay
from rtstyle.sinks.streams.sender import Line, Sender
from rtstyle.sinks.video_file import SoundInput

FORMATS = {
    "rtmp": "flv",
    "rtmps": "flv",
    "srt": "mpegts",
    "rtsp": "rtsp",
    "udp": "mpegts",
}
"""The container for each scheme of an address."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before the first try to connect again, doubled after each that failed."""
SETTLED = 10.0
"""Seconds after which a connection was a good one: the next pause is the first again."""
GOODBYE = 3.0
"""Seconds that the end may take."""
OPTIONS = {"rtsp": {"rtsp_transport": "tcp"}}


class StreamSink(Sink):
    """Sends frames to `url`, and connects again by itself with growing pauses.

    Encoding has a thread and the network a process of its own: `write` never waits. What the
    network does not take is dropped, oldest first, and counted in `dropped`; the bit rate follows.
    `bits` is the bit rate at the start, by size and rate without it. `sound` is an open microphone;
    without one silence is sent. `news` is told when a connection begins and breaks, without the key
    that addresses of services hold. Raises `SinkError` for an address of no known kind, or one for
    which neither PyAV nor a program `ffmpeg` has the protocol.
    """

    def __init__(
        self,
        url: str,
        *,
        rate: Fraction,
        bits: int | None = None,
        sound: SoundInput | None = None,
        news: Callable[[str], object] = lambda _: None,
        opener: Callable[[str, str, dict[str, str]], Line] = Relay,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._kind, self.name = url, *kind_and_name(url)
        self._rate, self._bits, self._sound = rate, bits, sound
        self._news, self._opener, self._clock = news, opener, clock
        self._sender: Sender | None = None
        self._again, self._pause, self._since = clock(), FIRST_PAUSE, clock()
        self._told = False
        self._before = 0
        self.connections = 0

    def open(self) -> None:
        """Check that the protocol is known; the server may come later. Raises `SinkError`."""
        if self._opener is not Relay or has_protocol(self._url):
            return
        scheme = urlsplit(self._url).scheme.lower()
        if not program_has(scheme):
            raise SinkError(
                f"Nothing here can send {scheme}.",
                "The PyAV that is installed was built without it, and there is no program `ffmpeg` "
                "that has it.",
                f"Install FFmpeg with {scheme}, or use one of rtmp, rtsp, udp.",
            )
        self._opener = ProgramRelay

    @property
    def dropped(self) -> int:
        """Frames that the network did not take."""
        return self._before + (self._sender.dropped if self._sender else 0)

    @property
    def sender(self) -> Sender | None:
        """The present connection, or the attempt at one."""
        return self._sender

    def write(self, frame: Frame) -> None:
        """Have a frame sent, or connect again where it is time; never waits."""
        now = self._clock()
        if self._sender is not None and (self._sender.ended or self._sender.stuck(now)):
            self._broken(self._sender, now)
        if self._sender is None:
            if now < self._again:
                return
            opener = partial(self._opener, self._url, self._kind, OPTIONS.get(self._kind, {}))
            self._sender = Sender(opener, self._rate, self._bits, self._sound, self._clock)
            self._sender.start()
            self._since, self._told = now, False
            self.connections += 1
        elif self._sender.connected and not self._told:
            self._told = True
            self._news(f"streaming to {self.name}")
        self._sender.offer(frame)

    def _broken(self, sender: Sender, now: float) -> None:
        if sender.connected and now - self._since >= SETTLED:
            self._pause = FIRST_PAUSE
        self._again = now + self._pause
        why = sender.problem if sender.ended else "the network takes nothing"
        if not sender.ended:
            sender.cut()
        self._news(f"no stream to {self.name}: {why}; again in {self._pause:g} s")
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        self._before += sender.dropped
        self._sender = None

    def notes(self) -> list[str]:
        """Return how many frames the network did not take."""
        return [f"{self.dropped} frames were not streamed in time"] if self.dropped else []

    def close(self, complete: bool = True) -> None:  # noqa: ARG002 - nothing is kept
        """End the stream; a second call does nothing."""
        self.abort()

    def abort(self) -> None:
        """End the stream."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.end(GOODBYE)
            self._before += sender.dropped


def kind_and_name(url: str) -> tuple[str, str]:
    """Return container and shown name of an address. Raises `SinkError`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SinkError("This is not an address to stream to.", str(error)) from error
    if parts.scheme.lower() not in FORMATS or not host:
        raise SinkError(
            "This is not an address to stream to.", "",
            f"It begins with one of {', '.join(f'{name}://' for name in FORMATS)}.",
        )  # fmt: skip
    return FORMATS[parts.scheme.lower()], f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def has_protocol(url: str) -> bool:
    """Return True if PyAV can write to such addresses; nothing is sent."""
    scheme = url.partition(":")[0].lower()
    if scheme == "rtsp":
        return "rtsp" in av.formats_available
    try:
        # A port at which nobody can be: a protocol that there is fails to connect.
        av.open(f"{scheme}://127.0.0.1:0/", "w", format=FORMATS[scheme]).start_encoding()
    except av.error.ProtocolNotFoundError:
        return False
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError):
        return True
    return True
