"""The latent space of styles as two ONNX files: vectors to Gaussians, and codes to vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from rtstyle_export.networks.variational import LOG_VARIANCE, VariationalStyle
from rtstyle_export.onnx_files.storage import quantized, store_small, write_model
from rtstyle_export.onnx_files.writer import label, trace

PARTS = ("code", "sample")


class CodeNet(nn.Module):
    """Style vectors (N, M) float32 to the mean and the deviation of their Gaussians, (N, L)."""

    def __init__(self, style: VariationalStyle) -> None:
        super().__init__()
        self.layers = as_convolutions(style.encoder)
        self.register_buffer("mean", cast(Tensor, style.mean).clone())
        self.register_buffer("scale", cast(Tensor, style.scale).clone())

    def forward(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation."""
        x = (statistics - cast(Tensor, self.mean)) / cast(Tensor, self.scale)
        mean, log_variance = self.layers(x[:, :, None, None]).flatten(1).chunk(2, dim=1)
        return mean, (0.5 * log_variance.clamp(*LOG_VARIANCE)).exp()


class SampleNet(nn.Module):
    """Codes (N, L) float32 to style vectors (N, M)."""

    def __init__(self, style: VariationalStyle) -> None:
        super().__init__()
        self.layers = as_convolutions(style.decoder)
        self.register_buffer("mean", cast(Tensor, style.mean).clone())
        self.register_buffer("scale", cast(Tensor, style.scale).clone())

    def forward(self, code: Tensor) -> Tensor:
        """Return style vectors."""
        raw: Tensor = self.layers(code[:, :, None, None]).flatten(1)
        return raw * cast(Tensor, self.scale) + cast(Tensor, self.mean)


def as_convolutions(layers: nn.Module) -> nn.Sequential:
    """Return linear layers as convolutions of one pixel, whose kernels are rounded to 8 bits."""
    found: list[nn.Module] = []
    for layer in layers.children():
        if isinstance(layer, nn.Linear):
            conv = nn.Conv2d(layer.in_features, layer.out_features, 1)
            with torch.no_grad():
                conv.weight.copy_(layer.weight[:, :, None, None])
                cast(Tensor, conv.bias).copy_(layer.bias)
            found.append(conv)
        else:
            found.append(layer)
    made = nn.Sequential(*found)
    quantized(made)
    return made.eval()


def export_form(part: str, style: VariationalStyle) -> nn.Module:
    """Return one of `PARTS` as a module for export, its weights as they are stored."""
    return (CodeNet(style) if part == "code" else SampleNet(style)).eval()


def write_part(
    part: str, net: nn.Module, path: Path, *, size: str, numbers: int, training: dict[str, Any]
) -> str:
    """Write one of `PARTS` as ONNX to `path`; return the SHA-256 of the file.

    `net` is its `export_form`, `numbers` the length of what it takes.
    """
    inputs, outputs = (
        (["statistics"], ["mean", "deviation"]) if part == "code" else (["code"], ["statistics"])
    )
    axes = {name: {0: "styles"} for name in (*inputs, *outputs)}
    model = trace(net, (torch.zeros(2, numbers),), inputs, outputs, axes)
    store_small(model)
    label(
        model, f"Sampled styles, size {size}: {part}.", training, name="any", part=part, size=size
    )
    return write_model(model, path)
