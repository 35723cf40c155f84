"""`rtstyle train`: train a style network on a painting and a folder of photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rtstyle.commands.training.outcome import EXTRA, RunLog, check_precision, conclude, given
from rtstyle.errors import MissingExtraError, UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train")(train)


def find_start(name: str, size: str) -> Path:
    """Return the file of `--init-from`. Raises `StyleError` for a name that is not built in."""
    path = Path(name)
    if path.suffix in (".pt", ".onnx") or path.is_file():
        return path
    from rtstyle.styles.manifest import find_model

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
        list[Path],
        typer.Argument(
            metavar="PAINTING... PHOTOS_DIR",
            help="One painting, or several to be trained together, then the folder of photographs.",
        ),
    ],
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name of the style; once per painting. Default: file name."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="fast, balanced or paper. Default: balanced; with --canvas, fast."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps in all.")] = None,
    batch: Annotated[int | None, typer.Option(help="Photos a step.")] = None,
    crop: Annotated[int | None, typer.Option(help="Side of the crops, pixels.")] = None,
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
    optimizer: Annotated[str | None, typer.Option(help="soap or adam.")] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    seed: Annotated[int, typer.Option()] = 0,
    content_weight: Annotated[float | None, typer.Option()] = None,
    style_weight: Annotated[float | None, typer.Option()] = None,
    tv_weight: Annotated[float | None, typer.Option(help="Total variation.")] = None,
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
        typer.Option(help="With --canvas: weight of the change along the motion."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="With --canvas: end after this time, in place of --steps."),
    ] = None,
    body: Annotated[
        str | None,
        typer.Option(
            help="With --canvas: quarter or eighth, the part of the size at which the body works. "
            "An eighth sees farther; a quarter can start from a style without a canvas."
        ),
    ] = None,
    stills: Annotated[
        float | None,
        typer.Option(
            help="With --canvas: the share of the run, 0 to 1, in which nothing moves. Default: "
            "0 with --init-from, else 0.55."
        ),
    ] = None,
    loss_network: Annotated[
        str, typer.Option(help="vgg16, or vgg19, which ships (up to relu4_1).")
    ] = "vgg16",
    vgg_weights: Annotated[
        Path | None,
        typer.Option(
            help="Local safetensors file, Oxford's or torchvision's weights; default: a download, "
            "of VGG-19 up to relu4_1 what ships."
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
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that read photos.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all.")] = 0,
    preview: Annotated[Path | None, typer.Option(help="Photo of the previews.")] = None,
    preview_every: Annotated[int, typer.Option(min=1)] = 200,
    save_every: Annotated[int, typer.Option(min=1)] = 100,
) -> None:
    """Train a style. Run the same command again to resume after Ctrl-C or a crash.

    Several paintings share one network whose normalisation differs by style (conditional instance
    norm); `rtstyle export` writes one file for each.
    """
    if len(pictures) < 2:
        raise UsageError(
            "Training needs a painting and a folder of photographs.",
            todo="rtstyle train painting.jpg photos/ --name mystyle",
        )
    check_precision(precision)
    try:
        from rtstyle_export.data import first_readable, list_pictures
        from rtstyle_export.maths.losses import CanvasLossSpec, LossSpec
        from rtstyle_export.runs.config import CanvasConfig, TrainConfig
        from rtstyle_export.runs.job import train as run
        from rtstyle_export.runs.loss_network import reachable
        from rtstyle_export.train.canvas import CanvasTrainer
        from rtstyle_export.train.johnson import Trainer
    except ImportError as error:
        raise MissingExtraError("Training needs PyTorch.", str(error), EXTRA) from error

    paintings, photos = pictures[:-1], pictures[-1]
    names = name or [path.stem for path in paintings]
    kind, loss = (CanvasConfig, CanvasLossSpec) if canvas else (TrainConfig, LossSpec)
    layers = {
        "content_layers": parse_layers(content_layers)
        if content_layers
        else reachable(loss_network, loss().content_layers, vgg_weights),
        "style_layers": parse_layers(style_layers)
        if style_layers
        else reachable(loss_network, loss().style_layers, vgg_weights),
    }
    weights = given(
        content_weight=content_weight,
        style_weight=style_weight,
        tv_weight=tv_weight,
        coherence_weight=coherence_weight,
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
        steps=steps,
        batch=batch,
        crop=crop,
        margin=margin,
        style_size=style_size,
        weight_bits=weight_bits,
        optimizer=optimizer,
        learning_rate=learning_rate,
        stability_weight=stability_weight,
        minutes=minutes,
        body=body,
    )
    config = kind(
        styles=tuple(names),
        paintings=tuple(str(path) for path in paintings),
        parts=tuple(parse_part(text) for text in part or ()),
        size=size or ("fast" if canvas else "balanced"),
        seed=seed,
        loss_network=loss_network,
        loss=loss(**layers, **weights),  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )
    start = None if init_from is None else find_start(init_from, config.size)
    folder = out or Path("runs") / f"{names[0]}-{config.size}"
    trainer_of: Any = CanvasTrainer if canvas else Trainer
    with RunLog() as log:
        done, trainer = run(
            lambda machine: log.follow(
                trainer_of(
                    config, photos, folder, machine, init_from=start, vgg_weights=vgg_weights
                )
            ),
            preview or first_readable(list_pictures(photos)),
            device=device,
            precision=precision,
            workers=workers,
            threads=threads,
            preview_every=preview_every,
            save_every=save_every,
        )
    conclude(done, trainer, f". Next: rtstyle export {trainer.path}")
