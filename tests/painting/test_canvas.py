"""The canvas: flow, trust, the moved painting, sizes from coarse to fine, and what empties it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtstyle.engines.canvas import UNKNOWN, empty
from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.painting.canvas.coherence import (
    CoherentPainter,
    Memory,
    faded,
    paint,
    settled,
)
from rtstyle.painting.canvas.laying import kept, lay, places
from rtstyle.painting.canvas.motion import MOVING, FlowEstimator, Motion, look, sight, unmoved
from rtstyle.painting.strokes import levels, paint_coarse_first


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


def test_only_what_moves_is_fetched_anew() -> None:
    """And comes out as if all were."""
    flow = np.zeros((60, 80, 2), np.float32)
    flow[20:30, 50:70] = (2.3, -1.2)
    motion = Motion(flow, np.full((120, 160), MOVING, np.uint8))
    painted = scene(seed=3)
    where = places(motion, (240, 320))
    assert where is not None
    wanted = cv2.remap(painted, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    assert (wanted != painted).any()
    np.testing.assert_array_equal(lay(painted, motion).picture, wanted)
    flow[:] = 0
    np.testing.assert_array_equal(lay(painted, motion).picture, painted)


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


class Enlarger:
    """A stand-in for the upsampler: repeats the painting, and notes the sizes of frames."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, frame: Image, coarse: Image) -> Image:
        self.sizes.append(frame.shape[:2])
        size = (frame.shape[1], frame.shape[0])
        return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def test_a_large_frame_is_painted_small_and_enlarged() -> None:
    run, enlarge = Recorder(), Enlarger()
    painter = CoherentPainter(run, enlarge)
    image = scene(2160, 3840)
    for index in range(2):
        painted = painter.paint(image, painter.prepare(image, index))
        assert painted.shape == image.shape
    assert [frame.shape[:2] for frame, _ in run.given] == [(480, 853)] * 2
    assert enlarge.sizes == [(1018, 1810), (2160, 3840)] * 2
    (_, first), (_, second) = run.given
    assert not first["trust"].any()
    # The canvas is the painting before it was enlarged.
    assert (second["canvas"] == 1).mean() > 0.9
    assert second["trust"].mean() > 0.9 * 255


@pytest.mark.parametrize(("coherence", "kept"), [(1.0, 0.95), (0.4, 0.38)])
def test_a_painting_changes_slowly_where_nothing_moves(coherence: float, kept: float) -> None:
    before, new = (np.full((10, 12, 3), value, np.uint8) for value in (100, 200))
    trust = np.full((5, 6), 255, np.uint8)
    trust[:, 3:] = MOVING
    found = settled(before, new, trust, coherence)
    assert (found[:, 6:] == 200).all()
    assert (found[:, :6] == round(200 - 100 * kept)).all()


def test_what_moves_changes_and_what_is_still_stays() -> None:
    size = (480, 640)
    trust = np.full((240, 320), 255, np.uint8)
    trust[:, 160:] = MOVING
    motion = Motion(np.zeros((2, 2, 2), np.float32), trust)
    first, _ = paint(lambda image, extra: np.zeros_like(image), scene(*size), motion, None)
    second, _ = paint(lambda image, extra: np.full_like(image, 200), scene(*size), motion, first)
    assert second[:, :300].max() < 40
    assert second[:, 340:].min() == 200


def test_a_painting_of_another_size_is_not_painted_over() -> None:
    run = Recorder()
    paint(run, scene(), unmoved((240, 320)), scene(120, 160))
    assert not run.given[0][1]["trust"].any()


@pytest.mark.parametrize(("right", "down"), [(0.2, 0.0), (-0.15, 0.1)])
def test_a_slow_pan_moves_the_painting_and_noise_does_not(right: float, down: float) -> None:
    """By less than a fifth of a pixel a frame, where a single pixel's flow says nothing."""
    first, rng = scene(), np.random.default_rng(2)
    first[:, 200:] = (90, 120, 60)
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(
        first, matrix, (320, 240), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )

    def noisy(image: NDArray[Any]) -> Image:
        return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)

    # An even wall moves as what has texture around it does.
    inner = np.s_[20:-20, 20:225]
    pan = motion_between(noisy(first), noisy(moved))
    assert pan.flow is not None
    found = np.median(pan.flow[inner], axis=(0, 1))
    np.testing.assert_allclose(found, [-right, -down], atol=0.07)
    assert (np.abs(pan.flow[inner]).max(axis=2) > 0).mean() > 0.9
    still = motion_between(noisy(first), noisy(first))
    assert still.flow is not None
    assert (np.abs(still.flow).max(axis=2) > 0).mean() < 0.2


@pytest.mark.parametrize("right", [0.3, 1.5])
def test_what_a_slow_pan_brings_into_sight_is_painted_anew(right: float) -> None:
    """A border that is drawn out of the canvas instead becomes streaks within 100 frames."""
    first = scene()
    matrix = np.array([[1, 0, right], [0, 1, 0]], np.float32)
    moved = cv2.warpAffine(
        first, matrix, (320, 240), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    trust = motion_between(first, np.asarray(moved, np.uint8)).trust
    assert (trust[:, 0] == 0).mean() > 0.9
    assert (trust[:, 8:] > 0).mean() > 0.9
    assert motion_between(first, first).trust.min() == 255


def test_what_is_kept_comes_back_from_arrays() -> None:
    painter = CoherentPainter(Recorder(), Enlarger())
    image = scene(720, 960)
    step = painter.prepare(image, 4)
    painter.paint(image, step)
    kept = painter.memory_after(step)
    back = Memory.from_arrays(kept.to_arrays())
    assert (back.sight.index, back.sight.size) == (4, (480, 640))
    assert back.painted.shape == (480, 640, 3)
    np.testing.assert_array_equal(back.painted, kept.painted)


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


def test_the_painter_hands_each_painting_to_the_next_frame() -> None:
    run = Recorder()
    painter = CoherentPainter(run, Enlarger())
    first = scene()
    for index, image in enumerate((first, first, scene(seed=5), scene(seed=5))):
        painter.paint(image, painter.prepare(image, index))
    trusts = [extra["trust"].mean() / 255 for _, extra in run.given]
    assert trusts[0] == trusts[2] == 0
    assert min(trusts[1], trusts[3]) > 0.9
    assert (run.given[1][1]["canvas"] == 1).mean() > 0.9


def test_frames_may_be_prepared_ahead() -> None:
    images = [scene(), shifted(scene(), 3, 0), shifted(scene(), 6, 0)]
    ahead, plain = CoherentPainter(Recorder(), Enlarger()), CoherentPainter(Recorder(), Enlarger())
    motions = [ahead.prepare(image, index) for index, image in enumerate(images)]
    for index, (image, motion) in enumerate(zip(images, motions, strict=True)):
        one = ahead.paint(image, motion)
        two = plain.paint(image, plain.prepare(image, index))
        np.testing.assert_array_equal(one, two)


def test_a_keyframe_is_the_canvas_of_its_own_frame() -> None:
    run = Recorder()
    painter = CoherentPainter(run, Enlarger())
    keyframe = np.full((100, 150, 3), 200, np.uint8)
    image = scene(720, 1080)
    painter.paint(image, painter.prepare(image, 0, keyframe))
    extra = run.given[0][1]
    assert extra["canvas"].shape == (1, 480, 720, 3)
    assert (extra["trust"] == 255).all()
    assert (extra["canvas"] == 200).all()
    # The next frame goes on from what was painted over it.
    painter.paint(image, painter.prepare(image, 1))
    assert (run.given[1][1]["canvas"] == 1).mean() > 0.9


@pytest.mark.parametrize("values", [{"stroke_size": 5.0}, {"coherence": 1.5}])
def test_values_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="out of range"):
        CoherentPainter(Recorder(), Enlarger(), **values)


def test_strokes_are_as_wide_on_a_large_picture_as_on_a_small_one() -> None:
    sizes: list[tuple[int, ...]] = []

    def run(image: Image) -> Image:
        """Paint checks as wide as a stroke, whatever the size, on the picture's colour."""
        sizes.append(image.shape[:2])
        rows, columns = np.indices(image.shape[:2]) // 8
        checks = ((rows + columns) % 2)[..., None] * 80
        return np.asarray(image // 2 + checks, np.uint8)

    photo = np.full((1080, 1440, 3), 90, np.uint8)
    painted = paint_coarse_first(run, Enlarger(), photo)
    assert sizes == [(480, 640)]
    # Checks of 8 pixels at 480 rows are 18 wide here.
    row = painted[9, :, 1].astype(float)
    spectrum = np.abs(np.fft.rfft(row - row.mean()))
    assert 1440 / (2 * (spectrum.argmax())) == pytest.approx(18, abs=0.5)
    assert painted.shape == photo.shape
    # Small pictures are painted at their own size.
    small, enlarge = photo[:400], Enlarger()
    assert np.array_equal(paint_coarse_first(run, enlarge, small), run(small))
    assert not enlarge.sizes


def test_without_a_gate_half_of_what_is_trusted_is_kept() -> None:
    painted, canvas = (np.full((40, 60, 3), value, np.uint8) for value in (100, 200))
    trust = np.zeros((20, 30), np.uint8)
    trust[:, 15:] = 255
    found = kept(painted, canvas, trust)
    assert (found[:, :20] == 100).all()
    assert (found[:, 40:] == 150).all()
    assert (np.diff(found[20, :, 0].astype(int)) >= 0).all()
    np.testing.assert_array_equal(kept(painted, canvas, trust * 0), painted)
    np.testing.assert_array_equal(kept(canvas, canvas, trust), canvas)
