"""Optical flow: where things in a frame were some frames ago."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.frame import Image

Map: TypeAlias = NDArray[np.float32]
"""(H, W, 2): for each pixel, the x and y of where it was."""

TOLERANCE = 24.0
"""Difference in levels of 255 at which a warped pixel is trusted by 1/e only."""


def still_map(height: int, width: int) -> Map:
    """Return the map of a picture in which nothing moved."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], axis=2)


def warp(image: NDArray[np.generic], where: Map) -> NDArray[np.generic]:
    """Return `image`, (H, W) or (H, W, C), fetched from where each pixel was."""
    return np.asarray(
        cv2.remap(image, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    )


class FlowChain:
    """Follows the frames of a shot from a reference picture on, by DIS optical flow.

    Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search". Large motion is the sum
    of the small ones in between, so every frame has to be shown.
    """

    def __init__(self, reference: Image) -> None:
        self._reference = reference
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._last = cv2.cvtColor(reference, cv2.COLOR_RGB2GRAY)
        self._still = still_map(*reference.shape[:2])
        self.where = self._still.copy()

    def add(self, image: Image) -> None:
        """Take the next frame, of the size of the reference."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        step = self._still + self._dis.calc(grey, self._last, None)  # type: ignore[call-overload]
        self.where = np.asarray(warp(self.where, step), np.float32)
        self._last = grey

    def trust(self, image: Image) -> NDArray[np.float32]:
        """Return how well the warped reference explains a frame, (H, W) in 0 to 1.

        What was hidden, has left the picture or was tracked wrongly looks different.
        """
        there = warp(self._reference, self.where).astype(np.float32)
        difference = np.abs(there - image).max(axis=2)
        height, width = difference.shape
        x, y = self.where[..., 0], self.where[..., 1]
        inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
        found = np.exp(-((cv2.GaussianBlur(difference, (0, 0), 1.5) / TOLERANCE) ** 2)) * inside
        return np.asarray(cv2.GaussianBlur(found, (0, 0), 2.0), np.float32)


def carry(
    image: Image, painted: Image, where: Map, trust: NDArray[np.float32], share: float = 1.0
) -> Image:
    """Return `image` with `painted`, warped, over it, where it can be trusted.

    Both are (H, W, 3) uint8; `trust` is (H, W), and `share` the weight of a trusted pixel, all
    0 to 1.
    """
    there = warp(painted, where).astype(np.float32)
    return np.asarray(np.rint(image + share * trust[..., None] * (there - image)), np.uint8)
