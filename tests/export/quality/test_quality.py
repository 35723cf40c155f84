"""Figures of shipped files: which pictures, ratios with their standard errors, which objective."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.training import vgg19_state  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from rtstyle_export.maths.losses import LossSpec  # noqa: E402
from rtstyle_export.quality.shipped import evenly, objective, ratio_of, square  # noqa: E402


def test_a_ratio_of_sums_and_how_far_it_would_vary() -> None:
    rng = np.random.default_rng(0)
    below = rng.uniform(1, 2, (400, 12))
    above = 0.9 * below + rng.normal(0, 0.1, below.shape)
    found = [ratio_of(a.tolist(), b.tolist()) for a, b in zip(above, below, strict=True)]
    ratios, errors = (np.array(column, float) for column in zip(*found, strict=True))
    np.testing.assert_allclose(ratios, above.sum(1) / below.sum(1))
    # What it says of one sample of photos is how much samples really differ.
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.1)


def test_a_ratio_that_never_varies_has_no_error_and_one_photo_none_at_all() -> None:
    assert ratio_of([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]) == (0.5, pytest.approx(0, abs=1e-12))
    assert ratio_of([3.0], [2.0]) == (1.5, None)


def test_items_are_spread_from_the_first_to_the_last() -> None:
    assert evenly(range(10), 4) == [0, 3, 6, 9]
    assert evenly("abc", 5) == ["a", "b", "c"]


def test_a_square_is_cut_from_the_middle(tmp_path: Path) -> None:
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    found = square(tmp_path / "a.png", 20)
    assert found.shape == (20, 20, 3)
    assert (found == 255).all()


def test_the_objective_is_of_the_loss_network_of_the_training(tmp_path: Path) -> None:
    save_file(vgg19_state("relu3_4"), tmp_path / "vgg19.safetensors")
    spec = LossSpec({"relu3_4": 1.0}, {"relu1_1": 1.0})
    painting = np.zeros((32, 32, 3), np.uint8)
    loss = objective(painting, spec, tmp_path / "vgg19.safetensors", "vgg19")
    assert loss.vgg.layers == ("relu3_4", "relu1_1")
