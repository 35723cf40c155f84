"""What the commands that optimise do around it: files, progress, previews, Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from rtstyle.errors import DeviceError, SinkError
from rtstyle.files.temporary import with_addition
from rtstyle.frame import Image
from rtstyle.jobs.slow.still_photo import StillPhoto, read_paintings
from rtstyle.media.picture import Picture, write_picture
from rtstyle_export.offline import stored
from rtstyle_export.offline.network import load_network
from rtstyle_export.offline.pyramid import Outcome, Plan, Progress, paint
from rtstyle_export.offline.subject import Subject
from rtstyle_export.runs.job import catch_interrupts

TELL_EVERY = 30.0
"""Seconds between two lines where no bar can be shown."""
SAVE_EVERY = 60.0
"""Seconds between two saves of the state."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and how to run: weights file (None: download), device, CPU threads (0: all).

    `preview` is a file that is written every `preview_every` closures; `precision` is one of
    `rtstyle_export.offline.network.PRECISIONS`.
    """

    vgg_weights: Path | None = None
    device: str = "auto"
    threads: int = 0
    preview: Path | None = None
    preview_every: int = 25
    precision: str = "auto"


def choose_device(name: str) -> torch.device:
    """Return the device called auto, cpu or cuda. Raises `DeviceError` if it is not available."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.split(":")[0] not in ("cpu", "cuda"):
        raise DeviceError(f"There is no device {name!r} for this.", "", "Use auto, cpu or cuda.")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError("CUDA is not available.", "PyTorch finds no GPU.", "Use --device cpu.")
    return torch.device(name)


class Watch:
    """Callback of a run: a bar with the losses, previews, and the picture so far."""

    def __init__(self, settings: Settings, console: Console | None = None) -> None:
        self.settings = settings
        self.last: Progress | None = None
        self.title = ""
        self._shown = 0
        self._began = time.monotonic()
        self._due = self._began
        console = console or Console(stderr=True)
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self.bar.add_task("painting", total=None, losses="")

    def __call__(self, progress: Progress) -> None:
        """Take the figures of one iteration."""
        self.last = progress
        losses = "  ".join(f"{name} {value:.4f}" for name, value in progress.terms.items())
        name = self.title or f"level {progress.level + 1} of {progress.levels}"
        self.bar.update(
            self._task, description=name, total=progress.closures, completed=progress.closure,
            losses=f"{progress.value:.4f}  {losses}",
        )  # fmt: skip
        self._tell(progress, name)
        every = self.settings.preview_every
        if self.settings.preview and progress.closure // every > self._shown // every:
            self._shown = progress.closure
            write_picture(Picture(progress.picture()), self.settings.preview)

    def _tell(self, progress: Progress, name: str) -> None:
        """Print a line now and then where no bar can be shown: in a log file or a pipe."""
        now = time.monotonic()
        last = progress.closure >= progress.closures
        if not self.bar.disable or (now < self._due and not last):
            return
        self._due = now + TELL_EVERY
        line = f"{name}: {progress.closure} of {progress.closures}, {progress.value:.4f}"
        if progress.closure:
            left = (now - self._began) / progress.closure * (progress.closures - progress.closure)
            line += f", {timedelta(seconds=round(left))} left"
        print(line, file=sys.stderr)


class Saver:
    """Callback of a run: writes its state every `SAVE_EVERY` seconds, so that a crash costs little.

    A state that cannot be written is reported once, and the run continues.
    """

    def __init__(self, identity: dict[str, Any], state: Path) -> None:
        self._identity, self._state = identity, state
        self._at = time.monotonic()
        self.saved = self._told = False

    def __call__(self, progress: Progress) -> None:
        """Save what going on from here takes, if it is time."""
        if time.monotonic() - self._at < SAVE_EVERY:
            return
        try:
            stored.save(progress.pause(), self._identity, self._state)
            self.saved = True
        except SinkError as error:
            if not self._told:
                print(f"note: {error}", file=sys.stderr)
            self._told = True
        self._at = time.monotonic()


def state_file(output: Path) -> Path:
    """Return where the state of a painting that was stopped is kept: `out.png.state`."""
    return with_addition(output, f"{output.suffix}.state", "")


def write_still(
    photo: Path,
    output: Path,
    styles: Sequence[str],
    plan: Plan,
    settings: Settings,
    tell: Callable[[str], None],
    *,
    style_scale: float,
    resume: bool,
    **how: Any,
) -> tuple[Outcome | None, tuple[str, ...]]:
    """Paint a photo file into another; return what `run` does, and what was lost in writing.

    `how` are the arguments of `StillPhoto`, whose errors it raises. `tell` is told what the photo
    lost in reading.
    """
    one = StillPhoto(photo, styles, **how)
    for note in one.notes:
        tell(f"note: {photo}: {note}")
    lost: tuple[str, ...] = ()

    def write(image: Image) -> None:
        nonlocal lost
        lost = one.write(image, output)

    subject = Subject(one.content, one.paintings, one.guides, style_scale)
    outcome = run(subject, one.shape, plan, settings, write, state_file(output), resume=resume)
    return outcome, lost


def write_texture(
    painting: str,
    output: Path,
    shape: tuple[int, int],
    plan: Plan,
    settings: Settings,
    *,
    quality: int,
    style_scale: float,
    resume: bool,
) -> Outcome | None:
    """Make a texture of `shape` (rows, columns) into a file; return what `run` does."""
    return run(
        Subject(None, [read_paintings(painting)], None, style_scale), shape, plan, settings,
        lambda image: write_picture(Picture(image), output, quality), state_file(output),
        resume=resume,
    )  # fmt: skip


def run(
    subject: Subject,
    size: tuple[int, int],
    plan: Plan,
    settings: Settings,
    write: Callable[[Image], object],
    state: Path,
    *,
    resume: bool = False,
) -> Outcome | None:
    """Paint, and hand the picture to `write`; on Ctrl-C the best so far.

    Returns None if a second Ctrl-C cut it short; then what was saved last is the state to go on
    from. `state` is where a pause is kept, and every `SAVE_EVERY` seconds the present state.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    identity = stored.fingerprint(subject, size, plan)
    start = stored.load(state, identity) if resume else None
    network = load_network(
        plan.spec.layers, settings.vgg_weights, pooling=plan.spec.pooling,
        device=choose_device(settings.device), precision=settings.precision,
    )  # fmt: skip
    watch = Watch(settings)
    saver = Saver(identity, state)

    def report(progress: Progress) -> None:
        watch(progress)
        saver(progress)

    try:
        with catch_interrupts() as flag, watch.bar:
            outcome = paint(
                network, subject, size, plan, start=start, report=report, stop=lambda: flag.raised
            )
    except KeyboardInterrupt:
        if watch.last is None:
            raise
        write(watch.last.picture())
        return None
    write(outcome.image)
    if outcome.pause is not None:
        stored.save(outcome.pause, identity, state)
    elif resume or saver.saved:
        state.unlink(missing_ok=True)
    return outcome
