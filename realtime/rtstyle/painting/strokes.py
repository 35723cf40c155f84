"""Strokes that grow with the picture: it is painted at fewer rows, and the painting is enlarged.

A network's strokes have a width in pixels. On a picture of more rows than it was trained for they
would be thin, so that it is painted at those rows, and `upsampling` brings the painting to the full
size, with the frame beside it. Gatys et al. 2017 ("Controlling Perceptual Factors in Neural Style
Transfer", section 6) and Wang et al. 2017 ("Multimodal Transfer") go from coarse to fine for the
same reason, by painting anew at every size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from rtstyle.errors import UsageError
from rtstyle.frame import Image

TRAINED_ROWS = 480
"""Rows, or columns if these are fewer, of frames in which strokes are as wide as in training."""
STEP = 2.25
"""By how much paintings are enlarged at once, at most: 1080 rows over 480."""
LEAST_ROWS = 64

Enlarge = Callable[[Image, Image], Image]
"""Takes a frame (H, W, 3) and a smaller painting of it, and returns that at the frame's size."""


def levels(size: tuple[int, int], stroke_size: float = 1.0) -> list[tuple[int, int]]:
    """Return the size (rows, columns) at which a frame is painted, and those up to its own.

    `stroke_size` is how wide strokes are, as a factor of the width that looks right at the size.
    Raises `UsageError` outside 0.25 to 4.
    """
    if not 0.25 <= stroke_size <= 4:
        raise UsageError(f"A stroke size of {stroke_size} is out of range.", "", "Use 0.25 to 4.")
    short = min(size)
    base = max(LEAST_ROWS, TRAINED_ROWS / stroke_size)
    # A quarter more than in training is still painted at once.
    count = max(0, math.ceil(math.log(short / base) / math.log(STEP) - 0.28))
    found = [size]
    for level in range(1, count + 1):
        factor = (base / short) ** (level / count)
        rows, columns = (max(16, round(side * factor)) for side in size)
        found.insert(0, (rows, columns))
    return found


def reduced(image: Image, size: tuple[int, int]) -> Image:
    """Return a picture (H, W, 3) at a smaller size (rows, columns), or as it is at its own."""
    if size == image.shape[:2]:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def enlarged(
    enlarge: Enlarge, image: Image, coarse: Image, sizes: Sequence[tuple[int, int]]
) -> Image:
    """Bring a painting of an (H, W, 3) picture to each of the `sizes` in turn."""
    for size in sizes:
        coarse = enlarge(reduced(image, size), coarse)
    return coarse


def paint_coarse_first(
    run: Callable[[Image], Image], enlarge: Enlarge, image: Image, stroke_size: float = 1.0
) -> Image:
    """Paint an (H, W, 3) picture so that its strokes are as wide as its size asks for.

    `run` paints a picture of any size. Raises `UsageError` for a stroke size out of range.
    """
    base, *larger = levels((image.shape[0], image.shape[1]), stroke_size)
    return enlarged(enlarge, image, run(reduced(image, base)), larger)
