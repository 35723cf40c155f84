"""Pictures that tests make: noise, and soft pictures like photos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil


def noise(*shape: int, seed: int = 0, low: int = 0, high: int = 256) -> NDArray[np.uint8]:
    """Return even noise of (*shape, 3): nothing in it is like anything else."""
    return np.random.default_rng(seed).integers(low, high, (*shape, 3), np.uint8)


def coarse_noise(height: int, width: int, seed: int, cell: int = 2) -> NDArray[np.uint8]:
    """Return noise of squares of `cell` pixels: encoders keep it, and must spend bits on it."""
    small = noise(height // cell, width // cell, seed=seed)
    return small.repeat(cell, axis=0).repeat(cell, axis=1)


def photo(
    height: int, width: int, seed: int = 0, cells: tuple[int, int] = (8, 9)
) -> NDArray[np.uint8]:
    """Return a soft picture (H, W, 3) of some coloured spots, `cells` in rows and columns."""
    small = noise(*cells, seed=seed)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def saved(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write a picture to `path` and return it."""
    Pil.fromarray(image).save(path)
    return path
