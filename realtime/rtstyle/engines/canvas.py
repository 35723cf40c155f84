"""The canvas as a network takes it: the last painting, and how far it may be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtstyle.frame import Image

UNKNOWN = 128
"""What a canvas holds where nothing is known."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """What a network takes besides a frame: `picture` (H, W, 3), `trust` (H / 2, W / 2) uint8."""

    picture: Image
    trust: NDArray[np.uint8]

    def feeds(self) -> dict[str, NDArray[np.uint8]]:
        """Return the further inputs of an engine, for one picture."""
        return {"canvas": self.picture[None], "trust": self.trust[None, :, :, None]}


def half(size: tuple[int, int]) -> tuple[int, int]:
    """Return half of a size (rows, columns), rounded up."""
    return -(-size[0] // 2), -(-size[1] // 2)


def empty(size: tuple[int, int]) -> Canvas:
    """Return the empty canvas for frames of a size (rows, columns)."""
    return Canvas(np.full((*size, 3), UNKNOWN, np.uint8), np.zeros(half(size), np.uint8))
