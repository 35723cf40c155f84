"""Lays the last painting under a frame, moved along: for networks that see it, and for others."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.engines.canvas import Canvas, empty, half
from rtstyle.frame import Image
from rtstyle.painting.canvas.motion import Flow, Motion, enclosing, positions

SHARE = 0.5
"""How much of a canvas is kept, where it is trusted fully, for a network that sees none."""


def places(motion: Motion, size: tuple[int, int]) -> Flow | None:
    """Return where each pixel of a frame of a size (H, W) was: (H, W, 2), x and y in pixels.

    None where nothing is known of that. It needs no painting, so that it may be found ahead.
    """
    if motion.flow is None:
        return None
    height, width = size
    rows, columns = motion.flow.shape[:2]
    flow = cv2.multiply(motion.flow, (width / columns, height / rows, 0, 0))  # type: ignore[call-overload]
    flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(flow, positions(height, width)), np.float32)


def lay(painted: Image, motion: Motion, where: Flow | None = None) -> Canvas:
    """Move the last painting (H, W, 3) along: the canvas of the present frame.

    `where` are its `places`, if these are known already.
    """
    size = (painted.shape[0], painted.shape[1])
    if where is None or where.shape[:2] != size:
        where = places(motion, size)
    if where is None:
        return empty(size)
    picture = painted.copy()
    # In most clips a part stands still, and stays as it is.
    if motion.flow is not None and (part := enclosing(_moving(motion.flow), size)) is not None:
        picture[part] = cv2.remap(  # type: ignore[call-overload]
            painted, where[part], None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
    return Canvas(picture, motion.trust)


def _moving(flow: Flow) -> NDArray[np.uint8]:
    """Return 255 where anything moves: (h, w)."""
    return np.asarray(cv2.bitwise_not(cv2.inRange(flow, (0, 0), (0, 0))), np.uint8)


def kept(painted: Image, canvas: Image, trust: NDArray[np.uint8]) -> Image:
    """Return a painting (H, W, 3) mixed with a canvas like it, by `SHARE` of the trust (h, w).

    For networks that see no canvas: no gate was learnt. What both show alike becomes steady, what
    they show differently becomes softer.
    """
    known = cv2.GaussianBlur(full_size(trust, painted), (0, 0), 1.5)
    share = cv2.merge([np.float32(SHARE / 255) * np.asarray(known, np.float32)] * 3)
    change = cv2.multiply(cv2.subtract(canvas, painted, dtype=cv2.CV_32F), share)
    return np.asarray(cv2.add(painted, change, dtype=cv2.CV_8U), np.uint8)


def at_half(trust: NDArray[np.uint8], picture: Image) -> NDArray[np.uint8]:
    """Return the trust (h, w), of any size, at half the size of a picture (H, W, 3)."""
    rows, columns = half((picture.shape[0], picture.shape[1]))
    if trust.shape == (rows, columns):
        return trust
    return np.asarray(cv2.resize(trust, (columns, rows), interpolation=cv2.INTER_NEAREST), np.uint8)


def full_size(trust: NDArray[np.uint8], picture: Image) -> NDArray[np.uint8]:
    """Return the trust of every pixel of a picture (H, W, 3): (H, W). `trust` is of any size."""
    height, width = picture.shape[:2]
    trust = at_half(trust, picture)
    rows, columns = trust.shape
    whole = cv2.resize(trust, (2 * columns, 2 * rows), interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(whole[:height, :width], np.uint8)
