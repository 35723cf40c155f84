"""VGG-19 as the optimisation of a picture needs it: fast, read where it is, and frugal.

Readers are called with the activations while the network runs and return something small. Only
that is kept, so that a part of the network can be computed twice rather than remembered.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rtstyle.errors import UsageError
from rtstyle_export.maths.vgg import VGG, layer_names
from rtstyle_export.maths.winograd import WinogradConv3x3
from rtstyle_export.runs.loop import cpu_has_bf16
from rtstyle_export.runs.loss_network import find_vgg

ARCHITECTURE = "vgg19"

POOLINGS = ("max", "average")
PRECISIONS = ("auto", "fp32", "bf16")

Reader = Callable[[Tensor], Tensor]
"""Maps activations (1, C, H, W) of one layer to what is wanted of them."""


def check_layers(layers: Iterable[str]) -> None:
    """Raise `UsageError` if VGG-19 lacks one of `layers`, naming all that it has."""
    names = layer_names(ARCHITECTURE)
    unknown = [layer for layer in layers if layer not in names]
    if unknown:
        raise UsageError(
            f"VGG-19 has no layer {', '.join(unknown)}.", f"Its layers are {', '.join(names)}."
        )


def check_pooling(pooling: str) -> None:
    """Raise `UsageError` for an unknown pooling."""
    if pooling not in POOLINGS:
        raise UsageError(f"There is no pooling {pooling!r}.", "", f"Use {' or '.join(POOLINGS)}.")


def choose_type(precision: str, device: torch.device | None) -> torch.dtype:
    """Return the type in which to convolve. Raises `UsageError` for an unknown precision.

    `auto` is bfloat16 on CPUs that multiply it in hardware: there it takes less time to the same
    value of the objective (`scripts/bench_gatys`).
    """
    if precision not in PRECISIONS:
        raise UsageError(
            f"There is no precision {precision!r} for this.", "", f"Use {', '.join(PRECISIONS)}."
        )
    quick = (device is None or device.type == "cpu") and cpu_has_bf16()
    chosen = ("bf16" if quick else "fp32") if precision == "auto" else precision
    return torch.bfloat16 if chosen == "bf16" else torch.float32


def load_network(
    layers: Iterable[str],
    weights: Path | None = None,
    *,
    pooling: str = "average",
    device: torch.device | None = None,
    precision: str = "fp32",
) -> Network:
    """Read VGG-19 up to the deepest of `layers`; `weights` is a safetensors file.

    Without one it is what ships, or for deeper layers a download (`rtstyle_export.runs`).

    Raises `UsageError` for an unknown layer, pooling or precision, `TrainingError` for unusable
    weights.
    """
    layers = tuple(layers)
    check_layers(layers)
    check_pooling(pooling)
    dtype = choose_type(precision, device)
    return Network(find_vgg(ARCHITECTURE, layers, weights), pooling, dtype).to(device)


class Network(nn.Module):
    """A frozen VGG whose layers are handed to readers, in blocks that end with a pooling.

    A layer `convX_Y` is read before its ReLU and `reluX_Y` after it. (Caffe's ReLU works in place,
    so that what the papers call conv4_2 is in fact relu4_2.)

    It convolves in `dtype`, float32 or bfloat16; readers are given float32.
    """

    def __init__(
        self, vgg: VGG, pooling: str = "average", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.layers, self.pooling = vgg.layers, pooling
        self.mean, self.std = cast(Tensor, vgg.mean), cast(Tensor, vgg.std)
        self.dtype = dtype
        self.blocks = nn.ModuleList(_blocks(vgg, dtype))

    def to(self, device: torch.device | None) -> Network:  # type: ignore[override]
        """Move the weights to `device`, if one is given."""
        if device is not None:
            super().to(device)
            self.mean, self.std = self.mean.to(device), self.std.to(device)
        return self

    def forward(
        self, image: Tensor, readers: Mapping[str, Reader], *, frugal: bool = False
    ) -> dict[str, Tensor]:
        """Return what `readers` made of RGB (1, 3, H, W) in -1 to 1, by layer.

        `frugal` computes each block again for the gradient in place of keeping its activations:
        a quarter less memory for a third more time.
        """
        x = ((image + 1) * 127.5 - self.mean) / self.std
        # The fast convolutions work with channels last; this saves them a copy.
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        found: dict[str, Tensor] = {}
        for block in self.blocks:
            assert isinstance(block, _Block)
            if frugal and torch.is_grad_enabled():
                x, read = checkpoint(block, x, readers, self.pooling, use_reentrant=False)
            else:
                x, read = block(x, readers, self.pooling)
            found.update(read)
        return found

    def smallest(self) -> int:
        """Side in pixels of the smallest picture that reaches the deepest layer."""
        return int(2 ** (len(self.blocks) - 1))

    @torch.no_grad()
    def means(self, pictures: Iterable[Tensor]) -> dict[str, Tensor]:
        """Mean absolute activation of each filter over pictures (1, 3, H, W): (C,) for each layer.

        Gatys et al. 2015, section 2, take the mean over ImageNet after the ReLU. Scaling weights by
        it, layer after layer, changes activations by this factor only, so that it is all one needs.
        """

        def mean(features: Tensor) -> Tensor:
            # Before a ReLU, what is rarely above 0 may be far below it.
            return features.abs().mean(dim=(0, 2, 3))

        found = [self(picture, dict.fromkeys(self.layers, mean)) for picture in pictures]
        means = {}
        for layer in self.layers:
            value = torch.stack([item[layer] for item in found]).mean(dim=0)
            # A filter that none of the pictures rouses must not outweigh all others.
            means[layer] = value.clamp_min(0.05 * float(value.mean()) + 1e-12)
        return means


class _Conv(nn.Module):
    """A frozen convolution in bfloat16, with or without the ReLU after it."""

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.relu = relu
        self.conv = copy.deepcopy(conv).requires_grad_(False)
        self.conv.to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return F.relu(y) if self.relu else y


_AnyConv: TypeAlias = WinogradConv3x3 | _Conv


class _Block(nn.Module):
    """Convolutions of one resolution and, except for the last block, the pooling after them."""

    def __init__(self, names: list[str], convs: list[_AnyConv], pools: bool) -> None:
        super().__init__()
        self.names, self.pools = names, pools
        self.convs = nn.ModuleList(convs)

    def forward(
        self, x: Tensor, readers: Mapping[str, Reader], pooling: str
    ) -> tuple[Tensor, dict[str, Tensor]]:
        found = {}

        def read(layer: str) -> None:
            if layer in readers:
                found[layer] = readers[layer](x.float())

        for name, conv in zip(self.names, self.convs, strict=True):
            x = conv(x)
            if not cast(_AnyConv, conv).relu:
                read(f"conv{name}")
                x = F.relu(x)
            read(f"relu{name}")
        if self.pools:
            x = F.max_pool2d(x, 2) if pooling == "max" else F.avg_pool2d(x, 2)
            read(f"pool{self.names[0][0]}")
        return x, found


def _blocks(vgg: VGG, dtype: torch.dtype) -> list[_Block]:
    blocks: list[_Block] = []
    names: list[str] = []
    convs: list[_AnyConv] = []
    kind = _Conv if dtype is torch.bfloat16 else WinogradConv3x3
    for name, module in zip(layer_names(ARCHITECTURE), vgg.features, strict=False):
        if isinstance(module, nn.Conv2d):
            # A layer that is read before its ReLU cannot be fused with it.
            convs.append(kind(module, relu=name not in vgg.layers))
            names.append(name.removeprefix("conv"))
        elif name.startswith("pool"):
            blocks.append(_Block(names, convs, pools=True))
            names, convs = [], []
    return [*blocks, _Block(names, convs, pools=False)] if names else blocks
