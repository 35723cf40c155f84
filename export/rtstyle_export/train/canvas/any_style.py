"""Training of the network for any style that sees a canvas: `rtstyle train-adain --canvas`.

Each sequence is painted like another painting. Strokes are learnt by Gram matrices at the size at
which frames are painted, as in the networks of one style (Johnson et al. 2016; Ghiasi et al. 2017
for any style), where the means and deviations of Huang and Belongie 2017 ask for colours and
contrasts more than for strokes. The numbers of a painting are made by the head as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from rtstyle.errors import TrainingError
from rtstyle.styles.paintings import LONGEST, prepare
from rtstyle_export.data import list_pictures, read_picture, to_tensor, with_short_side
from rtstyle_export.maths.functional import gram_matrix
from rtstyle_export.maths.vgg import VGG
from rtstyle_export.networks.adain import painting_statistics
from rtstyle_export.networks.adain_fast import CANVAS_LAYERS, CanvasAdain, FastPair, fitting
from rtstyle_export.networks.canvas_body import CanvasSpec
from rtstyle_export.networks.encoder import Encoder
from rtstyle_export.runs.adain_config import AnyCanvasConfig
from rtstyle_export.runs.checkpoint import SCALES, Checkpoint, scales_of, without_scales
from rtstyle_export.runs.loop import Machine
from rtstyle_export.runs.loss_network import find_vgg, numbering_vgg
from rtstyle_export.runs.onnx_reader import adain_checkpoint_of
from rtstyle_export.train.canvas.motion import Draw, Scenes
from rtstyle_export.train.canvas.step import CanvasStep
from rtstyle_export.train.canvas.trainer import CanvasLoop

KEPT = 1500
"""Paintings whose Gram matrices stay in memory, 1.4 MB each."""
ENLARGED = 1.25
"""By how much a small painting is enlarged at most: strokes that are blurred are learnt blurred."""
BROKEN = 100
"""After so many paintings in a row that cannot be read nothing is expected of the others."""
PREVIEWS = 4
"""Paintings in the preview picture."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is known of a painting: its numbers (1, M), and Gram matrices (1, C, C) by layer."""

    numbers: Tensor
    grams: dict[str, Tensor]


class Known(Protocol):
    """Paintings of which a step can be told."""

    paths: list[Path]

    def target(self, number: int) -> Target:
        """Return what is known of a painting."""
        ...


class Paintings:
    """Targets of paintings, made when they are first asked for.

    `pair` and `encoder` make the numbers, `vgg` sees the Gram matrices of `layers`, of a picture
    whose short side is `size` pixels, or of a small one `ENLARGED`.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        pair: FastPair,
        encoder: Encoder,
        vgg: VGG,
        layers: Sequence[str],
        size: int,
        autocast: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`autocast` makes the context in which `vgg` computes."""
        self.autocast = autocast
        self.paths, self.pair, self.encoder = list(paths), pair, encoder
        self.vgg, self.layers, self.size = vgg, tuple(layers), size
        self._known: dict[int, Target] = {}
        self._broken: set[int] = set()

    def target(self, number: int) -> Target:
        """Return what is known of a painting, or of the next one that can be read."""
        for shift in range(min(BROKEN, len(self.paths))):
            index = (number + shift) % len(self.paths)
            if index in self._broken:
                continue
            try:
                return self._target(index)
            except TrainingError:
                self._broken.add(index)
        raise TrainingError(
            f"None of the paintings from {self.paths[number]} on can be read.",
            todo="Name a folder of pictures.",
        )

    def _target(self, index: int) -> Target:
        if index not in self._known:
            if len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            self._known[index] = self._measure(self.paths[index])
        return self._known[index]

    @torch.no_grad()
    def _measure(self, path: Path) -> Target:
        picture = read_picture(path)
        device = next(self.pair.parameters()).device
        small = to_tensor(prepare(picture)).to(device)
        numbers = self.pair.head(painting_statistics(small, self.encoder(small)))
        with self.autocast():
            found = self.vgg(to_tensor(gram_picture(picture, self.size)).to(device))
        return Target(numbers, {layer: gram_matrix(found[layer]) for layer in self.layers})


def gram_picture(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return what Gram matrices are made of: a painting (H, W, 3) with a short side of `size`.

    A small one is `ENLARGED`; of a strip it is the middle, as long as what numbers are made of.
    """
    height, width = picture.shape[:2]
    short = min(height, width)
    top, left = (max(0, (side - LONGEST * short) // 2) for side in (height, width))
    middle = Image.fromarray(picture[top : height - top, left : width - left])
    return np.asarray(with_short_side(middle, min(size, round(ENLARGED * short))))


class AnyStep(CanvasStep):
    """A step of training the network for any style; `net` is a `CanvasAdain`."""

    def __init__(
        self, net: CanvasAdain, paintings: Known, unpainted: float, *args: Any, **options: Any
    ) -> None:
        """`args` and `options` are those of `CanvasStep` from `optimizer` on, without targets."""
        self.paintings, self.unpainted = paintings, unpainted
        super().__init__(net, *args, **options)
        n, device = self.batch, self.device
        first = paintings.target(0)
        self.numbers = first.numbers.repeat(n, 1)
        self.targets = {k: gram.repeat(n, 1, 1) for k, gram in first.grams.items()}
        self.painting = torch.arange(n, device=device)

    def layout(self) -> CanvasSpec:
        """Return how the network extends pictures."""
        assert isinstance(self.net, CanvasAdain)
        return self.net.layout

    def make_scenes(self, seed: int) -> Scenes:
        """Return what is shown, each sequence like a painting of its own."""
        shape, pool = self.shape, self.pool
        return Scenes(
            self.batch, len(pool), pool.shape[-1], shape.side, shape.margin, seed,
            paintings=len(self.paintings.paths), unpainted=self.unpainted,
        )  # fmt: skip

    def styles_of_batch(self) -> Tensor:
        """Return zeros: what style a sequence has is drawn."""
        return torch.zeros(self.batch, dtype=torch.int64, device=self.device)

    def note(self, draw: Draw) -> None:
        """Load the numbers and Gram matrices of the paintings that were drawn."""
        for row, number in enumerate(draw.painting.tolist()):
            target = self.paintings.target(number)
            self.numbers[row].copy_(target.numbers[0])
            for layer, gram in target.grams.items():
                self.targets[layer][row].copy_(gram[0])

    def paint(self, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Paint what `prepare` made: the painting, not clamped, and the gate."""
        assert isinstance(self.net, CanvasAdain)
        return self.net.paint_over(
            given["frame"], given["canvas"], given["trust"], self.numbers, self.drawn["strength"]
        )


class AnyCanvasTrainer(CanvasLoop):
    """A run of `rtstyle train-adain --canvas`, on the folders `photos` and `paintings`.

    `init_from` is the content file of a network for any style, or a checkpoint of one. Weights of
    VGG-19, if those are what `vgg_weights` holds, are those that it was trained with.
    """

    config: AnyCanvasConfig

    def __init__(
        self,
        config: AnyCanvasConfig,
        photos: Path,
        paintings: Path,
        folder: Path,
        machine: Machine | None = None,
        *,
        init_from: Path | None = None,
        vgg_weights: Path | None = None,
    ) -> None:
        config.check()
        list_pictures(photos)  # before anything is made in `folder`
        paths = list_pictures(paintings)
        self.encoding = numbering_vgg(vgg_weights)
        known = self.known(folder, init_from)
        if known is None:
            raise TrainingError(
                "There is no network whose painting's numbers could be kept.",
                todo="Name one with --init-from, such as any.",
            )
        self.scales = scales_of(self.start(known).model)
        super().__init__(config, folder, machine, init_from=init_from)
        encoder = Encoder.of(self.encoding, self.scales)
        loss = config.loss
        vgg = find_vgg(config.loss_network, loss.layers, vgg_weights, plain=True).to(self.device)
        quick = self.quick(vgg)
        self.paintings = Paintings(
            paths, self.pair, encoder.to(self.device), quick, tuple(loss.style_layers),
            config.style_size, self.autocast,
        )  # fmt: skip
        net = self.pair.net
        assert isinstance(net, CanvasAdain)
        stepper = AnyStep(
            net, self.paintings, config.unpainted, self.optimizer, self.photos(photos), quick, {},
            self.shape(), loss, config.batch, seed=config.seed + self.step, dtype=self.dtype,
        )  # fmt: skip
        self.begin(stepper)

    @property
    def pair(self) -> FastPair:
        """Return what is trained, with the head, which is not."""
        assert isinstance(self.net, FastPair)
        return self.net

    def from_file(self, path: Path) -> Checkpoint:
        """Read a content file."""
        return adain_checkpoint_of(path, self.encoding)

    def build(self) -> nn.Module:
        """Return the network; its head is frozen, and perhaps all that a still picture needs."""
        pair = FastPair(CanvasAdain())
        frozen = pair if self.config.canvas_only else pair.head
        frozen.requires_grad_(False)
        for name in CANVAS_LAYERS:
            pair.net.get_submodule(name).requires_grad_(True)
        return pair

    def initialise(self, source: Checkpoint) -> None:
        """Start from a network for any style with or without a canvas."""
        if source.config.size != "fast" or source.config.kind not in ("adain", self.config.kind):
            raise TrainingError(
                "A network for any style that sees a canvas cannot start from a "
                f"{source.config.kind} network of the size {source.config.size}.",
                todo="Start it from any.",
            )
        self.load_weights(source.model)

    def weights(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps of the network, and the mean activations of VGG-19."""
        scales = {f"{SCALES}{i}": scale for i, scale in enumerate(self.scales)}
        return scales | super().weights()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Undo `weights`, or take those of a network without a canvas or an adapter."""
        self.net.load_state_dict(fitting(without_scales(weights), self.net.state_dict()))

    def preview(self, photo: Tensor) -> dict[str, Tensor]:
        """Paint (1, 3, H, W) like the first few paintings: (3, H, W) in 0 to 1 by file name."""
        net, paths = self.pair.net.eval(), self.paintings.paths
        found = {}
        for index in range(0, len(paths), max(1, len(paths) // PREVIEWS)):
            with torch.no_grad():
                target = self.paintings.target(index)
                one = torch.ones(1, device=self.device)
                shown = net(photo.to(self.device), target.numbers, one)[0]
            found[paths[index].stem] = ((shown.float().cpu() + 1) / 2).clamp(0, 1)
            if len(found) == PREVIEWS:
                break
        net.train()
        return found
