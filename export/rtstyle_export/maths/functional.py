"""Pure formulas of style transfer, named as in the papers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrix of (N, C, H, W) features, divided by C H W: (N, C, C), symmetric.

    Johnson et al. 2016, equation 3. Always in float32. Differentiable once; the gradient is
    channels last, as are the features of `rtstyle_export.maths.winograd`: a sum of both is one
    pass.
    """
    gram: Tensor = _gram(features)
    return gram


def _pixels(features: Tensor) -> Tensor:
    """Features (N, C, H, W) as rows of pixels (N, H W, C) in float32: no copy if channels last."""
    n, c, h, w = features.shape
    return features.float().permute(0, 2, 3, 1).reshape(n, h * w, c)


def _full_precision(features: Tensor) -> torch.autocast:
    """Autocast would compute products in half precision even of float32."""
    return torch.autocast(features.device.type, enabled=False)


class _Gram(torch.autograd.Function):
    """Gram matrices whose gradient takes one product, not the two of a general F F^T."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        flat = _pixels(features)
        with _full_precision(features):
            gram: Tensor = flat.transpose(1, 2) @ flat / (flat.shape[1] * flat.shape[2])
        return gram

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        n, c, h, w = features.shape
        both = (grad + grad.transpose(1, 2)) / (c * h * w)
        with _full_precision(features):
            flat: Tensor = _pixels(features) @ both
        return flat.view(n, h, w, c).permute(0, 3, 1, 2).to(features.dtype)


_gram: Any = _Gram.apply


def content_distance(features: Tensor, target: Tensor) -> Tensor:
    """Squared distance of features (N, C, H, W), relative to the target's own square: (N,).

    Johnson et al. 2016, equation 2, divided by the mean square of `target`, which makes one
    weight serve every layer and loss network.
    """
    difference = (features.float() - target.float()).square().mean(dim=(1, 2, 3))
    return difference / target.float().square().mean(dim=(1, 2, 3)).clamp_min(1e-12)


def style_distance(gram: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius distance of Gram matrices (N, C, C), relative to the target's: (N,).

    Johnson et al. 2016, equation 4, divided by the target's squared norm, which makes one weight
    serve a pale drawing and a bright painting alike.
    """
    difference = (gram - target).square().sum(dim=(1, 2))
    return difference / target.square().sum(dim=(1, 2)).clamp_min(1e-12)


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels of (N, C, H, W): (N,).

    Johnson et al. 2016, section 3.2, with the sum replaced by the mean.
    """
    rows = (image[:, :, 1:] - image[:, :, :-1]).square().mean(dim=(1, 2, 3))
    columns = (image[:, :, :, 1:] - image[:, :, :, :-1]).square().mean(dim=(1, 2, 3))
    return rows + columns


def lattice(image: Tensor, period: int = 8) -> Tensor:
    """How much of a grid of this period, in pixels, lies over (N, C, H, W): (N,).

    Decoders that upsample draw such grids (Odena et al. 2016, "Deconvolution and Checkerboard
    Artifacts"). Without the local mean, pixels with the same place in the grid are averaged over
    windows of 8 x 8 periods: texture goes out, a grid stays. The mean square of what is left.
    Pictures are at least one window in size; what is beyond whole windows does not count.
    """
    half = period // 2
    high = image - F.avg_pool2d(image, 2 * half + 1, 1, half, count_include_pad=False)
    count, channels, height, width = image.shape
    rows, columns = height // (8 * period), width // (8 * period)
    whole = high[:, :, : rows * 8 * period, : columns * 8 * period]
    folded = whole.reshape(count, channels, rows, 8, period, columns, 8, period).mean(dim=(3, 6))
    return folded.square().mean(dim=(1, 2, 3, 4, 5))


def colour_waves(image: Tensor, lags: tuple[int, ...] = (2, 3, 4)) -> Tensor:
    """How strongly the hue of (N, 3, H, W) RGB goes to and fro within some pixels: (N,).

    Where red minus green, or blue minus both, rises over two pixels and falls so much again `lags`
    pixels farther, the product of both slopes counts; what rises or falls once, an edge, does not.
    Networks that see their own painting can build such stripes up, which Gram matrices reward.
    """
    red, green, blue = image.unbind(1)
    hue = torch.stack([red - green, blue - (red + green) / 2], 1)
    total = image.new_zeros(image.shape[0])
    for axis in (2, 3):
        slope = hue.narrow(axis, 2, hue.shape[axis] - 2) - hue.narrow(axis, 0, hue.shape[axis] - 2)
        length = slope.shape[axis]
        for lag in lags:
            product = slope.narrow(axis, lag, length - lag) * slope.narrow(axis, 0, length - lag)
            total = total + F.relu(-product).mean(dim=(2, 3)).sum(1)
    return total


def total_variation_absolute(image: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels of (N, C, H, W): (N,).

    Rudin, Osher and Fatemi 1992 in its anisotropic form: edges stay sharp, areas become flat.
    """
    rows = (image[:, :, 1:] - image[:, :, :-1]).abs().mean(dim=(1, 2, 3))
    columns = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
    return rows + columns


def total_variation_power(image: Tensor, gamma: float) -> Tensor:
    """Mean length of the gradient to the power `gamma` of (N, C, H, W), at least 2x2: (N,).

    Mahendran and Vedaldi 2015, equation 4 (their beta), with the sum replaced by the mean.
    """
    rows = (image[:, :, 1:, :-1] - image[:, :, :-1, :-1]).square()
    columns = (image[:, :, :-1, 1:] - image[:, :, :-1, :-1]).square()
    # The root of 0 has no gradient.
    return (rows + columns + 1e-8).pow(gamma / 2).mean(dim=(1, 2, 3))


def guided_gram_matrix(features: Tensor, guide: Tensor) -> Tensor:
    """Gram matrix of (N, C, H, W) where `guide`, (H, W) from 0 to 1, is not 0: (N, C, C).

    Gatys et al. 2017, equations 5 and 6: the squares of the guide sum up to 1, so that a guide of
    ones gives `gram_matrix`. A guide that is 0 everywhere gives 0.
    """
    scale = guide / guide.square().mean().sqrt().clamp_min(1e-12)
    return gram_matrix(features * scale)


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared excess of (N, C, H, W) beyond -1 to 1: (N,)."""
    return torch.relu(image.abs() - 1).square().mean(dim=(1, 2, 3))


def channel_statistics(features: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of (N, C, H, W): two of (N, C), in float32.

    Huang and Belongie 2017, equations 5 and 6: the biased variance, `eps` inside the root, which
    keeps the gradient of a flat channel finite.
    """
    var, mean = torch.var_mean(features.float(), dim=(2, 3), correction=0)
    return mean, (var + eps).sqrt()


def adain(content: Tensor, mean: Tensor, std: Tensor, eps: float = 1e-5) -> Tensor:
    """Give features (N, C, H, W) the channel `mean` and `std` (N, C) of a style.

    Adaptive instance normalisation, Huang and Belongie 2017, equation 8.
    """
    own_mean, own_std = channel_statistics(content, eps)
    scale = std / own_std
    shift = mean - own_mean * scale
    return content * scale[:, :, None, None].to(content) + shift[:, :, None, None].to(content)


def regional_statistics(
    features: Tensor, weights: Tensor, prior: float = 16.0, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of features (N, C, H, W) in each region: two of (N, C, K).

    `weights` (N, K, H, W) tell how much of each region a position is. Besides its own positions a
    region counts `prior` positions of the whole picture, which keeps an empty one finite.
    """
    var, mean = torch.var_mean(features, dim=(2, 3), correction=0)
    # Around the mean of all: in float32 the mean square of raw features would swallow the rest.
    centred = (features - mean[:, :, None, None]).flatten(2)
    share = weights.flatten(2).transpose(1, 2)
    count = share.sum(dim=1, keepdim=True) + prior
    offset = centred @ share / count
    square = (centred.square() @ share + prior * var[:, :, None]) / count
    std = ((square - offset.square()).clamp_min(0) + eps).sqrt()
    return mean[:, :, None] + offset, std


def regional_adain(
    content: Tensor, weights: Tensor, mean: Tensor, std: Tensor, eps: float = 1e-5
) -> Tensor:
    """`adain` of features (N, C, H, W) region by region: `mean` and `std` are (N, C, K).

    `weights` (N, K, H, W) sum to 1 at each position. Scales and shifts are mixed by them where
    regions meet, so that there is no seam. Huang and Belongie 2017, section 7.4.
    """
    own_mean, own_std = regional_statistics(content, weights, eps=eps)
    scale = std / own_std
    shift = mean - own_mean * scale
    # As one product each, (N, C, K) x (N, K, H W).
    flat = weights.flatten(2)
    return content * (scale @ flat).view_as(content) + (shift @ flat).view_as(content)


def statistics_distance(found: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]) -> Tensor:
    """Squared distance of channel means plus that of standard deviations: (N,).

    Huang and Belongie 2017, equation 13 for one layer, with the mean over channels.
    """
    parts = [(a - b).square().mean(dim=1) for a, b in zip(found, target, strict=True)]
    return parts[0] + parts[1]
