"""Encoder and decoders of universal style transfer as ONNX files.

The encoder maps a picture, (N, H, W, 3) uint8 RGB, to relu1_1, relu2_1, ... in float32; the
decoder of a level maps the last of these, (N, C, h, w), to a picture. Their weights are stored in
half precision.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from onnx import helper
from torch import Tensor, nn

from rtstyle.errors import TrainingError
from rtstyle_export.adain_onnx import to_picture
from rtstyle_export.networks.adain import Encoder
from rtstyle_export.networks.wct import LEVELS, WctDecoder, layer
from rtstyle_export.onnx_writer import PICTURE_AXES, content_hash, from_picture, trace
from rtstyle_export.storage import halved, store_small, write_model
from rtstyle_export.train.checkpoint import Checkpoint, scales_of, without_scales
from rtstyle_export.train.config import WctConfig
from rtstyle_export.vgg import load_vgg

CREDIT = "VGG-19: K. Simonyan, A. Zisserman, CC BY 4.0"


class EncoderFile(nn.Module):
    """A picture (N, H, W, 3) uint8 to the features of every level up to the encoder's last."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return relu1_1, relu2_1, ..."""
        x = from_picture(image)
        return tuple(self.encoder(x).values())


class DecoderFile(nn.Module):
    """Features (N, C, h, w) float32 of a level to a picture (N, H, W, 3) uint8."""

    def __init__(self, decoder: WctDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: Tensor) -> Tensor:
        """Return the picture."""
        return to_picture(self.decoder(features))


def load_run(path: Path) -> tuple[Checkpoint, WctDecoder]:
    """Read a checkpoint of `rtstyle train-wct` and its decoder. Raises `TrainingError`."""
    found = Checkpoint.load(path)
    if not isinstance(found.config, WctConfig):
        raise TrainingError(f"{path} is not a checkpoint of `rtstyle train-wct`.")
    decoder = WctDecoder(found.config.level)
    decoder.load_state_dict(without_scales(found.model))
    return found, decoder.eval()


def load_encoder(deepest: Checkpoint, vgg_weights: Path | None) -> Encoder:
    """Return the encoder that the run of the deepest level was trained with."""
    name = layer(cast(WctConfig, deepest.config).level)
    vgg = load_vgg("vgg19", [name], vgg_weights)
    return Encoder.of(vgg, scales_of(deepest.model), name).eval()


def training_facts(run: Checkpoint) -> dict[str, Any]:
    """What of the training goes into the metadata: no paths, only figures."""
    config = cast(WctConfig, run.config)
    names = ("level", "batch", "crop", "optimizer", "learning_rate", "seed", "feature_weight")
    facts: dict[str, Any] = {name: getattr(config, name) for name in names}
    final = {name: round(value, 5) for name, value in run.metrics.items()}
    return {**facts, "steps": run.step, "seconds": round(run.seconds), "final": final}


def write_encoder(encoder: Encoder, path: Path) -> str:
    """Write the encoder; return the SHA-256 of the file. Rounds its weights to what is stored."""
    levels = [level for level in LEVELS if layer(level) in encoder.names]
    outputs = [layer(level) for level in levels]
    axes = {
        "image": PICTURE_AXES["image"],
        **{name: {0: "batch", 2: f"rows{name}", 3: f"columns{name}"} for name in outputs},
    }
    example = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    return _write(EncoderFile(encoder), (example,), ["image"], outputs, axes, "encoder", {}, path)


def write_decoder(decoder: WctDecoder, path: Path, training: dict[str, Any]) -> str:
    """Write a decoder; return the SHA-256 of the file. Rounds its weights to what is stored."""
    axes = {
        "features": {0: "batch", 2: "rows", 3: "columns"},
        "stylized": PICTURE_AXES["stylized"],
    }
    channels = decoder.convs[0].in_channels
    example = torch.zeros(1, cast(int, channels), 8, 8)
    name = f"decoder-{decoder.level}"
    net = DecoderFile(decoder)
    return _write(net, (example,), ["features"], ["stylized"], axes, name, training, path)


def _write(
    net: nn.Module,
    example: tuple[Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
    part: str,
    training: dict[str, Any],
    path: Path,
) -> str:
    halved(net)
    model = trace(net.eval(), example, inputs, outputs, axes)
    store_small(model)
    model.producer_name = "rtstyle"
    model.doc_string = f"Universal style transfer (Li et al. 2017): {part}."
    helper.set_model_props(
        model,
        {
            "rtstyle.name": "wct",
            "rtstyle.part": part,
            "rtstyle.credit": CREDIT,
            "rtstyle.training": json.dumps(training, sort_keys=True),
            "rtstyle.content_hash": content_hash(model),
        },
    )
    return write_model(model, path)
