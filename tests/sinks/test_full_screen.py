"""The window on a real X server (Xvfb), without a window manager, as in a kiosk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no Xvfb")
WIDE, HIGH = 800, 600
"""Of the screen: of the same shape as the picture, so that all of it is covered."""

# SDL keeps its display for the life of a process, so each test has one of its own. The screen is
# read by `--camera screen`, which is tested with it.
SHOW = """
import json, sys, time
from fractions import Fraction
import numpy as np
from rtstyle.frame import Frame
from rtstyle.sinks.window import WindowSink
from rtstyle.sources.screen import ScreenSource

image = np.full((240, 320, 3), 128, np.uint8)
image[:120, :160], image[:120, 160:] = (255, 0, 0), (0, 255, 0)
image[120:, :160], image[120:, 160:] = (0, 0, 255), (255, 255, 0)

def corners():
    # The server shows it when it has come to it.
    for number in range(50):
        window.write(Frame(image, number, number, Fraction(1, 30), 0.0))
    with ScreenSource("screen") as screen:
        seen = next(iter(screen)).image
    rows, columns = (2, seen.shape[0] - 3), (2, seen.shape[1] - 3)
    return [seen[row, column].tolist() for row in rows for column in columns]

filled = sys.argv[1] == "filled"
window = WindowSink(full_screen=filled)
found = [corners()]
if not filled:
    for on in (True, False):
        window.fill_screen(on)
        found.append(corners())
window.close()
print(json.dumps(found))
"""
BLACK = [[0, 0, 0]] * 4
ALL_OF_IT = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]]


@pytest.fixture
def display() -> Iterator[str]:
    """Yield the name of a display of its own."""
    end, given = os.pipe()
    words = ["Xvfb", "-displayfd", str(given), "-screen", "0", f"{WIDE}x{HIGH}x24"]
    words += ["-nolisten", "tcp"]
    with subprocess.Popen(words, pass_fds=[given], stderr=subprocess.DEVNULL) as server:
        os.close(given)
        with os.fdopen(end) as told:
            number = told.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
        server.terminate()


def shown(display: str, how: str) -> list[list[list[int]]]:
    """Return the corners of the screen after each step."""
    environment = {**os.environ, "DISPLAY": display, "SDL_VIDEODRIVER": "x11"}
    done = subprocess.run(
        [sys.executable, "-c", SHOW, how], env=environment, capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    found: list[list[list[int]]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_the_picture_covers_the_screen_from_the_start(display: str) -> None:
    assert shown(display, "filled") == [ALL_OF_IT]


@pytest.mark.slow
def test_a_window_covers_the_screen_and_comes_back(display: str) -> None:
    assert shown(display, "window") == [BLACK, ALL_OF_IT, BLACK]
