"""Training of feed-forward style networks, Johnson et al. 2016."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from rtstyle_export.data import Crops, list_pictures, read_picture, to_tensor
from rtstyle_export.maths.losses import PerceptualLoss
from rtstyle_export.maths.stability import draw_change, stability_loss
from rtstyle_export.networks.johnson import build_network
from rtstyle_export.onnx_files.storage import rounded
from rtstyle_export.runs.checkpoint import Checkpoint, initial_weights
from rtstyle_export.runs.config import TrainConfig
from rtstyle_export.runs.loop import BatchLoop, Machine
from rtstyle_export.runs.loss_network import find_vgg


class Trainer(BatchLoop):
    """A run of `rtstyle train`, on photos of the folder `photos`."""

    config: TrainConfig

    def __init__(
        self,
        config: TrainConfig,
        photos: Path,
        folder: Path,
        machine: Machine | None = None,
        *,
        init_from: Path | None = None,
        vgg_weights: Path | None = None,
    ) -> None:
        config.check()
        self.config = config
        self.photos = self.list_photos(photos)
        super().__init__(config, folder, machine, init_from=init_from)
        self.loss = self._objective(vgg_weights)

    def list_photos(self, photos: Path) -> list[Path]:
        """Return the photos of the folder."""
        return list_pictures(photos)

    def build(self) -> nn.Module:
        """Return the network for all styles of the run."""
        return build_network(self.config.size, len(self.config.styles))

    def initialise(self, source: Checkpoint) -> None:
        """Start from another run of the same size."""
        self.net.load_state_dict(initial_weights(source, self.config))

    def dataset(self) -> Dataset[Any]:
        """Return the crops of the photos."""
        return Crops(self.photos, self.config.crop + self.config.margin, self.config.seed)

    def _objective(self, vgg_weights: Path | None) -> PerceptualLoss:
        vgg = find_vgg(self.config.loss_network, self.config.loss.layers, vgg_weights, plain=True)
        vgg.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.device.type == "cpu" and self.dtype is torch.float32:
            vgg.accelerate()
        paintings = [
            to_tensor(read_picture(path, self.config.style_size, part)).to(self.device)
            for path, part in self.config.pictures()
        ]
        return PerceptualLoss(vgg, self.config.loss, paintings)

    def _styles(self) -> Tensor:
        """Take the paintings in turn over all pictures of all processes."""
        config, machine = self.config, self.machine
        first = (self.step * machine.world + machine.rank) * config.batch
        numbers = torch.arange(first, first + config.batch) % len(config.styles)
        return numbers.to(self.device)

    def losses(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Perceptual and stability loss of photos (N, 3, S, S) in -1 to 1, S = crop + margin."""
        config = self.config
        photo = batch.to(self.device, memory_format=torch.channels_last)
        style = self._styles()
        window = self.window(generator)
        with self.autocast():
            content = self.loss.content_targets(window(photo))
            if config.stability_weight:
                change = draw_change(photo.shape, config.perturbation, generator).to(self.device)
                changed = change.light(change.move(photo), generator)
                both = self.model(torch.cat([photo, changed]), torch.cat([style, style]))
                raw, again = both.float().chunk(2)
            else:
                raw = self.model(photo, style).float()
            total, report = self.loss(window(raw), content, style)
        if config.stability_weight:
            unknown = config.perturbation.margin(config.crop + config.margin)
            unstable = stability_loss(raw.clamp(-1, 1), again.clamp(-1, 1), change, unknown).mean()
            total = total + config.stability_weight * unstable
            report["stability"] = unstable.detach()
        return total, report

    def rounding(self) -> AbstractContextManager[None]:
        """Round to 8 bits if the run asks for that."""
        return rounded(self.net) if self.config.weight_bits == 8 else nullcontext()

    def preview(self, photo: Tensor) -> dict[str, Tensor]:
        """Paint (1, 3, H, W) in every style: (3, H, W) in 0 to 1 by style."""
        self.net.eval()
        with torch.no_grad():
            rows = [
                self.net(photo.to(self.device), torch.tensor([k], device=self.device))[0]
                for k in range(len(self.config.styles))
            ]
        self.net.train()
        shown = [((row.float().cpu() + 1) / 2).clamp(0, 1) for row in rows]
        return dict(zip(self.config.styles, shown, strict=True))
