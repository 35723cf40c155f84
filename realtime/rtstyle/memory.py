"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any


def give_back() -> None:
    """Return the freed memory of this process to the system, where its C library keeps it.

    glibc keeps what lies between blocks in use, for each thread apart: some 10 MB for each model
    that is opened and closed again. Takes some milliseconds.
    """
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], Any] | None:
    if sys.platform == "linux":
        # Not there in musl, which keeps nothing.
        with suppress(OSError, AttributeError):
            found: Callable[[int], Any] = ctypes.CDLL(None).malloc_trim
            return found
    return None
