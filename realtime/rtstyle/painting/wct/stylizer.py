"""Universal style transfer without PyTorch: photo and paintings in, picture out.

Li et al. 2017, section 3.3: level by level from coarse to fine, features of the picture so far
are given the moments of the painting's and decoded to the next picture. Large pictures go in
tiles under moments common to all of them, so that no seam shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtstyle.closeable import Closing
from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.media.color import resize
from rtstyle.painting.tiling import Tile, grid
from rtstyle.painting.wct import transform
from rtstyle.painting.wct.defaults import ALPHA
from rtstyle.painting.wct.models import LEVELS, WctModels, stride
from rtstyle.painting.wct.transform import Affine, Features, Moments

SCALES = (0.1, 4.0)
"""Least and largest `style_scale`."""

TILE = 768
"""Rows and columns of a tile without its overlap."""
REACH = {1: 16, 2: 16, 3: 48, 4: 80, 5: 160}
"""Pixels around a tile that encoder and decoder of a level look at, at least."""
GRID = 16
"""Pictures are extended at their edges to a multiple of this, the stride of level 5."""
PASSES = 3
"""How often a texture goes through all levels."""


@dataclass(frozen=True, eq=False, slots=True)
class Style:
    """What is kept of a painting: the moments of its features by level."""

    moments: Mapping[int, Moments]


Blend: TypeAlias = Sequence[tuple[Style, float]]
"""Styles with weights that sum to 1."""
Shares: TypeAlias = Sequence[NDArray[np.float32]]


def check_levels(levels: Sequence[int], there: Sequence[int]) -> tuple[int, ...]:
    """Return levels from coarse to fine. Raises `UsageError` for others than those `there`."""
    if wrong := [level for level in levels if level not in there]:
        known = ", ".join(map(str, there)) or "none"
        raise UsageError(
            f"There is no level {wrong[0]}.",
            f"The levels with a decoder here are {known}.",
            "Train it with `rtstyle train-wct`." if wrong[0] in LEVELS else "",
        )
    if not levels:
        raise UsageError("No level is named.", "", f"Use some of {', '.join(map(str, there))}.")
    return tuple(sorted(set(levels), reverse=True))


class WctStylizer(Closing):
    """Paints photos like any paintings. Use as a context manager, or call `close`.

    `levels` are used from coarse to fine (default: all there are), each with its strength of
    `alphas`, 0 (encoded and decoded only) to 1; one number serves every level. `folder`, `device`
    and `threads` are those of `WctModels`. Raises `UsageError` or `StyleError`.
    """

    def __init__(
        self,
        levels: Sequence[int] | None = None,
        alphas: Mapping[int, float] | float = ALPHA,
        *,
        folder: Path | None = None,
        device: str = "cpu",
        threads: int = 0,
    ) -> None:
        self.models = WctModels(folder, device, threads)
        chosen = self.models.levels if levels is None else levels
        self.levels = check_levels(chosen, self.models.levels)
        if not isinstance(alphas, Mapping):
            alphas = dict.fromkeys(self.levels, alphas)
        self.alphas = {level: float(alphas.get(level, ALPHA)) for level in self.levels}
        for level, alpha in self.alphas.items():
            if not 0 <= alpha <= 1:
                raise UsageError(f"The strength {alpha:g} of level {level} is not 0 to 1.")

    def close(self) -> None:
        """Free the networks."""
        self.models.close()

    def learn(self, painting: Image, photo: tuple[int, int], scale: float = 1.0) -> Style:
        """Return the style of a painting (H, W, 3) uint8 for photos of `photo` rows and columns.

        `scale` (`SCALES`) is the painting's long side over the photo's: larger gives larger
        strokes. Raises `UsageError`.
        """
        if not SCALES[0] <= scale <= SCALES[1]:
            raise UsageError(
                f"A style scale of {scale:g} is out of range.", "", f"{SCALES[0]} to {SCALES[1]}."
            )
        padded = extend(fit(painting, scale * max(photo)))
        tiles = list(grid(padded, TILE, REACH[self.levels[0]]))
        found: dict[int, Moments] = {}
        for tile in tiles:
            parts = self.models.encode(padded[tile.cover], self.levels)
            for level, features in zip(self.levels, parts, strict=True):
                own = transform.moments(features[(slice(None), *shrunk(tile, level))])
                found[level] = found[level] + own if level in found else own
        return Style(found)

    def __call__(
        self,
        photo: Image,
        blends: Sequence[Blend],
        masks: NDArray[np.float32] | None = None,
        on_level: Callable[[int, Image], Image | None] | None = None,
    ) -> Image:
        """Paint a photo (H, W, 3) uint8 RGB of any size; returns the same shape and type.

        Each of K `blends` paints its region: `masks` is (K, H, W), 0 to 1, summing to 1; without
        masks there is one blend. `on_level` gets each level's number and picture, and may return
        another to go on with. Raises `UsageError`, `EngineError`.
        """
        if (masks is None and len(blends) != 1) or (
            masks is not None and len(masks) != len(blends)
        ):
            raise UsageError("Several styles need one mask each.", "", "Give as many masks.")
        if not photo.size:
            raise UsageError("The photo is empty.")
        height, width = photo.shape[:2]
        image = extend(photo)
        wide = None if masks is None else [extend(mask) for mask in masks]
        for level in self.levels:
            shares = None if wide is None else [shrink(mask, stride(level)) for mask in wide]
            image = self._paint(image, level, blends, shares)
            if on_level is not None:
                other = on_level(level, image[:height, :width])
                image = image if other is None else extend(other)
        return np.ascontiguousarray(image[:height, :width])

    def texture(
        self, blend: Blend, height: int, width: int, seed: int = 0, passes: int = PASSES
    ) -> Image:
        """Return a texture (`height`, `width`, 3) in this style, out of uniform noise."""
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for _ in range(passes):
            image = self(image, [blend])
        return image

    def _paint(
        self, image: Image, level: int, blends: Sequence[Blend], shares: Shares | None
    ) -> Image:
        """Transform an extended picture at one level; `shares` are the masks at its stride."""
        tiles = list(grid(image, TILE, REACH[level]))
        encode = self._encoder(image, level, tiles)
        alpha = self.alphas[level]
        maps = []
        if alpha > 0:
            contents = gather(encode, tiles, level, shares, len(blends))
            maps = [
                paired(content, blend, level, alpha)
                for content, blend in zip(contents, blends, strict=True)
            ]
        painted = np.empty_like(image)
        for tile in tiles:
            features = encode(tile)
            if maps:
                cover = divided(tile.cover, level)
                features = mapped(features, maps, shares and [share[cover] for share in shares])
            painted[tile.own] = self.models.decode(features, level)[tile.inner]
        return painted

    def _encoder(
        self, image: Image, level: int, tiles: Sequence[Tile]
    ) -> Callable[[Tile], Features]:
        """Return what encodes a tile; a single one is encoded once."""
        if len(tiles) == 1:
            once = self.models.encode(image[tiles[0].cover], (level,))[0]
            return lambda _: once
        return lambda tile: self.models.encode(image[tile.cover], (level,))[0]


def paired(content: Moments, blend: Blend, level: int, alpha: float) -> Affine:
    """Return the map of content with these moments to a blend of styles."""
    maps = [transform.transform(content, style.moments[level]) for style, _ in blend]
    return transform.blend(maps, [share for _, share in blend], alpha)


def mapped(features: Features, maps: Sequence[Affine], shares: Shares | None) -> Features:
    """Return features under one map, or under one for each share."""
    return maps[0](features) if shares is None else transform.apply_regions(features, maps, shares)


def gather(
    encode: Callable[[Tile], Features],
    tiles: Sequence[Tile],
    level: int,
    shares: Shares | None,
    count: int,
) -> list[Moments]:
    """Return the moments of a picture's features in each of `count` regions."""
    found: list[Moments] = []
    for tile in tiles:
        own = (slice(None), *shrunk(tile, level))
        features = encode(tile)[own]
        inside = divided(tile.own, level)
        parts = [
            transform.moments(features, None if shares is None else shares[k][inside])
            for k in range(count)
        ]
        found = [a + b for a, b in zip(found, parts, strict=True)] if found else parts
    return found


def divided(area: tuple[slice, slice], level: int) -> tuple[slice, slice]:
    """Return an area of the picture as one of the features."""
    step = stride(level)
    rows, columns = (slice(part.start // step, part.stop // step) for part in area)
    return rows, columns


def shrunk(tile: Tile, level: int) -> tuple[slice, slice]:
    """Return which of a tile's features are its own."""
    return divided(tile.inner, level)


def fit(painting: Image, long_side: float) -> Image:
    """Return a painting (H, W, 3) at another length of its long side."""
    factor = long_side / max(painting.shape[:2])
    return resize(painting, *(max(1, round(n * factor)) for n in painting.shape[:2]))


def extend(image: NDArray[Any]) -> NDArray[Any]:
    """Repeat the last row and column of (H, W, ...) up to a multiple of `GRID`, two at least."""
    height, width = image.shape[:2]
    more = [(0, max(2 * GRID, -(-n // GRID) * GRID) - n) for n in (height, width)]
    return np.pad(image, [*more, *[(0, 0)] * (image.ndim - 2)], mode="edge")


def shrink(mask: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Return the mean of (H, W) over squares of `step` pixels: (H / step, W / step)."""
    height, width = mask.shape
    parts = mask.reshape(height // step, step, width // step, step)
    found: NDArray[np.float32] = parts.mean(axis=(1, 3), dtype=np.float32)
    return found
