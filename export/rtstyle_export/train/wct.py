"""Training of the decoders of universal style transfer, Li et al. 2017."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from rtstyle.errors import TrainingError
from rtstyle_export.data import Crops, list_pictures, read_picture, to_tensor
from rtstyle_export.networks.encoder import Encoder, mean_activations
from rtstyle_export.networks.wct import WctDecoder, layer
from rtstyle_export.onnx_files.storage import quantized, rounded
from rtstyle_export.runs.checkpoint import SCALES, Checkpoint, scales_of, without_scales
from rtstyle_export.runs.config import WctConfig
from rtstyle_export.runs.loop import BatchLoop, Machine
from rtstyle_export.runs.loss_network import find_vgg
from rtstyle_export.runs.onnx_reader import wct_checkpoint_of

CONTRAST = 0.5
"""Standard deviation of photographs in -1 to 1: the unit of the pixel loss, beside features whose
mean is 1."""


def convolutions(weights: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return kernels and biases of the decoder in a checkpoint of this kind or of AdaIN's."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, value in weights.items():
        prefix, found_it, rest = key.rpartition("convs.")
        if found_it and not prefix.endswith("encoder."):
            number, kind = rest.split(".")
            found.setdefault(int(number), {})[kind] = value
    return [(found[i]["weight"], found[i]["bias"]) for i in sorted(found)]


def decoder_of(checkpoint: Checkpoint) -> WctDecoder:
    """Return the decoder of a level as it is stored. Raises `TrainingError` for other networks."""
    config = checkpoint.config
    if not isinstance(config, WctConfig) or config.width:
        raise TrainingError(f"This {config.kind} checkpoint has no decoder of a level.")
    decoder = WctDecoder(config.level)
    decoder.load_state_dict(without_scales(checkpoint.model))
    if config.weight_bits == 8:
        quantized(decoder)
    return decoder


class WctTrainer(BatchLoop):
    """A run of `rtstyle train-wct` for one level, on the photos of a folder.

    `init_from` is the checkpoint or the file of another level, or the checkpoint of a `paper`
    network of AdaIN: the layers that both decoders end with are copied, and VGG is scaled as it
    was there.
    """

    config: WctConfig

    def __init__(
        self,
        config: WctConfig,
        photos: Path,
        folder: Path,
        machine: Machine | None = None,
        *,
        init_from: Path | None = None,
        vgg_weights: Path | None = None,
    ) -> None:
        config.check()
        self.config, self.photos = config, list_pictures(photos)
        known = self.known(folder, init_from)
        self.check_start(known)
        self._vgg = vgg = find_vgg("vgg19", [layer(config.level)], vgg_weights)
        plain = Encoder.of(vgg, None, layer(config.level))
        self.scales = self._scales(plain, self.start(known).model if known else {})
        super().__init__(config, folder, machine, init_from=init_from)
        self.encoder = self.vgg().to(self.device)
        if self.device.type == "cpu" and self.dtype is torch.float32:
            self.encoder.accelerate()

    def check_start(self, known: Path | None) -> None:
        """Raise `TrainingError` unless a run can start from `known`; None: from nothing."""

    def vgg(self) -> Encoder:
        """Return VGG-19 up to this level, scaled."""
        return Encoder.of(self._vgg, self.scales, layer(self.config.level))

    def sample(self) -> list[Path]:
        """Return the photos on which statistics are taken."""
        count = self.config.scaled_on
        return self.photos[:: max(1, len(self.photos) // count)][:count]

    def from_file(self, path: Path) -> Checkpoint:
        """Read a decoder's file."""
        return wct_checkpoint_of(path, self._vgg)

    def _scales(self, plain: Encoder, known: dict[str, Tensor]) -> list[Tensor]:
        """Return the mean activations of VGG-19: those known, the deeper ones from photos."""
        found = scales_of(known)[: len(plain.layers())]
        if len(found) == len(plain.layers()):
            return found
        photos = (to_tensor(read_picture(path, 256)) for path in self.sample())
        measured = mean_activations(plain, photos)
        return [*found, *measured[len(found) :]]

    def build(self) -> nn.Module:
        """Return the decoder."""
        return WctDecoder(self.config.level)

    def weights(self) -> dict[str, Tensor]:
        """Return the decoder and the mean activations."""
        return {f"{SCALES}{i}": s for i, s in enumerate(self.scales)} | super().weights()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Undo `weights`."""
        super().load_weights(without_scales(weights))

    def initialise(self, source: Checkpoint) -> None:
        """Copy the last layers, as many as fit."""
        mine = [conv for conv in self.net.modules() if isinstance(conv, nn.Conv2d)]
        copied = 0
        pairs = zip(reversed(mine), reversed(convolutions(source.model)), strict=False)
        for conv, (weight, bias) in pairs:
            if conv.weight.shape != weight.shape:
                break
            conv.weight.data.copy_(weight)
            cast(Tensor, conv.bias).data.copy_(bias)
            copied += 1
        if not copied:
            raise TrainingError(
                f"Nothing of the {source.config.kind} checkpoint fits the decoder.",
                todo="Name one of `rtstyle train-wct`, or of `train-adain --size paper`.",
            )

    def rounding(self) -> AbstractContextManager[None]:
        """Round kernels to 8 bits while a step is computed, if they are stored so."""
        return rounded(self.net) if self.config.weight_bits == 8 else nullcontext()

    def dataset(self) -> Dataset[Any]:
        """Return the crops of the photos."""
        return Crops(self.photos, self.config.crop, self.config.seed)

    def losses(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Pixel and feature loss of photos (N, 3, S, S) in -1 to 1 (equation 1)."""
        del generator
        photo = batch.to(self.device, memory_format=torch.channels_last)
        name = layer(self.config.level)
        with self.autocast():
            with torch.no_grad():
                features = self.encoder(photo)[name].contiguous(memory_format=torch.channels_last)
            made = self.model(features)
            again = self.encoder(made)[name]
        pixel = (made.float() - photo).square().mean() / CONTRAST**2
        feature = (again.float() - features.float()).square().mean()
        report = {"pixel": pixel.detach(), "feature": feature.detach()}
        return pixel + self.config.feature_weight * feature, report

    def paint(self, seen: dict[str, Tensor]) -> Tensor:
        """Give a picture back from what the encoder has `seen` of it."""
        painted: Tensor = self.net(seen[layer(self.config.level)])
        return painted

    def preview(self, photo: Tensor) -> dict[str, Tensor]:
        """Reconstruct (1, 3, H, W) in -1 to 1: (3, H, W) in 0 to 1 by the layer's name."""
        name = layer(self.config.level)
        h, w = (size // 16 * 16 for size in photo.shape[-2:])
        with torch.no_grad():
            made = self.paint(self.encoder(photo[:, :, :h, :w].to(self.device)))
        shown = torch.zeros(photo.shape[1:])
        shown[:, :h, :w] = ((made[0].float().cpu() + 1) / 2).clamp(0, 1)
        return {name: shown}
