"""Masks: which style has which part of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.media.picture import read_picture

Weights: TypeAlias = NDArray[np.float32]
"""(K, H, W), 0 to 1: how much of each of K styles a pixel has; they sum to 1."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
SHARE = 0.005
"""A colour with at least this share of a mask is a region."""
NEAR = 40.0
"""Colours closer than this, in levels, are one region: JPEG and soft edges shift them."""
FLAT, SAME = 0.8, 12.0
"""A mask with less than this share within so many levels of its regions' colours is a gradient."""
FEATHER = 0.008
"""Softness of the edges: sigma as a share of the picture's rows."""
SHAPE = 0.02
"""A mask may differ from the picture in aspect by this share."""
ROWS = 64
"""Rows of a mask that are compared with colours at once, for the sake of memory."""
LOOK = 256
"""Longest side at which a mask's colours are looked for."""


def read_mask(path: Path) -> Image:
    """Read a mask as (H, W, 3) uint8. Raises `SourceError`."""

    return read_picture(path, "mask", whole=True).rgb


def weigh(mask: Image, colours: NDArray[np.float32], height: int, width: int) -> Weights:
    """Return the weights of K styles from a mask (h, w, 3) uint8, at another size.

    `colours` is (K, 3): each pixel belongs to the nearest. Edges are softened by `FEATHER`.
    Those of `even_greys`, which each frame of a mask video needs, are weighed quickly and to
    0.01. Raises `UsageError` for a mask of another shape than the picture.
    """
    check_shape(mask, height, width)
    if np.array_equal(colours, even_greys(len(colours))):
        return _weigh_even_greys(mask, len(colours), height, width)
    nearest = nearest_colour(mask, colours)
    sigma = max(1.0, FEATHER * height)
    layers = np.empty((len(colours), height, width), np.float32)
    for k in range(len(colours)):
        # Without a name: only one layer of the mask's size is in memory at a time.
        scaled = cv2.resize(
            (nearest == k).astype(np.float32), (width, height), interpolation=_method(mask, height)
        )
        # Every pixel is of one region, and both filters are linear: the layers sum to 1.
        layers[k] = cv2.GaussianBlur(scaled, (0, 0), sigma)
    return layers


def _weigh_even_greys(mask: Image, count: int, height: int, width: int) -> Weights:
    # The nearest grey of a colour is that of its mean.
    grey = cv2.transform(mask, np.full((1, 3), 1 / 3, np.float32))
    levels = np.arange(256, dtype=np.float32)[:, None]
    nearest = np.abs(levels - even_greys(count)[:, 0]).argmin(axis=1)
    sigma = max(1.0, FEATHER * height)
    layers = np.empty((count, height, width), np.float32)
    below = np.zeros((height, width), np.uint8)
    for k in range(count - 1):
        # All regions up to this one: rounded sums never fall, so their differences sum to 1.
        one = cv2.LUT(grey, np.where(nearest <= k, 255, 0).astype(np.uint8))
        scaled = cv2.resize(one, (width, height), interpolation=_method(mask, height))
        upto = np.asarray(cv2.GaussianBlur(scaled, (0, 0), sigma), np.uint8)
        np.multiply(upto - below, np.float32(1 / 255), out=layers[k])
        below = upto
    np.multiply(255 - below, np.float32(1 / 255), out=layers[-1])
    return layers


def weigh_grey(mask: Image, height: int, width: int) -> Weights:
    """Return the weights of two styles from the grey levels of a mask: black is the first."""
    check_shape(mask, height, width)
    grey = cv2.cvtColor(mask, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey /= 255
    second = cv2.resize(grey, (width, height), interpolation=_method(mask, height))
    return np.stack([1 - second, second])


def find_colours(mask: Image) -> tuple[NDArray[np.float32], float]:
    """Return the colours of a mask's regions, (K, 3), dark to light, and the share they cover."""
    step = max(1, max(mask.shape[:2]) // LOOK)
    pixels = mask[::step, ::step].reshape(-1, 3)
    values, counts = np.unique(pixels // 8, axis=0, return_counts=True)
    found: list[NDArray[np.float32]] = []
    for i in np.argsort(-counts, kind="stable"):
        colour = values[i] * np.float32(8) + 4
        if counts[i] < SHARE * len(pixels):
            break
        if all(np.abs(colour - other).max() >= NEAR for other in found):
            found.append(colour)
    colours = np.array(found, np.float32).reshape(-1, 3)
    if not len(colours):
        return colours, 0.0
    distance = np.abs(pixels[:, None].astype(np.float32) - colours).max(axis=2).min(axis=1)
    order = np.argsort(colours @ LUMA, kind="stable")
    return colours[order], float((distance < SAME).mean())


def even_greys(count: int) -> NDArray[np.float32]:
    """Return `count` grey levels from black to white, (K, 3): the regions of a mask video."""
    levels = np.linspace(0, 255, count, dtype=np.float32)
    return np.repeat(levels[:, None], 3, axis=1)


class StillMask:
    """A mask picture for a number of styles; `weights` are kept for the last picture size.

    Regions are the mask's flat colours, from dark to light; a gradient mixes two styles by its
    grey levels. With one style there are two regions, what stays and what is painted, or one by
    its grey level. Raises `UsageError` unless there are as many regions as styles.
    """

    def __init__(self, mask: Image, styles: int) -> None:
        self._mask = mask
        self._colours, covered = find_colours(mask)
        count = len(self._colours)
        self._gradient = (styles <= 2 and covered < FLAT) or styles == count == 1
        if count != max(2, styles) and not self._gradient:
            if styles == 1:
                raise UsageError(
                    f"The mask has {count} regions, but one style was given.",
                    "Of two regions the lighter one is painted.",
                    "Give one --style for each region, dark to light.",
                )
            regions = f"{count} region{'s' if count != 1 else ''}"
            raise UsageError(
                f"The mask has {regions}, but {styles} styles were given.",
                "A region is one flat colour.",
                "Give one --style for each region, dark to light.",
            )
        self._known: Weights | None = None

    def weights(self, height: int, width: int) -> Weights:
        """Return the weights for a picture of this size. Raises `UsageError` for its shape."""
        known = self._known
        if known is None or known.shape[1:] != (height, width):
            if self._gradient:
                known = weigh_grey(self._mask, height, width)
            else:
                known = weigh(self._mask, self._colours, height, width)
            self._known = known
        return known


class DrawnMask:
    """A small mask drawn by hand, (h, w) uint8, stretched over pictures of any shape.

    255 is what is painted. Its edges are as soft as its cells are large.
    """

    def __init__(self, mask: Image) -> None:
        self._mask = mask
        self._known: Weights | None = None

    def weights(self, height: int, width: int) -> Weights:
        """Return (2, H, W) float32 for a picture of this size: what stays and what is painted."""
        known = self._known
        if known is None or known.shape[1:] != (height, width):
            cell = max(height / self._mask.shape[0], width / self._mask.shape[1])
            large = cv2.resize(self._mask, (width, height), interpolation=cv2.INTER_LINEAR)
            painted = cv2.GaussianBlur(large.astype(np.float32) / 255, (0, 0), max(0.5, cell / 2))
            known = np.stack((1 - painted, painted))
            self._known = known
        return known


def nearest_colour(mask: Image, colours: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the index of the nearest of (K, 3) colours, K to 255, for each pixel: (H, W)."""
    found = np.empty(mask.shape[:2], np.uint8)
    for top in range(0, len(mask), ROWS):
        rows = mask[top : top + ROWS].astype(np.float32)
        distances = [np.square(rows - colour).sum(axis=2) for colour in colours]
        found[top : top + ROWS] = np.argmin(np.stack(distances), axis=0)
    return found


def check_shape(mask: Image, height: int, width: int) -> None:
    """Raise `UsageError` unless the mask has the aspect of the picture."""
    wanted, found = width / height, mask.shape[1] / mask.shape[0]
    # One pixel more or less is rounding, whatever share of a small side it is.
    if abs(found * height - width) > max(1.5, SHAPE * width):
        raise UsageError(
            f"The mask is {mask.shape[1]}x{mask.shape[0]}, the picture {width}x{height}.",
            f"Their aspects differ: {found:.2f} and {wanted:.2f}.",
            "Give a mask of the picture's shape; it is scaled to its size.",
        )


def _method(mask: Image, height: int) -> int:
    return cv2.INTER_AREA if mask.shape[0] > height else cv2.INTER_LINEAR
