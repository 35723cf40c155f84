"""Keyframes handed out as the canvas of the frames that they were painted of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from rtstyle.errors import UsageError
from rtstyle.jobs.keyframe_canvas import KeyframeCanvas


def write_folder(folder: Path, times: list[float], missing: frozenset[int] = frozenset()) -> Path:
    folder.mkdir()
    rows = []
    for number, time in enumerate(times, 1):
        name = f"key_{number:05d}.png"
        rows.append({"file": name, "time": time, "frame": 0, "shot": 0, "done": True})
        if number not in missing:
            picture = np.full((8, 12, 3), number, np.uint8)
            Pillow.fromarray(picture).save(folder / name)
    (folder / "index.json").write_text(json.dumps({"keyframes": rows}))
    return folder


def test_each_keyframe_goes_with_its_own_frame_only(tmp_path: Path) -> None:
    canvas = KeyframeCanvas(write_folder(tmp_path / "keys", [0.0, 0.4, 1.2]))
    found = {}
    for frame in range(40):
        picture = canvas.at(frame / 25)
        if picture is not None:
            found[frame] = int(picture[0, 0, 0])
    assert found == {0: 1, 10: 2, 30: 3}
    assert canvas.used == 3


def test_keyframes_before_the_start_are_passed_over(tmp_path: Path) -> None:
    canvas = KeyframeCanvas(write_folder(tmp_path / "keys", [0.0, 0.4, 1.2]))
    found = [canvas.at(1 + frame / 25) is not None for frame in range(10)]
    assert [frame for frame, there in enumerate(found) if there] == [5]


def test_pictures_that_are_not_painted_yet_are_left_out(tmp_path: Path) -> None:
    canvas = KeyframeCanvas(write_folder(tmp_path / "keys", [0.0, 0.4], missing=frozenset({1})))
    assert canvas.at(0.0) is None
    assert canvas.at(0.4) is not None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "holds no keyframes"),
        ("{}", "is not an index of keyframes"),
        ("nonsense", "is not an index of keyframes"),
        ('{"keyframes": []}', "holds no keyframes"),
        ('{"keyframes": [{"file": "../secret.png", "time": 0}]}', "holds no keyframes"),
        ('{"keyframes": [{"file": "key_00001.png", "time": "soon"}]}', "is not an index"),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, content: str | None, why: str) -> None:
    if content is not None:
        (tmp_path / "index.json").write_text(content)
    with pytest.raises(UsageError, match=why):
        KeyframeCanvas(tmp_path)
