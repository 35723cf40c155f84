"""From a checkpoint of `rtstyle train` to ONNX files with a parity report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rtstyle import samples
from rtstyle.engines.base import NOISE_PORT
from rtstyle.engines.noise import draw
from rtstyle.files.temporary import replacing
from rtstyle.styles.recipe import check_range
from rtstyle_export.data import list_pictures, read_picture
from rtstyle_export.export.facts import training_facts
from rtstyle_export.export.manifest_writer import add_to_manifest, credits_for, read_manifest
from rtstyle_export.networks.canvas import CanvasNet
from rtstyle_export.networks.texture import TextureNet
from rtstyle_export.onnx_files.ranges import Rounding, canvas_feeds, keep_ranges, style_feeds
from rtstyle_export.onnx_files.writer import Credits, on_bytes, write_onnx
from rtstyle_export.quality.balance import balanced_trust
from rtstyle_export.quality.parity import Parity, measure_parity
from rtstyle_export.runs.checkpoint import Checkpoint

TRUSTS = (0.5, 2.0)
"""Of how much of a canvas is kept, as a factor of what was learnt."""
Feed: TypeAlias = dict[str, NDArray[Any]]
"""What a file takes, by name."""
OnFile: TypeAlias = Callable[[Path, Parity, Rounding | None], None]
"""Called with each file that was written: its parity, and what int8 rounds if it can."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One file written by `export_styles`."""

    style: str
    size: str
    path: Path
    parity: Parity
    rounding: Rounding | None = None


def parity_photos(folder: Path | None = None, count: int = 8) -> list[NDArray[np.uint8]]:
    """Photos (H, W, 3) uint8 for the parity report: of `folder`, or the bundled sample pictures."""
    if folder is None:
        return list(samples.sample_frames(count))
    return [read_picture(path) for path in list_pictures(folder)[:count]]


def feeds_for(net: nn.Module, feeds: list[Feed]) -> list[Feed]:
    """Return what the file of `net` takes for pictures: with canvases if it sees them, or noise."""
    if isinstance(net, TextureNet):
        sizes = [feed["image"].shape[1:3] for feed in feeds]
        noises = [draw(size, net.spec.noise_channels) for size in sizes]
        return [{**feed, NOISE_PORT: z} for feed, z in zip(feeds, noises, strict=True)]
    if not isinstance(net, CanvasNet):
        return feeds
    return canvas_feeds(feeds, painting_by(on_bytes(net).eval()))


def painting_by(net: nn.Module) -> Callable[..., NDArray[np.uint8]]:
    """Return what paints by a network's named inputs, arrays, as `canvas_feeds` takes it."""

    def paint(image: NDArray[np.uint8], **given: NDArray[Any]) -> NDArray[np.uint8]:
        feeds = {"image": image, **given}
        with torch.no_grad():
            painted = net(**{k: torch.from_numpy(np.array(v)) for k, v in feeds.items()})
        found: NDArray[np.uint8] = painted.numpy()
        return found

    return paint


def export_styles(
    checkpoint: Checkpoint,
    out: Path,
    *,
    pictures: Sequence[NDArray[np.uint8]] | None = None,
    style: str | None = None,
    credit: Credits | None = None,
    manifest: bool = False,
    trust: float | None = 1.0,
    on_file: OnFile | None = None,
) -> list[Exported]:
    """Write `STYLE-SIZE.onnx` into folder `out` for one or all styles of a checkpoint.

    Each file is compared with the network on `pictures`, (H, W, 3) uint8 (default:
    bundled ones), and refused if it
    differs too much; with `manifest`, it is then entered into `out`/manifest.json. Networks that
    see a canvas keep `trust` times as much of it (`CanvasNet.trust_more`), with None as much as
    leaves their strokes sharp (`quality.balance`).
    """
    config = checkpoint.johnson()
    if trust is not None:
        check_range("A trust", trust, TRUSTS)
    if manifest:
        read_manifest(out / "manifest.json")
    feeds = style_feeds(list(pictures or parity_photos()))
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
        net = checkpoint.network(name)
        if trust != 1.0 and isinstance(net, CanvasNet):
            factor = balanced_trust(net) if trust is None else trust
            net.trust_more(factor)
            facts["trust"] = factor
        taken = feeds_for(net, feeds)
        with replacing(file) as fresh:
            write_onnx(
                net, fresh, name=name, size=config.size, credit=given, training=facts, feeds=taken
            )
            parity = measure_parity(net, fresh, taken)
            parity.require()
            rounding = keep_ranges(fresh, taken)
        if manifest:
            add_to_manifest(out, name, config.size, file, given, facts)
        item = Exported(name, config.size, file, parity, rounding)
        done.append(item)
        if on_file is not None:
            on_file(file, parity, rounding)
    if not done and style is not None:
        checkpoint.network(style)
    return done
