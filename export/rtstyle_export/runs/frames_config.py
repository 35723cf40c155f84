"""What a run of `rtstyle train --frames` is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from rtstyle_export.maths.losses import FramesLossSpec
from rtstyle_export.runs.config import CanvasConfig, RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesConfig(CanvasConfig):
    """A run on painted frames of a clip (Texler et al. 2020), of a network that sees a canvas.

    `paintings` is the one folder of the painted frames, `clip` the video that they are of, seen at
    `style_size` rows at most. In the first share `plain` of a run only pixels are compared, then
    also what the loss network sees in squares of `patch` pixels. A share `unpaired` of the steps
    after that shows frames that nobody painted.
    """

    kind: ClassVar[str] = "frames"

    size: str = "fast"
    clip: str = ""
    steps: int = 1500
    batch: int = 1
    margin: int = 0
    crop: int = 320
    patch: int = 160
    plain: float = 0.3
    unpaired: float = 0.3
    loss_network: str = "vgg19"
    loss: FramesLossSpec = field(default_factory=FramesLossSpec)

    def problems(self) -> list[tuple[bool, str]]:
        """Return what may be wrong: whether it is, and the sentence that says so."""
        return [
            (len(self.paintings) != 1, "painted frames lie in one folder"),
            (not self.clip, "painted frames need the clip that they are of"),
            (self.body != "quarter", "painted frames train the body quarter"),
            (not 64 <= self.patch <= self.crop, "patch must lie between 64 and crop"),
            (not 0 <= self.unpaired < 1, "unpaired must lie between 0 and 1, without 1"),
            *CanvasConfig.problems(self),
        ]

    def differences(self, other: RunConfig) -> list[str]:
        """Return the options in which another run differs, but for its length."""
        found = CanvasConfig.differences(self, other)
        same_name = isinstance(other, FramesConfig) and _name(self.clip) == _name(other.clip)
        return [name for name in found if not (name == "clip" and same_name)]


def _name(clip: str) -> str:
    return Path(clip).name
