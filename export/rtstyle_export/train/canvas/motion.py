"""Draws of synthetic motion, light and damage, for training on photographs as if they were video.

All draws are small arrays made on the host: a step of training reads them from fixed buffers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

RESET = 0.03
"""Share of the sequences that begin anew at each step: they last for some thirty, so that what
builds up over many frames is seen, and paid for."""
WORN = 0.3
"""Share of steps whose canvas is bent out of shape at places, as by what turns for long."""
SCENES = 8
"""Sequences that a step may go on with. One after the other, each for many steps, the network would
see next to nothing else for as long."""
STILLS = 0.35
"""Share of steps that show a photograph that was not seen before, on an empty canvas."""
STILL = 0.2
"""Share of steps at which nothing moves."""
ENLARGED = 0.4
"""Share of the compressed frames that were compressed at half their size: blocks of 16 pixels."""


@dataclass(slots=True)
class Draw:
    """What changes at one step, for N sequences; floats are float32.

    `reset`: (N,) 1 where a new photo begins. `photo`: (N,) int64. `view` and `step`: (N, 2, 3),
    where to look in the square of the photo, and in the last painting. `light`: (N, 3) gain,
    offset, noise. `damage`: (N, 3) quantiser step of blocks, blur, share of what was compressed at
    half the size, 0 or 1. `flow_error`: (N,) pixels.
    `wear`: (N,) pixels by which the canvas is bent out of shape. `offset`: (2,) int64, where the
    losses look. `painting`: (N,) int64, which painting it is painted like, and `strength`: (N,).
    """

    reset: NDArray[np.float32]
    photo: NDArray[np.int64]
    view: NDArray[np.float32]
    step: NDArray[np.float32]
    light: NDArray[np.float32]
    damage: NDArray[np.float32]
    flow_error: NDArray[np.float32]
    wear: NDArray[np.float32]
    offset: NDArray[np.int64]
    painting: NDArray[np.int64]
    strength: NDArray[np.float32]

    def flat(self) -> NDArray[np.float32]:
        """Return all draws in one row; see `views`."""
        parts = [np.ravel(getattr(self, name)) for name in self.__slots__]
        return np.concatenate(parts).astype(np.float32)


def views(flat: Tensor, count: int) -> dict[str, Tensor]:
    """Return the parts of what `Draw.flat` made for `count` sequences, by name."""
    shapes = {
        "reset": (count,), "photo": (count,), "view": (count, 2, 3),
        "step": (count, 2, 3), "light": (count, 3), "damage": (count, 3), "flow_error": (count,),
        "wear": (count,), "offset": (2,), "painting": (count,), "strength": (count,),
    }  # fmt: skip
    pieces = torch.split(flat, [math.prod(shape) for shape in shapes.values()])
    return {
        name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)
    }


class Director:
    """Draws what N sequences show from step to step: a pure function of the seed.

    `photos` squares of `tile` pixels are shown through windows of `side` pixels.
    """

    def __init__(
        self,
        count: int,
        photos: int,
        tile: int,
        side: int,
        margin: int,
        seed: int | list[int],
        *,
        reset: float = RESET,
        paintings: int = 0,
        unpainted: float = 0.0,
    ) -> None:
        """`reset` is the share of the sequences that begin anew at each step.

        Each is painted like one of `paintings`, a share `unpainted` of them at a lower strength;
        with 0 `painting` stays 0, and nothing is drawn.
        """
        self.rng = np.random.default_rng(seed)
        self.count, self.photos, self.tile, self.side = count, photos, tile, side
        self.margin = margin
        self.view = np.zeros((count, 3, 3))
        self.photo = np.zeros(count, np.int64)
        self.fresh = np.ones(count, bool)
        self.reset, self.paintings, self.unpainted = reset, paintings, unpainted
        self.painting, self.strength = np.zeros(count, np.int64), np.ones(count)

    def draw(self) -> Draw:
        """Draw the next step."""
        rng, n = self.rng, self.count
        reset = self.fresh | (rng.random(n) < self.reset)
        self.fresh[:] = False
        steps = np.stack([draw_motion(rng, self.side) for _ in range(n)])
        for k in np.flatnonzero(reset).tolist():
            self._begin(k)
        moved = self.view @ steps
        # A sequence whose view left the photo begins anew.
        for k in np.flatnonzero(~reset).tolist():
            if self._lost(moved[k]):
                reset[k] = True
                self._begin(k)
            else:
                self.view[k] = moved[k]
        gain = 1 + 0.08 * rng.uniform(-1, 1, n)
        light = np.stack([gain, 0.04 * rng.uniform(-1, 1, n), 0.03 * rng.random(n) ** 2], 1)
        blocks = np.where(rng.random(n) < 0.3, rng.uniform(0.02, 0.2, n), 0)
        blur = np.where(rng.random(n) < 0.25, rng.uniform(0.3, 1, n), 0)
        enlarged = rng.random(n) < ENLARGED
        error = np.where(rng.random(n) < 0.5, rng.random(n) ** 2 * 1.5, 0)
        wear = np.where(rng.random(n) < WORN, rng.uniform(3, 12, n), 0)
        return Draw(
            reset.astype(np.float32),
            self.photo.copy(),
            self.view[:, :2].astype(np.float32),
            steps[:, :2].astype(np.float32),
            light.astype(np.float32),
            np.stack([blocks, blur, enlarged], 1).astype(np.float32),
            error.astype(np.float32),
            wear.astype(np.float32),
            rng.integers(self.margin + 1, size=2),
            self.painting.copy(),
            self.strength.astype(np.float32),
        )

    def _begin(self, k: int) -> None:
        rng = self.rng
        self.photo[k] = rng.integers(self.photos)
        zoom = self.side / self.tile * rng.uniform(0.8, 1.15)
        angle = rng.normal() * 0.03
        flip = -1 if rng.random() < 0.5 else 1
        space = max(0.0, 1 - zoom)
        x, y = rng.uniform(-space, space, 2)
        c, s = math.cos(angle) * zoom, math.sin(angle) * zoom
        self.view[k] = [[c * flip, -s, x], [s * flip, c, y], [0, 0, 1]]
        if self.paintings:
            self.painting[k] = rng.integers(self.paintings)
            self.strength[k] = rng.random() if rng.random() < self.unpainted else 1.0

    def _lost(self, view: NDArray[np.float64]) -> bool:
        size = math.hypot(view[0, 0], view[1, 0])
        reach = np.abs(view[:2, 2]).max() + size
        return bool(reach > 1.25 or not 0.3 < size < 1.2)


class Scenes:
    """Sequences that take turns by chance: one shows photographs on empty canvases, `SCENES` go on.

    All is as in `Director`; a pure function of the seed.
    """

    def __init__(
        self,
        count: int,
        photos: int,
        tile: int,
        side: int,
        margin: int,
        seed: int,
        *,
        paintings: int = 0,
        unpainted: float = 0.0,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.directors = [
            Director(
                count, photos, tile, side, margin, [seed, n], reset=RESET if n else 1.0,
                paintings=paintings, unpainted=unpainted,
            )
            for n in range(SCENES + 1)
        ]  # fmt: skip
        self.stills = STILLS
        """Share of steps that show stills; 1 until networks can paint."""
        self.now = 0
        self._kept: dict[int, tuple[Tensor, ...]] = {}

    def pace(self, done: float, stills: float) -> None:
        """Say what share of a run is over: sequences begin after a share `stills` of it."""
        self.stills = 1.0 if done < stills else STILLS

    def restart(self) -> None:
        """Begin all sequences anew."""
        for director in self.directors:
            director.fresh[:] = True

    def draw(self) -> Draw:
        """Pick a scene and draw its next step."""
        still = self.rng.random() < self.stills
        self.now = 0 if still else 1 + int(self.rng.integers(SCENES))
        return self.directors[self.now].draw()

    def load(self, *state: Tensor) -> None:
        """Fill tensors with what the scene that was drawn last had kept, if anything."""
        for now, before in zip(state, self._kept.get(self.now, state), strict=True):
            now.copy_(before)

    def keep(self, *state: Tensor) -> None:
        """Keep tensors for the next step of the scene that was drawn last."""
        if self.now not in self._kept:
            self._kept[self.now] = tuple(torch.empty_like(value) for value in state)
        for before, now in zip(self._kept[self.now], state, strict=True):
            before.copy_(now)


def draw_motion(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Draw where the pixels of a frame of `side` pixels lie in the last one, in -1 to 1: (3, 3)."""
    if rng.random() < STILL:
        return np.eye(3)
    size = 10 * rng.random() ** 2
    direction = rng.uniform(0, 2 * math.pi)
    x, y = size * math.cos(direction), size * math.sin(direction)
    scale = angle = 0.0
    if rng.random() < 0.4:
        # Whole pixels take no interpolation: else every canvas is a little blurred.
        x, y = round(x), round(y)
    else:
        scale, angle = rng.normal() * 0.01, rng.normal() * 0.008
    c, s = math.cos(angle) * (1 + scale), math.sin(angle) * (1 + scale)
    return np.array([[c, -s, 2 * x / side], [s, c, 2 * y / side], [0, 0, 1]])


def sample(image: Tensor, grid: Tensor) -> Tensor:
    """Sample (N, C, H, W) at a grid (N, h, w, 2) by bicubic interpolation; edges are mirrored."""
    return F.grid_sample(image, grid, "bicubic", "reflection", align_corners=False)


def grid_of(theta: Tensor, side: int) -> Tensor:
    """Return the grid (N, side, side, 2) of affine maps (N, 2, 3)."""
    return F.affine_grid(theta, [len(theta), 1, side, side], align_corners=False)


def smooth_noise(count: int, channels: int, cells: int, side: int, device: torch.device) -> Tensor:
    """Draw fields (count, channels, side, side) that vary smoothly, in about 0 to 1."""
    coarse = torch.rand(count, channels, cells, cells, device=device)
    return F.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)


def bent(wear: Tensor, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw how canvases of `side` pixels are bent by `wear` (N,) pixels, and where.

    Returns offsets (N, 2, side, side) in -1 to 1 of the picture, and a mask (N, 1, side, side).
    """
    cells = smooth_noise(len(wear), 3, 7, side, device)
    wear = wear.view(-1, 1, 1, 1)
    where = (cells[:, :1] > 0.5).float() * (wear > 0)
    return (cells[:, 1:] - 0.5) * (wear * 4 / side) * where, where


def dct_matrix(size: int = 8) -> Tensor:
    """Return the orthonormal DCT-II matrix (size, size): rows are frequencies."""
    n = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (n[None] + 0.5) * n[:, None]) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def blocks(image: Tensor, step: Tensor, basis: Tensor) -> Tensor:
    """Round 8x8 blocks of (N, C, H, W) in the frequency domain, as codecs do.

    `step` (N,) is that of the lowest frequency in units of the picture, 0 for none; it grows with
    the frequency. H and W are multiples of 8.
    """
    n, c, h, w = image.shape
    tiles = image.reshape(n, c, h // 8, 8, w // 8, 8)
    found = torch.einsum("ij,ncajbk,lk->ncaibl", basis, tiles, basis)
    index = torch.arange(8, device=image.device, dtype=torch.float32)
    weight = 1 + 0.6 * (index[:, None] + index[None])
    width = (step.clamp_min(1e-6).view(n, 1, 1, 1, 1, 1) * weight.view(1, 1, 1, 8, 1, 8)) * 2
    rounded = (found / width).round() * width
    back = torch.einsum("ij,ncaibl,lk->ncajbk", basis, rounded, basis).reshape(n, c, h, w)
    return torch.where(step.view(n, 1, 1, 1) > 0, back, image)


def compressed(image: Tensor, damage: Tensor, basis: Tensor) -> Tensor:
    """Return (N, C, H, W) as a soft, compressed or enlarged video shows it.

    `damage` is as in `Draw`. What was compressed at half the size has blocks of 16 pixels, soft
    ones: strokes must not follow them.
    """
    step, blur, enlarged = damage.unbind(1)
    height, width = image.shape[-2:]
    half = F.avg_pool2d(F.pad(image, (0, -width % 16, 0, -height % 16), "replicate"), 2)
    large = F.interpolate(
        blocks(half, step, basis), scale_factor=2.0, mode="bilinear", align_corners=False
    )[..., :height, :width]
    chosen = ((enlarged > 0) & (step > 0)).view(-1, 1, 1, 1)
    return torch.where(chosen, large, blocks(soften(image, blur), step, basis))


def soften(image: Tensor, amount: Tensor) -> Tensor:
    """Mix (N, C, H, W) with itself at half the size, as enlarged video is; `amount` (N,)."""
    half = F.avg_pool2d(image, 2)
    soft = F.interpolate(half, image.shape[-2:], mode="bilinear", align_corners=False)
    return image + amount.view(-1, 1, 1, 1) * (soft - image)
