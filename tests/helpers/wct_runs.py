"""Small runs of `rtstyle train-wct`, on a random VGG-19."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.torch import save_file

from helpers import console
from helpers.training import vgg19_state, write_pictures
from rtstyle_export.data import read_picture
from rtstyle_export.runs.config import WctConfig
from rtstyle_export.runs.loop import Machine
from rtstyle_export.train.wct import WctTrainer

Trainer = TypeVar("Trainer", bound=WctTrainer)


def material(folder: Path, last: str) -> Path:
    """Fill a folder with photos and random VGG-19 weights up to the layer `last`."""
    write_pictures(folder / "photos", 3, 0)
    save_file(vgg19_state(last), folder / "vgg19.safetensors")
    return folder


def pictures_of(place: Path) -> list[NDArray[np.uint8]]:
    return [read_picture(path, 48) for path in sorted((place / "photos").iterdir())]


def make(
    kind: type[Trainer], place: Path, run: str, init_from: Path | None = None, **options: object
) -> Trainer:
    given = {"steps": 4, "batch": 1, "crop": 64, "scaled_on": 2, "warmup": 1}
    return kind(
        WctConfig(**{**given, **options}),  # type: ignore[arg-type]
        place / "photos",
        place / run,
        # The same on every machine, also where `auto` would be bf16.
        Machine("cpu", "fp32"),
        init_from=init_from,
        vgg_weights=place / "vgg19.safetensors",
    )


def command(*words: object, name: str = "train-wct") -> int:
    return console.command(name, *words)


def check_refused(
    place: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Assert that `rtstyle train-wct` ends with one line that has `message`."""
    weights = ["--vgg-weights", place / "vgg19.safetensors", "--out", place / "bad"]
    assert command(place / "photos", *weights, *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
