"""Our own image transformation networks for CPUs and small GPUs.

They keep the plan of Johnson et al. 2016 (down, residual blocks, up) and change what costs time:

- Pixel unshuffle replaces full-resolution convolutions on the way in.
- Only convolutions, ReLU, instance norm and copies of whole rows remain (`FoldedRealTimeNet`):
  operators that every back end fuses and vectorises.
- Each "nearest upsampling, then 3x3 convolution" is exported as two 2x2 convolutions on the grid
  of pixel corners, one for even and one for odd rows (`fold_upsample`): the same function with 16
  instead of 36 multiplications a channel pair. The shared kernel rules out the dot grid of a free
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
    """Widths of a network: stem and tail at half, body at a quarter resolution.

    Pictures are extended by `border` pixels at each side, which the unpadded convolutions eat up.
    """

    stem: int
    body: int
    blocks: int
    tail: int
    border: int = 24

    def __post_init__(self) -> None:
        if self.border < self.eaten:
            raise ValueError(f"a border of {self.border} pixels; {self.eaten} are eaten")

    @property
    def eaten(self) -> int:
        """Pixels at each side that the unpadded convolutions take away."""
        return 8 * self.blocks + 7

    def extended(self, x: Tensor) -> Tensor:
        """Extend (N, C, H, W) at its edges by the border and up to a multiple of `STRIDE`."""
        b, (h, w) = self.border, x.shape[-2:]
        extra = (b, b + -(w + 2 * b) % STRIDE, b, b + -(h + 2 * b) % STRIDE)
        return F.pad(x, extra, "replicate")

    def cropped(self, y: Tensor, x: Tensor) -> Tensor:
        """Cut what was painted of the extended picture to the place and size of `x`."""
        first, (h, w) = self.border - self.eaten, x.shape[-2:]
        return y[:, :, first : first + h, first : first + w]


FAST = RealTimeSpec(stem=16, body=32, blocks=2, tail=16, border=24)
BALANCED = RealTimeSpec(stem=16, body=48, blocks=3, tail=16, border=32)


class ResidualBlock(nn.Module):
    """Two unpadded 3x3 convolutions with instance norm around an identity; no ReLU after the sum.

    Gross and Wilber 2016 ("Training and investigating residual nets"), as in Johnson et al.
    """

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm1 = ConditionalInstanceNorm2d(channels, styles)
        self.conv2 = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm2 = ConditionalInstanceNorm2d(channels, styles)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H - 4, W - 4)."""
        y = F.relu(self.norm1(self.conv1(x), style))
        return torch.add(x[:, :, 2:-2, 2:-2], self.norm2(self.conv2(y), style))


class RealTimeNet(nn.Module):
    """The `fast` and `balanced` networks.

    Input and output are (N, 3, H, W) RGB in -1 to 1 for any H, W >= 1; the output is not clamped.
    The picture is extended at its edges by `spec.border` pixels, and up to a multiple of 4. No
    convolution is padded, so that nothing of the border shows: a flat picture stays flat.
    """

    def __init__(self, spec: RealTimeSpec, styles: int = 1) -> None:
        super().__init__()
        self.spec, self.styles = spec, styles
        self.stem = nn.Conv2d(12, spec.stem, 3, bias=False)
        self.stem_norm = ConditionalInstanceNorm2d(spec.stem, styles)
        self.down = nn.Conv2d(spec.stem, spec.body, 3, stride=2, bias=False)
        self.down_norm = ConditionalInstanceNorm2d(spec.body, styles)
        self.blocks = nn.ModuleList(ResidualBlock(spec.body, styles) for _ in range(spec.blocks))
        self.up = nn.Conv2d(spec.body, spec.tail, 3)
        self.out = ConditionalConv2d(spec.tail, 3, 3, styles, padding=0)

    def encode(self, x: Tensor, style: Tensor) -> Tensor:
        """Map an extended picture (N, 3, H, W) to features (N, body, h, w).

        h = H / 4 - 2 - 4 `spec.blocks`, and w likewise.
        """
        return self.body(self.stem(F.pixel_unshuffle(x, 2)), style)

    def body(self, y: Tensor, style: Tensor) -> Tensor:
        """Map what the stem gives, (N, stem, H / 2 - 2, W / 2 - 2), to features; see `encode`."""
        y = F.relu(self.stem_norm(y, style))
        y = F.relu(self.down_norm(self.down(y), style))
        for block in self.blocks:
            y = block(y, style)
        return y

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """Paint (N, 3, H, W); `style` is (N,) int64 and may be left out with one style."""
        if style is None:
            style = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        y = F.relu(self.up(upsample_nearest(self.encode(self.spec.extended(x), style))))
        return self.spec.cropped(self.out(upsample_nearest(y), style), x)


def fold_upsample(weight: Tensor, bias: Tensor) -> nn.ModuleList:
    """Fold "nearest x2, then 3x3 convolution" into two 2x2 convolutions; see `interleave`.

    `weight` is (O, I, 3, 3), `bias` (O,). Returns the convolutions from I to 2 O channels that make
    the even and the odd rows of the result, pixel pairs side by side. Without padding, they map
    h x w to (2h - 2) x (2w - 2).
    """
    out_channels, in_channels = weight.shape[:2]

    def halves(kernel: Tensor, dim: int, phase: int) -> Tensor:
        # The first pixel after a corner sees (k0 | k1 + k2), the last before it (k0 + k1 | k2).
        k0, k1, k2 = kernel.unbind(dim)
        pair = (k0 + k1, k2) if phase == 0 else (k0, k1 + k2)
        return torch.stack(pair, dim)

    rows = nn.ModuleList()
    for phase in (0, 1):
        conv = nn.Conv2d(in_channels, 2 * out_channels, 2)
        with torch.no_grad():
            conv.weight.copy_(
                torch.cat([halves(halves(weight, 2, phase), 3, column) for column in (0, 1)])
            )
            assert conv.bias is not None
            conv.bias.copy_(bias.repeat(2))
        rows.append(conv)
    return rows


def unfold_upsample(even: Tensor, odd: Tensor) -> Tensor:
    """Return the kernel (O, I, 3, 3) that `fold_upsample` made these two (2 O, I, 2, 2) of."""

    def thirds(last: Tensor, first: Tensor, dim: int) -> Tensor:
        k0, k2 = first.select(dim, 0), last.select(dim, 1)
        return torch.stack([k0, last.select(dim, 0) - k0, k2], dim)

    left, right = thirds(even, odd, 2).chunk(2)
    return thirds(left, right, 3)


def interleave(even: Tensor, odd: Tensor) -> Tensor:
    """Join even and odd rows, (N, h, w, 2 C) each, to (N, 2 h, 2 w, C).

    Whole rows are copied, several times as fast as depth-to-space moves single values.
    """
    n, h, w, c = even.shape
    rows = torch.cat([even.reshape(n, h, 1, w * c), odd.reshape(n, h, 1, w * c)], dim=2)
    return rows.reshape(n, 2 * h, 2 * w, c // 2)


def fold_unshuffle(weight: Tensor) -> Tensor:
    """Fold "pixel unshuffle by 2, then convolution": (O, 4 I, k, k) to (O, I, 2k, 2k), stride 2."""
    o, i, k = weight.shape[0], weight.shape[1] // 4, weight.shape[2]
    return weight.reshape(o, i, 2, 2, k, k).permute(0, 1, 4, 2, 5, 3).reshape(o, i, 2 * k, 2 * k)


def unfold_unshuffle(weight: Tensor) -> Tensor:
    """Undo `fold_unshuffle`: (O, I, 2k, 2k) to (O, 4 I, k, k)."""
    o, i, k = weight.shape[0], weight.shape[1], weight.shape[2] // 2
    return weight.reshape(o, i, k, 2, k, 2).permute(0, 1, 3, 5, 2, 4).reshape(o, 4 * i, k, k)


class FoldedRealTimeNet(nn.Module):
    """A one-style `RealTimeNet` in the form that is exported: pictures in and out, same function.

    Only convolutions, norms and copies of whole rows are left. Bytes are laid out as pictures are
    (NHWC) at both ends; the scale of the input lies in the first convolution, that of the output
    in the last ones. The offset of the input would be a constant, which the first norm takes away.
    """

    def __init__(self, net: RealTimeNet) -> None:
        super().__init__()
        self.net = net
        self.stem = nn.Conv2d(3, net.spec.stem, 6, stride=2, bias=False)
        assert net.up.bias is not None
        self.up = fold_upsample(net.up.weight.detach(), net.up.bias.detach())
        self.out = fold_upsample(
            net.out.kernels(0).detach() * 127.5, net.out.bias.detach()[0] * 127.5 + 127.5
        )
        with torch.no_grad():
            self.stem.weight.copy_(fold_unshuffle(net.stem.weight / 127.5))

    def forward(self, image: Tensor) -> Tensor:
        """Paint (N, H, W, 3) uint8."""
        spec, style = self.net.spec, torch.zeros(1, dtype=torch.int64)
        x = spec.extended(image.permute(0, 3, 1, 2).float())
        y = self.net.body(self.stem(x), style)
        y = interleave(*(F.relu(up(y)).permute(0, 2, 3, 1) for up in self.up))
        y = y.permute(0, 3, 1, 2)
        painted = interleave(*(to_bytes(out(y)) for out in self.out))
        first, (h, w) = spec.border - spec.eaten, image.shape[1:3]
        return painted[:, first : first + h, first : first + w]


def to_bytes(y: Tensor) -> Tensor:
    """Round (N, C, H, W) in 0 to 255 to (N, H, W, C) uint8."""
    return y.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1)
