"""What is done to a painted picture: the content's colours, strength, a mask, a split."""

from __future__ import annotations

import numpy as np

from rtstyle.frame import Image
from rtstyle.media.color import blend, blend_linear, resize, with_chroma_of


def finish(
    source: Image,
    painted: Image,
    *,
    strength: float = 1.0,
    keep_color: bool = False,
    split: bool = False,
    mask: Image | None = None,
) -> Image:
    """Bring what the network made of `source` to its size, and mix both as wanted.

    `source` is (H, W, 3) uint8; `painted` likewise, of any size, and may be written into. `mask`
    is (H, W) uint8, 255 where the painting shall show. `strength` is 0 to 1; `split` leaves the
    right half as it came.
    """
    height, width = source.shape[:2]
    painted = np.ascontiguousarray(resize(painted, height, width))
    if keep_color:
        painted = with_chroma_of(source, painted)
    if strength < 1.0:
        painted = blend(source, painted, strength)
    if mask is not None:
        painted = masked(source, painted, mask)
    if split:
        middle = width // 2
        painted[:, middle:] = source[:, middle:]
        painted[:, max(0, middle - 1) : middle + 1] = 255
    return painted


def masked(source: Image, painted: Image, mask: Image) -> Image:
    """Return `painted` where `mask` (H, W) uint8 is 255, `source` where it is 0, mixed between."""
    return blend_linear(painted, source, mask.astype(np.float32) * np.float32(1 / 255))
