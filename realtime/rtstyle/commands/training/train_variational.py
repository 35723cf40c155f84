"""`rtstyle train-variational`: train a latent space of styles, out of which they can be drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.training.outcome import EXTRA, RunLog, check_precision, conclude, given
from rtstyle.commands.training.train_adain import find_start
from rtstyle.errors import MissingExtraError

TOLD_EVERY = 50
"""Vectors of paintings between two lines about them."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train-variational", help="Train a latent space of styles, to draw them from.")(
        train_variational
    )


def train_variational(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of photographs.")],
    paintings: Annotated[Path, typer.Argument(metavar="PAINTINGS", help="Folder of paintings.")],
    steps: Annotated[int | None, typer.Option(help="Steps in all.")] = None,
    vector_steps: Annotated[
        int | None, typer.Option(help="The first steps, which see vectors of paintings only.")
    ] = None,
    vectors: Annotated[int | None, typer.Option(help="Vectors a step.")] = None,
    fitted: Annotated[
        int | None, typer.Option(help="Paintings whose vector is fitted, some seconds each.")
    ] = None,
    latent: Annotated[int | None, typer.Option(help="Dimensions of the latent space.")] = None,
    batch: Annotated[
        int | None, typer.Option(help="Paintings a step, with two photos each.")
    ] = None,
    crop: Annotated[int | None, typer.Option(help="Side of the crops, pixels.")] = None,
    margin: Annotated[
        int | None, typer.Option(help="Pixels painted beyond the crop, against frames.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    seed: Annotated[int, typer.Option()] = 0,
    vector_weight: Annotated[
        float | None, typer.Option(help="Weight of the distance of vectors.")
    ] = None,
    kl_weight: Annotated[
        float | None, typer.Option(help="Weight of the divergence from the normal distribution.")
    ] = None,
    content_weight: Annotated[float | None, typer.Option()] = None,
    style_weight: Annotated[float | None, typer.Option()] = None,
    tv_weight: Annotated[float | None, typer.Option(help="Total variation.")] = None,
    disentangle_weight: Annotated[
        float | None, typer.Option(help="Weight of what a style code tells of the photo.")
    ] = None,
    triplet_weight: Annotated[
        float | None,
        typer.Option(help="Weight of style codes that are nearer to another painting's."),
    ] = None,
    vgg_weights: Annotated[
        Path | None,
        typer.Option(
            help="Local file of VGG-19, Oxford's or torchvision's weights; default: what ships."
        ),
    ] = None,
    init_from: Annotated[
        str,
        typer.Option(
            help="The network for any style that paints: `any` for the built-in one, the content "
            "file of one, or a checkpoint."
        ),
    ] = "any",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; default runs/variational.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all.")] = 0,
    preview: Annotated[Path | None, typer.Option(help="Photo of the previews.")] = None,
    preview_every: Annotated[int, typer.Option(min=1)] = 500,
    save_every: Annotated[int, typer.Option(min=1)] = 100,
) -> None:
    """Train a latent space of styles. Run the same command again to resume."""
    check_precision(precision)
    try:
        from rtstyle_export.data import first_readable, list_pictures
        from rtstyle_export.maths.losses import VariationalLossSpec
        from rtstyle_export.runs.job import train as run
        from rtstyle_export.runs.variational_config import VariationalConfig
        from rtstyle_export.train.variational import VariationalTrainer
    except ImportError as error:
        raise MissingExtraError("Training needs PyTorch.", str(error), EXTRA) from error

    weights = given(
        vector_weight=vector_weight,
        kl_weight=kl_weight,
        content_weight=content_weight,
        style_weight=style_weight,
        tv_weight=tv_weight,
        disentangle_weight=disentangle_weight,
        triplet_weight=triplet_weight,
    )
    options = given(
        steps=steps,
        vector_steps=vector_steps,
        vectors=vectors,
        fitted=fitted,
        latent=latent,
        batch=batch,
        crop=crop,
        margin=margin,
        learning_rate=learning_rate,
    )
    config = VariationalConfig(
        seed=seed,
        loss=VariationalLossSpec(**weights),  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )
    with RunLog() as log:
        done, trainer = run(
            lambda machine: log.follow(VariationalTrainer(
                config, photos, paintings, out or Path("runs") / "variational", machine,
                init_from=find_start(init_from, config.size), vgg_weights=vgg_weights, tell=tell,
            )),
            preview or first_readable(list_pictures(photos)),
            device=device,
            precision=precision,
            workers=workers,
            threads=threads,
            preview_every=preview_every,
            save_every=save_every,
        )  # fmt: skip
    conclude(done, trainer, f": {trainer.path}")


def tell(done: int, total: int) -> None:
    """Print how many vectors of paintings are known, now and then."""
    if done % TOLD_EVERY == 0:
        typer.echo(f"{done} of {total} vectors of paintings", err=True)
