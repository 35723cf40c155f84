"""How large an output may become: what the disk, its file system and the user's limits allow.

An MP4 can be played only once its index is written behind the pictures. So an output stops before
the disk does, while there is room for what must still be written.
"""

from __future__ import annotations

import errno
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av.error

from rtstyle.errors import SinkError
from rtstyle.files.sizes import human_size

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of the system that mean: no more of this file."""
FAT_LIMIT = (1 << 32) - 1
FAT = frozenset(("vfat", "msdos", "fat", "fat16", "fat32"))
ASK_FROM = 3 << 30
"""Bytes of a file from which its file system is asked for."""
RESERVE = 48 << 10
"""Bytes for what FFmpeg holds back, and for sound that goes on after the last picture."""
PER_PACKET = 96
"""Bytes of a packet in an index and around it, at most."""
TODO = "Choose another disk; --start paints the rest."


class NoRoomError(Exception):
    """The next packet does not fit any more; the text says why."""


class Room:
    """Counts what is written to `file`, and says whether more fits."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._limit, self._why = user_limit()
        self._asked = False
        self._packets = self._bytes = 0

    def take(self, size: int, beside: int = 0) -> None:
        """Count a packet of `size` bytes, about to be written. Raises `NoRoomError`.

        `beside` are the bytes that others have written to the file in all.
        """
        bytes_then = self._bytes + beside + size
        then = bytes_then + RESERVE + PER_PACKET * (self._packets + 1)
        if then > ASK_FROM and not self._asked:
            self._asked = True
            if file_system(self._file.parent) in FAT and self._limit > FAT_LIMIT:
                self._limit, self._why = FAT_LIMIT, "its file system (FAT) ends at 4 GiB"
        if then > self._limit:
            raise NoRoomError(self._why)
        if then > self._size() + shutil.disk_usage(self._file.parent).free:
            raise NoRoomError("the disk is full")
        self._packets += 1
        self._bytes += size

    def _size(self) -> int:
        try:
            return self._file.stat().st_size
        except OSError:
            return 0


def user_limit() -> tuple[int, str]:
    """Return how large files of this process may be, and why."""
    if sys.platform == "win32":
        return sys.maxsize, ""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit in (resource.RLIM_INFINITY, -1):
        return sys.maxsize, ""
    return limit, f"files may have {human_size(limit)} here (ulimit -f)"


def file_system(folder: Path) -> str:
    """Return the kind of file system that a folder lies on, or ''."""
    import psutil

    place = folder.resolve()
    found = [p for p in psutil.disk_partitions(all=True) if place.is_relative_to(p.mountpoint)]
    return max(found, key=lambda p: len(p.mountpoint)).fstype.lower() if found else ""


def why_full(error: BaseException) -> str:
    """Return in words which limit an error of the system means, or ''."""
    number = getattr(error, "errno", None)
    if number == errno.EFBIG:
        return user_limit()[1] or "its file system holds no larger file"
    if number == errno.EDQUOT:
        return "the quota is used up"
    return "the disk is full" if number in FULL else ""


def cut_short(path: Path, why: str, kept: Path | None) -> SinkError:
    """Return the error for an output that could not go on; `kept` is what was painted so far."""
    what = f"{path} cannot be written to its end: {why}."
    if kept is None:
        return SinkError(what, "Nothing could be kept. What was there before is untouched.", TODO)
    return SinkError(what, f"What was painted is kept as {kept}.", TODO)


@contextmanager
def keeping(path: Path, keep: Callable[[], Path | None]) -> Iterator[None]:
    """Call `keep` when there is no room for more of an output, and raise `SinkError`.

    `keep` finishes what was painted and returns where it is, None where nothing could be kept.
    """
    try:
        yield
    except NoRoomError as limit:
        raise cut_short(path, str(limit), keep()) from None
    except (OSError, av.error.FFmpegError) as error:
        why = why_full(error)
        if not why:
            raise
        raise cut_short(path, why, keep()) from error
