"""The image transformation network of Johnson, Alahi and Fei-Fei 2016, and the size names.

"Perceptual Losses for Real-Time Style Transfer and Super-Resolution", with the layer table of its
supplementary material. The smaller sizes are in `realtime.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.layers import (
    ConditionalConv2d,
    ConditionalInstanceNorm2d,
    upsample_nearest,
)
from rtstyle_export.networks.realtime import BALANCED, FAST, RealTimeNet

BORDER = 40
"""Reflection padding in pixels that five unpadded residual blocks at a quarter size use up."""

Norm: TypeAlias = Literal["instance", "batch"]
Upsampling: TypeAlias = Literal["nearest", "fractional"]
Padding: TypeAlias = Literal["border", "inside"]


@dataclass(frozen=True, slots=True)
class PaperSpec:
    """Options of `PaperNet`.

    `norm`: the paper has batch norm; instance norm (Ulyanov et al. 2016) is what later work kept.
    `upsampling`: the paper has fractionally strided convolutions; nearest upsampling with a
    convolution (Odena et al. 2016) leaves no chequerboard.
    `padding`: `border` is the paper's 40-pixel reflection with unpadded residual blocks; `inside`
    pads each convolution by reflection instead and costs a third less.
    """

    norm: Norm = "instance"
    upsampling: Upsampling = "nearest"
    padding: Padding = "border"


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm with the call of `ConditionalInstanceNorm2d`; serves one style only."""

    def forward(self, x: Tensor, style: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise (N, C, H, W); `style` is ignored."""
        del style
        return super().forward(x)


def norm_layer(kind: Norm, channels: int, styles: int) -> nn.Module:
    """Return a norm that is called with features (N, C, H, W) and styles (N,) int64."""
    if kind == "batch":
        return BatchNorm2d(channels)
    return ConditionalInstanceNorm2d(channels, styles)


def _reflect(x: Tensor, pad: int) -> Tensor:
    """Pad by reflection; a side too short to reflect is first extended by its edge."""
    short = max(0, pad + 1 - min(x.shape[-2:]))
    if short:
        x = F.pad(x, (short,) * 4, "replicate")
    return F.pad(x, (pad - short,) * 4, "reflect") if pad > short else x


class PaperBlock(nn.Module):
    """A residual block; unpadded convolutions crop the identity by two pixels a side."""

    def __init__(self, channels: int, spec: PaperSpec, styles: int) -> None:
        super().__init__()
        pad = 1 if spec.padding == "inside" else 0
        self.crop = 2 - 2 * pad
        mode: Literal["reflect", "zeros"] = "reflect" if pad else "zeros"
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=pad, padding_mode=mode)
        self.norm1 = norm_layer(spec.norm, channels, styles)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=pad, padding_mode=mode)
        self.norm2 = norm_layer(spec.norm, channels, styles)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H - 2 crop, W - 2 crop)."""
        y = F.relu(self.norm1(self.conv1(x), style))
        y = self.norm2(self.conv2(y), style)
        c, (h, w) = self.crop, x.shape[-2:]
        return torch.add(x[:, :, c : h - c, c : w - c], y)


class PaperUp(nn.Module):
    """Double the size: fractionally strided 3x3, or nearest upsampling and a 3x3 convolution."""

    def __init__(self, c_in: int, c_out: int, spec: PaperSpec, styles: int) -> None:
        super().__init__()
        self.nearest = spec.upsampling == "nearest"
        self.conv: nn.Module
        if self.nearest:
            mode: Literal["reflect", "zeros"] = "reflect" if spec.padding == "inside" else "zeros"
            self.conv = nn.Conv2d(c_in, c_out, 3, padding=1, padding_mode=mode)
        else:
            self.conv = nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=1)
        self.norm = norm_layer(spec.norm, c_out, styles)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, 2H, 2W)."""
        y = self.conv(upsample_nearest(x) if self.nearest else x)
        return F.relu(self.norm(y, style))


class PaperNet(nn.Module):
    """The paper's network, 1.68 M parameters.

    Input and output are (N, 3, H, W) RGB in -1 to 1 for any H, W >= 1; the output is a scaled
    tanh as in the paper. Sides that are not a multiple of 4 are padded by reflection and cropped.
    """

    def __init__(self, spec: PaperSpec | None = None, styles: int = 1) -> None:
        super().__init__()
        spec = spec or PaperSpec()
        if spec.norm == "batch" and styles > 1:
            raise ValueError("batch norm serves one style; several need instance norm")
        self.spec, self.styles = spec, styles
        mode: Literal["reflect", "zeros"] = "reflect" if spec.padding == "inside" else "zeros"
        self.conv1 = nn.Conv2d(3, 32, 9, padding=4, padding_mode=mode)
        self.norm1 = norm_layer(spec.norm, 32, styles)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2, padding=1, padding_mode=mode)
        self.norm2 = norm_layer(spec.norm, 64, styles)
        self.conv3 = nn.Conv2d(64, 128, 3, stride=2, padding=1, padding_mode=mode)
        self.norm3 = norm_layer(spec.norm, 128, styles)
        self.blocks = nn.ModuleList(PaperBlock(128, spec, styles) for _ in range(5))
        self.up1 = PaperUp(128, 64, spec, styles)
        self.up2 = PaperUp(64, 32, spec, styles)
        self.out = ConditionalConv2d(32, 3, 9, styles)

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """Paint (N, 3, H, W); `style` is (N,) int64 and may be left out with one style."""
        if style is None:
            style = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        h, w = x.shape[-2:]
        x = F.pad(x, (0, -w % 4, 0, -h % 4), "replicate")
        if self.spec.padding == "border":
            x = _reflect(x, BORDER)
        elif min(x.shape[-2:]) < 16:
            x = F.pad(x, (0, max(0, 16 - x.shape[-1]), 0, max(0, 16 - x.shape[-2])), "replicate")
        y = F.relu(self.norm1(self.conv1(x), style))
        y = F.relu(self.norm2(self.conv2(y), style))
        y = F.relu(self.norm3(self.conv3(y), style))
        for block in self.blocks:
            y = block(y, style)
        y = self.up2(self.up1(y, style), style)
        # Johnson's released model scales tanh by 150 of 255 so that black and white are reached.
        y = torch.tanh(self.out(y, style)) * (150.0 / 127.5)
        return y[:, :, :h, :w]


SIZES = ("fast", "balanced", "paper")
"""The names of the three network sizes, from quick to good."""


def build_network(size: str, styles: int = 1) -> RealTimeNet | PaperNet:
    """Make the network of a size as the built-in styles use it; ValueError for another name."""
    if size == "fast":
        return RealTimeNet(FAST, styles)
    if size == "balanced":
        return RealTimeNet(BALANCED, styles)
    if size == "paper":
        return PaperNet(PaperSpec(padding="inside"), styles)
    raise ValueError(f"no network size {size!r}; there are {', '.join(SIZES)}")
