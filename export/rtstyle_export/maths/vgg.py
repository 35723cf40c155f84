"""The loss network: VGG-16 or VGG-19 (Simonyan and Zisserman 2014) cut after the last layer used.

Weights come from torchvision's download or from a local safetensors file with torchvision's key
names (`features.N.weight`): Oxford's own, or those that torchvision trained.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from rtstyle.errors import MissingExtraError, TrainingError
from rtstyle_export.maths.winograd import accelerate

_PLANS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)

CAFFE_MEAN = (123.68, 116.779, 103.939)
"""Mean RGB of the original training set, taken off pictures in 0 to 255."""

Scale: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and standard deviation per RGB channel, for pictures in 0 to 255."""

OXFORD: Scale = (CAFFE_MEAN, (1.0, 1.0, 1.0))
TORCHVISION: Scale = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))

_TRAINED_BY_TORCHVISION = {
    "vgg16": (-0.5537, 0.1427, 0.5290),
    "vgg19": (-0.0535, -0.0493, -0.0679),
}
"""Their first weights. How large weights are does not tell: the first layer's are alike."""


def tell(message: str) -> None:
    """Print a message on standard error."""
    print(message, file=sys.stderr)


on_download: Callable[[str], None] = tell
"""Called with a sentence before half a gigabyte is fetched, which takes minutes."""


def layer_names(arch: str) -> list[str]:
    """Name every module of `arch` in order, such as conv1_1, relu1_1, pool1."""
    if arch not in _PLANS:
        raise TrainingError(
            f"There is no loss network {arch!r}.", todo=f"Choose one of {', '.join(_PLANS)}."
        )
    names = []
    for block, depth in enumerate(_PLANS[arch], start=1):
        for conv in range(1, depth + 1):
            names += [f"conv{block}_{conv}", f"relu{block}_{conv}"]
        names.append(f"pool{block}")
    return names


def _modules(arch: str, last: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    channels = 3
    for name in layer_names(arch)[: last + 1]:
        if name.startswith("conv"):
            width = _WIDTHS[int(name[4]) - 1]
            modules.append(nn.Conv2d(channels, width, 3, padding=1))
            channels = width
        else:
            modules.append(nn.ReLU() if name.startswith("relu") else nn.MaxPool2d(2))
    return nn.Sequential(*modules)


class VGG(nn.Module):
    """A frozen loss network that returns named activations.

    `mean` and `std` are per RGB channel for pictures in 0 to 255.
    """

    def __init__(
        self,
        arch: str,
        layers: Iterable[str],
        state: dict[str, Tensor],
        mean: tuple[float, float, float] = OXFORD[0],
        std: tuple[float, float, float] = OXFORD[1],
    ) -> None:
        super().__init__()
        self.layers = tuple(dict.fromkeys(layers))
        names = layer_names(arch)
        unknown = [layer for layer in self.layers if layer not in names]
        if unknown:
            raise TrainingError(
                f"{arch} has no layer {', '.join(unknown)}.",
                todo=f"Choose among {', '.join(names)}.",
            )
        self.taps = {names.index(layer): layer for layer in self.layers}
        self.features = _modules(arch, max(self.taps))
        self._load(state)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def _load(self, state: dict[str, Tensor]) -> None:
        wanted = {f"features.{key}" for key in self.features.state_dict()}
        missing = sorted(wanted - set(state))
        if missing:
            raise TrainingError(
                "The weights do not reach the layers that the losses use.",
                f"{missing[0]} is missing.",
                "Name shallower layers or another weights file.",
            )
        self.features.load_state_dict(
            {key.removeprefix("features."): state[key].float() for key in wanted}
        )

    def accelerate(self) -> None:
        """Use the quick convolutions of `rtstyle_export.maths.winograd`, for training on a CPU.

        They include the ReLU: where a layer before one is read, everything stays as it is.
        """
        if not any(layer.startswith("conv") for layer in self.layers):
            self.features = cast(nn.Sequential, accelerate(self.features))

    def forward(self, image: Tensor, until: str | None = None) -> dict[str, Tensor]:
        """Map RGB (N, 3, H, W) in -1 to 1 to the named activations, up to `until` if given."""
        mean, std = cast(Tensor, self.mean), cast(Tensor, self.std)
        x = ((image + 1) * 127.5 - mean) / std
        found: dict[str, Tensor] = {}
        for index, module in enumerate(self.features):
            x = module(x)
            name = self.taps.get(index)
            if name is not None:
                found[name] = x
                if name == until:
                    break
        return found


def scale_of(arch: str, state: dict[str, Tensor]) -> Scale:
    """Return what scale of pictures weights take: those that torchvision trained have their own."""
    kernels, known = state.get("features.0.weight"), _TRAINED_BY_TORCHVISION.get(arch)
    if kernels is None or known is None:
        return OXFORD
    # To four digits, so that they are known in half precision, too.
    first = kernels.flatten()[:3].float()
    return TORCHVISION if torch.allclose(first, torch.tensor(known), atol=5e-4) else OXFORD


def load_vgg(arch: str, layers: Iterable[str], weights: Path | None = None) -> VGG:
    """Build the loss network; `weights` is a local safetensors file, else torchvision's download.

    Weights that torchvision trained are recognised; any others are taken to be of Oxford's scale.
    Raises `TrainingError` if the weights cannot be read or fetched.
    """
    if weights is None:
        return _from_torchvision(arch, layers)
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtraError(
            "Reading weights needs safetensors.", str(error), "pip install 'rtstyle[train]'"
        ) from error
    try:
        state = load_file(weights)
    except Exception as error:
        raise TrainingError(
            f"Cannot read the loss network's weights from {weights}.",
            str(error),
            "Give a safetensors file with torchvision's key names (features.0.weight ...).",
        ) from error
    return VGG(arch, layers, state, *scale_of(arch, state))


def _from_torchvision(arch: str, layers: Iterable[str]) -> VGG:
    layer_names(arch)
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingExtraError(
            "Downloading the loss network needs torchvision.",
            str(error),
            "pip install 'rtstyle[train]', or give a file with --vgg-weights.",
        ) from error
    # Of VGG-16 Oxford's own weights: Caffe's scale, as the papers used.
    own = models.VGG16_Weights.IMAGENET1K_FEATURES
    chosen = own if arch == "vgg16" else models.VGG19_Weights.IMAGENET1K_V1
    place = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
    size = f"{chosen.meta.get('_file_size', 0):.0f} MB"
    if not place.is_file():
        on_download(f"downloading the weights of {arch} once: {size} from {chosen.url} to {place}")
    try:
        state = chosen.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise TrainingError(
            f"Cannot download the weights of {arch}.",
            str(error),
            f"Check the connection; or fetch {chosen.url} ({size}) elsewhere, as {place}; or "
            "give a safetensors file of it with --vgg-weights; or use what ships: VGG-19 up to "
            "relu4_1 (rtstyle train --loss-network vgg19).",
        ) from error
    return VGG(arch, layers, state, *(OXFORD if arch == "vgg16" else TORCHVISION))
