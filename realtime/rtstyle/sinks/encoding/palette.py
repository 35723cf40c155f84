"""256 colours that suit a picture, and the picture in them: for GIF."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.frame import Image

BITS = 5
"""Colours are looked up on a grid of 2^BITS steps a channel."""
# Bayer's 4x4 matrix. Ordered dither stays in place; error diffusion would crawl between frames.
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
DITHER = 14
"""Levels between the darkest and the brightest dither offset."""
SAMPLES, PROBE = 160, 48
"""Pixels along the longer side of the picture that the palette is made from, or judged by."""


class Palette:
    """The 256 `colors` (256, 3) that suit an RGB picture best, by median cut."""

    def __init__(self, image: Image) -> None:
        from PIL import Image as PillowImage

        small = shrink(image, SAMPLES)
        cut = PillowImage.fromarray(small).quantize(256, PillowImage.Quantize.MEDIANCUT)
        flat = np.array(cut.getpalette(), np.uint8).reshape(-1, 3)
        # Fewer colours than 256 in the picture: the rest repeats the last.
        self.colors: Image = flat[np.minimum(np.arange(256), len(flat) - 1)]
        self._nearest = nearest_on_grid(self.colors)
        self._pattern: NDArray[np.int16] = np.empty((0, 0, 3), np.int16)

    def misfit(self, image: Image) -> float:
        """Return how badly the colours suit `image`: the error, in levels, of its worst parts."""
        small = shrink(image, PROBE)
        error = np.abs(self.colors[self._lookup(small)].astype(np.int16) - small).max(axis=2)
        return float(np.percentile(error, 98))

    def apply(self, image: Image) -> Image:
        """Return the (H, W) uint8 indices of `image` in this palette, dithered."""
        if self._pattern.shape != image.shape:
            self._pattern = dither_pattern(*image.shape[:2])
        dithered = cv2.add(image, self._pattern, dtype=cv2.CV_8U)
        return self._lookup(np.asarray(dithered, np.uint8))

    def _lookup(self, image: Image) -> Image:
        steps = image >> (8 - BITS)
        red, green, blue = (steps[..., channel].astype(np.uint16) for channel in range(3))
        indices: Image = self._nearest[(red << 2 * BITS) | (green << BITS) | blue]
        return indices


def shrink(image: Image, side: int) -> Image:
    """Return the picture with its longer side at most `side`."""
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def dither_pattern(height: int, width: int) -> NDArray[np.int16]:
    """Return the offsets (height, width, 3), the same in every channel, with mean 0."""
    offsets = np.rint((BAYER + 0.5) / 16 * DITHER - DITHER / 2).astype(np.int16)
    tiled = np.tile(offsets, (-(-height // 4), -(-width // 4)))[:height, :width]
    return np.ascontiguousarray(np.repeat(tiled[..., None], 3, axis=2))


def nearest_on_grid(colors: Image) -> Image:
    """Return, for each point of the colour grid, the index of the nearest of 256 colours."""
    step = 1 << (8 - BITS)
    axis = np.arange(0, 256, step, dtype=np.float32) + step / 2
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    points = colors.astype(np.float32)
    distance = (points**2).sum(axis=1) - 2 * grid @ points.T
    indices: Image = distance.argmin(axis=1).astype(np.uint8)
    return indices
