"""Small runs of `rtstyle train-adain`, on a random VGG-19."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file

from helpers.training import vgg19_state, write_pictures
from rtstyle.styles import paintings
from rtstyle_export.onnx_files import adain as adain_onnx
from rtstyle_export.quality import adain_parity
from rtstyle_export.runs.adain_config import AdainConfig
from rtstyle_export.runs.loop import Machine
from rtstyle_export.train.adain import AdainTrainer


@pytest.fixture
def quick_fitting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures where paintings are encoded and fitted, and two steps: 30 times as quick.

    The same files come out, for frames of another size, and all of their parts are used.
    """
    monkeypatch.setattr(paintings, "STYLE_SIDE", 64)
    for module in (adain_onnx, adain_parity):
        monkeypatch.setattr(module, "SIDE", 64)
    monkeypatch.setattr(adain_onnx, "STEPS", {"fast": 2, "paper": 2})


def material(folder: Path) -> Path:
    """Fill a folder with photos, paintings and random VGG-19 weights up to conv4_1."""
    write_pictures(folder / "photos", 3, 0)
    write_pictures(folder / "paintings", 2, 1)
    save_file(vgg19_state("conv4_1"), folder / "vgg19.safetensors")
    return folder


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
        # The same on every machine, also where `auto` would be bf16.
        Machine("cpu", "fp32"),
        vgg_weights=place / "vgg19.safetensors",
        teacher=teacher,  # type: ignore[arg-type]
        init_from=init_from,  # type: ignore[arg-type]
    )
