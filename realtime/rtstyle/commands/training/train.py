"""`rtstyle train`: train a style network on a painting and a folder of photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.options import grouped, read_layers
from rtstyle.commands.training.options import (
    PictureWeights,
    Running,
    Schedule,
)
from rtstyle.commands.training.outcome import given
from rtstyle.commands.training.train_frames import PaintedFrames, Run, train_frames
from rtstyle.commands.training.train_paintings import Asked, find_start, train_paintings
from rtstyle.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train")(grouped(train))


def train(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PAINTING... PHOTOS",
            help="One painting, or several to be trained together, then a folder of photographs or "
            "a video. --size texture without these learns pure texture.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name of the style; once per painting. Default: file name."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="fast, balanced (default), paper or texture."),
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
        bool | None,
        typer.Option(
            "--canvas/--no-canvas",
            help="The network of the size fast or balanced sees what it has painted, and is steady "
            "in motion. Default: yes.",
            show_default=False,
        ),
    ] = None,
    coherence_weight: Annotated[
        float | None,
        typer.Option(help="With a canvas or --frames: weight of the change along the motion."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="With a canvas or --frames: end after this time, in place of --steps. Default: 10 "
            "where it starts from a style, with --frames 5."
        ),
    ] = None,
    body: Annotated[
        str | None,
        typer.Option(
            help="With a canvas: quarter or eighth, the part of the size at which the body works. "
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
    width: Annotated[
        int | None,
        typer.Option(
            help="With --size texture: channels read at each scale, 1 to 64. Default: 8; 4 takes a "
            "quarter of the arithmetic, as much as balanced."
        ),
    ] = None,
    stills: Annotated[
        float | None,
        typer.Option(
            help="With a canvas: the share of the run, 0 to 1, in which nothing moves. Default: "
            "0 where it starts from a style, else 0.55."
        ),
    ] = None,
    loss_network: Annotated[
        str | None,
        typer.Option(
            help="vgg19, which ships (up to relu4_1), or vgg16. Default: vgg19, or the one of "
            "--vgg-weights."
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            help="Start from another style of the same size: a built-in name, its .onnx file, its "
            "checkpoint, nearest (the default with a canvas: the built-in one that paints most "
            "like the painting) or none."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; default runs/NAME-SIZE."),
    ] = None,
    add: Annotated[
        bool,
        typer.Option(
            "--add/--no-add",
            help="Export the finished style, and add it to yours (`rtstyle styles`).",
        ),
    ] = True,
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
            body=body, stills=stills, diversity_weight=diversity_weight, norm=norm, width=width,
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
            content_layers=read_layers(content_layers) if content_layers else None,
            style_layers=read_layers(style_layers) if style_layers else None,
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
    train_paintings(
        Asked(
            pictures or [], name, size, part, content_layers, style_layers, canvas, minutes,
            coherence_weight, diversity_weight, norm, width, stability_weight, stills,
            loss_network, init_from, out, add=add,
        ),
        weights, schedule, running,
        given(margin=margin, style_size=style_size, weight_bits=weight_bits, body=body),
    )  # fmt: skip
