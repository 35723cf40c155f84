"""What runs of networks for any style are made of: what `rtstyle train-adain` trains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from rtstyle_export.maths.losses import AdainLossSpec, CanvasLossSpec, LinearLossSpec
from rtstyle_export.networks.linear import LAYERS
from rtstyle_export.runs.config import RunConfig, canvas_problems, weights_of

ADAIN_SIZES = ("paper", "fast")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdainConfig(RunConfig):
    """A run of networks for any style (Huang and Belongie 2017).

    `scaled_on` photos decide the normalisation of VGG-19 (Gatys et al. 2016). A share `unpainted`
    of the pictures is trained with a strength below 1, a share `blended` with a blend of their
    painting and that of the batch's next picture: with their own alone in batches of one.
    With `skips_only` the decoder of `paper` stays as it is, and only what joins it is trained.
    """

    kind: ClassVar[str] = "adain"

    size: str = "paper"
    learning_rate: float = 5e-4
    scaled_on: int = 64
    unpainted: float = 0.25
    blended: float = 0.25
    skips_only: bool = False
    loss: AdainLossSpec = field(default_factory=AdainLossSpec)

    def loss_weights(self) -> dict[str, float]:
        """Return the weights of all that is minimised, by the names of their options."""
        return RunConfig.loss_weights(self) | weights_of(self.loss)

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        return [
            (self.size not in ADAIN_SIZES, f"the size is one of {', '.join(ADAIN_SIZES)}"),
            (
                self.skips_only and self.size != "paper",
                "skips-only is for the size paper, as others have no skips",
            ),
            (
                self.loss.order_weight > 0 and self.batch < 2,
                "order-weight needs a batch of at least 2, as blends are made within a batch",
            ),
            *RunConfig.problems(self),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyCanvasConfig(RunConfig):
    """A run of the network for any style that sees a canvas (`networks.adain_fast`).

    As of `CanvasConfig`, but that each sequence is painted like a painting of its own, whose
    numbers are made at the size at which paintings are encoded, and whose strokes are those of a
    picture of `style_size`. A share `unpainted` has a strength below 1. What makes the numbers is
    not trained: vectors that were kept stay good. With `canvas_only` nothing is trained but what
    sees the canvas: a still picture stays what it was.
    """

    kind: ClassVar[str] = "any-canvas"

    size: str = "fast"
    optimizer: str = "soap"
    batch: int = 1
    crop: int = 320
    style_size: int = 480
    learning_rate: float = 1.5e-3
    stability_weight: float = 0.0
    minutes: float = 0.0
    stills: float = 0.1
    unpainted: float = 0.1
    canvas_only: bool = False
    loss_network: str = "vgg16"
    loss: CanvasLossSpec = field(default_factory=CanvasLossSpec)

    def loss_weights(self) -> dict[str, float]:
        """Return the weights of all that is minimised, by the names of their options."""
        return RunConfig.loss_weights(self) | weights_of(self.loss)

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        return [
            (self.size != "fast", "only the size fast sees a canvas"),
            *canvas_problems(self, self.minutes),
            *RunConfig.problems(self),
        ]

    def differences(self, other: RunConfig) -> list[str]:
        """Return the options in which another run differs, but for its length."""
        return [name for name in RunConfig.differences(self, other) if name != "minutes"]


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
