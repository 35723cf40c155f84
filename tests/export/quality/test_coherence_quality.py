"""What is measured of coherence and strokes, on clips whose figures are known."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from rtstyle.errors import RtstyleError
from rtstyle.frame import Image
from rtstyle_export.quality.coherence import (
    TruePair,
    camera_noise,
    change_between,
    growth,
    sharpness,
    slow_pan,
    steadiness,
    stroke_ratio,
    warp_error,
)


def scene(seed: int, right: int = 0) -> Image:
    """A smooth random picture of 360 rows, moved to the right."""
    coarse = np.random.default_rng(seed).integers(0, 256, (36, 64, 3), np.uint8)
    image = cv2.resize(coarse, (640, 360), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(np.roll(image, right, axis=1), np.uint8)


CLIP = [scene(0, 3 * n) for n in range(4)]
ALONG = [scene(1, 3 * n) for n in range(4)]
STUCK = [scene(1)] * 4


@pytest.mark.slow
def test_what_moves_along_has_no_warp_error_and_what_stays_has_one() -> None:
    along, itself = warp_error(CLIP, ALONG)
    stuck, _ = warp_error(CLIP, STUCK)
    assert along < 2
    assert itself < 2
    # What stays behind is off by three pixels of the painting.
    wanted = np.sqrt(np.mean(np.square(scene(1).astype(float) - scene(1, 3))))
    assert stuck == pytest.approx(wanted, rel=0.1)


def test_without_flow_there_is_no_warp_error() -> None:
    assert all(map(math.isnan, warp_error(CLIP[:1], CLIP[:1])))


@pytest.mark.slow
def test_a_clip_over_the_canvas_is_compared_with_itself_frame_by_frame() -> None:
    def style_loss(image: Image) -> float:
        return float(image[0, 0, 0]) + 1

    found = steadiness(CLIP, lambda _, n: STUCK[n], lambda _, n: ALONG[n], style_loss, every=1)
    assert found.errors[2] < 0.2 * found.errors[1]
    assert found.ratio == pytest.approx(found.errors[2] / found.errors[1])
    later = [style_loss(image) for image in ALONG[1:]]
    assert found.style == pytest.approx(np.mean(later) / style_loss(STUCK[0]))


def test_sharpness_falls_with_blur() -> None:
    image = scene(2)
    assert sharpness(np.asarray(cv2.blur(image, (9, 9)), np.uint8)) < 0.7 * sharpness(image)


def test_change_between_frames_is_that_of_the_noise() -> None:
    photo = np.full((60, 80, 3), 128, np.uint8)
    painted, plain = change_between(camera_noise(photo, 20), lambda image, _: 255 - image)
    # The difference of two draws, each with the rounding to whole levels.
    assert plain == pytest.approx(math.sqrt(2 * (2**2 + 1 / 12)), rel=0.03)
    assert painted == pytest.approx(plain)


def test_a_pan_moves_a_view_over_a_photo_and_growth_is_that_of_edges() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    views = list(slow_pan(photo, 5, (2.0, 1.0)))
    assert {view.shape for view in views} == {(35, 50, 3)}
    np.testing.assert_array_equal(views[4], photo[4:39, 8:58])

    def over(image: Image, number: int) -> Image:
        """Edges twice as high from frame 3 on."""
        return np.asarray(image // 4 * (2 if number > 3 else 1), np.uint8)

    assert growth(views, over, lambda image, _: over(image, 0)) == pytest.approx(4, rel=0.01)
    assert growth(views[:4], over, lambda image, _: over(image, 0)) == pytest.approx(1)


def test_strokes_that_grow_with_the_frame_have_a_ratio_of_one() -> None:
    def spread(image: Image) -> float:
        return float(image.std())

    same = stroke_ratio(scene(3), 720, lambda image: image, spread, 360)
    assert same == pytest.approx(1, abs=0.02)

    def fainter_when_larger(image: Image) -> Image:
        return np.asarray(image * (360 / image.shape[0]), np.uint8)

    half = stroke_ratio(scene(3), 720, fainter_when_larger, spread, 360)
    assert half == pytest.approx(0.5, abs=0.02)


def test_the_change_along_a_true_flow_leaves_out_what_is_unknown_or_masked(tmp_path: Path) -> None:
    """Three pixels to the right: what moved along has no change, what stayed has one."""
    rng = np.random.default_rng(2)
    first = cv2.blur(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8), (5, 5))
    second = np.roll(first, 3, axis=1)
    second[10:20, 30:40] = 255 - second[10:20, 30:40]
    flow = np.zeros((40, 60, 2), np.float32)
    flow[..., 0] = 3
    flow[30:] = 1e10
    hidden = np.zeros((40, 60, 3), np.uint8)
    hidden[8:22, 25:42] = 255
    for name, image in (("a", first), ("b", second), ("m", hidden)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image[..., ::-1])
    assert cv2.writeOpticalFlow(str(tmp_path / "f.flo"), flow)
    files = tmp_path / "a.png", tmp_path / "b.png", tmp_path / "f.flo"
    whole = TruePair.read(*files)
    pair = TruePair.read(*files, [tmp_path / "m.png"])
    assert not whole.known[30:].any()
    assert not whole.known[:30, 57:].any()
    assert pair.known.sum() == whole.known.sum() - 14 * 17
    assert pair.change(first, second) < 1e-3
    assert whole.change(first, second) > 5
    assert pair.change(first, first) > 5
    with pytest.raises(RtstyleError, match="not the flow"):
        TruePair.read(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "a.png")
