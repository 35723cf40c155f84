"""What the training commands do: sets up one process of a run, trains, reports, stops on Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from rich.console import Console

from rtstyle_export.data import read_picture, to_tensor
from rtstyle_export.train.loop import Loop, Machine
from rtstyle_export.train.report import Reporter


@dataclass(slots=True)
class StopFlag:
    """Set by the first Ctrl-C; the second interrupts at once."""

    raised: bool = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Take SIGINT or SIGTERM."""
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True


@contextmanager
def catch_interrupts() -> Iterator[StopFlag]:
    """Turn SIGINT and SIGTERM into a flag while the context lasts."""
    flag = StopFlag()
    old = {number: signal.signal(number, flag.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def process_group() -> Iterator[tuple[int, int]]:
    """Join the group that `torchrun` made, if any; yield (rank, world size)."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield 0, 1
        return
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield torch.distributed.get_rank(), world
    finally:
        torch.distributed.destroy_process_group()


def _agree(flag: StopFlag, world: int) -> bool:
    """Whether any process of the group was asked to stop; all must take the same last step."""
    if world == 1:
        return flag.raised
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    votes = torch.tensor([float(flag.raised)], device=device)
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
    with process_group() as (rank, world), catch_interrupts() as flag:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if world > 1 and device == "auto" and torch.cuda.is_available():
            device = f"cuda:{local}"
        loop = make(Machine(device, precision, workers, rank, world))
        reporter: Reporter | None = None
        if rank == 0:
            photo = to_tensor(read_picture(preview, 256))
            reporter = Reporter(loop, loop.folder, photo, console, preview_every)
        with reporter or nullcontext():
            done = loop.run(reporter, lambda: _agree(flag, world), save_every)
    return done, loop
