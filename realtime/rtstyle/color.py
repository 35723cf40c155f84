"""Colour transfer between pictures: pure functions on (H, W, 3) uint8 RGB arrays."""

from __future__ import annotations

import cv2
import numpy as np

from rtstyle.frame import Image


def with_chroma_of(source: Image, painted: Image) -> Image:
    """Return the luminance of `painted` in the colours of `source` (Gatys et al. 2016b, sec. 3.2).

    Both are (H, W, 3) uint8 RGB of one size. Works in full-range YCrCb; values that leave the
    RGB cube saturate.
    """
    colours = cv2.cvtColor(source, cv2.COLOR_RGB2YCrCb)
    light = cv2.cvtColor(painted, cv2.COLOR_RGB2YCrCb)
    cv2.mixChannels([light], [colours], [0, 0])
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_YCrCb2RGB), np.uint8)


def blend(source: Image, painted: Image, strength: float) -> Image:
    """Return `source` x (1 - strength) + `painted` x strength, rounded. Writes into `painted`.

    Both are (H, W, 3) uint8 of one size; `strength` is 0 to 1.
    """
    cv2.addWeighted(source, 1.0 - strength, painted, strength, 0.0, dst=painted)
    return painted


def resize(image: Image, height: int, width: int) -> Image:
    """Return `image`, (H, W) or (H, W, C) uint8, at another size: area mean down, cubic up."""
    if image.shape[:2] == (height, width):
        return image
    smaller = height < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
