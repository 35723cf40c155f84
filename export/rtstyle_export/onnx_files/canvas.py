"""The form in which canvas networks are exported: pictures in and out, the same function."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.canvas import MOST, NOISE_SIDE, CanvasNet, noise_tile
from rtstyle_export.networks.canvas_body import UpConv2d, UpRelu
from rtstyle_export.networks.realtime import (
    fold_unshuffle,
    fold_upsample,
    interleave,
    unfold_unshuffle,
)

LARGEST = 4096
"""Pixels a side for which the noise repeats often enough."""


class FoldedCanvasNet(nn.Module):
    """A one-style `CanvasNet` on bytes: photo and canvas (N, H, W, 3), trust (N, h, w, 1).

    h and w are half of H and W, rounded up. A canvas is 127 or 128 where nothing is known. Pictures
    stay laid out as they are (NHWC) but for the convolutions, two pixels side by side are seen as
    one of six channels, and the mixture at the end is one pass over whole rows: at full size moving
    bytes costs more than the convolutions.
    """

    def __init__(self, net: CanvasNet) -> None:
        super().__init__()
        spec = net.spec
        self.net = _folded(net)
        self.stem = pairs(net.stem.weight.detach() / 127.5)
        canvas = net.stem_canvas.weight.detach()
        self.stem_canvas = pairs(canvas[:, :12] / 127.5)
        self.stem_trust = nn.Conv2d(1, spec.stem, 3, bias=False)
        with torch.no_grad():
            self.stem_trust.weight.copy_(canvas[:, 12:] / 255)
            self.net.known.weight.div_(255)
        self.out = fold_upsample(
            net.out.kernels(0).detach() * 127.5, net.out.bias.detach()[0] * 127.5 + 127.5
        )
        # The gate three times, once for each colour.
        self.gate = fold_upsample(
            net.gate.kernels(0).detach().repeat(3, 1, 1, 1),
            net.gate.bias.detach()[0].repeat(3),
        )
        self.noise = nn.Buffer(noise_tile(spec.noise)) if spec.noise else None

    def forward(self, image: Tensor, canvas: Tensor, trust: Tensor) -> Tensor:
        """Paint (N, H, W, 3) uint8."""
        net, spec, style = self.net, self.net.spec, torch.zeros(1, dtype=torch.int64)
        n, h, w = image.shape[:3]
        b, stride = spec.border, spec.stride
        extra = (0, 0, b, b + -(w + 2 * b) % stride, b, b + -(h + 2 * b) % stride)
        wide = [extended(x.float(), extra) for x in (image, canvas)]
        twos = [x.reshape(n, x.shape[1], x.shape[2] // 2, 6).permute(0, 3, 1, 2) for x in wide]
        half = spec.extended_trust(
            trust.permute(0, 3, 1, 2).float(), wide[0].shape[1] // 2, wide[0].shape[2] // 2
        )
        y = self.stem(twos[0]) + self.stem_canvas(twos[1]) + self.stem_trust(half)
        noise = None
        if self.noise is not None:
            times, step = LARGEST // (stride * NOISE_SIDE), stride // 2
            noise = self.noise.repeat(1, 1, times, times)
            noise = noise[:, :, : y.shape[2] // step - 1, : y.shape[3] // step - 1]
        y = net.features(y, half, noise, style)
        first = b - spec.eaten
        paint = joined(self.out, y[:, : spec.stem])[:, first : first + h, first : first + w]
        gate = joined(self.gate, y[:, spec.stem :])
        gate = MOST * torch.sigmoid(gate[:, first : first + h, first : first + w])
        mixed = paint + gate * (canvas.float() - paint)
        return mixed.clamp(0, 255).round().to(torch.uint8)


def extended(x: Tensor, extra: tuple[int, ...]) -> Tensor:
    """Repeat the edges of (N, H, W, C)."""
    return F.pad(x[None], extra, "replicate")[0]


def pairs(weight: Tensor) -> nn.Conv2d:
    """Turn a kernel (O, 12, 3, 3) for unshuffled pictures into one for pairs of pixels.

    Pairs lie side by side: (O, 6, 6, 3), stride (2, 1), the channels in the order of memory.
    """
    o = weight.shape[0]
    whole = fold_unshuffle(weight)  # (O, 3, 6, 6)
    conv = nn.Conv2d(6, o, (6, 3), stride=(2, 1), bias=False)
    with torch.no_grad():
        conv.weight.copy_(whole.reshape(o, 3, 6, 3, 2).permute(0, 4, 1, 2, 3).reshape(o, 6, 6, 3))
    return conv


def unfold_pairs(weight: Tensor) -> Tensor:
    """Undo `pairs`: of a kernel (O, 6, 6, 3), that for unshuffled pictures (O, 12, 3, 3)."""
    o = weight.shape[0]
    whole = weight.reshape(o, 2, 3, 6, 3).permute(0, 2, 3, 4, 1).reshape(o, 3, 6, 6)
    return unfold_unshuffle(whole)


def joined(rows: nn.ModuleList, y: Tensor) -> Tensor:
    """Double the size of (N, C, h, w) by what `fold_upsample` made: (N, 2 h - 2, 2 w - 2, O)."""
    return interleave(*(row(y).permute(0, 2, 3, 1) for row in rows))


def _folded(net: CanvasNet) -> CanvasNet:
    """Return a copy whose upsampling convolutions are folded."""
    folded = copy.deepcopy(net).eval()
    for name, layer in net.body.named_children():
        if isinstance(layer, UpConv2d):
            setattr(folded.body, name, _FoldedUp(layer))
    return folded


class _FoldedUp(nn.Module):
    """Nearest upsampling and a convolution as `fold_upsample` has it, on (N, C, h, w)."""

    def __init__(self, conv: UpConv2d) -> None:
        super().__init__()
        # Before rows are joined: behind that it would be a pass of its own.
        self.positive = isinstance(conv, UpRelu)
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
        self.rows = fold_upsample(conv.weight.detach(), bias)

    def forward(self, y: Tensor) -> Tensor:
        rows = (row(y) for row in self.rows)
        done = (F.relu(row) if self.positive else row for row in rows)
        return interleave(*(row.permute(0, 2, 3, 1) for row in done)).permute(0, 3, 1, 2)
