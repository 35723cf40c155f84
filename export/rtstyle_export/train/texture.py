"""Training of texture networks, Ulyanov et al. 2016 and 2017."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from rtstyle_export.maths.diversity import diversity_at_all_sizes
from rtstyle_export.networks.texture import TextureNet
from rtstyle_export.runs.checkpoint import network_of
from rtstyle_export.runs.texture_config import TextureConfig
from rtstyle_export.train.johnson import Trainer

PREVIEW_SEED = 0


class TextureTrainer(Trainer):
    """A run of `rtstyle train --size texture`, on photos of the folder `photos`.

    Without `config.photo` no photos are read, and `photos` may be anything.
    """

    config: TextureConfig
    net: TextureNet

    def list_photos(self, photos: Path) -> list[Path]:
        """Return the photos of the folder; none for pure texture."""
        return super().list_photos(photos) if self.config.photo else []

    def build(self) -> nn.Module:
        """Return the network for all styles of the run."""
        return network_of(self.config)

    def dataset(self) -> Dataset[Any]:
        """Return the crops of the photos; for pure texture nothing but their numbers."""
        return super().dataset() if self.config.photo else _Numbers()

    def noise(self, count: int, side: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Draw the noise of `count` pictures of a size (rows, columns)."""
        shape = (count, *self.config.spec.noise_shape(*side))
        drawn = torch.rand(shape, generator=generator)
        return drawn.to(self.device, memory_format=torch.channels_last)

    def losses(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Perceptual and diversity loss of photos (N, 3, S, S) in -1 to 1, S = crop + margin.

        `samples` different noises in turn for each photo: a batch lies together, then its next
        samples.
        """
        config = self.config
        window = self.window(generator)
        style = self._styles().repeat(config.samples)
        side = config.crop + config.margin
        z = self.noise(len(style), (side, side), generator)
        photo: Tensor | None = None
        content: dict[str, Tensor] = {}
        with self.autocast():
            if config.photo:
                photo = batch.to(self.device, memory_format=torch.channels_last)
                found = self.loss.content_targets(window(photo))
                content = {
                    layer: value.repeat(config.samples, 1, 1, 1) for layer, value in found.items()
                }
                photo = photo.repeat(config.samples, 1, 1, 1)
            raw = window(self.model(photo, z, style).float())
            total, report = self.loss(raw, content, style)
        if config.loss.diversity_weight:
            groups = raw.clamp(-1, 1).reshape(config.samples, -1, *raw.shape[1:])
            alike = torch.stack(
                [diversity_at_all_sizes(group) for group in groups.unbind(1)]
            ).mean()
            total = total + config.loss.diversity_weight * alike
            report["diversity"] = alike.detach()
        return total, report

    def preview(self, photo: Tensor) -> dict[str, Tensor]:
        """Paint (1, 3, H, W) in every style: (3, H, W) in 0 to 1 by style; or make a texture."""
        generator = torch.Generator().manual_seed(PREVIEW_SEED)
        height, width = photo.shape[-2:]
        z = self.noise(1, (height, width), generator)
        given = photo.to(self.device) if self.config.photo else None
        self.net.eval()
        with torch.no_grad():
            rows = [
                self.net(given, z, torch.tensor([k], device=self.device))[0]
                for k in range(len(self.config.styles))
            ]
        self.net.train()
        shown = [((row.float().cpu() + 1) / 2).clamp(0, 1) for row in rows]
        shown = [picture[:, :height, :width] for picture in shown]
        return dict(zip(self.config.styles, shown, strict=True))


class _Numbers(Dataset[Tensor]):
    """Items that say nothing: what noise becomes depends on the step alone."""

    def __len__(self) -> int:
        return 1 << 62

    def __getitem__(self, index: int) -> Tensor:
        return torch.zeros(0)
