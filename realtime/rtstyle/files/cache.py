"""Files of the cache: read with suspicion, written at once, made by one process at a time.

What is not as it was written counts as not there: it is made anew. A cache that cannot be written
costs time only, so none of this raises.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtstyle.files.temporary import replacing

LARGEST = 1 << 20
"""Bytes of the largest file that is read, by default; vectors have some 20,000."""
WAIT = 120.0
"""Seconds to wait for another process that makes the same; then it is made here as well."""
LOOK_EVERY = 0.2
"""Seconds between two looks at whether waiting was stopped."""
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""A FIFO would keep the reader waiting, so nothing is waited for."""
_MAGIC = b"rtstyle vector 1\n"
_DIGEST = hashlib.sha256().digest_size


def read_kept(path: Path, largest: int = LARGEST) -> bytes | None:
    """Return the content of a regular file of at most `largest` bytes, or None."""
    try:
        file = os.open(path, _READ)
    except (OSError, ValueError):
        return None
    try:
        with os.fdopen(file, "rb") as stream:
            state = os.fstat(file)
            if not stat.S_ISREG(state.st_mode) or state.st_size > largest:
                return None
            return stream.read(largest)
    except OSError:
        return None


def write_kept(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(content)


def read_vector(path: Path, key: str) -> NDArray[np.float32] | None:
    """Return the (M,) numbers that `write_vector` wrote under `key`; None if they are not that."""
    content = read_kept(path)
    if content is None or not content.startswith(_MAGIC):
        return None
    start = len(_MAGIC) + _DIGEST
    digest, numbers = content[len(_MAGIC) : start], content[start:]
    if not numbers or len(numbers) % 4 or digest != _digest(key, numbers):
        return None
    found = np.frombuffer(numbers, "<f4").astype(np.float32)
    return found if np.isfinite(found).all() else None


def write_vector(path: Path, key: str, vector: NDArray[np.float32]) -> None:
    """Write (M,) finite numbers with a digest of them and of `key`, which names what they are."""
    numbers = vector.astype("<f4").tobytes()
    write_kept(path, _MAGIC + _digest(key, numbers) + numbers)


def _digest(key: str, numbers: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + numbers).digest()


@contextmanager
def one_at_a_time(path: Path, stopped: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Hold the lock file at `path`: other processes and threads wait here, for `WAIT` at most.

    Not waited for any longer once `stopped` says so, and not held where there can be no lock.
    """
    # Taken by few runs, and costs 0.03 s.
    from filelock import FileLock, Timeout

    end = time.monotonic() + WAIT
    with ExitStack() as stack:
        while time.monotonic() < end and not stopped():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(path, timeout=LOOK_EVERY))
            except Timeout:
                continue
            except (OSError, NotImplementedError):
                break
            break
        yield
