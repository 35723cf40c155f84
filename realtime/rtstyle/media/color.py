"""Colour transfer between pictures: pure functions on (H, W, 3) uint8 RGB arrays."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

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


@dataclass(frozen=True, slots=True)
class Colours:
    """Mean (3,) and covariance (3, 3) of a picture's R, G and B, in levels of 0 to 255.

    Plain numbers, so that what was made of them can be kept under them.
    """

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, image: Image) -> Colours:
        """Measure those of an (H, W, 3) uint8 RGB picture."""
        pixels = image.reshape(-1, 3).astype(np.float64)
        covariance = np.cov(pixels, rowvar=False, bias=True)
        return cls(tuple(pixels.mean(axis=0).tolist()), tuple(map(tuple, covariance.tolist())))


def match_colors(style: Image, wanted: Colours) -> Image:
    """Return `style`, (H, W, 3) uint8 RGB, with the colours of another picture.

    Values that leave the RGB cube saturate. Gatys et al. 2016b ("Preserving Color in Neural
    Artistic Style Transfer"), section 3.1, equations 3 and 4, with symmetric square roots. Colours
    that `style` does not vary in stay unvaried.
    """
    own = Colours.of(style)
    matrix = _matrix_power(np.array(wanted.covariance), 0.5)
    matrix = matrix @ _matrix_power(np.array(own.covariance), -0.5)
    moved = (style.reshape(-1, 3) - np.array(own.mean)) @ matrix.T + np.array(wanted.mean)
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


def with_square_pixels(image: Image, ratio: Fraction | None) -> Image:
    """Return (H, W, 3) as wide as it is shown, where `ratio` is a pixel's width over its height."""
    if not ratio or ratio == 1:
        return image
    return resize(image, image.shape[0], square_width(image.shape[1], ratio))


def square_width(width: int, ratio: Fraction) -> int:
    """Return how wide a picture of `width` pixels is in square ones; see `with_square_pixels`."""
    return max(1, round(width * ratio))
