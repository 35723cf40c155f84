"""The training loop of feed-forward style networks. Prints nothing: progress goes to a callback."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from rtstyle.errors import TrainingError
from rtstyle_export.data import Crops, Stretch, list_pictures, read_picture, to_tensor
from rtstyle_export.losses import PerceptualLoss
from rtstyle_export.networks.johnson import build_network
from rtstyle_export.stability import draw_change, stability_loss
from rtstyle_export.train.checkpoint import Checkpoint, initial_weights
from rtstyle_export.train.config import TrainConfig
from rtstyle_export.vgg import load_vgg
from rtstyle_export.winograd import accelerate


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after a step: losses are means over the batch."""

    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a run computes; does not change its meaning, only its speed and rounding."""

    device: str = "auto"
    precision: str = "auto"
    workers: int = 0
    rank: int = 0
    world: int = 1

    def resolve(self) -> tuple[torch.device, torch.dtype]:
        """Choose device and autocast type; `TrainingError` for a device that is not there."""
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if name.startswith("cuda") and not torch.cuda.is_available():
            raise TrainingError(
                "Cannot train on CUDA.",
                "PyTorch finds no usable NVIDIA GPU.",
                "Use --device cpu, or install a driver.",
            )
        device = torch.device(name)
        if self.precision == "auto":
            fast = device.type == "cuda" or cpu_has_bf16()
            return device, torch.bfloat16 if fast else torch.float32
        return device, {"bf16": torch.bfloat16, "fp32": torch.float32}[self.precision]


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; emulated, it is 20 times slower."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a half cosine down to zero at the last step."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Trainer:
    """One run: `run` goes on from the last checkpoint in `folder` to the last step."""

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
        self.config, self.folder, self.machine = config, folder, machine or Machine()
        self.device, self.dtype = self.machine.resolve()
        self.photos = list_pictures(photos)
        self.path = folder / "checkpoint.pt"
        torch.manual_seed(config.seed)
        self.net = build_network(config.size, len(config.styles))
        self.step, self.seconds = 0, 0.0
        if self.path.exists():
            restored = self._restore()
        else:
            restored = None
            if init_from is not None:
                self.net.load_state_dict(initial_weights(Checkpoint.load(init_from), config))
        self.net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=config.learning_rate)
        if restored is not None and restored.optimizer is not None:
            self.optimizer.load_state_dict(restored.optimizer)
        self.model: nn.Module = self.net
        if self.machine.world > 1:
            self.model = DistributedDataParallel(self.net)
        self.loss = self._objective(vgg_weights)
        self.metrics: dict[str, float] = {}

    def _restore(self) -> Checkpoint:
        found = Checkpoint.load(self.path)
        # The length may be changed on resuming; anything else would be another run.
        if {**found.config.to_json(), "steps": 0} != {**self.config.to_json(), "steps": 0}:
            raise TrainingError(
                f"{self.path} belongs to a run with other options.",
                todo="Repeat the options of that run, or choose another --name or --out.",
            )
        if found.optimizer is None and found.step < self.config.steps:
            raise TrainingError(
                f"{self.path} is a finished run without its optimiser.",
                todo="Start a new run with --init-from.",
            )
        self.net.load_state_dict(found.model)
        self.step, self.seconds = found.step, found.seconds
        return found

    def _objective(self, vgg_weights: Path | None) -> PerceptualLoss:
        vgg = load_vgg(self.config.loss_network, self.config.loss.layers, vgg_weights)
        vgg.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.device.type == "cpu" and self.dtype is torch.float32:
            vgg.features = cast(nn.Sequential, accelerate(vgg.features))
        paintings = [
            to_tensor(read_picture(path, self.config.style_size)).to(self.device)
            for path in self.config.painting_paths()
        ]
        return PerceptualLoss(vgg, self.config.loss, paintings)

    def _batches(self) -> Iterator[Tensor]:
        config, machine = self.config, self.machine
        loader = DataLoader(
            Crops(self.photos, config.crop + config.margin, config.seed),
            batch_size=config.batch,
            sampler=Stretch(self.step, config.steps, config.batch, machine.rank, machine.world),
            num_workers=machine.workers,
            persistent_workers=False,
        )
        yield from loader

    def _styles(self) -> Tensor:
        """Take the paintings in turn over all pictures of all processes."""
        config, machine = self.config, self.machine
        first = (self.step * machine.world + machine.rank) * config.batch
        numbers = torch.arange(first, first + config.batch) % len(config.styles)
        return numbers.to(self.device)

    def _window(self, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
        """Draw the square that the losses see."""
        crop = self.config.crop
        top, left = torch.randint(self.config.margin + 1, (2,), generator=generator).tolist()
        return lambda x: x[:, :, top : top + crop, left : left + crop].contiguous(
            memory_format=torch.channels_last
        )

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16
        )

    def train_step(self, photo: Tensor) -> dict[str, float]:
        """Take one step on photos (N, 3, S, S) in -1 to 1, S = crop + margin; return the losses."""
        config = self.config
        rate = learning_rate(config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        photo = photo.to(self.device, memory_format=torch.channels_last)
        style = self._styles()
        seed = (config.seed << 40) + self.step * self.machine.world + self.machine.rank
        generator = torch.Generator().manual_seed(seed)
        window = self._window(generator)
        with self._autocast():
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
            reach = config.perturbation.scale * (config.crop + config.margin) / 2
            unknown = config.perturbation.shift + math.ceil(reach)
            unstable = stability_loss(raw.clamp(-1, 1), again.clamp(-1, 1), change, unknown).mean()
            total = total + config.stability_weight * unstable
            report["stability"] = unstable.detach()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        self.optimizer.step()
        self.step += 1
        report["total"] = total.detach()
        losses = {name: float(value) for name, value in report.items()}
        if not math.isfinite(losses["total"]):
            raise TrainingError(
                f"The loss is no longer a number at step {self.step}.",
                todo="Resume with a lower --learning-rate.",
            )
        return losses

    def run(
        self,
        on_step: Callable[[Progress], None] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        save_every: int = 100,
    ) -> bool:
        """Train to the last step; False if `should_stop` ended it early. Saves either way."""
        started, before = time.monotonic(), self.seconds
        self.net.train()
        for photo in self._batches():
            losses = self.train_step(photo)
            self.seconds = before + time.monotonic() - started
            for name, value in losses.items():
                old = self.metrics.get(name, value)
                self.metrics[name] = old + 0.02 * (value - old)
            if on_step is not None:
                rate = learning_rate(self.config, self.step)
                on_step(Progress(self.step, self.config.steps, losses, rate, self.seconds))
            stop = should_stop()
            if self.step % save_every == 0 or stop:
                self.save()
            if stop:
                return False
        self.save()
        return True

    def save(self) -> None:
        """Write the checkpoint (one process of a group does)."""
        if self.machine.rank == 0:
            Checkpoint(
                self.config,
                self.step,
                {key: value.cpu() for key, value in self.net.state_dict().items()},
                self.optimizer.state_dict(),
                self.seconds,
                self.metrics,
            ).save(self.path)

    def preview(self, photo: Tensor) -> Tensor:
        """Paint (1, 3, H, W) in every style: (S, 3, H, W) in 0 to 1."""
        count = len(self.config.styles)
        self.net.eval()
        with torch.no_grad():
            rows = [
                self.net(photo.to(self.device), torch.tensor([k], device=self.device))
                for k in range(count)
            ]
        self.net.train()
        return ((torch.cat(rows).float().cpu() + 1) / 2).clamp(0, 1)
