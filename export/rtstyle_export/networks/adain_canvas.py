"""The size `fast` of the networks for any style, which sees what is already on the canvas.

It is `FastAdain` with what `canvas` adds to networks of one style: the last painting, moved along
the optical flow, as a second input, and a learned gate that mixes it with new paint at full
resolution. The layers of `FastAdain` are the same ones: they paint a still picture by themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.adain import COLOURS
from rtstyle_export.networks.adain_fast import ADAPTED, FAST_ADAIN, FastAdain
from rtstyle_export.networks.canvas import SHUT, quarter
from rtstyle_export.networks.canvas_body import OPEN, CanvasSpec, inside
from rtstyle_export.networks.layers import upsample_nearest
from rtstyle_export.networks.realtime import RealTimeSpec


class CanvasAdain(FastAdain):
    """`FastAdain` with a canvas: `paint_over` takes it, `forward` paints without.

    `layout` says how pictures are extended and cut, as for a `CanvasNet` of the same widths.
    """

    def __init__(self, spec: RealTimeSpec = FAST_ADAIN, adapted: int = ADAPTED) -> None:
        super().__init__(spec, adapted)
        self.layout: CanvasSpec = quarter(spec)
        gate = self.layout.gate
        self.stem_canvas = nn.Conv2d(13, spec.stem, 3, bias=False)
        self.up_gate = nn.Conv2d(spec.body, gate, 3)
        self.known = nn.Conv2d(1, gate, 1, bias=False)
        self.gate = nn.Conv2d(gate, 1, 3)
        assert self.up_gate.bias is not None
        assert self.gate.bias is not None
        with torch.no_grad():
            self.stem_canvas.weight.mul_(0.1)
            self.up_gate.weight.mul_(0.1)
            self.up_gate.bias.fill_(OPEN)
            # Without trust next to nothing of the canvas shows; with it, at first, most.
            self.known.weight.fill_(1)
            self.gate.weight.fill_(6 / (9 * gate))
            self.gate.bias.fill_(SHUT)

    def paint_over(
        self, image: Tensor, canvas: Tensor, trust: Tensor, statistics: Tensor, strength: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Paint (N, 3, H, W) in -1 to 1 over a canvas: the painting, and the gate (N, 1, H, W).

        `canvas` and `trust` are as `CanvasNet.forward` takes them, `statistics` and `strength` as
        `forward` does. The gate says how much of each pixel is canvas.
        """
        spec, m = self.spec, self.modulations(statistics, strength)
        both = F.pixel_unshuffle(spec.extended(torch.cat([image, canvas], 1)), 2)
        trust = self.layout.extended_trust(trust, *both.shape[-2:])
        y = self.stem(both[:, :12]) + self.stem_canvas(torch.cat([both[:, 12:], trust], 1))
        y = self.body(y, lambda i, x: self.norms[i](x, m[i]))
        half = upsample_nearest(self.bottleneck(y, statistics, strength))
        colours = statistics[:, -COLOURS:]
        paint = self.finish(half, m[-1], image, colours, strength).float()
        told = F.relu(self.up_gate(half)) * self.known(inside(trust, self.layout.rim))
        gate = spec.cropped(self.gate(upsample_nearest(told)), image)
        gate = torch.sigmoid(gate.float())
        return paint + gate * (canvas - paint), gate


CANVAS_LAYERS = ("stem_canvas", "up_gate", "known", "gate")
"""What a `CanvasAdain` has beside the layers of a `FastAdain`."""


def fitting(weights: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a `FastPair` for one with the state `target`.

    What only a canvas needs is left out where that sees none; what older networks have not, or
    those without a canvas, is as in `target`, where it changes nothing yet.
    """
    later = (*CANVAS_LAYERS, "adapter")
    new = {key: value for key, value in target.items() if key.split(".")[1] in later}
    known = {
        key: value
        for key, value in weights.items()
        if key in target or key.split(".")[1] not in CANVAS_LAYERS
    }
    return new | known
