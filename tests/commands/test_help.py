"""Help in groups that fits a screen, completion of values, and `rtstyle IN OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from helpers import console
from typer.testing import CliRunner

from rtstyle import cli
from rtstyle.commands.common import help as words
from rtstyle.commands.common.kind import command_for
from rtstyle.errors import UsageError

GROUP: Any = typer.main.get_command(cli.build_app())


def options(command: str) -> list[str]:
    params = GROUP.commands[command].params
    return [p.name for p in params if p.param_type_name == "option" and p.name != "help"]


@pytest.mark.parametrize("command", GROUP.commands)
def test_help_shows_few_options_in_groups(command: str) -> None:
    text = CliRunner().invoke(cli.build_app(), [command, "--help"]).stdout
    shown = [line for line in text.splitlines() if line.startswith("  -")]
    assert 0 < len(shown) <= words.MOST_VISIBLE
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("command", words.RARE)
@pytest.mark.slow
def test_all_options_are_there_under_help_all(command: str) -> None:
    few = CliRunner().invoke(cli.build_app(), [command, "--help"]).stdout
    result = CliRunner().invoke(cli.build_app(), [command, "--help-all"])
    assert result.exit_code == 0
    assert set(words.RARE[command]) <= set(options(command))
    for name in options(command):
        flag = next(p for p in GROUP.commands[command].params if p.name == name).opts[0]
        assert flag in result.stdout
        assert (f"  {flag} " in few) == (not words.hidden(command, name))


def test_commands_stand_in_chapters_that_exist() -> None:
    text = CliRunner().invoke(cli.build_app(), ["--help"]).stdout
    for chapter, names in words.CHAPTERS.items():
        assert f"{chapter}:" in text
        assert set(names) <= set(GROUP.commands)
    assert all(f"  {name} " in text for name in GROUP.commands)
    assert set(words.EXAMPLES) <= set(GROUP.commands)


def test_size_has_one_meaning() -> None:
    for command in GROUP.commands.values():
        for param in command.params:
            if "--size" in param.opts:
                assert any(word in param.help for word in ("etwork", "fast")), command.name


def test_values_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mountain.jpg").touch()
    (tmp_path / "more").mkdir()
    style = next(p for p in GROUP.commands["video"].params if p.name == "style")
    found = [item.value for item in style.shell_complete(None, "mo")]
    assert found == ["mosaic", "more/", "mountain.jpg"]
    codec = next(p for p in GROUP.commands["video"].params if p.name == "codec")
    assert [item.value for item in codec.shell_complete(None, "h")] == ["h264", "hevc"]


def test_input_and_output_are_enough(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.gif", "a.mov", "a.unknown", "photos/b.png", "clips/b.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for words_, command in (
        (("a.jpg", "b.png"), ["image"]),
        (("a.gif", "b.png"), ["image"]),
        (("a.gif", "b.mp4"), ["video"]),
        (("a.mov", "b.mp4"), ["video"]),
        (("a.unknown", "b.mp4"), ["video"]),
        (("photos", "b"), ["image"]),
        (("clips", "b"), ["video"]),
        (("missing.mp4", "b.mp4"), []),
    ):
        assert command_for([str(tmp_path / word) for word in words_]) == command
    assert command_for(["-", "out.mp4"]) == ["video"]
    assert command_for(["https://example.org/a.mp4", "out.mp4"]) == ["video"]
    assert command_for(["in_%05d.png", "out.mp4"]) == ["video"]
    (tmp_path / "clips" / "a.jpg").touch()
    with pytest.raises(UsageError, match="photos and videos"):
        command_for([str(tmp_path / "clips"), "b"])
    assert cli.completed(["video", "a", "b"]) == ["video", "a", "b"]
    assert cli.completed(["--help"]) == ["--help"]
    assert cli.completed([str(tmp_path / "a.jpg"), "b.png"])[0] == "image"


def test_a_photo_is_painted_without_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.new("RGB", (32, 24), (10, 200, 30)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    words = ("a.png", "b.png", "--style", "invert", "--size", "fast", "--device", "cpu")
    assert console.command(*words) == 0
    assert "b.png" in capsys.readouterr().out
    with Image.open("b.png") as painted:
        assert painted.getpixel((5, 5)) == (245, 55, 225)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--control", "9000"], ["--control", "--control-port", "9000"]),
        (["--control=9000", "--loop"], ["--control", "--control-port", "9000", "--loop"]),
        (["--control", "--fade", "1"], ["--control", "--fade", "1"]),
        (["--control", "loop"], ["--control", "loop"]),
        (["--fade", "1", "--control"], ["--fade", "1", "--control"]),
    ],
)
def test_a_number_after_control_is_its_port(given: list[str], meant: list[str]) -> None:
    assert words.spelled_out(given) == meant


def test_the_webcam_takes_a_port_after_control() -> None:
    webcam = GROUP.commands["webcam"]
    context = webcam.make_context("webcam", ["--control", "9000", "--style", "wave"])
    assert (context.params["control"], context.params["control_port"]) == (True, 9000)
