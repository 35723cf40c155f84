"""`rtstyle export`: turn a checkpoint into ONNX files, or a style into an engine of TensorRT."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.options import read_resolution
from rtstyle.errors import UsageError
from rtstyle.styles.manifest import find_model

if TYPE_CHECKING:
    from rtstyle_export.onnx_files.ranges import Rounding
    from rtstyle_export.quality.parity import Parity


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("export")(export)


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="What `rtstyle train`, `train-adain` or `train-variational` wrote, or the folder "
            "of train-wct; with --tensorrt a style, or its .onnx file."
        ),
    ],
    out: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads it at run time on Python 3.10
        typer.Option("--out", "-o", help="Folder of the files; default: beside the checkpoint."),
    ] = None,
    style: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Only this style of a checkpoint with several."),
    ] = None,
    photos: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of photos for report and int8; default: bundled pictures."),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the painting.")] = "",
    artist: Annotated[str, typer.Option(help="Its artist.")] = "",
    year: Annotated[str, typer.Option(help="Its year.")] = "",
    licence: Annotated[str, typer.Option(help="Its licence.")] = "",
    vgg_weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="For train-adain and -wct: the local file of VGG-19 of the training."),
    ] = None,
    paintings: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="For train-adain, with --manifest: folder of the built-in paintings."),
    ] = None,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Enter the files into manifest.json of the folder.")
    ] = False,
    trust: Annotated[
        str,
        typer.Option(
            help="Of networks with a canvas: how much of it is kept, 0.5 to 2, as a factor of what "
            "was learnt; above 1 is steadier, with fewer fresh strokes. auto: as much as leaves "
            "strokes sharp."
        ),
    ] = "1",
    pack: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the styles into this pack, too: FILE.zip for `styles add`."),
    ] = None,
    tensorrt: Annotated[
        bool, typer.Option("--tensorrt", help="Build an engine for this machine's NVIDIA card.")
    ] = False,
    size: Annotated[str, typer.Option(help="With --tensorrt: network of the style.")] = "balanced",
    resolution: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="With --tensorrt: size of the pictures, once or more."),
    ] = None,
    precision: Annotated[str, typer.Option(help="With --tensorrt: auto, fp16 or fp32.")] = "auto",
) -> None:
    """Write one ONNX file per style: uint8 RGB pictures of any size in and out.

    With --tensorrt it builds what the first picture of `--device tensorrt` would wait for.
    """
    if tensorrt:
        build_ahead(str(checkpoint), size, resolution or ["1920x1080"], precision)
        return
    by_kind = exporters()
    request = by_kind.Request(
        style, by_kind.Credits(title, artist, year, licence), photos, vgg_weights, paintings,
        manifest, read_trust(trust),
    )  # fmt: skip
    done = by_kind.export(checkpoint, out, request, tell)
    if pack is not None:
        names = by_kind.pack_models(done.files, pack)
        typer.echo(f"{pack}: {', '.join(names)}. Add it: rtstyle styles add {pack}")
    if done.use:
        typer.echo(f"Use it: rtstyle {done.use}")


def read_trust(text: str) -> float | None:
    """Return the value of `--trust`, None for auto. Raises `UsageError`."""
    try:
        return None if text == "auto" else float(text)
    except ValueError as error:
        raise UsageError(
            f"--trust {text} is not a factor.", "", "Use auto, or 0.5 to 2."
        ) from error


def exporters() -> ModuleType:
    """Return `rtstyle_export.export.by_kind`; without PyTorch say how to get it."""
    with needing_torch("Exporting"):
        from rtstyle_export.export import by_kind
    return by_kind


def build_ahead(style: str, size: str, resolutions: list[str], precision: str) -> None:
    """Build the engines of a style, one for each picture size, unless they are kept already."""
    from rtstyle.engines.gpu.trt import build_ahead as build

    sizes = [read_resolution(text) for text in resolutions]
    for (width, height), kept, used in build(find_model(style, size), sizes, precision):
        typer.echo(f"{style}, {width}x{height}, {used}: {'kept already' if kept else 'built'}")
    typer.echo("Use it: rtstyle video in.mp4 out.mp4 --style NAME --device tensorrt")


def tell(path: Path, parity: Parity, rounding: Rounding | None = None) -> None:
    """Print the parity report of one file."""
    report = (
        f"{path}  parity on {parity.pictures} pictures ({parity.device}): "
        f"{parity.within_one:.4%} within 1 level, largest {parity.largest}"
    )
    if rounding is not None:
        report += f"; {rounding}"
    typer.echo(report)
