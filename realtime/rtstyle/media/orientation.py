"""Which way up a frame is: display matrices, and pictures turned by them."""

from __future__ import annotations

from typing import Any

import av.error
import cv2
import numpy as np

from rtstyle.frame import Image

Matrix = tuple[int, int, int, int]


def display_matrix(frame: av.VideoFrame) -> Matrix | None:
    """Return (a, b, c, d) of a frame's display matrix, None if it stands as it is.

    A point (x, y) goes to (a x + c y, b x + d y); FFmpeg's 16.16 numbers, y downwards.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(memoryview(data), np.int32)[:5].tolist()
    return a, b, c, d


def turns(matrix: Matrix | None) -> bool:
    """Say whether a display matrix swaps width and height."""
    if matrix is None:
        return False
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)


def upright(image: Image, matrix: Matrix | None) -> Image:
    """Turn and mirror (H, W, 3) as the display matrix says, to the nearest right angle."""
    if matrix is None:
        return image
    a, b, c, d = matrix
    if turns(matrix):
        image, across, down = np.asarray(cv2.transpose(image), np.uint8), c < 0, b < 0
    else:
        across, down = a < 0, d < 0
    if not (across or down):
        return image
    code = -1 if across and down else int(across)
    return np.asarray(cv2.flip(image, code), np.uint8)
