"""What a run of `rtstyle train-adain --transform linear` is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from rtstyle_export.maths.losses import AdainLossSpec, LinearLossSpec
from rtstyle_export.networks.linear import LAYERS
from rtstyle_export.runs.config import AdainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearConfig(AdainConfig):
    """A run of a linear transform (Li et al. 2018), for the size `paper` at `layer`.

    The first `feature_steps` of `paper` see features only, of `scaled_on` photos and as many
    paintings: the matrix learns to do what whitening and colouring does, for a tenth of the time.
    """

    kind: ClassVar[str] = "linear"

    layer: str = "relu4_1"
    steps: int = 2000
    feature_steps: int = 600
    batch: int = 1
    crop: int = 160
    learning_rate: float = 5e-4
    unpainted: float = 0.0
    blended: float = 0.0
    stability_weight: float = 0.0
    loss: AdainLossSpec = field(default_factory=LinearLossSpec)

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        return [
            (self.layer not in LAYERS, f"the layer is {' or '.join(LAYERS)}"),
            (
                self.skips_only or self.blended > 0 or self.unpainted > 0,
                "skips-only and blended are for the transform adain",
            ),
            (
                self.stability_weight > 0
                or self.loss.order_weight > 0
                or self.loss.distil_weight > 0,
                "stability-, order- and distil-weight are for the transform adain",
            ),
            *AdainConfig.problems(self),
        ]
