from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from helpers import console
from helpers.media import write_clip

from rtstyle.testing import FakeSource

command = partial(console.command, "webcam", "--device", "cpu")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=10, rate=100)


@pytest.mark.slow
def test_headless_with_a_file_as_camera(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--camera", clip, "--style", "invert", "--no-window") == 0
    said = capsys.readouterr()
    frames, dropped = int(said.out.split()[0]), said.out.split(" dropped")[0].split()[-1]
    assert frames + int(dropped) == 10
    assert "latency p50" in said.out
    assert "clip.mp4: 96x64 at 100 FPS" in said.err


@pytest.mark.slow
def test_where_nothing_can_be_saved_the_picture_runs_all_the_same(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a desktop rtstyle is started in `/`: "The folder . cannot be written to"."""
    monkeypatch.setattr("os.access", lambda _, mode, **__: not mode & os.W_OK)
    words = ("--camera", clip, "--style", "identity", "--no-window", "--loop", "--frames", 3)
    assert command(*words) == 0
    assert command(*words, "--folder", tmp_path) == 2
    assert "cannot be written to" in capsys.readouterr().err


@pytest.mark.slow
def test_a_loop_ends_after_the_frames_asked_for(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--loop", "--frames", 25, "--no-window", "--style", "identity", "--mirror")
    assert command("--camera", clip, *words) == 0
    assert capsys.readouterr().out.startswith("25 frames")


@pytest.mark.slow
def test_the_test_pattern_in_a_window(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    words = ("--resolution", "64x48", "--fps", 100, "--frames", 5, "--style", "identity")
    assert command("--camera", "test", *words) == 0
    assert capsys.readouterr().out.startswith("5 frames")


@pytest.mark.slow
def test_closing_the_window_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pygame

    from rtstyle.sinks.window import WindowSink

    write = WindowSink.write

    def write_and_close(self: WindowSink, frame: object) -> None:
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        write(self, frame)  # type: ignore[arg-type]

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    monkeypatch.setattr(WindowSink, "write", write_and_close)
    assert command("--camera", "test", "--style", "identity", "--resolution", "64x48") == 0
    assert capsys.readouterr().out.startswith(("1 frame, ", "2 frames, "))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--camera", "63"], "camera 63"),
        (["--camera", "missing.mp4"], "missing.mp4 does not exist"),
        (["--camera", "test", "--no-window", "--style", "mosiac"], "mosaic"),
        (["--camera", "test", "--resolution", "big"], "--resolution big"),
        (["--camera", "test", "--resolution", "99999x9"], "Use up to 8192"),
        (["--camera", "test", "--no-window", "--record", "a.gif"], "a.gif is not a kind of video"),
        (["--camera", "test", "--no-window", "--record", "a.avi"], "Use one of .mp4"),
        (["--camera", "test", "--no-window", "--only", "dogs"], "--only dogs"),
        (["--camera", "test", "--no-window", "--target-fps", "0"], "--target-fps 0"),
        (["--camera", "test", "--no-window", "--fps", "0"], "--fps 0 is out of range"),
        (["--camera", "test", "--no-window", "--fps", "0.3"], "--fps 0.3 is out of range"),
        (["--camera", "test", "--no-window", "--fps", "nan"], "--fps nan is out of range"),
        (["--osc-out", "127.0.0.1:9001"], "--osc-out does nothing without --osc. Add --osc"),
        (["--osc-host", "0.0.0.0"], "--osc-host does nothing without --osc"),
        (["--control-host", "0.0.0.0"], "--control-host does nothing without --control"),
        (["--control-token", "secret"], "--control-token does nothing without --control"),
        (["--control-port", "0"], "--control-port does nothing without --control"),
        (["--no-window", "--full-screen"], "--full-screen does nothing without --window"),
        (["--no-window", "--display", "1"], "--display does nothing without --window"),
        (["--stream-bitrate", "500"], "--stream-bitrate does nothing without --stream"),
        (["--out-format", "y4m"], "--out-format does nothing without --out"),
        (
            ["--camera", "test", "--no-window", "--style", "identity", "--out", "a.nut"],
            "--out a.nut is not a pipe. Use - or a FIFO; --record is for files.",
        ),
        (["--camera", "test", "--no-window", "--height", "3"], "height"),
        (["--camera", "test", "--no-window", "--folder", "/nowhere/x"], "/nowhere/x"),
        (["--camera", "test", "--no-window", "--record", "/nowhere/x.mp4"], "/nowhere"),
        (["--camera", "test", "--no-window", "--record", "a.txt"], "a.txt"),
        (["--camera", "test", "--no-window", "--strength", "3"], "strength"),
    ],
)
def test_bad_options_are_one_line(
    words: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command(*words) != 0
    said = capfd.readouterr().err
    assert message in said
    assert "out_%05d" not in said
    assert said.count("\n") == 1


@pytest.mark.slow
def test_a_camera_that_hangs_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(index: int) -> None:
        if index == 1:
            assert released.wait(10)

    source = FakeSource(on_frame=hang)
    monkeypatch.setattr("rtstyle.commands.live.webcam_run.open_camera", lambda *_, **__: source)
    monkeypatch.setattr("rtstyle.pipeline.CAPTURE_PATIENCE", 0.01)
    assert command("--style", "identity", "--no-window", "--frames", 1) == 0
    assert source.closed == 0
    released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("rtstyle"):
            thread.join(10)


def test_no_screen_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.delenv("DISPLAY", raising=False)
    assert command("--camera", "test") != 0
    assert "--no-window" in capsys.readouterr().err


@pytest.mark.slow
def test_a_recording_at_half_the_cameras_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=40, rate=50)
    out = tmp_path / "out.mp4"
    words = ("--style", "identity", "--no-window", "--target-fps", 25, "--record", out)
    assert command("--camera", clip, *words) == 0
    assert f"recorded {out}" in capsys.readouterr().out
    with av.open(str(out)) as file:
        times = [float(frame.time or 0) for frame in file.decode(video=0)]
    # Some of the 20 may be late on a busy machine, but none can be early.
    assert 2 <= len(times) <= 21
    assert min(np.diff(times)) > 0.03


def test_an_existing_recording_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"mine")
    words = ("--resolution", "64x48", "--frames", 3, "--style", "identity", "--no-window")
    assert command("--camera", "test", *words, "--record", out) == 2
    assert "exists already" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"


@pytest.mark.slow
def test_every_key_of_the_window_in_a_real_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pygame

    from rtstyle.sinks.window import WindowSink

    keys = iter([*"np2+-cmosrh?", "space", "space", *"bbbrq"])
    write = WindowSink.write

    def write_and_press(self: WindowSink, frame: object) -> None:
        key = next(keys)
        code = pygame.K_SPACE if key == "space" else ord(key)
        text = "" if key == "space" else key
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=code, unicode=text))
        write(self, frame)  # type: ignore[arg-type]

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(WindowSink, "write", write_and_press)
    words = ("--resolution", "96x64", "--style", "identity", "--folder", tmp_path)
    assert command("--camera", "test", *words) == 0
    assert capsys.readouterr().out.startswith("19 frames")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".mp4", ".png"]


@pytest.mark.slow
def test_the_picture_goes_through_a_pipe(tmp_path: Path) -> None:
    words = ["--camera", "test", "--resolution", "64x48", "--fps", "100", "--frames", "8"]
    words += ["--style", "identity", "--no-window", "--out", "-", "--device", "cpu"]
    for kind, name in (("nut", "nut"), ("y4m", "yuv4mpegpipe")):
        file = tmp_path / f"a.{kind}"
        with file.open("wb") as out:
            done = subprocess.run(
                [sys.executable, "-m", "rtstyle", "webcam", *words, "--out-format", kind],
                stdout=out, stderr=subprocess.PIPE, check=False, text=True,
            )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "8 frames" in done.stderr
        with av.open(str(file), format=name) as video:
            assert sum(1 for _ in video.decode(video=0)) == 8


@pytest.mark.slow
def test_a_stream_and_a_display_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    words = ("--camera", "test", "--resolution", "64x48", "--style", "identity")
    assert command(*words, "--no-window", "--stream", "http://host/key") == 2
    said = capsys.readouterr().err
    assert "rtmp://" in said
    assert "key" not in said
    assert command(*words, "--display", 7) == 2
    assert "There is no display 7." in capsys.readouterr().err
    assert command(*words, "--full-screen", "--frames", 3) == 0


@pytest.mark.slow
def test_a_stream_without_a_server_does_not_hold_the_picture_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("--camera", "test", "--resolution", "64x48", "--fps", 60, "--frames", 120)
    url = "rtmp://127.0.0.1:9/live/key"
    assert command(*words, "--style", "identity", "--no-window", "--stream", url) == 0
    said = capsys.readouterr()
    assert said.out.startswith("120 frames")
    assert "key" not in said.err


@pytest.mark.slow
def test_sound_moves_the_strength(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtstyle.live.controls.board import Board

    asked: list[dict[str, float]] = []
    ask = Board.ask

    def noting(self: Board, changes: dict[str, float]) -> None:
        asked.append(changes)
        ask(self, changes)

    monkeypatch.setattr(Board, "ask", noting)
    sound = write_clip(tmp_path / "a.mkv", frames=50, sound="aac")
    (tmp_path / "show.toml").write_text('[react]\nmid = "strength"\n')
    words = ("--camera", "test", "--resolution", "64x48", "--fps", 60, "--frames", 60)
    words += ("--style", "identity", "--no-window", "--scenes", tmp_path / "show.toml")
    assert command(*words, "--react", sound) == 0
    # A tone of 440 Hz.
    assert max(changes["strength"] for changes in asked) > 0.9
    assert command(*words, "--react", tmp_path / "none.mp3") == 2
    assert "cannot be heard" in capsys.readouterr().err
