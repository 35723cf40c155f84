"""Pictures too large to paint whole: seamless tiles under statistics common to all of them.

1. The mean and variance that every instance normalisation would see are gathered layer by layer
   over tiles at full resolution: exactly up to `EXACT_PIXELS`, beyond that from many small tiles
   spread evenly over the picture. A sample shifts the tone of the whole picture a little (1 level
   on average, 10 at most, for 4 of 12 million pixels); it makes no seams.
2. The normalisations become fixed scales and shifts, and the network is run over tiles that
   overlap by its receptive field, so that every pixel is what the whole picture would give
   under these statistics.

All that is about the size at which a picture is painted: with strokes of the usual width some 600
rows, so that only much finer strokes, or very long pictures, need tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtstyle.engines import Engine, EngineOptions, open_engine, parts_of
from rtstyle.engines.base import NOISE_PORT, read_model
from rtstyle.engines.canvas import Canvas, empty
from rtstyle.engines.devices import cpu_count
from rtstyle.engines.onnxrt import open_session
from rtstyle.engines.regional import mix
from rtstyle.errors import EngineError
from rtstyle.frame import Image
from rtstyle.painting.masks import Weights
from rtstyle.painting.network import Network, fitted
from rtstyle.painting.norm_graph import ALIGNMENT, Affine, Norm, NormGraph, baked
from rtstyle.painting.strokes import enlarged, levels, reduced
from rtstyle.styles.recipe import Recipe

WHOLE_BYTES = 1 << 30
"""How much memory the activations of a picture painted whole may take."""

ACTIVATIONS = 3
"""How many of the largest activation are alive at once."""

TILE = 1024
"""Rows and columns of a tile without its overlap."""

PROBE_TILE = 384
"""The same where exact statistics are gathered, by activations that ONNX Runtime keeps whole."""

EXACT_PIXELS = 8_000_000
"""Pictures up to this size have their statistics gathered from all of their pixels."""

SAMPLED_PIXELS = 4_000_000
"""How much of a larger picture the statistics are gathered from."""

MOST_REGIONAL = {"fast": 8_000_000, "balanced": 8_000_000, "paper": 2_000_000}
"""Largest picture, in pixels, that is painted by regions: always whole, in up to 4 GiB."""

MOST_NOISE = 4_000_000
"""Largest picture, in pixels, for texture networks: always whole, in up to 3 GiB."""

_TO_THE_END = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Span:
    """A tile along one axis: it covers [start, end) and answers for [first, last)."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile: its rows and its columns."""

    rows: Span
    columns: Span

    @property
    def cover(self) -> tuple[slice, slice]:
        """What the tile reads of the picture."""
        return slice(self.rows.start, self.rows.end), slice(self.columns.start, self.columns.end)

    @property
    def own(self) -> tuple[slice, slice]:
        """What the tile writes of the picture."""
        return slice(self.rows.first, self.rows.last), slice(self.columns.first, self.columns.last)

    @property
    def inner(self) -> tuple[slice, slice]:
        """The same, counted from the tile's own corner."""
        return tuple(  # type: ignore[return-value]
            slice(span.first - span.start, span.last - span.start)
            for span in (self.rows, self.columns)
        )


def paint(
    network: Network, image: Image, recipe: Recipe, weights: Weights | None = None
) -> tuple[Image, int]:
    """Paint an (H, W, 3) uint8 picture with a network, in tiles if it is large.

    `weights` are those of the regions of `recipe`. Returns the painted picture and the number of
    tiles. Raises `EngineError` for a large picture that cannot be tiled.
    """
    base, *larger = levels((image.shape[0], image.shape[1]), recipe.stroke_size)

    def whole() -> tuple[Image, int]:
        return network.paint(image, recipe.strength, weights, stroke_size=recipe.stroke_size), 1

    model, engine = network.model, network.engine
    if network.regions > 1 and model.statistics is not None:
        other = ", or only styles with networks of their own"
        refuse_larger(base, MOST_REGIONAL[recipe.size], "several styles", other)
        return whole()
    if any(NOISE_PORT in part.extras for part in parts_of(engine)):
        refuse_larger(base, MOST_NOISE, "a texture network")
        return whole()
    contents = [read_model(file) for file in model.files]
    feeds = None
    if model.statistics is not None:
        feeds = model.feeds(engine, recipe.strength, base)
        assert feeds is not None
        contents = [baked(content, feeds) for content in contents]
    graphs = [NormGraph(content) for content in contents]
    if all(fits(graph, base) for graph in graphs):
        return whole()
    frame = reduced(image, base)
    parts = zip(parts_of(engine), graphs, strict=True)
    each = (paint_large(*part, frame, feeds) for part in parts)
    painted, tiles = zip(*each, strict=True)
    if len(painted) > 1 and weights is not None:
        painted = (mix(painted, fitted(weights, base)),)
    return enlarged(network.upsampler, image, painted[0], larger), max(tiles)


def refuse_larger(size: tuple[int, int], most: int, what: str, other: str = "") -> None:
    """Raise `EngineError` for more than `most` pixels where pictures cannot be tiled.

    `size` (rows, columns) is that at which they are painted.
    """
    if size[0] * size[1] > most:
        raise EngineError(
            f"This picture is too large for {what}.",
            f"Up to {most / 1e6:.0f} megapixels can be painted so.",
            f"Pass a smaller --height{other}, or a larger --stroke-size.",
        )


def fits(graph: NormGraph, size: tuple[int, int]) -> bool:
    """Return True for pictures of a size (rows, columns) that can be painted whole."""
    pixels = size[0] * size[1]
    return bool(pixels * graph.bytes_per_pixel * ACTIVATIONS <= WHOLE_BYTES)


def paint_large(
    engine: Engine,
    graph: NormGraph,
    image: Image,
    feeds: Mapping[str, NDArray[Any]] | None = None,
) -> tuple[Image, int]:
    """Paint a picture by one engine, in tiles if it is large.

    `feeds` are the further inputs of `engine`, which `graph` does without. Returns the painted
    picture and the number of tiles.
    """
    size = (image.shape[0], image.shape[1])
    canvas = empty(size) if graph.sees_canvas else None
    if not fits(graph, size):
        return paint_tiled(engine, graph, image, TILE, canvas)
    given = {**(feeds or {}), **(canvas.feeds() if canvas else {})} or None
    whole: Image = engine.run(np.ascontiguousarray(image)[None], given)[0]
    return whole, 1


def paint_tiled(
    engine: Engine, graph: NormGraph, image: Image, tile: int, canvas: Canvas | None = None
) -> tuple[Image, int]:
    """Paint `image` in tiles of `tile` pixels, whatever its size, by `engine`; see `paint`.

    `canvas` is for networks that see one.
    """
    affines = gather(graph, image, canvas)
    painted = np.empty_like(image)
    plan = list(grid(image, tile, graph.reach, graph.period))
    with open_engine(
        graph.fixed(affines), f"{engine.name}:{engine.device}", precision=engine.precision
    ) as fixed:
        for one in plan:
            part = feeds_of(one, image, canvas)
            painted[one.own] = fixed.run(part.pop("image"), part or None)[0][one.inner]
    return painted, len(plan)


def feeds_of(tile: Tile, image: Image, canvas: Canvas | None) -> dict[str, NDArray[np.uint8]]:
    """Return what a network sees of a tile, by name, (1, H, W, C) each."""
    feeds = {"image": np.ascontiguousarray(image[tile.cover])[None]}
    if canvas is not None:
        rows, columns = (
            slice(span.start // 2, -(-span.end // 2)) for span in (tile.rows, tile.columns)
        )
        part = Canvas(canvas.picture[tile.cover], canvas.trust[rows, columns])
        feeds |= {name: np.ascontiguousarray(value) for name, value in part.feeds().items()}
    return feeds


def gather(graph: NormGraph, image: Image, canvas: Canvas | None = None) -> list[Affine]:
    """Return the affine that each normalisation amounts to on `image`, (H, W, 3) uint8."""
    tiles = probe_tiles(graph.reach, image, graph.period)
    options = EngineOptions(threads=cpu_count())
    affines: list[Affine] = []
    for norm in graph.norms:
        session = open_session(graph.probe(affines), options)
        moments = Moments(len(norm.gamma))
        for one in tiles:
            starts, ends = window(one, norm, image)
            feeds = {**feeds_of(one, image, canvas), "starts": starts, "ends": ends}
            mean, variance, shape = session.run(["mean", "variance", "shape"], feeds)
            moments.add(int(shape[2]) * int(shape[3]), mean.ravel(), variance.ravel())
        scale = norm.gamma / np.sqrt(moments.variance + norm.epsilon)
        affines.append(Affine(scale, norm.beta - moments.mean * scale))
    return affines


class Moments:
    """Mean and variance of (C,) channels over parts that come one by one, in float64.

    Combined as in Chan, Golub and LeVeque, "Updating formulae" (1979).
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = np.zeros(channels)
        self._squares = np.zeros(channels)

    def add(self, count: int, mean: NDArray[np.floating], variance: NDArray[np.floating]) -> None:
        """Take in `count` values a channel, given by their mean and variance."""
        if count == 0:
            return
        total = self.count + count
        delta = mean.astype(np.float64) - self.mean
        self._squares += variance.astype(np.float64) * count
        self._squares += delta**2 * (self.count * count / total)
        self.mean += delta * (count / total)
        self.count = total

    @property
    def variance(self) -> NDArray[np.float64]:
        """The variance (of the population) of each channel."""
        return self._squares / max(self.count, 1)


def probe_tiles(reach: int, image: Image, period: int = ALIGNMENT) -> list[Tile]:
    """Return the tiles that statistics come from: all, or a sample drawn by a fixed seed."""
    if image.shape[0] * image.shape[1] <= EXACT_PIXELS:
        return list(grid(image, PROBE_TILE, reach, period))
    # Many small tiles err far less than few large ones, at a larger share of overlap.
    tile = 2 * aligned(reach, period)
    tiles = list(grid(image, tile, reach, period))
    count = min(len(tiles), max(1, SAMPLED_PIXELS // tile**2))
    # One tile out of each stretch of the row by row order: even, yet in step with no pattern.
    edges = np.linspace(0, len(tiles), count + 1).astype(int)
    random = np.random.default_rng(0)
    return [tiles[int(random.integers(first, last))] for first, last in pairwise(edges)]


def window(tile: Tile, norm: Norm, image: Image) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the end row and column of the features that `tile` answers for.

    Outer tiles answer for the border that the network adds around the picture, too.
    """
    axes = zip((tile.rows, tile.columns), image.shape[:2], strict=True)
    ranges = [_feature_range(span, norm, length) for span, length in axes]
    starts, ends = zip(*ranges, strict=True)
    return np.array(starts, np.int64), np.array(ends, np.int64)


def _feature_range(span: Span, norm: Norm, length: int) -> tuple[int, int]:
    first = (span.first - span.start) // norm.jump + norm.margin if span.first else 0
    if span.last == length:
        return first, _TO_THE_END
    return first, (span.last - span.start) // norm.jump + norm.margin


def grid(image: Image, tile: int, reach: int, period: int = ALIGNMENT) -> Iterator[Tile]:
    """Yield tiles of about `tile` pixels and an overlap of `reach` over `image`, row by row."""
    core, overlap = aligned(tile, period), aligned(reach, period)
    height, width = image.shape[:2]
    for rows in spans(height, core, overlap, period):
        for columns in spans(width, core, overlap, period):
            yield Tile(rows, columns)


def aligned(pixels: int, period: int = ALIGNMENT) -> int:
    """Return the next multiple of `period`."""
    return -(-pixels // period) * period


def spans(length: int, core: int, overlap: int, period: int = ALIGNMENT) -> list[Span]:
    """Cut [0, length) into aligned spans of one size, the last up to `period` - 1 longer.

    `core` and `overlap` are multiples of `period`. Two sizes an axis mean that an engine which
    compiles for each size does so at most four times.
    """
    size = core + 2 * overlap
    if length < size + period:
        return [Span(0, length, 0, length)]
    final = (length - size) // period * period
    starts = [*range(0, final, core), final]
    cuts = [0, *(start + overlap for start in starts[1:]), length]
    ends = [*(start + size for start in starts[:-1]), length]
    return [Span(*bounds) for bounds in zip(starts, ends, cuts[:-1], cuts[1:], strict=True)]
