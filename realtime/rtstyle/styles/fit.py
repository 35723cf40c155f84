"""Fits the vector of a painting to it: its networks then paint more like it.

The `style` file tells a painting's numbers at one glance. Here they follow the gradient of how
unlike the painting and unlike the frame a painted frame is, as pixels do in Gatys et al. 2016:
some hundred numbers in place of all pixels, once for each painting. The gradient is a model file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.engines.base import EngineOptions, first_line, read_model
from rtstyle.engines.devices import cpu_count
from rtstyle.errors import EngineError
from rtstyle.frame import Image
from rtstyle.samples import sample_frames
from rtstyle.styles import manifest
from rtstyle.styles.watching import tell

Numbers: TypeAlias = NDArray[np.float32]
Feeds: TypeAlias = dict[str, NDArray[Any]]

STEPS = 16
"""Where the file of the gradient does not tell."""
LEARNING_RATE = 0.05
BETAS = (0.9, 0.9)
"""Of Adam (Kingma and Ba 2015). The second is low, as there are few steps."""
FRAMES = 6
"""Pictures of the bundled clip on which it is tried how a vector paints, in turn."""
PART, EYE = "refine", "vgg"
"""The files: the gradient, and what VGG-19 sees in a picture."""
DEEPEST, STRIDE = "relu4_1", 8
"""Where content is compared, and how many pixels one of its rows is."""


def available(size: str) -> bool:
    """Return True if the network of a size has the files that this takes."""
    known = manifest.load_manifest().any.get(manifest.any_size(size), {})
    return PART in known and EYE in known


def refine(
    numbers: Numbers,
    painting: Image,
    size: str,
    *,
    name: str = "",
    threads: int = 0,
    stopped: Callable[[], bool] = lambda: False,
) -> Numbers | None:
    """Return the vector (M,) of (H, W, 3) uint8 `painting`, sides from 32, fitted to it.

    `name` is for who watches (`watched`). See `fit`. Raises `StyleError` or `EngineError`.
    """
    eye, gradient = (manifest.find_any(part, size).path for part in (EYE, PART))
    return fit(numbers, painting, eye, gradient, name=name, threads=threads, stopped=stopped)


def fit(
    numbers: Numbers,
    painting: Image,
    eye_file: Path,
    gradient_file: Path,
    *,
    name: str = "",
    threads: int = 0,
    stopped: Callable[[], bool] = lambda: False,
) -> Numbers | None:
    """`refine` with model files: `EYE` and `PART`.

    The vector is as it was if nothing made it better. None once `stopped` says so. `threads` 0
    means every core. Raises `EngineError`.
    """
    # Few runs fit a painting, and ONNX Runtime takes 0.05 s to import.
    from rtstyle.engines.onnxrt import open_session

    options = EngineOptions(threads=threads or cpu_count())
    eye, gradient = (open_session(read_model(f), options) for f in (eye_file, gradient_file))
    ports = {port.name: port.shape for port in gradient.get_inputs()}
    metadata = gradient.get_modelmeta().custom_metadata_map
    steps = int(metadata.get("rtstyle.steps", STEPS))
    layers = [port.name for port in eye.get_outputs() if port.name in ports]
    goal = _run(eye, ["statistics"], {"image": painting[None]})[0]
    views: list[Feeds] = []
    for frame in _frames(STRIDE * int(ports[DEEPEST][2])):
        seen = _run(eye, layers, {"image": frame[None]})
        known = {"image": frame[None], "goal": goal, **dict(zip(layers, seen, strict=True))}
        views.append({name: value for name, value in known.items() if name in ports})

    objectives: list[float] = []

    def slope(vector: Numbers, step: int) -> Numbers:
        tell(name, len(objectives), steps)
        feeds = {**views[step % FRAMES], "numbers": vector[None]}
        objective, found = _run(gradient, ["objective", "gradient"], feeds)
        objectives.append(float(objective))
        return np.asarray(found[0], np.float32)

    try:
        fitted = descend(numbers, slope, stopped, steps)
        if fitted is None:
            return None
        # On the first frame again; not where it is not a number either.
        slope(fitted, 0)
        return fitted if objectives[-1] < objectives[0] else numbers
    finally:
        tell(name, steps, steps)


def descend(
    start: Numbers,
    slope: Callable[[Numbers, int], Numbers],
    stopped: Callable[[], bool] = lambda: False,
    steps: int = STEPS,
) -> Numbers | None:
    """Follow `slope`, of a vector (M,) and the number of the step, for `steps` steps of Adam.

    The step width falls as a cosine. None once `stopped` says so.
    """
    vector = start.astype(np.float32)
    mean, square = np.zeros_like(vector), np.zeros_like(vector)
    for step in range(steps):
        if stopped():
            return None
        found = slope(vector, step)
        mean += (1 - BETAS[0]) * (found - mean)
        square += (1 - BETAS[1]) * (found * found - square)
        even = [1 - beta ** (step + 1) for beta in BETAS]
        rate = LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
        vector = vector - rate * (mean / even[0]) / (np.sqrt(square / even[1]) + 1e-8)
    return vector


def _run(session: Any, outputs: list[str], feeds: Feeds) -> list[NDArray[Any]]:
    from rtstyle.engines.onnxrt import run_session

    try:
        return run_session(session, outputs, feeds)
    except Exception as error:
        raise EngineError("The painting cannot be studied.", first_line(error)) from error


@lru_cache(maxsize=2)
def _frames(side: int) -> tuple[Image, ...]:
    """Squares of the bundled clip, from its left, middle and right in turn."""
    found = []
    for number, frame in enumerate(sample_frames(FRAMES)):
        height, width = frame.shape[:2]
        left = (width - height) * (number % 3) // 2
        square = np.ascontiguousarray(frame[:, left : left + height])
        small = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
        found.append(np.asarray(small, np.uint8))
    return tuple(found)
