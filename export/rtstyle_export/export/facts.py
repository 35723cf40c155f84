"""What of a training goes into the metadata of its files: figures and names, never paths."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtstyle_export.runs.adain_config import AdainConfig, AnyCanvasConfig, LinearConfig
from rtstyle_export.runs.checkpoint import Checkpoint
from rtstyle_export.runs.config import CanvasConfig, TrainConfig, WctConfig
from rtstyle_export.runs.frames_config import FramesConfig
from rtstyle_export.runs.texture_config import TextureConfig
from rtstyle_export.runs.upsampler_config import UpsamplerConfig
from rtstyle_export.runs.variational_config import VariationalConfig


def training_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the facts of any training: those of all, and those of its kind."""
    config = checkpoint.config
    own: dict[str, Any] = {}
    if isinstance(config, TrainConfig):
        own = of_styles(config)
    elif isinstance(config, LinearConfig):
        own = of_transform(config)
    elif isinstance(config, AdainConfig):
        own = of_any_style(config, distilled="distil" in checkpoint.metrics)
    elif isinstance(config, AnyCanvasConfig):
        own = of_any_canvas(config)
    elif isinstance(config, WctConfig):
        own = of_level(config)
    elif isinstance(config, VariationalConfig):
        own = of_sampled(config)
    elif isinstance(config, UpsamplerConfig):
        own = of_upsampler(config)
    return {
        "steps": checkpoint.step,
        "batch": config.batch,
        "crop": config.crop,
        "optimizer": config.optimizer,
        "learning_rate": config.learning_rate,
        "seed": config.seed,
        **own,
        "seconds": round(checkpoint.seconds),
        "final": {name: round(value, 5) for name, value in checkpoint.metrics.items()},
    }


def of_styles(config: TrainConfig) -> dict[str, Any]:
    """Return what is said of a network trained for some styles."""
    return {
        "style_size": config.style_size,
        "weight_bits": config.weight_bits,
        "styles_in_run": len(config.styles),
        "loss_network": config.loss_network,
        **weights(config.loss),
        "loss": asdict(config.loss),
        "stability_weight": config.stability_weight,
        **({"body": config.body} if isinstance(config, CanvasConfig) else {}),
        **(of_textures(config) if isinstance(config, TextureConfig) else {}),
        **(of_frames(config) if isinstance(config, FramesConfig) else {}),
    }


def of_upsampler(config: UpsamplerConfig) -> dict[str, Any]:
    """Return what is said of the network that enlarges paintings."""
    return {
        "pairs": config.pairs,
        "plain_steps": config.plain_steps,
        "loss_network": config.loss_network,
        "loss": asdict(config.loss),
    }


def of_textures(config: TextureConfig) -> dict[str, Any]:
    """Return what is said of a texture network."""
    return {name: getattr(config, name) for name in ("photo", "samples", "width", "norm")}


def of_frames(config: FramesConfig) -> dict[str, Any]:
    """Return what is said of a network that learnt from painted frames."""
    names = ("patch", "plain", "unpaired")
    return {"clip": Path(config.clip).name, **{name: getattr(config, name) for name in names}}


def of_any_style(config: AdainConfig, *, distilled: bool) -> dict[str, Any]:
    """Return what is said of a network for any style."""
    return {
        "loss_network": "vgg19",
        **weights(config.loss),
        "lattice_weight": config.loss.lattice_weight,
        "skips_only": config.skips_only,
        "blended": config.blended if config.batch > 1 else 0.0,
        "order_weight": config.loss.order_weight,
        "distil_weight": config.loss.distil_weight if distilled else 0.0,
        "stability_weight": config.stability_weight,
    }


def of_any_canvas(config: AnyCanvasConfig) -> dict[str, Any]:
    """Return what is said of a network for any style that sees a canvas."""
    return {
        "style_size": config.style_size,
        "loss_network": config.loss_network,
        **weights(config.loss),
        "loss": asdict(config.loss),
        "unpainted": config.unpainted,
        "canvas_only": config.canvas_only,
        # What says that it sees a canvas.
        "body": "quarter",
    }


def of_transform(config: LinearConfig) -> dict[str, Any]:
    """Return what is said of a linear transform."""
    own = {"layer": config.layer, "feature_steps": config.feature_steps}
    return {
        "loss_network": "vgg19",
        **weights(config.loss),
        **(own if config.size == "paper" else {}),
    }


def of_level(config: WctConfig) -> dict[str, Any]:
    """Return what is said of one decoder of WCT."""
    names = ("width", "feature_steps") if config.width else ("weight_bits",)
    return {name: getattr(config, name) for name in ("level", "feature_weight", *names)}


def of_sampled(config: VariationalConfig) -> dict[str, Any]:
    """Return what is said of a latent space of styles."""
    names = ("vector_steps", "vectors", "fitted", "latent", "hidden", "kl_steps")
    return {
        "loss_network": "vgg19",
        **{name: getattr(config, name) for name in names},
        **asdict(config.loss),
    }


def weights(loss: Any) -> dict[str, float]:
    """Return the weights that every loss of pictures has."""
    names = ("content_weight", "style_weight", "tv_weight")
    return {name: getattr(loss, name) for name in names}
