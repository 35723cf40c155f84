"""The form in which the network for any style that sees a canvas is exported."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.adain import COLOURS, COLOURS_EPS, mix
from rtstyle_export.networks.adain_fast import CanvasAdain
from rtstyle_export.networks.canvas import MOST
from rtstyle_export.networks.canvas_body import inside
from rtstyle_export.networks.realtime import fold_upsample, interleave
from rtstyle_export.onnx_files.canvas import extended, joined, pairs
from rtstyle_export.onnx_files.writer import from_picture


class CanvasContentNet(nn.Module):
    """Paints (N, H, W, 3) uint8 over a canvas like it, as `CanvasAdain.paint_over`.

    `trust` is (N, H / 2, W / 2, 1) uint8, rounded up; a canvas is 127 or 128 where nothing is
    known. `statistics` (N or 1, M) and `strength` (N or 1,) are float32.
    """

    def __init__(self, net: CanvasAdain) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, image: Tensor, canvas: Tensor, trust: Tensor, statistics: Tensor, strength: Tensor
    ) -> Tensor:
        """Return the painted picture, uint8."""
        shares = trust.permute(0, 3, 1, 2).float() / 255
        painted, _ = self.net.paint_over(
            from_picture(image), from_picture(canvas), shares, statistics, strength
        )
        scaled = (painted.clamp(-1, 1) + 1) * 127.5
        return scaled.permute(0, 2, 3, 1).round().to(torch.uint8)


class FoldedCanvasContentNet(nn.Module):
    """`CanvasContentNet` in its cheapest form; see `FoldedCanvasNet`."""

    def __init__(self, net: CanvasAdain) -> None:
        super().__init__()
        self.net = net
        canvas = net.stem_canvas.weight.detach()
        self.stem = pairs(net.stem.weight.detach() / 127.5)
        self.stem_canvas = pairs(canvas[:, :12] / 127.5)
        self.stem_trust = nn.Conv2d(1, net.spec.stem, 3, bias=False)
        self.known = nn.Conv2d(1, net.layout.gate, 1, bias=False)
        with torch.no_grad():
            self.stem_trust.weight.copy_(canvas[:, 12:] / 255)
            self.known.weight.copy_(net.known.weight / 255)
        assert net.up.bias is not None
        assert net.up_gate.bias is not None
        # Paint and gate read the same features.
        self.up = fold_upsample(
            torch.cat([net.up.weight, net.up_gate.weight]).detach(),
            torch.cat([net.up.bias, net.up_gate.bias]).detach(),
        )
        assert net.out.bias is not None
        assert net.gate.bias is not None
        self.out = fold_upsample(net.out.weight.detach(), net.out.bias.detach())
        # The gate three times, once for each colour.
        self.gate = fold_upsample(
            net.gate.weight.detach().repeat(3, 1, 1, 1), net.gate.bias.detach().repeat(3)
        )

    def forward(
        self, image: Tensor, canvas: Tensor, trust: Tensor, statistics: Tensor, strength: Tensor
    ) -> Tensor:
        """Return the painted picture, uint8."""
        net, spec = self.net, self.net.spec
        n, h, w = image.shape[:3]
        b, stride = spec.border, net.layout.stride
        extra = (0, 0, b, b + -(w + 2 * b) % stride, b, b + -(h + 2 * b) % stride)
        wide = [extended(x.float(), extra) for x in (image, canvas)]
        twos = [x.reshape(n, x.shape[1], x.shape[2] // 2, 6).permute(0, 3, 1, 2) for x in wide]
        half = net.layout.extended_trust(
            trust.permute(0, 3, 1, 2).float(), wide[0].shape[1] // 2, wide[0].shape[2] // 2
        )
        y = self.stem(twos[0]) + self.stem_canvas(twos[1]) + self.stem_trust(half)
        m = [part[:, :, None, None] for part in net.modulations(statistics, strength)]
        y = net.bottleneck(net.body(y, modulated(m)), statistics, strength)
        y = self.doubled(y, m[-1])
        told = y[:, spec.tail :] * self.known(inside(half, net.layout.rim))
        first = spec.border - spec.eaten
        paint = joined(self.out, y[:, : spec.tail])[:, first : first + h, first : first + w]
        gate = joined(self.gate, told)[:, first : first + h, first : first + w]
        paint = painted_in(paint, statistics[:, -COLOURS:], strength)
        mixed = paint + MOST * torch.sigmoid(gate) * (canvas.float() - paint)
        return mixed.clamp(0, 255).round().to(torch.uint8)

    def doubled(self, y: Tensor, last: Tensor) -> Tensor:
        """Return the features of the tail and of the gate, at half the size."""
        count = self.net.layout.gate
        scale, shift = last.chunk(2, dim=1)
        one, none = (x.expand(len(last), count, 1, 1) for x in (ONE, NONE))
        # Of each pair of pixels that a row's convolution makes.
        scale = torch.cat([1 + scale, one], 1).repeat(1, 2, 1, 1)
        shift = torch.cat([shift, none], 1).repeat(1, 2, 1, 1)
        rows = (F.relu(up(y) * scale + shift) for up in self.up)
        return interleave(*(row.permute(0, 2, 3, 1) for row in rows)).permute(0, 3, 1, 2)


ONE, NONE = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)


def modulated(m: list[Tensor]) -> Callable[[int, Tensor], Tensor]:
    """Return the norms of a network whose numbers are `m`, (N, 2 C, 1, 1) each."""

    def norm(i: int, y: Tensor) -> Tensor:
        scale, shift = m[i].chunk(2, dim=1)
        return F.instance_norm(y) * (1 + scale) + shift

    return norm


def painted_in(paint: Tensor, colours: Tensor, strength: Tensor) -> Tensor:
    """`recolour` of pictures (N, H, W, 3), and from -1 to 1 to bytes: the same function."""
    y = paint.permute(0, 3, 1, 2)
    mean, std = (x[:, :, None, None] for x in colours.chunk(2, dim=1))
    # Scale and shift tell the exporter how many channels there are.
    even = F.instance_norm(y, weight=torch.ones(3), bias=torch.zeros(3), eps=COLOURS_EPS)
    return (mix(y, even * std + mean, strength) * 127.5 + 127.5).permute(0, 2, 3, 1)
