"""Style networks in 8 bits, for OpenVINO on x86 CPUs: about twice as fast as in fp32.

The features that a convolution reads are rounded to 256 levels of a range that `rtstyle export`
measured and wrote into the file, its weights to 127 for each output channel. Colours stay in fp32;
sums and norms are in bf16 where the CPU has it, which takes a quarter off a network's time, else
in fp32. OpenVINO turns what is marked in this way into integer arithmetic. Without this module the
same file runs in fp32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtstyle.engines.base import MOVES, RANGES
from rtstyle.engines.ov_quick import ov
from rtstyle.errors import EngineError

LEVELS = 256

Ranges: TypeAlias = Mapping[str, tuple[float, float]]
Source: TypeAlias = tuple[str, int]
Limits: TypeAlias = tuple[np.float32, np.float32]


def read_ranges(metadata: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Return the ranges that a model file names, none for most. Raises `EngineError`."""
    try:
        found = json.loads(metadata.get(RANGES, "{}"))
        ranges = {str(name): (float(low), float(high)) for name, (low, high) in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise EngineError(
            "The model file cannot be loaded.",
            f"Its metadata {RANGES} is damaged.",
            "Export it again, or run it with the precision fp32.",
        ) from error
    if not all(np.isfinite(pair).all() and pair[0] <= 0 < pair[1] for pair in ranges.values()):
        raise EngineError(
            "The model file cannot be loaded.",
            f"A range of its metadata {RANGES} is empty or leaves out zero.",
            "Export it again, or run it with the precision fp32.",
        )
    return ranges


def quantize(model: ov.Model, ranges: Ranges) -> int:
    """Mark the convolutions of `model` whose features have a range, in place; return how many."""
    from openvino import opset13 as op

    rounded: dict[Source, Any] = {}
    readers: dict[tuple[Source, tuple[int, ...]], list[Any]] = {}
    for conv in model.get_ordered_ops():
        if conv.get_type_name() != "Convolution":
            continue
        points = _points(conv.input(0), ranges)
        weight = _constant(conv.input(1).get_source_output())
        if points is None or weight is None:
            continue
        for place, limits in points:
            source = place.get_source_output()
            if source.get_node().get_type_name() == "FakeQuantize":
                continue  # for another convolution that reads the same copy
            if _name(source) not in rounded:
                rounded[_name(source)] = op.fake_quantize(source, *limits, *limits, LEVELS)
            place.replace_source_output(rounded[_name(source)].output(0))
        read = _name(conv.input(0).get_source_output())
        readers.setdefault((read, weight.shape), []).append((conv, weight))
    for group in readers.values():
        values, steps = round_weights(np.stack([weight for _, weight in group]))
        for (conv, _), value, step in zip(group, values, steps, strict=True):
            ends = (op.constant(-127 * step), op.constant(127 * step))
            marked = op.fake_quantize(op.constant(value), *ends, *ends, LEVELS - 1)
            conv.input(1).replace_source_output(marked.output(0))
    model.validate_nodes_and_infer_types()
    return sum(len(group) for group in readers.values())


def round_weights(
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Round kernels (P, C, I, h, w) of P convolutions that read the same features.

    Returns them as whole multiples, at most 64, of a step (P, C, 1, 1, 1) for each output channel.
    The sum of each kernel stays the nearest multiple, so that even areas keep their tone. Where
    the convolutions are phases of an upsampling (see `fold_upsample`: two, each with two pixels
    side by side, whose kernels have the same sums), the phases share their steps and sums: even
    areas stay even.
    """
    split = _phases(weights)
    most = np.maximum(np.abs(split).max(axis=(0, 2, 3, 4)), 1e-12)
    # Half of the 8 bits stay unused: CPUs without VNNI add pairs of products in 16 bits, and
    # larger weights would overflow there.
    steps = (most / 63).astype(np.float32)[None, :, None, None, None]
    exact = (split / steps).reshape(*split.shape[:3], -1)
    whole = np.rint(exact)
    wanted = np.rint(exact.sum(axis=3, keepdims=True).mean(axis=0, keepdims=True))
    missing = wanted - whole.sum(axis=3, keepdims=True)
    # Those that were rounded furthest the other way make up for it.
    gains = (exact - whole) * np.sign(missing)
    ranks = np.argsort(np.argsort(-gains, axis=3, kind="stable"), axis=3)
    whole += np.sign(missing) * (ranks < np.abs(missing))
    values = (whole.reshape(split.shape) * steps).reshape(weights.shape).astype(np.float32)
    every = np.broadcast_to(steps, (len(split), *steps.shape[1:]))
    return values, every.reshape(*weights.shape[:2], 1, 1, 1)


def _phases(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sort kernels (P, C, I, h, w) into (phases, the rest, I, h, w); more than one to upsample.

    Phases see the same even area by the same kernel, cut into pieces in different ways.
    """
    count, channels, *rest = weights.shape
    if count == 2 and channels % 2 == 0:
        split = weights.reshape(4, -1, *rest)
        if np.ptp(split.sum(axis=(3, 4)), axis=0).max() <= 0.01 * np.abs(split).max():
            return split
    return weights.reshape(1, -1, *rest)


def _name(source: Any) -> Source:
    return source.get_node().get_friendly_name(), source.get_index()


def _points(place: Any, ranges: Ranges) -> list[tuple[Any, Limits]] | None:
    """Return the inputs at which the features for `place` are rounded, with their limits.

    None if the range of any is unknown.
    """
    source = place.get_source_output()
    node = source.get_node()
    if node.get_type_name() == "FakeQuantize":
        source = node.input(0).get_source_output()
    name = next((name for name in source.get_names() if name in ranges), None)
    if name is not None:
        return [(place, limits_of(*ranges[name]))]
    if node.get_type_name() not in MOVES:
        return None
    found: list[tuple[Any, Limits]] = []
    for one in node.inputs() if node.get_type_name() == "Concat" else [node.input(0)]:
        points = _points(one, ranges)
        if points is None:
            return None
        found += points
    return found


def limits_of(low: float, high: float) -> Limits:
    """Return the lowest and highest of the levels for values from `low` <= 0 to `high` > 0.

    Zero is a level, and the negative ones are as far apart as the others.
    """
    if low == 0:
        return np.float32(0), np.float32(high)
    step = max(-low / 128, high / 127)
    return np.float32(-128 * step), np.float32(127 * step)


def _constant(output: Any) -> NDArray[np.float32] | None:
    """Return the weights that a constant, its cast or its scale give; None for anything else."""
    node = output.get_node()
    kind = node.get_type_name()
    if kind == "Constant":
        return np.asarray(node.data, np.float32)
    parts = [_constant(one.get_source_output()) for one in node.inputs()]
    if any(part is None for part in parts):
        return None
    if kind == "Convert":
        return parts[0]
    if kind == "Multiply":
        first, second = parts
        assert first is not None
        assert second is not None
        return first * second
    return None
