"""Network streams (RTSP, HTTP, ...) through PyAV.

PyAV and not OpenCV: it takes separate timeouts for opening and reading, says why a URL cannot be
opened, converts colours by the stream's own matrix, and can read RTSP through TCP.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import av
import av.error

from rtstyle.errors import SourceError
from rtstyle.sources.resilient import Shot, StreamEndedError
from rtstyle.yuv import RgbConverter

OPEN_TIMEOUT, READ_TIMEOUT = 8.0, 4.0
BAD_FRAMES_ALLOWED = 300
"""Damaged packets in a row (a stream joined between key frames has some) before it is given up."""


class StreamCapture:
    """An open network stream; satisfies `Capture`. Raises `SourceError` if it cannot be opened.

    A stream that knows its duration (a film on a web server) is played by its own clock and ends.
    A live one is given out as it comes, and `at` is then the moment of its arrival: what the
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
            rate = stream.average_rate or stream.guessed_rate
            self.rate = Fraction(rate) if rate and 1 <= rate <= 1000 else None
            self.note = str(stream.codec_context.name)
            self._finite = bool(self._container.duration)
            self._frames = self._decode(stream)
        except BaseException:
            self._container.close()
            raise
        self._to_rgb = RgbConverter()
        self._zero: float | None = None

    def read(self) -> Shot | None:
        """Wait for the next picture; None if the stream broke off."""
        try:
            frame, arrived = next(self._frames)
        except StopIteration:
            if self._finite:
                raise StreamEndedError from None
            return None
        except (av.error.FFmpegError, OSError):
            return None
        if self._finite and frame.time is not None:
            if self._zero is None:
                self._zero = arrived - frame.time
            # A jump in the time stamps must not look like a stall.
            self._sleep(min(1.0, max(0.0, self._zero + frame.time - self._clock())))
            arrived = max(arrived, self._zero + frame.time)
        return Shot(self._to_rgb(frame), arrived)

    def close(self) -> None:
        """Close the stream."""
        self._container.close()

    def _decode(self, stream: Any) -> Iterator[tuple[av.VideoFrame, float]]:
        bad = 0
        for packet in self._container.demux(stream):
            arrived = self._clock()
            try:
                frames = stream.decode(packet)
                bad = 0
            except av.error.InvalidDataError:
                bad += 1
                if bad > BAD_FRAMES_ALLOWED:
                    raise
                continue
            for frame in frames:
                yield frame, arrived


def open_stream(url: str) -> Any:
    """Return the open container of a URL. Raises `SourceError` within about ten seconds."""
    # Not `nobuffer`: it throws away what was read to recognise the stream, so its key frame.
    options = {"flags": "low_delay"}
    if urlsplit(url).scheme in ("rtsp", "rtsps"):
        # Over UDP lost packets smear the picture; TCP passes firewalls besides.
        options["rtsp_transport"] = "tcp"
    began = time.monotonic()
    try:
        return av.open(url, options=options, timeout=(OPEN_TIMEOUT, READ_TIMEOUT))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # Of a time-out RTSP makes "invalid data", and HTTP "immediate exit".
        if time.monotonic() - began >= OPEN_TIMEOUT:
            raise no_stream(url, f"It did not answer within {OPEN_TIMEOUT:g} s.") from None
        why = getattr(error, "strerror", None) or str(error)
        raise no_stream(url, f"{why}.") from error


def no_stream(url: str, why: str) -> SourceError:
    """Return the error for a URL that gives no picture."""
    return SourceError(
        f"There is no picture from {without_password(url)}.",
        why,
        "Check the address, its user and password, and whether a player like VLC shows it.",
    )


def without_password(url: str) -> str:
    """Return the URL as it may be shown and logged."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.password:
            host = parts.netloc.rpartition("@")[2]
            return parts._replace(netloc=f"{parts.username}:***@{host}").geturl()
    return url
