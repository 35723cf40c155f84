"""Small runs of `rtstyle train-adain`, on a random VGG-19."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from rtstyle_export.train.adain import AdainTrainer
from rtstyle_export.train.config import AdainConfig
from rtstyle_export.vgg import layer_names


def random_vgg19(path: Path) -> None:
    """Write random weights of VGG-19 up to conv4_1."""
    generator, state, channels = torch.Generator().manual_seed(0), {}, 3
    names = layer_names("vgg19")
    for index, name in enumerate(names[: names.index("conv4_1") + 1]):
        if name.startswith("conv"):
            width = (64, 128, 256, 512)[int(name[4]) - 1]
            scale = (2 / (9 * channels)) ** 0.5
            weight = torch.randn(width, channels, 3, 3, generator=generator) * scale
            state[f"features.{index}.weight"] = weight
            state[f"features.{index}.bias"] = torch.zeros(width)
            channels = width
    save_file(state, path)


def make(place: Path, run: str, **options: object) -> AdainTrainer:
    given = {"size": "fast", "steps": 4, "batch": 1, "crop": 64, "margin": 8, "scaled_on": 2}
    teacher = options.pop("teacher", None)
    init_from = options.pop("init_from", None)
    config = AdainConfig(**{**given, **options})  # type: ignore[arg-type]
    return AdainTrainer(
        config,
        place / "photos",
        place / "paintings",
        place / run,
        vgg_weights=place / "vgg19.safetensors",
        teacher=teacher,  # type: ignore[arg-type]
        init_from=init_from,  # type: ignore[arg-type]
    )
