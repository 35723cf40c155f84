"""Picture in, painted picture out."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest
from helpers.pictures import noise

import rtstyle
from rtstyle.errors import EngineError, StyleError, UsageError
from rtstyle.frame import Image
from rtstyle.media.color import with_chroma_of
from rtstyle.painting.stylizer import Stylizer

CPU = "onnxruntime:cpu"


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (15, 16), (16, 16), (31, 57)])
def test_any_size(shape: tuple[int, int]) -> None:
    image = noise(*shape)
    with Stylizer("invert", "fast", device=CPU) as stylize:
        np.testing.assert_array_equal(stylize(image), 255 - image)


def test_the_public_name() -> None:
    assert rtstyle.Stylizer is Stylizer
    assert rtstyle.__version__
    with pytest.raises(AttributeError):
        rtstyle.nonesuch  # noqa: B018


def test_default_style_paints() -> None:
    image = noise(48, 64)
    with Stylizer() as stylize:
        painted = stylize(image)
        assert stylize.describe().startswith("net2 (fast) on ")
    assert painted.shape == image.shape
    assert np.abs(painted.astype(int) - image).mean() > 10


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_blends(strength: float) -> None:
    image = noise(20, 30)
    with Stylizer("invert", "fast", device=CPU, strength=strength) as stylize:
        painted = stylize(image)
    expected = image * (1 - strength) + (255.0 - image) * strength
    assert np.abs(painted - expected).max() <= 0.51


def test_result_never_shares_the_input() -> None:
    image = noise(20, 30)
    before = image.copy()
    with Stylizer("identity", "fast", device=CPU, strength=0) as stylize:
        for strength in (0.0, 0.5, 1.0):
            stylize.strength = strength
            stylize(image)[...] = 0
    np.testing.assert_array_equal(image, before)


def test_keep_color_takes_light_from_the_painting_and_colour_from_the_photo() -> None:
    # Mild colours, so that nothing saturates.
    image = 110 + noise(32, 32) // 8
    with Stylizer("invert", "fast", device=CPU, keep_color=True) as stylize:
        painted = stylize(image)
    before, after = (cv2.cvtColor(x, cv2.COLOR_RGB2YCrCb).astype(int) for x in (image, painted))
    assert np.abs(after[..., 0] - (255 - before[..., 0])).max() <= 2
    assert np.abs(after[..., 1:] - before[..., 1:]).max() <= 2


def test_keep_color_saturates_instead_of_wrapping() -> None:
    blue = np.full((16, 16, 3), (0, 0, 255), np.uint8)
    white = np.full((16, 16, 3), 255, np.uint8)
    kept = with_chroma_of(blue, white)
    assert (kept[..., 2] == 255).all()
    assert (kept[..., 0] > 150).all()


def test_height_keeps_the_aspect_and_an_even_width() -> None:
    with Stylizer("identity", "fast", device=CPU, height=50) as stylize:
        assert stylize(noise(100, 133)).shape == (50, 66, 3)
        assert stylize(noise(25, 31)).shape == (50, 62, 3)
        assert stylize(noise(200, 1)).shape == (50, 2, 3)


def test_height_scales_by_area_mean() -> None:
    image = noise(64, 64)
    with Stylizer("identity", "fast", device=CPU, height=32) as stylize:
        small = stylize(image)
    mean = image.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - mean).max() <= 0.51


@pytest.mark.parametrize(
    "options", [{"strength": 1.1}, {"strength": -0.1}, {"strength": float("nan")}, {"height": 8}]
)
def test_values_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Stylizer("identity", "fast", device=CPU, **options)  # type: ignore[arg-type]


def test_unknown_style() -> None:
    with pytest.raises(StyleError):
        Stylizer("nonesuch")


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        None,
    ],
)
def test_wrong_pictures(image: Image) -> None:
    with Stylizer("identity", "fast", device=CPU) as stylize, pytest.raises(UsageError):
        stylize(image)


def test_closed() -> None:
    stylize = Stylizer("identity", "fast", device=CPU)
    stylize.close()
    stylize.close()
    with pytest.raises(EngineError):
        stylize(noise(16, 16))


@pytest.mark.parametrize("device", ["onnxruntime:cpu", "openvino:cpu"])
def test_concurrent_calls(device: str) -> None:
    images = [noise(24, 40, seed=seed) for seed in range(8)]
    results: dict[int, Image] = {}

    def work(first: int) -> None:
        for i in range(first, len(images), 2):
            results[i] = stylize(images[i])

    with Stylizer("invert", "fast", device=device, streams=2, threads=2) as stylize:
        assert stylize.streams == 2
        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for i, image in enumerate(images):
        np.testing.assert_array_equal(results[i], 255 - image)
