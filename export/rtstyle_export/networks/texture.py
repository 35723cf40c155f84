"""Texture networks: noise at several scales becomes a texture, or the paint of a photo.

Ulyanov, Lebedev, Vedaldi and Lempitsky 2016, "Texture Networks: Feed-forward Synthesis of Textures
and Stylized Images", figure 2 and section 3.3: the generator g(x_c, z) sees the photo and noise at
K scales, each half of the one before. A block of 3x3, 3x3 and 1x1 convolutions reads each scale;
from the coarsest on, features are doubled in size by repetition, joined to those of the next scale,
and go through a block that is as wide as what was joined. Instance norm in place of their batch
norm is of Ulyanov, Vedaldi and Lempitsky 2017, "Improved Texture Networks: Maximizing Quality and
Diversity in Feed-forward Stylization and Texture Synthesis".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.johnson import Norm, norm_layer
from rtstyle_export.networks.layers import ConditionalConv2d, upsample_nearest

TEXTURE = "texture"
"""The name of this size, beside those of Johnson's networks."""
SLOPE = 0.01
"""Of the leaky ReLUs below zero."""


@dataclass(frozen=True, slots=True)
class TextureSpec:
    """Widths and options of a `TextureNet`.

    `width` channels are read at each of `scales`, and `noise` of the noise. Without `photo` the
    network paints nothing but texture, whose left edge continues at the right one and whose top
    continues at the bottom (the circular convolutions of the paper). `norm`: instance norm as of
    2017, or the batch norm of 2016.
    """

    width: int = 8
    scales: int = 6
    noise: int = 3
    photo: bool = True
    norm: Norm = "instance"

    @property
    def stride(self) -> int:
        """Sides are padded to a multiple of this many pixels: one pixel of the coarsest scale."""
        return 1 << (self.scales - 1)

    @property
    def noise_channels(self) -> int:
        """Channels of `z`: of the finest scale, then those that the coarser ones share."""
        return 2 * self.noise

    def noise_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Return the shape (C, H, W) of the noise for a picture of `height` x `width`."""
        rows, columns = (-(-side // self.stride) * self.stride for side in (height, width))
        return self.noise_channels, rows, columns


PHOTO = TextureSpec()
"""The network that paints photos: six scales."""
PURE = replace(PHOTO, scales=5, photo=False)
"""The network of figure 2, which makes a texture of noise alone: five scales."""


class _Layer(nn.Module):
    """A convolution that keeps the size, a norm and a leaky ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int, spec: TextureSpec, styles: int) -> None:
        super().__init__()
        self.circular, self.kernel = not spec.photo, kernel
        self.conv = nn.Conv2d(c_in, c_out, kernel, bias=False)
        self.norm = norm_layer(spec.norm, c_out, styles)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C_out, H, W)."""
        if self.kernel == 3:
            x = pad_edges(x, circular=self.circular, training=self.training)
        return F.leaky_relu(self.norm(self.conv(x), style), SLOPE)


class TextureBlock(nn.Module):
    """3x3, 3x3 and 1x1 convolutions of one width, each with a norm and a leaky ReLU."""

    def __init__(self, c_in: int, c_out: int, spec: TextureSpec, styles: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _Layer(first, c_out, kernel, spec, styles)
            for first, kernel in ((c_in, 3), (c_out, 3), (c_out, 1))
        )

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C_out, H, W)."""
        for layer in self.layers:
            x = layer(x, style)
        return x


class Join(nn.Module):
    """Doubles coarse features in size and joins fine ones, both normalised: they vary alike."""

    def __init__(self, coarse: int, fine: int, spec: TextureSpec, styles: int) -> None:
        super().__init__()
        self.coarse_norm = norm_layer(spec.norm, coarse, styles)
        self.fine_norm = norm_layer(spec.norm, fine, styles)

    def forward(self, coarse: Tensor, fine: Tensor, style: Tensor) -> Tensor:
        """Join (N, C, H, W) and (N, D, 2 H, 2 W) to (N, C + D, 2 H, 2 W)."""
        # Repetition changes neither mean nor variance, so that the small one is normalised.
        wide = upsample_nearest(self.coarse_norm(coarse, style))
        return torch.cat([wide, self.fine_norm(fine, style)], 1)


class TextureNet(nn.Module):
    """The generator g(x_c, z); without `spec.photo`, g(z).

    Photos and paintings are (N, 3, H, W) RGB in -1 to 1; the output is not clamped. One of H and W
    must be above `spec.stride`, as PyTorch normalises no single pixel; files take any size. `z` is
    uniform in 0 to 1, of `spec.noise_shape`; one map of noise serves all scales, see `noise_at`.
    """

    def __init__(self, spec: TextureSpec = PHOTO, styles: int = 1) -> None:
        super().__init__()
        if spec.norm == "batch" and styles > 1:
            raise ValueError("batch norm serves one style; several need instance norm")
        self.spec, self.styles = spec, styles
        read = spec.noise + (3 if spec.photo else 0)
        widths = [spec.width * (k + 1) for k in range(spec.scales)]
        # From the coarsest scale to the finest.
        self.read = nn.ModuleList(
            TextureBlock(read, spec.width, spec, styles) for _ in range(spec.scales)
        )
        self.joins = nn.ModuleList(Join(w, spec.width, spec, styles) for w in widths[:-1])
        self.blocks = nn.ModuleList(TextureBlock(w, w, spec, styles) for w in widths[1:])
        self.out = ConditionalConv2d(widths[-1], 3, 1, styles)

    def forward(self, x: Tensor | None, z: Tensor, style: Tensor | None = None) -> Tensor:
        """Paint the photo `x`, None for pure texture; `style` is (N,) int64.

        Returns (N, 3, H, W), without a photo of the size of `z`.
        """
        spec = self.spec
        if style is None:
            style = torch.zeros(z.shape[0], dtype=torch.int64, device=z.device)
        wide = None
        if x is not None:
            h, w = x.shape[-2:]
            wide = F.pad(x, (0, -w % spec.stride, 0, -h % spec.stride), "replicate")
        y = z
        for number, read in enumerate(self.read):
            scale = spec.scales - 1 - number
            seen = noise_at(z, scale, spec.noise)
            if wide is not None:
                photo = F.avg_pool2d(wide, 1 << scale) if scale else wide
                seen = torch.cat([photo, seen], 1)
            fine = read(seen, style)
            if number:
                joined = self.joins[number - 1](y, fine, style)
                y = self.blocks[number - 1](joined, style)
            else:
                y = fine
        painted: Tensor = self.out(y, style)
        return painted if x is None else painted[:, :, :h, :w]


def noise_at(z: Tensor, scale: int, channels: int) -> Tensor:
    """Return the noise of a scale, (N, channels, H / 2^scale, W / 2^scale), of all of `z`.

    The finest scale has the first channels to itself. Scale k reads of the others the places whose
    row and column are 2^(k-1) mod 2^k: no two scales share a value, so that they are independent.
    """
    if scale == 0:
        return z[:, :channels]
    first, step = 1 << (scale - 1), 1 << scale
    return z[:, channels:, first::step, first::step]


def pad_edges(x: Tensor, *, circular: bool, training: bool) -> Tensor:
    """Extend (N, C, H, W) by a pixel a side: of the opposite edge if circular, else repeated."""
    if not (circular or training):
        return F.pad(x, (1, 1, 1, 1), "replicate")
    # The same; PyTorch's own padding has no quick gradient for channels_last.
    for dim in (2, 3):
        first, last = x.narrow(dim, 0, 1), x.narrow(dim, x.shape[dim] - 1, 1)
        before, behind = (last, first) if circular else (first, last)
        x = torch.cat([before, x, behind], dim)
    return x
