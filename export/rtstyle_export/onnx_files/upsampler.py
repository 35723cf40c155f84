"""The form in which the upsampler is exported: pictures in and out, the same function."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.upsampler import SQUARE, UNIT, UpsamplerNet


class FoldedUpsampler(nn.Module):
    """An `UpsamplerNet` on bytes: the frame and the enlarged painting, (N, H, W, 3) uint8 each.

    Pixels are not shuffled one by one: four side by side are seen as one of twelve channels, and
    the first convolution takes four rows of them.
    """

    def __init__(self, net: UpsamplerNet) -> None:
        super().__init__()
        self.border = net.spec.border
        kernels = net.first.weight.detach()
        kernels = kernels.reshape(len(kernels), 6, UNIT, UNIT)
        assert net.first.bias is not None
        assert net.last.bias is not None
        # Bytes lie in 0 to 255, what the network was trained with in -1 to 1.
        bias = net.first.bias.detach() - kernels.sum((1, 2, 3))
        self.of_frame = _rows_of_four(kernels[:, :3], bias)
        self.of_painting = _rows_of_four(kernels[:, 3:], None)
        self.between = net.between
        self.last = nn.Conv2d(net.spec.width, 3 * SQUARE, 3)
        with torch.no_grad():
            self.last.weight.copy_(_by_pixel(net.last.weight.detach()) * 127.5)
            assert self.last.bias is not None
            self.last.bias.copy_(_by_pixel(net.last.bias.detach()) * 127.5)

    def forward(self, image: Tensor, canvas: Tensor) -> Tensor:
        """Sharpen `canvas`: (N, H, W, 3) uint8."""
        n, h, w = image.shape[:3]
        b = self.border
        extra = (0, 0, b, b + -w % UNIT, b, b + -h % UNIT)
        wide = [F.pad(x.float()[None], extra, "replicate")[0] for x in (image, canvas)]
        rows = [
            x.reshape(n, x.shape[1], x.shape[2] // UNIT, 3 * UNIT).permute(0, 3, 1, 2) for x in wide
        ]
        y = F.relu(self.of_frame(rows[0]) + self.of_painting(rows[1]))
        for conv in self.between:
            y = F.relu(conv(y))
        y = self.last(y).permute(0, 2, 3, 1)
        down, across = y.shape[1:3]
        y = y.reshape(n, down, across, UNIT, 3 * UNIT).permute(0, 1, 3, 2, 4)
        added = y.reshape(n, down * UNIT, across * UNIT, 3)[:, :h, :w]
        whole: Tensor = canvas.float() + added
        return whole.clamp(0, 255).round().to(torch.uint8)


def _rows_of_four(kernels: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Turn kernels (O, 3, 4, 4) on squares of pixels into ones on rows of four, for bytes."""
    o = len(kernels)
    conv = nn.Conv2d(3 * UNIT, o, (UNIT, 1), stride=(UNIT, 1), bias=bias is not None)
    with torch.no_grad():
        # Channels of a row lie in the order of memory: pixel by pixel, three colours each.
        across = kernels.permute(0, 3, 1, 2).reshape(o, 3 * UNIT, UNIT)
        conv.weight.copy_(across[..., None] / 127.5)
        if bias is not None and conv.bias is not None:
            conv.bias.copy_(bias)
    return conv


def _by_pixel(values: Tensor) -> Tensor:
    """Put channels, (48, ...), into the order of memory: row, column, colour."""
    squares = values.reshape(3, UNIT, UNIT, *values.shape[1:])
    return squares.movedim(0, 2).reshape(values.shape)
