"""The screen as a source, with a stand-in of mss: there is no desktop here."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import mss
import numpy as np
import pytest

from rtstyle.errors import SourceError
from rtstyle.sources import open_camera
from rtstyle.sources.screen import ScreenSource, is_screen


class Screens:
    """Two screens beside each other: the left one red, the right one blue."""

    monitors = (
        {"left": 0, "top": 0, "width": 3000, "height": 600},
        {"left": 0, "top": 0, "width": 1000, "height": 600},
        {"left": 1000, "top": 0, "width": 2000, "height": 500},
    )
    fails = False

    def __enter__(self) -> Screens:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def grab(self, area: dict[str, int]) -> Any:
        if self.fails:
            raise mss.ScreenShotError("XGetImage() failed")
        image = np.zeros((area["height"], area["width"], 4), np.uint8)
        image[:, : max(0, 1000 - area["left"])] = (0, 0, 255, 255)
        image[:, max(0, 1000 - area["left"]) :] = (255, 0, 0, 255)
        return SimpleNamespace(raw=image.tobytes(), width=area["width"], height=area["height"])


@pytest.fixture(autouse=True)
def screens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mss, "MSS", Screens, raising=False)


@pytest.mark.parametrize(
    ("camera", "size", "color"),
    [("screen", (1000, 600), (255, 0, 0)), ("screen:2", (1920, 480), (0, 0, 255))],
)
def test_a_screen_gives_its_picture(
    camera: str, size: tuple[int, int], color: tuple[int, int, int]
) -> None:
    with open_camera(camera, rate=200) as source:
        assert (source.width, source.height) == size
        frames = []
        for frame in source:
            frames.append(frame)
            if len(frames) == 3:
                source.stop()
    assert len(frames) == 3
    for frame in frames:
        assert frame.image.shape == (size[1], size[0], 3)
        assert np.array_equal(frame.image[0, 0], color)
    assert all(b.index > a.index and b.pts > a.pts for a, b in pairwise(frames))


def test_all_screens_together() -> None:
    with ScreenSource("screen:0") as source:
        image = next(iter(source)).image
    assert np.array_equal(image[0, 0], (255, 0, 0))
    assert np.array_equal(image[0, -1], (0, 0, 255))


def test_a_screen_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="This machine has 2"):
        ScreenSource("screen:3").open()


def test_a_desktop_that_shows_nothing_to_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Screens, "fails", True)
    with pytest.raises(SourceError, match="Wayland"):
        ScreenSource("screen").open()


def test_names() -> None:
    assert [is_screen(name) for name in ("screen", "Screen:0", "screen:12")] == [True] * 3
    assert not any(map(is_screen, ("screen:", "screen:x", "screencast", "my screen", "0")))
