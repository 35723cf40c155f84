"""How much memory an optimisation takes, so that it is refused before it starts, not killed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

from rtstyle.errors import RtstyleError, UsageError
from rtstyle.files.sizes import human_size

FRUGAL_FROM = 8_000_000_000
"""Bytes from which activations are computed twice rather than kept, even if they would fit."""

# Measured as the peak of a closure, and rounded up (`scripts/bench_gatys --memory`).
_FIXED = {torch.float32: 1_500_000_000, torch.bfloat16: 1_000_000_000}
_KEPT = {torch.float32: 2100, torch.bfloat16: 1800}
_FRUGAL = {torch.float32: 1500, torch.bfloat16: 1200}
_VECTOR = 3 * 4


@dataclass(frozen=True, slots=True)
class Work:
    """An optimisation: a picture of `height` x `width` with `history` of L-BFGS.

    `dtype`, float32 or bfloat16, is the type in which the network convolves.
    """

    height: int
    width: int
    history: int
    dtype: torch.dtype = torch.float32

    def bytes(self, *, frugal: bool) -> int:
        """Bytes that a process needs for it."""
        return _FIXED[self.dtype] + self.height * self.width * self._each(frugal=frugal)

    def side(self, free: int) -> int:
        """The longer side, in steps of 16, of a picture of this shape that fits `free` bytes."""
        pixels = max(free * 0.95 - _FIXED[self.dtype], 0) / self._each(frugal=True)
        factor = math.sqrt(pixels / (self.height * self.width))
        return int(max(self.height, self.width) * factor) // 16 * 16

    def _each(self, *, frugal: bool) -> int:
        kept = (_FRUGAL if frugal else _KEPT)[self.dtype]
        return kept + _VECTOR * (2 * self.history + 10)


def available(device: torch.device) -> int:
    """Bytes that are free on `device`."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def plan(work: Work, free: int) -> bool:
    """Return whether to be frugal. Raises `UsageError` if `free` bytes do not suffice even so."""
    if work.bytes(frugal=False) <= min(free, FRUGAL_FROM):
        return False
    if work.bytes(frugal=True) > free:
        raise too_large(work, free)
    return True


def too_large(work: Work, free: int) -> UsageError:
    """Return the error that tells which size would fit into `free` bytes."""
    side = work.side(free)
    return UsageError(
        f"There is not enough memory for {work.width}x{work.height} pixels.",
        f"They need about {human_size(work.bytes(frugal=True))}, and {human_size(free)} are free.",
        f"--long-side {side} would fit." if side >= 64 else "Close other programs.",
    )


@contextmanager
def explain_shortage(work: Work, free: int) -> Iterator[None]:
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
        raise too_large(work, min(free, free * 4 // 5)) from error
