"""Paint that is moved along is bent; what is bent too far is painted anew."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rtstyle.engines.canvas import Canvas
from rtstyle.painting.canvas import bending
from rtstyle.painting.canvas.bending import (
    BENT,
    GROUND,
    bent_on,
    in_colours_of,
    primed,
    strain,
    unbent,
)
from rtstyle.painting.canvas.coherence import CoherentPainter, Memory
from rtstyle.painting.canvas.motion import Flow, Motion

ROWS, COLUMNS = 96, 128
MIDDLE = np.s_[12:36, 16:48]
"""Of the half-size picture: away from the edges, where flow leads outside."""


def flow_of(matrix: list[list[float]], shift: tuple[float, float] = (0, 0)) -> Flow:
    """Return the flow of a map about the middle: each pixel was at matrix x + shift."""
    x, y = np.meshgrid(np.arange(COLUMNS) - COLUMNS / 2, np.arange(ROWS) - ROWS / 2)
    at = np.stack([x, y], axis=2)
    return np.asarray(at @ np.array(matrix).T + shift - at, np.float32)


def motion_of(flow: Flow | None) -> Motion:
    return Motion(flow, np.full((ROWS, COLUMNS), 204, np.uint8))


def turn(angle: float) -> list[list[float]]:
    c, s = math.cos(angle), math.sin(angle)
    return [[c, -s], [s, c]]


@pytest.mark.parametrize(
    "flow", [flow_of([[1, 0], [0, 1]], (3.5, -2)), flow_of(turn(0.05))], ids=["shift", "turn"]
)
def test_shifts_and_turns_bend_nothing(flow: Flow) -> None:
    bend = None
    for _ in range(10):
        bend, motion = bent_on(bend, motion_of(flow))
        assert motion.trust[24:72, 32:96].all()
    assert bend is not None
    assert float(strain(bend)[MIDDLE].max()) < 0.03


@pytest.mark.parametrize(
    ("matrix", "frames", "wanted"),
    [
        ([[0.95, 0], [0, 1]], 5, -10 * math.log(0.95)),
        ([[0.97, 0], [0, 0.97]], 6, -12 * math.log(0.97) * math.sqrt(2)),
        ([[1, 0.1], [0, 1]], 4, math.sqrt(8) * math.asinh(0.2)),
    ],
    ids=["stretched one way", "enlarged", "sheared"],
)
def test_bends_add_up_by_the_chain_rule(
    matrix: list[list[float]], frames: int, wanted: float
) -> None:
    bend = None
    for _ in range(frames):
        bend, _ = bent_on(bend, motion_of(flow_of(matrix)), limit=9.0)
    assert bend is not None
    np.testing.assert_allclose(strain(bend)[MIDDLE], wanted, rtol=0.02)


def test_there_and_back_bends_nothing() -> None:
    bend, _ = bent_on(None, motion_of(flow_of([[0.9, 0], [0, 1]])))
    bend, _ = bent_on(bend, motion_of(flow_of([[1 / 0.9, 0], [0, 1]])))
    assert bend is not None
    assert float(strain(bend)[MIDDLE].max()) < 0.02


def test_what_is_bent_too_far_is_not_trusted_and_begins_anew() -> None:
    """Only one half is stretched, by a tenth a frame."""
    flow = flow_of([[0.9, 0], [0, 1]])
    flow[:, COLUMNS // 2 :] = 0
    bend, lost = None, []
    for _ in range(12):
        bend, motion = bent_on(bend, motion_of(flow), limit=0.6)
        lost.append(int((motion.trust[40:56, 20:50] == 0).sum()))
        assert motion.trust[:, 80:].all()
    # -2 n ln 0.9 passes 0.6 at the third frame, and again three frames later.
    assert [number for number, count in enumerate(lost, 1) if count] == [3, 6, 9, 12]
    assert lost[2] == 16 * 30


def test_new_paint_is_not_bent() -> None:
    flow = flow_of([[0.9, 0], [0, 1]])
    bend, _ = bent_on(None, motion_of(flow))
    covered = motion_of(flow)
    covered.trust[:, :64] = 0
    bend, motion = bent_on(bend, covered)
    assert bend is not None
    np.testing.assert_array_equal(bend[:, :30], unbent(48, 30))
    assert float(strain(bend)[10:38, 40:56].min()) > 0.3
    assert (motion.trust == covered.trust).all()
    assert bent_on(bend, motion_of(None))[0] is None


def test_worn_paint_leaves_a_ground_without_strokes() -> None:
    rng = np.random.default_rng(1)
    before = rng.integers(0, 256, (81, 121, 3), dtype=np.uint8)
    worn = np.zeros((20, 30), np.uint8)
    worn[5:15, 10:20] = 255
    canvas = Canvas(before.copy(), np.full((41, 61), 204, np.uint8))
    found = primed(canvas, before, worn)
    inside, outside = np.s_[24:56, 46:76], np.s_[:, :38]
    assert found.picture[inside].std() < 0.2 * before[inside].std()
    assert abs(found.picture[inside].mean() - before[inside].mean()) < 3
    np.testing.assert_array_equal(found.picture[outside], before[outside])
    assert set(np.unique(found.trust)) == {GROUND, 204}
    assert (found.trust[12:28, 23:38] == GROUND).all()
    np.testing.assert_array_equal(canvas.picture, before)


def test_new_paint_takes_the_colours_of_worn_paint_and_keeps_its_strokes() -> None:
    rng = np.random.default_rng(3)
    strokes = rng.integers(-20, 21, (96, 128, 1))
    painted = np.asarray(np.array([100, 150, 60]) + strokes, np.uint8)
    before = np.full((96, 128, 3), (140, 90, 120), np.uint8)
    worn = np.zeros((48, 64), np.uint8)
    worn[12:36, 16:48] = 255
    found = in_colours_of(before, painted, worn).astype(float)
    inside = found[36:60, 48:80]
    np.testing.assert_allclose(inside.mean((0, 1)), [140, 90, 120], atol=3)
    np.testing.assert_allclose(inside.std((0, 1)), painted[36:60, 48:80].std((0, 1)), rtol=0.1)
    np.testing.assert_array_equal(found[:16], painted[:16])
    np.testing.assert_array_equal(found[:, 100:], painted[:, 100:])


@pytest.mark.parametrize("size", [(240, 320), (202, 318)], ids=["cropped", "not by 4"])
def test_only_what_lies_around_worn_paint_is_computed(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    before, painted = rng.integers(0, 256, (2, *size, 3), dtype=np.uint8)
    worn = np.zeros((60, 80), np.uint8)
    worn[2:6, 30:41] = worn[9, 33] = 255
    canvas = Canvas(before, np.full((size[0] // 2, size[1] // 2), 204, np.uint8))
    found = primed(canvas, before, worn), in_colours_of(before, painted, worn)
    everything = slice(0, size[0]), slice(0, size[1])
    assert (bending._around(worn, before) == everything) == bool(size[0] % 4)
    monkeypatch.setattr(bending, "_around", lambda *_: everything)
    whole = primed(canvas, before, worn), in_colours_of(before, painted, worn)
    np.testing.assert_array_equal(found[0].picture, whole[0].picture)
    np.testing.assert_array_equal(found[0].trust, whole[0].trust)
    np.testing.assert_array_equal(found[1], whole[1])


def test_worn_is_only_what_was_trusted() -> None:
    flow = flow_of([[0.8, 0], [0, 1]])
    bend, motion = None, motion_of(flow)
    motion.trust[:48] = 0
    for _ in range(4):
        bend, found = bent_on(bend, motion, limit=0.8)
        if found.worn is not None:
            break
    assert found.worn is not None
    assert not found.worn[:23].any()
    assert found.worn[25:, 10:54].all()


def test_a_painter_that_goes_on_trusts_as_the_one_before_it() -> None:
    """A picture that is enlarged from frame to frame: its paint wears out on the way."""
    import cv2

    rng = np.random.default_rng(4)
    base = cv2.resize(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), (512, 384))
    frames = []
    for number in range(14):
        zoom = 1.06**number
        grow = np.array([[zoom, 0, 128 * (1 - zoom)], [0, zoom, 96 * (1 - zoom)]])
        frames.append(np.asarray(cv2.warpAffine(base[96:288, 128:384], grow, (256, 192))))

    def run(image: np.ndarray, feeds: object) -> np.ndarray:
        del feeds
        return image.copy()

    def no_need(frame: np.ndarray, coarse: np.ndarray) -> np.ndarray:
        raise AssertionError("These frames are small.")

    one, other = (CoherentPainter(run, no_need) for _ in range(2))
    empty = []
    for number, frame in enumerate(frames):
        step = one.prepare(frame, number)
        one.paint(frame, step)
        empty.append(float((step.motion.trust[40:56, 56:72] == 0).mean()))
        if number == 6:
            other.go_on(Memory.from_arrays(one.memory_after(step).to_arrays()))
        if number > 6:
            again = other.prepare(frame, number)
            np.testing.assert_array_equal(again.motion.trust, step.motion.trust)
            other.paint(frame, again)
    # ln 1.06^2 in both directions: 0.165 a frame.
    worn = math.ceil(BENT / (math.sqrt(8) * math.log(1.06)))
    assert max(empty[1 : worn - 3]) < 0.1
    assert max(empty[worn - 3 :]) > 0.4
