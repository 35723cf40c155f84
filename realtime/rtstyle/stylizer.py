"""A picture in, the painted picture out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rtstyle import styles
from rtstyle.adain import Model, blend_models, resolve, resolve_sweep
from rtstyle.closing import Closing
from rtstyle.color import Colours, blend, blend_linear, resize, with_chroma_of
from rtstyle.engines import Engine
from rtstyle.engines.base import CANVAS_PORTS
from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.limits import MAX_PIXELS
from rtstyle.painting.canvas import NO_MOTION
from rtstyle.painting.coherence import CoherentPainter, levels
from rtstyle.painting.coherence import paint as paint_levels
from rtstyle.regions import StillMask, Weights, even_greys, read_mask, weigh

MIN_SIDE = 16
"""The smallest picture side that the models take, in pixels; smaller ones are extended."""

MIN_HEIGHT, MAX_HEIGHT = 16, 8192
"""The range of `height`, in pixels."""

WRAP = 96
"""Columns of the other edge that a 360-degree picture is painted with: no trained network reaches
farther (89), and the place of its strides stays the same."""


class Stylizer(Closing):
    """Paints pictures in one style. Use as a context manager, or call `close`.

    Up to `streams` threads may call it at once. `strength` (0 to 1) and `keep_color` may be
    changed between pictures. `model` is what is run, `regions` the number of styles in it. With
    `wrap` the left edge goes on at the right one, as in 360-degree pictures.
    """

    def __init__(
        self,
        style: str | Sequence[str] = styles.DEFAULT_STYLE,
        size: str = styles.DEFAULT_SIZE,
        *,
        device: str = "auto",
        strength: float = 1.0,
        keep_color: bool = False,
        height: int | None = None,
        style_scale: float = 1.0,
        mask: Path | str | Image | None = None,
        sweep: str | None = None,
        regional: bool = False,
        match_color: bool = False,
        stroke_size: float = 1.0,
        streams: int = 1,
        threads: int = 0,
        precision: str = "auto",
    ) -> None:
        """Open the model of a style.

        `style` is a built-in name, the path of an .onnx file or of a picture, a blend
        (`a.jpg:0.7,b.jpg:0.3`), or several of these, one for each region of `mask`: a picture
        file or an (H, W, 3) uint8 array of flat colours, dark to light (`rtstyle.regions`). With
        one style and a mask, what is white in the mask is painted. `regional` announces that a
        mask comes with each call. `style_scale` enlarges the strokes of pictures; `sweep`, as
        `a.jpg..b.jpg`, takes the place of `style` and is followed by the argument `at` of the
        call. `match_color` gives paintings the colours of the first picture (see `match`).
        `stroke_size` (0.25 to 4) is how wide the strokes of a network that sees a canvas are.
        `height` scales every picture to that many rows before it is painted, the aspect kept and
        the width even. `device`, `streams`, `threads` and `precision` are those of
        `rtstyle.engines.open_engine`.

        Raises `UsageError` for a value out of range, `StyleError`, `DeviceError`, `EngineError`.
        """
        self.strength = strength
        self.keep_color = keep_color
        self.wrap = False
        levels((MIN_SIDE, MIN_SIDE), stroke_size)
        self.stroke_size = stroke_size
        self.height = check_height(height)
        names = [style] if isinstance(style, str) else list(style)
        self.style, self.size = sweep or " | ".join(names), size
        self._ends: tuple[Model, Model] | None = None
        regional = regional or mask is not None
        check_styles(names, sweep is not None, regional)
        self._open: Callable[..., Model]
        if sweep is not None:
            self._ends = resolve_sweep(sweep, size, style_scale)
            self.model = self._ends[0]
        else:
            one = names[0] if len(names) == 1 else tuple(names)
            self._open = partial(resolve, one, size, style_scale)
            self.model = self._open()
        if match_color:
            check_match(None if sweep is not None else self.model)
        self.match_color, self._matched = match_color, not match_color
        self._matching = threading.Lock()
        self.regions = len(names)
        self._mask = None if mask is None else open_mask(mask, self.regions)
        self.engine: Engine = self.model.open(
            device, streams=streams, threads=threads, precision=precision
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

    def __call__(self, image: Image, *, at: float = 0.0, mask: Image | None = None) -> Image:
        """Paint an (H, W, 3) uint8 RGB picture of any size from 1x1 up.

        `at` (0 to 1) is the place in a sweep, `mask` a frame of a mask video, whose regions are
        grey levels from black to white (`rtstyle.regions.even_greys`).

        Returns a new array of the same size, or scaled to `height`. Raises `UsageError` for
        another shape or type and `EngineError` if the model fails.
        """
        image = self.scale(check_image(image))
        if not self._matched:
            with self._matching:
                if not self._matched:
                    self.match(image)
        if self._strength == 0.0:
            return image.copy()
        weights = self.weights(image, mask)
        return self.finish(image, self.paint(image, weights, at), weights)

    def match(self, image: Image) -> None:
        """Give the paintings the colours of (H, W, 3) uint8 `image`, from now on.

        Gatys et al. 2016b, section 3.1: the style is recoloured before it is encoded.
        """
        self.model = self._open(colours=Colours.of(image))
        self._matched = True

    def scale(self, image: Image) -> Image:
        """Return `image` scaled to `height`, or as it is."""
        if self.height is None:
            return image
        width = scaled_width(image, self.height)
        if self.height * width > MAX_PIXELS:
            raise UsageError(
                f"At a height of {self.height} the picture would be {width} pixels wide.",
                f"It may have {MAX_PIXELS // 10**6} megapixels.",
                "Pass a smaller --height.",
            )
        return resize(image, self.height, width)

    def weights(self, image: Image, mask: Image | None = None) -> Weights | None:
        """Return the weights of the regions at the size of `image`, None without a mask.

        With one style there are two regions: what stays, and what is painted.
        """
        height, width = image.shape[:2]
        if mask is not None:
            return weigh(mask, even_greys(max(2, self.regions)), height, width)
        return None if self._mask is None else self._mask.weights(height, width)

    def paint(self, image: Image, weights: Weights | None = None, at: float = 0.0) -> Image:
        """Run the network alone on an (H, W, 3) uint8 picture."""
        height, width = image.shape[:2]
        below, right = max(0, MIN_SIDE - height), max(0, MIN_SIDE - width)
        if below or right:
            image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
        if weights is not None and (below or right):
            weights = np.pad(weights, ((0, 0), (0, below), (0, right)), mode="edge")
        if self.wrap:
            image = np.pad(image, ((0, 0), (WRAP, WRAP), (0, 0)), mode="wrap")
            if weights is not None:
                weights = np.pad(weights, ((0, 0), (0, 0), (WRAP, WRAP)), mode="wrap")
        model = self.model if self._ends is None else blend_models(*self._ends, at)
        regions = weights if self.regions > 1 else None
        feeds = model.feeds(self.engine, self._strength, image.shape[:2], regions)
        if self.sees_canvas:
            # At first at fewer rows: strokes grow with the picture.
            painted = paint_levels(
                partial(self._run, feeds), image, NO_MOTION, (), stroke_size=self.stroke_size
            )[-1]
        else:
            painted = self._run(feeds, image, {})
        left = WRAP if self.wrap else 0
        return painted[:height, left : left + width]

    def _run(
        self, feeds: Mapping[str, Any] | None, image: Image, extra: Mapping[str, Any]
    ) -> Image:
        painted: Image = self.engine.run(image[None], {**(feeds or {}), **extra} or None)[0]
        return painted

    @property
    def sees_canvas(self) -> bool:
        """Whether the network sees what it has painted; see `rtstyle.painting.canvas`."""
        return set(self.engine.extras) >= CANVAS_PORTS

    def coherent(self, coherence: float = 1.0) -> CoherentPainter | None:
        """Return a painter of frames that follow each other, None where there can be none.

        `coherence` (0 to 1) is the trust in what was painted before. A painter serves one clip.
        Raises `UsageError` for a value out of range.
        """
        if not self.sees_canvas or self.wrap:
            return None
        run = partial(self._run, None)
        return CoherentPainter(run, stroke_size=self.stroke_size, coherence=coherence)

    def finish(self, source: Image, painted: Image, weights: Weights | None = None) -> Image:
        """Apply `keep_color`, `strength` and the mask of a single style. May write into `painted`.

        Networks for any style have applied the strength themselves, to their features.
        """
        painted = np.ascontiguousarray(painted)
        if self.keep_color:
            painted = with_chroma_of(source, painted)
        if self._strength < 1.0 and self.model.statistics is None:
            painted = blend(source, painted, self._strength)
        if weights is not None and self.regions == 1:
            painted = blend_linear(painted, source, weights[1])
        return painted

    def describe(self) -> str:
        """Return the style, the size, and what it runs on, for the user to read."""
        engine = self.engine
        trained = self.model.statistics is None
        name = engine.metadata.get("rtstyle.name", self.style) if trained else self.style
        size = engine.metadata.get("rtstyle.size", self.size)
        streams = f", {engine.streams} streams" if engine.streams > 1 else ""
        return f"{name} ({size}) on {engine.name} {engine.device}, {engine.precision}{streams}"

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        self.engine.close()


def check_styles(names: Sequence[str], sweep: bool, regional: bool) -> None:
    """Raise `UsageError` unless the number of styles goes with a sweep or a mask."""
    if not names:
        raise UsageError("There is no style to paint with.")
    if sweep and (len(names) > 1 or regional):
        raise UsageError("A sweep goes over the whole picture.", "", "Leave the mask out.")
    if len(names) > 1 and not regional:
        raise UsageError(
            f"{len(names)} styles were given, but no mask.",
            "",
            'Add --mask, or blend them: --style "a.jpg:0.5,b.jpg:0.5".',
        )


def check_match(model: Model | None) -> None:
    """Raise `UsageError` unless the colours of this model's styles can be changed."""
    if model is None or model.statistics is None:
        raise UsageError(
            "--match-color is for pictures as styles.", "", "Use --keep-color for others."
        )


def open_mask(mask: Path | str | Image, regions: int) -> StillMask:
    """Return the mask of `regions` styles; a single style has what is white in it.

    Raises `SourceError` if it cannot be read, `UsageError` for another number of regions.
    """
    image = mask if isinstance(mask, np.ndarray) else read_mask(Path(mask))
    return StillMask(check_image(image), regions)


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
