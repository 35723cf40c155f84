"""Runs on a cluster for tests: what they are asked for, and what one machine makes of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.media import picture
from rtstyle.jobs.video import stylize_video
from rtstyle.report import Progress
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.styles.recipe import Recipe

INVERT = Recipe("invert", "fast")
OPTIONS: dict[str, Any] = {
    "start": None, "end": None, "rate": None, "side_by_side": False, "deinterlace": "auto",
    "background": "black", "encoding": Encoding(encoder="libx264"), "audio": True,
    "keep_location": False, "overwrite": False, "resume": False, "device": "openvino:cpu",
    "precision": "auto",
}  # fmt: skip


def alone(source: Path, output: Path, recipe: Recipe = INVERT) -> bytes:
    stylize_video(source, output, recipe, device="openvino:cpu", encoding=OPTIONS["encoding"])
    return output.read_bytes()


def scenes(width: int, height: int, index: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(index // 11)
    shot = np.kron(rng.integers(0, 255, (height // 16, width // 16, 3), np.uint8),
                   np.ones((16, 16, 1), np.uint8))  # fmt: skip
    shot[:16] = picture(width, height, index)[:16]
    return shot


def interrupt_at(frames: int) -> Callable[[Progress], None]:
    """Return what presses Ctrl-C once, when so many frames are done: a second one does not wait."""
    pressed: list[Progress] = []

    def watch(status: Progress) -> None:
        if status.frames_out >= frames and not pressed:
            pressed.append(status)
            os.kill(os.getpid(), signal.SIGINT)

    return watch
