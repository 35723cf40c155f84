"""Shows a run to the person who started it: progress line, TensorBoard, preview pictures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from torch import Tensor

from rtstyle.errors import MissingExtraError
from rtstyle_export.runs.loop import Loop
from rtstyle_export.runs.loop import Progress as TrainProgress

WIDE = 120
"""Columns of a terminal from which each loss is shown, not only their sum."""
TIMED, LONG = 5, 1800.0
"""Steps that are timed at first, and seconds from which a run is called long."""
SHOWN = ("total", "content", "style", "tv", "stability", "pixel", "feature", "coherence")


def save_sheet(pictures: Sequence[Tensor], path: Path) -> None:
    """Write pictures (3, H, W) in 0 to 1 of one height side by side as one file, atomically."""
    from PIL import Image

    row = torch.cat(list(pictures), dim=2)
    array = (row * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    temporary = path.with_name(f".{path.name}")
    Image.fromarray(array).save(temporary, format="PNG")
    temporary.replace(path)


class Reporter:
    """Callback and context manager around `Loop.run`.

    Writes TensorBoard scalars below `folder`, and every `every` steps and at the end a preview of
    `photo` (1, 3, H, W) in -1 to 1, as `Loop.preview` paints it.
    """

    def __init__(
        self, trainer: Loop, folder: Path, photo: Tensor, console: Console, every: int = 200
    ) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError(
                "Training writes TensorBoard logs.", str(error), "pip install 'rtstyle[train]'"
            ) from error
        self.trainer, self.folder, self.photo, self.every = trainer, folder, photo, every
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=trainer.step + 1)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(20),
            TextColumn("{task.fields[place]}"),
            TimeRemainingColumn(),
            # What does not fit is cut off here, never the steps and the time.
            TextColumn("{task.fields[losses]}", table_column=Column(no_wrap=True, ratio=1)),
            console=console,
            expand=True,
        )
        self._first, self._seconds = trainer.step, trainer.seconds
        self._minutes = float(getattr(trainer.config, "minutes", 0.0))
        self._previewed = trainer.step
        self.task = self.bar.add_task(
            "training", total=60 * self._minutes or trainer.config.steps, losses="",
            **self._place(trainer.step, trainer.seconds),
        )  # fmt: skip

    def _place(self, step: int, seconds: float) -> dict[str, Any]:
        """Return where the run is, as fields of the bar: by its minutes if it ends by these."""
        if self._minutes:
            return {"completed": seconds, "place": f"step {step}"}
        return {"completed": step, "place": f"{step}/{self.trainer.config.steps}"}

    def __enter__(self) -> Reporter:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self.trainer.step > self._previewed:
            self.preview(self.trainer.step)
        self.bar.stop()
        self.writer.close()

    def __call__(self, progress: TrainProgress) -> None:
        """Take one step's figures."""
        smooth = self.trainer.metrics
        shown = SHOWN if self.bar.console.width >= WIDE else SHOWN[:1]
        losses = "  ".join(f"{name} {smooth[name]:.4f}" for name in shown if name in smooth)
        self._tell_time(progress)
        place = self._place(progress.step, progress.seconds)
        self.bar.update(self.task, losses=losses, **place)
        for name, value in progress.losses.items():
            self.writer.add_scalar(f"loss/{name}", value, progress.step)
        self.writer.add_scalar("learning_rate", progress.learning_rate, progress.step)
        if progress.step % self.every == 0 or progress.step == progress.steps:
            self.preview(progress.step)

    def _tell_time(self, progress: TrainProgress) -> None:
        """Say how long the run takes, once its first steps are known, where that is long."""
        done = progress.step - self._first
        if done != TIMED or self._minutes:
            return
        left = (progress.seconds - self._seconds) / done * (progress.steps - progress.step)
        if left > LONG:
            hours = timedelta(seconds=60 * round(left / 60))
            self.bar.console.print(
                f"about {hours} for the {progress.steps - progress.step} steps that are left; "
                "fewer --steps, --size fast or --init-from take less. Ctrl-C is safe: the same "
                "command goes on.",
                soft_wrap=True, highlight=False,
            )  # fmt: skip

    def preview(self, step: int) -> None:
        """Paint the preview photo and write it to the log and to `preview.png`."""
        self._previewed = step
        with self.trainer.rounding():
            pictures = self.trainer.preview(self.photo)
        for name, picture in pictures.items():
            self.writer.add_image(f"preview/{name}", picture, step)
        original = ((self.photo[0] + 1) / 2).clamp(0, 1)
        save_sheet([original, *pictures.values()], self.folder / "preview.png")
