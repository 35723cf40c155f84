from __future__ import annotations

from pathlib import Path

import pytest
from media import write_clip

from rtstyle import cli


def command(*words: object) -> int:
    """Run the command line in this process and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["rtstyle", "webcam", "--device", "cpu", *map(str, words)])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=10, rate=100)


def test_headless_with_a_file_as_camera(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--camera", clip, "--style", "invert", "--no-window") == 0
    said = capsys.readouterr()
    frames, dropped = int(said.out.split()[0]), said.out.split(" dropped")[0].split()[-1]
    assert frames + int(dropped) == 10
    assert "latency p50" in said.out
    assert "clip.mp4: 96x64 at 100 FPS" in said.err


def test_a_loop_ends_after_the_frames_asked_for(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--loop", "--frames", 25, "--no-window", "--style", "identity", "--mirror")
    assert command("--camera", clip, *words) == 0
    assert capsys.readouterr().out.startswith("25 frames")


def test_the_test_pattern_in_a_window(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    words = ("--resolution", "64x48", "--fps", 100, "--frames", 5, "--style", "identity")
    assert command("--camera", "test", *words) == 0
    assert capsys.readouterr().out.startswith("5 frames")


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
    assert capsys.readouterr().out.startswith(("1 frames", "2 frames"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--camera", "63"], "camera 63"),
        (["--camera", "missing.mp4"], "missing.mp4 does not exist"),
        (["--camera", "test", "--no-window", "--style", "mosiac"], "mosaic"),
        (["--camera", "test", "--resolution", "big"], "--resolution big"),
        (["--camera", "test", "--no-window", "--strength", "3"], "strength"),
    ],
)
def test_bad_options_are_one_line(
    words: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command(*words) != 0
    said = capfd.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_no_screen_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.delenv("DISPLAY", raising=False)
    assert command("--camera", "test") != 0
    assert "--no-window" in capsys.readouterr().err
