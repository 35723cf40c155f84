"""Where the weights of the loss network come from: a file, what ships, or a download."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rtstyle.styles.manifest import find_wct, load_manifest
from rtstyle_export.maths.vgg import VGG, layer_names, load_vgg
from rtstyle_export.networks.encoder import STYLE_LAYERS, conv_indexes, restored
from rtstyle_export.runs.onnx_reader import encoder_of

SHIPPED, DEEPEST = "vgg19", "relu4_1"
"""What the encoder of WCT holds: Oxford's VGG-19 up to here, in 8 bits, each filter divided by its
mean activation on photos (Gatys et al. 2016, section 2)."""
SCALES_PART, SCALES_FILE = "scales", "wct-scales.npz"
"""The file beside it that holds these mean activations, an array (C,) for each layer: "0", "1"."""
NOTE = f"VGG-19 ends at {DEEPEST} here, as it ships, in 8 bits; --vgg-weights takes all of it"
"""What a user is told once where that changes what is computed."""
STYLE_NOTE = (
    f"the loss network is VGG-19 up to {DEEPEST}, as it ships; --loss-network vgg16 downloads "
    "VGG-16 (528 MB), the network of the paper"
)
"""The same for a style that is trained without a file of weights."""

ONLY_VGG19 = "features.16.weight"
"""conv3_4, at whose place VGG-16 has a pooling."""


def ships(arch: str, layers: Iterable[str]) -> bool:
    """Return True if all of `layers` can be read without a file of weights or a download."""
    names = layer_names(arch)
    deepest = names.index(DEEPEST) if arch == SHIPPED else -1
    known = all(layer in names[: deepest + 1] for layer in layers)
    return arch == SHIPPED and known and "encoder" in load_manifest().wct


def usual_network(weights: Path | None = None) -> str:
    """Return the loss network of styles where the user names none.

    That of a file of `weights`, else VGG-19 where it ships, else the VGG-16 of Johnson et al.
    """
    if weights is None:
        return SHIPPED if ships(SHIPPED, ()) else "vgg16"
    try:
        from safetensors import safe_open

        with safe_open(weights, "pt") as file:
            return SHIPPED if ONLY_VGG19 in file.keys() else "vgg16"  # noqa: SIM118 - no mapping
    except Exception:
        return "vgg16"  # what is wrong with the file is told when it is read


def numbering_vgg(weights: Path | None) -> VGG:
    """Return the VGG-19 that the numbers of paintings are made of, where a run may see another one.

    That of a file of `weights` if these are VGG-19's, else the one that ships.
    """
    own = weights if usual_network(weights) == SHIPPED else None
    return find_vgg(SHIPPED, STYLE_LAYERS, own)


def reachable(
    arch: str, layers: Mapping[str, float], weights: Path | None = None
) -> dict[str, float]:
    """Return layers with their weights, those that do not ship moved to the deepest that does.

    As they are with a file of `weights`, and where nothing ships.
    """
    if weights is not None or not ships(arch, ()):
        return dict(layers)
    names = layer_names(SHIPPED)
    last = names.index(DEEPEST)
    found: dict[str, float] = {}
    for layer, weight in layers.items():
        within = layer not in names or names.index(layer) <= last
        place = layer if within else layer[:4] + DEEPEST[4:]
        found[place] = found.get(place, 0.0) + weight
    return found


def write_scales(scales: Sequence[Tensor], path: Path) -> None:
    """Write the mean activations (C,) by which the filters of each layer were divided."""
    # Not by its path: NumPy would append .npz to a temporary name.
    with path.open("wb") as file:
        arrays = {str(number): scale.numpy() for number, scale in enumerate(scales)}
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_scales(path: Path) -> list[Tensor]:
    """Return what `write_scales` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return [torch.from_numpy(file[str(number)]) for number in range(len(file.files))]


def find_vgg(
    arch: str, layers: Iterable[str], weights: Path | None = None, *, plain: bool = False
) -> VGG:
    """Return the loss network with the weights of a file, else those that ship, else a download.

    What ships ends at `DEEPEST` of VGG-19. Each of its filters is divided by its mean activation;
    with `plain` they have Oxford's own scales again, as those of a file have. Then Gram matrices
    weigh channels as in Johnson et al. 2016. Raises `TrainingError` or `StyleError`.
    """
    layers = tuple(layers)
    if weights is not None or not ships(arch, layers):
        return load_vgg(arch, layers, weights)
    stored = encoder_of(find_wct("encoder"))
    places = dict(enumerate(conv_indexes(DEEPEST)))
    state = {}
    for key, value in stored.items():
        kind, number, name = key.split(".")
        if kind == "convs" and int(number) in places:
            state[f"features.{places[int(number)]}.{name}"] = value
    if plain and SCALES_PART in load_manifest().wct:
        state = restored(state, read_scales(find_wct(SCALES_PART)))
    return VGG(arch, layers, state)
