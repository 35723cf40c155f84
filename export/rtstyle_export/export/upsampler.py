"""From a checkpoint of `rtstyle train-upsampler` to an ONNX file with a parity report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtstyle.files.temporary import replacing
from rtstyle.painting.stylizer import Stylizer
from rtstyle_export.export.facts import training_facts
from rtstyle_export.export.johnson import Feed, OnFile
from rtstyle_export.export.manifest_writer import edit_manifest, file_entry
from rtstyle_export.networks.upsampler import UpsamplerNet
from rtstyle_export.onnx_files.ranges import keep_ranges
from rtstyle_export.onnx_files.writer import Credits, write_onnx
from rtstyle_export.quality.parity import measure_parity
from rtstyle_export.runs.checkpoint import Checkpoint
from rtstyle_export.runs.upsampler_config import UPSAMPLER, UpsamplerConfig
from rtstyle_export.train.upsampler import reduced_and_enlarged

FACTOR = 2.0
"""By how much paintings are reduced on which the file is compared with the network."""


def load_upsampler(checkpoint: Checkpoint) -> UpsamplerNet:
    """Return the network of a checkpoint. Raises `TrainingError` for one of another kind."""
    checkpoint.config_as(UpsamplerConfig)
    net = UpsamplerNet()
    net.load_state_dict(checkpoint.model)
    return net.eval()


def export_upsampler(
    checkpoint: Checkpoint,
    out: Path,
    *,
    pictures: Sequence[NDArray[np.uint8]],
    manifest: bool = False,
    on_file: OnFile | None = None,
) -> Path:
    """Write `upsampler.onnx` into folder `out`.

    It is compared with the network on paintings of `pictures`, (H, W, 3) uint8, and refused if it
    differs too much; with `manifest` it is entered into `out`/manifest.json.
    """
    net, facts, file = (
        load_upsampler(checkpoint),
        training_facts(checkpoint),
        out / "upsampler.onnx",
    )
    feeds = paintings_of(pictures)
    with replacing(file) as fresh:
        write_onnx(
            net, fresh, name=UPSAMPLER, size=UPSAMPLER, credit=Credits(), training=facts,
            feeds=feeds,
        )  # fmt: skip
        parity = measure_parity(net, fresh, feeds)
        parity.require()
        rounding = keep_ranges(fresh, feeds)
    if manifest:
        with edit_manifest(out) as data:
            data[UPSAMPLER] = file_entry(file, facts)
    if on_file is not None:
        on_file(file, parity, rounding)
    return file


def paintings_of(pictures: Sequence[NDArray[np.uint8]]) -> list[Feed]:
    """Return pictures with paintings of them by the default style, reduced and enlarged again."""
    with Stylizer(size="fast") as paint:
        return [
            {
                "image": np.ascontiguousarray(picture)[None],
                "canvas": reduced_and_enlarged(paint(picture), FACTOR)[None],
            }
            for picture in pictures
        ]
