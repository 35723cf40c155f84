"""Reads networks back out of their ONNX files, so that training can start from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from rtstyle.engines.base import NOISE_PORT, read_model
from rtstyle.errors import TrainingError
from rtstyle_export.maths.vgg import VGG
from rtstyle_export.networks.adain import PaperDecoder
from rtstyle_export.networks.adain_fast import CanvasAdain, FastPair, fitting
from rtstyle_export.networks.canvas import BODIES
from rtstyle_export.networks.encoder import Encoder, conv_indexes
from rtstyle_export.networks.texture import TEXTURE
from rtstyle_export.networks.variational import VariationalStyle
from rtstyle_export.networks.wct import LEVELS, WctDecoder
from rtstyle_export.onnx_files.unfolding import unfold, unfold_any_canvas, unfold_canvas
from rtstyle_export.runs.adain_config import ADAIN_SIZES, AdainConfig, AnyCanvasConfig
from rtstyle_export.runs.checkpoint import SCALES, Checkpoint, network_of, without_scales
from rtstyle_export.runs.config import CanvasConfig, TrainConfig, WctConfig
from rtstyle_export.runs.texture_config import TextureConfig
from rtstyle_export.runs.variational_config import VariationalConfig


def checkpoint_of(path: Path) -> Checkpoint:
    """Return a style file as a checkpoint at step 0, to start others from.

    Its weights are rounded as they are stored. Raises `TrainingError` for any other file.
    """
    model, metadata = _load(path)
    name, size = metadata.get("rtstyle.name", ""), metadata.get("rtstyle.size", "")

    ports = {port.name for port in model.graph.input}
    kind: type[TrainConfig] = CanvasConfig if "canvas" in ports else TrainConfig
    if NOISE_PORT in ports:
        kind = TextureConfig
    painting = metadata.get("rtstyle.painting") or name
    known: dict[str, Any] = {"styles": (name,), "paintings": (painting,), "size": size}
    if kind is CanvasConfig:
        known["body"] = metadata.get("rtstyle.body", "")
    elif kind is TextureConfig:
        known |= {"photo": "image" in ports, **_texture_form(metadata)}
    config = kind(**known)

    def read() -> dict[str, Tensor]:
        if size not in kind.sizes:
            raise ValueError(f"Its size is {size!r}.")
        if isinstance(config, CanvasConfig) and config.body not in BODIES:
            raise ValueError(f"Its body is {config.body!r}.")
        layers = _layers(model)
        if kind is CanvasConfig:
            unfold_canvas(layers)
        elif size not in ("paper", TEXTURE):
            unfold(layers, gain=127.5, offset=127.5)
        net = network_of(config)
        weights = _fitting(layers, net.state_dict())
        net.load_state_dict(weights)
        return weights

    weights = _understood(path, "style", read)
    return Checkpoint(config, _steps(metadata), weights, None, 0.0, {})


def _texture_form(metadata: dict[str, str]) -> dict[str, Any]:
    """Return width and norm of a texture network, as far as its file knows them."""
    try:
        facts = json.loads(metadata.get("rtstyle.training", "{}"))
        return {key: facts[key] for key in ("width", "norm") if key in facts}
    except (ValueError, TypeError, RecursionError):
        return {}


def adain_checkpoint_of(path: Path, vgg: VGG) -> Checkpoint:
    """Return a network for any style as a checkpoint at step 0, to start others from.

    `path` is its content file, beside which that of `fast` has its style file; `vgg` is the VGG-19
    that it was trained with. Raises `TrainingError` for any other file.
    """
    model, metadata = _load(path)
    size = metadata.get("rtstyle.size", "")

    def read() -> dict[str, Tensor]:
        if metadata.get("rtstyle.part") != "content" or size not in ADAIN_SIZES:
            raise ValueError("It is not the content file of a network for any style.")
        values = _constants(model)
        if size == "paper":
            decoder = _below(values, "net.decoder.")
            PaperDecoder().load_state_dict(decoder)
            weights = {f"net.decoder.{key}": value for key, value in decoder.items()}
            skips = _below(values, "net.skips.")
            weights |= {f"net.skips.{key}": value for key, value in skips.items()}
            return weights | _scales(_below(values, "net.encoder."), vgg)
        layers, sees = _layers(model), "canvas" in {port.name for port in model.graph.input}
        if sees:
            unfold_any_canvas(layers)
        else:
            unfold(layers, gain=1.0, offset=0.0)
        style = _constants(_load(_beside(path, "content", "style"))[0])
        pair = FastPair(CanvasAdain() if sees else None)
        apart = ("identity", "adapter.")
        wanted = {k: v for k, v in pair.net.state_dict().items() if not k.startswith(apart)}
        weights = {f"net.{key}": value for key, value in _fitting(layers, wanted).items()}
        weights["net.identity"] = torch.tensor(values["net.identity"])
        adapter = _below(values, "net.adapter.") or pair.net.adapter.state_dict()
        weights |= {f"net.adapter.{key}": value for key, value in adapter.items()}
        weights |= {f"head.{key}": value for key, value in _below(style, "pair.head.").items()}
        pair.load_state_dict(weights)
        return weights | _scales(_below(style, "encoder."), vgg)

    weights = _understood(path, "network for any style", read)
    sees = any(key.startswith("net.gate.") for key in weights)
    config = AnyCanvasConfig(size=size) if sees else AdainConfig(size=size)
    return Checkpoint(config, _steps(metadata), weights, None, 0.0, {})


def part_of(path: Path) -> str:
    """Return which part of a network for any style a file is: `content`, `code` or another.

    Raises `TrainingError` for a file that is not an ONNX file.
    """
    return _load(path)[1].get("rtstyle.part", "")


def sampled_checkpoint_of(path: Path, vgg: VGG) -> Checkpoint:
    """Return a latent space of styles, with the network for any style that paints its samples.

    `path` is its code file, beside which lie its sample file and those of the network; `vgg` is the
    VGG-19 that this was trained with. The checkpoint is at step 0, to start others from. Raises
    `TrainingError` for any other file.
    """
    (code, metadata), found = _load(path), VariationalConfig()

    def read() -> dict[str, Tensor]:
        nonlocal found
        if metadata.get("rtstyle.part") != "code":
            raise ValueError("It is not the code file of a latent space.")
        encoder = _constants(code)
        decoder = _constants(_load(_beside(path, "code", "sample"))[0])
        hidden, numbers = encoder["layers.0.weight"].shape[:2]
        found = VariationalConfig(latent=decoder["layers.0.weight"].shape[1], hidden=hidden)
        weights = {key: torch.tensor(decoder[key]) for key in ("mean", "scale")}
        for name, values in (("encoder", encoder), ("decoder", decoder)):
            layers = _below(values, "layers.")
            # Linear layers are stored as convolutions of one pixel.
            weights |= {f"{name}.{key}": value.flatten(1) if value.ndim > 1 else value
                        for key, value in layers.items()}  # fmt: skip
        VariationalStyle(numbers, found.latent, hidden).load_state_dict(weights)
        painter = adain_checkpoint_of(_beside(path, "code", "content"), vgg).model
        scales = {key: value for key, value in painter.items() if key.startswith(SCALES)}
        known = fitting(without_scales(painter), FastPair().state_dict())
        pair = {f"pair.{key}": value for key, value in known.items()}
        return {f"style.{key}": value for key, value in weights.items()} | pair | scales

    weights = _understood(path, "latent space of styles", read)
    return Checkpoint(found, _steps(metadata), weights, None, 0.0, {})


def _beside(path: Path, part: str, other: str) -> Path:
    """Return the file of another part of the same network for any style."""
    return path.with_name(path.name.replace(part, other))


def wct_checkpoint_of(path: Path, vgg: VGG) -> Checkpoint:
    """Return a decoder of universal style transfer as a checkpoint at step 0, to start others from.

    `vgg` is the VGG-19 that it was trained with; the encoder's file lies beside. Raises
    `TrainingError` for any other file.
    """
    model, metadata = _load(path)
    name, _, level = metadata.get("rtstyle.part", "").partition("-")

    def read() -> dict[str, Tensor]:
        if name != "decoder" or level not in map(str, LEVELS):
            raise ValueError("It is not the decoder of a level.")
        weights = _below(_constants(model), "decoder.")
        if "1.convs.0.weight" in weights:
            raise ValueError(
                "The compact level 5 goes on from its checkpoint only, or from level 4."
            )
        WctDecoder(int(level)).load_state_dict(weights)
        return weights | _scales(encoder_of(path.with_name("wct-encoder.onnx")), vgg)

    weights = _understood(path, "decoder", read)
    return Checkpoint(WctConfig(level=int(level)), _steps(metadata), weights, None, 0.0, {})


def encoder_of(path: Path) -> dict[str, Tensor]:
    """Return the parameters of the VGG-19 in an encoder file. `TrainingError` if it is none."""
    return _below(_constants(_load(path)[0]), "encoder.")


def head_of(path: Path) -> dict[str, Tensor]:
    """Return the parameters of the `StyleHead` in a style file. `TrainingError` if it is none."""
    return _below(_constants(_load(path)[0]), "pair.head.")


def take_over(encoder: Encoder, donor: Path) -> bool:
    """Take the weights of the file `donor` where only their last bits differ from `encoder`.

    Mean activations that were measured anew, or read back, differ in these, and then the weights
    could not be shared. Returns whether they are the same; those of more layers than `encoder` has
    are left out.
    """
    known = encoder_of(donor)
    own = {key: value for key, value in encoder.state_dict().items() if key.startswith("convs.")}
    both = own.keys() & known.keys()
    same = bool(both) and all(
        torch.allclose(known[key], own[key], rtol=2e-3, atol=1e-6) for key in both
    )
    if same:
        encoder.load_state_dict({key: known[key] for key in both}, strict=False)
    return same


def _load(path: Path) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Read a file and its metadata."""
    try:
        # Not `onnx.load`, which would look for weights by its own rules.
        model = onnx.load_from_string(read_model(path))
    except Exception as error:
        raise TrainingError(f"{path} cannot be read.", str(error).split("\n")[0]) from error
    return model, {entry.key: entry.value for entry in model.metadata_props}


def _understood(path: Path, kind: str, read: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return what `read` makes of a file, or say that it is of another kind."""
    try:
        return read()
    except (ValueError, KeyError, RuntimeError) as error:
        why = f"It has no layer {error}." if isinstance(error, KeyError) else str(error)
        raise TrainingError(
            f"Training cannot start from {path}.",
            f"It is not a {kind} that this version of rtstyle exported. {why.splitlines()[0]}",
            "Name a built-in one, another file, or a checkpoint.",
        ) from error


def _steps(metadata: dict[str, str]) -> int:
    return int(json.loads(metadata.get("rtstyle.training", "{}")).get("steps", 0))


def _constants(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """Return every constant of a graph by name, those stored in fewer bytes as they were."""
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
        elif node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].astype(np.float32)
        elif node.op_type == "Mul" and all(name in values for name in node.input):
            values[node.output[0]] = values[node.input[0]] * values[node.input[1]]
    return values


def _layers(model: onnx.ModelProto) -> dict[str, list[Tensor]]:
    """Return weight and bias, if any, of convolutions and norms, by their place in the network."""
    values = _constants(model)
    layers: dict[str, list[Tensor]] = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "InstanceNormalization"):
            # Such as /net/blocks.0/conv1/Conv_output_0.
            place = ".".join(node.output[0].split("/")[1:-1]).removeprefix("net.")
            layers[place] = [torch.tensor(values[name]) for name in node.input[1:]]
    return layers


def _fitting(layers: dict[str, list[Tensor]], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the layers under the keys of the state `target`."""
    return {
        key: _part(layers, key).reshape(value.shape).contiguous() for key, value in target.items()
    }


def _part(layers: dict[str, list[Tensor]], key: str) -> Tensor:
    place, kind = key.rsplit(".", 1)
    return layers[place][("weight", "bias").index(kind)].float()


def _below(values: dict[str, NDArray[Any]], prefix: str) -> dict[str, Tensor]:
    """Return the parameters whose names begin with `prefix`, without it."""
    return {
        name.removeprefix(prefix): torch.tensor(value)
        for name, value in values.items()
        if name.startswith(prefix) and name.endswith((".weight", ".bias"))
    }


def _scales(encoder: dict[str, Tensor], vgg: VGG) -> dict[str, Tensor]:
    """Return the mean activations by which an encoder's filters were divided (`normalised`)."""
    state, scales, before = vgg.features.state_dict(), {}, torch.ones(3)
    for number, index in enumerate(conv_indexes("relu4_1")):
        if f"{index}.weight" not in state:
            break
        plain = state[f"{index}.weight"] * before.view(1, -1, 1, 1)
        divided = encoder[f"convs.{number}.weight"]
        before = plain.flatten(1).norm(dim=1) / divided.flatten(1).norm(dim=1)
        scales[f"{SCALES}{number}"] = before
    return scales
