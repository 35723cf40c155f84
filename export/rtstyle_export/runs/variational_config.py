"""What a run of `rtstyle train-variational` is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from rtstyle_export.maths.losses import VariationalLossSpec
from rtstyle_export.networks.variational import HIDDEN, LATENT
from rtstyle_export.runs.config import RunConfig, weights_of


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationalConfig(RunConfig):
    """A run of a latent space of styles (Kingma and Welling 2013), for one picture network.

    `fitted` of the paintings are fitted to be learnt from, evenly spread. The first `vector_steps`
    see the vectors of paintings only, `vectors` at a time, and then come pictures, too, a `batch`
    of paintings with two photos each. The divergence has its full weight after `kl_steps`.
    """

    kind: ClassVar[str] = "variational"

    size: str = "fast"
    steps: int = 9000
    vector_steps: int = 6000
    vectors: int = 64
    fitted: int = 240
    latent: int = LATENT
    hidden: int = HIDDEN
    batch: int = 1
    crop: int = 160
    margin: int = 16
    kl_steps: int = 2000
    learning_rate: float = 1e-3
    stability_weight: float = 0.0
    loss: VariationalLossSpec = field(default_factory=VariationalLossSpec)

    def loss_weights(self) -> dict[str, float]:
        """Return the weights of all that is minimised, by the names of their options."""
        return RunConfig.loss_weights(self) | weights_of(self.loss)

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        return [
            (self.size != "fast", "sampled styles exist for the size fast"),
            *RunConfig.problems(self),
        ]
