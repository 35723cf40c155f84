"""Which input is the line input."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import console

from rtstyle.errors import SourceError
from rtstyle.sources import line_input
from rtstyle.sources.line_input import find_line, inputs

PCM = """\
00-00: ALC257 Analog : ALC257 Analog : playback 1 : capture 1
00-03: HDMI 0 : HDMI 0 : playback 1
01-00: USB Audio : USB Audio : playback 1 : capture 1
01-02: Line In : Line In : capture 1
"""


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "pcm"
    path.write_text(PCM)
    return path


def test_on_linux_the_kernel_lists_it(listing: Path) -> None:
    assert find_line("linux", listing) == "plughw:1,2"
    assert [device for device, _ in inputs("linux", listing)] == [
        "plughw:0,0",
        "plughw:1,0",
        "plughw:1,2",
    ]


def test_without_one_the_inputs_are_named(listing: Path, tmp_path: Path) -> None:
    listing.write_text(PCM.replace("Line In", "Headline"))
    with pytest.raises(SourceError) as error:
        find_line("linux", listing)
    assert "ALC257 Analog (plughw:0,0)" in str(error.value)
    assert "--react line:DEVICE" in str(error.value)
    with pytest.raises(SourceError, match="nothing that records"):
        find_line("linux", tmp_path / "missing")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Microphone (USB)", "Line In (Realtek)"], "Line In (Realtek)"),
        (["Microphone", "Stereo Mix (Realtek)"], "Stereo Mix (Realtek)"),
        (["Microphone", "AUX"], "AUX"),
        (["Headline", "Online", "Mic"], None),
    ],
)
def test_elsewhere_by_the_names_of_the_devices(
    names: list[str], expected: str | None, monkeypatch: pytest.MonkeyPatch, listing: Path
) -> None:
    found: Any = [SimpleNamespace(name=name, description="") for name in names]
    monkeypatch.setattr(line_input, "listed", lambda _: found)
    if expected is None:
        with pytest.raises(SourceError):
            find_line("win32", listing)
    else:
        assert find_line("win32", listing) == expected


def test_a_webcam_without_a_line_input_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(line_input, "PCM", tmp_path / "missing")
    monkeypatch.setattr(line_input, "listed", lambda _: [])
    words = ("webcam", "--camera", "test", "--style", "invert", "--no-window", "--react", "line")
    assert console.command(*words) == 2
    said = capsys.readouterr().err
    assert "line input" in said.splitlines()[-1]
