"""The bodies of networks that see a canvas, between their stem and their tail; see `canvas`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.layers import ConditionalInstanceNorm2d, upsample_nearest
from rtstyle_export.networks.realtime import ResidualBlock

OPEN = 1.5
"""What the gate's features start from: with a trusted canvas, most of it shows."""


@dataclass(frozen=True, slots=True)
class CanvasSpec:
    """Channels at half (`stem`), quarter (`middle`) and 1 / `stride` (`body`) of the size.

    `blocks` residual blocks form the body; `noise` maps of noise are mixed in before it. The tail
    has the channels of the stem, and `gate` more for the gate. Pictures are extended by `border`
    pixels at each side, which the unpadded convolutions eat up. A stride of 4 has neither `middle`
    nor `noise`.
    """

    stem: int
    body: int
    blocks: int
    middle: int = 0
    stride: int = 8
    noise: int = 2
    gate: int = 8
    border: int = 24

    @property
    def rim(self) -> int:
        """Pixels at half the size, at each side, by which the tail's features are smaller."""
        return 3 + 4 * self.blocks if self.stride == 4 else 11

    @property
    def eaten(self) -> int:
        """Pixels at each side that the unpadded convolutions take away."""
        return 2 * self.rim + 1

    def extended(self, x: Tensor) -> Tensor:
        """Extend (N, C, H, W) at its edges by the border and up to a multiple of the stride."""
        b, (h, w) = self.border, x.shape[-2:]
        extra = (b, b + -(w + 2 * b) % self.stride, b, b + -(h + 2 * b) % self.stride)
        return F.pad(x, extra, "replicate")

    def extended_trust(self, trust: Tensor, height: int, width: int) -> Tensor:
        """Extend (N, 1, h, w) at half the size of a picture to that of the extended picture."""
        b, (h, w) = self.border // 2, trust.shape[-2:]
        return F.pad(trust, (b, width - w - b, b, height - h - b), "replicate")

    def cropped(self, y: Tensor, x: Tensor) -> Tensor:
        """Cut what was painted of the extended picture to the place and size of `x`."""
        first, (h, w) = self.border - self.eaten, x.shape[-2:]
        return y[:, :, first : first + h, first : first + w]


def repeat_edges(x: Tensor, training: bool) -> Tensor:
    """Extend (N, C, H, W) by its edge pixels, one at each side."""
    if not training:
        return F.pad(x, (1, 1, 1, 1), "replicate")
    # The same; PyTorch's own padding has no quick gradient for channels_last.
    x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
    return torch.cat([x[:, :, :, :1], x, x[:, :, :, -1:]], 3)


def inside(x: Tensor, pixels: int) -> Tensor:
    """Cut `pixels` off each side of (N, C, H, W)."""
    return x[:, :, pixels:-pixels, pixels:-pixels]


class BodyBlock(nn.Module):
    """Two 3x3 convolutions with instance norm around an identity; edges are repeated or eaten."""

    def __init__(self, channels: int, styles: int, *, padded: bool) -> None:
        super().__init__()
        self.padded = padded
        self.conv1 = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm1 = ConditionalInstanceNorm2d(channels, styles)
        self.conv2 = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm2 = ConditionalInstanceNorm2d(channels, styles)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same size, or to (N, C, H - 4, W - 4) where not padded."""
        y = repeat_edges(x, self.training) if self.padded else x
        y = F.relu(self.norm1(self.conv1(y), style))
        y = repeat_edges(y, self.training) if self.padded else y
        y = self.norm2(self.conv2(y), style)
        return torch.add(x if self.padded else inside(x, 2), y)


class UpConv2d(nn.Conv2d):
    """Nearest upsampling by 2, then an unpadded convolution: (N, C, h, w) to (2 h - 2, 2 w - 2)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, O, 2 h - 2, 2 w - 2)."""
        return super().forward(upsample_nearest(x))


class UpRelu(UpConv2d):
    """`UpConv2d` and a ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, O, 2 h - 2, 2 w - 2)."""
        return F.relu(super().forward(x))


class QuarterBody(nn.Module):
    """The body of `RealTimeNet`, with channels for the gate in the tail.

    `forward` maps what the stem gives, (N, stem, H / 2 - 2, W / 2 - 2), to
    (N, stem + gate, H / 2 - 2 rim, W / 2 - 2 rim). There is no noise: norms made a strong pattern
    of the faintest one where the picture is even, such as a black frame.
    """

    def __init__(self, spec: CanvasSpec, styles: int) -> None:
        super().__init__()
        self.stem_norm = ConditionalInstanceNorm2d(spec.stem, styles)
        self.down = nn.Conv2d(spec.stem, spec.body, 3, stride=2, bias=False)
        self.down_norm = ConditionalInstanceNorm2d(spec.body, styles)
        self.blocks = nn.ModuleList(ResidualBlock(spec.body, styles) for _ in range(spec.blocks))
        self.up: nn.Module = UpRelu(spec.body, spec.stem + spec.gate, 3)
        with torch.no_grad():
            assert isinstance(self.up, UpRelu)
            assert self.up.bias is not None
            self.up.weight[spec.stem :].mul_(0.1)
            self.up.bias[spec.stem :].fill_(OPEN)

    def forward(self, y: Tensor, noise: Tensor | None, style: Tensor) -> Tensor:
        """Map the stem's features to the tail's; see the class. `noise` is ignored."""
        del noise
        y = F.relu(self.stem_norm(y, style))
        y = F.relu(self.down_norm(self.down(y), style))
        for block in self.blocks:
            y = block(y, style)
        painted: Tensor = self.up(y)
        return painted


class EighthBody(nn.Module):
    """Blocks at an eighth of the size between two steps down and two up, which see far.

    `forward` maps what the stem gives, (N, stem, H / 2 - 2, W / 2 - 2), and noise
    (N or 1, noise, H / 8 - 2, W / 8 - 2) to (N, stem + gate, H / 2 - 22, W / 2 - 22).
    """

    def __init__(self, spec: CanvasSpec, styles: int) -> None:
        super().__init__()
        self.stem_norm = ConditionalInstanceNorm2d(spec.stem, styles)
        self.down1 = nn.Conv2d(spec.stem, spec.middle, 3, stride=2, bias=False)
        self.down1_norm = ConditionalInstanceNorm2d(spec.middle, styles)
        self.down2 = nn.Conv2d(spec.middle, spec.body, 3, stride=2, bias=False)
        self.down2_norm = ConditionalInstanceNorm2d(spec.body, styles)
        self.noise = nn.Conv2d(spec.noise, spec.body, 1, bias=False)
        self.blocks = nn.ModuleList(
            BodyBlock(spec.body, styles, padded=True) for _ in range(spec.blocks)
        )
        self.up1: nn.Module = UpConv2d(spec.body, spec.middle, 3, bias=False)
        self.up1_norm = ConditionalInstanceNorm2d(spec.middle, styles)
        self.block = BodyBlock(spec.middle, styles, padded=False)
        self.up2: nn.Module = UpConv2d(spec.middle, spec.stem + spec.gate, 3, bias=False)
        self.skip = nn.Conv2d(spec.stem, spec.stem + spec.gate, 1)
        with torch.no_grad():
            assert self.skip.bias is not None
            self.skip.bias[spec.stem :].fill_(OPEN)

    def forward(self, y: Tensor, noise: Tensor | None, style: Tensor) -> Tensor:
        """Map the stem's features to the tail's; see the class."""
        assert noise is not None
        half = F.relu(self.stem_norm(y, style))
        quarter = F.relu(self.down1_norm(self.down1(half), style))
        y = F.relu(self.down2_norm(self.down2(quarter), style))
        y = y + self.noise(noise)
        for block in self.blocks:
            y = block(y, style)
        y = self.up1_norm(self.up1(y), style)
        y = self.block(F.relu(y + inside(quarter, 2)), style)
        return F.relu(self.up2(y) + self.skip(inside(half, 10)))
