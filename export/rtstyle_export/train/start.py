"""All that starts a training: configurations, objectives and trainers, for the commands."""

from __future__ import annotations

from typing import Any

from rtstyle.errors import UsageError
from rtstyle_export.data import PICTURES, first_readable, list_pictures
from rtstyle_export.maths.losses import (
    AdainLossSpec,
    CanvasLossSpec,
    FramesLossSpec,
    LinearLossSpec,
    LossSpec,
    TextureLossSpec,
    UpsamplerLossSpec,
    VariationalLossSpec,
)
from rtstyle_export.networks.wct import COMPACT_WIDTH
from rtstyle_export.runs.adain_config import AdainConfig, AnyCanvasConfig, LinearConfig
from rtstyle_export.runs.config import CanvasConfig, TrainConfig, WctConfig
from rtstyle_export.runs.frames_config import FramesConfig
from rtstyle_export.runs.job import train
from rtstyle_export.runs.loop import Loop, Machine
from rtstyle_export.runs.loss_network import SHIPPED, STYLE_NOTE, reachable, usual_network
from rtstyle_export.runs.texture_config import TextureConfig
from rtstyle_export.runs.upsampler_config import UpsamplerConfig
from rtstyle_export.runs.variational_config import VariationalConfig
from rtstyle_export.train.adain import AdainTrainer
from rtstyle_export.train.canvas.any_style import AnyCanvasTrainer
from rtstyle_export.train.canvas.trainer import CanvasTrainer
from rtstyle_export.train.footage import photos_of
from rtstyle_export.train.frames.pairs import read_pairs
from rtstyle_export.train.frames.trainer import FramesTrainer
from rtstyle_export.train.johnson import Trainer
from rtstyle_export.train.linear import LinearTrainer
from rtstyle_export.train.nearest import nearest_to_frames, nearest_to_paintings
from rtstyle_export.train.texture import TextureTrainer
from rtstyle_export.train.upsampler import UpsamplerTrainer
from rtstyle_export.train.variational import VariationalTrainer
from rtstyle_export.train.wct import WctTrainer
from rtstyle_export.train.wct_compact import CompactTrainer

__all__ = [
    "COMPACT_WIDTH",
    "PICTURES",
    "SHIPPED",
    "STYLE_NOTE",
    "AdainConfig",
    "AdainLossSpec",
    "AdainTrainer",
    "AnyCanvasConfig",
    "AnyCanvasTrainer",
    "CanvasConfig",
    "CanvasLossSpec",
    "CanvasTrainer",
    "CompactTrainer",
    "FramesConfig",
    "FramesLossSpec",
    "FramesTrainer",
    "LinearConfig",
    "LinearLossSpec",
    "LinearTrainer",
    "Loop",
    "LossSpec",
    "Machine",
    "TextureConfig",
    "TextureLossSpec",
    "TextureTrainer",
    "TrainConfig",
    "Trainer",
    "UpsamplerConfig",
    "UpsamplerLossSpec",
    "UpsamplerTrainer",
    "VariationalConfig",
    "VariationalLossSpec",
    "VariationalTrainer",
    "WctConfig",
    "WctTrainer",
    "first_readable",
    "kind_of",
    "list_pictures",
    "nearest_to_frames",
    "nearest_to_paintings",
    "photos_of",
    "reachable",
    "read_pairs",
    "train",
    "usual_network",
]


def kind_of(*, canvas: bool, texture: bool) -> tuple[Any, Any, Any]:
    """Return the configuration, the losses and the trainer of a run. Raises `UsageError`."""
    if canvas and texture:
        raise UsageError("Texture networks see no canvas.", todo="Leave --canvas out.")
    if canvas:
        return CanvasConfig, CanvasLossSpec, CanvasTrainer
    if texture:
        return TextureConfig, TextureLossSpec, TextureTrainer
    return TrainConfig, LossSpec, Trainer
