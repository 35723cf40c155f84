"""Strokes that grow with the picture: it is painted at fewer rows first, then at its own.

A network's strokes have a width in pixels. On a picture of more rows than it was trained for they
would be thin, so that it is first painted at those rows, and the painting at full size keeps only
what the coarse one is too small to show. Gatys et al. 2017 ("Controlling Perceptual Factors in
Neural Style Transfer", section 6) and Wang et al. 2017 ("Multimodal Transfer") go from coarse to
fine for the same reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from rtstyle.errors import UsageError
from rtstyle.frame import Image

TRAINED_ROWS = 480
"""Rows, or columns if these are fewer, of frames in which strokes are as wide as in training."""
STEP = 2.25
"""By how much a level is larger than the one before, at most: 1080 rows over 480."""
LEAST_ROWS = 64
SMOOTH = 2.0
"""Pixels of the coarse painting (sigma) over which colours are mixed."""
DETAIL = 0.6
"""How much of a fine painting's own detail is kept where it does not see the coarse one."""
GREY = np.tile(np.array([0.299, 0.587, 0.114], np.float32), (3, 1))
"""Takes the grey of RGB, as three equal channels."""


def levels(size: tuple[int, int], stroke_size: float = 1.0) -> list[tuple[int, int]]:
    """Return the sizes (rows, columns) at which a frame is painted, from coarse to its own.

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


def with_strokes_of(coarse: Image, fine: Image, detail: float = 1.0) -> Image:
    """Return a fine painting that, reduced to the size of a coarse one, is the coarse one.

    What both sizes can show is taken from the coarse painting, what only the larger one can show
    from the fine one, by a share of `detail`: two bands of a Laplacian pyramid (Burt and Adelson
    1983). Strokes are then as wide as the coarse ones, edges as sharp as the fine ones. Colours are
    mixed more smoothly than brightness, whose steps the eye sees better, so that edges get no
    coloured beads.
    """
    rows, columns = coarse.shape[:2]
    reduced = cv2.resize(fine, (columns, rows), interpolation=cv2.INTER_AREA)
    apart = cv2.subtract(coarse, reduced, dtype=cv2.CV_16S)
    grey = cv2.transform(apart, GREY)
    apart = cv2.GaussianBlur(cv2.subtract(apart, grey), (0, 0), SMOOTH)
    apart = cv2.add(apart, grey)
    size = fine.shape[1::-1]
    if detail < 1:
        smooth = cv2.resize(reduced, size, interpolation=cv2.INTER_CUBIC)
        fine = np.asarray(cv2.addWeighted(fine, detail, smooth, 1 - detail, 0), np.uint8)
    apart = cv2.resize(apart, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.add(fine, apart, dtype=cv2.CV_8U), np.uint8)


def paint_coarse_first(
    run: Callable[[Image], Image], image: Image, stroke_size: float = 1.0
) -> Image:
    """Paint an (H, W, 3) picture by a network that sees no canvas, coarse strokes first.

    `run` paints a picture of any size. Raises `UsageError` for a stroke size out of range.
    """
    painted: Image | None = None
    for rows, columns in levels((image.shape[0], image.shape[1]), stroke_size):
        frame = image
        if (rows, columns) != image.shape[:2]:
            frame = np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA))
        fine = run(frame)
        painted = fine if painted is None else with_strokes_of(painted, fine, DETAIL)
    assert painted is not None
    return painted
