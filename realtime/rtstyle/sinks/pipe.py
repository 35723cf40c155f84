"""A video into a pipe: standard output, a FIFO or a device."""

from __future__ import annotations

import errno
import os
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from rtstyle.errors import SinkError, UsageError, reason
from rtstyle.files.pending import PendingFile
from rtstyle.frame import Frame
from rtstyle.media.feed import is_pipe
from rtstyle.media.spherical import Spherical
from rtstyle.sinks.encoding.encoders import EncoderChoice
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.tracks.stream_copy import StreamCopier
from rtstyle.sinks.video_file import SoundInput, VideoFileSink

STDOUT = Path("-")
Y4M = "yuv4mpegpipe"
FORMATS = {
    "matroska": "matroska",
    "mkv": "matroska",
    "nut": "nut",
    "webm": "webm",
    "y4m": Y4M,
}
"""What can be written without going back: names of `--format`, and FFmpeg's."""
DEFAULT_FORMAT = "matroska"
PATIENCE = 60.0
"""Seconds to wait until somebody reads a FIFO."""
POLL = 0.05
_DESCRIPTORS = ("/dev/fd", "/proc/self/fd")
_LIVE = {"flush_packets": "1", "cluster_time_limit": "500"}


def is_pipe_output(path: Path) -> bool:
    """Return True for `-`, a FIFO, a device, and the names of open descriptors."""
    named = path in (Path("/dev/stdout"), Path("/dev/stderr")) or str(path.parent) in _DESCRIPTORS
    return path == STDOUT or named or is_pipe(path)


def check_format(name: str | None, output: Path) -> str | None:
    """Return FFmpeg's name of `--format` for a pipe, None for a file. Raises `UsageError`."""
    if not is_pipe_output(output):
        if name is not None:
            raise UsageError(
                "--format is for outputs that are pipes.", "The suffix decides.", "Leave it out."
            )
        return None
    if (name or DEFAULT_FORMAT) not in FORMATS:
        raise UsageError(
            f"{name} cannot be written to a pipe.", "", f"Use one of {', '.join(FORMATS)}."
        )
    return FORMATS[name or DEFAULT_FORMAT]


class PipeOutput(PendingFile):
    """An open pipe, with what `VideoFileSink` asks of a pending file.

    Raises `SinkError` for a terminal, and if nobody reads a FIFO for `PATIENCE` seconds.
    """

    def __init__(self, path: Path) -> None:
        self.path = self.temporary = path
        self._written = 0
        self._descriptor = os.dup(1) if path == STDOUT else open_for_writing(path)
        if os.isatty(self._descriptor):
            self.discard()
            raise SinkError(
                "The output is a terminal.", "", "Write: rtstyle video in.mp4 - | ffplay -"
            )

    def write(self, data: bytes) -> int:
        """Write all of `data`; FFmpeg calls this."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
        self._written += len(data)
        return len(data)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._written

    def commit(self, complete: bool = True) -> Path:  # noqa: ARG002 - nothing can be taken back
        """Close the pipe."""
        self.discard()
        return self.path

    def discard(self) -> None:
        """Close the pipe; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class PipeSink(VideoFileSink):
    """Writes Matroska, NUT, WebM or Y4M to a pipe; see `VideoFileSink`.

    `kind` is a value of `FORMATS`. Y4M holds pictures only, at an even rate.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        *,
        rate: Fraction | None = None,
        encoding: Encoding | None = None,
        origin: Fraction = Fraction(0),
        sample_aspect_ratio: Fraction | None = None,
        copier: StreamCopier | None = None,
        spherical: Spherical | None = None,
        live: bool = False,
        sound: SoundInput | None = None,
    ) -> None:
        super().__init__(
            path, rate=rate, encoding=encoding, origin=origin,
            sample_aspect_ratio=sample_aspect_ratio, copier=copier, spherical=spherical,
            live=live, sound=None if kind == Y4M else sound,
        )  # fmt: skip
        self.kind = kind
        self._size = 0

    def open(self) -> None:
        """Open the pipe, once somebody reads it."""
        if self._pending is None:
            self._pending = PipeOutput(self.path)

    def write(self, frame: Frame) -> None:
        """Encode one frame; when the reader has gone, say so."""
        try:
            super().write(frame)
        except SinkError as error:
            raise gone(self.path) if broken(error) else error from None

    @property
    def written(self) -> int:
        """Bytes so far."""
        self._size = max(self._size, super().written)
        return self._size

    def close(self, complete: bool = True) -> None:
        """Write what is left, and close the pipe."""
        pending = self._pending
        try:
            super().close(complete)
        except SinkError as error:
            raise gone(self.path) if broken(error) else error from None
        self._size = pending.size if pending else self._size

    def notes(self) -> list[str]:
        """Return what `VideoFileSink` does, and what a format cannot hold."""
        y4m = ["Y4M holds pictures only, all equally long"] if self.kind == Y4M else []
        return super().notes() + y4m

    def _target(self) -> Any:
        return self._pending

    def _options(self) -> dict[str, str]:
        return _LIVE if self.kind in ("matroska", "webm") else {"flush_packets": "1"}

    def _choose(self, width: int, height: int) -> EncoderChoice:
        if self.kind == Y4M:
            return EncoderChoice("rawvideo")
        return super()._choose(width, height)


def broken(error: SinkError) -> bool:
    """Return True if nobody reads the pipe any more."""
    return isinstance(error.__cause__, BrokenPipeError)


def gone(path: Path) -> SinkError:
    """Return the error for a reader that has gone."""
    name = "standard output" if path == STDOUT else str(path)
    return SinkError(f"Nobody reads {name} any more.", "The program behind the pipe has ended.")


def open_for_writing(path: Path) -> int:
    """Return a descriptor. A FIFO is opened once somebody reads it. Raises `SinkError`."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            if error.errno != errno.ENXIO:
                why = reason(error)
                raise SinkError(f"{path} cannot be written.", why) from error
            if time.monotonic() >= until:
                raise SinkError(
                    f"{path} cannot be written.",
                    f"Nobody read it within {PATIENCE:g} s.",
                    "Start the reader first.",
                ) from error
            time.sleep(POLL)
        else:
            os.set_blocking(descriptor, True)
            return descriptor
