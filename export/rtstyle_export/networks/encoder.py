"""VGG-19 as the encoder of style transfer, with activations of mean 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.maths.vgg import CAFFE_MEAN, VGG, layer_names
from rtstyle_export.maths.winograd import accelerate

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""Where the paper compares statistics; the last is also where content is compared and AdaIN is."""


WIDTHS = (64, 128, 256, 512)


class Encoder(nn.Module):
    """VGG-19 from conv1_1 to `last` (such as relu4_1) with reflection padding, frozen.

    `state` has torchvision's key names. `scales` are the mean activations by which each ReLU layer
    is divided (see `mean_activations`), so that every filter's mean activation is 1 as in Gatys
    et al. 2016; None keeps the weights as they are. `mean` and `std` are per RGB channel for
    pictures in 0 to 255.
    """

    def __init__(
        self,
        state: dict[str, Tensor],
        scales: Sequence[Tensor] | None = None,
        mean: Sequence[float] = CAFFE_MEAN,
        std: Sequence[float] = (1.0, 1.0, 1.0),
        last: str = STYLE_LAYERS[-1],
    ) -> None:
        super().__init__()
        names = layer_names("vgg19")
        self.names = names[: names.index(last) + 1]
        state = state if scales is None else normalised(state, scales)
        self.convs = nn.ModuleList()
        for index in conv_indexes(last):
            weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3)
            conv.weight = nn.Parameter(weight.float().clone())
            conv.bias = nn.Parameter(bias.float().clone())
            self.convs.append(conv)
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.quick = False

    @classmethod
    def of(
        cls, vgg: VGG, scales: Sequence[Tensor] | None = None, last: str = STYLE_LAYERS[-1]
    ) -> Encoder:
        """Return the encoder with the weights and the input range of a loss network."""
        state = {f"features.{key}": value for key, value in vgg.features.state_dict().items()}
        mean, std = (cast(Tensor, x).flatten().tolist() for x in (vgg.mean, vgg.std))
        return cls(state, scales, mean, std, last)

    def prepared(self, image: Tensor) -> Tensor:
        """Map RGB in -1 to 1 to what the first layer takes."""
        assert isinstance(self.mean, Tensor)
        assert isinstance(self.std, Tensor)
        return ((image + 1) * 127.5 - self.mean) / self.std

    def accelerate(self) -> None:
        """Use the quick convolutions of `rtstyle_export.maths.winograd`, for training on a CPU."""
        made: list[nn.Module] = []
        for conv in self.layers():
            padded = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1)
            padded.weight, padded.bias = conv.weight, conv.bias
            padded.requires_grad_(False)
            made.append(accelerate(nn.Sequential(padded)))
        self.convs, self.quick = nn.ModuleList(made), True

    def layers(self) -> list[nn.Conv2d]:
        """Return the convolutions in order."""
        return [conv for conv in self.convs if isinstance(conv, nn.Conv2d)]

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map RGB (N, 3, H, W) in -1 to 1 to the activations of relu1_1, relu2_1, ... `last`."""
        x = self.prepared(image)
        found, convs = {}, iter(self.convs)
        for name in self.names:
            if name.startswith("conv"):
                x = next(convs)(F.pad(x, (1, 1, 1, 1), "reflect"))
                if self.quick:
                    # These pad by zeros besides, around the reflection.
                    x = x[:, :, 1:-1, 1:-1]
            elif name.startswith("relu"):
                x = F.relu(x)
                if name.endswith("_1"):
                    found[name] = x
            else:
                x = F.max_pool2d(x, 2)
        return found


def conv_indexes(last: str = "pool5") -> list[int]:
    """Return where the convolutions up to the layer `last` are in VGG-19."""
    names = layer_names("vgg19")
    upto = names[: names.index(last) + 1]
    return [i for i, name in enumerate(upto) if name.startswith("conv")]


def normalised(state: dict[str, Tensor], scales: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the first convolutions of VGG-19, each filter divided by its mean activation.

    There are as many as there are `scales`, the mean activations (C,) of each layer.

    ReLU and max pooling commute with a positive scale, so the next layer undoes it.
    """
    found, before = {}, None
    for index, scale in zip(conv_indexes()[: len(scales)], scales, strict=True):
        weight = state[f"features.{index}.weight"].float()
        if before is not None:
            weight = weight * before.view(1, -1, 1, 1)
        found[f"features.{index}.weight"] = weight / scale.view(-1, 1, 1, 1)
        found[f"features.{index}.bias"] = state[f"features.{index}.bias"].float() / scale
        before = scale
    return found


def restored(state: dict[str, Tensor], scales: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the convolutions as they were before they were `normalised` by the same `scales`."""
    return normalised(state, [1 / scale for scale in scales])


def normalised_vgg(vgg: VGG, scales: Sequence[Tensor], layers: Sequence[str]) -> VGG:
    """Return VGG-19 as a loss network that reads `layers`, its filters divided by `scales`."""
    mean, std = cast(Tensor, vgg.mean), cast(Tensor, vgg.std)
    r, g, b = mean.flatten().tolist()
    s, t, u = std.flatten().tolist()
    state = {f"features.{key}": value for key, value in vgg.features.state_dict().items()}
    return VGG("vgg19", layers, normalised(state, scales), (r, g, b), (s, t, u))


def mean_activations(encoder: Encoder, photos: Iterable[Tensor]) -> list[Tensor]:
    """Mean activation of every filter of `encoder` over photos (1, 3, H, W) in -1 to 1.

    Gatys et al. 2016, section 2: over images and positions, after the ReLU.
    """
    sums = [torch.zeros(conv.out_channels) for conv in encoder.layers()]
    count = 0
    with torch.no_grad():
        for photo in photos:
            count += 1
            x, number = encoder.prepared(photo), 0
            for name in encoder.names:
                if name.startswith("conv"):
                    x = F.relu(encoder.layers()[number](F.pad(x, (1, 1, 1, 1), "reflect")))
                    sums[number] += x.mean(dim=(0, 2, 3))
                    number += 1
                elif name.startswith("pool"):
                    x = F.max_pool2d(x, 2)
    # A filter that never fires on photographs keeps its scale.
    return [torch.where(total > 0, total / count, torch.ones(())) for total in sums]
