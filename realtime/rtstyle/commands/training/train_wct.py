"""`rtstyle train-wct`: train the decoders of universal style transfer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.training.outcome import EXTRA, RunLog, check_precision, conclude, given
from rtstyle.errors import MissingExtraError, UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train-wct", help="Train decoders for any style (WCT).")(train_wct)


def parse_levels(words: str) -> list[int]:
    """Return the levels that `all`, `3` or `1,2` names. Raises `UsageError` for others."""
    if words == "all":
        return [1, 2, 3, 4, 5]
    parts = words.split(",")
    if not all(part in ("1", "2", "3", "4", "5") for part in parts):
        raise UsageError(f"There is no level {words!r}.", todo="1 to 5, several as 1,2, or all.")
    return [int(part) for part in parts]


def train_wct(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of photographs.")],
    level: Annotated[str, typer.Option(help="1 to 5, several as 1,2, or all in turn.")] = "all",
    steps: Annotated[int | None, typer.Option(help="Steps in all, of each level.")] = None,
    batch: Annotated[int | None, typer.Option(help="Photos a step.")] = None,
    crop: Annotated[int | None, typer.Option(help="Side of the crops, pixels.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="soap or adam.")] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    feature_weight: Annotated[
        float | None, typer.Option(help="Weight of the feature loss (the paper's lambda).")
    ] = None,
    weight_bits: Annotated[
        int | None,
        typer.Option(help="8 or 16: with 8, kernels are trained and stored in 8 bits each."),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            help="Channels inside level 5, which starts from the decoder of level 4; 0: all of "
            "VGG's, 45 MB."
        ),
    ] = None,
    feature_steps: Annotated[
        int | None, typer.Option(help="First steps of level 5 that see no pictures: quicker.")
    ] = None,
    seed: Annotated[int, typer.Option()] = 0,
    vgg_weights: Annotated[
        Path | None,
        typer.Option(
            help="Local file of VGG-19, Oxford's or torchvision's weights; default: download."
        ),
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint or decoder file to start from; default: the checkpoint of the level "
            "before."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the runs, one below it for each level.")
    ] = Path("runs/wct"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all.")] = 0,
    preview: Annotated[Path | None, typer.Option(help="Photo of the previews.")] = None,
    preview_every: Annotated[int, typer.Option(min=1)] = 200,
    save_every: Annotated[int, typer.Option(min=1)] = 100,
) -> None:
    """Train decoders, one level after the other. Run the same command again to resume."""
    check_precision(precision)
    levels = parse_levels(level)
    compact = given(width=width, feature_steps=feature_steps)
    if compact and 5 not in levels:
        raise UsageError("--width and --feature-steps are for level 5.", "", "Leave them out.")
    try:
        from rtstyle_export.data import first_readable, list_pictures
        from rtstyle_export.networks.wct import COMPACT_WIDTH
        from rtstyle_export.runs.config import WctConfig
        from rtstyle_export.runs.job import train as run
        from rtstyle_export.runs.loop import Loop, Machine
        from rtstyle_export.train.wct import WctTrainer
        from rtstyle_export.train.wct_compact import CompactTrainer
    except ImportError as error:
        raise MissingExtraError("Training needs PyTorch.", str(error), EXTRA) from error

    options = given(
        steps=steps,
        batch=batch,
        crop=crop,
        optimizer=optimizer,
        learning_rate=learning_rate,
        feature_weight=feature_weight,
        weight_bits=weight_bits,
    )
    for number in levels:
        special = {"width": COMPACT_WIDTH, **compact} if number == 5 else {}
        config = WctConfig(level=number, seed=seed, **options, **special)  # type: ignore[arg-type]
        before = out / f"{number - 1}" / "checkpoint.pt"
        start = init_from or (before if before.exists() else None)

        log = RunLog()

        def make(
            machine: Machine,
            log: RunLog = log,
            config: WctConfig = config,
            start: Path | None = start,
            kind: type[WctTrainer] = CompactTrainer if config.width else WctTrainer,
        ) -> Loop:
            folder = out / str(config.level)
            return log.follow(
                kind(config, photos, folder, machine, init_from=start, vgg_weights=vgg_weights)
            )

        with log:
            done, trainer = run(
                make,
                preview or first_readable(list_pictures(photos)),
                device=device,
                precision=precision,
                workers=workers,
                threads=threads,
                preview_every=preview_every,
                save_every=save_every,
            )
        conclude(done, trainer, f": {trainer.path}")
