"""Networks that see what is already on the canvas: `fast` and `balanced` with coherence over time.

A network paints a frame and is given, beside it, a canvas: the last painting moved along the
optical flow, with a trust for each pixel. A learned gate mixes canvas and new paint at full
resolution. An empty canvas gives a still picture.

What is taken from whom: the last painting as a second input from Gupta et al. 2017
("Characterizing and Improving Stability in Neural Style Transfer"); its warp along the flow and
the mask that leaves out what was hidden from Ruder et al. 2018 and Chen et al. 2017 ("Coherent
Online Video Style Transfer"), whose mask mixes features where our gate mixes pixels; the loss along
the motion, without flow when it paints, from Gao et al. 2018 (ReCoNet). The noise that breaks even
areas, of the body `eighth` only, is that of Ulyanov et al. 2016.

The body between stem and tail comes in two forms, see `canvas_body`: at a quarter of the size, as
the networks without a canvas have it, so that training starts from one of those; and at an eighth,
which sees 200 pixels for a tenth of the arithmetic of Johnson's network, and is trained from
scratch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.canvas_body import CanvasSpec, EighthBody, QuarterBody, inside
from rtstyle_export.networks.layers import ConditionalConv2d, upsample_nearest
from rtstyle_export.networks.realtime import BALANCED as PLAIN_BALANCED
from rtstyle_export.networks.realtime import FAST as PLAIN_FAST
from rtstyle_export.networks.realtime import RealTimeSpec

NOISE_SIDE = 64
"""Side of the fixed noise, in pixels of the body; larger frames repeat it."""
NOISE_SEED = 20160310
SHUT = -7.0
"""What the gate starts from where there is no canvas: a thousandth."""
MOST = 0.9
"""The most of a canvas that a gate lets through. Each move by parts of a pixel makes some waves of
the picture 1.03 to 1.06 times as high (cubic interpolation), so that without fresh paint they grow
into a pattern within 100 frames of a slow pan."""


class CanvasNet(nn.Module):
    """The `fast` and `balanced` networks that see a canvas.

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
        self.body = (QuarterBody if spec.stride == 4 else EighthBody)(spec, styles)
        self.known = nn.Conv2d(1, spec.stem + spec.gate, 1)
        self.out = ConditionalConv2d(spec.stem, 3, 3, styles, padding=0)
        self.gate = ConditionalConv2d(spec.gate, 1, 3, styles, padding=0)
        with torch.no_grad():
            # Without trust next to nothing of the canvas shows; with it, at first, most.
            self.gate.weight.fill_(6 / (9 * spec.gate))
            self.gate.bias.fill_(SHUT)
            # Norms hide from the body whether all or nothing is trusted: the tail is told.
            assert self.known.bias is not None
            self.known.weight.zero_()[spec.stem :] = 1
            self.known.bias.zero_()[: spec.stem] = 1
            self.stem_canvas.weight.mul_(0.1)

    def set_in_turn(self, value: bool) -> bool:
        """Say whether batches hold as many pictures of each style, sorted; return what was said."""
        before, self.out.in_turn = self.out.in_turn, value
        self.gate.in_turn = value
        return before

    def trust_more(self, factor: float) -> None:
        """Have the gate keep more of a trusted canvas, with a factor above 1, or less, in place.

        Training finds one balance of steadiness and fresh strokes; this moves it afterwards. What
        is painted where nothing is trusted stays the same.
        """
        with torch.no_grad():
            self.known.weight[self.spec.stem :] *= factor

    def features(self, y: Tensor, trust: Tensor, noise: Tensor | None, style: Tensor) -> Tensor:
        """Map what the stem gives, (N, stem, H / 2 - 2, W / 2 - 2), to the tail's features.

        H and W are those of the extended picture, `trust` is (N, 1, H / 2, W / 2), `noise`
        (N or 1, noise, H / s - 2, W / s - 2) in -1 to 1, with s the stride of the body, or None
        for networks without. Returns
        (N, stem + gate, h, w), before the last upsampling; h = H / 2 - 2 `spec.rim`, w likewise.
        Those of the gate begin as 0 where nothing is trusted.
        """
        y = self.body(y, noise, style)
        known: Tensor = self.known(inside(trust, self.spec.rim).to(y))
        return y * known

    def forward(
        self,
        x: Tensor,
        canvas: Tensor,
        trust: Tensor,
        style: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Paint; `style` is (N,) int64, `noise` as of `features`, by default the fixed one."""
        if style is None:
            style = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        spec = self.spec
        both = F.pixel_unshuffle(spec.extended(torch.cat([x, canvas], 1)), 2)
        h, w = both.shape[-2:]
        trust = spec.extended_trust(trust, h, w)
        if noise is None and spec.noise:
            step = spec.stride // 2
            noise = fixed_noise(spec.noise, h // step - 2, w // step - 2).to(x.device)
        y = self.stem(both[:, :12]) + self.stem_canvas(torch.cat([both[:, 12:], trust], 1))
        y = self.features(y, trust, noise, style)
        paint = self.out(upsample_nearest(y[:, : spec.stem]), style)
        gate = self.gate(upsample_nearest(y[:, spec.stem :]), style)
        paint = spec.cropped(paint, x).float()
        gate = MOST * torch.sigmoid(spec.cropped(gate, x).float())
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


def quarter(plain: RealTimeSpec) -> CanvasSpec:
    """Return the network that sees a canvas and else has the widths of one that does not."""
    return CanvasSpec(
        stem=plain.stem, body=plain.body, blocks=plain.blocks, stride=4, noise=0,
        border=plain.border,
    )  # fmt: skip


BODIES = {"quarter": 4, "eighth": 8}
"""Strides of the bodies, by the part of the size at which they work."""
SPECS = {
    ("fast", "quarter"): quarter(PLAIN_FAST),
    ("balanced", "quarter"): quarter(PLAIN_BALANCED),
    ("fast", "eighth"): CanvasSpec(stem=16, middle=32, body=64, blocks=4),
    ("balanced", "eighth"): CanvasSpec(stem=16, middle=48, body=96, blocks=5),
}
CANVAS_SIZES = ("fast", "balanced")
"""The sizes of networks that see a canvas, from quick to good."""


def without_canvas(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of the `RealTimeNet` that paints as a network of the body `quarter` does.

    On an empty canvas, that is: `state` is that of a `CanvasNet`. But for the thousandth that its
    gate lets through, both paint the same.
    """
    stem = len(state["stem.weight"])
    found = {key: value for key, value in state.items() if key.startswith(("stem.", "out."))}
    for key, value in state.items():
        if key.startswith("body."):
            name = key.removeprefix("body.")
            found[name] = value[:stem] if name.startswith("up.") else value
    # What the tail is told where nothing is trusted lies in the last kernels then.
    kernels = found["out.weight"]
    told = state["known.bias"][:stem].repeat_interleave(kernels.shape[2] // stem)
    return {**found, "out.weight": kernels * told}


def over_plain(net: CanvasNet, plain: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of `net`, of the body `quarter`, that paints as a `RealTimeNet` does.

    `plain` is the state of that network, of the same size. Canvas and gate are as in `net`:
    freshly made, they have next to no say where the canvas is empty.
    """
    state = {key: value.clone() for key, value in net.state_dict().items()}
    for key, value in plain.items():
        name = key if key.startswith(("stem.", "out.")) else f"body.{key}"
        if key.startswith("up."):
            state[name][: len(value)] = value
        else:
            state[name] = value.clone()
    return state
