"""Temporary files and folders: short names, told from each other, and swept after a crash.

Whatever is written beside a file and renamed has its name from here, and so have folders of the
system's place for temporary files. `temporary_name` does not contain the name of the output, which
may already be as long as a file system allows.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = ".rtstyle"
LONGEST_NAME = 255
"""Bytes in a file name that Linux, macOS and Windows allow."""
_LEFT = re.compile(
    r"\.?rtstyle-([0-9a-f]{8})-(\d{1,10})-[0-9a-z_]{8}(\.tmp(\.\w{1,10})?)?", re.ASCII
)
"""Names of files beside an output, and of folders among temporary files: machine, process."""
_swept: set[Path] = set()


def temporary_name(path: Path, suffix: str | None = None) -> Path:
    """Return a new hidden name beside `path`, of at most 60 bytes, that ends in `suffix`.

    By default that is the suffix of `path`. The name tells machine and process, so that `sweep`
    knows when nobody writes to it any more.
    """
    ending = path.suffix if suffix is None else suffix
    # A suffix is part of the name only where a writer chooses the format by it.
    if not re.fullmatch(r"\.\w{1,10}", ending, re.ASCII):
        ending = ""
    return path.with_name(f"{PREFIX}-{_owner()}-{secrets.token_hex(4)}.tmp{ending}")


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a new folder among the temporary files of the system; its `with` removes it.

    What killed runs left there is swept first. What cannot be removed at the end stays.
    """
    sweep(Path(tempfile.gettempdir()))
    return tempfile.TemporaryDirectory(prefix=f"rtstyle-{_owner()}-", ignore_cleanup_errors=True)


def with_addition(path: Path, addition: str, suffix: str | None = None) -> Path:
    """Return `clip.mp4` as `clip` + `addition` + `suffix` (default: its own).

    The stem is cut where the name would be longer than file systems allow.
    """
    ending = path.suffix if suffix is None else suffix
    stem = path.stem
    while stem and len(os.fsencode(f"{stem}{addition}{ending}")) > LONGEST_NAME:
        stem = stem[:-1]
    return path.with_name(f"{stem}{addition}{ending}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give out a temporary name beside `path`; what was written there becomes `path` at the end.

    If the body raises, `path` is untouched. The temporary file is gone in either case.
    """
    sweep(path.parent)
    temporary = temporary_name(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> list[Path]:
    """Remove what killed runs left in `folder`, and return it. Each folder is swept once a run.

    Only names of this machine whose process is gone are touched; what cannot be removed stays.
    """
    place = Path(os.path.abspath(folder))  # noqa: PTH100 - must not touch the file system
    if place in _swept:
        return []
    _swept.add(place)
    gone: list[Path] = []
    with suppress(OSError):
        for path in place.iterdir():
            if _is_left_over(path):
                with suppress(OSError):
                    remove(path)
                    gone.append(path)
    return gone


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_left_over(path: Path) -> bool:
    found = _LEFT.fullmatch(path.name)
    if found is None or int(found[1], 16) != _machine():
        return False
    return not _still_runs(int(found[2]), path)


def _still_runs(pid: int, path: Path) -> bool:
    """Return True if the process that made `path` may still run."""
    # Only needed where something was left behind.
    import psutil

    if pid == os.getpid():
        return True
    try:
        # A process that is younger than the file took over the number of the one that made it.
        return bool(psutil.Process(pid).create_time() <= path.lstat().st_mtime + 1)
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        return True


def _owner() -> str:
    """Return what names contain so that others know who made them: machine and process."""
    return f"{_machine():08x}-{os.getpid()}"


def _machine() -> int:
    """Return a number for this machine: others write to shared folders, too.

    A container counts as one of its own, because it numbers its processes itself.
    """
    name = socket.gethostname()
    with suppress(OSError):
        name += os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no file that exists
    return zlib.crc32(name.encode("utf-8", "replace"))
