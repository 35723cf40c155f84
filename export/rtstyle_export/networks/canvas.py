"""Networks that see what is already on the canvas: the bodies of `fast` and `balanced`.

A network paints a frame and is given, beside it, a canvas: the last painting moved along the
optical flow, or an enlarged coarse painting of the same frame, with a trust for each pixel. A
learned gate mixes canvas and new paint at full resolution. An empty canvas gives a still picture.

What is taken from whom: the last painting as a second input from Gupta et al. 2017
("Characterizing and Improving Stability in Neural Style Transfer"); its warp along the flow and
the mask that leaves out what was hidden from Ruder et al. 2018 and Chen et al. 2017 ("Coherent
Online Video Style Transfer"), whose mask mixes features where our gate mixes pixels; the loss along
the motion, without flow when it paints, from Gao et al. 2018 (ReCoNet). The coarse painting below
a fine one follows Gatys et al. 2017 and Wang et al. 2017 (large strokes by going from coarse to
fine). The noise that breaks even areas is that of Ulyanov et al. 2016.

The body works at an eighth of the size, so that it sees 200 pixels for a tenth of the arithmetic of
Johnson's network, and can draw the strokes of a painting as large as a frame of 480 rows.
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

STRIDE = 8
"""Height and width inside the network are multiples of this many pixels."""
UNDERPAINTING = 0.5
"""Trust in a coarse painting of the same frame: half of what shows is new paint, or more."""
NOISE_SIDE = 64
"""Side of the fixed noise, in eighths of the frame's pixels; larger frames repeat it."""
NOISE_SEED = 20160310
SHUT = -7.0
"""What the gate starts from where there is no canvas: a thousandth."""


@dataclass(frozen=True, slots=True)
class CanvasSpec:
    """Channels at half (`stem`, `tail`), quarter (`middle`) and eighth (`body`) of the size.

    `blocks` residual blocks form the body; `noise` maps of noise
    are mixed in before it. The tail has `gate`
    more channels for the gate. Pictures are extended by `border` pixels at each side,
    which the unpadded convolutions around the body eat up.
    """

    stem: int
    middle: int
    body: int
    blocks: int
    noise: int = 2
    gate: int = 8
    border: int = 24

    @property
    def eaten(self) -> int:
        """Pixels at each side that the unpadded convolutions take away."""
        return 23

    def extended(self, x: Tensor) -> Tensor:
        """Extend (N, C, H, W) at its edges by the border and up to a multiple of `STRIDE`."""
        b, (h, w) = self.border, x.shape[-2:]
        extra = (b, b + -(w + 2 * b) % STRIDE, b, b + -(h + 2 * b) % STRIDE)
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


class CanvasNet(nn.Module):
    """The `fast` and `balanced` networks.

    `forward` takes a photo (N, 3, H, W) in -1 to 1, a canvas like it, which is 0 where nothing is
    known, and the trust in it at half the size, (N, 1, H / 2, W / 2) rounded up, in 0 to 1. It
    returns the painting (N, 3, H, W), not clamped, and the gate (N, 1, H, W): how much of each
    pixel is canvas.
    """

    def __init__(self, spec: CanvasSpec, styles: int = 1) -> None:
        super().__init__()
        self.spec, self.styles = spec, styles
        self.stem = nn.Conv2d(12, spec.stem, 3, bias=False)
        self.stem_canvas = nn.Conv2d(13, spec.stem, 3, bias=False)
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
        self.out = ConditionalConv2d(spec.stem, 3, 3, styles, padding=0)
        self.gate = ConditionalConv2d(spec.gate, 1, 3, styles, padding=0)
        with torch.no_grad():
            # Without trust next to nothing of the canvas shows; with it, at first, most.
            self.gate.weight.fill_(6 / (9 * spec.gate))
            self.gate.bias.fill_(SHUT)
            assert self.skip.bias is not None
            self.skip.bias[spec.stem :].fill_(1.5)

    def set_in_turn(self, value: bool) -> bool:
        """Say whether batches hold as many pictures of each style, sorted; return what was said."""
        before, self.out.in_turn = self.out.in_turn, value
        self.gate.in_turn = value
        return before

    def body_of(
        self, y: Tensor, trust: Tensor, noise: Tensor, style: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Map what the stem gives, (N, stem, H / 2 - 2, W / 2 - 2), to the tail's features.

        H and W are those of the extended picture, `trust` is (N, 1, H / 2, W / 2), `noise`
        (N or 1, noise, H / 8 - 2, W / 8 - 2) in -1 to 1. The result is
        (N, stem + gate, H / 2 - 22, W / 2 - 22), before the last upsampling.
        """
        half = F.relu(self.stem_norm(y, style))
        quarter = F.relu(self.down1_norm(self.down1(half), style))
        y = F.relu(self.down2_norm(self.down2(quarter), style))
        y = y + self.noise(noise)
        for block in self.blocks:
            y = block(y, style)
        y = self.up1_norm(self.up1(y), style)
        y = self.block(F.relu(y + inside(quarter, 2)), style)
        y = F.relu(self.up2(y) + self.skip(inside(half, 10)))
        return y, inside(trust, 11).to(y)

    def forward(
        self,
        x: Tensor,
        canvas: Tensor,
        trust: Tensor,
        style: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Paint; `style` is (N,) int64, `noise` as of `body_of`, by default the fixed one."""
        if style is None:
            style = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        spec = self.spec
        both = F.pixel_unshuffle(spec.extended(torch.cat([x, canvas], 1)), 2)
        h, w = both.shape[-2:]
        trust = spec.extended_trust(trust, h, w)
        if noise is None:
            noise = fixed_noise(spec.noise, h // 4 - 2, w // 4 - 2).to(x.device)
        y = self.stem(both[:, :12]) + self.stem_canvas(torch.cat([both[:, 12:], trust], 1))
        y, known = self.body_of(y, trust, noise, style)
        paint = self.out(upsample_nearest(y[:, : spec.stem]), style)
        gate = self.gate(upsample_nearest(y[:, spec.stem :] * known), style)
        paint = spec.cropped(paint, x).float()
        gate = torch.sigmoid(spec.cropped(gate, x).float())
        return paint + gate * (canvas - paint), gate


def noise_tile(channels: int) -> Tensor:
    """Return the fixed noise (1, channels, NOISE_SIDE, NOISE_SIDE), uniform in -1 to 1."""
    generator = torch.Generator().manual_seed(NOISE_SEED)
    whole = torch.randint(-127, 128, (1, channels, NOISE_SIDE, NOISE_SIDE), generator=generator)
    return whole.float() / 127


def fixed_noise(channels: int, height: int, width: int) -> Tensor:
    """Return the fixed noise repeated to (1, channels, height, width)."""
    tile = noise_tile(channels)
    rows, columns = -(-height // NOISE_SIDE), -(-width // NOISE_SIDE)
    return tile.repeat(1, 1, rows, columns)[:, :, :height, :width]


FAST = CanvasSpec(stem=16, middle=32, body=64, blocks=4)
BALANCED = CanvasSpec(stem=16, middle=48, body=96, blocks=5)
SPECS = {"fast": FAST, "balanced": BALANCED}
CANVAS_SIZES = tuple(SPECS)
"""The sizes of networks that see a canvas, from quick to good."""
