"""Training of the upsampler: it gives back paintings that were reduced.

A photo is painted at a size at which strokes are as in training, the painting is reduced, and the
network sees it enlarged again by interpolation, beside the photo: the painting itself is the
target. All styles that ship paint, and some that nobody painted (`random:7`), so that the network
serves any style.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from rtstyle.files.temporary import replacing
from rtstyle.frame import Image
from rtstyle.painting.stylizer import Stylizer
from rtstyle.styles.manifest import load_manifest
from rtstyle_export.data import list_pictures
from rtstyle_export.maths.functional import content_distance, gram_matrix, style_distance
from rtstyle_export.networks.upsampler import UNIT, UpsamplerNet
from rtstyle_export.runs.checkpoint import Checkpoint
from rtstyle_export.runs.loop import BatchLoop, Machine
from rtstyle_export.runs.loss_network import find_vgg
from rtstyle_export.runs.upsampler_config import UpsamplerConfig
from rtstyle_export.train.pool import photo_pool

SIDE = 384
"""Pixels a side of the squares that are painted."""
DRAWN = 24
"""How many styles are drawn, beside those that ship."""
SHARPEST, NOISE, BLUR = 95, 6.0, 1.2
"""Of what spoils photos: quality of JPEG, sigma of noise in levels and of blur in pixels."""

EVEN = 256
"""Pictures of one colour that each step sees; one square of each is all there is to see."""

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def painted_by_all(
    photos: NDArray[np.uint8], tell: Callable[[int, int], None] = lambda _done, _all: None
) -> NDArray[np.uint8]:
    """Paint squares (P, S, S, 3), an equal share of them by each style: the same shape."""
    known = load_manifest()
    names = [
        (name, size)
        for size in ("balanced", "fast")
        for name, style in known.styles.items()
        if size in style.files
    ]
    if "sample" in known.any.get("fast", ()):
        names += [(f"random:{seed}", "fast") for seed in range(DRAWN)]
    shares = np.array_split(np.arange(len(photos)), len(names))
    found = np.empty_like(photos)
    for (name, size), share in zip(names, shares, strict=True):
        with Stylizer(name, size) as paint:
            for index in share.tolist():
                found[index] = paint(photos[index])
                tell(index + 1, len(photos))
    return found


def gather(
    photos: list[Path], count: int, seed: int, file: Path, tell: Callable[[int, int], None]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return squares of photos and their paintings, (count, SIDE, SIDE, 3) each, kept in `file`."""
    if not file.exists():
        pool = photo_pool(photos, SIDE, seed, count).permute(0, 2, 3, 1).numpy()
        squares = np.ascontiguousarray(pool[np.arange(count) % len(pool)])
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as fresh, fresh.open("wb") as out:
            np.savez(out, photos=squares, painted=painted_by_all(squares, tell))
    with np.load(file) as known:
        return known["photos"], known["painted"]


class Pairs(Dataset[Pair]):
    """Item `i`: a photo, its painting reduced and enlarged again, and the painting itself.

    Each is (side, side, 3) uint8, a pure function of `i` and the seed. Photos are spoilt now and
    then as video is, by blocks, noise and blur: what is painted shows nothing of that.
    """

    def __init__(
        self,
        photos: NDArray[np.uint8],
        painted: NDArray[np.uint8],
        config: UpsamplerConfig,
    ) -> None:
        self.photos, self.painted, self.config = photos, painted, config
        self.side = config.crop + config.margin

    def __len__(self) -> int:
        return self.config.steps * self.config.batch

    def __getitem__(self, index: int) -> Pair:
        rng = np.random.default_rng([self.config.seed, index])
        number = int(rng.integers(len(self.photos)))
        top, left = rng.integers(SIDE - self.side + 1, size=2).tolist()
        part = np.s_[number, top : top + self.side, left : left + self.side]
        photo, painting = spoilt(self.photos[part], rng), self.painted[part]
        factor = rng.uniform(self.config.least, self.config.most)
        enlarged = reduced_and_enlarged(painting, factor)
        flip, turn = rng.random(2) < 0.5
        found = [photo, enlarged, painting]
        found = [x[:, ::-1] if flip else x for x in found]
        found = [x.transpose(1, 0, 2) if turn else x for x in found]
        one, two, three = (np.ascontiguousarray(x) for x in found)
        return one, two, three


def reduced_and_enlarged(painting: Image, factor: float) -> Image:
    """Return a painting (H, W, 3) as it looks reduced by `factor` and enlarged again."""
    height, width = painting.shape[:2]
    small = (round(width / factor), round(height / factor))
    coarse = cv2.resize(painting, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def spoilt(photo: Image, rng: np.random.Generator) -> Image:
    """Return a photo (H, W, 3) as a camera or a codec leaves it, one time in three untouched."""
    by_codec, by_lens, by_sensor = rng.random(3) < (0.35, 0.25, 0.5)
    if by_lens:
        photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.3, BLUR)), np.uint8)
    if by_sensor:
        noisy = photo + rng.normal(0, rng.uniform(0, NOISE), photo.shape)
        photo = noisy.clip(0, 255).astype(np.uint8)
    if by_codec:
        quality = int(rng.integers(30, SHARPEST))
        _, data = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])
        photo = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return photo


def to_floats(pictures: Tensor) -> Tensor:
    """Turn (N, H, W, 3) uint8 into (N, 3, H, W) in -1 to 1."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def repeated(errors: Tensor) -> Tensor:
    """Return what errors (N, 3, H, W) have in common at the same place of every square (L1).

    Pixels are shuffled into channels by squares, so that each place of one has weights of its own.
    """
    n, colours = errors.shape[:2]
    down, across = (side // UNIT for side in errors.shape[-2:])
    whole = errors[:, :, : down * UNIT, : across * UNIT].float()
    places = whole.reshape(n, colours, down, UNIT, across, UNIT).mean((0, 2, 4))
    apart: Tensor = (places - places.mean((1, 2), keepdim=True)).abs().mean()
    return apart


class UpsamplerTrainer(BatchLoop):
    """A run of `rtstyle train-upsampler`, on photos of the folder `photos`.

    `tell` is told how many of the paintings to learn from are done.
    """

    config: UpsamplerConfig

    def __init__(
        self,
        config: UpsamplerConfig,
        photos: Path,
        folder: Path,
        machine: Machine | None = None,
        *,
        init_from: Path | None = None,
        vgg_weights: Path | None = None,
        tell: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        config.check()
        paths = list_pictures(photos)
        super().__init__(config, folder, machine, init_from=init_from)
        self.vgg = find_vgg(config.loss_network, config.loss.layers, vgg_weights, plain=True).to(
            self.device
        )
        if self.device.type == "cpu" and self.dtype is torch.float32:
            self.vgg.accelerate()
        self.squares = gather(paths, config.pairs, config.seed, folder / "pairs.npz", tell)

    def build(self) -> nn.Module:
        """Return the network."""
        return UpsamplerNet()

    def initialise(self, source: Checkpoint) -> None:
        """Start from another run. Raises `TrainingError` for one of another kind."""
        source.config_as(UpsamplerConfig)
        self.load_weights(source.model)

    def dataset(self) -> Pairs:
        """Return the pairs that steps see."""
        return Pairs(*self.squares, self.config)

    def losses(
        self, batch: list[Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total to minimise, and its parts."""
        config, loss = self.config, self.config.loss
        judges = self.step >= config.plain_steps
        count = config.judged if judges else config.batch
        frame, enlarged, wanted = (to_floats(x[:count].to(self.device)) for x in batch)
        cut = self.window(generator)
        with self.autocast():
            whole = self.model(frame, enlarged)
        grid = repeated(whole - wanted)
        found, wanted = cut(whole), cut(wanted)
        pixel = (found - wanted).abs().mean()
        even = self.added_to_even(generator)
        total = loss.pixel_weight * pixel + loss.even_weight * (even + grid)
        report = {"pixel": pixel.detach(), "even": even.detach(), "grid": grid.detach()}
        if judges:
            for name, weight, value in self.judged(found, wanted):
                total = total + weight * value
                report[name] = value.detach()
        return total, report

    def added_to_even(self, generator: torch.Generator) -> Tensor:
        """Return how much is added to paintings of one colour each, beside such a frame (L1)."""
        colours = torch.rand(EVEN, 6, 1, 1, generator=generator) * 2 - 1
        both = colours.expand(-1, -1, UNIT, UNIT).to(self.device)
        with self.autocast():
            added: Tensor = (self.model(both[:, :3], both[:, 3:]) - both[:, 3:]).abs().mean()
        return added

    def judged(self, found: Tensor, wanted: Tensor) -> Iterator[tuple[str, float, Tensor]]:
        """Yield name, weight and value of what the loss network sees."""
        loss = self.config.loss
        with self.autocast():
            features = self.vgg(found.clamp(-1, 1))
            with torch.no_grad():
                targets = self.vgg(wanted)
            pairs = [(features[layer], targets[layer]) for layer in loss.layers]
            content = sum(content_distance(*pair).mean() for pair in pairs)
            style = sum(
                style_distance(gram_matrix(one), gram_matrix(two)).mean() for one, two in pairs
            )
        assert isinstance(content, Tensor)
        assert isinstance(style, Tensor)
        yield "content", loss.content_weight, content
        yield "style", loss.style_weight, style

    def preview(self, photo: Tensor) -> dict[str, Tensor]:
        """Paint the photo by a built-in style, and show it reduced and enlarged both ways."""
        picture = ((photo[0].permute(1, 2, 0) + 1) * 127.5).round().byte().cpu().numpy()
        with Stylizer(size="fast") as paint:
            painting = paint(picture)
        enlarged = reduced_and_enlarged(painting, self.config.most)
        given = [torch.from_numpy(x)[None].to(self.device) for x in (enlarged, painting)]
        shown = dict(zip(("enlarged", "painting"), map(to_floats, given), strict=True))
        with torch.no_grad():
            shown["upsampled"] = self.net(photo.to(self.device), shown["enlarged"])
        return {name: ((x[0].cpu() + 1) / 2).clamp(0, 1) for name, x in shown.items()}
