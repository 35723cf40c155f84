"""One connection of a stream: encodes in a thread of its own, and hands on to a relay."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import av
import av.error
import numpy as np

from rtstyle.errors import RtstyleError, SinkError, reason
from rtstyle.files.pending import close_anyway
from rtstyle.frame import Frame
from rtstyle.media.deep import picture_converter
from rtstyle.sinks.encoding.codecs import CODECS
from rtstyle.sinks.encoding.encoders import EncoderChoice, configure, try_out, why_not
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.streams.bitrate import Bitrate, usual_bitrate
from rtstyle.sinks.tracks.sound_track import RATE, SoundTrack
from rtstyle.sinks.video_file import SoundInput
from rtstyle.sound import Sound

WAITING = 8
"""Frames that wait to be sent; beyond, the oldest is dropped."""
STUCK = 10.0
"""Seconds after which a network that takes nothing is given up."""
TICK = Fraction(1, 1000)
KEY_EVERY = 2
"""Seconds between key frames, at which a viewer can come in."""


class Line(Protocol):
    """What a sender needs of a way into the network; `Relay` is one."""

    container: Any

    @property
    def connected(self) -> bool:
        """Whether something has arrived."""

    def why(self) -> str:
        """Return why it ended."""

    def finish(self) -> None:
        """Send what is on its way, and end."""

    def kill(self) -> None:
        """End at once; called from another thread."""


class Sender:
    """Connects, then sends the frames that are offered, until it breaks or is ended.

    `opener` opens a line. Without `sound` silence is sent, as services for live
    streams refuse streams without sound. `problem` says why it ended; '': it was asked to.
    """

    def __init__(
        self,
        opener: Callable[[], Line],
        rate: Fraction,
        bits: int | None,
        sound: SoundInput | None,
        clock: Callable[[], float],
    ) -> None:
        self._opener, self._rate, self._bits = opener, rate, bits
        self._sound, self._clock = sound, clock
        self._waiting: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._busy_since: float | None = None
        self._was_dropped = False
        self.sent = self.dropped = 0
        self.ended = False
        self.problem = ""
        self.bitrate: Bitrate | None = None
        self._line: Line | None = None
        self._thread = threading.Thread(target=self._run, name="rtstyle-stream", daemon=True)

    def start(self) -> None:
        """Connect."""
        self._thread.start()

    def offer(self, frame: Frame) -> None:
        """Send a frame soon; never waits."""
        with self._changed:
            self._waiting.append(frame)
            while len(self._waiting) > WAITING:
                self._waiting.popleft()
                self.dropped += 1
                self._was_dropped = True
            self._changed.notify_all()

    def stuck(self, now: float) -> bool:
        """Return True if the network has kept the thread for too long."""
        since = self._busy_since
        return since is not None and now - since > STUCK

    @property
    def connected(self) -> bool:
        """Whether something has arrived at the other end."""
        return self._line is not None and self._line.connected

    def cut(self) -> None:
        """Break the connection off; the thread ends by itself then."""
        self._ending = True
        if self._line is not None:
            self._line.kill()

    def end(self, patience: float) -> None:
        """Send what waits, and close the connection; break it off where that takes too long."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(patience)
        line = self._line
        if self._thread.is_alive() and line is not None:
            line.kill()
            self._thread.join(patience)

    def _run(self) -> None:
        line: Line | None = None
        try:
            frame = self._next()
            if frame is None:
                return
            line = self._line = self._opener()
            self._begin(line.container, frame)
            while frame is not None:
                self._send(line.container, frame)
                frame = self._next()
            self._finish(line.container)
            line.finish()
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError, RtstyleError) as error:
            self._failed(line, error)
        finally:
            self._busy_since = None
            self.ended = True

    def _failed(self, line: Line | None, error: Exception) -> None:
        """Note what went wrong: the line knows best."""
        told = ""
        if line is not None:
            close_anyway(line.container)
            line.kill()
            told = line.why()
        self.problem = told or reason(error) or "it ended"

    def _next(self) -> Frame | None:
        """Wait for a frame; None at the end."""
        self._busy_since = None
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._ending)
            frame = self._waiting.popleft() if self._waiting else None
        self._busy_since = self._clock()
        return frame

    def _begin(self, container: Any, first: Frame) -> None:
        height, width = first.image.shape[:2]
        bits = self._bits or usual_bitrate(width, height, float(self._rate))
        chosen = choose(width, height, self._rate, bits)
        self._convert = picture_converter(chosen.pixel_format, chosen.even, chosen.hlg)
        second = max(1, round(self._rate))
        options = {**chosen.options, "g": str(KEY_EVERY * second)}
        if chosen.name == "libx264":
            options |= {"tune": "zerolatency", "maxrate": str(bits), "bufsize": str(bits)}
        stream = container.add_stream(chosen.name, rate=self._rate, options=options)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt, stream.bit_rate = chosen.pixel_format, bits
        stream.time_base = stream.codec_context.time_base = TICK
        # One: the painting needs the others more.
        stream.thread_count = 1
        self._stream, self._zero, self._last = stream, first.captured_at, -1
        self.bitrate = Bitrate(bits, self._clock())
        channels = self._sound.channels if self._sound is not None else 2
        self._track = SoundTrack(container, container.format.name, channels)
        self._heard = self._zero
        if self._sound is not None:
            self._sound.take()  # What waited since an earlier connection.

    def _send(self, container: Any, frame: Frame) -> None:
        assert self.bitrate is not None
        dropped, self._was_dropped = self._was_dropped, False
        bits = self.bitrate.note(dropped, self._clock())
        if bits != self._stream.bit_rate:
            self._stream.bit_rate = bits
        picture = self._convert(frame.image)
        # By the clock, not by the source: what is dropped leaves a gap, and no delay.
        self._last = max(self._last + 1, round((frame.captured_at - self._zero) / TICK))
        picture.pts, picture.time_base = self._last, TICK
        for packet in self._stream.encode(picture):
            container.mux(packet)
        for piece in self._pieces(frame.captured_at):
            self._track.write(piece, self._zero)
        self.sent += 1

    def _pieces(self, until: float) -> list[Sound]:
        """Return the sound since the last frame, or silence."""
        if self._sound is not None:
            return self._sound.take()
        count = round(max(0.0, until - self._heard) * RATE)
        silence = Sound(np.zeros((count, 2), np.int16), RATE, self._heard)
        self._heard += count / RATE
        return [silence] if count else []

    def _finish(self, container: Any) -> None:
        for packet in self._stream.encode(None):
            container.mux(packet)
        self._track.finish()
        container.close()


def choose(width: int, height: int, rate: Fraction, bits: int) -> EncoderChoice:
    """Return the first encoder of H.264 that works here, hardware first. Raises `SinkError`."""

    reason = ""
    for name in CODECS["h264"]:
        reason = why_not(name, av.codecs_available)
        if not reason:
            choice = configure(name, width, height, rate, Encoding(bitrate=bits), live=True)
            reason = try_out(name, width, height, choice)
            if not reason:
                return choice
    raise SinkError("No encoder of H.264 works here.", reason, "See `rtstyle doctor`.")
