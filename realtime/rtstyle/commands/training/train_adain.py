"""`rtstyle train-adain`: train a network that paints in the style of any picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.training.outcome import EXTRA, RunLog, check_precision, conclude, given
from rtstyle.errors import MissingExtraError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train-adain", help="Train a network for any style (AdaIN).")(train_adain)


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
    steps: Annotated[int | None, typer.Option(help="Steps in all.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pairs a step.")] = None,
    crop: Annotated[int | None, typer.Option(help="Side of the crops, pixels.")] = None,
    margin: Annotated[
        int | None, typer.Option(help="Pixels painted beyond the crop, against frames.")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="soap or adam.")] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    seed: Annotated[int, typer.Option()] = 0,
    blended: Annotated[
        float | None, typer.Option(help="Share of the pictures painted like a blend of two, 0..1.")
    ] = None,
    skips_only: Annotated[
        bool, typer.Option("--skips-only", help="Train only the layers that join paper's decoder.")
    ] = False,
    content_weight: Annotated[float | None, typer.Option()] = None,
    style_weight: Annotated[float | None, typer.Option()] = None,
    tv_weight: Annotated[float | None, typer.Option(help="Total variation.")] = None,
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
    vgg_weights: Annotated[
        Path | None,
        typer.Option(
            help="Local file of VGG-19, Oxford's or torchvision's weights; default: what ships."
        ),
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
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all.")] = 0,
    preview: Annotated[Path | None, typer.Option(help="Photo of the previews.")] = None,
    preview_every: Annotated[int, typer.Option(min=1)] = 200,
    save_every: Annotated[int, typer.Option(min=1)] = 100,
) -> None:
    """Train a network for any style. Run the same command again to resume."""
    check_precision(precision)
    try:
        from rtstyle_export.data import first_readable, list_pictures
        from rtstyle_export.maths.losses import AdainLossSpec
        from rtstyle_export.runs.config import AdainConfig
        from rtstyle_export.runs.job import train as run
        from rtstyle_export.train.adain import AdainTrainer
    except ImportError as error:
        raise MissingExtraError("Training needs PyTorch.", str(error), EXTRA) from error

    weights = given(
        content_weight=content_weight,
        style_weight=style_weight,
        tv_weight=tv_weight,
        lattice_weight=lattice_weight,
        order_weight=order_weight,
        distil_weight=distil_weight,
    )
    options = given(
        steps=steps,
        batch=batch,
        crop=crop,
        margin=margin,
        optimizer=optimizer,
        learning_rate=learning_rate,
        stability_weight=stability_weight,
        blended=blended,
    )
    config = AdainConfig(
        size=size,
        seed=seed,
        skips_only=skips_only,
        loss=AdainLossSpec(**weights),  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )
    folder = out or Path("runs") / f"adain-{size}"
    start = None if init_from is None else find_start(init_from, size)
    with RunLog() as log:
        done, trainer = run(
            lambda machine: log.follow(AdainTrainer(
                config, photos, paintings, folder, machine,
                init_from=start, vgg_weights=vgg_weights, teacher=teacher,
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
