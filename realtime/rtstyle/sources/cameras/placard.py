"""The picture that is shown while there is none."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from rtstyle.frame import Image

if TYPE_CHECKING:
    from PIL import ImageFont

NIGHT = (24, 26, 32)
WHITE, GREY = (245, 245, 240), (190, 192, 196)
BACKDROP_WEIGHT = 0.28
"""How much of the last picture shows through."""


def draw_placard(
    width: int, height: int, title: str, detail: str = "", backdrop: Image | None = None
) -> Image:
    """Return (height, width, 3) uint8 RGB: two centred lines over `backdrop`, dim and blurred.

    `backdrop` is (H, W, 3) uint8 RGB of any size. The text shrinks until it fits.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw

    picture = Pil.fromarray(_dimmed(width, height, backdrop))
    draw = ImageDraw.Draw(picture)
    size = _fitting(title, width, max(8, min(height // 12, width // 16)))
    small = _fitting(detail, width, max(8, round(size * 0.75)))
    middle, gap = (width / 2, height / 2), size * 0.4
    edge = max(1, size // 12)
    for text, pixels, y, anchor, colour in (
        (title, size, middle[1] - gap / 2, "md", WHITE),
        (detail, small, middle[1] + gap / 2, "ma", GREY),
    ):
        draw.text(
            (middle[0], y),
            text,
            fill=colour,
            font=_font(pixels),
            anchor=anchor,
            stroke_width=edge,
            stroke_fill=NIGHT,
        )
    return np.array(picture)


def _dimmed(width: int, height: int, backdrop: Image | None) -> Image:
    night = np.empty((height, width, 3), np.uint8)
    night[:] = NIGHT
    if backdrop is None:
        return night
    # Blurred by way of a small copy: sharp detail behind the text would make it hard to read.
    small = cv2.resize(backdrop, (max(1, width // 8), max(1, height // 8)), None, 0, 0, 3)
    soft = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    mixed = cv2.addWeighted(soft, BACKDROP_WEIGHT, night, 1 - BACKDROP_WEIGHT, 0)
    return np.asarray(mixed, np.uint8)


def _fitting(text: str, width: int, size: int) -> int:
    """Return the largest font size up to `size` with which `text` is at most 0.92 `width` wide."""
    long = _font(size).getlength(text)
    return max(6, min(size, int(size * 0.92 * width / long))) if long else size


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
