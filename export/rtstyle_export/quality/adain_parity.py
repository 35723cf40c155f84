"""Compares exported files of the networks for any style with what they came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtstyle.engines import EngineOptions, open_engine
from rtstyle.engines.base import read_model
from rtstyle.engines.onnxrt import open_session
from rtstyle_export.networks.encoder import STYLE_LAYERS
from rtstyle_export.onnx_files.adain import SIDE, RefineNet, RegionsNet, VggNet
from rtstyle_export.onnx_files.adain_canvas import CanvasContentNet
from rtstyle_export.onnx_files.ranges import over
from rtstyle_export.quality.parity import Parity, compare

CLOSE = 1e-3
"""Largest difference of statistics, as a share of their standard deviation."""
STEEP = 0.05
"""Largest length of the difference of gradients, as a share of their own: the way down counts."""


def measure(
    part: str, net: nn.Module, file: Path, pictures: Sequence[NDArray[np.uint8]], numbers: int
) -> Parity:
    """Compare a file with the network it came from."""
    if part in ("style", "vgg"):
        return measure_numbers(net, file, pictures)
    if isinstance(net, RefineNet):
        return measure_gradient(net, file, pictures, numbers)
    with open_engine(file, "cpu", precision="fp32") as engine, torch.no_grad():
        pairs = []
        for number, picture in enumerate(pictures):
            feeds = example_feeds(net, picture, numbers, number)
            wanted = net(*(torch.from_numpy(np.array(v)) for v in (picture[None], *feeds.values())))
            pairs.append((engine.run(picture[None], feeds), wanted.numpy()))
        return compare(engine.device, pairs)


def measure_numbers(net: nn.Module, file: Path, pictures: Sequence[NDArray[np.uint8]]) -> Parity:
    """Compare statistics: those within `CLOSE` count as within a level."""
    session = open_session(read_model(file), EngineOptions())
    name = session.get_inputs()[0].name
    close = values = 0
    worst = 0.0
    for picture in pictures:
        batch = np.array(picture[None])
        with torch.no_grad():
            vectors = [vector.numpy() for vector in net(torch.from_numpy(batch))]
        for wanted, found in zip(vectors, session.run(None, {name: batch}), strict=True):
            difference = np.abs(found - wanted) / (CLOSE * max(float(wanted.std()), CLOSE))
            close += int((difference <= 1).sum())
            values += wanted.size
            worst = max(worst, float(difference.max()))
    return Parity("cpu", len(pictures), close / values, beyond(worst))


def measure_vectors(net: nn.Module, file: Path, vectors: Tensor) -> Parity:
    """Compare what a file makes of vectors (N, M): those within `CLOSE` count as within a level."""
    session = open_session(read_model(file), EngineOptions())
    found = session.run(None, {session.get_inputs()[0].name: vectors.numpy()})
    with torch.no_grad():
        given = net(vectors)
    close = values = 0
    worst = 0.0
    for wanted, own in zip(given if isinstance(given, tuple) else (given,), found, strict=True):
        scale = CLOSE * max(float(wanted.std()), CLOSE)
        difference = np.abs(own - wanted.numpy()) / scale
        close += int((difference <= 1).sum())
        values += own.size
        worst = max(worst, float(difference.max()))
    return Parity("cpu", len(vectors), close / values, beyond(worst))


def measure_gradient(
    net: RefineNet, file: Path, pictures: Sequence[NDArray[np.uint8]], numbers: int
) -> Parity:
    """Compare gradients with those of autograd: those within `STEEP` count as within a level."""
    session = open_session(read_model(file), EngineOptions())
    names = {port.name for port in session.get_inputs()}
    errors = []
    for number, picture in enumerate(pictures):
        square = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        with torch.no_grad():
            image = torch.from_numpy(square[None])
            goal = VggNet(net.encoder)(image.flip(1))[0]
            features = VggNet(net.encoder)(image)[1:]
        drawn = np.random.default_rng(number).normal(0.3, 0.3, (1, numbers)).astype(np.float32)
        vector = torch.from_numpy(np.abs(drawn)).requires_grad_(True)
        net(vector, image, goal, *features)[0].backward()
        wanted = cast(Tensor, vector.grad).numpy()
        given = {"numbers": vector, "image": image, "goal": goal}
        given |= zip(STYLE_LAYERS, features, strict=True)
        feeds = {k: v.detach().numpy() for k, v in given.items() if k in names}
        found = session.run(["gradient"], feeds)[0]
        errors.append(float(np.linalg.norm(found - wanted) / (STEEP * np.linalg.norm(wanted))))
    close = np.mean([error <= 1 for error in errors])
    return Parity("cpu", len(pictures), float(close), beyond(max(errors)))


def example_feeds(
    net: nn.Module, picture: NDArray[np.uint8], numbers: int, seed: int
) -> dict[str, NDArray[Any]]:
    """Return plausible statistics in the order of the network's arguments."""
    random = np.random.default_rng(seed)
    count = 2 if isinstance(net, RegionsNet) else 1
    drawn = random.normal(0.3, 0.3, (count, numbers)).astype(np.float32)
    feeds: dict[str, NDArray[Any]] = {"statistics": drawn, "strength": np.ones(1, np.float32)}
    if isinstance(net, CanvasContentNet):
        # A painting of something else: were the canvas ignored, both would differ.
        return {**over(picture[None, ::-1]), **feeds}
    if isinstance(net, RegionsNet):
        height, width = picture.shape[:2]
        weights = np.zeros((1, 2, height, width), np.float32)
        weights[:, 0] = np.linspace(0, 1, width, dtype=np.float32)
        weights[:, 1] = 1 - weights[:, 0]
        return {**feeds, "statistics": np.abs(drawn)[None], "weights": weights}
    return feeds


def beyond(worst: float) -> int:
    """Return the largest difference as whole levels: none within the first."""
    return int(np.ceil(worst)) if worst > 1 else 0
