"""How much memory an optimisation takes, so that it is refused before it starts, not killed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from rtstyle.errors import RtstyleError, UsageError
from rtstyle.progress import human_size

FRUGAL_FROM = 8_000_000_000
"""Bytes from which activations are computed twice rather than kept, even if they would fit."""

# Measured as the peak of a closure, and rounded up (`scripts/bench_gatys --memory`).
_FIXED = 1_400_000_000
_KEPT, _FRUGAL = 2100, 1500
_VECTOR = 3 * 4


def estimate(height: int, width: int, history: int, *, frugal: bool) -> int:
    """Bytes that a process needs to optimise a picture of this size."""
    vectors = 2 * history + 10
    each = (_FRUGAL if frugal else _KEPT) + _VECTOR * vectors
    return _FIXED + height * width * each


def available(device: torch.device) -> int:
    """Bytes that are free on `device`."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def plan(height: int, width: int, history: int, free: int) -> bool:
    """Return whether to be frugal. Raises `UsageError` if `free` bytes do not suffice even so."""
    if estimate(height, width, history, frugal=False) <= min(free, FRUGAL_FROM):
        return False
    need = estimate(height, width, history, frugal=True)
    if need > free:
        raise too_large(height, width, history, free)
    return True


def too_large(height: int, width: int, history: int, free: int) -> UsageError:
    """Return the error that tells which size would fit into `free` bytes."""
    each = (estimate(height, width, history, frugal=True) - _FIXED) / (height * width)
    factor = math.sqrt(max(free * 0.95 - _FIXED, 0) / each / (height * width))
    side = int(max(height, width) * factor) // 16 * 16
    todo = f"--size {side} would fit." if side >= 64 else "Close other programs."
    need = estimate(height, width, history, frugal=True)
    return UsageError(
        f"There is not enough memory for {width}x{height} pixels.",
        f"They need about {human_size(need)}, and {human_size(free)} are free.",
        todo,
    )


@contextmanager
def explain_shortage(height: int, width: int, history: int, free: int) -> Iterator[None]:
    """Turn a failed allocation into the error of `too_large`; `free` as before the work."""
    try:
        yield
    except RtstyleError:
        raise
    except (MemoryError, RuntimeError) as error:
        # On the CPU PyTorch raises a plain RuntimeError.
        shortage = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not shortage and "not enough memory" not in str(error):
            raise
        raise too_large(height, width, history, min(free, free * 4 // 5)) from error
