"""Several videos in one command: what is left out and told, watched folders, pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import console
from helpers.media import decode, number_of, write_clip
from PIL import Image

from rtstyle.commands.common import video_runs
from rtstyle.commands.common.video_runs import Batch, estimate, watch_folder
from rtstyle.errors import SinkError, UsageError
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.styles.recipe import Recipe

RECIPE = Recipe("identity", "fast")
OPTIONS: dict[str, Any] = {
    "device": "cpu", "precision": "auto", "start": None, "end": None, "rate": None, "audio": True,
    "encoding": Encoding(encoder="libx264"), "overwrite": False,
}  # fmt: skip


def run(*words: object) -> int:
    style = ["--style", "identity", "--size", "fast", "--device", "cpu", "--encoder", "libx264"]
    return console.command("video", *words, *style)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a", "b", "c"):
        write_clip(folder / f"{name}.mp4", frames=3)
    return folder


def test_a_folder_goes_on_with_what_is_not_painted(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(clips, out) == 0
    (out / "b.mp4").unlink()
    old = (out / "a.mp4").stat().st_mtime_ns
    capsys.readouterr()
    assert run(clips, out) == 0
    text = capsys.readouterr()
    assert "2 of 3 videos are painted already" in text.err
    assert "b.mp4" in text.out
    assert "a.mp4" not in text.out
    assert (out / "a.mp4").stat().st_mtime_ns == old
    assert run(clips, out, "--no-skip-existing") == 2
    assert "exists already" in capsys.readouterr().err
    assert run(clips, out, "--overwrite") == 0
    assert (out / "a.mp4").stat().st_mtime_ns > old


def test_an_animation_among_videos_does_without_the_settings_of_their_encoder(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    animation, out = clips / "d.gif", tmp_path / "out"
    write_gif(animation, 3)
    assert run(clips, out, "--crf", "30") == 0, capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == ["a.mp4", "b.mp4", "c.mp4", "d.gif"]
    assert run(animation, tmp_path / "alone.gif", "--crf", "30") == 2
    assert "not for GIF" in capsys.readouterr().err


def write_gif(path: Path, frames: int) -> None:
    pictures = [Image.new("RGB", (64, 48), (40 * n, 90, 200)) for n in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)


def test_one_video_is_refused_unless_it_is_to_be_skipped(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"mine")
    assert run(clips / "a.mp4", tmp_path / "out.mp4") == 2
    assert run(clips / "a.mp4", tmp_path / "out.mp4", "--skip-existing") == 0
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"


def test_both_sizes_are_told(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(clips / "a.mp4", tmp_path / "out.mp4") == 0
    assert "(source " in capsys.readouterr().out


def test_time_left_is_of_all_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    batch = Batch([10.0, None, 30.0], began=90.0)
    # An unknown length counts as the mean of the others.
    assert batch.left() == ""
    assert batch.left(0.5) == "0:01:50 left in all"
    batch.at = 2
    assert batch.left(0.0) == "0:00:10 left in all"
    assert batch.title("c.mp4") == "c.mp4 (3 of 3)"


def test_a_watched_folder_is_painted_as_it_fills(clips: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    looks = []

    def sleep(_seconds: float) -> None:
        looks.append(sorted(path.name for path in out.iterdir()))
        if len(looks) == 1:
            (folder / "a.mp4").write_bytes((clips / "a.mp4").read_bytes()[:200])
        elif len(looks) == 2:
            # Still growing: not to be touched.
            (folder / "a.mp4").write_bytes((clips / "a.mp4").read_bytes())
            (folder / "broken.mp4").write_bytes(b"nonsense")
            (folder / "notes.txt").write_text("hello")
        elif len(looks) == 6:
            raise KeyboardInterrupt

    assert watch_folder([folder], out, OPTIONS, RECIPE, sleep) == 130
    assert looks == [[], [], [], ["a.mp4"], ["a.mp4"], ["a.mp4"]]
    assert len(decode(out / "a.mp4")) == 3


def test_a_broken_file_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.mp4").write_bytes(b"nonsense")
    looks = []

    def sleep(_seconds: float) -> None:
        looks.append(1)
        if len(looks) == 5:
            raise KeyboardInterrupt

    watch_folder([tmp_path / "in"], tmp_path / "out", OPTIONS, RECIPE, sleep)
    assert capsys.readouterr().err.count("failed:") == 1


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_comes(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(SinkError, match="cannot be written to"):
        watch_folder([clips], tmp_path / "out", OPTIONS, RECIPE)


def test_what_cannot_be_watched(clips: Path, tmp_path: Path) -> None:
    for inputs, output in (([clips, clips], tmp_path / "o"), ([clips / "a.mp4"], tmp_path / "o")):
        with pytest.raises(UsageError, match="--watch"):
            watch_folder(inputs, output, OPTIONS, RECIPE)
    with pytest.raises(UsageError, match="is watched"):
        watch_folder([clips], clips, OPTIONS, RECIPE)


@pytest.mark.slow
def test_an_estimate_is_near_the_truth_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=150, sound="aac")
    frames, seconds, size = estimate(source, tmp_path / "trial.mp4", {**OPTIONS, "style": RECIPE})
    (tmp_path / "trial.mp4").unlink()
    assert frames == 150
    assert seconds > 0
    assert run(source, tmp_path / "out.mp4", "--estimate") == 0
    assert "150 frames, about" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
    assert run(source, tmp_path / "out.mp4") == 0
    truth = (tmp_path / "out.mp4").stat().st_size
    # Each second that is tried begins with a key frame.
    assert truth / 2 < size < 4 * truth


WRITER = """
import sys, av
sys.path.insert(0, sys.argv[1])
from helpers.media import picture
with av.open(sys.stdout.buffer, "w", format="matroska") as out:
    stream = out.add_stream("libx264", rate=25, options={"crf": "8"})
    stream.width, stream.height, stream.pix_fmt = 160, 64, "yuv420p"
    for index in range(300):
        frame = av.VideoFrame.from_ndarray(picture(160, 64, index))
        frame.pts = index
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
"""
READER = """
import sys, av
sys.path.insert(0, sys.argv[1])
from helpers.media import number_of
with av.open(sys.stdin.buffer) as source:
    for frame in source.decode(video=0):
        print(number_of(frame.to_ndarray(format="rgb24"), 10), frame.time)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no pipes between programs like these")
def test_a_pipe_of_three_programs_loses_no_frame() -> None:
    tests = str(Path(__file__).resolve().parents[1])
    paint = (
        "from rtstyle.cli import main; import sys; sys.argv = ['rtstyle', 'video', '-', '-', "
        "'--style', 'identity', '--size', 'fast', '--device', 'cpu', '--encoder', 'libx264'];"
        "main()"
    )
    with (
        subprocess.Popen([sys.executable, "-c", WRITER, tests], stdout=subprocess.PIPE) as writer,
        subprocess.Popen(
            [sys.executable, "-c", paint], stdin=writer.stdout, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ},
        ) as painter,
        subprocess.Popen(
            [sys.executable, "-c", READER, tests], stdin=painter.stdout, stdout=subprocess.PIPE
        ) as reader,
    ):  # fmt: skip
        assert writer.stdout is not None
        assert painter.stdout is not None
        writer.stdout.close()
        painter.stdout.close()
        text = reader.communicate()[0].decode()
    assert (writer.returncode, painter.returncode, reader.returncode) == (0, 0, 0)
    rows = [line.split() for line in text.splitlines()]
    assert [int(number) for number, _ in rows] == list(range(300))
    assert [float(moment) for _, moment in rows] == pytest.approx([i / 25 for i in range(300)])


def test_the_numbers_of_frames_can_be_read(clips: Path) -> None:
    assert [number_of(f.to_ndarray(format="rgb24"), 6) for f in decode(clips / "a.mp4")] == [
        0,
        1,
        2,
    ]
    assert video_runs.length_of(clips / "a.mp4") == pytest.approx(0.12, abs=0.05)
    assert video_runs.length_of("-") is None
