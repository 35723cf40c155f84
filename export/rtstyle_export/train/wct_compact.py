"""Training of the compact form of level 5 of universal style transfer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from rtstyle.errors import TrainingError
from rtstyle_export.data import read_picture, to_tensor
from rtstyle_export.networks.wct import CompactLevel5, layer, principal
from rtstyle_export.onnx_files.storage import quantized
from rtstyle_export.runs.checkpoint import Checkpoint
from rtstyle_export.train.wct import CONTRAST, WctTrainer, convolutions

DEEP, DEEPEST = layer(4), layer(5)


class CompactTrainer(WctTrainer):
    """A run of `rtstyle train-wct --level 5 --width W`.

    `init_from` has the decoder of level 4, which is used as it is: the compact form is trained to
    give relu5_1 as VGG-19 does (its principal components), relu4_1 back from that, and with
    equation 1 of Li et al. 2017 the picture.
    """

    net: CompactLevel5

    def check_start(self, known: Path | None) -> None:
        """See `WctTrainer.check_start`."""
        if known is None:
            raise TrainingError(
                "The compact form of level 5 needs the decoder of level 4.",
                todo="Name it with --init-from, or train it first.",
            )

    def build(self) -> nn.Module:
        """Return the layers between relu4_1 and relu4_1."""
        return CompactLevel5(self.config.width)

    def initialise(self, source: Checkpoint) -> None:
        """Take the decoder of level 4, and the principal components of relu5_1 on photos."""
        if source.model.get("tail.convs.0.weight", torch.empty(0)).shape[:1] == (self.net.width,):
            self.load_weights(source.model)
            return
        mine = [conv for conv in self.net.decoder.convs if isinstance(conv, nn.Conv2d)]
        theirs = convolutions(source.model)
        fits = len(theirs) == len(mine) and all(
            conv.weight.shape == weight.shape
            for conv, (weight, _) in zip(mine, theirs, strict=True)
        )
        if not fits:
            raise TrainingError(
                "The compact form of level 5 needs the decoder of level 4.",
                f"What it should start from, of the kind {source.config.kind}, has another.",
                "Name that of level 4 with --init-from, or train it first.",
            )
        for conv, (weight, bias) in zip(mine, theirs, strict=True):
            conv.weight.data.copy_(weight)
            cast(Tensor, conv.bias).data.copy_(bias)
        if getattr(source.config, "weight_bits", 16) == 8:
            quantized(self.net.decoder)
        encoder = self.vgg()
        with torch.no_grad():
            seen = [encoder(self._whole(path))[DEEPEST][0] for path in self.sample()]
        self.net.mean, self.net.basis, self.net.spread = principal(seen)

    @staticmethod
    def _whole(path: Path) -> Tensor:
        photo = to_tensor(read_picture(path, 256))
        h, w = (size // 16 * 16 for size in photo.shape[-2:])
        return photo[..., :h, :w]

    def losses(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Distances to VGG's relu5_1 and relu4_1, relative to their spread; pixel and feature loss.

        `batch` holds photos (N, 3, S, S) in -1 to 1.
        """
        del generator
        photo = batch.to(self.device, memory_format=torch.channels_last)
        with self.autocast():
            with torch.no_grad():
                seen = self.encoder(photo)
            known = seen[DEEP].contiguous(memory_format=torch.channels_last)
            codes, again = self.model(known)
        wanted = self.net.codes_of(seen[DEEPEST])
        code = (codes.float() - wanted).square().sum(dim=1).mean() / self.net.spread
        deep = (again.float() - known.float()).square().mean() / known.float().square().mean()
        report = {"code": code.detach(), "deep": deep.detach()}
        total = code + deep
        if self.step >= self.config.feature_steps:
            with self.autocast():
                made = self.net.decoder(again)
                found = self.encoder(made)[DEEPEST]
            pixel = (made.float() - photo).square().mean() / CONTRAST**2
            feature = (found.float() - seen[DEEPEST].float()).square().mean()
            report |= {"pixel": pixel.detach(), "feature": feature.detach()}
            total = total + pixel + self.config.feature_weight * feature
        return total, report

    def paint(self, seen: dict[str, Tensor]) -> Tensor:
        """Give a picture back from its codes."""
        return self.net.paint(self.net.tail(seen[DEEP]))
