"""Linear transforms of features, Li et al. 2018.

"Learning Linear Transformations for Fast Image and Video Style Transfer" (CVPR 2019). Features of
the photo, compressed to 32 channels, are multiplied by a matrix T = T_s T_c in place of AdaIN's
diagonal. T_s is made of the painting's features, T_c of the photo's: three convolutions, their
covariance, and a fully connected layer each. Only this is trained; VGG-19 and the decoder stay as
they are.

`PaperLinear` is the network of the paper, at relu3_1 or relu4_1, with the decoders of WCT's levels
3 and 4, and `recolour` at its end, as our AdaIN has it. `FastLinear` is ours for CPUs: `FastAdain`
with such a transform added in its bottleneck, whose T_s comes from relu3_1 of the painting. It
begins as AdaIN, since what is added begins as 0, and all else stays frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.adain import COLOURS, mix, painting_statistics, recolour
from rtstyle_export.networks.adain_fast import FAST_ADAIN, FastAdain, FastPair
from rtstyle_export.networks.encoder import STYLE_LAYERS, WIDTHS, Encoder
from rtstyle_export.networks.realtime import RealTimeSpec
from rtstyle_export.networks.wct import WctDecoder

MATRIX = 32
"""Rows of T: the channels of compressed features."""
LAYERS = {"relu3_1": 3, "relu4_1": 4}
"""Where features are transformed, with the level of WCT whose decoder turns them into pictures."""
FAST_LAYER = "relu3_1"
"""What of the painting the T_s of `FastLinear` is made of."""


def covariance(features: Tensor) -> Tensor:
    """Return F F^T / (H W) of features (N, C, H, W), as the paper's code has it: (N, C, C)."""
    flat = features.float().flatten(2)
    found: Tensor = flat @ flat.transpose(1, 2) / flat.shape[2]
    return found


def centred(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return features (N, C, H, W) without their mean, and that mean (N, C, 1, 1)."""
    mean = features.mean(dim=(2, 3), keepdim=True)
    return features - mean, mean


def principal(features: Sequence[Tensor], count: int = MATRIX) -> Tensor:
    """Return the first principal components of features (1, C, H, W), each centred: (C, count)."""
    total = torch.stack([covariance(centred(x)[0])[0] for x in features]).mean(dim=0)
    vectors: Tensor = torch.linalg.eigh(total.double())[1]
    return vectors.flip(1)[:, :count].float()


def whitened_and_coloured(content: Tensor, style: Tensor) -> Tensor:
    """Return what WCT (Li et al. 2017) makes of centred features (N, C, H, W) with style's (...).

    C_s^(1/2) C_c^(-1/2) F: the matrix that `LinearTransform` learns to come near.
    """
    parts = []
    for features, power in ((style, 0.5), (content, -0.5)):
        own = covariance(features).double()
        value, vector = torch.linalg.eigh(own)
        # Dimensions without variance stay as they are small, in place of being blown up.
        least = 1e-4 * value[:, -1:]
        scale = value.clamp_min(least).pow(power)
        parts.append(vector @ (scale[:, :, None] * vector.transpose(1, 2)))
    matrix = (parts[0] @ parts[1]).to(content)
    found: Tensor = (matrix @ content.flatten(2)).view_as(content)
    return found


class MatrixBranch(nn.Module):
    """Makes a matrix (N, 32, 32) of features (N, C, H, W) without their mean."""

    def __init__(self, channels: int, matrix: int = MATRIX) -> None:
        super().__init__()
        first, second = max(matrix, channels // 2), max(matrix, channels // 4)
        self.matrix = matrix
        self.convs = nn.Sequential(
            nn.Conv2d(channels, first, 3, padding=1), nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1), nn.ReLU(),
            nn.Conv2d(second, matrix, 3, padding=1),
        )  # fmt: skip
        # Fully connected, written as a convolution of one pixel: kernels are stored in 8 bits.
        self.fc = nn.Conv2d(matrix**2, matrix**2, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the matrix."""
        seen = covariance(self.convs(features)).flatten(1)[:, :, None, None]
        found: Tensor = self.fc(seen)
        return found.view(-1, self.matrix, self.matrix)


class LinearTransform(nn.Module):
    """`compress`, T and `unzip`, with the two branches that make T.

    `content` and `style` are the channels of what is transformed, and of what T_s is made of.
    """

    def __init__(self, content: int, style: int, matrix: int = MATRIX) -> None:
        super().__init__()
        self.matrix = matrix
        self.content, self.style = MatrixBranch(content, matrix), MatrixBranch(style, matrix)
        self.compress = nn.Conv2d(content, matrix, 1)
        self.unzip = nn.Conv2d(matrix, content, 1)

    def of_painting(self, features: Tensor) -> Tensor:
        """Return T_s of a painting's features (N, C, H, W) as numbers (N, 32 * 32)."""
        found: Tensor = self.style(centred(features)[0])
        return found.flatten(1)

    def moved(self, features: Tensor, numbers: Tensor) -> Tensor:
        """Return T (F - mean), compressed: (N, 32, H, W). `numbers` (N, 32 * 32) are T_s."""
        plain, _ = centred(features)
        matrix = numbers.view(-1, self.matrix, self.matrix) @ self.content(plain)
        small = self.compress(plain)
        found: Tensor = (matrix.to(small) @ small.flatten(2)).view_as(small)
        return found

    def forward(self, features: Tensor, numbers: Tensor) -> Tensor:
        """Return T (F - mean), unzipped: (N, C, H, W). `numbers` (N, 32 * 32) are T_s."""
        found: Tensor = self.unzip(self.moved(features, numbers))
        return found

    @torch.no_grad()
    def begin_with(self, basis: Tensor) -> None:
        """Compress to an orthonormal `basis` (C, 32), and unzip back from it."""
        self.compress.weight.copy_(basis.T[:, :, None, None])
        self.unzip.weight.copy_(basis[:, :, None, None])
        for conv in (self.compress, self.unzip):
            nn.init.zeros_(cast(Tensor, conv.bias))


class PaperLinear(nn.Module):
    """The network of the paper at `layer`; encoder and decoder are not trained.

    A painting's vector has T_s, the mean of its features, and its colours: `numbers` in all.
    """

    def __init__(self, encoder: Encoder, layer: str = "relu4_1") -> None:
        super().__init__()
        self.layer, width = layer, WIDTHS[STYLE_LAYERS.index(layer)]
        self.stride = 2 ** (LAYERS[layer] - 1)
        self.encoder, self.decoder = encoder, WctDecoder(LAYERS[layer])
        self.decoder.requires_grad_(False)
        self.transform = LinearTransform(width, width)
        self.numbers = MATRIX**2 + width + COLOURS

    def forward(self, image: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Paint (N, 3, H, W) in -1 to 1; `strength` is (N,) in 0 to 1."""
        h, w = image.shape[-2:]
        padded = F.pad(image, (0, -w % self.stride, 0, -h % self.stride), "replicate")
        own = self.encoder(padded)[self.layer]
        mean = statistics[:, MATRIX**2 : -COLOURS, None, None]
        styled = self.transform(own, statistics[:, : MATRIX**2]) + mean.to(own)
        painted = self.decoder(mix(own, styled, strength))[:, :, :h, :w]
        return recolour(painted, statistics[:, -COLOURS:], strength)


class FastLinear(FastAdain):
    """`FastAdain` with a linear transform added in its bottleneck.

    A painting's vector has T_s and then that of `FastAdain`: `numbers` in all.
    """

    def __init__(self, spec: RealTimeSpec = FAST_ADAIN) -> None:
        super().__init__(spec)
        style = WIDTHS[STYLE_LAYERS.index(FAST_LAYER)]
        self.transform = LinearTransform(spec.body, style)
        nn.init.zeros_(self.transform.unzip.weight)
        nn.init.zeros_(cast(Tensor, self.transform.unzip.bias))
        self.numbers += MATRIX**2

    def modulations(self, statistics: Tensor, strength: Tensor) -> list[Tensor]:
        """Return what modulates the norms, of what follows T_s."""
        return super().modulations(statistics[..., MATRIX**2 :], strength)

    def bottleneck(self, y: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Add what the transform makes of features (N, C, H, W), by `strength`."""
        changed: Tensor = self.transform(y, statistics[:, : MATRIX**2])
        return y + strength.view(-1, 1, 1, 1).to(y) * changed


class LinearPair(nn.Module):
    """A `PaperLinear` or `FastLinear` with all that makes a painting's vector, as trained."""

    def __init__(self, encoder: Encoder, size: str, layer: str = "relu4_1") -> None:
        super().__init__()
        self.size = size
        self.net: PaperLinear | FastLinear
        if size == "paper":
            self.net, self.head = PaperLinear(encoder, layer), None
        else:
            pair = FastPair()
            pair.requires_grad_(False)
            self.net, self.head = FastLinear(), pair.head
            self.net.requires_grad_(False)
            self.net.transform.requires_grad_(True)

    def vector(self, painting: Tensor, features: dict[str, Tensor]) -> Tensor:
        """Return the vector of a painting (N, 3, H, W), of which VGG-19 sees `features`."""
        known = painting_statistics(painting, features)
        if isinstance(self.net, FastLinear):
            assert self.head is not None
            matrix = self.net.transform.of_painting(features[FAST_LAYER])
            return torch.cat([matrix, self.head(known)], dim=1)
        own = features[self.net.layer]
        parts = (self.net.transform.of_painting(own), own.mean(dim=(2, 3)), known[:, -COLOURS:])
        return torch.cat(parts, dim=1)

    def forward(
        self, image: Tensor, painting: Tensor, features: dict[str, Tensor], strength: Tensor
    ) -> Tensor:
        """Paint (N, 3, H, W) in -1 to 1 like paintings (N, 3, H, W)."""
        painted: Tensor = self.net(image, self.vector(painting, features), strength)
        return painted
