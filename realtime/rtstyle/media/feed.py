"""The bytes of a pipe, read once and handed to several readers, each at its own pace."""

from __future__ import annotations

import os
import select
import stat
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO, Any

from rtstyle.errors import SourceError, reason

PATIENCE = 60.0
"""Seconds without a byte after which a pipe is given up."""
CHUNK = 1 << 16
SEGMENT = 4 << 20
IN_MEMORY = 64 << 20
"""Bytes between the slowest and the fastest reader beyond which they lie in temporary files."""
GRACE_BYTES, GRACE = 4 << 20, 1.0
"""What is read after a stop at most, in bytes and seconds: sound lies behind its pictures."""
POLL = 0.2
"""Seconds between looks whether the reading was stopped."""


class Segment:
    """Some bytes in a row, in memory or in a temporary file without a name."""

    def __init__(self, start: int, on_disk: bool) -> None:
        self.start, self.length = start, 0
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        if on_disk:
            self._file = tempfile.TemporaryFile(prefix="rtstyle-")  # noqa: SIM115 - see `close`

    @property
    def end(self) -> int:
        """The position after the last byte."""
        return self.start + self.length

    @property
    def in_memory(self) -> int:
        """Bytes of memory that it takes."""
        return len(self._memory)

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        if self._file is None:
            self._memory += data
        else:
            self._file.seek(self.length)
            self._file.write(data)
        self.length += len(data)

    def read(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from `position` on, a position in the whole stream."""
        first = position - self.start
        if self._file is None:
            return bytes(self._memory[first : first + size])
        self._file.seek(first)
        return self._file.read(size)

    def close(self) -> None:
        """Free it."""
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()


class Tap:
    """One reader of a `Feed`, as FFmpeg and Pillow take it: `read`, and no `seek`."""

    def __init__(self, feed: Feed) -> None:
        self.position = 0
        self.interrupted: BaseException | None = None
        self._feed = feed

    def read(self, size: int = -1) -> bytes:
        """Return at least one byte and at most `size`; nothing at the end. Below 0: all."""
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        try:
            return self._feed.read(self, size)
        except (KeyboardInterrupt, SystemExit) as end:
            # FFmpeg cannot carry these to the caller.
            self.interrupted = end
            raise OSError("It was interrupted.") from end

    def close(self) -> None:
        """Need no more bytes."""
        self._feed.let_go(self)


class Feed:
    """Reads a pipe, FIFO or character device; what some reader may still need is kept.

    Until `settle` that is everything from the beginning on, so that `tap` can begin there again.
    A pipe that gives nothing for `patience` seconds is at its end, and `silent` is True then: no
    run hangs on a pipe into which nobody writes. `name` is for messages. Raises `SourceError` if
    the pipe cannot be opened.
    """

    def __init__(self, pipe: int | Path, name: str, *, patience: float = PATIENCE) -> None:
        self.name, self.silent = name, False
        self._patience = patience
        self._descriptor = open_pipe(pipe, name)
        self._segments: deque[Segment] = deque()
        self._taps: set[Tap] = set()
        self._changed = threading.Condition()
        self._end = 0
        self._done = self._reading = self._settled = self._stopped = False
        self._last, self._until = sys.maxsize, float("inf")

    def tap(self) -> Tap:
        """Return a new reader from the beginning on. Raises `SourceError` after `settle`."""
        with self._changed:
            if self._settled:
                raise SourceError(f"{self.name} can be read once only.", "It is a pipe.")
            tap = Tap(self)
            self._taps.add(tap)
            return tap

    def settle(self) -> None:
        """Keep from now on only what an open reader still needs."""
        with self._changed:
            self._settled = True
            self._drop()

    def let_go(self, tap: Tap) -> None:
        """Forget a reader."""
        with self._changed:
            self._taps.discard(tap)
            self._drop()

    def stop(self) -> None:
        """End the stream soon: readers get what is there, and only a little more."""
        with self._changed:
            if not self._stopped:
                self._stopped, self._last = True, self._end + GRACE_BYTES
                self._until = min(self._until, time.monotonic() + GRACE)
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and free all."""
        with self._changed:
            self._done = True
            self._until = 0.0
            self._changed.notify_all()
            # Closing a descriptor under a reader would let it read another file.
            self._changed.wait_for(lambda: not self._reading, timeout=2 * POLL)
            if self._descriptor >= 0 and not self._reading:
                os.close(self._descriptor)
                self._descriptor = -1
            self._taps.clear()
            while self._segments:
                self._segments.popleft().close()

    def read(self, tap: Tap, size: int) -> bytes:
        """Return what `Tap.read` does."""
        with self._changed:
            while tap in self._taps and tap.position >= self._end and self._goes_on():
                if self._reading:
                    self._changed.wait(POLL)
                    continue
                self._reading = True
                self._changed.release()
                data = None
                try:
                    data = self._wait_for_bytes()
                finally:
                    self._changed.acquire()
                    self._reading = False
                    self._changed.notify_all()
                self._take(data)
            if tap not in self._taps or tap.position >= self._end:
                return b""
            segment = next(s for s in self._segments if s.end > tap.position)
            data = segment.read(tap.position, size)
            tap.position += len(data)
            self._drop()
            return data

    def _goes_on(self) -> bool:
        return not self._done and self._end < self._last

    def _take(self, data: bytes | None) -> None:
        if not data:
            self._done = True
            self.silent = data is None and not self._stopped
            return
        if not self._segments or self._segments[-1].length >= SEGMENT:
            held = sum(segment.in_memory for segment in self._segments)
            self._segments.append(Segment(self._end, on_disk=held >= IN_MEMORY))
        self._segments[-1].append(data)
        self._end += len(data)

    def _drop(self) -> None:
        """Free the segments that nobody needs."""
        if not self._settled:
            return
        needed = min((tap.position for tap in self._taps), default=self._end)
        while self._segments and self._segments[0].end <= needed:
            self._segments.popleft().close()

    def _wait_for_bytes(self) -> bytes | None:
        """Return the next bytes, nothing at the end, None after the patience or a stop."""
        until = time.monotonic() + self._patience
        while not can_be_read(self._descriptor, POLL):
            if time.monotonic() >= min(until, self._until):
                return None
        try:
            return os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            # A terminal or a driver that went away is at its end.
            return b""


def is_pipe(path: Path) -> bool:
    """Return True for a FIFO, a character device or a socket: it cannot be read twice."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def open_pipe(pipe: int | Path, name: str) -> int:
    """Return a descriptor to read from, of its own. Never waits for a writer."""
    if isinstance(pipe, int):
        if os.isatty(pipe):
            raise SourceError(
                f"{name} is a terminal.",
                "A video comes from a pipe or a file.",
                "Write: ffmpeg -i in.mp4 -c copy -f matroska - | rtstyle video - out.mp4",
            )
        return os.dup(pipe)
    try:
        return os.open(pipe, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise SourceError(f"{name} cannot be read.", reason(error)) from error


def can_be_read(descriptor: int, seconds: float) -> bool:
    """Wait until `os.read` would not wait; False if that took longer than `seconds`."""
    if sys.platform == "win32":
        # Windows cannot wait for pipes: the read itself waits.
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def read_pipe(path: Path, most: int, kind: str) -> Any:
    """Return all of a pipe as a file in memory; it is a `kind` of at most `most` bytes.

    Raises `SourceError` if it holds more, or nothing.
    """
    from io import BytesIO

    feed = Feed(path, str(path))
    try:
        tap, found = feed.tap(), bytearray()
        feed.settle()
        while data := tap.read(CHUNK):
            found += data
            if len(found) > most:
                raise SourceError(f"{path} is too large.", f"A {kind} has at most {most} bytes.")
    finally:
        feed.close()
    if not found:
        raise nothing_came(feed)
    return BytesIO(found)


def nothing_came(feed: Feed) -> SourceError:
    """Return the error for a pipe without a byte."""
    why = f"Nothing came within {PATIENCE:g} s." if feed.silent else "It ended before a byte came."
    return SourceError(f"There is nothing to read in {feed.name}.", why, "Check what writes to it.")
