"""Training of networks that see a canvas: what `rtstyle train --canvas` runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from rtstyle_export.data import list_pictures
from rtstyle_export.maths.soap_group import GroupedSoap
from rtstyle_export.maths.vgg import VGG
from rtstyle_export.networks.canvas import SPECS, CanvasNet
from rtstyle_export.onnx_files.storage import rounded
from rtstyle_export.runs.adain_config import AnyCanvasConfig
from rtstyle_export.runs.checkpoint import Checkpoint, initial_weights
from rtstyle_export.runs.config import CanvasConfig
from rtstyle_export.runs.loop import Loop, Machine
from rtstyle_export.runs.loss_network import find_vgg
from rtstyle_export.train.canvas.step import CanvasStep, Shape
from rtstyle_export.train.canvas.targets import style_targets, wave_limits
from rtstyle_export.train.pool import photo_pool

MOST_SQUARES = 2000
"""Squares of photographs that are kept in memory, 0.6 MB each at the usual size."""
READ_EVERY = 25
"""Steps between looks at the losses on a GPU: each look waits for all that is under way."""


class CanvasLoop(Loop):
    """A run of a network that sees a canvas, whatever it learns from."""

    config: CanvasConfig | AnyCanvasConfig
    stepper: CanvasStep
    latest: dict[str, float]
    read: int
    """The step at which the losses were last read."""

    def quick(self, vgg: VGG) -> VGG:
        """Return the loss network in the form in which it is quickest here."""
        vgg.to(memory_format=torch.channels_last)
        if self.dtype is torch.bfloat16:
            vgg.features.to(torch.bfloat16)
        elif self.device.type == "cpu":
            vgg.accelerate()
        return vgg

    def make_optimizer(self) -> GroupedSoap:
        """Return SOAP over groups of what is trained."""
        return GroupedSoap(p for p in self.net.parameters() if p.requires_grad)

    @property
    def done(self) -> float:
        """What share of the run is over: of its minutes, or of its steps."""
        if self.config.minutes:
            return self.seconds / (60 * self.config.minutes)
        return self.step / self.config.steps

    def batches(self) -> Iterator[None]:
        """Yield once for each step that is left."""
        while self.done < 1:
            yield None

    def shape(self) -> Shape:
        """Return the sizes of what is painted and looked at."""
        config = self.config
        return Shape(config.crop, config.margin, config.crop + 192, config.style_size)

    def photos(self, folder: Path) -> Tensor:
        """Return the squares of the photographs in a folder, on the device."""
        paths = list_pictures(folder)
        pool = photo_pool(paths, self.shape().tile, self.config.seed, MOST_SQUARES)
        return pool.to(self.device)

    def begin(self, stepper: CanvasStep) -> None:
        """Take what makes the steps."""
        self.stepper, self.latest, self.read = stepper, {}, self.step

    def train_step(self, batch: None) -> dict[str, float]:
        """Take one step, and return the losses as they were last read."""
        del batch
        if self.device.type == "cuda":
            self.stepper.capture()
        self.stepper.scenes.pace(self.done, self.config.stills)
        self.stepper.run_step(rate(self.config.learning_rate, self.config.warmup, self))
        self.step += 1
        every = READ_EVERY if self.device.type == "cuda" else 1
        if self.step - self.read >= every or not self.latest:
            self.latest = self.stepper.read_report(self.step - self.read)
            self.read = self.step
            self.require_finite(self.latest["total"], self.stepper.gradient_norm())
        return self.latest


class StyleLoop(CanvasLoop):
    """A run of a `CanvasNet`, whose styles are known before."""

    config: CanvasConfig

    def network(self) -> CanvasNet:
        """Return what is trained."""
        assert isinstance(self.net, CanvasNet)
        return self.net

    def build(self) -> nn.Module:
        """Return the network for all styles of the run."""
        return CanvasNet(SPECS[self.config.size, self.config.body], len(self.config.styles))

    def initialise(self, source: Checkpoint) -> None:
        """Start from another run of the same size."""
        self.net.load_state_dict(initial_weights(source, self.config))

    def rounding(self) -> AbstractContextManager[None]:
        """Round to 8 bits if the run asks for that."""
        return rounded(self.net) if self.config.weight_bits == 8 else nullcontext()

    def preview(self, photo: Tensor) -> dict[str, Tensor]:
        """Paint (1, 3, H, W) in every style on an empty canvas: (3, H, W) in 0 to 1 by style."""
        net = self.network().eval()
        photo = photo.to(self.device)
        empty = torch.zeros_like(photo)
        trust = photo.new_zeros(1, 1, -(-photo.shape[2] // 2), -(-photo.shape[3] // 2))
        in_turn = net.set_in_turn(False)
        with torch.no_grad():
            rows = [
                net(photo, empty, trust, torch.tensor([k], device=self.device))[0][0]
                for k in range(len(self.config.styles))
            ]
        net.set_in_turn(in_turn)
        net.train()
        shown = [((row.float().cpu() + 1) / 2).clamp(0, 1) for row in rows]
        return dict(zip(self.config.styles, shown, strict=True))


class CanvasTrainer(StyleLoop):
    """A run of `rtstyle train --canvas`, on photos of the folder `photos`.

    A resumed run begins its sequences anew; all else goes on where it was.
    """

    def __init__(
        self,
        config: CanvasConfig,
        photos: Path,
        folder: Path,
        machine: Machine | None = None,
        *,
        init_from: Path | None = None,
        vgg_weights: Path | None = None,
    ) -> None:
        config.check()
        list_pictures(photos)  # before anything is made in `folder`
        super().__init__(config, folder, machine, init_from=init_from)
        layers = config.loss.layers
        vgg = find_vgg(config.loss_network, layers, vgg_weights, plain=True).to(self.device)
        paintings = config.pictures()
        targets = style_targets(vgg, config.loss, paintings, config.style_size, self.device)
        stepper = CanvasStep(
            self.network(),
            self.optimizer,
            self.photos(photos),
            self.quick(vgg),
            targets,
            self.shape(),
            config.loss,
            config.batch,
            seed=config.seed + self.step,
            rounded=config.weight_bits == 8,
            dtype=self.dtype,
            limits=wave_limits(paintings, config.style_size, self.device),
        )
        self.begin(stepper)


def rate(base: float, warmup: int, run: CanvasLoop) -> float:
    """Return the learning rate: a linear warm-up, then a half cosine down to zero at the end."""
    warm = min(1.0, (run.step + 1) / max(1, warmup))
    return base * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, run.done)))
