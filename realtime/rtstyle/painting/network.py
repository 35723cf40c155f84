"""A network that is ready to paint: the model of a style, and the engine that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.closeable import Closing
from rtstyle.engines import Engine
from rtstyle.engines.base import CANVAS_PORTS
from rtstyle.engines.canvas import empty
from rtstyle.frame import Image
from rtstyle.painting.canvas.laying import kept
from rtstyle.painting.masks import Weights
from rtstyle.painting.strokes import paint_coarse_first
from rtstyle.painting.upsampling import Upsampler
from rtstyle.styles.model import Model

MIN_SIDE = 16
"""The smallest picture side that the models take, in pixels; smaller ones are extended."""

WRAP = 96
"""Columns of the other edge that a 360-degree picture is painted with: no trained network reaches
farther (89), and the place of its strides stays the same."""


class Network(Closing):
    """A resolved model with its open engine. Use as a context manager, or call `close`.

    Up to `streams` threads may paint with it at once. `upsampler` enlarges what it paints.
    """

    def __init__(self, model: Model, engine: Engine, upsampler: Upsampler) -> None:
        self.model, self.engine, self.upsampler = model, engine, upsampler

    @classmethod
    def open(
        cls,
        model: Model,
        device: str = "auto",
        *,
        upsampler: Upsampler | None = None,
        **options: Any,
    ) -> Network:
        """Open the engine of a model; `options` are those of `rtstyle.engines.open_engine`.

        Several networks may share an `upsampler`: closing one leaves it usable. Raises
        `StyleError`, `DeviceError` or `EngineError`.
        """
        upsampler = upsampler or Upsampler(device, **options)
        return cls(model, model.open(device, **options), upsampler)

    def given(self, model: Model) -> Network:
        """Return a network that paints another model of the same files with the same engine.

        Closing either closes both.
        """
        return Network(model, self.engine, self.upsampler)

    @property
    def streams(self) -> int:
        """How many pictures may be painted at once."""
        return self.engine.streams

    @property
    def regions(self) -> int:
        """The number of styles."""
        return len(self.model.files if self.model.statistics is None else self.model.statistics)

    @property
    def applies_strength(self) -> bool:
        """Whether it mixes in the strength itself, in its features: networks for any picture do."""
        return self.model.statistics is not None

    @property
    def sees_canvas(self) -> bool:
        """Whether it sees what it has painted; see `rtstyle.painting.canvas`."""
        return set(self.engine.extras) >= CANVAS_PORTS

    @property
    def coherent(self) -> bool:
        """Whether it can paint over its last painting: `paint_over` serves it then.

        Networks that see a canvas can, and others for any picture by a plain mixture.
        """
        return self.sees_canvas or (self.model.statistics is not None and self.regions == 1)

    def paint_over(
        self, image: Image, extra: Mapping[str, NDArray[np.uint8]], strength: float = 1.0
    ) -> Image:
        """Paint (H, W, 3) once, at its own size, over a canvas as `Canvas.feeds` has it.

        `strength` is as in `paint`. Raises `EngineError`.
        """
        size = (image.shape[0], image.shape[1])
        feeds = self.model.feeds(self.engine, strength, size)
        if self.sees_canvas:
            return self.run(image, extra, feeds)
        painted = self.run(image, {}, feeds)
        return kept(painted, extra["canvas"][0], extra["trust"][0, :, :, 0])

    def paint(
        self,
        image: Image,
        strength: float = 1.0,
        weights: Weights | None = None,
        *,
        stroke_size: float = 1.0,
        wrap: bool = False,
    ) -> Image:
        """Return the painting of an (H, W, 3) uint8 RGB picture of any size, of the same shape.

        `strength` counts only where the network `applies_strength`, `weights` (K, H, W) only with
        K regions. `stroke_size` is how wide strokes are, as a factor of what is usual; see
        `strokes`. The canvas of a network that sees one is empty here. With `wrap` the left edge
        continues at the right one, as in 360-degree pictures. Raises `EngineError`.
        """
        height, width = image.shape[:2]
        image = extended(image, wrap)
        regions = extended(weights, wrap, 1) if weights is not None and self.regions > 1 else None

        def run(frame: Image, extra: Mapping[str, Any]) -> Image:
            size = (frame.shape[0], frame.shape[1])
            weights = None if regions is None else fitted(regions, size)
            return self.run(frame, extra, self.model.feeds(self.engine, strength, size, weights))

        def alone(frame: Image) -> Image:
            size = (frame.shape[0], frame.shape[1])
            return run(frame, empty(size).feeds() if self.sees_canvas else {})

        painted = paint_coarse_first(alone, self.upsampler, image, stroke_size)
        left = WRAP if wrap else 0
        return painted[:height, left : left + width]

    def run(
        self, image: Image, extra: Mapping[str, Any], feeds: Mapping[str, Any] | None = None
    ) -> Image:
        """Run the engine once on a picture with further inputs; `feeds` are the model's."""
        painted: Image = self.engine.run(
            np.ascontiguousarray(image)[None], {**(feeds or {}), **extra} or None
        )[0]
        return painted

    def close(self) -> None:
        """Free the engine; a second call does nothing."""
        self.engine.close()
        self.upsampler.close()


def fitted(weights: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the weights of regions (K, H, W) at another size (rows, columns)."""
    if weights.shape[1:] == size:
        return weights
    small = [cv2.resize(one, size[::-1], interpolation=cv2.INTER_AREA) for one in weights]
    return np.asarray(small, np.float32)


def extended(array: NDArray[Any], wrap: bool, axis: int = 0) -> NDArray[Any]:
    """Return an array of at least `MIN_SIDE` rows and columns (from `axis` on), and wrapped."""
    before, behind = [(0, 0)] * axis, [(0, 0)] * (array.ndim - axis - 2)
    below, right = (max(0, MIN_SIDE - side) for side in array.shape[axis : axis + 2])
    if below or right:
        array = np.pad(array, (*before, (0, below), (0, right), *behind), mode="edge")
    if wrap:
        array = np.pad(array, (*before, (0, 0), (WRAP, WRAP), *behind), mode="wrap")
    return array
