"""A looped camera file that goes away and comes back, as a camera does that is pulled out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.media import number_of, write_clip

from rtstyle.errors import SourceError
from rtstyle.frame import Frame
from rtstyle.sources.cameras.resilient import PLACARD_RATE
from rtstyle.sources.realtime import RealTimeFileSource


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=3, rate=25)


@pytest.fixture
def source(clip: Path) -> Iterator[RealTimeFileSource]:
    with RealTimeFileSource(clip, loop=True) as found:
        yield found


def take(frames: Iterator[Frame], count: int) -> list[Frame]:
    return list(itertools.islice(frames, count))


def in_order(frames: list[Frame]) -> bool:
    times = [frame.time for frame in frames]
    rising = all(a < b for a, b in itertools.pairwise(times))
    return rising and [frame.index for frame in frames] == list(range(len(frames)))


def test_placards_while_the_file_is_gone_and_then_the_file_again(
    clip: Path, source: RealTimeFileSource
) -> None:
    content, frames = clip.read_bytes(), source._endless()
    seen = take(frames, 3)
    clip.unlink()
    seen += take(frames, 2 * PLACARD_RATE)
    clip.write_bytes(content)
    seen += take(frames, 6)
    away, back = seen[3 : 3 + 2 * PLACARD_RATE], seen[-6:]
    assert in_order(seen)
    assert [number_of(frame.image, 2) for frame in seen[:3]] == [0, 1, 2]
    assert [number_of(frame.image, 2) for frame in back] == [0, 1, 2, 0, 1, 2]
    gaps = [b.time - a.time for a, b in itertools.pairwise(away)]
    np.testing.assert_allclose(gaps, 1 / PLACARD_RATE, atol=0.001)
    # Darker than the clip: it is the placard.
    assert max(frame.image.mean() for frame in away) < 0.7 * seen[0].image.mean()
    assert source.counts["reconnects"] == 1
    assert source.counts["placards"] == len(away)


def test_another_file_in_its_place_is_fitted_to_the_first(
    clip: Path, source: RealTimeFileSource
) -> None:
    frames = source._endless()
    seen = take(frames, 3)
    clip.unlink()
    other = write_clip(clip.with_name("other.mp4"), width=64, height=96, frames=4, rate=10)
    other.rename(clip)
    seen += take(frames, 8)
    assert in_order(seen)
    assert {frame.image.shape for frame in seen} == {(64, 96, 3)}
    assert {frame.time_base for frame in seen} == {seen[0].time_base}
    steps = [b.time - a.time for a, b in itertools.pairwise(seen)]
    np.testing.assert_allclose(steps, [0.04, 0.04, 0.04, *[0.1] * 7], atol=0.002)


@pytest.mark.parametrize("content", [b"", b"not a video" * 100])
def test_what_cannot_be_read_is_as_good_as_gone(
    clip: Path, source: RealTimeFileSource, content: bytes
) -> None:
    frames = source._endless()
    take(frames, 3)
    clip.unlink()
    clip.write_bytes(content)
    assert take(frames, 1)[0].image.shape == (64, 96, 3)


def test_stop_ends_the_placards(clip: Path, source: RealTimeFileSource) -> None:
    frames = source._endless()
    take(frames, 3)
    clip.unlink()
    take(frames, 1)
    source.stop()
    assert len(take(frames, 100)) <= PLACARD_RATE


def test_rounds_are_one_frame_apart(source: RealTimeFileSource) -> None:
    seen = take(source._endless(), 9)
    assert [Fraction(f.pts) * f.time_base for f in seen] == [Fraction(i, 25) for i in range(9)]


def test_without_a_loop_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        RealTimeFileSource(tmp_path / "none.mp4", loop=True).open()
