"""An output that appears under its name only when it is whole."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rtstyle.errors import RtstyleError, SinkError


def partial_name(path: Path) -> Path:
    """Return the name for an interrupted output: `clip.mp4` becomes `clip.partial.mp4`."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


class PendingFile:
    """A temporary file beside `path` that replaces it in one step, or goes without a trace.

    Raises `SinkError` if `path` is a folder, or its folder is missing or cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
        if path.is_dir():
            raise SinkError(f"{path} is a folder.", "", "Name a file, like out.mp4.")
        check_folder(path.parent)
        with writing_to(path):
            self.temporary.touch(exist_ok=False)

    def commit(self, complete: bool = True) -> Path:
        """Give the file its name, or the name of a partial one, and return that."""
        target = self.path if complete else partial_name(self.path)
        with writing_to(self.path):
            os.replace(self.temporary, target)  # noqa: PTH105 - says that it replaces
        return target

    @property
    def size(self) -> int:
        """Bytes in the temporary file."""
        try:
            return self.temporary.stat().st_size
        except OSError:
            return 0

    def discard(self) -> None:
        """Remove the temporary file, if it is still there."""
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
        raise SinkError(f"{path} cannot be written.", error.strerror or str(error)) from error
    except (ValueError, RuntimeError) as error:
        raise SinkError(f"{path} cannot be written.", str(error)) from error
