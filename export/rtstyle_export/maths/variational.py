"""Formulas of variational style transfer, named as in the papers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of a Gaussian from the standard normal, by dimension, in nats: (N, L).

    Kingma and Welling 2013, appendix B; `mean` and `log_variance` are (N, L). Their sum over the
    dimensions is that of the whole.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def kl_weight(step: int, first: int, steps: int) -> float:
    """Share of the weight of the divergence at `step`: 0 before `first`, 1 after `steps` more.

    Bowman et al. 2016: an encoder that pays for its code before a decoder can read it gives none.
    """
    return min(1.0, max(0.0, (step - first) / max(1, steps)))


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of style codes (N, L): (N,)."""
    return (a - b).square().sum(dim=1)


def disentanglement_loss(first: Tensor, second: Tensor, style: Tensor) -> Tensor:
    """max(0, |y1 - y2|^2 - |y1 - s|^2) of style codes (N, L): (N,).

    `first` and `second` are those of two photos painted in one style, `style` that of its source:
    what a code tells of the photo must not exceed what it misses of the style. Kotovenko et al.
    2019, section 3.3, without the margin.
    """
    return F.relu(squared_distance(first, second) - squared_distance(first, style))


def fixpoint_triplet_loss(painted: Tensor, own: Tensor, other: Tensor, margin: float) -> Tensor:
    """max(0, margin + |y - s|^2 - |y - s'|^2) of style codes (N, L): (N,).

    The code of a stylization is nearer to that of its own painting than to another's. Kotovenko et
    al. 2019, section 3.2.
    """
    return F.relu(margin + squared_distance(painted, own) - squared_distance(painted, other))


def share_disentangled(first: Tensor, second: Tensor, style: Tensor) -> float:
    """Share of triples of codes (N, L) with |y1 - y2| < |y1 - s|; see `disentanglement_loss`."""
    closer = squared_distance(first, second) < squared_distance(first, style)
    return float(closer.to(torch.float32).mean())
