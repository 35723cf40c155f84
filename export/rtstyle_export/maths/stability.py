"""Stability: a photo that is shifted, scaled, brightened or noisy must be painted the same.

The loss is the mean squared difference between the painting of the changed photo and the equally
shifted and scaled painting of the photo itself. The idea is that of Gupta et al. 2017
("Characterizing and Improving Stability in Neural Style Transfer") and Gao et al. 2018 (ReCoNet),
with synthetic motion in place of video and optical flow, so that photographs are enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Perturbation:
    """Largest changes: shift in pixels, scale, gain and offset of brightness, noise (0 to 1)."""

    shift: int = 6
    scale: float = 0.04
    gain: float = 0.08
    offset: float = 0.04
    noise: float = 0.02

    def margin(self, side: int) -> int:
        """Pixels at the edges of a picture of `side` that may show what moved in from outside."""
        return self.shift + math.ceil(self.scale * side / 2)


@dataclass(frozen=True, slots=True)
class Change:
    """One drawn change for a batch: `theta` (N, 2, 3) for the geometry, the rest (N, 1, 1, 1)."""

    theta: Tensor
    gain: Tensor
    offset: Tensor
    noise: Tensor

    def to(self, device: torch.device) -> Change:
        """Move all parts to `device`."""
        parts = (self.theta, self.gain, self.offset, self.noise)
        return Change(*(part.to(device) for part in parts))

    def move(self, image: Tensor) -> Tensor:
        """Shift and scale (N, 3, H, W) with bicubic sampling; the edge is reflected."""
        grid = F.affine_grid(self.theta, list(image.shape), align_corners=False)
        return F.grid_sample(image, grid, "bicubic", "reflection", align_corners=False)

    def light(self, image: Tensor, generator: torch.Generator | None) -> Tensor:
        """Change brightness and add sensor noise to (N, 3, H, W) in -1 to 1."""
        noise = torch.randn(image.shape, generator=generator).to(image)
        bright = (image + 1) * self.gain - 1 + 2 * self.offset
        return (bright + 2 * self.noise * noise).clamp(-1, 1)


def draw_change(
    shape: torch.Size, limits: Perturbation, generator: torch.Generator | None = None
) -> Change:
    """Draw a change for pictures of `shape` (N, 3, H, W).

    Half of the pictures are only shifted, by whole pixels, which needs no interpolation: else the
    target itself is blurred and the network learns to blur.
    """
    n, _, h, w = shape

    def uniform() -> Tensor:
        return torch.rand(n, generator=generator) * 2 - 1

    scale = 1 + limits.scale * uniform() * (torch.rand(n, generator=generator) < 0.5)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, 0, 2] = (uniform() * limits.shift).round() * 2 / w
    theta[:, 1, 2] = (uniform() * limits.shift).round() * 2 / h

    def column(value: Tensor) -> Tensor:
        return value.view(n, 1, 1, 1)

    return Change(
        theta,
        column(1 + limits.gain * uniform()),
        column(limits.offset * uniform()),
        column(limits.noise * torch.rand(n, generator=generator)),
    )


def inner(image: Tensor, margin: int) -> Tensor:
    """Cut `margin` pixels off each side of (N, C, H, W): what moved in from outside is unknown."""
    return image[:, :, margin:-margin, margin:-margin] if margin else image


def stability_loss(painted: Tensor, repainted: Tensor, change: Change, margin: int) -> Tensor:
    """Mean squared difference in -1 to 1 units, per picture: (N,).

    `painted` is the painting of the photo, `repainted` that of the changed photo, both
    (N, 3, H, W) in -1 to 1.
    """
    expected = change.move(painted)
    return (inner(expected - repainted, margin)).square().mean(dim=(1, 2, 3))
