"""What long runs hold in memory: nothing of what they have done with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtstyle.engines import open_engine
from rtstyle.live.bank import StyleBank
from rtstyle.live.bank.fitting import KNOWN
from rtstyle.machine import heap
from rtstyle.styles import fit, manifest, paintings

FULL = bool(os.environ.get("RTSTYLE_TEST_FULL"))
"""Whether tests take the counts that are asked for, and minutes, rather than smaller ones."""


def owns_its_memory(array: np.ndarray) -> bool:
    """Whether an array is all that it keeps: a view keeps what it looks into."""
    while isinstance(array.base, np.ndarray):
        if array.base.nbytes > array.nbytes:
            return False
        array = array.base
    return array.base is None


def test_a_vector_keeps_nothing_of_the_session_that_made_it(pretrained_folder: Path) -> None:
    picture = np.full((64, 64, 3), 90, np.uint8)
    assert owns_its_memory(paintings.encode_image(picture, "fast"))


def test_a_painted_picture_keeps_nothing_of_its_engine(pretrained_folder: Path) -> None:
    picture = np.full((1, 64, 64, 3), 90, np.uint8)
    for device in ("onnxruntime:cpu", "openvino:cpu"):
        with open_engine(manifest.find_model("mosaic"), device) as engine:
            assert owns_its_memory(engine.run(picture))


def test_a_fitted_vector_keeps_nothing_of_the_sessions(
    tmp_path: Path, pretrained_folder: Path
) -> None:
    from helpers.any_models import refine_model, vgg_model

    files = [tmp_path / name for name in ("vgg.onnx", "refine.onnx")]
    for file, model in zip(files, (vgg_model(), refine_model()), strict=True):
        file.write_bytes(model)
    painting = np.full((64, 64, 3), 90, np.uint8)
    found = fit.fit(np.zeros(6, np.float32), painting, *files)
    assert found is not None
    assert owns_its_memory(found)


def test_the_bank_remembers_a_bounded_number_of_styles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretrained_folder: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    vector = np.zeros(6, np.float32)
    monkeypatch.setattr("rtstyle.styles.model.encode", lambda *_, **__: vector)
    monkeypatch.setattr(paintings, "is_rough", lambda *_: False)
    with StyleBank(capacity=1) as bank:
        for number in range(KNOWN + 40):
            Path(f"{number}.jpg").touch()
            bank.resolve(f"{number}.jpg", "fast")
            bank.prepare([(f"{number}.onnx", "fast")], (16, 16))
        assert bank.wait_idle(60)
        assert len(bank._known) == len(bank._encoded) == len(bank._failed) == KNOWN
        assert (f"{KNOWN + 39}.jpg", "fast") in bank._known


def test_what_an_evicted_model_held_goes_back_to_the_system(
    monkeypatch: pytest.MonkeyPatch, pretrained_folder: Path
) -> None:
    given: list[int] = []
    picture = np.zeros((32, 32, 3), np.uint8)
    with StyleBank(capacity=1) as bank:
        monkeypatch.setattr(
            "rtstyle.live.bank.style_bank.give_back", lambda: given.append(len(bank._shelf))
        )
        bank.paint(picture, "mosaic", "fast")
        assert given == []
        bank.paint(picture, "invert", "fast")
        assert given == [1]
    heap.give_back()  # whatever the C library is


@pytest.mark.slow
def test_uploads_and_switches_of_style_give_their_memory_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretrained_folder: Path
) -> None:
    """Within 10 % of what is held after the first 24 pictures."""
    from helpers.any_models import write_refine

    folder = tmp_path / "styles"
    shutil.copytree(pretrained_folder, folder)
    write_refine(folder)
    monkeypatch.setenv("RTSTYLE_STYLES", str(folder))
    counts = (500, 1000) if FULL else (32, 60)
    soak = [sys.executable, str(Path(__file__).parents[1] / "soak.py"), *map(str, counts)]
    done = subprocess.run(soak, capture_output=True, text=True, timeout=3000 if FULL else 280)
    assert done.returncode == 0, done.stderr
    held = json.loads(done.stdout.splitlines()[-1])
    assert held["uploads"] < 1.1 * held["first"], held
    assert held["switches"] < 1.1 * held["first"], held
