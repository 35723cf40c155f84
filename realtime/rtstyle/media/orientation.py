"""Which way up a frame is: display matrices, and pictures turned by them."""

from __future__ import annotations

from typing import Any, cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

Matrix = tuple[int, int, int, int]


def display_matrix(frame: av.VideoFrame) -> Matrix | None:
    """Return (a, b, c, d) of a frame's display matrix, None if it stands as it is.

    A point (x, y) goes to (a x + c y, b x + d y); FFmpeg's 16.16 numbers, y downwards.
    """
    data = side_data(frame, "DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    return a, b, c, d


def side_data(frame: av.VideoFrame, kind: str) -> memoryview | None:
    """Return what a decoded frame has beside its picture, by the name of PyAV's `Type`."""
    data: Any = frame.side_data.get(kind)
    return None if data is None else memoryview(data)


def _of_no_name(kinds: type[Type], number: int) -> Type:
    member: Any = object.__new__(kinds)
    member._name_, member._value_ = f"UNKNOWN_{number}", number
    return cast("Type", kinds._value2member_map_.setdefault(number, member))


# PyAV up to 18.1 has no names for what a JPEG's EXIF and the views of spatial videos are, and then
# gives nothing of a frame (https://github.com/PyAV-Org/PyAV/pull/2392).
Type._missing_ = classmethod(_of_no_name)  # type: ignore[assignment]


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
