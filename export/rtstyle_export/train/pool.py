"""Photographs as one tensor of uint8 squares, so that crops are drawn where training computes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rtstyle.errors import TrainingError
from rtstyle_export.data import mirror_to, read_picture

LARGE = 400
"""Photographs with a short side from here show real detail at 480 rows, and are cut several times.
"""
CUTS = 6
SOFTEST = 1.7
"""By how much small photographs are enlarged at most: more shows no detail that video has."""


def photo_pool(paths: Sequence[Path], side: int, seed: int = 0, limit: int | None = None) -> Tensor:
    """Return squares of photographs as (P, 3, side, side) uint8 RGB.

    Large photographs are seen as frames of about 480 rows and cut `CUTS` times, small ones enlarged
    and cut once; what is still too small is mirrored at its borders. Pictures that cannot be read
    are left out. Raises `TrainingError` if none can.
    """
    rng = np.random.default_rng(seed)
    order = [paths[i] for i in rng.permutation(len(paths))]
    seeds = rng.integers(2**32, size=len(order))

    def cut(job: tuple[Path, int]) -> list[NDArray[np.uint8]]:
        path, number = job
        try:
            return squares(read_picture(path), side, np.random.default_rng(number))
        except TrainingError:
            return []

    found: list[NDArray[np.uint8]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(order), 64):
            for some in pool.map(cut, zip(order[start : start + 64], seeds[start:], strict=False)):
                found += some
            if limit is not None and len(found) >= limit:
                break
    if not found:
        raise TrainingError("None of the photographs can be read.", todo="Name other ones.")
    return torch.from_numpy(np.stack(found[:limit])).permute(0, 3, 1, 2).contiguous()


def squares(
    photo: NDArray[np.uint8], side: int, rng: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """Cut (side, side, 3) squares out of a photograph (H, W, 3)."""
    short = min(photo.shape[:2])
    cuts = []
    for _ in range(CUTS if short >= LARGE else 1):
        wanted = rng.uniform(440, 620) if short >= LARGE else min(SOFTEST * short, 440)
        factor = wanted / short
        image = Image.fromarray(photo).resize(
            (round(photo.shape[1] * factor), round(photo.shape[0] * factor)),
            Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC,
        )
        whole = mirror_to(np.asarray(image), side)
        top, left = (int(rng.integers(length - side + 1)) for length in whole.shape[:2])
        cuts.append(np.ascontiguousarray(whole[top : top + side, left : left + side]))
    return cuts
