"""The canvas: flow, trust, the moved painting, levels from coarse to fine, and what empties it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtstyle.engines.canvas import UNKNOWN, empty
from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.painting.canvas import MOVING, UNDERPAINTING, FlowEstimator, Motion, lay, look, sight
from rtstyle.painting.coherence import (
    CoherentPainter,
    faded,
    over,
    paint,
    settled,
)
from rtstyle.painting.strokes import levels, paint_coarse_first, with_strokes_of


def scene(height: int = 240, width: int = 320, seed: int = 0) -> Image:
    """A smooth random picture with something to hold on to everywhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def shifted(image: Image, right: int, down: int) -> Image:
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REFLECT))


def motion_between(first: Image, second: Image) -> Motion:
    return look(sight(second, 1), sight(first, 0), FlowEstimator())


@pytest.mark.parametrize(("right", "down"), [(0, 0), (4, 0), (-3, 5)])
def test_a_painting_moves_along_with_its_frame(right: int, down: int) -> None:
    first = scene()
    motion = motion_between(first, shifted(first, right, down))
    painted = scene(seed=7)
    canvas = lay(painted, motion)
    wanted_trust = 255 if right == down == 0 else MOVING
    assert motion.trust.mean() > 0.8 * wanted_trust
    assert motion.trust.max() == wanted_trust
    wanted = shifted(painted, right, down)
    inner = (slice(20, -20), slice(20, -20))
    error = np.abs(canvas.picture[inner].astype(int) - wanted[inner])
    assert error.mean() < 6


def test_what_appears_is_not_trusted() -> None:
    first = scene()
    second = first.copy()
    second[80:160, 100:200] = 255 - second[80:160, 100:200]
    trust = motion_between(first, second).trust
    assert trust[48:72, 60:90].mean() < 0.3 * 255
    assert trust[:30].mean() > 0.9 * 255


def test_camera_noise_costs_no_trust() -> None:
    first = scene()
    noise = np.random.default_rng(1).normal(0, 4, first.shape)
    second = np.clip(first + noise, 0, 255).astype(np.uint8)
    assert motion_between(first, second).trust.mean() > 0.95 * 255


@pytest.mark.parametrize(
    ("index", "other"),
    [(2, None), (0, None), (1, scene(120, 160)), (1, scene(seed=5))],
    ids=["gap", "again", "another size", "cut"],
)
def test_gaps_sizes_and_cuts_empty_the_canvas(index: int, other: Image | None) -> None:
    first = scene()
    now = sight(first if other is None else other, index)
    motion = look(now, sight(first, 0), FlowEstimator())
    assert motion.flow is None
    assert not motion.trust.any()
    canvas = lay(scene(*now.size), motion)
    assert (canvas.picture == UNKNOWN).all()


def test_odd_sizes_round_the_trust_up() -> None:
    assert empty((5, 9)).trust.shape == (3, 5)
    feeds = empty((5, 9)).feeds()
    assert feeds["canvas"].shape == (1, 5, 9, 3)
    assert feeds["trust"].shape == (1, 3, 5, 1)


@pytest.mark.parametrize(
    ("size", "stroke_size", "rows"),
    [
        ((480, 640), 1, [480]),
        ((576, 768), 1, [576]),
        ((720, 1280), 1, [480, 720]),
        ((1080, 1920), 1, [480, 1080]),
        ((2160, 3840), 1, [480, 1018, 2160]),
        ((1920, 1080), 1, [853, 1920]),
        ((480, 640), 2, [240, 480]),
        ((1080, 1920), 2.25, [213, 480, 1080]),
        ((720, 1280), 0.5, [720]),
        ((16, 16), 4, [16]),
    ],
)
def test_levels_begin_where_strokes_are_as_wide_as_trained(
    size: tuple[int, int], stroke_size: float, rows: list[int]
) -> None:
    found = levels(size, stroke_size)
    assert [level[0] for level in found] == rows
    assert found[-1] == size
    for a, b in itertools.pairwise(found):
        assert b[0] / a[0] <= 2.6


class Recorder:
    """A stand-in for an engine: paints the frame's mean colour and notes what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Image, dict[str, NDArray[np.uint8]]]] = []

    def __call__(self, image: Image, extra: Mapping[str, NDArray[np.uint8]]) -> Image:
        self.given.append((image, dict(extra)))
        return np.full_like(image, len(self.given))


def test_a_fine_painting_lies_over_a_coarse_one() -> None:
    run = Recorder()
    nothing = Motion(None, np.zeros((540, 960), np.uint8))
    done = paint(run, scene(1080, 1920), nothing, ())
    assert [p.shape[:2] for p in done] == [(480, 853), (1080, 1920)]
    (_, coarse), (_, fine) = run.given
    assert not coarse["trust"].any()
    assert (fine["trust"] == UNDERPAINTING).all()
    assert (fine["canvas"] == 1).all()


def test_what_was_painted_stays_above_the_coarse_painting() -> None:
    first = scene(720, 960)
    motion = motion_between(first, first)
    run = Recorder()
    before = (np.full((480, 640, 3), 7, np.uint8), np.full((720, 960, 3), 9, np.uint8))
    paint(run, first, motion, before)
    fine = run.given[1][1]
    known = fine["trust"][0, ..., 0] == 255
    assert known.mean() > 0.9
    assert (fine["canvas"][0, 2:-2, 2:-2] == 9).mean() > 0.85


@pytest.mark.parametrize(("coherence", "kept"), [(1.0, 0.85), (0.4, 0.34)])
def test_a_painting_changes_slowly_where_nothing_moves(coherence: float, kept: float) -> None:
    before, new = (np.full((10, 12, 3), value, np.uint8) for value in (100, 200))
    trust = np.full((5, 6), 255, np.uint8)
    trust[:, 3:] = MOVING
    found = settled(before, new, trust, coherence)
    assert (found[:, 6:] == 200).all()
    assert (found[:, :6] == round(200 - 100 * kept)).all()


def test_what_a_coarse_painting_can_show_is_its_own_in_the_fine_one() -> None:
    coarse, fine = scene(120, 160, seed=3), scene(270, 360, seed=4)
    checks = np.indices((270, 360)).sum(axis=0)[..., None] % 2 * 60
    fine = np.asarray(fine // 2 + 30 + checks, np.uint8)
    done = with_strokes_of(coarse, fine)
    grey = np.array([0.299, 0.587, 0.114])
    reduced = cv2.resize(done, (160, 120), interpolation=cv2.INTER_AREA)
    assert np.abs(reduced @ grey - coarse @ grey).mean() < 4
    assert np.abs(cv2.resize(fine, (160, 120)) @ grey - coarse @ grey).mean() > 30
    # What only the larger one can show is that of the fine painting.
    high = [(x @ grey) - cv2.GaussianBlur(x @ grey, (0, 0), 2) for x in (done, fine)]
    assert np.corrcoef(high[0].ravel(), high[1].ravel())[0, 1] > 0.95


def test_a_painting_with_its_own_strokes_stays_as_it_is() -> None:
    fine = scene(270, 360)
    coarse = cv2.resize(fine, (160, 120), interpolation=cv2.INTER_AREA)
    assert np.array_equal(with_strokes_of(np.asarray(coarse), fine), fine)


def test_what_moves_moves_at_every_level() -> None:
    """The trust of a frame counts for the smaller levels too, at their size."""
    size = (1080, 1440)
    trust = np.full((540, 720), 255, np.uint8)
    trust[:, 360:] = MOVING
    motion = Motion(np.zeros((2, 2, 2), np.float32), trust)
    first = paint(lambda image, extra: np.zeros_like(image), scene(*size), motion, ())
    second = paint(lambda image, extra: np.full_like(image, 200), scene(*size), motion, first)
    for painted in second:
        middle = painted.shape[1] // 2
        assert painted[:, : middle - 20].max() < 40
        assert painted[:, middle + 20 :].min() == 200


def test_camera_noise_is_still_and_a_pan_is_not() -> None:
    first = scene()
    noise = np.random.default_rng(1).normal(0, 2, first.shape)
    still = motion_between(first, np.clip(first + noise, 0, 255).astype(np.uint8))
    assert (still.trust == 255).mean() > 0.9
    pan = motion_between(first, shifted(first, 2, 0))
    assert (pan.trust == 255).mean() < 0.05


def test_coherence_scales_the_trust_and_hides_what_has_none() -> None:
    first = scene()
    canvas = lay(scene(seed=3), motion_between(first, first))
    part = faded(canvas, 0.5)
    assert part.trust.max() == 128
    hidden = canvas.trust.copy()
    hidden[:, :50] = 0
    shown = faded(type(canvas)(canvas.picture, hidden), 1.0)
    assert (shown.picture[:, :100] == UNKNOWN).all()
    laid = over(shown, np.full((60, 80, 3), 33, np.uint8))
    assert (laid.picture[:, :98] == 33).all()
    assert (laid.trust[:, :50] == UNDERPAINTING).all()


def test_the_painter_hands_each_painting_to_the_next_frame() -> None:
    run = Recorder()
    painter = CoherentPainter(run)
    first = scene()
    for index, image in enumerate((first, first, scene(seed=5), scene(seed=5))):
        painter.paint(image, painter.prepare(image, index))
    trusts = [extra["trust"].mean() / 255 for _, extra in run.given]
    assert trusts[0] == trusts[2] == 0
    assert min(trusts[1], trusts[3]) > 0.9
    assert (run.given[1][1]["canvas"] == 1).mean() > 0.9


def test_frames_may_be_prepared_ahead() -> None:
    images = [scene(), shifted(scene(), 3, 0), shifted(scene(), 6, 0)]
    ahead, plain = CoherentPainter(Recorder()), CoherentPainter(Recorder())
    motions = [ahead.prepare(image, index) for index, image in enumerate(images)]
    for index, (image, motion) in enumerate(zip(images, motions, strict=True)):
        one = ahead.paint(image, motion)
        two = plain.paint(image, plain.prepare(image, index))
        np.testing.assert_array_equal(one, two)


def test_a_keyframe_is_the_canvas_of_its_own_frame_at_every_level() -> None:
    run = Recorder()
    painter = CoherentPainter(run)
    keyframe = np.full((100, 150, 3), 200, np.uint8)
    image = scene(720, 1080)
    painter.paint(image, painter.prepare(image, 0, keyframe))
    (_, coarse), (_, fine) = run.given
    for extra in (coarse, fine):
        assert (extra["trust"] == 255).all()
        assert (extra["canvas"] == 200).all()
    # The next frame goes on from what was painted over it: with the strokes of the coarse one.
    painter.paint(image, painter.prepare(image, 1))
    assert (run.given[3][1]["canvas"] == 1).mean() > 0.9


@pytest.mark.parametrize("values", [{"stroke_size": 5.0}, {"coherence": 1.5}])
def test_values_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="out of range"):
        CoherentPainter(Recorder(), **values)


def test_a_network_without_a_canvas_paints_coarse_strokes_first() -> None:
    sizes: list[tuple[int, ...]] = []

    def run(image: Image) -> Image:
        """Paint checks as wide as a stroke, whatever the size, on the picture's colour."""
        sizes.append(image.shape[:2])
        rows, columns = np.indices(image.shape[:2]) // 8
        checks = ((rows + columns) % 2)[..., None] * 80
        return np.asarray(image // 2 + checks, np.uint8)

    photo = np.full((1080, 1440, 3), 90, np.uint8)
    painted = paint_coarse_first(run, photo)
    assert sizes == [(480, 640), (1080, 1440)]
    # Checks of 8 pixels at 480 rows are 18 wide here.
    row = painted[9, :, 1].astype(float)
    spectrum = np.abs(np.fft.rfft(row - row.mean()))
    assert 1440 / (2 * (spectrum.argmax())) == pytest.approx(18, abs=0.5)
    assert painted.shape == photo.shape
    # Small pictures are painted once.
    sizes.clear()
    small = photo[:400]
    assert np.array_equal(paint_coarse_first(run, small), run(small))
    assert sizes == [(400, 1440), (400, 1440)]


def test_detail_is_a_share_of_what_only_the_large_picture_shows() -> None:
    coarse, fine = scene(120, 160, seed=3), scene(270, 360, seed=4)
    checks = np.indices((270, 360)).sum(axis=0)[..., None] % 2 * 60
    fine = np.asarray(fine // 2 + 30 + checks, np.uint8)

    def roughness(image: Image) -> float:
        plain = image.astype(np.float32)
        return float((plain - cv2.GaussianBlur(plain, (0, 0), 2)).std())

    whole, part = (roughness(with_strokes_of(coarse, fine, share)) for share in (1.0, 0.5))
    assert part / whole == pytest.approx(0.5, abs=0.1)
