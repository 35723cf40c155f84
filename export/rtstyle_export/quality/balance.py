"""How much of a canvas a trained network should keep: as much as leaves its strokes sharp.

Training finds one balance of steadiness and fresh strokes for each painting. Where it keeps too
much, moves by parts of a pixel soften what is painted from frame to frame, fine dots most of all.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from rtstyle.engines.canvas import empty
from rtstyle.frame import Image
from rtstyle.painting.canvas.coherence import CoherentPainter, Run
from rtstyle.samples import sample_clip
from rtstyle.sources import open_video
from rtstyle_export.networks.canvas import CanvasNet
from rtstyle_export.onnx_files.canvas import FoldedCanvasNet
from rtstyle_export.quality.coherence import sharpness

FIRST, COUNT = 20, 10
"""The frames of the bundled clip that are painted: fur and leaves that move by parts of a pixel."""
SEEN = slice(4, None, 2)
"""Those of them that are compared: what is lost is lost within the first ones."""
SHARP = 0.8
"""Sharpness over the canvas over that frame by frame that is aimed at. On other clips, of hand-held
cameras, that is 0.9 and a style loss of 1.0 to 1.2 times."""
LEAST, MOST, STEPS = 0.5, 2.0, 4
"""The trusts between which it is sought, and in how many halvings."""


def balanced_trust(net: CanvasNet) -> float:
    """Return the factor of trust with which a network of one style stays sharp enough.

    It lies in `LEAST` to `MOST`, see `CanvasNet.trust_more`. Takes some seconds.
    """
    frames = clip_frames()
    alone = runner(net, 1.0)
    size = (frames[0].shape[0], frames[0].shape[1])
    goal = SHARP * mean_sharpness([alone(frame, empty(size).feeds()) for frame in frames[SEEN]])

    def is_sharp(trust: float) -> bool:
        return mean_sharpness(over_canvas(runner(net, trust), frames)[SEEN]) >= goal

    low, high = math.log(LEAST), math.log(MOST)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_sharp(math.exp(middle)) else (low, middle)
    return round(math.exp((low + high) / 2), 2)


def clip_frames() -> list[Image]:
    """Return the frames that are painted, (H, W, 3) uint8."""
    found = []
    with open_video(sample_clip()) as source:
        for frame in source:
            if frame.index >= FIRST:
                found.append(frame.image)
            if len(found) == COUNT:
                break
    return found


def runner(net: CanvasNet, trust: float) -> Run:
    """Return what paints a frame with a network that keeps `trust` times as much of a canvas."""
    trusting = copy.deepcopy(net).eval()
    trusting.trust_more(trust)
    folded = FoldedCanvasNet(trusting)

    def run(image: Image, extra: Mapping[str, NDArray[np.uint8]]) -> Image:
        given = (torch.from_numpy(x) for x in (image[None], extra["canvas"], extra["trust"]))
        with torch.inference_mode():
            painted: Image = folded(*given)[0].numpy()
        return painted

    return run


def over_canvas(run: Run, frames: list[Image]) -> list[Image]:
    """Paint the frames of a clip, each over the one before."""
    painter = CoherentPainter(run, lambda _, painted: painted)
    return [painter.paint(image, painter.prepare(image, n)) for n, image in enumerate(frames)]


def mean_sharpness(pictures: list[Image]) -> float:
    """Return the mean of `sharpness` over pictures."""
    return float(np.mean([sharpness(picture) for picture in pictures]))
