"""The network that enlarges coarse paintings: one small network for all styles.

A frame of many rows is painted at fewer, where strokes are as wide as in training. This network
sees the painting, enlarged by cubic interpolation, beside the frame at full size, and adds what
interpolation cannot: sharp edges of strokes, and the frame's own detail in the painting's manner.
That is joint upsampling (Kopf et al. 2007), learnt (Li et al. 2016, "Deep Joint Image Filtering"),
with pixels shuffled into channels and back (Shi et al. 2016), so that all arithmetic is done at a
quarter of the size. It looks 26 pixels far and has no normalisation: any part of a picture comes
out as in the whole, and over time it is as calm as what it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

UNIT = 4
"""Pixels a side of the squares that are shuffled into channels."""
SQUARE = UNIT * UNIT


@dataclass(frozen=True, slots=True)
class UpsamplerSpec:
    """Channels after the first convolution and after the others; how many 3x3 ones lie between."""

    first: int = 48
    width: int = 32
    blocks: int = 2

    @property
    def border(self) -> int:
        """Return how many pixels the convolutions see beyond a picture's edge."""
        return UNIT * (self.blocks + 1)


class UpsamplerNet(nn.Module):
    """Maps a frame and an enlarged painting of it, each (N, 3, H, W) in -1 to 1, to the painting.

    The result is of the same shape, not clamped. A fresh network returns about what it is given.
    """

    def __init__(self, spec: UpsamplerSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or UpsamplerSpec()
        self.first = nn.Conv2d(6 * SQUARE, spec.first, 1)
        widths = [spec.first, *[spec.width] * spec.blocks]
        self.between = nn.ModuleList(
            nn.Conv2d(before, after, 3) for before, after in pairwise(widths)
        )
        self.last = nn.Conv2d(spec.width, 3 * SQUARE, 3)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            assert self.last.bias is not None
            self.last.bias.zero_()

    def forward(self, frame: Tensor, enlarged: Tensor) -> Tensor:
        """Sharpen `enlarged`."""
        h, w = frame.shape[-2:]
        b = self.spec.border
        both = F.pad(
            torch.cat([frame, enlarged], 1), (b, b + -w % UNIT, b, b + -h % UNIT), "replicate"
        )
        y = F.relu(self.first(F.pixel_unshuffle(both, UNIT)))
        for conv in self.between:
            y = F.relu(conv(y))
        added = F.pixel_shuffle(self.last(y), UNIT)
        return enlarged + added[:, :, :h, :w]
