"""From a checkpoint of `rtstyle train --size texture` to ONNX files with a parity report."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rtstyle.engines.base import NOISE_PORT, EngineOptions, read_model
from rtstyle.engines.devices import cpu_count
from rtstyle.engines.noise import draw
from rtstyle.engines.onnxrt import open_session, run_session
from rtstyle.files.temporary import temporary_name
from rtstyle_export.export.facts import training_facts
from rtstyle_export.export.johnson import OnFile
from rtstyle_export.export.manifest_writer import (
    credits_for,
    edit_manifest,
    file_entry,
    read_manifest,
)
from rtstyle_export.networks.texture import TextureNet
from rtstyle_export.onnx_files.writer import Credits, on_bytes, write_onnx
from rtstyle_export.quality.parity import Parity, compare
from rtstyle_export.runs.checkpoint import Checkpoint

SIDES = ((96, 128), (256, 256))
"""Rows and columns of the textures on which a file is compared with its network."""


def export_textures(
    checkpoint: Checkpoint,
    out: Path,
    *,
    style: str | None = None,
    credit: Credits | None = None,
    manifest: bool = False,
    on_file: OnFile | None = None,
) -> list[Path]:
    """Write `pure-STYLE.onnx` into folder `out` for one or all styles of a run of pure texture.

    Each file is compared with the network, and refused if it differs too much; with `manifest`, it
    is then entered into `out`/manifest.json. Raises `TrainingError`.
    """
    config = checkpoint.johnson()
    if style is not None:
        checkpoint.network(style)  # or say that there is none
    if manifest:
        read_manifest(out / "manifest.json")
    done = []
    for name, (painting, part) in zip(config.styles, config.pictures(), strict=True):
        if style not in (None, name):
            continue
        facts = training_facts(checkpoint) | ({"part": part} if part else {})
        given = credits_for(name, painting.name)
        if credit is not None:
            given = replace(given, **{key: value for key, value in asdict(credit).items() if value})
        file = out / f"pure-{name}.onnx"
        fresh = temporary_name(file)
        net = checkpoint.network(name)
        try:
            write_onnx(net, fresh, name=name, size=config.size, credit=given, training=facts)
            parity = measure_texture_parity(net, fresh)
            parity.require()
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)
        if manifest:
            with edit_manifest(out) as data:
                data.setdefault("textures", {})[name] = file_entry(file, facts)
        done.append(file)
        if on_file is not None:
            on_file(file, parity, None)
    return done


def measure_texture_parity(net: nn.Module, model: Path) -> Parity:
    """Make textures of `SIDES` with a file and with its network, and compare them."""
    assert isinstance(net, TextureNet)
    reference = on_bytes(net).eval()
    session = open_session(read_model(model), EngineOptions(threads=cpu_count()))
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    for size in SIDES:
        z = draw(size, net.spec.noise_channels)
        with torch.no_grad():
            wanted = reference(torch.from_numpy(z.copy())).numpy()
        pairs.append((run_session(session, ["stylized"], {NOISE_PORT: z})[0], wanted))
    return compare("cpu", pairs)
