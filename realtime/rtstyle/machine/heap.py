"""What is free goes back to the system; what stays is left alone by the garbage collector.

In a live run pictures are made by one thread and let go of by another, hours long. The C library of
Linux (glibc) keeps what is freed in several arenas, and their free parts grow slowly without
anything being in use: some 10 % in the first ten minutes. What a model that is closed again leaves
behind there is some 10 MB.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from functools import lru_cache

M_MMAP_THRESHOLD = -3
EVERY = 600
"""Frames of a live run after which memory is handed back: 20 s at 30 FPS; it takes 2 ms or so."""


@lru_cache(maxsize=1)
def _trim() -> Callable[[int], int] | None:
    """Return `malloc_trim`, or None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        function: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None  # Another C library, such as musl.
    return function


def keep_large_apart() -> bool:
    """Let the C library give each block of 4 MiB and more back as soon as it is free, from now on.

    By itself glibc soon keeps blocks of up to 32 MiB, such as a picture of 4K, among the small ones
    in the arena of each thread: 140 MB more for a video of that size. Returns True if it was told.
    """
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 4 << 20))
    except (OSError, AttributeError):
        return False  # Another C library, such as musl.


def give_back() -> bool:
    """Hand free memory back to the system; return True if any was."""
    trim = _trim()
    return bool(trim(0)) if trim is not None else False


def release() -> None:
    """Free what only refers to itself, and hand all that is free back to the system.

    Connections, for one, do; the garbage collector looks at what has lived long only rarely.
    """
    gc.collect()
    give_back()


def set_apart() -> None:
    """Have Python's garbage collector leave alone whatever there is now.

    Of some 60,000 objects, most of them of libraries, it otherwise goes through all now and then,
    and every thread stands still meanwhile: 70 ms on two cores, two frames of a live picture.
    `gc.unfreeze` takes it back.
    """
    gc.collect()
    gc.freeze()
