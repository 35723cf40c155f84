"""A picture in, the painted picture out."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtstyle import styles
from rtstyle.closing import Closing
from rtstyle.color import blend, resize, with_chroma_of
from rtstyle.engines import Engine, open_engine
from rtstyle.errors import UsageError
from rtstyle.frame import Image

MIN_SIDE = 16
"""The smallest picture side that the models take, in pixels; smaller ones are extended."""

MIN_HEIGHT, MAX_HEIGHT = 16, 8192
"""The range of `height`, in pixels."""


class Stylizer(Closing):
    """Paints pictures in one style. Use as a context manager, or call `close`.

    Up to `streams` threads may call it at once. `strength` (0 to 1) and `keep_color` may be
    changed between pictures.
    """

    def __init__(
        self,
        style: str = styles.DEFAULT_STYLE,
        size: str = styles.DEFAULT_SIZE,
        *,
        device: str = "auto",
        strength: float = 1.0,
        keep_color: bool = False,
        height: int | None = None,
        streams: int = 1,
        threads: int = 0,
        precision: str = "auto",
    ) -> None:
        """Open the model of a style.

        `style` is a built-in name or the path of an .onnx file. `height` scales every picture to
        that many rows before it is painted, the aspect kept and the width even. `device`,
        `streams`, `threads` and `precision` are those of `rtstyle.engines.open_engine`.

        Raises `UsageError` for a value out of range, `StyleError`, `DeviceError`, `EngineError`.
        """
        self.strength = strength
        self.keep_color = keep_color
        self.height = check_height(height)
        self.style, self.size = style, size
        self.engine: Engine = open_engine(
            styles.find_model(style, size),
            device,
            streams=streams,
            threads=threads,
            precision=precision,
        )
        self.streams = self.engine.streams

    @property
    def strength(self) -> float:
        """How much of the painting is mixed in: 0 is the picture itself, 1 the painting."""
        return self._strength

    @strength.setter
    def strength(self, value: float) -> None:
        if not 0.0 <= value <= 1.0:
            raise UsageError(f"A strength of {value} is out of range.", "", "Use 0 to 1.")
        self._strength = float(value)

    def __call__(self, image: Image) -> Image:
        """Paint an (H, W, 3) uint8 RGB picture of any size from 1x1 up.

        Returns a new array of the same size, or scaled to `height`. Raises `UsageError` for
        another shape or type and `EngineError` if the model fails.
        """
        image = self.scale(check_image(image))
        if self._strength == 0.0:
            return image.copy()
        return self.finish(image, self.paint(image))

    def scale(self, image: Image) -> Image:
        """Return `image` scaled to `height`, or as it is."""
        if self.height is None:
            return image
        return resize(image, self.height, scaled_width(image, self.height))

    def paint(self, image: Image) -> Image:
        """Run the network alone on an (H, W, 3) uint8 picture."""
        height, width = image.shape[:2]
        below, right = max(0, MIN_SIDE - height), max(0, MIN_SIDE - width)
        if below or right:
            image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
        painted: Image = self.engine.run(image[None])[0]
        return painted[:height, :width]

    def finish(self, source: Image, painted: Image) -> Image:
        """Apply `keep_color` and `strength`. May write into `painted`."""
        painted = np.ascontiguousarray(painted)
        if self.keep_color:
            painted = with_chroma_of(source, painted)
        if self._strength < 1.0:
            painted = blend(source, painted, self._strength)
        return painted

    def describe(self) -> str:
        """Return the style, the size, and what it runs on, for the user to read."""
        engine = self.engine
        name = engine.metadata.get("rtstyle.name", self.style)
        size = engine.metadata.get("rtstyle.size", self.size)
        streams = f", {engine.streams} streams" if engine.streams > 1 else ""
        return f"{name} ({size}) on {engine.name} {engine.device}, {engine.precision}{streams}"

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        self.engine.close()


def check_image(image: Any) -> Image:
    """Return `image` C-contiguous. Raises `UsageError` unless it is (H, W, 3) uint8."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = getattr(image, "dtype", type(image).__name__)
        raise UsageError(f"A picture is a uint8 array, not {found}.")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UsageError(f"A picture has the shape (H, W, 3), not {image.shape}.")
    return np.ascontiguousarray(image)


def check_height(height: int | None) -> int | None:
    """Return `height`. Raises `UsageError` outside `MIN_HEIGHT` to `MAX_HEIGHT`."""
    if height is not None and not MIN_HEIGHT <= height <= MAX_HEIGHT:
        raise UsageError(
            f"A height of {height} is out of range.", "", f"Use {MIN_HEIGHT} to {MAX_HEIGHT}."
        )
    return height


def scaled_width(image: Image, height: int) -> int:
    """Return the even width that keeps the aspect of `image` at `height` rows."""
    pairs = round(int(image.shape[1]) * height / int(image.shape[0]) / 2)
    return 2 * max(1, pairs)
