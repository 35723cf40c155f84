"""What is painted, at any size: a photo, paintings, and which painting goes where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.media.color import resize
from rtstyle_export.data import to_tensor
from rtstyle_export.offline.gatys import noise
from rtstyle_export.offline.objective import Region

INITS = ("photo", "noise", "style")


STYLE_SCALES = (0.1, 4.0)
"""Least and largest `style_scale`."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is painted: `photo` (H, W, 3) uint8 or None for a texture, and the style of each region.

    `styles` holds, per region, paintings (H, W, 3) uint8 with weights. `guides` is (R, H, W)
    float32 in 0 to 1, or None for a single region. `style_scale` is the long side of a painting
    over that of the picture: larger gives larger strokes.
    """

    photo: Image | None
    styles: Sequence[Sequence[tuple[Image, float]]]
    guides: NDArray[np.float32] | None = None
    style_scale: float = 1.0

    def __post_init__(self) -> None:
        low, high = STYLE_SCALES
        if not low <= self.style_scale <= high:
            raise UsageError(
                f"A style scale of {self.style_scale:g} is out of range.", "",
                f"Use {low:g} to {high:g}.",
            )  # fmt: skip

    def regions(self, height: int, width: int, device: torch.device) -> list[Region]:
        """Return the regions for a picture of this size."""
        long_side = max(1, round(self.style_scale * max(height, width)))
        found = []
        for number, mix in enumerate(self.styles):
            tensors = [(to_tensor(fit(p, long_side)).to(device), weight) for p, weight in mix]
            guide, share = None, 1.0
            if self.guides is not None:
                small = torch.from_numpy(self.guides[number])[None, None]
                guide = torch.nn.functional.interpolate(small, (height, width), mode="area")[0, 0]
                share, guide = float(guide.mean()), guide.to(device)
            found.append(Region(tensors, guide, share))
        return found

    def content(self, height: int, width: int, device: torch.device) -> Tensor | None:
        """Return the photo at a size, (1, 3, height, width) in -1 to 1."""
        if self.photo is None:
            return None
        return to_tensor(resize(self.photo, height, width)).to(device)

    def start(self, init: str, height: int, width: int, seed: int, device: torch.device) -> Tensor:
        """Return the picture to start from; `UsageError` for an unknown `init`."""
        if init == "photo" and self.photo is not None:
            photo = self.content(height, width, device)
            assert photo is not None
            return photo
        if init == "style" and self.styles:
            return to_tensor(cover(self.styles[0][0][0], height, width)).to(device)
        if init == "noise":
            return noise(height, width, seed, device)
        raise UsageError(f"{init!r} is nothing to start from here.", "", f"Use {', '.join(INITS)}.")


def fit(image: Image, long_side: int) -> Image:
    """Return (H, W, 3) uint8 at another length of its long side."""
    factor = long_side / max(image.shape[:2])
    return resize(image, *(max(1, round(n * factor)) for n in image.shape[:2]))


def cover(image: Image, height: int, width: int) -> Image:
    """Return (H, W, 3) uint8 scaled to cover height x width, and cut to it from its middle."""
    factor = max(height / image.shape[0], width / image.shape[1])
    scaled = resize(image, *(max(1, math.ceil(n * factor)) for n in image.shape[:2]))
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width])
