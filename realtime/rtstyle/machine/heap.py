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
M_ARENA_MAX = -8
ARENAS = 2
"""Arenas of a server: its threads come and go with its clients, and glibc has up to 8 a core."""
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
    return _tell(M_MMAP_THRESHOLD, 4 << 20)


def share_arenas() -> bool:
    """Let all threads of this process share few arenas of the C library, from now on.

    Else each thread that begins may take another one, and what it needs for a moment (8 MB for a
    video stream) stays there as a hole: a server grew by 2 MB with every client, in free memory
    alone. It has to be told before nine threads have begun. Returns True if it was told.
    """
    return _tell(M_ARENA_MAX, ARENAS)


def _tell(parameter: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(parameter, value))
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
