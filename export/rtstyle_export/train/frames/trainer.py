"""Training on painted frames of a clip: what `rtstyle train --frames` runs.

Texler et al. 2020, "Interactive Video Stylization Using Few-Shot Patch-Based Training": a few
frames of a clip are painted by hand, and a network learns to paint all others like them. First by
the absolute difference of pixels (L1), then also by what VGG sees in patches. Where it leaves the
paper: there is no adversarial part; the network is one that sees a canvas and paints already,
so that minutes suffice and that it is steady in motion; and it paints large windows, because its
instance norms see the statistics of a whole picture, of which VGG is shown a patch. Frames that
nobody painted are compared by Gram matrices with the same place of the painting that is nearest in
time, as in STALP (Futschik et al. 2021).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rtstyle_export.maths.functional import (
    content_distance,
    gram_matrix,
    lattice,
    out_of_range,
    style_distance,
)
from rtstyle_export.runs.frames_config import FramesConfig
from rtstyle_export.runs.loop import Machine
from rtstyle_export.runs.loss_network import find_vgg
from rtstyle_export.train.canvas.motion import draw_motion, grid_of, sample, smooth_noise
from rtstyle_export.train.canvas.step import RENEW
from rtstyle_export.train.canvas.trainer import StyleLoop, rate
from rtstyle_export.train.frames.pairs import FramePairs, read_pairs

EMPTY = 0.5
"""Share of the steps on an empty canvas; the others see the last painting moved along."""
ZOOMS = (0.85, 1.15)
"""How large a window is seen, at random."""


@dataclass(frozen=True, slots=True)
class View:
    """What one step shows: where the window lies, and how that moved and was lit.

    `place` and `before` (1, 2, 3) are affine maps from the window to the picture, now and a frame
    ago; `motion` (1, 2, 3) from the window now to the window then. `gain`, `offset` and `noise`
    change the frame, not its painting.
    """

    place: Tensor
    before: Tensor
    motion: Tensor
    gain: float
    offset: float
    noise: float


def draw_view(rng: np.random.Generator, size: tuple[int, int], side: int) -> View:
    """Draw a window of about `side` pixels of a picture of `size` (rows, columns).

    It lies within the picture where that is large enough.
    """
    rows, columns = size
    zoom = rng.uniform(*ZOOMS)
    wide, high = zoom * side / columns, zoom * side / rows
    x, y = (rng.uniform(-1, 1) * max(0.0, 1 - share) for share in (wide, high))
    angle = rng.normal() * 0.03
    c, s = math.cos(angle), math.sin(angle)
    place = np.array([[c * wide, -s * wide, x], [s * high, c * high, y], [0, 0, 1]])
    motion = draw_motion(rng, side)
    light = rng.uniform(-1, 1, 2) * (0.06, 0.03)
    return View(
        _theta(place), _theta(place @ np.linalg.inv(motion)), _theta(motion),
        1 + light[0], light[1], 0.02 * rng.random() ** 2,
    )  # fmt: skip


def _theta(matrix: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(matrix[None, :2].astype(np.float32))


class FramesTrainer(StyleLoop):
    """A run of `rtstyle train --frames`."""

    config: FramesConfig

    def __init__(
        self,
        config: FramesConfig,
        folder: Path,
        machine: Machine | None = None,
        *,
        init_from: Path | None = None,
        vgg_weights: Path | None = None,
        pairs: FramePairs | None = None,
    ) -> None:
        config.check()
        painted, clip = Path(config.paintings[0]), Path(config.clip)
        pairs = pairs or read_pairs(painted, clip, config.style_size)
        super().__init__(config, folder, machine, init_from=init_from)
        vgg = find_vgg(config.loss_network, config.loss.layers, vgg_weights, plain=True).to(
            self.device
        )
        self.vgg = self.quick(vgg)
        self.frames, self.painted, self.others = (x.to(self.device) for x in pairs.tensors())
        self.nearest = pairs.nearest

    @property
    def plain(self) -> bool:
        """Whether only pixels are compared yet."""
        return self.done < self.config.plain

    def train_step(self, batch: None) -> dict[str, float]:
        """Take one step, and return its losses."""
        del batch
        self.optimizer.lr.fill_(rate(self.config.learning_rate, self.config.warmup, self))
        rng = np.random.default_rng((self.config.seed, self.step))
        torch.manual_seed(int(rng.integers(2**31)))
        self.net.zero_grad()
        report: dict[str, float] = {}
        with self.rounding():
            for _ in range(self.config.batch):
                total, terms = self.losses(rng)
                (total / self.config.batch).backward()  # type: ignore[no-untyped-call]
                for name, value in {**terms, "total": total}.items():
                    report[name] = report.get(name, 0.0) + float(value.detach()) / self.config.batch
        norm = float(torch.nn.utils.clip_grad_norm_(self.net.parameters(), 10.0))
        self.require_finite(report["total"], norm)
        if self.optimizer.begun:
            self.optimizer.step()
        else:
            self.optimizer.begin()
        self.step += 1
        if self.step % RENEW == 0:
            self.optimizer.renew()
        return report

    def losses(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total of one window, and its terms."""
        config, loss = self.config, self.config.loss
        paired = self.plain or not len(self.others) or rng.random() >= config.unpaired
        number = int(rng.integers(len(self.frames if paired else self.others)))
        photo = (self.frames if paired else self.others)[number : number + 1]
        key = number if paired else self.nearest[number]
        empty = rng.random() < EMPTY
        view = draw_view(rng, (photo.shape[2], photo.shape[3]), config.crop)
        given = self.canvas(photo, view, empty=bool(empty))
        with torch.no_grad():
            target = seen(self.painted[key : key + 1], view.place, config.crop).clamp(-1, 1)
        with self.autocast():
            raw, _ = self.network()(given["frame"], given["canvas"], given["trust"])
        raw = raw.float()
        shown = raw.clamp(-1, 1)
        change = (shown - given["canvas"]).square().mean(1, keepdim=True) * given["known"]
        terms = {
            "coherence": change.mean(),
            "lattice": lattice(shown).mean(),
            "range": out_of_range(raw).mean(),
        }
        total = sum((getattr(loss, f"{k}_weight") * x for k, x in terms.items()), raw.new_zeros(()))
        if paired:
            terms["pixel"] = (shown - target).abs().mean()
            total = total + loss.pixel_weight * terms["pixel"]
        if not self.plain:
            top, left = rng.integers(config.crop - config.patch + 1, size=2).tolist()
            place = (..., slice(top, top + config.patch), slice(left, left + config.patch))
            found = self.compared(shown[place], target[place])
            total = total + loss.style_weight * found["style"]
            if paired:
                total = total + loss.content_weight * found["content"]
                terms["content"] = found["content"]
            terms["style"] = found["style"]
        return total, {name: value.detach() for name, value in terms.items()}

    def canvas(self, photo: Tensor, view: View, *, empty: bool) -> dict[str, Tensor]:
        """Return the frame of a view, and what the network is told of what it has painted.

        Unless the canvas is `empty`, it is the painting of the frame before, moved along, with
        holes. `known` (1, 1, S, S) is 1 where the canvas is what shall show.
        """
        side = self.config.crop
        with torch.no_grad():
            frame = lit(seen(photo, view.place, side), view)
            canvas, known = torch.zeros_like(frame), frame.new_zeros(1, 1, side, side)
            trust = frame.new_zeros(1, 1, side // 2, side // 2)
            if not empty:
                before = self.alone(lit(seen(photo, view.before, side), view))
                grid = grid_of(view.motion.to(frame), side)
                holes = smooth_noise(1, 1, 6, side, frame.device) < 0.8
                inside = (grid.abs() < 1).all(-1)[:, None]
                trust = -F.max_pool2d(-(inside & holes).to(frame), 2)
                known = F.interpolate(trust, scale_factor=2.0, mode="nearest")
                canvas = sample(before, grid).clamp(-1, 1) * known
        return {"frame": frame, "canvas": canvas, "trust": trust, "known": known}

    def alone(self, frame: Tensor) -> Tensor:
        """Paint (1, 3, H, W) on an empty canvas, clamped."""
        height, width = frame.shape[2:]
        trust = frame.new_zeros(1, 1, -(-height // 2), -(-width // 2))
        with self.autocast():
            painted: Tensor = self.network()(frame, torch.zeros_like(frame), trust)[0]
        return painted.float().clamp(-1, 1)

    def compared(self, shown: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return what VGG sees of patches (1, 3, P, P): distances of features and of Grams."""
        loss = self.config.loss
        with self.autocast():
            with torch.no_grad():
                wanted = self.vgg(target.contiguous(memory_format=torch.channels_last))
            found = self.vgg(shown.contiguous(memory_format=torch.channels_last))
            content = [
                weight * content_distance(found[k], wanted[k]).mean()
                for k, weight in loss.content_layers.items()
            ]
            style = [
                weight * style_distance(gram_matrix(found[k]), gram_matrix(wanted[k])).mean()
                for k, weight in loss.style_layers.items()
            ]
        return {"content": torch.stack(content).sum(), "style": torch.stack(style).sum()}


def seen(picture: Tensor, place: Tensor, side: int) -> Tensor:
    """Return the window (1, 3, side, side) in -1 to 1 of a picture (1, 3, H, W) uint8."""
    return sample(picture.float() / 127.5 - 1, grid_of(place.to(picture.device), side))


def lit(frame: Tensor, view: View) -> Tensor:
    """Return a frame in the light of a view, with its noise."""
    changed = (frame + 1) * view.gain - 1 + 2 * view.offset
    return (changed + 2 * view.noise * torch.randn_like(frame)).clamp(-1, 1)
