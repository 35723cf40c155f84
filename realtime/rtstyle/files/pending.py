"""An output that appears under its name only when it is whole."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import av.error

from rtstyle.errors import RtstyleError, SinkError, reason
from rtstyle.files.temporary import sweep, temporary_name, with_addition

RENAME_PATIENCE = 2.0
"""Seconds to try a rename again: on Windows a player or a virus scanner may hold the old file."""
RENAME_PAUSE = 0.1


def partial_name(path: Path) -> Path:
    """Return the name for an interrupted output: `clip.mp4` becomes `clip.partial.mp4`."""
    return with_addition(path, ".partial")


def free_name(path: Path) -> Path:
    """Return `path`, or where that exists the first free of `clip-2.mp4`, `clip-3.mp4`, ..."""
    numbered = (with_addition(path, f"-{number}") for number in count(2))
    return next(name for name in chain((path,), numbered) if not os.path.lexists(name))


def rename(source: Path, target: Path) -> None:
    """Give `source` the name `target`, which it replaces. Raises `OSError`."""
    until = time.monotonic() + RENAME_PATIENCE
    while True:
        try:
            os.replace(source, target)  # noqa: PTH105 - says that it replaces
        except PermissionError:
            if time.monotonic() >= until:
                raise
            time.sleep(RENAME_PAUSE)
        else:
            return


def keep_aside(temporary: Path, name: Path) -> Path:
    """Give `temporary` that name, or a free one like it, and return where it is now."""
    kept = free_name(name)
    try:
        rename(temporary, kept)
    except OSError:
        # Better a hidden file than none.
        return temporary
    return kept


class PendingFile:
    """A temporary file beside `path` that replaces it in one step, or goes without a trace.

    Raises `SinkError` if `path` is a folder, or its folder is missing or cannot be written to.
    """

    _kept = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = temporary_name(path)
        if path.is_dir():
            raise SinkError(f"{path} is a folder.", "", "Name a file, like out.mp4.")
        check_folder(path.parent)
        sweep(path.parent)
        with writing_to(path):
            self.temporary.touch(exist_ok=False)

    def commit(self, complete: bool = True) -> Path:
        """Give the file its name, or a free one as a partial file, and return that.

        Where it cannot have its name, a `SinkError` tells under which other one it is kept.
        """
        if not complete:
            return self._keep()
        try:
            rename(self.temporary, self.path)
        except OSError as error:
            why, todo = reason(error), f"What was painted is kept as {self._keep()}."
            raise SinkError(f"{self.path} cannot be written.", why, todo) from error
        return self.path

    def _keep(self) -> Path:
        self._kept = True
        return keep_aside(self.temporary, partial_name(self.path))

    @property
    def size(self) -> int:
        """Bytes in the temporary file."""
        try:
            return self.temporary.stat().st_size
        except OSError:
            return 0

    def discard(self) -> None:
        """Remove the temporary file, if it is still there and no output to be kept."""
        if self._kept:
            return
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)


class GrowingFile(PendingFile):
    """An output that has its name from the start and is never taken back: a live recording.

    Raises `SinkError` if `path` exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = self.temporary = path
        check_folder(path.parent)
        if path.exists():
            raise SinkError(f"{path} exists already.", "", "Choose another name, or move it away.")
        with writing_to(path):
            path.touch(exist_ok=False)

    def commit(self, complete: bool = True) -> Path:  # noqa: ARG002 - whole at any moment
        """Return where the file is."""
        return self.path

    def discard(self) -> None:
        """Remove the file if nothing was written; what was recorded stays."""
        if self.size == 0:
            super().discard()


def check_folder(folder: Path) -> None:
    """Raise `SinkError` unless `folder` exists and may be written to."""
    if not folder.is_dir():
        raise SinkError(f"The folder {folder} does not exist.", "", f"Make it: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(
            f"The folder {folder} cannot be written to.", "You have no right to.", "Choose another."
        )


def make_folder(folder: Path) -> None:
    """Make a folder for outputs, unless it is there. Raises `SinkError`."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"The folder {folder} cannot be made.", reason(error), "Choose another."
        ) from error


def close_anyway(*things: Any) -> None:
    """Close what is thrown away. What FFmpeg says of it, such as a full disk, is ignored."""
    for thing in things:
        with suppress(av.error.FFmpegError, OSError, ValueError, RuntimeError):
            if thing is not None:
                thing.close()


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn what the system or FFmpeg says while writing `path` into a `SinkError`."""
    try:
        yield
    except RtstyleError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SinkError(
                f"{path} cannot be written: the disk is full.",
                "What was there before is untouched.",
                "Make room, or choose another folder.",
            ) from error
        raise SinkError(f"{path} cannot be written.", reason(error)) from error
    except (av.error.FFmpegError, ValueError, RuntimeError) as error:
        # Several errors of FFmpeg have no other base: ExternalError, for example.
        why = reason(error)
        raise SinkError(f"{path} cannot be written.", why) from error
