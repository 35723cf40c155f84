"""What the training commands do: sets up one process of a run, trains, reports, stops on Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from rich.console import Console

from rtstyle.errors import TrainingError
from rtstyle.signals import HANGUP, handled
from rtstyle_export.data import read_picture, to_tensor
from rtstyle_export.runs.loop import Loop, Machine
from rtstyle_export.runs.report import Reporter


@dataclass(slots=True)
class StopFlag:
    """Set by the first Ctrl-C; the second interrupts at once."""

    raised: bool = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal of `rtstyle.signals.ENDING`."""
        if self.raised and number != HANGUP:
            raise KeyboardInterrupt
        self.raised = True


@contextmanager
def catch_interrupts() -> Iterator[StopFlag]:
    """Turn signals that end a run into a flag while the context lasts."""
    flag = StopFlag()
    with handled(flag.handle):
        yield flag


def place_of(device: str, local: int, gpus: int) -> tuple[str, str]:
    """Return the device and the back end of process `local` of a group on this machine.

    `device` is what was asked for, `gpus` how many the machine has. Raises `TrainingError` where
    processes would share a GPU.
    """
    if device == "cpu" or (device == "auto" and not gpus):
        return "cpu", "gloo"
    if device not in ("auto", "cuda"):
        raise TrainingError(
            f"Several processes cannot train on {device}.",
            "Each takes a GPU of its own.",
            "Use --device cuda, and choose GPUs with CUDA_VISIBLE_DEVICES.",
        )
    if gpus and local >= gpus:
        raise TrainingError(
            f"There is no GPU for process {local + 1}.",
            f"PyTorch finds {gpus} here.",
            f"Start with --nproc-per-node {gpus}.",
        )
    return f"cuda:{local}", "nccl"


@contextmanager
def process_group(device: str) -> Iterator[tuple[str, int, int]]:
    """Join the group that `torchrun` made, if any; yield (own device, rank, world size).

    Raises `TrainingError` for a device that is not there.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield device, 0, 1
        return
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device, backend = place_of(device, int(os.environ.get("LOCAL_RANK", "0")), gpus)
    place, _ = Machine(device).resolve()
    if place.type == "cuda":
        # NCCL, and whatever names no GPU of its own, take this one.
        torch.cuda.set_device(place)
    torch.distributed.init_process_group(backend)
    try:
        yield device, torch.distributed.get_rank(), world
    finally:
        torch.distributed.destroy_process_group()


def _agree(flag: StopFlag, loop: Loop) -> bool:
    """Whether any process of the group was asked to stop; all must take the same last step."""
    if loop.machine.world == 1:
        return flag.raised
    votes = torch.tensor([float(flag.raised)], device=loop.device)
    torch.distributed.all_reduce(votes)
    return bool(votes.item() > 0)


def train(
    make: Callable[[Machine], Loop],
    preview: Path,
    *,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 0,
    threads: int = 0,
    preview_every: int = 200,
    save_every: int = 100,
    console: Console | None = None,
) -> tuple[bool, Loop]:
    """Train or resume the run that `make` returns for this process; `preview` is a photo.

    Returns whether it is finished, and the run.
    """
    if threads:
        torch.set_num_threads(threads)
    console = console or Console(stderr=True)
    with process_group(device) as (own, rank, world), catch_interrupts() as flag:
        loop = make(Machine(own, precision, workers, rank, world))
        reporter: Reporter | None = None
        if rank == 0 and loop.step < loop.config.steps:
            photo = to_tensor(read_picture(preview, 256))
            reporter = Reporter(loop, loop.folder, photo, console, preview_every)
        with reporter or nullcontext():
            done = loop.run(reporter, lambda: _agree(flag, loop), save_every)
    return done, loop
