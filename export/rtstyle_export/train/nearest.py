"""Which built-in style a new one starts from: that whose paintings are most like it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rtstyle import Stylizer
from rtstyle.frame import Image
from rtstyle.styles.manifest import load_manifest
from rtstyle_export.data import first_readable, list_pictures, read_picture, to_tensor
from rtstyle_export.maths.functional import gram_matrix, style_distance
from rtstyle_export.runs.config import CanvasConfig
from rtstyle_export.runs.frames_config import FramesConfig
from rtstyle_export.runs.loss_network import find_vgg
from rtstyle_export.train.frames.pairs import FramePairs, at_rows

COMPARED_ROWS = 240
"""Rows at which it is tried which network to start from."""
SHOWN = 2
"""Photographs that every style paints for that."""


def nearest_to_paintings(
    config: CanvasConfig, photos: Path, vgg_weights: Path | None = None
) -> tuple[str, Path]:
    """Return the built-in style that paints most like the paintings of a run, and its file.

    Each paints the first photographs of the folder `photos`. Raises `StyleError` and
    `TrainingError`.
    """
    paths = list_pictures(photos)
    step = max(1, len(paths) // SHOWN)
    shown = [first_readable(paths[k * step :]) for k in range(min(SHOWN, len(paths)))]
    wanted = [read_picture(path, COMPARED_ROWS, part) for path, part in config.pictures()]
    return nearest_style(
        [read_picture(path, COMPARED_ROWS) for path in shown], wanted, config, vgg_weights
    )


def nearest_to_frames(
    pairs: FramePairs, config: FramesConfig, vgg_weights: Path | None = None
) -> tuple[str, Path]:
    """Return the built-in style that paints the first frame most like it was painted, and its file.

    Raises `StyleError`.
    """
    frame, painted = (at_rows(x[0], COMPARED_ROWS) for x in (pairs.frames, pairs.painted))
    return nearest_style([frame], [painted], config, vgg_weights)


def nearest_style(
    shown: Sequence[Image],
    wanted: Sequence[Image],
    config: CanvasConfig,
    vgg_weights: Path | None = None,
) -> tuple[str, Path]:
    """Return the built-in style that paints the pictures `shown` most like those `wanted`.

    Both are (H, W, 3) uint8 RGB. They are compared by the mean of their Gram matrices: by pixels
    the nearest would be the palest. Returns its name and its file. Raises `StyleError`.
    """
    vgg = find_vgg(config.loss_network, config.loss.layers, vgg_weights, plain=True)

    def grams(pictures: Sequence[Image]) -> dict[str, Tensor]:
        with torch.no_grad():
            found = [vgg(to_tensor(picture)) for picture in pictures]
        return {
            layer: torch.stack([gram_matrix(one[layer]) for one in found]).mean(0)
            for layer in config.loss.style_layers
        }

    goal = grams(wanted)
    files = {
        name: style.files[config.size]
        for name, style in load_manifest().styles.items()
        if config.size in style.files and not style.own
    }
    far = {}
    for name in files:
        with Stylizer(name, config.size, device="onnxruntime:cpu", precision="fp32") as stylizer:
            found = grams([stylizer(picture) for picture in shown])
        far[name] = sum(
            weight * float(style_distance(found[layer], goal[layer]))
            for layer, weight in config.loss.style_layers.items()
        )
    best = min(far, key=far.__getitem__)
    return best, files[best].path
