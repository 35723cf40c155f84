"""Integer arithmetic against the formulas of rounding, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from helpers import pictures
from helpers.models import Graph, identity_model, network_model
from numpy.typing import NDArray
from onnx import TensorProto, helper

from rtstyle.engines import EngineOptions, open_engine, ov
from rtstyle.engines.base import RANGES
from rtstyle.engines.devices import candidates, open_best
from rtstyle.engines.int8 import limits_of, quantize, read_ranges, round_weights
from rtstyle.errors import DeviceError, EngineError

pytestmark = pytest.mark.skipif(not ov.has_int8(), reason="int8 is for x86 CPUs")


def with_ranges(model: bytes, ranges: object) -> bytes:
    found = onnx.load_from_string(model)
    text = ranges if isinstance(ranges, str) else json.dumps(ranges)
    helper.set_model_props(found, {"rtstyle.name": "test", RANGES: text})
    return found.SerializeToString()


def relu_ranges(model: bytes, image: NDArray[np.uint8]) -> dict[str, tuple[float, float]]:
    """Ranges of what follows ReLU and sums, measured by ONNX Runtime on one picture."""
    found = onnx.load_from_string(model)
    nodes = [node for node in found.graph.node if node.op_type in ("Relu", "Add")]
    names = [node.output[0] for node in nodes]
    found.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = ort.InferenceSession(found.SerializeToString(), providers=["CPUExecutionProvider"])
    values = dict(zip(names, session.run(names, {"image": image}), strict=True))
    return {
        name: (min(0.0, float(value.min())), float(value.max()))
        for name, value in values.items()
        if value.ndim == 4 and value.dtype == np.float32
    }


def noise(*shape: int) -> NDArray[np.uint8]:
    return pictures.noise(*shape, seed=3)


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.3), (-2.0, 2.0), (-0.1, 5.0), (-7.0, 0.5)])
def test_levels_hold_zero_and_the_whole_range(low: float, high: float) -> None:
    first, last = (float(x) for x in limits_of(low, high))
    step = (last - first) / 255
    assert first <= low
    assert last >= high * (1 - 1e-6)
    assert abs(first / step - round(first / step)) < 1e-3
    # Of one of the two ends nothing is wasted.
    assert min(abs(first - low), abs(last - high)) < 1e-5 * max(1, high - low)


def folded(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Even and odd rows, pixels side by side: (2, 2 O, I, 2, 2) of kernels (O, I, 3, 3)."""

    def halves(values: NDArray[np.float32], axis: int, phase: int) -> NDArray[np.float32]:
        first, middle, last = np.moveaxis(values, axis, 0)
        pair = (first + middle, last) if phase == 0 else (first, middle + last)
        return np.stack(pair, axis)

    rows = [halves(kernel, 2, phase) for phase in (0, 1)]
    return np.stack([np.concatenate([halves(row, 3, p) for p in (0, 1)]) for row in rows])


def test_rounded_weights_are_near_and_keep_their_sums() -> None:
    weights = np.random.default_rng(0).normal(0, 0.1, (1, 6, 8, 3, 3)).astype(np.float32)
    values, steps = round_weights(weights)
    whole = values / steps
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-4)
    assert np.abs(whole).max() <= 64
    assert (np.abs(values - weights) / steps).max() <= 1.001
    sums, wanted = (x.sum(axis=(3, 4)) for x in (values, weights))
    assert (np.abs(sums - wanted) / steps[..., 0, 0]).max() <= 0.501
    plain = np.rint(weights / steps).sum(axis=(3, 4)) * steps[..., 0, 0]
    assert np.abs(sums - wanted).mean() < np.abs(plain - wanted).mean() / 2


def test_phases_of_an_upsampling_keep_even_areas_even() -> None:
    kernel = np.random.default_rng(1).normal(0, 0.1, (5, 8, 3, 3)).astype(np.float32)
    values, steps = round_weights(folded(kernel))
    sums = values.sum(axis=(3, 4)).reshape(4, 5, 8)
    np.testing.assert_allclose(sums, np.broadcast_to(sums[:1], sums.shape), atol=1e-5)
    np.testing.assert_allclose(sums[0], kernel.sum(axis=(2, 3)), atol=steps.max() * 0.501)
    assert (np.abs(values - folded(kernel)) / steps).max() <= 1.5


def test_other_convolutions_of_the_same_features_are_rounded_apart() -> None:
    weights = np.random.default_rng(2).normal(0, 0.1, (2, 4, 8, 3, 3)).astype(np.float32)
    weights[1] *= 30
    values, steps = round_weights(weights)
    for one in range(2):
        alone, step = round_weights(weights[one : one + 1])
        np.testing.assert_array_equal(values[one], alone[0])
        np.testing.assert_array_equal(steps[one], step[0])


def convolution(weight: NDArray[np.float32]) -> bytes:
    """A style that convolves the bytes of a picture, edges left out of account."""
    graph = Graph()
    x = graph.op("Cast", "image", to=TensorProto.FLOAT, out="features")
    x = graph.op("Transpose", x, perm=[0, 3, 1, 2])
    graph.finish(graph.op("Conv", x, graph.const(weight), pads=[1] * 4, kernel_shape=[3, 3]))
    return graph.model()


@pytest.mark.parametrize("picture", ["noise", "white"])
def test_a_convolution_is_that_of_rounded_weights_and_never_overflows(picture: str) -> None:
    """White pictures and equal weights would exceed 16 bits if weights had all of 8."""
    random = np.random.default_rng(5)
    weight = random.uniform(0.02, 0.037, (3, 3, 3, 3)).astype(np.float32)
    if picture == "noise":
        weight *= random.choice([-1, 1], weight.shape)
        weight[:, 1] += 0.04
    image = noise(1, 24, 24) if picture == "noise" else np.full((1, 24, 24, 3), 255, np.uint8)
    rounded = round_weights(weight[None])[0][0]
    with open_engine(
        with_ranges(convolution(weight), {"features": [0, 255]}), "cpu", precision="int8"
    ) as engine:
        assert engine.precision == "int8"
        found = engine.run(image)
    with open_engine(convolution(rounded), "cpu", precision="fp32") as engine:
        wanted = engine.run(image)
    assert 0 < wanted.mean() < 255
    assert np.abs(found.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("brief", [False, True])
def test_a_network_paints_in_int8_nearly_as_in_fp32(
    brief: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all else than convolutions in bf16, where the CPU has it, or in fp32."""
    if brief and not ov.has_bf16():
        pytest.skip("this CPU does not compute in bf16")
    monkeypatch.setattr(ov, "has_bf16", lambda: brief)
    model, image = network_model(8), noise(1, 61, 90)
    model = with_ranges(model, relu_ranges(model, image))
    results = []
    for precision in ("int8", "fp32"):
        with open_engine(model, "cpu", precision=precision) as engine:
            assert engine.precision == precision
            results.append(engine.run(image).astype(float))
    difference = results[0] - results[1]
    assert 0 < np.sqrt(np.mean(difference**2)) < 4
    assert results[1].std() > 20


def test_where_int8_and_bf16_do_not_go_together_all_else_is_fp32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure = ov.OpenVinoEngine._config

    def refused(engine: ov.OpenVinoEngine, streams: int, brief: bool) -> dict[str, object]:
        return {"NO_SUCH": 1} if brief else configure(engine, streams, brief)

    monkeypatch.setattr(ov, "has_bf16", lambda: True)
    monkeypatch.setattr(ov.OpenVinoEngine, "_config", refused)
    model, image = network_model(4), noise(1, 32, 32)
    with open_engine(with_ranges(model, relu_ranges(model, image)), "openvino:cpu") as engine:
        assert engine.run(image).shape == (1, 32, 32, 3)
        assert engine.precision == "int8"


def test_auto_takes_int8_where_the_file_allows_it() -> None:
    model, image = network_model(4), noise(1, 32, 32)
    with open_engine(with_ranges(model, relu_ranges(model, image)), "openvino:cpu") as engine:
        assert engine.precision == "int8"
    with open_engine(model, "openvino:cpu") as engine:
        assert engine.precision != "int8"


def test_features_that_are_only_moved_are_rounded_where_they_come_from() -> None:
    graph = Graph()
    x = graph.planes("image")
    parts = [graph.op("Relu", graph.conv(x, 3, 4), out=f"part{i}") for i in range(2)]
    y = graph.op("Concat", *(graph.op("Transpose", p, perm=[0, 2, 3, 1]) for p in parts), axis=2)
    y = graph.op("Transpose", y, perm=[0, 3, 1, 2])
    both = [graph.conv(y, 4, 3) for _ in range(2)]
    y = graph.op("Slice", graph.op("Add", *both), graph.ints(0), graph.ints(16), graph.ints(3))
    graph.finish(y)
    model = ov.shared_core().read_model(graph.model())
    assert quantize(model, {"part0": (0.0, 9.0)}) == 0
    assert quantize(model, {"part0": (0.0, 9.0), "part1": (0.0, 9.0)}) == 2
    marks = [node for node in model.get_ops() if node.get_type_name() == "FakeQuantize"]
    # Two features, once each, and two weights.
    assert len(marks) == 4


def test_a_file_without_ranges_is_refused_in_int8() -> None:
    with pytest.raises(EngineError, match="does not run in int8"):
        open_engine(identity_model(), "openvino:cpu", precision="int8")


def test_onnx_runtime_refuses_int8() -> None:
    with pytest.raises(DeviceError, match="int8"):
        open_engine(identity_model(), "onnxruntime:cpu", precision="int8")


def test_int8_leaves_only_openvino_to_choose() -> None:
    model, image = network_model(4), noise(1, 32, 32)
    content = with_ranges(model, relu_ranges(model, image))
    assert len(candidates("cpu")) > 1
    with open_best(content, "cpu", EngineOptions(threads=1, precision="int8")) as engine:
        assert (engine.name, engine.precision) == ("openvino", "int8")


@pytest.mark.parametrize(
    "ranges",
    ["{", "[1]", '{"a": 3}', '{"a": [0, 1, 2]}', '{"a": ["x", 1]}', {"a": [1, 2]}, {"a": [-1, 0]}],
)
def test_damaged_ranges_are_refused(ranges: object) -> None:
    text = ranges if isinstance(ranges, str) else json.dumps(ranges)
    with pytest.raises(EngineError, match="cannot be loaded"):
        read_ranges({RANGES: text})
    with pytest.raises(EngineError, match="cannot be loaded"):
        open_engine(with_ranges(identity_model(), text), "openvino:cpu")


def test_no_ranges_are_no_error() -> None:
    assert read_ranges({}) == {}
