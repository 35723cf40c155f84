"""From a checkpoint to ONNX files with a parity report: what `rtstyle export` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rtstyle.beside import temporary_name
from rtstyle_export.data import list_pictures, read_picture
from rtstyle_export.manifest_writer import add_to_manifest, credits_for, read_manifest
from rtstyle_export.networks.canvas import CanvasNet
from rtstyle_export.onnx_writer import Credits, on_bytes, write_onnx
from rtstyle_export.parity import Parity, measure_parity
from rtstyle_export.ranges import Rounding, canvas_feeds, keep_ranges, style_feeds
from rtstyle_export.train.checkpoint import Checkpoint

Feed: TypeAlias = dict[str, NDArray[Any]]
"""What a file takes, by name."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One file written by `export_checkpoint`."""

    style: str
    size: str
    path: Path
    parity: Parity
    rounding: Rounding | None = None


def training_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """What of the training goes into the metadata: no paths, only names and figures."""
    config = checkpoint.johnson()
    facts: dict[str, Any] = {
        "steps": checkpoint.step,
        "batch": config.batch,
        "crop": config.crop,
        "style_size": config.style_size,
        "weight_bits": config.weight_bits,
        "optimizer": config.optimizer,
        "learning_rate": config.learning_rate,
        "seed": config.seed,
        "styles_in_run": len(config.styles),
        "loss_network": config.loss_network,
        "content_weight": config.loss.content_weight,
        "style_weight": config.loss.style_weight,
        "tv_weight": config.loss.tv_weight,
        "loss": asdict(config.loss),
        "stability_weight": config.stability_weight,
        "seconds": round(checkpoint.seconds),
    }
    facts["final"] = {name: round(value, 5) for name, value in checkpoint.metrics.items()}
    return facts


def parity_photos(folder: Path | None, count: int = 8) -> list[NDArray[np.uint8]]:
    """Photos (H, W, 3) uint8 for the parity report: of `folder`, or the bundled sample pictures."""
    if folder is None:
        from rtstyle.samples import sample_frames

        return list(sample_frames(count))
    return [read_picture(path) for path in list_pictures(folder)[:count]]


def feeds_for(net: nn.Module, feeds: list[Feed]) -> list[Feed]:
    """Return what the file of `net` takes for pictures: with canvases if it sees them."""
    if not isinstance(net, CanvasNet):
        return feeds
    whole = on_bytes(net).eval()

    def paint(**given: NDArray[np.uint8]) -> NDArray[np.uint8]:
        with torch.no_grad():
            painted = whole(**{k: torch.from_numpy(np.array(v)) for k, v in given.items()})
        found: NDArray[np.uint8] = painted.numpy()
        return found

    return canvas_feeds(
        feeds, lambda image, canvas, trust: paint(image=image, canvas=canvas, trust=trust)
    )


def export_checkpoint(
    path: Path,
    out: Path,
    *,
    style: str | None = None,
    photos: Path | None = None,
    credit: Credits | None = None,
    manifest: bool = False,
    on_file: Callable[[Exported], None] | None = None,
) -> list[Exported]:
    """Write `STYLE-SIZE.onnx` into folder `out` for one or all styles of a checkpoint.

    Each file is compared with the network on `photos` and refused if it differs too much; with
    `manifest`, it is then entered into `out`/manifest.json.
    """
    checkpoint = Checkpoint.load(path)
    config = checkpoint.johnson()
    if manifest:
        read_manifest(out / "manifest.json")
    pictures = parity_photos(photos)
    feeds = style_feeds(pictures)
    done = []
    for name, (painting, part) in zip(config.styles, config.pictures(), strict=True):
        if style is not None and name != style:
            continue
        facts = training_facts(checkpoint) | ({"part": part} if part else {})
        given = credits_for(name, painting.name)
        if credit is not None:
            overrides = {key: value for key, value in asdict(credit).items() if value}
            given = replace(given, **overrides)
        file = out / f"{name}-{config.size}.onnx"
        fresh = temporary_name(file)
        net = checkpoint.network(name)
        taken = feeds_for(net, feeds)
        try:
            write_onnx(
                net, fresh, name=name, size=config.size, credit=given, training=facts, feeds=taken
            )
            parity = measure_parity(net, fresh, taken)
            parity.require()
            rounding = keep_ranges(fresh, taken)
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)
        if manifest:
            add_to_manifest(out, name, config.size, file, given, facts)
        item = Exported(name, config.size, file, parity, rounding)
        done.append(item)
        if on_file is not None:
            on_file(item)
    if not done and style is not None:
        checkpoint.network(style)
    return done
