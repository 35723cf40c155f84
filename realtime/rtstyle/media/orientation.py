"""Which way up a frame is: display matrices, and pictures turned by them."""

from __future__ import annotations

from typing import Any

import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

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


def upright(image: NDArray[Any], matrix: Matrix | None) -> NDArray[Any]:
    """Turn and mirror (H, W, 3), of any type, as the display matrix says.

    To the nearest right angle.
    """
    if matrix is None:
        return image
    a, b, c, d = matrix
    if turns(matrix):
        image, across, down = np.asarray(cv2.transpose(image), image.dtype), c < 0, b < 0
    else:
        across, down = a < 0, d < 0
    if not (across or down):
        return image
    code = -1 if across and down else int(across)
    return np.asarray(cv2.flip(image, code), image.dtype)
