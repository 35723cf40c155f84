"""A disk that is full midway, at every sink: one clear error, and what was whole is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from helpers import console
from helpers.disk import full_after
from helpers.media import write_clip

from rtstyle.errors import RtstyleError, SinkError
from rtstyle.frame import Frame
from rtstyle.media.picture import Picture, write_picture
from rtstyle.pipeline import WAIT, Pipeline
from rtstyle.sinks.base import Sink
from rtstyle.sinks.gif import GifSink
from rtstyle.sinks.images import ImageSequenceSink
from rtstyle.sinks.recorder import RecorderSink
from rtstyle.sinks.video_file import VideoFileSink
from rtstyle.sinks.whole_fragments import cut_to_whole
from rtstyle.testing import FakeSink, FakeSource

FULL = 60_000
KINDS = ("mp4", "mov", "mkv", "webm")
HEIGHT, WIDTH = 64, 96


def noise(count: int) -> Iterator[Frame]:
    """Pictures that no codec makes small."""
    random = np.random.default_rng(0)
    for index in range(count):
        image = random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        yield Frame(image, index, index, Fraction(1, 25), 0.0)


def write_all(sink: Sink, frames: Iterator[Frame]) -> None:
    with sink:
        for frame in frames:
            sink.write(frame)


def decodable(path: Path) -> int:
    """Return how many frames there are, none of them damaged, up to a proper end."""
    with av.open(str(path)) as found:
        frames = list(found.decode(video=0))
    assert not any(frame.is_corrupt for frame in frames)
    return len(frames)


def parts(path: Path) -> int:
    """Return where the last whole part of a recording ends, as the file is now."""
    before = path.stat().st_size
    assert cut_to_whole(path) == 0
    return before


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_recording_ends_and_it_can_be_played(kind: str, tmp_path: Path) -> None:
    path, told = tmp_path / f"a.{kind}", list[SinkError]()
    recorder = RecorderSink(path, rate=Fraction(25), on_failure=told.append)
    shown = FakeSink()
    frames = list(noise(100))
    with full_after(FULL), recorder:
        for frame in frames:
            recorder.write(frame)
            shown.write(frame)
        assert recorder.recording is None
    assert len(shown.frames) == 100
    assert [error.what for error in told] == ["The recording ended early."]
    assert os.strerror(27) in told[0].why
    assert str(path) in told[0].todo
    assert recorder.paths == [path]
    assert 0 < parts(path) <= FULL
    # Half a second a fragment: all but the last is there.
    assert 0 < decodable(path) < 100


def test_a_second_recording_can_follow(tmp_path: Path) -> None:
    with RecorderSink(tmp_path / "a.mp4", rate=Fraction(25)) as recorder:
        with full_after(FULL):
            for frame in noise(60):
                recorder.write(frame)
        recorder.start(tmp_path / "b.mp4")
        for frame in noise(30):
            recorder.write(frame)
    assert decodable(tmp_path / "b.mp4") == 30
    assert len(recorder.paths) == 2


def test_full_from_the_first_byte_leaves_nothing(tmp_path: Path) -> None:
    with full_after(0), RecorderSink(tmp_path / "a.mp4", rate=Fraction(25)) as recorder:
        for frame in noise(30):
            recorder.write(frame)
    assert recorder.paths == []
    assert list(tmp_path.iterdir()) == []
    assert "Nothing of it is kept." in str(recorder.failures[0])


def test_the_live_run_goes_on(tmp_path: Path) -> None:
    recorder, shown = RecorderSink(tmp_path / "a.mp4", rate=Fraction(25)), FakeSink()
    source = FakeSource(50, width=WIDTH, height=HEIGHT)
    random = np.random.default_rng(0)

    def paint(image: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return random.integers(0, 256, image.shape, np.uint8)

    with full_after(FULL):
        report = Pipeline(source, paint, [recorder, shown], policy=WAIT).run()
    assert report.frames_out == len(shown.frames) == 50
    assert len(recorder.failures) == 1


@pytest.mark.slow
def test_webcam_tells_it_and_ends_with_an_error_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=40, rate=100)
    words = ("--device", "cpu", "--camera", clip, "--style", "identity", "--no-window")
    # However many a busy machine drops, so many are recorded.
    many = ("--loop", "--frames", 40)
    with full_after(2000):
        status = console.command("webcam", *words, *many, "--record", tmp_path / "a.mkv")
    said = capsys.readouterr()
    assert status == 2
    assert "The recording ended early." in said.err
    assert "Traceback" not in said.err
    assert "latency p50" in said.out


SINKS: dict[str, Callable[[Path], Sink]] = {
    **{kind: partial(lambda kind, path: VideoFileSink(path / f"a.{kind}"), kind) for kind in KINDS},
    "gif": lambda path: GifSink(path / "a.gif"),
    "png": lambda path: ImageSequenceSink(path / "out_%03d.png"),
    "jpg": lambda path: ImageSequenceSink(path / "out_%03d.jpg"),
}


@pytest.mark.parametrize("kind", SINKS)
def test_every_sink_ends_with_one_clear_error(kind: str, tmp_path: Path) -> None:
    sink = SINKS[kind](tmp_path)
    # A picture by itself is small: the disk is full at the first one.
    limit = 3000 if kind in ("png", "jpg") else FULL
    with full_after(limit), pytest.raises(RtstyleError) as caught:
        write_all(sink, noise(100))
    assert "cannot be written to its end: files may have" in str(caught.value)
    # A film of 100 pictures has some before the limit.
    assert ("is kept as" in str(caught.value)) == (kind not in ("png", "jpg"))
    # What is left, if anything, is a partial output under a name that can be seen, and plays.
    for left in tmp_path.iterdir():
        assert ".partial" in left.name
        assert decodable(left) > 0


def test_an_old_output_survives(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with full_after(FULL), pytest.raises(RtstyleError):
        write_all(VideoFileSink(path), noise(100))
    assert path.read_bytes() == b"old"


def test_a_snapshot_ends_with_one_clear_error(tmp_path: Path) -> None:
    picture = Picture(next(noise(1)).image)
    with full_after(3000), pytest.raises(SinkError):
        write_picture(picture, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [1, 7, 500, 5000])
def test_what_is_not_whole_at_the_end_is_cut(kind: str, missing: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    with RecorderSink(path, rate=Fraction(25)) as recorder:
        for frame in noise(60):
            recorder.write(frame)
    whole = path.read_bytes()
    path.write_bytes(whole[:-missing])
    cut_to_whole(path)
    assert path.read_bytes() == whole[: path.stat().st_size]
    assert decodable(path) > 0
    assert cut_to_whole(path) == 0


@pytest.mark.parametrize("content", [b"", b"x", b"\x1a\x45\xdf\xa3", bytes(100), b"\xff" * 100])
def test_what_is_no_recording_is_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert cut_to_whole(path) == 0
    assert path.read_bytes() == content
