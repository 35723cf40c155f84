"""The noise `z` that texture networks take besides a picture (Ulyanov et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtstyle.engines.base import NOISE_PORT, Engine

STRIDE = 32
"""Sides of the noise are those of the picture, rounded up to a multiple of this many pixels."""
MOST_VARIATION = 2.0
"""Variation at which nothing is left of the noise that is usual."""


def noise_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of the noise for pictures of a size (rows, columns)."""
    return -(-size[0] // STRIDE) * STRIDE, -(-size[1] // STRIDE) * STRIDE


@lru_cache(maxsize=8)
def draw(
    size: tuple[int, int], channels: int, seed: int = 0, variation: float = 0.0
) -> NDArray[np.uint8]:
    """Return uniform bytes (1, rows, columns, channels) for pictures of a size (rows, columns).

    The same ones for the same arguments, so that the noise stays where it is over a clip. With a
    `variation` above 0 a share of them (`variation` / `MOST_VARIATION`, at most all) is drawn anew
    with `seed`, which leaves them uniform. The array is shared, and cannot be written.
    """
    shape = (1, *noise_size(size), channels)
    found = np.random.Generator(np.random.PCG64(0)).integers(0, 256, shape, np.uint8)
    if variation > 0:
        drawn = np.random.Generator(np.random.PCG64((seed, 1)))
        other = drawn.integers(0, 256, shape, np.uint8)
        anew = drawn.random(shape[:3], np.float32) < variation / MOST_VARIATION
        found[anew] = other[anew]
    found.flags.writeable = False
    return found


def noise_feeds(
    engine: Engine, size: tuple[int, int], seed: int = 0, variation: float = 0.0
) -> Mapping[str, NDArray[Any]]:
    """Return the noise that an engine takes for pictures of a size, nothing if it takes none."""
    port = engine.extras.get(NOISE_PORT)
    return {} if port is None else {NOISE_PORT: draw(size, port.shape[-1], seed, variation)}
