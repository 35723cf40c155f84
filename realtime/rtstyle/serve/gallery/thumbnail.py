"""Thumbnails of the gallery: a sample in a style, or the middle of a picture, as WebP."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from rtstyle.frame import Image
from rtstyle.samples import sample_frames

THUMBNAIL = (180, 240)
"""Rows and columns of a thumbnail."""
SHIPPED = Path(__file__).parents[1] / "static" / "thumbs"
SCALE = 2
"""The picture is painted so much larger than the thumbnail, or brush strokes would fill it."""


def covering(picture: Image) -> Image:
    """Return the middle of a picture in the aspect of a thumbnail."""
    rows, columns = picture.shape[:2]
    height = max(1, min(rows, columns * THUMBNAIL[0] // THUMBNAIL[1]))
    width = max(1, min(columns, rows * THUMBNAIL[1] // THUMBNAIL[0]))
    top, left = (rows - height) // 2, (columns - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


@lru_cache(maxsize=1)
def sample_picture() -> Image:
    """Return the picture under every thumbnail: the middle of a frame of the bundled clip."""

    frame = list(sample_frames(8))[3]
    rows, columns = (SCALE * side for side in THUMBNAIL)
    height, width = frame.shape[:2]
    across = round(height * columns / rows)
    left = (width - across) // 2
    middle = np.ascontiguousarray(frame[:, left : left + across])
    return np.asarray(cv2.resize(middle, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def encode_thumbnail(painted: Image, quality: int = 72) -> bytes:
    """Return an (H, W, 3) uint8 RGB picture as a small WebP."""
    rows, columns = THUMBNAIL
    small = cv2.resize(painted, (columns, rows), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(
        ".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality]
    )
    return data.tobytes()
