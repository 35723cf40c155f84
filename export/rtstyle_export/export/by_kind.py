"""Writes the files of whatever was trained, by the kind of its checkpoint."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtstyle.errors import TrainingError
from rtstyle.styles.own import add, pack_models
from rtstyle_export.export.adain import export_adain
from rtstyle_export.export.johnson import OnFile, export_styles, parity_photos
from rtstyle_export.export.linear import export_linear
from rtstyle_export.export.texture import export_textures
from rtstyle_export.export.upsampler import export_upsampler
from rtstyle_export.export.variational import export_variational
from rtstyle_export.export.wct import export_wct
from rtstyle_export.onnx_files.ranges import Rounding
from rtstyle_export.onnx_files.writer import Credits
from rtstyle_export.quality.parity import Parity
from rtstyle_export.runs.checkpoint import CHECKPOINT, Checkpoint
from rtstyle_export.runs.texture_config import TextureConfig

__all__ = ["Credits", "Done", "Request", "add", "export", "pack_models"]


SEE_CANVAS = ("canvas", "frames")
"""Kinds of training whose networks see a canvas."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for beside the files.

    `style` chooses one of a checkpoint with several, `credit` replaces what is known of its
    painting. Files are compared with their networks on the pictures of the folder `photos`, or on
    bundled ones. `vgg_weights` is the local file of VGG-19 that the training had, `paintings` the
    folder of the built-in ones. With `manifest` files are entered into manifest.json. `trust`
    is for networks that see a canvas, see `export_styles`.
    """

    style: str | None = None
    credit: Credits = field(default_factory=Credits)
    photos: Path | None = None
    vgg_weights: Path | None = None
    paintings: Path | None = None
    manifest: bool = False
    trust: float | None = 1.0

    def pictures(self) -> list[NDArray[np.uint8]]:
        """Return the pictures of the parity report, (H, W, 3) uint8."""
        return parity_photos(self.photos)


@dataclass(frozen=True, slots=True)
class Done:
    """The files that were written, and the words that follow `rtstyle` to paint with them or ''."""

    files: list[Path]
    use: str


def export(path: Path, out: Path | None, request: Request, on_file: OnFile) -> Done:
    """Write the files of a checkpoint, or of the folder of runs, to `out` (default: beside it).

    `on_file` is called with each file and its parity. Raises `TrainingError`.
    """
    files: list[Path] = []

    def note(file: Path, parity: Parity, *rounding: Rounding | None) -> None:
        files.append(file)
        on_file(file, parity, *rounding)

    use = _export(path, out, request, note)
    return Done(files, use.replace("FILE.onnx", shlex.quote(str(files[0]))) if files else "")


def _export(path: Path, out: Path | None, request: Request, on_file: OnFile) -> str:
    if (path / CHECKPOINT).is_file():
        path /= CHECKPOINT
    if path.is_dir():
        export_wct(
            path, out or path, pictures=request.pictures(), vgg_weights=request.vgg_weights,
            manifest=request.manifest, on_file=on_file,
        )  # fmt: skip
        return "still photo.jpg out.png --style painting.jpg --method wct"
    checkpoint = Checkpoint.load(path)
    kind = checkpoint.config.kind
    if kind not in EXPORTERS:
        raise TrainingError(
            f"{path} holds one level of WCT.", "All levels are exported together.",
            "Name the folder of the runs, two folders up.",
        )  # fmt: skip
    if request.trust not in (1.0, None) and kind not in SEE_CANVAS:
        raise TrainingError("A trust is for networks that see a canvas.", todo="Leave it out.")
    return EXPORTERS[kind](checkpoint, out or path.parent, request, on_file)


def _styles(checkpoint: Checkpoint, out: Path, request: Request, on_file: OnFile) -> str:
    export_styles(
        checkpoint, out, style=request.style, pictures=request.pictures(), credit=request.credit,
        manifest=request.manifest, trust=request.trust, on_file=on_file,
    )  # fmt: skip
    return "video in.mp4 out.mp4 --style FILE.onnx"


def _texture(checkpoint: Checkpoint, out: Path, request: Request, on_file: OnFile) -> str:
    config = checkpoint.config
    if isinstance(config, TextureConfig) and config.photo:
        return _styles(checkpoint, out, request, on_file)
    export_textures(
        checkpoint, out, style=request.style, credit=request.credit, manifest=request.manifest,
        on_file=on_file,
    )  # fmt: skip
    return "texture FILE.onnx out.png --method network"


def _any_style(checkpoint: Checkpoint, out: Path, request: Request, on_file: OnFile) -> str:
    export_adain(
        checkpoint, out, pictures=request.pictures(), vgg_weights=request.vgg_weights,
        paintings=request.paintings, manifest=request.manifest, on_file=on_file,
    )  # fmt: skip
    return ""


def _linear(checkpoint: Checkpoint, out: Path, request: Request, on_file: OnFile) -> str:
    export_linear(
        checkpoint, out, pictures=request.pictures(), vgg_weights=request.vgg_weights,
        manifest=request.manifest, on_file=on_file,
    )  # fmt: skip
    return ""


def _sampled(checkpoint: Checkpoint, out: Path, request: Request, on_file: OnFile) -> str:
    export_variational(checkpoint, out, manifest=request.manifest, on_file=on_file)
    return "image photo.jpg out.png --style random:7" if request.manifest else ""


def _upsampler(checkpoint: Checkpoint, out: Path, request: Request, on_file: OnFile) -> str:
    export_upsampler(
        checkpoint, out, pictures=request.pictures(), manifest=request.manifest, on_file=on_file
    )
    return ""


EXPORTERS: dict[str, Callable[[Checkpoint, Path, Request, OnFile], str]] = {
    "johnson": _styles,
    "canvas": _styles,
    "frames": _styles,
    "texture": _texture,
    "adain": _any_style,
    "any-canvas": _any_style,
    "linear": _linear,
    "variational": _sampled,
    "upsampler": _upsampler,
}
"""What writes the files of each kind of checkpoint; levels of WCT are exported together."""
