"""Transforms of pictures as styles: names of sizes, what networks are given, and the option."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.any_models import write_linear
from helpers.console import rtstyle
from PIL import Image

from rtstyle import Stylizer
from rtstyle.errors import RtstyleError, StyleError, UsageError
from rtstyle.styles.manifest import any_size, find_model
from rtstyle.styles.model import resolve, resolve_sweep, resolve_walk
from rtstyle.styles.paintings import encode, is_rough
from rtstyle.styles.sizes import plain_size, with_transform


@pytest.fixture
def painting(tmp_path: Path, pretrained_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture, where the small network has a linear transform."""
    folder = tmp_path / "pretrained"
    shutil.copytree(pretrained_folder, folder)
    write_linear(folder)
    monkeypatch.setenv("RTSTYLE_STYLES", str(folder))
    pixels = np.random.default_rng(0).integers(40, 200, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "painting.png")
    return tmp_path / "painting.png"


@pytest.mark.parametrize(
    ("size", "network", "plain"),
    [
        ("fast", "fast", "fast"), ("balanced", "fast", "balanced"), ("paper", "paper", "paper"),
        ("fast-linear", "fast-linear", "fast"), ("balanced-linear", "fast-linear", "balanced"),
        ("paper-linear", "paper-linear", "paper"),
    ],
)  # fmt: skip
def test_sizes_with_a_transform_name_networks(size: str, network: str, plain: str) -> None:
    assert (any_size(size), plain_size(size)) == (network, plain)
    transform = "linear" if size.endswith("linear") else "adain"
    assert with_transform(plain, transform) == size


def test_a_network_trained_for_one_style_has_no_transform(painting: Path) -> None:
    assert find_model("mosaic", "fast-linear") == find_model("mosaic", "fast")


def test_the_small_network_takes_the_matrix_before_what_adain_takes(painting: Path) -> None:
    plain = encode(str(painting), "fast")
    both = encode(str(painting), "balanced-linear")
    np.testing.assert_allclose(both, np.concatenate([plain, plain]), rtol=1e-5)
    assert is_rough(str(painting), "fast-linear") == is_rough(str(painting), "fast")
    photo = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    with Stylizer(str(painting), "fast-linear") as linear, Stylizer(str(painting), "fast") as adain:
        np.testing.assert_array_equal(linear(photo), adain(photo))
    first, last = resolve_sweep(f"{painting}..{painting}", "fast-linear")
    assert first.files == last.files
    assert first.files[0].name == "any-fast-linear-content.onnx"


def test_what_a_linear_transform_cannot_do_is_said(painting: Path) -> None:
    name = str(painting)
    with pytest.raises(UsageError, match="no numbers of mosaic"):
        resolve("mosaic:1", "fast-linear")
    with pytest.raises(UsageError, match="Neighbours of a style"):
        resolve(f"{name}~0.5~7", "fast-linear")
    with pytest.raises(UsageError, match="A walk goes"):
        resolve_walk(name, "fast-linear", 0)
    with pytest.raises(StyleError, match="paints the whole picture"):
        resolve((name, name), "fast-linear")
    with pytest.raises(StyleError, match="no network of size 'paper-linear'"):
        resolve(name, "paper-linear")


def test_the_option_chooses_and_what_is_none_is_refused(painting: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    words = ["image", str(painting), str(out), "--style", str(painting), "--size", "fast"]
    done = rtstyle(*words, "--transform", "linear")
    assert done.code == 0, done.output
    assert out.is_file()
    for name, why in (("wct", "--method wct"), ("cubic", "Use adain or linear")):
        refused = rtstyle(*words, "--overwrite", "--transform", name)
        assert refused.code == 2
        assert isinstance(refused.error, RtstyleError)
        assert why in str(refused.error)
