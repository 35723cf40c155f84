"""What a run of `rtstyle train --size texture` is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from rtstyle_export.maths.losses import TextureLossSpec
from rtstyle_export.networks.johnson import Norm
from rtstyle_export.networks.texture import PHOTO, PURE, TEXTURE, TextureSpec
from rtstyle_export.runs.config import TrainConfig

NORMS = ("instance", "batch")
MOST_WIDTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureConfig(TrainConfig):
    """A run of texture networks (Ulyanov et al. 2016 and 2017).

    Each of `batch` photos is painted with `samples` different noises, which the diversity loss
    compares. Without `photo` the network makes a texture of noise alone, and `batch` times
    `samples` textures a step. `width` is that of one scale, 8 in the paper, and `norm` one of
    `NORMS`.
    """

    kind: ClassVar[str] = "texture"
    sizes: ClassVar[tuple[str, ...]] = (TEXTURE,)

    size: str = TEXTURE
    batch: int = 1
    samples: int = 2
    crop: int = 192
    margin: int = 32
    learning_rate: float = 3e-3
    weight_bits: int = 8
    stability_weight: float = 0.0
    photo: bool = True
    width: int = PHOTO.width
    norm: str = "instance"
    loss: TextureLossSpec = field(default_factory=TextureLossSpec)

    @property
    def spec(self) -> TextureSpec:
        """The network that is trained."""
        base = PHOTO if self.photo else PURE
        norm: Norm = "batch" if self.norm == "batch" else "instance"
        return TextureSpec(self.width, base.scales, base.noise, base.photo, norm)

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        several = len(self.styles) > 1
        return [
            (self.stability_weight > 0, "texture networks have no stability-weight"),
            (self.norm not in NORMS, f"the norm is {' or '.join(NORMS)}"),
            (self.norm == "batch" and several, "batch norm serves one painting only"),
            (not 1 <= self.width <= MOST_WIDTH, f"width must lie between 1 and {MOST_WIDTH}"),
            (
                not 1 <= self.samples <= 16,
                "samples, the noises for each photo, must lie between 1 and 16",
            ),
            (
                self.samples < 2 and self.loss.diversity_weight > 0,
                "diversity-weight needs samples of at least 2, which it compares",
            ),
            (
                not self.photo and bool(self.loss.content_layers),
                "pure texture has no content-layers",
            ),
            *TrainConfig.problems(self),
        ]
