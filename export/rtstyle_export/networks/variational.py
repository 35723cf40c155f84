"""A latent space of styles: a variational autoencoder of style vectors, Kingma and Welling 2013.

The style encoder maps a picture to a Gaussian, the decoder maps a sample of it to the vector that
the network for any style takes (`rtstyle_export.networks.adain_fast`). A picture enters as the
vector that this network's own head makes of it: a small, differentiable summary of what VGG-19 sees
in it. So a vector that was fitted, a blend, and a glance at a stylization all have a place there.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

LATENT = 64
"""Numbers of a style in latent space."""
HIDDEN = 256
LOG_VARIANCE = (-9.0, 3.0)
"""Least and largest log variance that an encoder gives, so that none is lost in float32."""
LEAST_SCALE = 0.1
"""A number that hardly varies is divided by this share of the median deviation, at least."""


class VariationalStyle(nn.Module):
    """Style vectors (N, `numbers`) to Gaussians of `latent` numbers, and samples back to vectors.

    Vectors are normalised by `mean` and `scale`, which `measure` takes from those of paintings.
    """

    def __init__(self, numbers: int, latent: int = LATENT, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.numbers, self.latent = numbers, latent
        self.encoder = nn.Sequential(
            nn.Linear(numbers, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 2 * latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, numbers),
        )
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("scale", torch.ones(numbers))

    def measure(self, vectors: Tensor) -> None:
        """Take mean and standard deviation of the vectors (P, `numbers`) of paintings."""
        deviation = vectors.std(dim=0, correction=0)
        least = (LEAST_SCALE * deviation.median()).clamp_min(1e-6)
        cast(Tensor, self.mean).copy_(vectors.mean(dim=0))
        cast(Tensor, self.scale).copy_(deviation.clamp_min(least))

    def normalised(self, vectors: Tensor) -> Tensor:
        """Return vectors (N, `numbers`) with a mean of 0 and a deviation of 1 over paintings."""
        return (vectors - cast(Tensor, self.mean)) / cast(Tensor, self.scale)

    def encode(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the Gaussian of each vector: two of (N, `latent`)."""
        mean, log_variance = self.encoder(self.normalised(vectors)).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the style vectors (N, `numbers`) of codes (N, `latent`)."""
        raw: Tensor = self.decoder(codes)
        return raw * cast(Tensor, self.scale) + cast(Tensor, self.mean)


def sample(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Return mean + deviation x noise: the reparametrisation of Kingma and Welling, section 2.4.

    All are (N, L), `noise` of the standard normal distribution.
    """
    return mean + (0.5 * log_variance).exp() * noise


def active_dimensions(means: Tensor, least: float = 0.01) -> Tensor:
    """Tell which dimensions of the means (P, L) of paintings are used: booleans (L,).

    Burda et al. 2016, section 5.2: those whose mean varies over the data by more than `least`.
    """
    return means.var(dim=0, correction=0) > least
