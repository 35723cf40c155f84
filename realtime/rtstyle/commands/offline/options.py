"""Options that the commands of this folder share, and how their runs end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.errors import MissingExtraError

if TYPE_CHECKING:
    from rtstyle_export.offline.objective import GatysSpec
    from rtstyle_export.offline.pyramid import Outcome


EXTRA = "pip install 'rtstyle[train]'"


# Options that several commands have.
VggWeights = Annotated[
    Path | None,
    typer.Option(
        help="Local safetensors file of VGG-19; default: what ships, up to relu4_1, and for deeper "
        "layers torchvision's download."
    ),
]


Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


Precision = Annotated[str, typer.Option(help="Of gatys: auto, fp32 or bf16.")]


Threads = Annotated[int, typer.Option(help="CPU threads; 0: all.", min=0)]


Seed = Annotated[int, typer.Option(help="Of the noise.")]


Iterations = Annotated[
    int,
    typer.Option(
        help="Evaluations of the objective at the coarsest size; each finer one has half as many.",
        min=1,
    ),
]


Preview = Annotated[Path | None, typer.Option(help="File for the picture so far.")]


PreviewEvery = Annotated[int, typer.Option(help="Evaluations between previews.", min=1)]


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]


Resume = Annotated[
    bool, typer.Option("--resume", help="Continue where Ctrl-C or a crash ended the same command.")
]


Quality = Annotated[int, typer.Option(help="1 to 100, for JPEG and WebP.")]


def missing_torch(error: ImportError) -> MissingExtraError:
    """Return the error for a command that needs PyTorch."""
    return MissingExtraError("This needs PyTorch.", str(error), EXTRA)


def suited(spec: GatysSpec, vgg_weights: Path | None, **chosen: object) -> GatysSpec:
    """Return the objective for the weights at hand, and tell if that is another one.

    `chosen` are the layers that the user gave, or None.
    """
    from rtstyle_export.offline.objective import without_download
    from rtstyle_export.runs.loss_network import NOTE

    keep = [name for name, value in chosen.items() if value is not None]
    found = without_download(spec, vgg_weights, keep)
    if found != spec:
        typer.echo(f"note: {NOTE}", err=True)
    return found


def check_target(
    source: Path,
    output: Path,
    state: Path,
    *,
    overwrite: bool,
    resume: bool,
    read: Sequence[Path] = (),
) -> None:
    """Raise if `output` must not be written; a run that goes on may replace its own picture.

    `read` are the pictures that are read beside `source`.
    """
    from rtstyle.jobs.image import check_output

    # Not for the preview of the same run.
    if state.is_file() and not resume and state.name.startswith(output.stem):
        typer.echo(f"note: {state} is of a run that was cut short; --resume continues.", err=True)
    mine = overwrite or (resume and state.is_file())
    check_output(source, output, overwrite=mine, read=read)


def conclude(outcome: Outcome | None, output: Path) -> None:
    """Print how a run ended; exit with 130 if it was stopped."""
    if outcome is not None and outcome.pause is None:
        height, width = outcome.image.shape[:2]
        typer.echo(f"{output}  {width}x{height}  objective {outcome.values[-1]:.4f}")
        return
    then = " The same command with --resume continues." if outcome is not None else ""
    typer.echo(f"Stopped. {output} is the best so far.{then}")
    raise typer.Exit(130)
