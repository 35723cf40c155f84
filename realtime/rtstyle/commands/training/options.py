"""Options that all commands that train have, and how their runs begin and end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtstyle.commands.training.outcome import RunLog, conclude, given
from rtstyle.errors import UsageError

if TYPE_CHECKING:
    from rtstyle_export.runs.loop import Loop, Machine

PRECISIONS = ("auto", "fp32", "bf16")


class Group:
    """Options of which None means that the user gave nothing."""

    def given(self) -> dict[str, Any]:
        """Return what the user gave, as fields of a configuration."""
        return given(**{f.name: getattr(self, f.name) for f in fields(self)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class PictureWeights(Group):
    """Weights of a loss that compares pictures."""

    content_weight: Annotated[float | None, typer.Option()] = None
    style_weight: Annotated[float | None, typer.Option()] = None
    tv_weight: Annotated[float | None, typer.Option(help="Total variation.")] = None


@dataclass(frozen=True)
class Schedule(Group):
    """How long and with what a network is trained; None is the default of its configuration."""

    steps: Annotated[int | None, typer.Option(help="Steps in all (of each level).")] = None
    batch: Annotated[int | None, typer.Option(help="Photos, or pairs, a step.")] = None
    crop: Annotated[int | None, typer.Option(help="Side of the crops, pixels.")] = None
    optimizer: Annotated[str | None, typer.Option(help="soap or adam.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="The highest of the schedule.")] = None
    seed: Annotated[int | None, typer.Option(help="Of everything that is random.")] = None


@dataclass(frozen=True, slots=True)
class Running:
    """Where and how a run is done, which does not decide its result. Raises `UsageError`."""

    vgg_weights: Annotated[
        Path | None,
        typer.Option(
            help="Local safetensors file of VGG, Oxford's or torchvision's weights; default: of "
            "VGG-19 up to relu4_1 what ships, else a download."
        ),
    ] = None
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto"
    precision: Annotated[str, typer.Option(help=f"{', '.join(PRECISIONS[:-1])} or bf16.")] = "auto"
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures.")] = 0
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all.")] = 0
    preview: Annotated[Path | None, typer.Option(help="Photo of the previews.")] = None
    preview_every: Annotated[int, typer.Option(min=1)] = 200
    save_every: Annotated[int, typer.Option(min=1)] = 100

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"There is no precision {self.precision!r}.", todo="auto, fp32, bf16.")

    def train(
        self,
        make: Callable[[Machine], Loop],
        photos: Path,
        then: str,
        finish: Callable[[Loop], None] | None = None,
    ) -> None:
        """Train or resume the run that `make` returns, and print how it ended.

        The previews show a photo of the folder `photos`, or the picture `photos`, unless the user
        named one. `then` follows the last line, with the run's file for {}; `finish` is called with
        a run that is over. Exits with 130 if the run was stopped.
        """
        from rtstyle_export.train.start import first_readable, list_pictures, train

        with RunLog() as log:
            done, loop = train(
                lambda machine: log.follow(make(machine)),
                self.preview
                or (photos if photos.is_file() else first_readable(list_pictures(photos))),
                device=self.device,
                precision=self.precision,
                workers=self.workers,
                threads=self.threads,
                preview_every=self.preview_every,
                save_every=self.save_every,
            )
        conclude(done, loop, then.format(loop.path))
        if finish is not None and loop.machine.rank == 0:
            finish(loop)
