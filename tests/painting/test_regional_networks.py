"""Trained networks, one for each region of a mask: the picture, the live bank, large photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import pictures
from helpers.models import invert_model, network_model

from rtstyle.engines import open_engine, open_engines
from rtstyle.engines.regional import mix
from rtstyle.errors import EngineError, StyleError, UsageError
from rtstyle.frame import Image
from rtstyle.jobs import image as job
from rtstyle.live.bank import StyleBank
from rtstyle.live.look import Look
from rtstyle.live.painter import Studio
from rtstyle.media.picture import Picture
from rtstyle.painting import tiling
from rtstyle.painting.masks import StillMask
from rtstyle.painting.stylizer import Stylizer
from rtstyle.styles.manifest import find_model
from rtstyle.styles.spec import are_networks

CPU = "onnxruntime:cpu"


def noise(height: int = 60, width: int = 96) -> Image:
    return pictures.noise(height, width)


def stripes(count: int, height: int = 60, width: int = 96) -> Image:
    """A mask of `count` upright stripes, dark to light."""
    levels = np.linspace(0, 255, count).astype(np.uint8)
    row = np.repeat(levels, width // count)
    return np.repeat(np.broadcast_to(row, (height, width))[:, :, None], 3, axis=2)


def test_each_region_is_painted_by_its_own_network() -> None:
    image = noise()
    with Stylizer(["identity", "invert"], "fast", mask=stripes(2), device=CPU) as stylize:
        painted = stylize(image)
        weights = stylize.weights(image)
        assert stylize.describe() == "identity | invert (fast) on onnxruntime cpu, fp32"
    np.testing.assert_array_equal(painted[:, :40], image[:, :40])
    np.testing.assert_array_equal(painted[:, 56:], 255 - image[:, 56:])
    assert weights is not None
    soft = weights[0][..., None] * image + weights[1][..., None] * (255.0 - image)
    np.testing.assert_allclose(painted, soft, atol=0.51)


def test_three_regions_and_a_frame_of_a_mask_video() -> None:
    image, mask = noise(), stripes(3)
    names = ["invert", "mosaic", "identity"]
    alone = []
    for name in names:
        with Stylizer(name, "fast", device=CPU, precision="fp32") as stylize:
            alone.append(stylize(image).astype(float))
    with Stylizer(names, "fast", regional=True, device=CPU, precision="fp32") as stylize:
        painted = stylize(image, mask=mask)
        weights = stylize.weights(image, mask)
    assert weights is not None
    mixed = sum(weight[..., None] * one for weight, one in zip(weights, alone, strict=True))
    np.testing.assert_allclose(painted, mixed, atol=1.6)


def test_strength_and_colours_are_of_the_pixels() -> None:
    image = noise()
    with Stylizer(["identity", "invert"], "fast", mask=stripes(2), device=CPU) as stylize:
        stylize.strength = 0.5
        assert abs(stylize(image)[:, 56:].astype(int) - 127).max() <= 1
        stylize.strength, stylize.keep_color = 1.0, True
        assert np.ptp(stylize(image)[:, 56:].astype(int).mean(axis=(0, 1))) < 10


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "own.onnx"
    file.write_bytes(invert_model())
    image = noise()
    with Stylizer([str(file), "identity"], "fast", mask=stripes(2), device=CPU) as stylize:
        np.testing.assert_array_equal(stylize(image)[:, :40], 255 - image[:, :40])


def test_what_is_a_painting_in_one_region_is_so_in_all(tmp_path: Path) -> None:
    assert are_networks(("mosaic", "invert"))
    assert not are_networks("mosaic")
    assert not are_networks(("mosaic:1", "invert"))
    with Stylizer(["mosaic:1", "mosaic"], "fast", mask=stripes(2), device=CPU) as stylize:
        assert stylize.network.model.statistics is not None
        assert len(stylize.network.model.files) == 1
    (tmp_path / "own.onnx").write_bytes(invert_model())
    with pytest.raises(UsageError, match="cannot be mixed"):
        Stylizer([str(tmp_path / "own.onnx"), "mosaic:1"], "fast", mask=stripes(2))


def test_refusals() -> None:
    names, mask = ["identity", "invert"], stripes(2)
    for options, says in (
        ({"style_scale": 2.0}, "one scale"),
        ({"match_color": True}, "match-color"),
    ):
        with pytest.raises(UsageError, match=says):
            Stylizer(names, "fast", mask=mask, **options)  # type: ignore[arg-type]
    with pytest.raises(StyleError, match="paper"):
        Stylizer(names, "paper", mask=mask)


def test_large_photos_are_painted_in_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.onnx").write_bytes(network_model(4, seed=7))
    photo, mask = noise(400, 600), stripes(2, 400, 600)
    monkeypatch.setattr(job, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(tiling, "WHOLE_BYTES", 0)
    monkeypatch.setattr(tiling, "TILE", 128)
    # Regions that statistics paint are refused beyond this.
    monkeypatch.setitem(tiling.MOST_REGIONAL, "fast", 100)
    names = ["mosaic", str(tmp_path / "own.onnx")]
    with Stylizer(names, "fast", mask=mask, device=CPU, precision="fp32") as stylize:
        painted, tiles = job.paint_picture(stylize, Picture(photo))
        whole = stylize(photo)
    assert tiles > 1
    assert abs(painted.rgb.astype(int) - whole).max() <= 1


def test_live_the_first_frame_of_all_networks_is_prepared() -> None:
    image, look = noise(), Look(("identity", "invert"), "fast", regional=True)
    with StyleBank(device=CPU) as bank:
        assert not bank.ready(*look.model_name, (60, 96))
        bank.prepare([look.model_name], (60, 96))
        assert bank.wait_idle(30)
        assert bank.ready(*look.model_name, (60, 96))
        assert not bank.mixes(*look.model_name)
        painted = Studio(bank, look, mask=StillMask(stripes(2), 2))(image)
        np.testing.assert_array_equal(painted[:, :40], image[:, :40])
        np.testing.assert_array_equal(painted[:, 56:], 255 - image[:, 56:])


def test_engines_of_regions() -> None:
    files = [find_model(name, "fast") for name in ("identity", "invert")]
    image, weights = noise()[None], np.full((1, 2, 60, 96), 0.5, np.float32)
    with open_engines(files, CPU, streams=2) as engine:
        assert engine.streams == 2
        assert abs(engine.run(image, {"weights": weights}).astype(int) - 127.5).max() <= 1
        for wrong in ({}, {"weights": weights[:, :1]}, {"weights": weights[..., 1:]}):
            with pytest.raises(EngineError):
                engine.run(image, wrong)
        with pytest.raises(EngineError, match="no weights"):
            engine.run(np.repeat(image, 2, axis=0), {"weights": weights})
    with pytest.raises(EngineError, match="closed"):
        engine.run(image, {"weights": weights})
    with open_engines(files[:1], CPU) as engine:
        assert not engine.extras


def test_engines_are_closed_if_a_later_one_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def spy(*arguments: object, **options: object) -> object:
        opened.append(open_engine(*arguments, **options))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setattr("rtstyle.engines.open_engine", spy)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(EngineError):
        open_engines([find_model("identity", "fast"), tmp_path / "bad.onnx"], CPU)
    with pytest.raises(EngineError, match="closed"):
        opened[0].run(noise()[None])


def test_mixing() -> None:
    black, white = np.zeros((2, 3, 3), np.uint8), np.full((2, 3, 3), 255, np.uint8)
    weights = np.zeros((3, 2, 3), np.float32)
    weights[0, :, 0] = weights[1, :, 1] = weights[2, :, 2] = 1
    assert mix([white, black, white], weights)[0, :, 0].tolist() == [255, 0, 255]
    assert mix([black, white], np.full((2, 2, 3), 0.5, np.float32))[0, 0, 0] in (127, 128)
