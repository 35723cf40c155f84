"""How one style gives way to the next: layers that are mixed until only the new one is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from rtstyle.frame import Image
from rtstyle.live.steady import SteadyPainter
from rtstyle.media.color import blend_linear, resize

MOST_LAYERS = 3
"""Models that paint at once, where the style is changed again in the middle of a transition."""
SOFT = 0.15
"""Width of the edge of a wipe, as a share of the picture's."""
ROOM = 0.8
"""Share of a budget that all layers may take in one frame: what they take differs by as much."""
LEAST_TURN = 0.2
"""Share of the turns that a layer gets at least, so that none is seen to stand still."""


@dataclass(eq=False)
class Layer:
    """A model, what it painted last, and how much of the picture before the transition it was.

    `model` holds those settings of a look that choose a model. `seconds` is what painting took,
    None before the first time. `steady` paints each frame over the last one, where that can be.
    """

    model: dict[str, Any]
    share: float = 1.0
    painted: Image | None = None
    seconds: float | None = None
    owed: float = 0.0
    steady: SteadyPainter | None = None


class Transition:
    """From what is shown to `new`, in `seconds` from the moment `began`.

    `kind` is `fade` or `wipe`. `before` are the layers that are shown, of which `shares` sum to 1.
    """

    def __init__(
        self, before: list[Layer], new: Layer, kind: str, seconds: float, began: float
    ) -> None:
        most = sorted(before, key=lambda layer: layer.share)[1 - MOST_LAYERS :]
        kept = [layer for layer in before if layer in most]
        whole = sum(layer.share for layer in kept)
        for layer in kept:
            layer.share /= whole
        self.layers, self.new = [*kept, new], new
        self.kind, self._seconds, self._began = kind, seconds, began

    def done(self, now: float) -> bool:
        """Return True if only the new layer is left."""
        return now >= self._began + self._seconds

    def progress(self, now: float) -> float:
        """Return how far it is, 0 to 1, slow at both ends."""
        t = min(1.0, max(0.0, (now - self._began) / self._seconds))
        return t * t * (3 - 2 * t)

    def interrupted(self, now: float) -> list[Layer]:
        """Return the layers with their shares of this moment, for a transition that follows."""
        t = self.progress(now)
        for layer in self.layers:
            layer.share = t if layer is self.new else layer.share * (1 - t)
        return [layer for layer in self.layers if layer.share > 0.0]

    def due(self, now: float, budget: float) -> list[Layer]:
        """Return the layers to paint for this frame: all that fit in `budget` seconds, or one.

        Each is taken to cost as much as the dearest: the first frame of a new style has no canvas
        and costs half of the next ones. Where not all fit they take turns, by how much of each is
        seen, so that the rate is that of one model: what is then shown of a layer is at most some
        frames old, under others.
        """
        fresh = [layer for layer in self.layers if layer.painted is None]
        known = [layer.seconds for layer in self.layers if layer.seconds is not None]
        if max(known, default=0.0) * len(self.layers) <= ROOM * budget:
            return list(self.layers)
        t = self.progress(now)
        for layer in self.layers:
            seen = t if layer is self.new else layer.share * (1 - t)
            layer.owed += max(LEAST_TURN, seen)
        chosen = fresh or [max(self.layers, key=lambda layer: layer.owed)]
        for layer in chosen:
            layer.owed = 0.0
        return chosen

    def compose(self, pictures: list[Image], now: float) -> Image:
        """Return the mix of the layers' pictures, (H, W, 3) uint8, in the order of `layers`.

        Those of other sizes are scaled to that of the newest.
        """
        rows, columns = pictures[-1].shape[:2]
        pictures = [resize(picture, rows, columns) for picture in pictures]
        old, weight = pictures[0], self.layers[0].share
        for layer, picture in zip(self.layers[1:-1], pictures[1:-1], strict=True):
            weight += layer.share
            old = _mixed(old, picture, layer.share / weight)
        t = self.progress(now)
        if self.kind == "wipe":
            return blend_linear(pictures[-1], old, wipe_weights(old.shape[:2], t))
        return _mixed(old, pictures[-1], t)


def wipe_weights(shape: tuple[int, ...], t: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return (H, W) float32, 1 where a wipe from left to right has come by; `t` is 0 to 1."""
    height, width = shape
    across = (np.arange(width, dtype=np.float32) + 0.5) / width
    row = np.clip((t * (1 + SOFT) - across) / SOFT, 0, 1).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(row, (height, width)))


def _mixed(old: Image, new: Image, share: float) -> Image:
    return np.asarray(cv2.addWeighted(old, 1 - share, new, share, 0.0), np.uint8)
