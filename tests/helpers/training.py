"""What the training tests share: a small random loss network, photos and a painting, made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from rtstyle_export.maths.losses import LossSpec
from rtstyle_export.maths.vgg import layer_names
from rtstyle_export.runs.config import TrainConfig

SHALLOW = LossSpec(
    content_layers={"relu2_2": 1.0}, style_layers={"relu1_2": 0.5, "relu2_2": 0.5}, tv_weight=0.1
)


def vgg_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """He-initialised VGG-16 weights up to conv2_2: enough like real ones to learn by."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for index, (c_in, c_out) in {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128)}.items():
        scale = (2 / (9 * c_in)) ** 0.5
        weight = torch.randn(c_out, c_in, 3, 3, generator=generator) * scale
        state[f"features.{index}.weight"] = weight
        state[f"features.{index}.bias"] = torch.zeros(c_out)
    return state


def vgg19_state(last: str) -> dict[str, torch.Tensor]:
    """He-initialised VGG-19 weights up to the layer `last`."""
    generator, state, channels = torch.Generator().manual_seed(0), {}, 3
    names = layer_names("vgg19")
    for index, name in enumerate(names[: names.index(last) + 1]):
        if name.startswith("conv"):
            width = (64, 128, 256, 512, 512)[int(name[4]) - 1]
            scale = (2 / (9 * channels)) ** 0.5
            weight = torch.randn(width, channels, 3, 3, generator=generator) * scale
            state[f"features.{index}.weight"] = weight
            state[f"features.{index}.bias"] = torch.zeros(width)
            channels = width
    return state


def write_vgg(folder: Path) -> Path:
    """Write `vgg_state` as a weights file."""
    path = folder / "vgg16.safetensors"
    save_file(vgg_state(), path)
    return path


def write_pictures(
    folder: Path, count: int = 3, seed: int = 0, blobs: tuple[int, int] = (6, 5)
) -> Path:
    """Write smooth random photos, 96x80 pixels, of so many rows and columns of colours."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        small = rng.integers(0, 256, (*blobs, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((96, 80), Image.Resampling.BICUBIC)
        picture.save(folder / f"{index}.png")
    return folder


def write_painting(path: Path, seed: int = 9) -> Path:
    """Write a painting of coloured squares, 64x64 pixels."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(small).resize((64, 64), Image.Resampling.NEAREST).save(path)
    return path


def write_place(folder: Path) -> Path:
    """Write photos/, painting.png and vgg16.safetensors into a folder: all that a run takes."""
    write_pictures(folder / "photos")
    write_painting(folder / "painting.png")
    write_vgg(folder)
    return folder


def train_words(place: Path, *more: str) -> list[str]:
    """The command of three short steps without a canvas at `write_place`, into out/."""
    return [
        "train", str(place / "painting.png"), str(place / "photos"), "--size", "fast",
        "--steps", "3", "--batch", "1", "--crop", "64", "--style-size", "64",
        "--content-layers", "relu2_2", "--style-layers", "relu1_2:0.5,relu2_2:0.5",
        "--vgg-weights", str(place / "vgg16.safetensors"), "--out", str(place / "out"),
        "--device", "cpu", "--precision", "fp32", "--no-canvas", "--no-add", *more,
    ]  # fmt: skip


def small_config(*paintings: Path, **options: object) -> TrainConfig:
    """A run of `fast` that takes a few milliseconds a step."""
    defaults: dict[str, object] = {
        "size": "fast",
        "steps": 4,
        "batch": 2,
        "crop": 64,
        "margin": 8,
        "style_size": 64,
        "warmup": 2,
        "loss": SHALLOW,
    }
    names = tuple(path.stem for path in paintings)
    files = tuple(str(path) for path in paintings)
    return TrainConfig(styles=names, paintings=files, **{**defaults, **options})  # type: ignore[arg-type]
