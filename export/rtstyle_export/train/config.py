"""What a training run is made of; each default lives here and nowhere else."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtstyle.errors import TrainingError
from rtstyle_export.losses import LossSpec
from rtstyle_export.networks.johnson import SIZES
from rtstyle_export.stability import Perturbation


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides the result of a run, and is stored in its checkpoint.

    `styles` are the names, `paintings` the files, in the same order; with several, one network is
    trained for all of them with conditional instance norm and split up on export. Sizes are in
    pixels: `crop` the side of the squares that the losses see, `style_size` the short side of the
    painting. The network paints `margin` pixels more than that in each direction, and the square
    lies anywhere within: else it learns to draw the frame that the loss network sees at its border.
    """

    styles: tuple[str, ...]
    paintings: tuple[str, ...]
    size: str = "balanced"
    steps: int = 4000
    batch: int = 4
    crop: int = 192
    margin: int = 24
    style_size: int = 320
    learning_rate: float = 2e-3
    warmup: int = 40
    seed: int = 0
    stability_weight: float = 4.0
    loss_network: str = "vgg16"
    loss: LossSpec = field(default_factory=LossSpec)
    perturbation: Perturbation = field(default_factory=Perturbation)

    def check(self) -> None:
        """Raise `TrainingError` for values that cannot be trained with."""
        problems = [
            (len(self.styles) != len(self.paintings), "every painting needs one name"),
            (len(set(self.styles)) != len(self.styles), "the style names are not distinct"),
            (self.size not in SIZES, f"the size is one of {', '.join(SIZES)}"),
            (self.steps < 1, "steps must be at least 1"),
            (self.batch < 1, "batch must be at least 1"),
            (self.crop < 64 or self.crop % 4, "crop must be a multiple of 4, at least 64"),
            (self.margin < 0 or self.margin % 4, "margin must be a multiple of 4, at least 0"),
            (self.style_size < 32, "style-size must be at least 32"),
            (not 0 < self.learning_rate < 1, "learning-rate must lie between 0 and 1"),
            (self.stability_weight < 0, "stability-weight must not be negative"),
        ]
        for wrong, why in problems:
            if wrong:
                raise TrainingError("These training options do not work.", why + ".")

    def to_json(self) -> dict[str, Any]:
        """Plain values, for checkpoints and metadata."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TrainConfig:
        """Undo `to_json`."""
        data = dict(data)
        data["styles"], data["paintings"] = tuple(data["styles"]), tuple(data["paintings"])
        data["loss"] = LossSpec(**data["loss"])
        data["perturbation"] = Perturbation(**data["perturbation"])
        return cls(**data)

    def painting_paths(self) -> list[Path]:
        """The painting files."""
        return [Path(name) for name in self.paintings]
