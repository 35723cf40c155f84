"""How a network that learnt from painted frames of a clip paints the frames in between.

The measure is the method that painted the frames: what it makes of a frame in between, which the
network has not seen, is compared with what the network makes of it, and with a painted frame
carried there along the optical flow alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtstyle.frame import Image
from rtstyle.painting.flow import FlowChain, warp
from rtstyle_export.data import to_tensor
from rtstyle_export.maths.functional import content_distance, gram_matrix, style_distance
from rtstyle_export.maths.vgg import VGG

FEATURES = ("relu2_1", "relu3_1")
CHANGE = 16.0
"""Levels of 255 by which a place differs that shows other things."""
GRAMS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


@dataclass(frozen=True, slots=True)
class Apart:
    """How far two pictures are apart.

    `pixels` is the mean absolute difference in levels of 255, `moved` that of what `has_changed`;
    `features` and `style` are relative squared distances of VGG-19's features and of Gram matrices,
    means over layers.
    """

    pixels: float
    moved: float
    features: float
    style: float

    @classmethod
    def mean(cls, rows: Sequence[Apart]) -> Apart:
        """Return the means over pictures."""
        return cls(*(float(np.mean([getattr(x, f.name) for x in rows])) for f in fields(cls)))


def has_changed(frame: Image, key: Image) -> NDArray[np.bool_]:
    """Return where a frame (H, W, 3) shows other things than another of its clip: (H, W)."""
    difference = np.abs(frame.astype(np.float32) - key).max(axis=2)
    return np.asarray(cv2.GaussianBlur(difference, (0, 0), 3.0) > CHANGE)


def apart(vgg: VGG, found: Image, wanted: Image, where: NDArray[np.bool_] | None = None) -> Apart:
    """Compare two pictures (H, W, 3) uint8 of one size; `vgg` has `FEATURES` and `GRAMS`.

    `where` (H, W) is what has moved, by default everything.
    """
    difference = np.abs(found.astype(np.float32) - wanted)
    pixels = float(difference.mean())
    chosen = difference if where is None or not where.any() else difference[where]
    with torch.no_grad():
        seen: Mapping[str, Tensor] = vgg(to_tensor(found))
        goal: Mapping[str, Tensor] = vgg(to_tensor(wanted))
    features = [float(content_distance(seen[k], goal[k])) for k in FEATURES]
    style = [float(style_distance(gram_matrix(seen[k]), gram_matrix(goal[k]))) for k in GRAMS]
    means = (float(np.mean(part)) for part in (chosen, features, style))
    return Apart(pixels, *means)


def nearest_key(number: int, keys: Sequence[int], cuts: Sequence[int] = ()) -> int:
    """Return which of the frames `keys` is nearest to a frame: of its own shot, if that has any.

    `cuts` are the frames with which shots begin.
    """

    def shot(frame: int) -> int:
        return sum(cut <= frame for cut in cuts)

    return min(keys, key=lambda key: (shot(key) != shot(number), abs(key - number), key))


def carried(
    clip: Sequence[Image], painted: Mapping[int, Image], cuts: Sequence[int] = ()
) -> list[Image]:
    """Return a clip in which every frame is a painted one, moved along the flow of the clip.

    `painted` are pictures by the number of their frame; each serves the frames that it is nearest
    to, before it and after. All pictures are (H, W, 3) uint8 of one size.
    """
    owner = [nearest_key(n, list(painted), cuts) for n in range(len(clip))]
    found: list[Image | None] = [None] * len(clip)
    for key, picture in painted.items():
        found[key] = picture
        for way in (range(key + 1, len(clip)), range(key - 1, -1, -1)):
            chain = FlowChain(clip[key])
            for number in way:
                if owner[number] != key:
                    break
                chain.add(clip[number])
                found[number] = np.asarray(warp(picture, chain.where), np.uint8)
    # Frames that a nearer key of another shot cuts off from their own show that as it is.
    return [painted[owner[n]] if x is None else x for n, x in enumerate(found)]
