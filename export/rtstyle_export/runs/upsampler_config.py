"""What a run of `rtstyle train-upsampler` is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from rtstyle_export.maths.losses import UpsamplerLossSpec
from rtstyle_export.runs.config import RunConfig, weights_of

UPSAMPLER = "upsampler"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsamplerConfig(RunConfig):
    """A run of the network that enlarges coarse paintings.

    It learns from `pairs` squares of photos that the styles painted, reduced by `least` to `most`.
    The first `plain_steps` compare pixels only, of `batch` pairs; then `judged` of them are seen by
    the loss network, too, which costs ten times as much.
    """

    kind: ClassVar[str] = UPSAMPLER

    size: str = UPSAMPLER
    steps: int = 9000
    plain_steps: int = 3000
    batch: int = 6
    judged: int = 2
    crop: int = 144
    margin: int = 16
    pairs: int = 1400
    least: float = 1.25
    most: float = 2.4
    optimizer: str = "soap"
    learning_rate: float = 2e-3
    stability_weight: float = 0.0
    loss_network: str = "vgg19"
    loss: UpsamplerLossSpec = field(default_factory=UpsamplerLossSpec)

    def loss_weights(self) -> dict[str, float]:
        """Return the weights of all that is minimised, by the names of their options."""
        return RunConfig.loss_weights(self) | weights_of(self.loss)

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        return [
            (not 1 <= self.judged <= self.batch, "judged must lie between 1 and the batch"),
            (not 1 < self.least <= self.most <= 4, "paintings are reduced by more than 1, up to 4"),
            *RunConfig.problems(self),
        ]
