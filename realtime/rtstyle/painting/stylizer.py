"""A picture in, the painted picture out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rtstyle.closeable import Closing
from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.media.color import Colours, blend, blend_linear, resize, with_chroma_of
from rtstyle.media.limits import MAX_PIXELS
from rtstyle.painting.canvas.coherence import CoherentPainter
from rtstyle.painting.masks import StillMask, Weights, even_greys, read_mask, weigh
from rtstyle.painting.network import Network
from rtstyle.styles.latent import Walk
from rtstyle.styles.manifest import DEFAULT_STYLE
from rtstyle.styles.model import (
    Model,
    at_vector,
    blend_models,
    resolve,
    resolve_sweep,
    resolve_walk,
)
from rtstyle.styles.recipe import Asked, Recipe, Settings, as_recipe, cannot_match

if TYPE_CHECKING:
    from typing_extensions import Unpack

Run: TypeAlias = Callable[[Network, Image, Weights | None], Image]
"""Applies a network to a picture (H, W, 3), given the weights of the regions, if there are any."""


class Stylizer(Closing):
    """Paints pictures by one recipe. Use as a context manager, or call `close`.

    Up to `streams` threads may call it at once. `strength` (0 to 1) and `keep_color` may be
    changed between pictures. `recipe` says what is painted, `network` what paints it. With `wrap`
    the left edge continues at the right one, as in 360-degree pictures.
    """

    def __init__(
        self,
        style: Recipe | Asked = DEFAULT_STYLE,
        size: str | None = None,
        *,
        device: str = "auto",
        streams: int = 1,
        threads: int = 0,
        precision: str = "auto",
        **settings: Unpack[Settings],
    ) -> None:
        """Open the model of a style, or of a whole `Recipe`.

        `size` (default: `balanced`) and `settings` are fields of `Recipe`, which says what they
        mean. `device`, `streams`, `threads` and `precision` are those of
        `rtstyle.engines.open_engine`.

        Raises `UsageError` for a value out of range, `StyleError`, `DeviceError`, `EngineError`.
        """
        self.recipe = recipe = as_recipe(style, size, **settings)
        self.wrap = False
        self._ends: tuple[Model, Model] | None = None
        self._walk: Walk | None = None
        if recipe.sweep is not None:
            self._ends = resolve_sweep(recipe.sweep, recipe.size, recipe.style_scale)
            model = self._ends[0]
        elif recipe.walk is not None:
            model, self._walk = resolve_walk(
                recipe.names[0], recipe.size, recipe.seed, recipe.style_scale
            )
        else:
            model = self._resolve()
        if recipe.match_color:
            check_match(model)
        self._matched, self._matching = not recipe.match_color, threading.Lock()
        self._mask = None if recipe.mask is None else open_mask(recipe.mask, len(recipe.names))
        self.network = Network.open(
            model, device, streams=streams, threads=threads, precision=precision
        )

    def _resolve(self, colours: Colours | None = None) -> Model:
        return resolve(*self.recipe.model_name, self.recipe.style_scale, colours)

    @property
    def streams(self) -> int:
        """How many threads may call at once."""
        return self.network.streams

    @property
    def strength(self) -> float:
        """How much of the painting is mixed in: 0 is the picture itself, 1 the painting."""
        return self.recipe.strength

    @strength.setter
    def strength(self, value: float) -> None:
        self.recipe = replace(self.recipe, strength=value)

    @property
    def keep_color(self) -> bool:
        """Whether the painting takes the colours of the picture."""
        return self.recipe.keep_color

    @keep_color.setter
    def keep_color(self, value: bool) -> None:
        self.recipe = replace(self.recipe, keep_color=value)

    def __call__(
        self, image: Image, *, at: float = 0.0, mask: Image | None = None, run: Run | None = None
    ) -> Image:
        """Paint an (H, W, 3) uint8 RGB picture of any size from 1x1 up.

        `at` is the place in a sweep (0 to 1), or the seconds of a walk so far, `mask` a frame of a
        mask video, whose regions are grey levels from black to white
        (`rtstyle.painting.masks.even_greys`). `run` applies the network in another way, as in
        tiles.

        Returns a new array of the same size, or scaled to `height`. Raises `UsageError` for
        another shape or type and `EngineError` if the model fails.
        """
        image = self.scale(check_image(image))
        self._match(image)
        if self.strength == 0.0:
            return image.copy()
        weights = self.weights(image, mask)
        painted = (run or self._run)(self._network_at(at), image, weights)
        return self.finish(image, painted, weights)

    def match_next(self) -> None:
        """Let the next picture give its colours to the paintings, if the recipe matches them."""
        self._matched = not self.recipe.match_color

    def _match(self, image: Image) -> None:
        """Give the paintings the colours of (H, W, 3) uint8 `image`, where that is to be done.

        Gatys et al. 2016b, section 3.1: the style is recoloured before it is encoded.
        """
        if self._matched:
            return
        with self._matching:
            if not self._matched:
                self.network = self.network.given(self._resolve(Colours.of(image)))
                self._matched = True

    def scale(self, image: Image) -> Image:
        """Return `image` scaled to the height of the recipe, or as it is."""
        return scaled(image, self.recipe.height)

    def weights(self, image: Image, mask: Image | None = None) -> Weights | None:
        """Return the weights of the regions at the size of `image`, None without a mask.

        With one style there are two regions: what stays, and what is painted.
        """
        height, width = image.shape[:2]
        if mask is not None:
            return weigh(mask, even_greys(max(2, len(self.recipe.names))), height, width)
        return None if self._mask is None else self._mask.weights(height, width)

    def paint(self, image: Image, weights: Weights | None = None, at: float = 0.0) -> Image:
        """Run the network alone on an (H, W, 3) uint8 picture."""
        return self._run(self._network_at(at), image, weights)

    def _network_at(self, at: float) -> Network:
        """Return the network at a place of the sweep (0 to 1), or of the walk (seconds)."""
        if self._walk is not None and self.recipe.walk:
            vector = self._walk.at(at / self.recipe.walk)
            return self.network.given(at_vector(self.network.model, vector))
        if self._ends is None:
            return self.network
        return self.network.given(blend_models(*self._ends, at, self.recipe.size))

    def _run(self, network: Network, image: Image, weights: Weights | None) -> Image:
        recipe = self.recipe
        return network.paint(
            image, recipe.strength, weights, stroke_size=recipe.stroke_size, wrap=self.wrap
        )

    def coherent(self) -> CoherentPainter | None:
        """Return a painter of the frames of one clip in order, None where there can be none.

        There is one where the network is `coherent`, stays the same over the clip, and the
        recipe's `coherence` is above 0.
        """
        recipe = self.recipe
        changing = self._ends is not None or self._walk is not None
        if not self.network.coherent or changing or self.wrap or not recipe.coherence:
            return None

        def run(frame: Image, extra: Mapping[str, Any]) -> Image:
            self._match(frame)
            return self.network.paint_over(frame, extra, self.strength)

        return CoherentPainter(
            run,
            self.network.upsampler,
            stroke_size=recipe.stroke_size,
            coherence=recipe.coherence,
        )

    def finish(self, source: Image, painted: Image, weights: Weights | None = None) -> Image:
        """Apply `keep_color`, `strength` and the mask of a single style. May write into `painted`.

        Networks for any style have applied the strength themselves, to their features.
        """
        painted = np.ascontiguousarray(painted)
        if self.keep_color:
            painted = with_chroma_of(source, painted)
        if self.strength < 1.0 and not self.network.applies_strength:
            painted = blend(source, painted, self.strength)
        if weights is not None and len(self.recipe.names) == 1:
            painted = blend_linear(painted, source, weights[1])
        return painted

    def describe(self) -> str:
        """Return the style, the size, and what it runs on, for the user to read."""
        engine, recipe = self.network.engine, self.recipe
        trained = not self.network.applies_strength
        name = engine.metadata.get("rtstyle.name", recipe.title) if trained else recipe.title
        size = engine.metadata.get("rtstyle.size", recipe.size)
        streams = f", {engine.streams} streams" if engine.streams > 1 else ""
        return f"{name} ({size}) on {engine.name} {engine.device}, {engine.precision}{streams}"

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        self.network.close()


def check_match(model: Model) -> None:
    """Raise `UsageError` unless the colours of this model's styles can be changed."""
    if model.statistics is None:
        raise cannot_match()


def open_mask(mask: Path | str | Image, regions: int) -> StillMask:
    """Return the mask of `regions` styles; a single style has what is white in it.

    Raises `SourceError` if it cannot be read, `UsageError` for another number of regions.
    """
    image = mask if isinstance(mask, np.ndarray) else read_mask(Path(mask))
    return StillMask(check_image(image), regions)


def check_image(image: Any) -> Image:
    """Return `image` C-contiguous; a picture of Pillow's becomes RGB.

    Raises `UsageError` unless it is (H, W, 3) uint8.
    """
    if hasattr(image, "mode") and hasattr(image, "convert"):
        image = np.asarray(image.convert("RGB"))
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = getattr(image, "dtype", type(image).__name__)
        raise UsageError(f"A picture is a uint8 array or one of Pillow's, not {found}.")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UsageError(f"A picture has the shape (H, W, 3), not {image.shape}.")
    return np.ascontiguousarray(image)


def scaled(image: Image, height: int | None) -> Image:
    """Return a picture (H, W, 3) scaled to `height` rows, or as it is. Raises `UsageError`."""
    if height is None:
        return image
    width = scaled_width(image, height)
    if height * width > MAX_PIXELS:
        raise UsageError(
            f"At a height of {height} the picture would be {width} pixels wide.",
            f"It may have {MAX_PIXELS // 10**6} megapixels.",
            "Pass a smaller --height.",
        )
    return resize(image, height, width)


def scaled_width(image: Image, height: int) -> int:
    """Return the even width that keeps the aspect of `image` at `height` rows."""
    pairs = round(int(image.shape[1]) * height / int(image.shape[0]) / 2)
    return 2 * max(1, pairs)
