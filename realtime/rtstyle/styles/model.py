"""What paints a style: a network with, for pictures, the numbers that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtstyle.engines import Engine, open_engines, parts_of
from rtstyle.engines.base import CANVAS_PORTS, NOISE_PORT
from rtstyle.engines.noise import noise_feeds
from rtstyle.errors import StyleError, UsageError
from rtstyle.media.color import Colours
from rtstyle.styles import latent, manifest
from rtstyle.styles.paintings import EVENNESS, Statistics, encode
from rtstyle.styles.sizes import plain_size
from rtstyle.styles.spec import (
    Mixture,
    Styles,
    are_networks,
    as_mixture,
    parse_style,
    parse_sweep,
    varied_network,
)

ModelName: TypeAlias = tuple[Styles, str]
"""A style, or one for each region of a mask, and a network size: they name one model."""


@dataclass(frozen=True, eq=False, slots=True)
class Model:
    """A model file, with the statistics of K styles (K, M) if it paints like any picture.

    Or the trained networks of K regions, a file each. The noise of a texture network is drawn with
    `variation` and `seed` (`rtstyle.engines.noise`).
    """

    files: tuple[Path, ...]
    statistics: Statistics | None = None
    variation: float = 0.0
    seed: int = 0

    def open(self, device: str, **options: Any) -> Engine:
        """Open what it runs on; see `rtstyle.engines.open_engine`, whose errors it raises.

        Raises `StyleError` for a file that paints like any picture, named without one.
        """
        engine = open_engines(self.files, device, **options)
        if self.statistics is None:
            for file, part in zip(self.files, parts_of(engine), strict=True):
                if part.extras and set(part.extras) not in (CANVAS_PORTS, {NOISE_PORT}):
                    engine.close()
                    raise StyleError(
                        f"{file.name} is not a style.",
                        "It paints like any picture, and is built in.",
                        "Name the picture.",
                    )
        return engine

    def feeds(
        self,
        engine: Engine,
        strength: float,
        size: tuple[int, int],
        weights: NDArray[np.float32] | None = None,
    ) -> dict[str, NDArray[Any]] | None:
        """Return what the engine takes besides a picture of `size`, (rows, columns).

        `weights` is (K, H, W), summing to 1; by default the first style has the whole picture.
        """
        found: dict[str, NDArray[Any]] = {}
        count = len(self.files)
        regional = "weights" in engine.extras
        if self.statistics is not None:
            count = len(self.statistics)
            found["strength"] = np.full(1, strength, np.float32)
            found["statistics"] = self.statistics[None] if regional else self.statistics[:1]
        if regional:
            if weights is None:
                weights = np.zeros((count, *size), np.float32)
                weights[0] = 1
            found["weights"] = weights[None]
        found.update(noise_feeds(engine, size, self.seed, self.variation))
        return found or None


def resolve(
    style: Styles,
    size: str,
    scale: float = 1.0,
    colours: Colours | None = None,
    *,
    rough: bool = False,
) -> Model:
    """Return the model of one style, built-in, .onnx, a picture or a blend, or of K regions.

    `scale` (`SCALES`) enlarges the painting, and with it the strokes. With `colours` each painting
    takes these on first. Encodes pictures that were not seen before.
    Raises `StyleError`, `UsageError` or `EngineError`.
    """
    if are_networks(style):
        return Model(tuple(_network(name, size, scale, colours) for name in style))
    if not isinstance(style, str):
        vectors = [blend(as_mixture(name), size, scale, colours, rough=rough) for name in style]
        return Model((manifest.find_any("regions", size).path,), np.stack(vectors))
    if (near := varied_network(style, size)) is not None:
        name, variation, seed = near
        return Model((_network(name, size, scale, colours),), variation=variation, seed=seed)
    parsed = parse_style(style)
    if isinstance(parsed, str):
        return Model((_network(parsed, size, scale, colours),))
    vector = blend(parsed, size, scale, colours, rough=rough)
    return Model((manifest.find_any("content", size).path,), vector[None])


def _network(name: str, size: str, scale: float, colours: Colours | None) -> Path:
    """Return the file of a network trained for one style; see `resolve`."""
    if colours is not None:
        raise UsageError(
            f"The trained style {name} has colours of its own.",
            "--match-color changes the picture that is the style.",
            "Use --keep-color, or name a picture file.",
        )
    if scale != 1.0:
        raise UsageError(
            f"The trained style {name} has one scale.", "", "--style-scale is for pictures."
        )
    return manifest.find_model(name, size)


def resolve_sweep(sweep: str, size: str, scale: float = 1.0) -> tuple[Model, Model]:
    """Return the models at both ends of `a.jpg..b.jpg`; they share the file. See `resolve`."""
    files = (manifest.find_any("content", size).path,)
    first, last = (Model(files, blend(end, size, scale)[None]) for end in parse_sweep(sweep))
    return first, last


def resolve_walk(style: str, size: str, seed: int, scale: float = 1.0) -> tuple[Model, latent.Walk]:
    """Return the model at the start of a walk from a style, and the walk. See `resolve`.

    A built-in name means its painting, as in a blend.
    """
    if size != plain_size(size):
        raise UsageError(
            "A walk goes through styles of AdaIN.", "", "Leave --transform or the walk out."
        )
    vector = blend(as_mixture(style), size, scale)
    model = Model((manifest.find_any("content", size).path,), vector[None])
    return model, latent.Walk(vector, seed, size)


def at_vector(model: Model, vector: Statistics) -> Model:
    """Return a model that paints one picture's style (M,) with the same file."""
    return replace(model, statistics=vector[None])


def even_shares(weights: Sequence[float]) -> list[float]:
    """Return how much of each style's statistics makes a blend look like these `weights`.

    Both sum to 1. Statistics mixed by the weights themselves would change pictures slowly at the
    ends and quickly in the middle; see `EVENNESS`.
    """
    raised = [weight**EVENNESS for weight in weights]
    return [value / sum(raised) for value in raised]


def blend_models(first: Model, last: Model, at: float, size: str) -> Model:
    """Return the model between two of one file, of a size: 0 is `first`, 1 is `last`.

    Through the latent space where the size has one.
    """
    assert first.statistics is not None
    assert last.statistics is not None
    at = min(1.0, max(0.0, at))
    if latent.available(size):
        ends = np.concatenate([first.statistics, last.statistics])
        return at_vector(first, latent.mixed(ends, [1 - at, at], size))
    weight = np.float32(even_shares([1 - at, at])[1])
    return Model(first.files, first.statistics + weight * (last.statistics - first.statistics))


def blend(
    mixture: Mixture,
    size: str,
    scale: float = 1.0,
    colours: Colours | None = None,
    *,
    rough: bool = False,
) -> Statistics:
    """Return the mean of the statistics of pictures by their `even_shares`: (M,).

    Equals the paper's interpolation of feature maps (equation 15), as AdaIN is linear in them.
    """
    if mixture.variation and size != plain_size(size):
        raise UsageError(
            "Neighbours of a style are AdaIN's.", "", "Leave --transform or --vary out."
        )
    shares = even_shares([weight for _, weight in mixture.parts])
    total: NDArray[np.float32] = sum(
        (
            np.float32(share) * encode(name, size, scale, colours, rough=rough)
            for share, (name, _) in zip(shares, mixture.parts, strict=True)
        ),
        start=np.zeros((), np.float32),
    )
    return latent.neighbour(total, mixture.variation, mixture.seed, size)
