"""Colour transfer between pictures: pure functions on (H, W, 3) uint8 RGB arrays."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

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


def match_colors(style: Image, content: Image) -> Image:
    """Return `style` with the mean and the covariance of the colours of `content`.

    Both are (H, W, 3) uint8 RGB, of any sizes; values that leave the RGB cube saturate. Gatys et
    al. 2016b ("Preserving Color in Neural Artistic Style Transfer"), section 3.1, equations 3 and
    4, with symmetric square roots. Colours that `style` does not vary in stay unvaried.
    """
    found, target = (x.reshape(-1, 3).astype(np.float64) for x in (style, content))
    mean, scatter = found.mean(axis=0), np.cov(found, rowvar=False, bias=True)
    matrix = _matrix_power(np.cov(target, rowvar=False, bias=True), 0.5)
    matrix = matrix @ _matrix_power(scatter, -0.5)
    moved = (found - mean) @ matrix.T + target.mean(axis=0)
    return np.asarray(np.rint(moved).clip(0, 255).reshape(style.shape), np.uint8)


def _matrix_power(matrix: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Power of a symmetric matrix without negative eigenvalues; directions of none stay out."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > 1e-9 * max(float(values[-1]), 1.0)
    scales = np.zeros_like(values)
    scales[kept] = values[kept] ** power
    return np.asarray((vectors * scales) @ vectors.T, np.float64)


def blend(source: Image, painted: Image, strength: float) -> Image:
    """Return `source` x (1 - strength) + `painted` x strength, rounded. Writes into `painted`.

    Both are (H, W, 3) uint8 of one size; `strength` is 0 to 1.
    """
    cv2.addWeighted(source, 1.0 - strength, painted, strength, 0.0, dst=painted)
    return painted


def blend_linear(painted: Image, source: Image, weight: NDArray[np.float32]) -> Image:
    """Return `painted` where `weight` (H, W) is 1, `source` where it is 0, mixed between.

    The pictures are (H, W, 3) uint8 of one size.
    """
    return np.asarray(cv2.blendLinear(painted, source, weight, 1 - weight), np.uint8)


def resize(image: Image, height: int, width: int) -> Image:
    """Return `image`, (H, W) or (H, W, C) uint8, at another size: area mean down, cubic up."""
    if image.shape[:2] == (height, width):
        return image
    smaller = height < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
