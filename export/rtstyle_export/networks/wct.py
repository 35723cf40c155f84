"""Encoders and decoders of universal style transfer, Li et al. 2017.

The encoder of level k is the normalised VGG-19 up to relu k_1 with max pooling
(`rtstyle_export.networks.adain.Encoder`), its decoder the same layers mirrored. What happens to
the features between them is in `rtstyle.wct`.
"""

from __future__ import annotations

from rtstyle.errors import TrainingError
from rtstyle_export.networks.adain import PAPER_PLAN, PaperDecoder, Plan

PLAN_5: Plan = ((512, 512), "up", (512, 512), (512, 512), (512, 512), *PAPER_PLAN)
"""The encoder up to relu5_1, mirrored."""

_STARTS = {1: 16, 2: 13, 3: 10, 4: 5, 5: 0}

LEVELS = tuple(_STARTS)


def layer(level: int) -> str:
    """Return the layer whose features `level` transforms. Raises `TrainingError` for others."""
    if level not in LEVELS:
        raise TrainingError(f"There is no level {level}.", todo="Choose 1, 2, 3, 4 or 5.")
    return f"relu{level}_1"


def decoder_plan(level: int) -> Plan:
    """Return the layers from relu `level`_1 back to RGB; level k ends with those of k - 1."""
    layer(level)
    return PLAN_5[_STARTS[level] :]


class WctDecoder(PaperDecoder):
    """Maps relu `level`_1, (N, C, H, W), to RGB (N, 3, 2^(level-1) H, 2^(level-1) W)."""

    def __init__(self, level: int) -> None:
        super().__init__(decoder_plan(level))
        self.level = level
