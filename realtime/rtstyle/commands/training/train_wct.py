"""`rtstyle train-wct`: train the decoders of universal style transfer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.options import grouped
from rtstyle.commands.training.options import Running, Schedule
from rtstyle.commands.training.outcome import given
from rtstyle.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train-wct", help="Train decoders for any style (WCT).")(grouped(train_wct))


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
    *,
    schedule: Schedule,
    running: Running,
) -> None:
    """Train decoders, one level after the other. Run the same command again to resume."""
    levels = parse_levels(level)
    compact = given(width=width, feature_steps=feature_steps)
    if compact and 5 not in levels:
        raise UsageError("--width and --feature-steps are for level 5.", "", "Leave them out.")
    with needing_torch("Training"):
        from rtstyle_export.train import start

    options = {**schedule.given(), **given(feature_weight=feature_weight, weight_bits=weight_bits)}
    for number in levels:
        special = {"width": start.COMPACT_WIDTH, **compact} if number == 5 else {}
        config = start.WctConfig(level=number, **options, **special)  # type: ignore[arg-type]
        before = out / f"{number - 1}" / "checkpoint.pt"
        make = partial(
            start.CompactTrainer if config.width else start.WctTrainer,
            config, photos, out / str(number),
            init_from=init_from or (before if before.exists() else None),
            vgg_weights=running.vgg_weights,
        )  # fmt: skip
        running.train(make, photos, ": {}")
