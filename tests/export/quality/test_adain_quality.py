"""The judge of networks for any style, on a random VGG-19 and made pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from helpers.adain_runs import material  # noqa: E402

from rtstyle_export.quality.adain import Judge, Picture, grid  # noqa: E402


def picture(seed: int, contrast: int = 60) -> Picture:
    noise = np.random.default_rng(seed).integers(-contrast, contrast, (32, 32, 3))
    return (128 + noise.repeat(4, 0).repeat(4, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    place = material(tmp_path_factory.mktemp("judge"))
    return Judge([picture(0), picture(1)], place / "vgg19.safetensors")


def test_a_picture_is_at_no_distance_from_itself(judge: Judge) -> None:
    own, other = judge.features(picture(0)), judge.features(picture(1, 20))
    same = judge.distances(picture(0), own, own)
    assert (same.style, same.content, same.target) == pytest.approx((0, 0, 0), abs=1e-4)
    far = judge.distances(picture(0), other, other)
    assert min(far.style, far.content, far.target) > 0.01


def test_a_part_is_judged_by_itself(judge: Judge) -> None:
    ends = [picture(0), picture(1, 20)]
    found = judge.features(np.hstack(ends))
    seen = [judge.features(end) for end in ends]
    # Away from the seam: relu4_1 sees 92 pixels.
    for k, part in enumerate((slice(0, 64), slice(192, 256))):
        where = torch.zeros(128, 256)
        where[:, part] = 1
        own, other = (judge.style(found, seen[n], where) for n in (k, 1 - k))
        assert own < 0.5 * other


def test_a_grid_is_seen(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(100, 156, (288, 288, 3)).astype(np.uint8)
    lined = noise.copy()
    lined[::8] += 20
    assert 0.6 < grid(noise) < 1.6
    assert grid(lined) > 5
