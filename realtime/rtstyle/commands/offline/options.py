"""Options that the commands of this folder share, and how their runs end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtstyle.commands.training.outcome import given
from rtstyle.jobs.slow.still import CLOSURES
from rtstyle.painting.wct.defaults import ALPHA

if TYPE_CHECKING:
    from rtstyle_export.offline.pyramid import Outcome


SEED_HELP = "Of the noise."
VggWeights = Annotated[
    Path | None,
    typer.Option(
        help="Local safetensors file of VGG-19; default: what ships, up to relu4_1, and for deeper "
        "layers torchvision's download."
    ),
]
Iterations = Annotated[
    int | None,
    typer.Option(
        help=f"Evaluations of the objective at the coarsest size ({CLOSURES}); each finer one has "
        "half as many.",
        min=1,
        show_default=False,
    ),
]


Levels = Annotated[
    str | None,
    typer.Option(help="Of wct, with strengths: 4:0.8,3,2,1. Default all.", show_default=False),
]
Alpha = Annotated[
    float | None, typer.Option(help=f"Strength of wct; default {ALPHA:g}.", show_default=False)
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the work is done, and which files it may replace."""

    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto"
    threads: Annotated[int, typer.Option(help="CPU threads; 0: all.", min=0)] = 0
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = (
        False
    )


@dataclass(frozen=True, slots=True)
class Optimising:
    """Options of an optimisation; None and False are what the user did not ask for."""

    iterations: Iterations = None
    vgg_weights: VggWeights = None
    precision: Annotated[
        str | None, typer.Option(help="Of gatys: auto, fp32 or bf16. Default auto.")
    ] = None
    preview: Annotated[Path | None, typer.Option(help="File for the picture so far.")] = None
    preview_every: Annotated[
        int | None, typer.Option(help="Evaluations between previews, default 25.", min=1)
    ] = None
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue where Ctrl-C or a crash ended the same command."),
    ] = False

    def given(self) -> dict[str, Any]:
        """Return what the user asked for, by the names of the options."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name)}

    def method(self, **more: Any) -> dict[str, Any]:
        """Return the fields of a `Method` that the user gave."""
        return given(closures=self.iterations, **more)

    def settings(self, place: Place) -> dict[str, Any]:
        """Return the fields of `Settings`."""
        return given(
            vgg_weights=self.vgg_weights,
            device=place.device,
            threads=place.threads,
            preview=self.preview,
            preview_every=self.preview_every,
            precision=self.precision,
        )

    def check_targets(
        self, source: Path, output: Path, state: Path, place: Place, read: Sequence[Path]
    ) -> None:
        """Raise if the output or the preview must not be written; see `check_target`."""
        for target in (output, self.preview):
            if target is not None:
                check_target(
                    source, target, state, overwrite=place.overwrite, resume=self.resume, read=read
                )


Quality = Annotated[int, typer.Option(help="1 to 100, for JPEG and WebP.")]


def check_target(
    source: Path,
    output: Path,
    state: Path | None,
    *,
    overwrite: bool,
    resume: bool = False,
    read: Sequence[Path] = (),
) -> None:
    """Raise if `output` must not be written; a run that continues may replace its own picture.

    `state` is the file from which the run can continue, None without one. `read` are the pictures
    that are read beside `source`.
    """
    from rtstyle.jobs.image import check_output

    # Not for the preview of the same run.
    if state is not None and state.is_file() and not resume and state.name.startswith(output.stem):
        typer.echo(f"note: {state} is of a run that was cut short; --resume continues.", err=True)
    mine = overwrite or (resume and state is not None and state.is_file())
    check_output(source, output, overwrite=mine, read=read)


tell = partial(typer.echo, err=True)
"""Prints a line on standard error."""


def conclude(outcome: Outcome | None, output: Path) -> None:
    """Print how a run ended; exit with 130 if it was stopped."""
    if outcome is not None and outcome.pause is None:
        height, width = outcome.image.shape[:2]
        typer.echo(f"{output}  {width}x{height}  objective {outcome.values[-1]:.4f}")
        return
    then = " The same command with --resume continues." if outcome is not None else ""
    typer.echo(f"Stopped. {output} is the best so far.{then}")
    raise typer.Exit(130)
