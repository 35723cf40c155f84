"""`rtstyle train`: train a style network on a painting and a folder of photographs."""

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
from rtstyle.commands.training.outcome import given
from rtstyle.commands.training.train_frames import PaintedFrames, Run, train_frames
from rtstyle.errors import UsageError
from rtstyle.styles.manifest import find_model


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train")(grouped(train))


def find_start(name: str, size: str) -> Path:
    """Return the file of `--init-from`. Raises `StyleError` for a name that is not built in."""
    path = Path(name)
    if path.suffix in (".pt", ".onnx") or path.is_file():
        return path

    return find_model(name, size)


def parse_layers(text: str) -> dict[str, float]:
    """Read `relu1_2,relu3_3:2` as layers with weights, 1 where none is given."""
    layers = {}
    for item in text.split(","):
        name, _, weight = item.strip().partition(":")
        try:
            layers[name] = float(weight) if weight else 1.0
        except ValueError as error:
            raise UsageError(
                f"Cannot read the layer weight in {item!r}.", todo="Write relu1_2:0.5,relu3_3:1."
            ) from error
    return layers


def parse_part(text: str) -> tuple[int, ...]:
    """Read `left,top,right,bottom`. Raises `UsageError`."""
    numbers = text.replace(" ", "").split(",")
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
        raise UsageError(
            f"Cannot read the part {text!r} of a painting.",
            todo="Write left,top,right,bottom in pixels.",
        )
    return tuple(map(int, numbers))


def train(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PAINTING... PHOTOS_DIR",
            help="One painting, or several to be trained together, then the folder of photographs. "
            "--size texture without a folder learns pure texture.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name of the style; once per painting. Default: file name."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="fast, balanced (default; with --canvas, fast), paper or texture."),
    ] = None,
    margin: Annotated[
        int | None,
        typer.Option(help="Pixels painted beyond the crop, against frames at the border."),
    ] = None,
    style_size: Annotated[
        int | None,
        typer.Option(help="Short side of the painting, pixels: larger gives larger strokes."),
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="Of the painting, in pixels: left,top,right,bottom, without frame or caption; "
            "once per painting. Default: all.",
        ),
    ] = None,
    weight_bits: Annotated[
        int | None,
        typer.Option(help="8 or 16: with 8, kernels are trained and stored in 8 bits each."),
    ] = None,
    stability_weight: Annotated[
        float | None,
        typer.Option(help="Weight of the loss against flicker; 0 switches it off."),
    ] = None,
    content_layers: Annotated[
        str | None,
        typer.Option(help="Such as relu3_3 or relu2_2:0.5,relu3_3:1."),
    ] = None,
    style_layers: Annotated[str | None, typer.Option()] = None,
    canvas: Annotated[
        bool,
        typer.Option(
            "--canvas",
            help="Train a network of the size fast or balanced that sees what it has painted: "
            "steady in motion, and with strokes that grow with the frame.",
        ),
    ] = False,
    coherence_weight: Annotated[
        float | None,
        typer.Option(help="With --canvas or --frames: weight of the change along the motion."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="With --canvas or --frames: end after this time, in place of --steps. Default "
            "with --frames: 5."
        ),
    ] = None,
    body: Annotated[
        str | None,
        typer.Option(
            help="With --canvas: quarter or eighth, the part of the size at which the body works. "
            "An eighth sees farther; a quarter can start from a style without a canvas."
        ),
    ] = None,
    diversity_weight: Annotated[
        float | None,
        typer.Option(
            help="With --size texture: weight of the loss that makes pictures of different noise "
            "differ; 0 switches it off."
        ),
    ] = None,
    norm: Annotated[
        str | None,
        typer.Option(help="With --size texture: instance (default) or batch, as of 2016."),
    ] = None,
    stills: Annotated[
        float | None,
        typer.Option(
            help="With --canvas: the share of the run, 0 to 1, in which nothing moves. Default: "
            "0 with --init-from, else 0.55."
        ),
    ] = None,
    loss_network: Annotated[
        str | None,
        typer.Option(
            help="vgg16, or vgg19, which ships (up to relu4_1); default vgg16, of --frames vgg19."
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            help="Start from another style of the same size: a built-in name, its .onnx file or "
            "its checkpoint."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; default runs/NAME-SIZE."),
    ] = None,
    *,
    painted: PaintedFrames,
    weights: PictureWeights,
    schedule: Schedule,
    running: Running,
) -> None:
    """Train a style. Run the same command again to resume after Ctrl-C or a crash.

    Several paintings share one network whose normalisation differs by style (conditional instance
    norm); `rtstyle export` writes one file for each. Painted frames of a clip, in place of
    paintings and photos, become a style for the rest of the clip and for the same camera.
    """
    if painted.given():
        refused = given(
            paintings=pictures, margin=margin, part=part, stability_weight=stability_weight,
            body=body, stills=stills, diversity_weight=diversity_weight, norm=norm,
        )  # fmt: skip
        if refused or (name and len(name) > 1):
            raise UsageError(
                "--frames takes the place of paintings and photos.",
                "Paintings, --margin, --part, --stability-weight, --body, --stills and a second "
                "--name are for training on those.",
                "rtstyle train --frames painted/ --clip in.mp4",
            )
        start_size = size or "fast"
        layers = given(
            content_layers=parse_layers(content_layers) if content_layers else None,
            style_layers=parse_layers(style_layers) if style_layers else None,
        )
        start_file = None if init_from is None else find_start(init_from, start_size)
        train_frames(
            painted,
            Run(name[0] if name else None, start_size, minutes, start_file, out),
            weights, schedule, running,
            given(
                style_size=style_size, weight_bits=weight_bits, loss_network=loss_network,
                coherence_weight=coherence_weight, layers=layers or None,
            ),
        )  # fmt: skip
        return
    loss_network = loss_network or "vgg16"
    texture, pictures = size == "texture", pictures or []
    # If the last argument is not a folder, it is a painting too: only texture is asked for.
    pure = texture and bool(pictures) and not pictures[-1].is_dir()
    if not pure and len(pictures) < 2:
        raise UsageError(
            "Training needs a painting and a folder of photographs.",
            todo="rtstyle train painting.jpg photos/ --name mystyle",
        )
    with needing_torch("Training"):
        from rtstyle_export.train import start

    paintings, photos = (pictures, pictures[0]) if pure else (pictures[:-1], pictures[-1])
    names = name or [path.stem for path in paintings]
    kind, loss, trainer = start.kind_of(canvas=canvas, texture=texture)
    layers = {
        "content_layers": {}
        if pure
        else parse_layers(content_layers)
        if content_layers
        else start.reachable(loss_network, loss().content_layers, running.vgg_weights),
        "style_layers": parse_layers(style_layers)
        if style_layers
        else start.reachable(loss_network, loss().style_layers, running.vgg_weights),
    }
    more = given(coherence_weight=coherence_weight, diversity_weight=diversity_weight)
    if (diversity_weight is not None or norm is not None) and not texture:
        raise UsageError(
            "--diversity-weight and --norm are for texture networks.", todo="Add --size texture."
        )
    seeing = given(minutes=minutes, coherence_weight=coherence_weight, body=body, stills=stills)
    if seeing and not canvas:
        raise UsageError(
            "--minutes, --coherence-weight, --body and --stills need --canvas.",
            "They are for networks that see what they have painted.",
            "Add --canvas, or use --steps and --stability-weight.",
        )
    if canvas and stability_weight is not None:
        raise UsageError(
            "--stability-weight is for networks without a canvas.", todo="Use --coherence-weight."
        )
    if canvas and stills is None and init_from is not None:
        stills = 0.0  # what can paint already need not learn it first
    options = given(
        stills=stills,
        margin=margin,
        style_size=style_size,
        weight_bits=weight_bits,
        stability_weight=stability_weight,
        minutes=minutes,
        body=body,
        norm=norm,
        photo=False if pure else None,
    )
    config = kind(
        styles=tuple(names),
        paintings=tuple(str(path) for path in paintings),
        parts=tuple(parse_part(text) for text in part or ()),
        size=size or ("fast" if canvas else "balanced"),
        loss_network=loss_network,
        loss=loss(**layers, **weights.given(), **more),
        **schedule.given(),
        **options,
    )
    make = partial(
        trainer, config, photos, out or Path("runs") / f"{names[0]}-{config.size}",
        init_from=None if init_from is None else find_start(init_from, config.size),
        vgg_weights=running.vgg_weights,
    )  # fmt: skip
    running.train(make, photos, ". Next: rtstyle export {}")
