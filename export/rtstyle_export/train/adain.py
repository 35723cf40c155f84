"""Training of networks for any style, Huang and Belongie 2017."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from rtstyle.errors import TrainingError
from rtstyle_export.data import Crops, list_pictures, read_picture, to_tensor
from rtstyle_export.maths.losses import AdainLoss, Blends
from rtstyle_export.maths.stability import draw_change, stability_loss
from rtstyle_export.maths.vgg import VGG
from rtstyle_export.networks.adain import PaperPair, blend, by_layer, painting_statistics
from rtstyle_export.networks.adain_fast import FastPair, fitting
from rtstyle_export.networks.encoder import (
    STYLE_LAYERS,
    Encoder,
    mean_activations,
    normalised_vgg,
)
from rtstyle_export.runs.adain_config import AdainConfig, AnyCanvasConfig
from rtstyle_export.runs.checkpoint import SCALES, Checkpoint, scales_of, without_scales
from rtstyle_export.runs.config import WctConfig
from rtstyle_export.runs.loop import BatchLoop, Machine
from rtstyle_export.runs.loss_network import find_vgg
from rtstyle_export.runs.onnx_reader import adain_checkpoint_of, wct_checkpoint_of
from rtstyle_export.train.wct import decoder_of

STEP = 0.25
"""By how much the share of a painting differs between two blends that are compared."""
PREVIEWS = 4
"""Paintings in the preview picture."""


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Item `i` is crop `i` of the photos and crop `i` of the paintings, drawn independently."""

    def __init__(
        self, photos: Sequence[Path], paintings: Sequence[Path], size: int, seed: int
    ) -> None:
        self.photos = Crops(list(photos), size, seed)
        self.paintings = Crops(list(paintings), size, seed + 1)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.photos[index], self.paintings[index]


class AdainTrainer(BatchLoop):
    """A run of `rtstyle train-adain`, on the folders `photos` and `paintings`.

    `teacher` is the checkpoint of a `paper` network that a `fast` one also learns from.
    """

    config: AdainConfig

    def __init__(
        self,
        config: AdainConfig,
        photos: Path,
        paintings: Path,
        folder: Path,
        machine: Machine | None = None,
        *,
        init_from: Path | None = None,
        vgg_weights: Path | None = None,
        teacher: Path | None = None,
    ) -> None:
        config.check()
        self.config = config
        self.photos, self.paintings = list_pictures(photos), list_pictures(paintings)
        self._vgg = find_vgg("vgg19", STYLE_LAYERS, vgg_weights)
        known = self.known(folder, init_from)
        if config.skips_only and known is None:
            raise TrainingError(
                "There is no decoder to keep.",
                "Only what joins it would be trained.",
                "Name one with --init-from, such as any.",
            )
        self.scales = self._scales(self.start(known) if known else None)
        self._teacher_file = teacher
        super().__init__(config, folder, machine, init_from=init_from)
        self.loss = AdainLoss(self._loss_network(), config.loss, STYLE_LAYERS)
        self.teacher = self._teacher(teacher) if teacher else None
        if self._quick and isinstance(self.net, PaperPair):
            self.net.net.encoder.accelerate()

    @property
    def _quick(self) -> bool:
        return self.device.type == "cpu" and self.dtype is torch.float32

    def _scales(self, known: Checkpoint | None) -> list[Tensor]:
        """Return the mean activations of VGG-19: a checkpoint's, or measured on photos."""
        if known is not None and (found := scales_of(known.model)):
            return found
        encoder = self._encoder(None)
        chosen = self.photos[:: max(1, len(self.photos) // self.config.scaled_on)]
        pictures = (to_tensor(read_picture(p, 256)) for p in chosen[: self.config.scaled_on])
        return mean_activations(encoder, pictures)

    def from_file(self, path: Path) -> Checkpoint:
        """Read a content file, or a decoder of WCT."""
        read = wct_checkpoint_of if path.name.startswith("wct-") else adain_checkpoint_of
        return read(path, self._vgg)

    def _encoder(self, scales: Sequence[Tensor] | None) -> Encoder:
        return Encoder.of(self._vgg, scales)

    def _loss_network(self) -> VGG:
        vgg = normalised_vgg(self._vgg, self.scales, STYLE_LAYERS)
        vgg.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self._quick:
            vgg.accelerate()
        return vgg

    def _teacher(self, path: Path) -> PaperPair:
        found = Checkpoint.load(path)
        if not isinstance(found.config, AdainConfig) or found.config.size != "paper":
            raise TrainingError(f"{path} is not a checkpoint of the size paper.")
        teacher = PaperPair(self._encoder(self.scales))
        teacher.load_state_dict(without_scales(found.model), strict=False)
        teacher.requires_grad_(False).to(self.device)
        if self._quick:
            teacher.net.encoder.accelerate()
        return teacher.eval()

    def build(self) -> nn.Module:
        """Return the network; of the paper's, the encoder is frozen and perhaps the decoder."""
        if self.config.size == "fast":
            return FastPair()
        pair = PaperPair(self._encoder(self.scales))
        pair.net.decoder.requires_grad_(not self.config.skips_only)
        return pair

    def weights(self) -> dict[str, Tensor]:
        """Return what was trained, and the mean activations."""
        scales = {f"{SCALES}{i}": scale for i, scale in enumerate(self.scales)}
        state = self.net.state_dict()
        return scales | {k: v.cpu() for k, v in state.items() if ".encoder." not in k}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Undo `weights`."""
        known = without_scales(weights)
        if isinstance(self.net, FastPair):
            known = fitting(known, self.net.state_dict())
        missing, unknown = self.net.load_state_dict(known, strict=False)
        if unknown or any(".encoder." not in key for key in missing):
            raise TrainingError("The checkpoint does not fit the network.")

    def initialise(self, source: Checkpoint) -> None:
        """Start from another run of the same size, `paper` also from WCT's decoder of level 4."""
        config = source.config
        if isinstance(self.net, PaperPair) and isinstance(config, WctConfig) and config.level == 4:
            self.net.net.decoder.load_state_dict(decoder_of(source).state_dict())
            return
        alike = source.config.kind in (self.config.kind, AnyCanvasConfig.kind)
        if not alike or source.config.size != self.config.size:
            raise TrainingError(
                f"Cannot start an AdaIN network of the size {self.config.size} from a "
                f"{source.config.kind} network of the size {source.config.size}.",
                "Their layers differ.",
                "Choose the same --size.",
            )
        self.load_weights(source.model)

    def dataset(self) -> Dataset[Any]:
        """Return pairs of a photo and a painting."""
        side = self.config.crop + self.config.margin
        return Pairs(self.photos, self.paintings, side, self.config.seed)

    def _strength(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the strength of each picture: mostly 1, else anything below."""
        part, below = torch.rand(2, count, generator=generator)
        return torch.where(part < self.config.unpainted, below, torch.ones(())).to(self.device)

    def _shares(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw how much of a blend of two each picture's own painting is: (count, 2)."""
        part, own = torch.rand(2, count, generator=generator)
        own = torch.where(part < self.config.blended, own, torch.ones(()))
        return torch.stack([own, 1 - own], dim=1).to(self.device)

    def _statistics(self, painting: Tensor) -> Tensor:
        with torch.no_grad():
            return painting_statistics(painting, self.loss.vgg(painting))

    def losses(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Perceptual, stability and distillation loss of a photo and a painting each."""
        config = self.config
        photo, painting = (x.to(self.device, memory_format=torch.channels_last) for x in batch)
        strength = self._strength(photo.shape[0], generator)
        shares = self._shares(photo.shape[0], generator)
        window = self.window(generator)
        with self.autocast():
            # The other painting of a blend is that of the batch's next photo.
            known = self._statistics(painting)
            known = torch.stack([known, known.roll(1, dims=0)], dim=1)
            blends = None
            if config.loss.order_weight:
                # Every photo again, with less of its own painting.
                shares = torch.cat([shares, less(shares)])
                known, strength = torch.cat([known, known]), torch.cat([strength, strength])
                blends = Blends(shares, (by_layer(known[:, 0]), by_layer(known[:, 1])))
            style = by_layer(blend(known, shares))
            target = self.loss.target(window(photo), style, strength)
            raw, unstable = self._paint(photo, known, shares, strength, generator)
            total, report = self.loss(window(raw), target, style, strength, blends)
            if self.teacher is not None:
                with torch.no_grad():
                    photos = repeated(photo, len(shares))
                    shown = self.teacher(photos, known, strength, shares).float().clamp(-1, 1)
                distance = (raw.clamp(-1, 1) - shown).square().mean()
                total = total + config.loss.distil_weight * distance
                report["distil"] = distance.detach()
        if unstable is not None:
            total = total + config.stability_weight * unstable
            report["stability"] = unstable.detach()
        return total, report

    def _paint(
        self,
        photo: Tensor,
        statistics: Tensor,
        shares: Tensor,
        strength: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor | None]:
        """Paint photos; return that, and the stability loss of the first if it is asked for.

        There may be several styles for each photo: of the whole batch, in turn.
        """
        config, count = self.config, len(photo)
        photos = repeated(photo, len(shares))
        if not config.stability_weight:
            return self.model(photos, statistics, strength, shares).float(), None
        change = draw_change(photo.shape, config.perturbation, generator).to(self.device)
        changed = change.light(change.move(photo), generator)
        again = (torch.cat([x, x[:count]]) for x in (statistics, strength, shares))
        painted = self.model(torch.cat([photos, changed]), *again).float()
        raw, moved = painted[:-count], painted[-count:]
        first = raw[:count].clamp(-1, 1)
        unknown = config.perturbation.margin(config.crop + config.margin)
        return raw, stability_loss(first, moved.clamp(-1, 1), change, unknown).mean()

    def preview(self, photo: Tensor) -> dict[str, Tensor]:
        """Paint (1, 3, H, W) like the first few paintings: (3, H, W) in 0 to 1 by file name."""
        self.net.eval()
        found = {}
        with torch.no_grad():
            for path in self.paintings[:: max(1, len(self.paintings) // PREVIEWS)][:PREVIEWS]:
                known = self._statistics(to_tensor(read_picture(path, 256)).to(self.device))
                one = torch.ones(1, 1).to(self.device)
                shown = self.net(photo.to(self.device), known[:, None], one[0], one)
                found[path.stem] = ((shown[0].float().cpu() + 1) / 2).clamp(0, 1)
        self.net.train()
        return found


def less(shares: Tensor) -> Tensor:
    """Take up to `STEP` from the first of two shares (N, 2), and give it to the second."""
    own = (shares[:, 0] - STEP).clamp_min(0)
    return torch.stack([own, 1 - own], dim=1)


def repeated(photos: Tensor, count: int) -> Tensor:
    """Return (N, C, H, W) over and over: (`count`, C, H, W), a multiple of N."""
    return torch.cat([photos] * (count // len(photos)))
