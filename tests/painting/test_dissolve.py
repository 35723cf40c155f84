"""Old strokes dissolve into the new ones that are laid where paint was worn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from rtstyle.frame import Image
from rtstyle.painting.canvas.coherence import CoherentPainter, Memory, Step
from rtstyle.painting.canvas.dissolve import NONE, SEEN, STAY, Rest, rest_after, shown
from rtstyle.painting.canvas.laying import places
from rtstyle.painting.canvas.motion import Motion, Sight

SIZE = (96, 128)
OLD, NEW = (np.full((*SIZE, 3), level, np.uint8) for level in (180, 100))
INSIDE, OUTSIDE = np.s_[30:50, 60:90], np.s_[:, :40]


def worn_patch() -> NDArray[np.uint8]:
    """Return worn paint in rows 24 to 56 and columns 48 to 96, at a quarter of the size."""
    worn = np.zeros((24, 32), np.uint8)
    worn[6:14, 12:24] = 255
    return worn


def motion_of(
    right: float = 0.0, *, worn: NDArray[np.uint8] | None = None, trust: int = 204
) -> Motion:
    """Return the motion of a picture that moved as a whole: all is trusted but what is worn."""
    known = np.full((48, 64), trust, np.uint8)
    if worn is not None:
        known[np.repeat(np.repeat(worn, 2, 0), 2, 1) > 0] = 0
    return Motion(np.full((48, 64, 2), (-right / 2, 0), np.float32), known, worn)


def after(before: Rest | None, moved: Image, painted: Image, motion: Motion) -> Rest | None:
    where = places(motion, SIZE)
    assert where is not None
    return rest_after(before, moved, painted, motion, where, STAY)


def test_half_of_the_old_strokes_stays_and_then_half_of_that() -> None:
    rest = after(None, OLD, NEW, motion_of(worn=worn_patch()))
    levels = []
    while rest is not None:
        picture = shown(NEW, rest)
        np.testing.assert_array_equal(picture[OUTSIDE], NEW[OUTSIDE])
        assert np.ptp(picture[INSIDE]) == 0
        levels.append(int(picture[INSIDE][0, 0, 0]))
        rest = after(rest, NEW, NEW, motion_of())
    np.testing.assert_allclose(levels, [140, 120, 110, 105], atol=1)
    # What is then left would be 2.5 levels.
    assert 2 < 80 * STAY ** (len(levels) + 1) <= SEEN


def test_nothing_worn_leaves_nothing() -> None:
    assert after(None, OLD, NEW, motion_of()) is None
    assert after(None, NEW, NEW, motion_of(worn=worn_patch())) is None
    assert shown(NEW, None) is NEW


def test_it_moves_along() -> None:
    rest = after(None, OLD, NEW, motion_of(worn=worn_patch()))
    assert rest is not None
    moved = after(rest, NEW, NEW, motion_of(right=10))
    assert moved is not None
    assert (moved.row, moved.column) == (rest.row, rest.column + 10)
    assert moved.change.shape == rest.change.shape


def test_what_is_hidden_leaves_nothing() -> None:
    rest = after(None, OLD, NEW, motion_of(worn=worn_patch()))
    motion = motion_of()
    motion.trust[:, :40] = 0
    left = after(rest, NEW, NEW, motion)
    assert left is not None
    assert left.column == 80


def test_paint_that_is_worn_again_lies_upon_what_was_left() -> None:
    rest = after(None, OLD, NEW, motion_of(worn=worn_patch()))
    again = after(rest, NEW, OLD, motion_of(worn=worn_patch()))
    # Of 40 levels above the painting 20 are left, and half of 80 below come to them.
    assert again is not None
    np.testing.assert_allclose(shown(OLD, again)[INSIDE], 180 + 20 - 40, atol=1)


def test_arrays_and_back() -> None:
    rest = Rest(3, 5, np.full((2, 4, 3), NONE + 9, np.uint8))
    back = Rest.from_arrays(rest.to_arrays())
    assert back is not None
    assert (back.row, back.column) == (3, 5)
    np.testing.assert_array_equal(back.change, rest.change)
    assert Rest.from_arrays({}) is None


@pytest.mark.parametrize("coherence", [1.0, 0.5])
def test_a_painter_shows_what_is_left_and_paints_on_without_it(coherence: float) -> None:
    """A run that paints every frame darker, over a canvas that it is told to keep elsewhere."""
    count, canvases = iter(range(9)), []

    def run(image: Image, feeds: Mapping[str, NDArray[np.uint8]]) -> Image:
        canvases.append(feeds["canvas"][0])
        return np.full_like(image, 180 - 80 * next(count))

    def no_need(frame: Image, coarse: Image) -> Image:
        raise AssertionError("These frames are small.")

    painter = CoherentPainter(run, no_need, coherence=coherence)
    grey = np.zeros((48, 64), np.uint8)

    def step(number: int, motion: Motion) -> Step:
        return Step(OLD, Sight(number, grey, OLD, SIZE), motion, where=places(motion, SIZE))

    nothing = Motion(None, np.zeros((48, 64), np.uint8))
    painter.paint(OLD, step(0, nothing))
    second = step(1, motion_of(worn=worn_patch()))
    picture = painter.paint(OLD, second)
    kept = painter.memory_after(second)
    # Without `dissolve` the colours of the old paint would be all that is left of it.
    difference = picture[INSIDE].astype(int) - kept.painted[INSIDE]
    np.testing.assert_allclose(
        difference, coherence * STAY * (180.0 - kept.painted[INSIDE]), atol=1.5
    )
    assert kept.rest is not None
    other = CoherentPainter(lambda image, _: np.full_like(image, 20), no_need, coherence=coherence)
    other.go_on(Memory.from_arrays(kept.to_arrays()))
    third = step(2, motion_of())
    np.testing.assert_array_equal(other.paint(OLD, third), painter.paint(OLD, third))
    assert abs(int(canvases[2][10, 10, 0]) - 100) <= 1
