"""Checkpoints: the weights, the optimiser and the configuration in one file."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from rtstyle.errors import TrainingError
from rtstyle_export.networks.canvas import SPECS, CanvasNet, over_plain, without_canvas
from rtstyle_export.networks.johnson import PaperNet, build_network
from rtstyle_export.networks.layers import select_style, style_keys
from rtstyle_export.networks.realtime import RealTimeNet
from rtstyle_export.networks.texture import TextureNet
from rtstyle_export.onnx_files.storage import quantized, replace_file
from rtstyle_export.runs.config import CanvasConfig, RunConfig, TrainConfig
from rtstyle_export.runs.kinds import config_from_json
from rtstyle_export.runs.texture_config import TextureConfig

C = TypeVar("C", bound=RunConfig)

CHECKPOINT = "checkpoint.pt"
"""Name of the checkpoint in the folder of a run."""
SCALES = "scales."
"""Prefix of VGG-19's mean activations among the weights, where a network depends on them."""


@dataclass(slots=True)
class Checkpoint:
    """State of a run after `step` steps; `optimizer` is None in a finished, slimmed file."""

    config: RunConfig
    step: int
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any] | None
    seconds: float
    metrics: dict[str, float]

    def save(self, path: Path) -> None:
        """Write to `path`, replacing what is there only once all is written.

        Raises `TrainingError`, of a full disk for example.
        """
        data = {
            "kind": self.config.kind,
            "config": self.config.to_json(),
            "step": self.step,
            "model": self.model,
            "optimizer": self.optimizer,
            "seconds": self.seconds,
            "metrics": self.metrics,
        }
        content = BytesIO()
        torch.save(data, content)
        try:
            replace_file(path, content.getvalue())
        except OSError as error:
            raise TrainingError(
                f"Cannot write {path}.", str(error.strerror or error), "What was there is kept."
            ) from error

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a file that `save` wrote; `TrainingError` if it is none."""
        try:
            data = torch.load(path, map_location="cpu", weights_only=True)
            data["config"] = config_from_json(data.pop("kind", "johnson"), data["config"])
            return cls(**data)
        except FileNotFoundError as error:
            raise TrainingError(
                f"There is no checkpoint {path}.", todo="`rtstyle train` writes one."
            ) from error
        except Exception as error:
            raise TrainingError(
                f"{path} is not a checkpoint of rtstyle.",
                "It is damaged, or another kind of file.",
                "Name a checkpoint.pt that `rtstyle train` wrote.",
            ) from error

    def config_as(self, kind: type[C]) -> C:
        """Return the configuration of a run of this kind; `TrainingError` for others."""
        if isinstance(self.config, kind):
            return self.config
        raise TrainingError(f"This is a checkpoint of the kind {self.config.kind}.")

    def johnson(self) -> TrainConfig:
        """Return the configuration of a run of `rtstyle train`; `TrainingError` for others."""
        if isinstance(self.config, TrainConfig):
            return self.config
        raise TrainingError(
            f"This is a checkpoint of the kind {self.config.kind}, not of `rtstyle train`.",
            todo="Name the checkpoint of a style.",
        )

    def network(self, style: str | None = None) -> nn.Module:
        """Build the trained network in evaluation mode; of one style if `style` is given.

        Its kernels are rounded if it was trained with rounded ones.
        """
        config = self.johnson()
        net = network_of(config)
        net.load_state_dict(self.model)
        if style is not None:
            if style not in config.styles:
                raise TrainingError(
                    f"The checkpoint has no style {style!r}.",
                    f"It holds {', '.join(config.styles)}.",
                )
            select_style(net, config.styles.index(style))
            net.styles = 1
        if config.weight_bits == 8:
            quantized(net)
        return net.eval()


def network_of(config: TrainConfig) -> CanvasNet | RealTimeNet | PaperNet | TextureNet:
    """Make the network that a run trains, freshly initialised."""
    if isinstance(config, TextureConfig):
        return TextureNet(config.spec, len(config.styles))
    if isinstance(config, CanvasConfig):
        return CanvasNet(SPECS[config.size, config.body], len(config.styles))
    return build_network(config.size, len(config.styles))


def scales_of(weights: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Return the mean activations among weights, (C,) for each layer; none for most networks."""
    count = sum(key.startswith(SCALES) for key in weights)
    return [weights[f"{SCALES}{number}"] for number in range(count)]


def without_scales(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return only the weights of the network."""
    return {key: value for key, value in weights.items() if not key.startswith(SCALES)}


def initial_weights(source: Checkpoint, config: TrainConfig) -> dict[str, torch.Tensor]:
    """Weights for a new run out of another run of the same size.

    Shared layers are copied. Style layers are copied by name where `source` has the style, else
    they start from the mean over its styles, the best guess for a painting not seen yet. A network
    that sees a canvas with the body `quarter` also starts from one that sees none, and the other
    way about.
    """
    old_config = source.johnson()
    target, model = network_of(config), source.model
    if _gains_canvas(old_config, config):
        model = over_plain(CanvasNet(SPECS[config.size, "quarter"], len(old_config.styles)), model)
    elif _gains_canvas(config, old_config):
        model = without_canvas(model)
    elif _form(old_config) != _form(config):
        raise TrainingError(
            f"Cannot start {_form(config)} from {_form(old_config)}.",
            "Their layers differ.",
            "Choose the same --size and --body, and --canvas for both or neither.",
        )
    known = {name: index for index, name in enumerate(old_config.styles)}
    weights = {key: model[key] for key in target.state_dict()}
    for key in style_keys(target):
        old = weights[key]
        rows = [old[known[name]] if name in known else old.mean(0) for name in config.styles]
        weights[key] = torch.stack(rows)
    return weights


def _gains_canvas(old: TrainConfig, new: TrainConfig) -> bool:
    """Return True where a network that sees no canvas is that of `new` but for the canvas."""
    sees = isinstance(new, CanvasConfig) and new.body == "quarter"
    return sees and not isinstance(old, CanvasConfig) and old.size == new.size


def _form(config: TrainConfig) -> str:
    if isinstance(config, TextureConfig):
        kind = "photos" if config.photo else "pure texture"
        return f"a texture network for {kind} with {config.norm} norm and the width {config.width}"
    if isinstance(config, CanvasConfig):
        return f"a {config.size} network with a canvas and the body {config.body}"
    return f"a {config.size} network without a canvas"
