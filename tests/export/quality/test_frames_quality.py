"""The figures of networks that learnt from painted frames."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.training import vgg19_state  # noqa: E402

from rtstyle_export.maths.vgg import VGG  # noqa: E402
from rtstyle_export.quality.frames import (  # noqa: E402
    FEATURES,
    GRAMS,
    Apart,
    apart,
    carried,
    has_changed,
    nearest_key,
)


def texture(seed: int, height: int = 96, width: int = 160) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = torch.from_numpy(rng.random((1, 3, height // 8, width // 8))).float()
    grown = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    return (grown[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def test_pictures_are_apart_by_formula() -> None:
    layers = tuple(dict.fromkeys([*FEATURES, *GRAMS]))
    vgg = VGG("vgg19", layers, vgg19_state("conv4_1"))
    one, two = texture(0, 64, 64), texture(1, 64, 64)
    assert apart(vgg, one, one) == Apart(0.0, 0.0, 0.0, 0.0)
    found = apart(vgg, one, two)
    assert found.pixels == pytest.approx(np.abs(one.astype(float) - two).mean(), rel=1e-5)
    # Mirrored, a texture has almost the same Gram matrices, but other features.
    turned = apart(vgg, np.ascontiguousarray(one[:, ::-1]), one)
    assert turned.style < 0.2 * turned.features
    assert Apart.mean([found, Apart(0.0, 0.0, 0.0, 0.0)]).style == pytest.approx(found.style / 2)


def test_what_has_moved_is_compared_apart() -> None:
    layers = tuple(dict.fromkeys([*FEATURES, *GRAMS]))
    vgg = VGG("vgg19", layers, vgg19_state("conv4_1"))
    before = np.zeros((64, 64, 3), np.uint8)
    after = before.copy()
    after[20:44, 20:44] = 200
    where = has_changed(after, before)
    assert where[32, 32]
    assert not where[5, 5]
    assert 24 * 24 <= where.sum() < 40 * 40
    found = apart(vgg, after, before, where)
    assert found.moved == pytest.approx(200 * 24 * 24 / where.sum(), rel=1e-5)
    assert found.pixels == pytest.approx(200 * 24 * 24 / 64**2, rel=1e-5)


def test_the_nearest_key_is_of_the_same_shot() -> None:
    assert nearest_key(4, [0, 9]) == 0
    assert nearest_key(5, [0, 9]) == 9
    assert nearest_key(5, [0, 9], cuts=[6]) == 0
    assert nearest_key(8, [0, 6], cuts=[7]) == 6


def test_a_painting_is_carried_along_the_motion_both_ways() -> None:
    """The whole scene moves by two pixels a frame: so does its painting."""
    scene, paint = texture(3, 96, 220), texture(4, 96, 220)
    clip = [np.ascontiguousarray(scene[:, 2 * n : 2 * n + 160]) for n in range(9)]
    painted = {n: np.ascontiguousarray(paint[:, 2 * n : 2 * n + 160]) for n in (0, 8)}
    shown = carried(clip, painted)
    assert len(shown) == 9
    for number in (0, 8):
        np.testing.assert_array_equal(shown[number], painted[number])
    for number in (3, 5):
        wanted = paint[:, 2 * number : 2 * number + 160].astype(float)
        inner = (slice(16, -16), slice(24, -24))
        assert np.abs(shown[number][inner] - wanted[inner]).mean() < 6
        assert np.abs(painted[0][inner] - wanted[inner]).mean() > 12
