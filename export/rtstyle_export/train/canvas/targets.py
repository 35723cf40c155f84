"""What paintings ask of a network that sees a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rtstyle_export.data import Part, read_picture, to_tensor
from rtstyle_export.maths.functional import colour_waves, gram_matrix
from rtstyle_export.maths.losses import CanvasLossSpec
from rtstyle_export.maths.vgg import VGG


def style_targets(
    vgg: VGG,
    loss: CanvasLossSpec,
    paintings: Sequence[tuple[Path, Part]],
    size: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """Return the Gram matrices (S, C, C) of all paintings by layer."""
    rows: dict[str, list[Tensor]] = {layer: [] for layer in loss.style_layers}
    for path, part in paintings:
        with torch.no_grad():
            found = vgg(to_tensor(read_picture(path, size, part)).to(device))
        for layer, row in rows.items():
            row.append(gram_matrix(found[layer]))
    return {layer: torch.cat(row) for layer, row in rows.items()}


def wave_limits(paintings: Sequence[tuple[Path, Part]], size: int, device: torch.device) -> Tensor:
    """Return how strongly hues may go to and fro, (S,): twice as much as in the paintings."""
    found = [colour_waves(to_tensor(read_picture(path, size, part))) for path, part in paintings]
    return 2 * torch.cat(found).to(device)
