"""`rtstyle train-adain`: train a network that paints in the style of any picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.options import grouped
from rtstyle.commands.training.options import (
    PictureWeights,
    Running,
    Schedule,
    missing_torch,
)
from rtstyle.commands.training.outcome import given


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train-adain", help="Train a network for any style (AdaIN).")(grouped(train_adain))


def find_start(name: str, size: str) -> Path:
    """Return the file of `--init-from`. Raises `StyleError` if nothing is built in."""
    if name != "any":
        return Path(name)
    from rtstyle.styles.manifest import find_any

    return find_any("content", size).path


def train_adain(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of photographs.")],
    paintings: Annotated[Path, typer.Argument(metavar="PAINTINGS", help="Folder of paintings.")],
    size: Annotated[str, typer.Option(help="paper (the paper's network) or fast.")] = "paper",
    margin: Annotated[
        int | None, typer.Option(help="Pixels painted beyond the crop, against frames.")
    ] = None,
    blended: Annotated[
        float | None, typer.Option(help="Share of the pictures painted like a blend of two, 0..1.")
    ] = None,
    skips_only: Annotated[
        bool, typer.Option("--skips-only", help="Train only the layers that join paper's decoder.")
    ] = False,
    lattice_weight: Annotated[
        float | None, typer.Option(help="Weight of grids of eight pixels.")
    ] = None,
    order_weight: Annotated[
        float | None,
        typer.Option(help="Weight of blends that come no nearer to a painting as its share grows."),
    ] = None,
    distil_weight: Annotated[
        float | None, typer.Option(help="Weight of the difference to --teacher's painting.")
    ] = None,
    stability_weight: Annotated[
        float | None, typer.Option(help="Weight of the loss against flicker; 0 switches it off.")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="Checkpoint of a paper network to learn from.")
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            help="Start from another network of the same size: `any` for the built-in one, the "
            "content file of one, or a checkpoint."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; default runs/adain-SIZE.")
    ] = None,
    *,
    weights: PictureWeights,
    schedule: Schedule,
    running: Running,
) -> None:
    """Train a network for any style. Run the same command again to resume."""
    try:
        from rtstyle_export.train.start import AdainConfig, AdainLossSpec, AdainTrainer
    except ImportError as error:
        raise missing_torch(error) from error

    more = given(
        lattice_weight=lattice_weight,
        order_weight=order_weight,
        distil_weight=distil_weight,
    )
    options = given(margin=margin, stability_weight=stability_weight, blended=blended)
    config = AdainConfig(
        size=size,
        skips_only=skips_only,
        loss=AdainLossSpec(**weights.given(), **more),  # type: ignore[arg-type]
        **schedule.given(),
        **options,  # type: ignore[arg-type]
    )
    folder = out or Path("runs") / f"adain-{size}"
    start = None if init_from is None else find_start(init_from, size)
    running.train(
        lambda machine: AdainTrainer(
            config, photos, paintings, folder, machine,
            init_from=start, vgg_weights=running.vgg_weights, teacher=teacher,
        ),
        photos, ": {}",
    )  # fmt: skip
