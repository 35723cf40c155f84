"""Encoders and decoders of universal style transfer, Li et al. 2017.

The encoder of level k is the normalised VGG-19 up to relu k_1 with max pooling
(`rtstyle_export.networks.encoder.Encoder`), its decoder the same layers mirrored. What happens to
the features between them is in `rtstyle.painting.wct.transform`.

Level 5 also has a compact form, a twentieth of the size, which starts from relu4_1 and ends there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle.errors import TrainingError
from rtstyle_export.networks.adain import PAPER_PLAN, PaperDecoder, Plan
from rtstyle_export.networks.encoder import WIDTHS
from rtstyle_export.networks.layers import upsample_nearest

PLAN_5: Plan = ((512, 512), "up", (512, 512), (512, 512), (512, 512), *PAPER_PLAN)
"""The encoder up to relu5_1, mirrored."""

_STARTS = {1: 16, 2: 13, 3: 10, 4: 5, 5: 0}

LEVELS = tuple(_STARTS)


def layer(level: int) -> str:
    """Return the layer whose features `level` transforms. Raises `TrainingError` for others."""
    if level not in LEVELS:
        raise TrainingError(f"There is no level {level}.", todo="Choose 1, 2, 3, 4 or 5.")
    return f"relu{level}_1"


def decoder_plan(level: int) -> Plan:
    """Return the layers from relu `level`_1 back to RGB; level k ends with those of k - 1."""
    layer(level)
    return PLAN_5[_STARTS[level] :]


class WctDecoder(PaperDecoder):
    """Maps relu `level`_1, (N, C, H, W), to RGB (N, 3, 2^(level-1) H, 2^(level-1) W)."""

    def __init__(self, level: int) -> None:
        super().__init__(decoder_plan(level))
        self.level = level


COMPACT_WIDTH = 96
"""Channels inside the compact form of level 5 by default."""
CODES = 192
"""How many principal components of relu5_1 the compact form holds: 77 % of its variance."""

_Step = tuple[int, int, int] | str


class _Chain(nn.Module):
    """Convolutions (channels in, out, kernel) with mirrored edges and ReLU, `pool` and `up`."""

    def __init__(self, steps: Sequence[_Step], *, linear: bool) -> None:
        super().__init__()
        self.steps, self.linear = tuple(steps), linear
        self.convs = nn.ModuleList(nn.Conv2d(*s) for s in steps if not isinstance(s, str))
        for conv in self.convs:
            nn.init.kaiming_normal_(cast(Tensor, conv.weight), nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, conv.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W); with `linear` the last convolution has no ReLU."""
        convs, left = iter(self.convs), len(self.convs)
        for step in self.steps:
            if isinstance(step, str):
                x = F.max_pool2d(x, 2) if step == "pool" else upsample_nearest(x)
            else:
                pad = step[2] // 2
                x = next(convs)(F.pad(x, (pad, pad, pad, pad), "reflect") if pad else x)
                left -= 1
                x = x if self.linear and not left else F.relu(x)
        return x


class CompactLevel5(nn.Module):
    """Level 5 between relu4_1 and relu4_1, with the decoder of level 4, which stays as it is.

    `tail` maps relu4_1 (N, 512, H, W) to the first `CODES` principal components of relu5_1
    (N, `CODES`, H/2, W/2), and `head` those back to relu4_1. VGG-19 has 512 channels in each of the
    layers between; here they are `width`. What Wang et al. 2020 (Collaborative Distillation) do to
    all of VGG: as the basis is orthonormal, whitening and colouring in it are those of relu5_1,
    restricted to the subspace. `mean` (512,), `basis` (512, `CODES`) and `spread`, the variance in
    it, of relu5_1 are only needed in training.
    """

    level = 5

    def __init__(self, width: int = COMPACT_WIDTH) -> None:
        super().__init__()
        deep, wide = WIDTHS[-1], (width, width, 3)
        self.width = width
        self.tail = _Chain([(deep, width, 1), wide, wide, "pool", (width, CODES, 3)], linear=True)
        self.head = _Chain([(CODES, width, 3), "up", wide, wide, (width, deep, 1)], linear=False)
        self.decoder = WctDecoder(4)
        self.decoder.requires_grad_(False)
        self.register_buffer("mean", torch.zeros(deep))
        self.register_buffer("basis", torch.zeros(deep, CODES))
        self.register_buffer("spread", torch.ones(()))

    def codes_of(self, relu5_1: Tensor) -> Tensor:
        """Return the principal components (N, `CODES`, H, W) of relu5_1 (N, 512, H, W)."""
        mean, basis = cast(Tensor, self.mean), cast(Tensor, self.basis)
        return torch.einsum("nchw,ck->nkhw", relu5_1.float() - mean.view(1, -1, 1, 1), basis)

    def forward(self, relu4_1: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of relu4_1 (N, 512, H, W), H and W even, and relu4_1 made from them."""
        codes = self.tail(relu4_1)
        return codes, self.head(codes)

    def paint(self, codes: Tensor) -> Tensor:
        """Map codes (N, `CODES`, H, W) to RGB (N, 3, 16 H, 16 W) around -1 to 1."""
        painted: Tensor = self.decoder(self.head(codes))
        return painted


def principal(features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), orthonormal basis (C, `CODES`) and kept variance of features, each (C, H, W)."""
    count, total, square = 0, torch.zeros(()), torch.zeros(())
    for each in features:
        flat = each.flatten(1).double()
        count += flat.shape[1]
        total, square = total + flat.sum(dim=1), square + flat @ flat.T
    mean = total / count
    values, vectors = torch.linalg.eigh(square / count - torch.outer(mean, mean))
    kept = values[-CODES:].sum().clamp(min=1e-8)
    return mean.float(), vectors[:, -CODES:].flip(1).float(), kept.float()
