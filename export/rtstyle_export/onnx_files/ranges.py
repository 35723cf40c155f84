"""Measures what features lie before a network's convolutions, so that it can run in 8 bits.

The ranges go into the metadata of the file; `rtstyle.engines.int8` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from rtstyle.engines import EngineOptions, open_engine
from rtstyle.engines.base import MOVES, RANGES
from rtstyle.engines.devices import cpu_count
from rtstyle.engines.onnxrt import open_session
from rtstyle.errors import DeviceError
from rtstyle_export.onnx_files.storage import replace_file

SAMPLE = 20_000
"""How many values of each tensor and picture a range is made of, about."""

UNKNOWN = 128
"""What a canvas holds where nothing is known."""

LARGEST_RMS = 4.0
"""Root mean square difference from fp32, in levels of 255, up to which a file may run in int8."""


def measure_ranges(
    model: onnx.ModelProto, feeds: Iterable[Mapping[str, NDArray[Any]]]
) -> dict[str, tuple[float, float]]:
    """Return the range in which to round the features before each convolution, over `feeds`.

    Features that are copied about before they are read are named where they come from.
    """
    feeds = list(feeds)
    if not feeds:
        return {}
    producers = {name: node for node in model.graph.node for name in node.output}
    reads = [node.input[0] for node in model.graph.node if node.op_type == "Conv"]
    names = list(dict.fromkeys(name for read in reads for name in _sources(read, producers)))
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = open_session(probe.SerializeToString(), EngineOptions(threads=cpu_count()))
    samples: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for feed in feeds:
        for name, values in zip(names, session.run(names, dict(feed)), strict=True):
            samples[name].append(values.ravel()[:: max(1, values.size // SAMPLE)])
    found = {name: best_range(np.concatenate(values)) for name, values in samples.items()}
    for name in names:
        if name in producers and producers[name].op_type == "Cast":
            found[name] = (0.0, 255.0)  # the bytes of the picture itself
    # What is never above zero would have no scale; it stays in fp32.
    return {name: (low, high) for name, (low, high) in found.items() if high > 0}


def best_range(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the range around zero that loses least, by mean square, if 256 levels cover it.

    Values beyond it are cut off, those inside are rounded, which costs a twelfth of the step's
    square. It begins at 0 unless there are negative values.
    """
    sizes = np.abs(values.astype(np.float64))
    signed = bool(values.min() < 0)

    def loss(limit: float) -> float:
        step = (2 if signed else 1) * limit / 255
        return float(np.mean(np.square(np.maximum(sizes - limit, 0)))) + step**2 / 12

    limit = min(np.linspace(0.1, 1, 91) * sizes.max(), key=loss)
    return (-float(limit) if signed else 0.0), float(limit)


def add_ranges(model: onnx.ModelProto, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Write `ranges` into the metadata of `model`, in place; none takes them out."""
    kept = {entry.key: entry.value for entry in model.metadata_props if entry.key != RANGES}
    if ranges:
        short = {name: [float(f"{x:.4g}") for x in pair] for name, pair in ranges.items()}
        kept[RANGES] = json.dumps(short)
    helper.set_model_props(model, kept)


def _sources(name: str, producers: Mapping[str, onnx.NodeProto]) -> Iterator[str]:
    node = producers.get(name)
    if node is None or node.op_type not in MOVES:
        yield name
        return
    for one in node.input if node.op_type == "Concat" else node.input[:1]:
        yield from _sources(one, producers)


def style_feeds(pictures: Iterable[NDArray[np.uint8]]) -> list[dict[str, NDArray[Any]]]:
    """Turn pictures (H, W, 3) into the feeds of a style network."""
    return [{"image": np.ascontiguousarray(picture[None])} for picture in pictures]


def canvas_feeds(
    feeds: Iterable[Mapping[str, NDArray[Any]]], paint: Callable[..., NDArray[np.uint8]]
) -> list[dict[str, NDArray[Any]]]:
    """Return the feeds of a network that sees a canvas: each picture on an empty one, then over
    what `paint(image, canvas, trust)` made of it, half of it trusted. `paint` takes what else a
    feed has by name, too."""
    found = []
    for feed in feeds:
        image = feed["image"]
        empty = {"canvas": np.full_like(image, UNKNOWN), "trust": half_size(image, 0)}
        # In the order in which networks take them.
        rest = {name: value for name, value in feed.items() if name != "image"}
        painted = over(paint(image, **empty, **rest))
        found += [{"image": image, **each, **rest} for each in (empty, painted)]
    return found


def over(painted: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """Return a canvas of paintings (N, H, W, 3), the right half of which is trusted."""
    canvas, trust = np.array(painted), half_size(painted, 255)
    trust[:, :, : trust.shape[2] // 2] = 0
    canvas[:, :, : 2 * (trust.shape[2] // 2)] = UNKNOWN
    return {"canvas": canvas, "trust": trust}


def half_size(image: NDArray[np.uint8], value: int) -> NDArray[np.uint8]:
    """Return an even trust for pictures (N, H, W, 3): (N, H / 2, W / 2, 1), rounded up."""
    n, h, w = image.shape[:3]
    return np.full((n, -(-h // 2), -(-w // 2), 1), value, np.uint8)


@dataclass(frozen=True, slots=True)
class Rounding:
    """What 8 bits change of a network's pictures: `rms` levels of 255 of the worst picture.

    `rms` is None where int8 does not run, so that nothing is known.
    """

    rms: float | None

    @property
    def holds(self) -> bool:
        """Whether the file may run in 8 bits."""
        return self.rms is not None and self.rms <= LARGEST_RMS

    def __str__(self) -> str:
        if self.rms is None:
            return "int8 cannot be tried on this machine: the file will run in fp32 only"
        verdict = "" if self.holds else ", too much: it will run in fp32 only"
        return f"int8 changes {self.rms:.1f} levels (rms, worst picture){verdict}"


def keep_ranges(path: Path, feeds: Sequence[Mapping[str, NDArray[Any]]]) -> Rounding:
    """Compare a file in int8 with itself in fp32, and take its ranges out if they differ much.

    Where int8 does not run they are taken out, too: other machines would use them unchecked.
    """
    try:
        rounding = Rounding(_difference(path, feeds))
    except DeviceError:
        rounding = Rounding(None)
    if not rounding.holds:
        model = onnx.load(path, load_external_data=False)
        add_ranges(model, {})
        replace_file(path, model.SerializeToString(deterministic=True))
    return rounding


def _difference(path: Path, feeds: Iterable[Mapping[str, NDArray[Any]]]) -> float:
    worst = 0.0
    with (
        open_engine(path, "openvino:cpu", precision="int8") as rounded,
        open_engine(path, "openvino:cpu", precision="fp32") as exact,
    ):
        for feed in feeds:
            image = feed["image"]
            extra = {name: value for name, value in feed.items() if name != "image"}
            found, wanted = (engine.run(image, extra) for engine in (rounded, exact))
            change = found.astype(np.float32) - wanted
            worst = max(worst, float(np.sqrt(np.mean(np.square(change)))))
    return worst
