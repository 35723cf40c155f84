"""What is said where the extra `stage` is not there, or has no MIDI."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from rtstyle.commands.common.extras import require_stage
from rtstyle.errors import MissingExtraError


@pytest.mark.parametrize(
    ("version", "missing", "said"),
    [
        ((3, 12), ("mido", "rtmidi"), r"extra `stage`.*Missing: mido, rtmidi"),
        ((3, 12), ("rtmidi",), r"Missing: rtmidi"),
        ((3, 13), ("rtmidi",), r"up to 3\.12 only"),
    ],
)
def test_the_message_names_what_helps(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], missing: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else object()
    )
    with pytest.raises(MissingExtraError, match=said):
        require_stage("--midi", "mido", "rtmidi")
    require_stage("--midi", "mss")
