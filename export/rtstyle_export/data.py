"""Photographs and paintings from folders, as seeded crops that do not depend on what came before.

Crop number `i` of a run is a pure function of the seed and `i`, which makes a resumed run see the
pictures that an unbroken run would have seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from rtstyle.errors import SourceError, TrainingError
from rtstyle.media.picture import read_picture as read_photo
from rtstyle.media.picture_file import HEIF_SUFFIXES, JPEG_SUFFIXES

LEAST_SCALE, MOST_SCALE = 0.75, 1.4
"""By how much photos are scaled for crops. Those that are only ever scaled down show finer detail
than video does, and what is learned from them fails on smooth pictures (the objective at full scale
came out 10 % higher); those that are only ever scaled up are smoother than photos are."""
KEPT_PHOTOS = 2000
"""How many decoded photos stay in memory."""
MOST_BROKEN = 100
"""After so many photos in a row that cannot be read nothing is expected of the folder any more."""

PICTURES = {
    *(*JPEG_SUFFIXES, *HEIF_SUFFIXES, ".avif", ".bmp", ".png", ".tif", ".tiff", ".webp"),
}


def list_pictures(folder: Path) -> list[Path]:
    """Every picture below `folder`, sorted; `TrainingError` if there is none."""
    if not folder.is_dir():
        raise TrainingError(f"{folder} is not a folder.", todo="Name a folder of photographs.")
    # Hidden are what macOS notes of a file (._photo.jpg), and what is not whole yet.
    seen = (path for path in folder.rglob("*") if not path.name.startswith("."))
    found = sorted(path for path in seen if path.suffix.lower() in PICTURES and path.is_file())
    if not found:
        raise TrainingError(
            f"{folder} holds no pictures.",
            f"Looked for {', '.join(sorted(PICTURES))} in it and below.",
            "Name a folder of photographs.",
        )
    return found


def first_readable(paths: Sequence[Path]) -> Path:
    """Return the first picture that can be read. Raises `TrainingError` if none can."""
    problem: TrainingError | None = None
    for path in paths[:MOST_BROKEN]:
        try:
            read_picture(path)
        except TrainingError as error:
            problem = problem or error
        else:
            return path
    raise problem or TrainingError("There is no picture.")


Part = tuple[int, ...]
"""Left, top, right and bottom of a part of a picture, in pixels; empty for all of it."""


def read_picture(path: Path, short_side: int | None = None, part: Part = ()) -> NDArray[np.uint8]:
    """Read a picture, or a part of it, upright as (H, W, 3) uint8 sRGB.

    The short side is scaled to `short_side` if given. Raises `TrainingError`.
    """
    try:
        image = Image.fromarray(read_photo(path, "picture", whole=True).rgb)
    except SourceError as error:
        todo = "Remove or replace it." if path.exists() else error.todo
        raise TrainingError(error.what, error.why, todo) from error
    if part:
        left, top, right, bottom = part
        if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
            raise TrainingError(
                f"The part {','.join(map(str, part))} is not in {path}.",
                f"It has {image.width}x{image.height} pixels.",
                "Give left,top,right,bottom.",
            )
        image = image.crop((left, top, right, bottom))
    return np.asarray(image if short_side is None else with_short_side(image, short_side))


def with_short_side(image: Image.Image, short_side: int) -> Image.Image:
    """Scale a picture to a short side of so many pixels."""
    factor = short_side / min(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def to_tensor(image: NDArray[np.uint8]) -> Tensor:
    """Turn (H, W, 3) uint8 RGB into (1, 3, H, W) float32 in -1 to 1."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


class Crops(Dataset[Tensor]):
    """Random crops of photographs: item `i` is (3, size, size) float32 RGB in -1 to 1.

    A photo is scaled by a random factor from `LEAST_SCALE` to `MOST_SCALE` (larger ones first come
    down to where the least shows them whole), mirrored at its borders where it is then too small,
    cut at random, and flipped half of the time. Small sets are kept decoded in memory. A photo
    that cannot be read is reported once, and the next one that is drawn takes its place.
    """

    def __init__(self, paths: list[Path], size: int, seed: int) -> None:
        self.paths, self.size, self.seed = paths, size, seed
        self._photos: dict[Path, NDArray[np.uint8]] = {}
        self._broken: set[Path] = set()

    def __len__(self) -> int:
        return 1 << 62

    def __getitem__(self, index: int) -> Tensor:
        rng = np.random.default_rng((self.seed, index))
        photo = self._draw(rng)
        scale = LEAST_SCALE * (MOST_SCALE / LEAST_SCALE) ** rng.random()
        side = max(1, round(self.size / scale))
        image = Image.fromarray(mirror_to(photo, side))
        left = int(rng.integers(image.width - side + 1))
        top = int(rng.integers(image.height - side + 1))
        box = (left, top, left + side, top + side)
        crop = np.asarray(image.resize((self.size,) * 2, Image.Resampling.BICUBIC, box))
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        return to_tensor(np.ascontiguousarray(crop))[0]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the decoded photos out where the data set goes to another process."""
        return {**self.__dict__, "_photos": {}}

    def _draw(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the first photo that can be read of those that `rng` draws."""
        for _ in range(MOST_BROKEN):
            path = self.paths[rng.integers(len(self.paths))]
            if path in self._broken:
                continue
            try:
                return self._photo(path)
            except TrainingError as error:
                self._broken.add(path)
                print(f"note: {error.what} Others take its place.", file=sys.stderr)
        raise TrainingError(
            f"{MOST_BROKEN} pictures in a row cannot be read.",
            f"The last one is {path}.",
            "Name a folder of photographs.",
        )

    def _photo(self, path: Path) -> NDArray[np.uint8]:
        photo = self._photos.get(path)
        if photo is None:
            photo = read_picture(path)
            short = min(photo.shape[:2])
            fitting = min(max(short, self.size / MOST_SCALE), self.size / LEAST_SCALE)
            if round(fitting) != short:
                photo = np.asarray(with_short_side(Image.fromarray(photo), round(fitting)))
            if len(self._photos) < KEPT_PHOTOS:
                self._photos[path] = photo
        return photo


def mirror_to(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Mirror (H, W, 3) at its borders until both sides are at least `side` pixels."""
    rows, columns = (max(0, side - length) for length in image.shape[:2])
    if not (rows or columns):
        return image
    space = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0))
    return np.pad(image, space, mode="symmetric")


class Stretch(Sampler[int]):
    """The item numbers of one process from step `first` to `last` of a run, in order."""

    def __init__(self, first: int, last: int, batch: int, rank: int = 0, world: int = 1) -> None:
        self.first, self.last, self.batch, self.rank, self.world = first, last, batch, rank, world

    def __len__(self) -> int:
        return (self.last - self.first) * self.batch

    def __iter__(self) -> Iterator[int]:
        for step in range(self.first, self.last):
            start = (step * self.world + self.rank) * self.batch
            yield from range(start, start + self.batch)
