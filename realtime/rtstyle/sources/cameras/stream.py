"""Network streams (RTSP, HTTP, ...) through PyAV.

PyAV and not OpenCV: it takes separate timeouts for opening and reading, says why a URL cannot be
opened, converts colours by the stream's own matrix, and can read RTSP through TCP.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import av
import av.error

from rtstyle.errors import SourceError, reason
from rtstyle.files.names import without_password
from rtstyle.media.yuv import RgbConverter
from rtstyle.sources.cameras.resilient import Shot, StreamEndedError
from rtstyle.sources.decoder import open_decoder
from rtstyle.sources.deinterlace import deinterlaced

OPEN_TIMEOUT, READ_TIMEOUT = 8.0, 4.0
SEGMENT_PATIENCE = 20.0
"""Seconds: HLS gives a segment at once, often of 6 or 10 s, and then nothing until the next."""
LONGEST_STEP = 1.0
"""Seconds between two frames from which a step in their times is a break, not a pause."""
BAD_FRAMES_ALLOWED = 300
"""Damaged packets in a row (a stream joined between key frames has some) before it is given up."""


class StreamCapture:
    """An open network stream; satisfies `Capture`. Raises `SourceError` if it cannot be opened.

    A stream that knows its duration (a film on a web server) is played by its own clock and ends.
    So is a live one in segments (HLS, DASH), whose frames arrive in bursts, but it does not end.
    Any other is given out as it comes, and `at` is then the moment of its arrival: what the
    network and the sender took before that cannot be known here.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self._clock, self._sleep = url, clock, sleep
        self._container = open_stream(url)
        try:
            video = self._container.streams.video
            if not video:
                raise no_stream(url, "It has no video.")
            stream: Any = video[0]
            # Frame threads would hold back one picture each.
            stream.thread_type = "SLICE"
            self._decoder = open_decoder(stream, without_password(url))
            rate = stream.average_rate or stream.guessed_rate
            self.rate = Fraction(rate) if rate and 1 <= rate <= 1000 else None
            self.note = str(stream.codec_context.name)
            self._finite = bool(self._container.duration)
            segmented = {"hls", "dash"} & set(self._container.format.name.split(","))
            # Frames of a steady stream are not held back: its clock and ours drift apart.
            self._pacer = Pacer() if self._finite or segmented else None
            self._frames = self._decode(stream)
        except BaseException:
            self._container.close()
            raise
        self._to_rgb = RgbConverter()

    def read(self) -> Shot | None:
        """Wait for the next picture; None if the stream broke off."""
        try:
            frame, arrived = next(self._frames)
        except (StopIteration, IndexError):
            # PyAV's IndexError is an end, too: of a stream that announced another one midway.
            if self._finite:
                raise StreamEndedError from None
            return None
        except (av.error.FFmpegError, OSError):
            return None
        if self._pacer is not None and frame.time is not None:
            arrived = self._pacer.due(frame.time, arrived)
            self._sleep(max(0.0, arrived - self._clock()))
        return Shot(self._to_rgb(frame), arrived)

    def close(self) -> None:
        """Close the stream."""
        self._container.close()

    def _decode(self, stream: Any) -> Iterator[tuple[av.VideoFrame, float]]:
        """Yield each frame with the moment at which it arrived; interlaced ones come one later."""
        arrivals: deque[float] = deque()
        frames = self._decode_packets(stream, arrivals)
        for frame in deinterlaced(frames, "auto", stream.time_base, Counter()):
            yield frame, arrivals.popleft()

    def _decode_packets(self, stream: Any, arrivals: deque[float]) -> Iterator[av.VideoFrame]:
        bad = 0
        for packet in self._container.demux(stream):
            arrived = self._clock()
            try:
                frames = self._decoder.decode(packet)
                bad = 0
            except av.error.InvalidDataError:
                bad += 1
                if bad > BAD_FRAMES_ALLOWED:
                    raise
                continue
            for frame in frames:
                arrivals.append(arrived)
                yield frame


class Pacer:
    """When frames are due that arrive in bursts: at the distances of their own times.

    All times in seconds. After a gap in the arrival, or a break in the times, it counts anew, so
    that what comes late is not hurried through.
    """

    def __init__(self) -> None:
        self._zero = self._last = 0.0
        self._begun = False

    def due(self, time: float, arrived: float) -> float:
        """Return the moment to show a frame of this time: `arrived`, or later."""
        steady = self._begun and 0 <= time - self._last <= LONGEST_STEP
        if not steady or self._zero + time < arrived:
            self._zero = arrived - time
        self._begun, self._last = True, time
        return self._zero + time


def is_segmented(url: str) -> bool:
    """Say whether a URL is, by its name, that of a stream in segments (HLS, DASH)."""
    path = url.lower().partition("://")[2].partition("/")[2]
    return any(mark in path for mark in (".m3u8", ".mpd"))


def open_stream(url: str) -> Any:
    """Return the open container of a URL. Raises `SourceError` within about ten seconds."""
    # Not `nobuffer`: it throws away what was read to recognise the stream, so its key frame.
    options = {"flags": "low_delay"}
    if urlsplit(url).scheme in ("rtsp", "rtsps"):
        # Over UDP lost packets smear the picture; TCP passes firewalls besides.
        options["rtsp_transport"] = "tcp"
    patience = SEGMENT_PATIENCE if is_segmented(url) else READ_TIMEOUT
    began = time.monotonic()
    try:
        return av.open(url, options=options, timeout=(OPEN_TIMEOUT, patience))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # Of a time-out RTSP makes "invalid data", and HTTP "immediate exit".
        if time.monotonic() - began >= OPEN_TIMEOUT:
            raise no_stream(url, f"It did not answer within {OPEN_TIMEOUT:g} s.") from None
        why = reason(error)
        raise no_stream(url, f"{why}.") from error


def no_stream(url: str, why: str) -> SourceError:
    """Return the error for a URL that gives no picture."""
    return SourceError(
        f"There is no picture from {without_password(url)}.",
        why,
        "Check the address, its user and password, and whether a player like VLC shows it.",
    )
