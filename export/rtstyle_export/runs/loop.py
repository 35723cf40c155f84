"""The loop that all training runs share. Prints nothing: progress goes to a callback."""

from __future__ import annotations

import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from rtstyle.errors import TrainingError
from rtstyle_export.data import Stretch
from rtstyle_export.maths.soap import Soap
from rtstyle_export.runs.checkpoint import CHECKPOINT, Checkpoint
from rtstyle_export.runs.config import RunConfig
from rtstyle_export.runs.onnx_reader import checkpoint_of

AnyPath = TypeVar("AnyPath", bound=Path | None)


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
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
            raise TrainingError(f"There is no device {name!r}.", "", "Use auto, cpu or cuda.")
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


def learning_rate(config: RunConfig, step: int) -> float:
    """Linear warm-up, then a half cosine down to zero at the last step."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Loop(ABC):
    """One run: `run` goes on from the last checkpoint in `folder` to the last step.

    A kind of training says what it is by `build`, `initialise`, `batches`, `train_step`, `preview`.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        machine: Machine | None = None,
        *,
        init_from: Path | None = None,
    ) -> None:
        config.check()
        self.config, self.folder, self.machine = config, folder, machine or Machine()
        self.device, self.dtype = self.machine.resolve()
        self.path = folder / CHECKPOINT
        torch.manual_seed(config.seed)
        self.net = self.build()
        self.step, self.seconds = 0, 0.0
        self.metrics: dict[str, float] = {}
        restored = self._restore() if self.path.exists() else None
        if restored is None and init_from is not None:
            self.initialise(self.start(init_from))
        self.net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = self.make_optimizer()
        if restored is not None and restored.optimizer is not None:
            self.optimizer.load_state_dict(restored.optimizer)
        self.model: nn.Module = self.net
        if self.machine.world > 1:
            self.model = DistributedDataParallel(self.net)

    @staticmethod
    def known(folder: Path, init_from: AnyPath) -> Path | AnyPath:
        """Return what a run in `folder` goes on from: its own checkpoint, else `init_from`."""
        own = folder / CHECKPOINT
        return own if own.exists() else init_from

    def start(self, path: Path) -> Checkpoint:
        """Read a checkpoint or an ONNX file to start from. Raises `TrainingError`."""
        return self.from_file(path) if path.suffix == ".onnx" else Checkpoint.load(path)

    def from_file(self, path: Path) -> Checkpoint:
        """Read the network that `path` holds, an ONNX file of this kind of training."""
        return checkpoint_of(path)

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network, freshly initialised, on the CPU."""

    @abstractmethod
    def initialise(self, source: Checkpoint) -> None:
        """Start from another run's weights. Raises `TrainingError` if they do not fit."""

    @abstractmethod
    def preview(self, photo: Tensor) -> dict[str, Tensor]:
        """Paint (1, 3, H, W) in -1 to 1: pictures (3, H, W) in 0 to 1 by name."""

    def make_optimizer(self) -> Any:
        """Return the optimiser of what is trained of `net`."""
        trained = [value for value in self.net.parameters() if value.requires_grad]
        kinds = {"soap": Soap, "adam": torch.optim.Adam}
        return kinds[self.config.optimizer](trained, lr=self.config.learning_rate)

    def weights(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps of the network."""
        return {key: value.cpu() for key, value in self.net.state_dict().items()}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Undo `weights`."""
        self.net.load_state_dict(weights)

    def _restore(self) -> Checkpoint:
        found = Checkpoint.load(self.path)
        differing = found.config.differences(self.config)
        if differing:
            raise TrainingError(
                f"{self.path} belongs to a run with other options.",
                f"They differ in {', '.join(differing)}.",
                "Repeat the options of that run, or choose another --name or --out.",
            )
        if found.optimizer is None and found.step < self.config.steps:
            raise TrainingError(
                f"{self.path} is a finished run without its optimiser.",
                todo="Start a new run with --init-from.",
            )
        self.load_weights(found.model)
        self.step, self.seconds, self.metrics = found.step, found.seconds, dict(found.metrics)
        return found

    def window(self, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
        """Draw the square that the losses see."""
        crop = self.config.crop
        top, left = torch.randint(self.config.margin + 1, (2,), generator=generator).tolist()
        return lambda x: x[:, :, top : top + crop, left : left + crop].contiguous(
            memory_format=torch.channels_last
        )

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which the networks compute."""
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16
        )

    def rounding(self) -> AbstractContextManager[None]:
        """Return the context in which weights are rounded as they will be stored, if they are."""
        return nullcontext()

    @abstractmethod
    def batches(self) -> Iterator[Any]:
        """Yield what each step from the present one to the last takes."""

    @abstractmethod
    def train_step(self, batch: Any) -> dict[str, float]:
        """Take one step on what `batches` gave, and return the losses."""

    def require_finite(self, loss: float, gradient: float) -> None:
        """Raise `TrainingError` for what is not a number any more."""
        for name, value in (("loss", loss), ("gradient", gradient)):
            if not math.isfinite(value):
                raise TrainingError(
                    f"The {name} is no longer a number at step {self.step + 1}.",
                    todo="Start a new run with a lower --learning-rate, with --init-from "
                    f"{self.path} if that is there.",
                )

    def run(
        self,
        on_step: Callable[[Progress], None] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        save_every: int = 100,
    ) -> bool:
        """Train to the last step; False if `should_stop` ended it early. Saves either way.

        A run that was finished already is left as it is.
        """
        started, before, first = time.monotonic(), self.seconds, self.step
        self.net.train()
        for batch in self.batches():
            losses = self.train_step(batch)
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
            if stop and self.step < self.config.steps:
                return False
        if self.step > first:
            self.save()
        return True

    def save(self) -> None:
        """Write the checkpoint (one process of a group does)."""
        if self.machine.rank == 0:
            Checkpoint(
                self.config,
                self.step,
                self.weights(),
                self.optimizer.state_dict(),
                self.seconds,
                self.metrics,
            ).save(self.path)


class BatchLoop(Loop):
    """A run on numbered items of a data set, whose losses are one function of a batch.

    A kind of training says what it is by `build`, `initialise`, `dataset`, `losses`, `preview`.
    """

    @abstractmethod
    def dataset(self) -> Dataset[Any]:
        """Return numbered items, each a pure function of its number and the seed."""

    @abstractmethod
    def losses(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total to minimise and the figures to report, for what `dataset` gave.

        `generator` is a pure function of the step, the process and the seed.
        """

    def batches(self) -> Iterator[Any]:
        """Yield batches of the data set from the present step to the last."""
        config, machine = self.config, self.machine
        loader = DataLoader(
            self.dataset(),
            batch_size=config.batch,
            sampler=Stretch(self.step, config.steps, config.batch, machine.rank, machine.world),
            num_workers=machine.workers,
            persistent_workers=False,
        )
        yield from loader

    def train_step(self, batch: Any) -> dict[str, float]:
        """Take one step on what `dataset` gave, and return the losses."""
        config = self.config
        rate = learning_rate(config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        number = self.step * self.machine.world + self.machine.rank
        seed = ((config.seed << 40) + number) % 2**64
        self.optimizer.zero_grad(set_to_none=True)
        with self.rounding():
            total, report = self.losses(batch, torch.Generator().manual_seed(seed))
            total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        report["total"] = total.detach()
        losses = {name: float(value) for name, value in report.items()}
        # Before the step: weights that are not numbers must not reach a checkpoint.
        self.require_finite(losses["total"], float(norm))
        self.optimizer.step()
        self.step += 1
        return losses
