"""`rtstyle train-adain`: train a network that paints in the style of any picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.options import grouped
from rtstyle.commands.training.options import (
    Group,
    PictureWeights,
    Running,
    Schedule,
)
from rtstyle.commands.training.outcome import given
from rtstyle.errors import UsageError
from rtstyle.styles.manifest import find_any, find_wct

TRANSFORMS = ("adain", "linear")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train-adain", help="Train a network for any style (AdaIN).")(grouped(train_adain))


@dataclass(frozen=True)
class Transform(Group):
    """What is done to the features of a photo, and where."""

    transform: Annotated[
        str, typer.Option(help="adain, or linear: a learned matrix in place of a diagonal.")
    ] = "adain"
    layer: Annotated[
        str | None,
        typer.Option(help="With --transform linear, of paper: relu3_1 or relu4_1 (the default)."),
    ] = None

    feature_steps: Annotated[
        int | None,
        typer.Option(
            help="With --transform linear, of paper: the first steps, which see features only."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            raise UsageError(
                f"There is no transform {self.transform!r}.", todo=f"{' or '.join(TRANSFORMS)}."
            )
        if self.transform != "linear" and (self.layer or self.feature_steps is not None):
            raise UsageError(
                "--layer and --feature-steps are for --transform linear.", todo="Leave them out."
            )


@dataclass(frozen=True)
class OnCanvas(Group):
    """The network that sees what it has painted."""

    canvas: Annotated[
        bool,
        typer.Option(
            "--canvas",
            help="Of fast: train the network that sees what it has painted, and is steady in "
            "motion. It starts from another, and keeps that one's numbers of paintings.",
        ),
    ] = False
    minutes: Annotated[
        float | None, typer.Option(help="With --canvas: end after this time, in place of --steps.")
    ] = None
    coherence_weight: Annotated[
        float | None, typer.Option(help="With --canvas: weight of the change along the motion.")
    ] = None
    style_size: Annotated[
        int | None,
        typer.Option(help="With --canvas: short side of the paintings whose strokes are learnt."),
    ] = None
    canvas_only: Annotated[
        bool,
        typer.Option(
            "--canvas-only",
            help="With --canvas: train what sees the canvas, and nothing that paints stills.",
        ),
    ] = False

    def __post_init__(self) -> None:
        if not self.canvas and given(
            minutes=self.minutes, coherence_weight=self.coherence_weight, size=self.style_size,
            only=self.canvas_only or None,
        ):  # fmt: skip
            raise UsageError(
                "--minutes, --coherence-weight, --style-size and --canvas-only are for --canvas.",
                todo="Leave them out.",
            )


def find_start(name: str, size: str) -> Path:
    """Return the file of `--init-from`. Raises `StyleError` if nothing is built in."""
    if name != "any":
        return Path(name)

    return find_any("content", size).path


def find_linear_start(name: str | None, size: str, layer: str) -> Path:
    """Return the file that a linear transform is put into, as of `find_start`."""
    if name not in (None, "any"):
        return Path(str(name))

    return find_start("any", size) if size == "fast" else find_wct(f"decoder-{layer[4]}")


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
    transform: Transform,
    on_canvas: OnCanvas,
    weights: PictureWeights,
    schedule: Schedule,
    running: Running,
) -> None:
    """Train a network for any style. Run the same command again to resume.

    With --transform linear only the transform is trained (Li et al. 2018): of fast inside the
    network for AdaIN, of paper between VGG-19 and a decoder of WCT.
    """
    with needing_torch("Training"):
        from rtstyle_export.train import start

    if on_canvas.canvas:
        refused = given(
            blended=blended, order_weight=order_weight, distil_weight=distil_weight,
            stability_weight=stability_weight, teacher=teacher, layer=transform.layer,
            feature_steps=transform.feature_steps,
        )  # fmt: skip
        if refused or size != "fast" or transform.transform != "adain" or skips_only:
            raise UsageError(
                "--canvas is for --size fast and --transform adain.",
                "It has no blends, no teacher and no loss against flicker beside its own.",
                "rtstyle train-adain photos/ paintings/ --size fast --canvas --init-from any",
            )
        loss_weights = given(
            lattice_weight=lattice_weight, coherence_weight=on_canvas.coherence_weight
        )
        network = start.usual_network(running.vgg_weights)
        layers = {
            name: start.reachable(
                network, getattr(start.CanvasLossSpec(), name), running.vgg_weights
            )
            for name in ("content_layers", "style_layers")
        }
        canvas = start.AnyCanvasConfig(
            loss_network=network,
            canvas_only=on_canvas.canvas_only,
            loss=start.CanvasLossSpec(**layers, **weights.given(), **loss_weights),  # type: ignore[arg-type]
            **schedule.given(),
            **given(margin=margin, minutes=on_canvas.minutes, style_size=on_canvas.style_size),  # type: ignore[arg-type]
        )
        canvas.check()
        running.train(
            lambda machine: start.AnyCanvasTrainer(
                canvas, photos, paintings, out or Path("runs/adain-fast-canvas"), machine,
                init_from=find_start(init_from or "any", "fast"), vgg_weights=running.vgg_weights,
            ),
            photos, ": {}",
        )  # fmt: skip
        return
    linear = transform.transform == "linear"
    if linear and teacher is not None:
        raise UsageError("--teacher is for --transform adain.", todo="Leave it out.")
    kind, loss, trainer = (
        (start.LinearConfig, start.LinearLossSpec, start.LinearTrainer)
        if linear
        else (start.AdainConfig, start.AdainLossSpec, start.AdainTrainer)
    )

    more = given(
        lattice_weight=lattice_weight,
        order_weight=order_weight,
        distil_weight=distil_weight,
    )
    options = given(
        margin=margin, stability_weight=stability_weight, blended=blended, layer=transform.layer,
        feature_steps=transform.feature_steps,
    )  # fmt: skip
    config = kind(
        size=size,
        skips_only=skips_only,
        loss=loss(**weights.given(), **more),  # type: ignore[arg-type]
        **schedule.given(),
        **options,  # type: ignore[arg-type]
    )
    config.check()
    folder = out or Path("runs") / f"{transform.transform}-{size}"
    if isinstance(config, start.LinearConfig):
        first: Path | None = find_linear_start(init_from, size, config.layer)
    else:
        first = None if init_from is None else find_start(init_from, size)
    running.train(
        lambda machine: trainer(
            config, photos, paintings, folder, machine,
            init_from=first, vgg_weights=running.vgg_weights, teacher=teacher,
        ),
        photos, ": {}",
    )  # fmt: skip
