"""Encoder and decoders of universal style transfer as ONNX files.

The encoder maps a picture, (N, H, W, 3) uint8 RGB, to relu1_1, relu2_1, ... in float32; the
decoder of a level maps the last of these, (N, C, h, w), to a picture. Their weights are stored in
half precision or in 8 bits. The compact form of level 5 gives principal components of relu5_1 under
that name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from rtstyle.errors import TrainingError
from rtstyle_export.networks.encoder import WIDTHS, Encoder, conv_indexes
from rtstyle_export.networks.wct import CODES, LEVELS, CompactLevel5, WctDecoder, layer
from rtstyle_export.onnx_files.adain import to_picture
from rtstyle_export.onnx_files.storage import halved, quantized, store_small, write_model
from rtstyle_export.onnx_files.writer import PICTURE_AXES, VGG_CREDIT, from_picture, label, trace
from rtstyle_export.runs.checkpoint import Checkpoint, scales_of, without_scales
from rtstyle_export.runs.config import WctConfig
from rtstyle_export.runs.loss_network import find_vgg
from rtstyle_export.train.wct import decoder_of


class EncoderFile(nn.Module):
    """A picture (N, H, W, 3) uint8 to the features of every level up to the encoder's last.

    `tail` maps these to one level more.
    """

    def __init__(self, encoder: Encoder, tail: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder, self.tail = encoder, tail

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return relu1_1, relu2_1, ..."""
        found = tuple(self.encoder(from_picture(image)).values())
        return found if self.tail is None else (*found, self.tail(found[-1]))


class DecoderFile(nn.Module):
    """Features (N, C, h, w) float32 of a level to a picture (N, H, W, 3) uint8."""

    def __init__(self, level: WctDecoder | CompactLevel5) -> None:
        super().__init__()
        self.decoder: nn.Module = level
        if isinstance(level, CompactLevel5):
            self.decoder = nn.Sequential(level.head, level.decoder)

    def forward(self, features: Tensor) -> Tensor:
        """Return the picture."""
        return to_picture(self.decoder(features))


def load_run(path: Path) -> tuple[Checkpoint, WctDecoder | CompactLevel5]:
    """Read a checkpoint of `rtstyle train-wct` and its level. Raises `TrainingError`."""
    found = Checkpoint.load(path)
    if not isinstance(found.config, WctConfig):
        raise TrainingError(f"{path} is not a checkpoint of `rtstyle train-wct`.")
    if not found.config.width:
        return found, decoder_of(found).eval()
    level = CompactLevel5(found.config.width)
    level.load_state_dict(without_scales(found.model))
    quantized(level.tail)
    quantized(level.head)
    return found, level.eval()


def load_encoder(deepest: Checkpoint, vgg_weights: Path | None) -> Encoder:
    """Return the VGG-19 in which the run of the deepest level was trained, as far as it is used."""
    config = cast(WctConfig, deepest.config)
    name = layer(config.level - (config.width > 0))
    vgg = find_vgg("vgg19", [name], vgg_weights)
    scales = scales_of(deepest.model)[: len(conv_indexes(name))]
    return Encoder.of(vgg, scales, name).eval()


def write_encoder(encoder: Encoder, path: Path, tail: nn.Module | None = None) -> str:
    """Write the encoder; return the SHA-256 of the file. Rounds its weights to what is stored."""
    levels = [level for level in LEVELS if layer(level) in encoder.names]
    outputs = [layer(level) for level in levels]
    if tail is not None:
        outputs.append(layer(levels[-1] + 1))
    axes = {
        "image": PICTURE_AXES["image"],
        **{name: {0: "batch", 2: f"rows{name}", 3: f"columns{name}"} for name in outputs},
    }
    example = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    net = EncoderFile(encoder, tail)
    return _write(net, (example,), ["image"], outputs, axes, "encoder", {}, path)


def write_decoder(level: WctDecoder | CompactLevel5, path: Path, training: dict[str, Any]) -> str:
    """Write a decoder; return the SHA-256 of the file. Rounds its weights to what is stored."""
    axes = {
        "features": {0: "batch", 2: "rows", 3: "columns"},
        "stylized": PICTURE_AXES["stylized"],
    }
    compact = isinstance(level, CompactLevel5)
    example = torch.zeros(1, CODES if compact else WIDTHS[min(level.level, 4) - 1], 8, 8)
    part = f"decoder-{level.level}"
    net = DecoderFile(level)
    return _write(net, (example,), ["features"], ["stylized"], axes, part, training, path)


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
    label(
        model, f"Universal style transfer (Li et al. 2017): {part}.", training, name="wct",
        part=part, credit=VGG_CREDIT,
    )  # fmt: skip
    return write_model(model, path)
