"""From a checkpoint of `rtstyle train-adain --transform linear` to ONNX files with a parity report.

They are the style file, which makes a painting's numbers, and the content file, which paints with
them. Those of `fast` are added to what the network for AdaIN takes: regions, fitting and samples
are that network's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rtstyle.engines import open_engine
from rtstyle.files.temporary import replacing
from rtstyle_export.data import to_tensor
from rtstyle_export.export.adain import DECODER, DONOR, encoder_of, enter, share_all
from rtstyle_export.export.facts import training_facts
from rtstyle_export.export.johnson import OnFile
from rtstyle_export.networks.encoder import Encoder
from rtstyle_export.networks.linear import FastLinear, LinearPair
from rtstyle_export.onnx_files.linear import (
    LinearContentNet,
    LinearStyleNet,
    content_form,
    write_linear,
)
from rtstyle_export.onnx_files.ranges import keep_ranges
from rtstyle_export.onnx_files.storage import halved, quantized
from rtstyle_export.quality.adain_parity import measure_numbers
from rtstyle_export.quality.parity import Parity, compare
from rtstyle_export.runs.adain_config import LinearConfig
from rtstyle_export.runs.checkpoint import Checkpoint, without_scales
from rtstyle_export.runs.onnx_reader import take_over

DONORS = (DONOR, DECODER, "wct-decoder-3.onnx", "any-fast-content.onnx")
"""The files that may hold weights of these."""


def load_linear(checkpoint: Checkpoint, vgg_weights: Path | None) -> tuple[Encoder, LinearPair]:
    """Return the encoder and the network of a checkpoint, as they are stored."""
    config = checkpoint.config_as(LinearConfig)
    encoder = encoder_of(checkpoint, vgg_weights)
    pair = LinearPair(encoder, config.size, config.layer)
    pair.load_state_dict(without_scales(checkpoint.model), strict=False)
    halved(encoder)
    if isinstance(pair.net, FastLinear):
        halved(pair)
    quantized(pair.net.transform)
    return encoder.eval(), pair.eval()


def export_linear(
    checkpoint: Checkpoint,
    out: Path,
    *,
    pictures: Sequence[NDArray[np.uint8]],
    vgg_weights: Path | None = None,
    manifest: bool = False,
    on_file: OnFile | None = None,
) -> list[Path]:
    """Write `any-SIZE-linear-PART.onnx` into folder `out`, style and content.

    Each is compared with the network on `pictures`, (H, W, 3) uint8, and refused if it differs too
    much; with `manifest` they are entered into `out`/manifest.json, and leave what weights they
    share with files there to those.
    """
    size = checkpoint.config_as(LinearConfig).size
    encoder, pair = load_linear(checkpoint, vgg_weights)
    if manifest and (out / DONOR).exists():
        take_over(encoder, out / DONOR)
    facts, net = training_facts(checkpoint), pair.net
    style, content = LinearStyleNet(encoder, pair).eval(), LinearContentNet(net).eval()
    forms = {"style": (style, style), "content": (content_form(net), content)}
    files: dict[str, Path] = {}
    for part, (form, reference) in forms.items():
        file = out / f"any-{size}-linear-{part}.onnx"
        given = feeds_of(encoder, pair, pictures) if part == "content" else []
        # The network of the paper runs in float32, as does that for AdaIN.
        feeds = given if size == "fast" else []
        with replacing(file) as fresh:
            write_linear(
                part, form, fresh, size=f"{size}-linear", numbers=net.numbers, training=facts,
                feeds=feeds,
            )  # fmt: skip
            if manifest:
                share_all(fresh, [out / name for name in DONORS])
            parity = (
                measure_painting(reference, fresh, given)
                if given
                else measure_numbers(reference, fresh, pictures)
            )
            parity.require()
            rounding = keep_ranges(fresh, feeds) if feeds else None
        files[part] = file
        if on_file is not None:
            on_file(file, parity, rounding)
    if manifest:
        enter(out, f"{size}-linear", files, facts)
    return list(files.values())


def measure_painting(net: nn.Module, file: Path, feeds: Sequence[Mapping[str, Any]]) -> Parity:
    """Compare a content file with its network, on pictures with the numbers of paintings."""
    with open_engine(file, "cpu", precision="fp32") as engine, torch.no_grad():
        pairs = []
        for feed in feeds:
            wanted = net(*(torch.from_numpy(np.array(value)) for value in feed.values()))
            extra = {name: value for name, value in feed.items() if name != "image"}
            pairs.append((engine.run(feed["image"], extra), wanted.numpy()))
        return compare(engine.device, pairs)


def feeds_of(
    encoder: Encoder, pair: LinearPair, pictures: Sequence[NDArray[np.uint8]]
) -> list[dict[str, NDArray[Any]]]:
    """Feed each picture with another as the painting, for `measure_ranges`."""
    vectors = []
    for picture in pictures:
        x = to_tensor(picture)
        with torch.no_grad():
            vectors.append(pair.vector(x, encoder(x)).numpy())
    one = np.ones(1, np.float32)
    return [
        {"image": picture[None], "statistics": vectors[(n + 1) % len(vectors)], "strength": one}
        for n, picture in enumerate(pictures)
    ]
