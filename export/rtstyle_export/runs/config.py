"""What a training run is made of; each default lives here and nowhere else."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

from rtstyle.errors import TrainingError
from rtstyle_export.data import Part
from rtstyle_export.maths.losses import (
    AdainLossSpec,
    CanvasLossSpec,
    LossSpec,
    UpsamplerLossSpec,
    VariationalLossSpec,
)
from rtstyle_export.maths.stability import Perturbation
from rtstyle_export.networks.canvas import BODIES, CANVAS_SIZES
from rtstyle_export.networks.johnson import SIZES
from rtstyle_export.networks.wct import LEVELS

C = TypeVar("C", bound="RunConfig")
AnyLossSpec: TypeAlias = LossSpec | AdainLossSpec | VariationalLossSpec | UpsamplerLossSpec

OPTIMIZERS = ("soap", "adam")
WEIGHT_BITS = (8, 16)
RANGES: dict[str, tuple[float, float]] = {
    "steps": (1, math.inf),
    "batch": (1, math.inf),
    "seed": (0, 2**32 - 1),
    "style_size": (32, math.inf),
    "scaled_on": (1, math.inf),
    "feature_steps": (0, math.inf),
    "plain_steps": (0, math.inf),
    "vector_steps": (0, math.inf),
    "kl_steps": (0, math.inf),
    "fitted": (0, math.inf),
    "vectors": (2, math.inf),
    "pairs": (1, 20_000),
    "latent": (1, 1024),
    "hidden": (1, 8192),
    "stills": (0, 1),
    "unpainted": (0, 1),
    "blended": (0, 1),
    "plain": (0, 1),
}
"""Least and largest value of a field, in whatever kind of run it is."""


def within_range(name: str, value: float) -> tuple[bool, str]:
    """Return whether a field's value is out of its range, and the sentence that says so."""
    least, most = RANGES[name]
    if most < math.inf:
        rule = f"must lie between {least} and {most}"
    else:
        rule = f"must be at least {least}" if least else "must not be negative"
    return not least <= value <= most, f"{name.replace('_', '-')} {rule}"


def without_lists(value: Any) -> Any:
    """Return a value of JSON with tuples for its lists, as fields have them."""
    return tuple(map(without_lists, value)) if isinstance(value, list | tuple) else value


def weights_of(loss: AnyLossSpec) -> dict[str, float]:
    """Return the weights of a specification of losses, by the names of their options."""
    names = [item.name for item in dataclasses.fields(loss) if item.name.endswith("_weight")]
    return {name.replace("_", "-"): float(getattr(loss, name)) for name in names}


def is_file_name(name: str) -> bool:
    """Return True if a style's files can be named after it."""
    return bool(name.strip()) and name[0] not in ".-" and not set(name) & set("/\\\0\n")


def _comparable(data: dict[str, Any]) -> dict[str, Any]:
    names = [Path(painting).name for painting in data.get("paintings", ())]
    return {**data, "paintings": names, "steps": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What decides the result of any run, and is stored in its checkpoint.

    Sizes are in pixels: `crop` is the side of the squares that the losses see. The network paints
    `margin` pixels more than that in each direction, and the square lies anywhere within: else it
    learns to draw the frame that the loss network sees at its border. Large crops count for more
    than large batches: instance norm sees the statistics of whole pictures later on, and networks
    trained on small crops paint whole pictures flat and grey. `optimizer` is one of `OPTIMIZERS`,
    see `soap`.
    """

    kind: ClassVar[str] = ""

    size: str = ""
    steps: int = 4000
    batch: int = 2
    crop: int = 256
    margin: int = 24
    optimizer: str = "adam"
    learning_rate: float = 2e-3
    warmup: int = 40
    seed: int = 0
    stability_weight: float = 15.0
    perturbation: Perturbation = field(default_factory=Perturbation)

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        return [
            *(
                within_range(item.name, getattr(self, item.name))
                for item in dataclasses.fields(self)
                if item.name in RANGES
            ),
            (self.crop < 64 or self.crop % 4 > 0, "crop must be a multiple of 4, at least 64"),
            (self.margin < 0 or self.margin % 4 > 0, "margin must be a multiple of 4, at least 0"),
            (self.optimizer not in OPTIMIZERS, f"the optimizer is one of {', '.join(OPTIMIZERS)}"),
            (not 0 < self.learning_rate < 1, "learning-rate must lie between 0 and 1"),
            *(
                (not (math.isfinite(value) and value >= 0), f"{name} must be a number from 0 up")
                for name, value in self.loss_weights().items()
            ),
        ]

    def loss_weights(self) -> dict[str, float]:
        """Return the weights of all that is minimised, by the names of their options."""
        return {"stability-weight": self.stability_weight}

    def check(self) -> None:
        """Raise `TrainingError` for values that cannot be trained with."""
        for wrong, why in self.problems():
            if wrong:
                raise TrainingError("These training options do not work.", why + ".")

    def differences(self, other: RunConfig) -> list[str]:
        """Return the options in which another run differs, but for its length.

        Of paintings the names count: where they lie may be written in many ways.
        """
        if self.kind != other.kind:
            return ["the kind of training"]
        mine, theirs = (_comparable(config.to_json()) for config in (self, other))
        return sorted(name.replace("_", "-") for name in mine if mine[name] != theirs[name])

    def to_json(self) -> dict[str, Any]:
        """Plain values, for checkpoints and metadata."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls: type[C], data: dict[str, Any]) -> C:
        """Undo `to_json`, also after JSON; before SOAP every run used Adam."""
        data = {"optimizer": "adam", **data}
        for item in dataclasses.fields(cls):
            kind = item.default_factory
            if item.name in data and dataclasses.is_dataclass(kind):
                # What later versions have no use for is left out.
                known = {field.name for field in dataclasses.fields(kind)}
                inner = {k: without_lists(v) for k, v in data[item.name].items() if k in known}
                data[item.name] = kind(**inner)
        return cls(**{name: without_lists(value) for name, value in data.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig(RunConfig):
    """A run of feed-forward networks (Johnson et al. 2016).

    `styles` are the names, `paintings` the files, in the same order; with several, one network is
    trained for all of them with conditional instance norm and split up on export. `style_size` is
    the short side of the painting, `parts` what to take of each, or nothing. With `weight_bits` 8
    the network is trained with large kernels rounded to 8 bits, as it is then stored; with 16 they
    are rounded on export.
    """

    kind: ClassVar[str] = "johnson"
    sizes: ClassVar[tuple[str, ...]] = SIZES

    styles: tuple[str, ...]
    paintings: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    size: str = "balanced"
    optimizer: str = "soap"
    style_size: int = 320
    weight_bits: int = 16
    loss_network: str = "vgg16"
    loss: LossSpec = field(default_factory=LossSpec)

    def loss_weights(self) -> dict[str, float]:
        """Return the weights of all that is minimised, by the names of their options."""
        layers = {**self.loss.content_layers, **self.loss.style_layers}
        named = {f"the weight of {layer}": value for layer, value in layers.items()}
        return RunConfig.loss_weights(self) | weights_of(self.loss) | named

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        return [
            (len(self.styles) != len(self.paintings), "every painting needs one name"),
            (
                len(self.parts) not in (0, len(self.paintings))
                or any(len(part) != 4 for part in self.parts),
                "every painting needs one part of four numbers, or none has any",
            ),
            (len(set(self.styles)) != len(self.styles), "the style names are not distinct"),
            (
                not all(map(is_file_name, self.styles)),
                "a style is named like a file: neither with / nor \\, nor first with . or -",
            ),
            (self.size not in self.sizes, f"the size is one of {', '.join(self.sizes)}"),
            (self.weight_bits not in WEIGHT_BITS, "weight-bits is 8 or 16"),
            *RunConfig.problems(self),
        ]

    def pictures(self) -> list[tuple[Path, Part]]:
        """The painting files, and what to take of each."""
        parts = self.parts or ((),) * len(self.paintings)
        return [(Path(name), part) for name, part in zip(self.paintings, parts, strict=True)]


def canvas_problems(config: RunConfig, minutes: float) -> list[tuple[bool, str]]:
    """Return what may be wrong with a run of `minutes` on synthetic motion, as `problems` does."""
    return [
        (config.crop % 8 > 0 or config.margin % 8 > 0, "crop and margin must be multiples of 8"),
        (not 0 <= minutes < 1e6, "minutes must be a number from 0 up"),
        (config.optimizer != "soap", "networks that see a canvas are trained with soap"),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanvasConfig(TrainConfig):
    """A run of networks that see a canvas (`networks.canvas`), on synthetic motion.

    Frames are seen as of `style_size` rows, so that strokes have the size that they have on the
    painting. With `minutes` above 0 a run ends after that time, and `steps` counts for nothing.
    Nothing moves in the first share `stills` of it: a network that cannot paint yet learns that
    first, as there is little to learn where most of a picture is taken from the canvas.
    """

    kind: ClassVar[str] = "canvas"

    size: str = "balanced"
    batch: int = 1
    crop: int = 320
    body: str = "quarter"
    style_size: int = 480
    learning_rate: float = 3e-3
    weight_bits: int = 8
    stability_weight: float = 0.0
    minutes: float = 0.0
    stills: float = 0.55
    loss: CanvasLossSpec = field(default_factory=CanvasLossSpec)

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        return [
            (
                self.size not in CANVAS_SIZES,
                f"networks that see a canvas have the size {' or '.join(CANVAS_SIZES)}",
            ),
            (self.body not in BODIES, f"the body is {' or '.join(BODIES)}"),
            (
                self.batch % max(1, len(self.styles)) > 0,
                "batch must be a multiple of the number of paintings",
            ),
            *canvas_problems(self, self.minutes),
            *TrainConfig.problems(self),
        ]

    def differences(self, other: RunConfig) -> list[str]:
        """Return the options in which another run differs, but for its length."""
        return [name for name in RunConfig.differences(self, other) if name != "minutes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WctConfig(RunConfig):
    """A run of the decoder of one level, 1 to 5 (Li et al. 2017).

    `feature_weight` is the paper's lambda. `scaled_on` photos decide the normalisation of VGG-19.
    With a `width` above 0, level 5 is a `CompactLevel5`, whose layers see only VGG's features for
    the first `feature_steps`, and then pictures, too; its own kernels are stored in 8 bits. Others
    are with `weight_bits` 8, and trained rounded.
    There is no `margin`: encoder and decoder mirror the picture at its edges as the losses do.
    """

    kind: ClassVar[str] = "wct"

    level: int = 4
    steps: int = 1500
    crop: int = 160
    margin: int = 0
    learning_rate: float = 5e-4
    stability_weight: float = 0.0
    feature_weight: float = 1.0
    scaled_on: int = 64
    width: int = 0
    feature_steps: int = 0
    weight_bits: int = 16

    def loss_weights(self) -> dict[str, float]:
        """Return the weights of all that is minimised, by the names of their options."""
        return RunConfig.loss_weights(self) | {"feature-weight": self.feature_weight}

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        compact = self.width > 0
        return [
            (self.width < 0, "width must not be negative"),
            (compact and self.level != LEVELS[-1], "only level 5 has a width"),
            (self.weight_bits not in WEIGHT_BITS, "weight-bits is 8 or 16"),
            (self.feature_steps > 0 and not compact, "feature-steps need a width"),
            (self.level not in LEVELS, f"the level is one of {', '.join(map(str, LEVELS))}"),
            (self.crop % 16 > 0, "crop must be a multiple of 16"),
            *RunConfig.problems(self),
        ]
