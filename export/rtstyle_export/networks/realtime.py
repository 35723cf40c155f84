"""Our own image transformation networks for CPUs and small GPUs.

They keep the plan of Johnson et al. 2016 (down, residual blocks, up) and change what costs time:

- Pixel unshuffle replaces full-resolution convolutions on the way in.
- Only stride-1 convolutions of at least 16 channels, ReLU, instance norm and depth-to-space
  remain: operators that every back end fuses and vectorises.
- Each "nearest upsampling, then 3x3 convolution" is exported as one 2x2 convolution on the grid
  of pixel corners followed by depth-to-space (`fold_upsample`): the same function with 16 instead
  of 36 multiplications a channel pair. The shared kernel rules out the dot grid of a free
  sub-pixel convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.layers import (
    ConditionalConv2d,
    ConditionalInstanceNorm2d,
    upsample_nearest,
)

STRIDE = 4
"""Height and width inside the network are multiples of this many pixels."""


@dataclass(frozen=True, slots=True)
class RealTimeSpec:
    """Widths of a `RealTimeNet`: stem and tail at half, body at a quarter resolution.

    `border` pixels are added around the picture and cut off again: enough to keep what the zero
    padding of the convolutions does out of sight.
    """

    stem: int
    body: int
    blocks: int
    tail: int
    border: int = 16


FAST = RealTimeSpec(stem=16, body=32, blocks=2, tail=16, border=8)
BALANCED = RealTimeSpec(stem=16, body=48, blocks=3, tail=16, border=12)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm around an identity; no ReLU after the sum.

    Gross and Wilber 2016 ("Training and investigating residual nets"), as in Johnson et al.
    """

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = ConditionalInstanceNorm2d(channels, styles)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = ConditionalInstanceNorm2d(channels, styles)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = F.relu(self.norm1(self.conv1(x), style))
        return torch.add(x, self.norm2(self.conv2(y), style))


class RealTimeNet(nn.Module):
    """The `fast` and `balanced` networks.

    Input and output are (N, 3, H, W) RGB in -1 to 1 for any H, W >= 1; the output is not clamped.
    The picture is padded at its edges by `spec.border` pixels, and up to a multiple of 4, and the
    result cropped, so that the zero padding of the convolutions stays out of sight.
    """

    def __init__(self, spec: RealTimeSpec, styles: int = 1) -> None:
        super().__init__()
        self.spec, self.styles = spec, styles
        self.stem = nn.Conv2d(12, spec.stem, 3, padding=1, bias=False)
        self.stem_norm = ConditionalInstanceNorm2d(spec.stem, styles)
        self.down = nn.Conv2d(spec.stem, spec.body, 3, stride=2, padding=1, bias=False)
        self.down_norm = ConditionalInstanceNorm2d(spec.body, styles)
        self.blocks = nn.ModuleList(ResidualBlock(spec.body, styles) for _ in range(spec.blocks))
        self.up = nn.Conv2d(spec.body, spec.tail, 3, padding=1)
        self.out = ConditionalConv2d(spec.tail, 3, 3, styles)

    def encode(self, x: Tensor, style: Tensor) -> Tensor:
        """Map a padded picture (N, 3, H, W) to features (N, body, H/4, W/4)."""
        y = F.relu(self.stem_norm(self.stem(F.pixel_unshuffle(x, 2)), style))
        y = F.relu(self.down_norm(self.down(y), style))
        for block in self.blocks:
            y = block(y, style)
        return y

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """Paint (N, 3, H, W); `style` is (N,) int64 and may be left out with one style."""
        if style is None:
            style = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        b, (h, w) = self.spec.border, x.shape[-2:]
        padded = F.pad(x, (b, b + -(w + 2 * b) % STRIDE, b, b + -(h + 2 * b) % STRIDE), "replicate")
        y = F.relu(self.up(upsample_nearest(self.encode(padded, style))))
        y = self.out(upsample_nearest(y), style)
        painted: Tensor = y[:, :, b : b + h, b : b + w]
        return painted


def fold_upsample(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """Fold "nearest x2, then zero-padded 3x3 convolution" into one 2x2 convolution.

    `weight` is (O, I, 3, 3), `bias` (O,). Returns a convolution from I to 4 O channels with
    padding 1. It works on the (H+1) x (W+1) grid of pixel corners; a depth-to-space of 2 after it
    gives (2H+2) x (2W+2) pixels whose inside, without the outermost ring, equals the original.
    """
    out_channels, in_channels = weight.shape[:2]

    def halves(kernel: Tensor, dim: int, phase: int) -> Tensor:
        # The first pixel after a corner sees (k0 | k1 + k2), the last before it (k0 + k1 | k2).
        k0, k1, k2 = kernel.unbind(dim)
        pair = (k0 + k1, k2) if phase == 0 else (k0, k1 + k2)
        return torch.stack(pair, dim)

    folded = torch.stack(
        [halves(halves(weight, 2, p), 3, q) for p in (0, 1) for q in (0, 1)], dim=1
    )
    conv = nn.Conv2d(in_channels, 4 * out_channels, 2, padding=1)
    with torch.no_grad():
        conv.weight.copy_(folded.reshape(4 * out_channels, in_channels, 2, 2))
        assert conv.bias is not None
        conv.bias.copy_(bias.repeat_interleave(4))
    return conv


class FoldedRealTimeNet(nn.Module):
    """A one-style `RealTimeNet` in the form that is exported; the same function."""

    def __init__(self, net: RealTimeNet) -> None:
        super().__init__()
        self.net = net
        assert net.up.bias is not None
        self.up = fold_upsample(net.up.weight.detach(), net.up.bias.detach())
        self.out = fold_upsample(net.out.kernels(0).detach(), net.out.bias.detach()[0])

    def forward(self, x: Tensor) -> Tensor:
        """Paint (N, 3, H, W) in -1 to 1."""
        b, (h, w) = self.net.spec.border, x.shape[-2:]
        padded = F.pad(x, (b, b + -(w + 2 * b) % STRIDE, b, b + -(h + 2 * b) % STRIDE), "replicate")
        y = self.net.encode(padded, torch.zeros(1, dtype=torch.int64))
        y = F.relu(F.pixel_shuffle(self.up(y), 2))
        y = F.pixel_shuffle(self.out(y), 2)
        # The rings of both folded steps, 2 and 1 pixels wide, go in the one crop at the end.
        first = b + 3
        return y[:, :, first : first + h, first : first + w]
