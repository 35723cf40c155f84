"""`rtstyle train-variational`: train a latent space of styles, out of which they can be drawn."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.options import grouped
from rtstyle.commands.training.options import (
    PictureWeights,
    Running,
    Schedule,
)
from rtstyle.commands.training.outcome import counting, given
from rtstyle.commands.training.train_adain import find_start


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train-variational", help="Train a latent space of styles, to draw them from.")(
        grouped(train_variational)
    )


def train_variational(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of photographs.")],
    paintings: Annotated[Path, typer.Argument(metavar="PAINTINGS", help="Folder of paintings.")],
    vector_steps: Annotated[
        int | None, typer.Option(help="The first steps, which see vectors of paintings only.")
    ] = None,
    vectors: Annotated[int | None, typer.Option(help="Vectors a step.")] = None,
    fitted: Annotated[
        int | None, typer.Option(help="Paintings whose vector is fitted, some seconds each.")
    ] = None,
    latent: Annotated[int | None, typer.Option(help="Dimensions of the latent space.")] = None,
    margin: Annotated[
        int | None, typer.Option(help="Pixels painted beyond the crop, against frames.")
    ] = None,
    vector_weight: Annotated[
        float | None, typer.Option(help="Weight of the distance of vectors.")
    ] = None,
    kl_weight: Annotated[
        float | None, typer.Option(help="Weight of the divergence from the normal distribution.")
    ] = None,
    kl_steps: Annotated[
        int | None, typer.Option(help="Steps until the divergence has its full weight.")
    ] = None,
    disentangle_weight: Annotated[
        float | None, typer.Option(help="Weight of what a style code tells of the photo.")
    ] = None,
    triplet_weight: Annotated[
        float | None,
        typer.Option(help="Weight of style codes that are nearer to another painting's."),
    ] = None,
    init_from: Annotated[
        str,
        typer.Option(
            help="The network for any style that paints: `any` for the built-in one, the content "
            "file of one, or a checkpoint. The code file of a latent space to train that on."
        ),
    ] = "any",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; default runs/variational.")
    ] = None,
    *,
    weights: PictureWeights,
    schedule: Schedule,
    running: Running,
) -> None:
    """Train a latent space of styles. Run the same command again to resume."""
    with needing_torch("Training"):
        from rtstyle_export.train import start

    more = given(
        vector_weight=vector_weight,
        kl_weight=kl_weight,
        disentangle_weight=disentangle_weight,
        triplet_weight=triplet_weight,
    )
    options = given(
        vector_steps=vector_steps,
        vectors=vectors,
        kl_steps=kl_steps,
        fitted=fitted,
        latent=latent,
        margin=margin,
    )
    config = start.VariationalConfig(
        loss=start.VariationalLossSpec(**weights.given(), **more),  # type: ignore[arg-type]
        **schedule.given(),
        **options,  # type: ignore[arg-type]
    )
    make = partial(
        start.VariationalTrainer, config, photos, paintings, out or Path("runs") / "variational",
        init_from=find_start(init_from, config.size), vgg_weights=running.vgg_weights,
        tell=counting("vectors of paintings", 50),
    )  # fmt: skip
    running.train(make, photos, ": {}")
