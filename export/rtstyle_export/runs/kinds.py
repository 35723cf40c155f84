"""The kinds of training runs, by the name that a checkpoint has of them."""

from __future__ import annotations

from typing import Any

from rtstyle_export.runs.adain_config import AdainConfig, AnyCanvasConfig, LinearConfig
from rtstyle_export.runs.config import CanvasConfig, RunConfig, TrainConfig, WctConfig
from rtstyle_export.runs.frames_config import FramesConfig
from rtstyle_export.runs.texture_config import TextureConfig
from rtstyle_export.runs.upsampler_config import UpsamplerConfig
from rtstyle_export.runs.variational_config import VariationalConfig

_KINDS: tuple[type[RunConfig], ...] = (
    TrainConfig,
    CanvasConfig,
    FramesConfig,
    TextureConfig,
    AdainConfig,
    AnyCanvasConfig,
    LinearConfig,
    WctConfig,
    VariationalConfig,
    UpsamplerConfig,
)
CONFIGS = {config.kind: config for config in _KINDS}


def config_from_json(kind: str, data: dict[str, Any]) -> RunConfig:
    """Return the configuration of a checkpoint of this kind. Raises `KeyError` for others."""
    return CONFIGS[kind].from_json(data)
