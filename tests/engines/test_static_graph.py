"""Models rewritten for one picture size, as GPUs run them: the same function, node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from helpers.models import Graph, gain_model, identity_model, invert_model, network_model
from numpy.typing import NDArray
from onnx import TensorProto

from rtstyle.engines import read_model
from rtstyle.engines.gpu.static_graph import Shapes, static_model
from rtstyle.errors import EngineError
from rtstyle.samples import sample_frames

PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained"
SHIPPED = sorted(path.name for path in PRETRAINED.glob("*.onnx"))
SIZE = (75, 101)
"""Neither side is a multiple of anything: every border, crop and remainder shows."""

Feeds = dict[str, NDArray[Any]]


def run(model: bytes, feeds: Feeds, names: list[str] | None = None) -> dict[str, NDArray[Any]]:
    """Run a model nearly as it stands: layouts that hang on what is constant would round apart."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = names or [port.name for port in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def feeds_for(model: bytes, height: int, width: int, batch: int = 1) -> Feeds:
    """Return noise for every input of a shipped model: bytes, or numbers from 0 to 1."""
    sizes = {
        "batch": batch, "height": height, "width": width, "N": batch, "H": height, "W": width,
        "half_height": -(-height // 2), "half_width": -(-width // 2),
        "noise_height": -(-height // 32) * 32, "noise_width": -(-width // 32) * 32,
        "rows": height // 8, "columns": width // 8,
    }  # fmt: skip
    rng = np.random.default_rng(0)
    feeds: Feeds = {}
    for port in onnx.load_from_string(model).graph.input:
        kind = port.type.tensor_type
        # A network for regions takes several styles, (1, K, C), the plain one takes one, (1, C).
        sizes["styles"] = 1 if len(kind.shape.dim) == 2 else 3
        shape = tuple(axis.dim_value or sizes[axis.dim_param] for axis in kind.shape.dim)
        if kind.elem_type == TensorProto.UINT8:
            feeds[port.name] = rng.integers(0, 256, shape, np.uint8)
        else:
            feeds[port.name] = rng.random(shape, np.float32)
    if "weights" in feeds:
        feeds["weights"] /= feeds["weights"].sum(axis=1, keepdims=True)
    return feeds


def shapes_of(feeds: Feeds) -> Shapes:
    return {name: value.shape for name, value in feeds.items()}


def types_of(model: bytes) -> tuple[onnx.GraphProto, dict[str, int]]:
    """Return the graph of a model that is sound, and the element type of every tensor."""
    proto = onnx.load_from_string(model)
    onnx.checker.check_model(proto, full_check=True)
    graph = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    ports = [*graph.input, *graph.output, *graph.value_info]
    types = {port.name: port.type.tensor_type.elem_type for port in ports}
    for port in ports:
        assert all(axis.HasField("dim_value") for axis in port.type.tensor_type.shape.dim)
    return graph, types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def check_form(model: bytes) -> None:
    """Hold a rewritten model to what TensorRT takes."""
    graph, types = types_of(model)
    ports = {port.name for port in (*graph.input, *graph.output)}
    for node in graph.node:
        assert node.op_type not in ("Shape", "Size", "Constant", "ConstantOfShape")
        assert node.op_type != "Identity" or node.output[0] in ports
        small = (TensorProto.UINT8, TensorProto.INT8)
        bytes_ = [name for name in (*node.input, *node.output) if types.get(name) in small]
        assert not bytes_ or (node.op_type == "Cast" and set(bytes_) <= ports)
    assert not {tensor.data_type for tensor in graph.initializer} & set(small)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_the_same_function(name: str) -> None:
    model = read_model(PRETRAINED / name)
    feeds = feeds_for(model, *SIZE)
    wanted = run(model, feeds)
    full = static_model(model, shapes_of(feeds))
    check_form(full)
    for port, found in run(full, feeds).items():
        check_same(found, wanted[port])
    if "refine" in name or name.startswith("pure"):
        return  # gradients of a training, textures: no device runs them in half precision
    half = static_model(model, shapes_of(feeds), half=True)
    check_form(half)
    check_near(run(half, feeds), wanted)


TEXTURE = [name for name in SHIPPED if name.endswith("-texture.onnx")]
PLAIN = [n for n in SHIPPED if not n.startswith(("any", "wct", "pure")) and n not in TEXTURE]


def photos(feeds: Feeds) -> Iterator[Feeds]:
    """The feeds of a model, with each of the bundled pictures in turn, 90 x 160."""
    for photo in sample_frames():
        yield {**feeds, "image": np.ascontiguousarray(photo[None, ::4, ::4])}


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTURE)
def test_half_precision_of_texture_networks_on_photos(name: str) -> None:
    # 99.85 % and more was measured, others reach 99.9 %; why was not found out.
    model = read_model(PRETRAINED / name)
    feeds = feeds_for(model, 90, 160)
    half = static_model(model, shapes_of(feeds), half=True)
    for given in photos(feeds):
        apart = run(half, given)["stylized"].astype(int) - run(model, given)["stylized"]
        assert float(np.mean(np.abs(apart) <= 1)) >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_half_precision_on_photos_and_flat_pictures(name: str) -> None:
    model = read_model(PRETRAINED / name)
    # Of networks that see one, with a canvas of noise that is trusted here and there.
    feeds = feeds_for(model, 90, 160)
    half = static_model(model, shapes_of(feeds), half=True)
    for given in photos(feeds):
        check_near(run(half, given), run(model, given))
    feeds |= {port: np.full_like(feeds[port], 0) for port in feeds.keys() & {"trust"}}
    for level in (0, 130, 255):
        feeds["image"] = np.full((1, 90, 160, 3), level, np.uint8)
        # There the norms divide by next to nothing: a whole plane may be 2 levels off.
        apart = run(half, feeds)["stylized"].astype(int) - run(model, feeds)["stylized"]
        assert np.abs(apart).max() <= 2


def check_same(found: NDArray[Any], wanted: NDArray[Any]) -> None:
    """Hold pictures to 0 levels, and features to how float32 sums in another order round."""
    if found.dtype == np.uint8:
        np.testing.assert_array_equal(found, wanted)
    else:
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


def check_near(found: dict[str, NDArray[Any]], wanted: dict[str, NDArray[Any]]) -> None:
    """Hold what half precision gives to 1 level on 99.9 % of a picture, features to 0.1 %."""
    for port, value in found.items():
        apart = np.abs(value.astype(np.float64) - wanted[port])
        if value.dtype == np.uint8:
            assert float(np.mean(apart <= 1)) >= 0.999
        else:
            assert apart.max() <= 1e-3 * np.abs(wanted[port]).max()


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size", ["fast", "balanced"])
def test_a_canvas_network_is_the_same_function(size: str, batch: int, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from rtstyle_export.networks.canvas import SPECS, CanvasNet
    from rtstyle_export.onnx_files.writer import Credits, write_onnx

    torch.manual_seed(3)
    net = CanvasNet(SPECS[size, "quarter"]).eval().requires_grad_(False)
    path = tmp_path / "canvas.onnx"
    write_onnx(net, path, name="canvas", size=size, credit=Credits(), training={})
    model = path.read_bytes()
    feeds = feeds_for(model, *SIZE, batch)
    assert shapes_of(feeds)["trust"] == (batch, 38, 51, 1)
    wanted = run(model, feeds)
    for half in (False, True):
        rewritten = static_model(model, shapes_of(feeds), half=half)
        check_form(rewritten)
        found = run(rewritten, feeds)
        check_near(found, wanted)
        if not half:
            np.testing.assert_array_equal(found["stylized"], wanted["stylized"])


@pytest.mark.parametrize("size", [(64, 72), (33, 50)])
@pytest.mark.parametrize("batch", [1, 2])
def test_sizes_and_batches(size: tuple[int, int], batch: int) -> None:
    model = network_model(4)
    feeds = feeds_for(model, *size, batch)
    rewritten = static_model(model, shapes_of(feeds))
    check_form(rewritten)
    np.testing.assert_array_equal(run(rewritten, feeds)["stylized"], run(model, feeds)["stylized"])


@pytest.mark.parametrize("model", [identity_model(), invert_model(), gain_model()])
def test_small_models_and_further_inputs(model: bytes) -> None:
    feeds = feeds_for(model, 17, 24)
    rewritten = static_model(model, shapes_of(feeds), half=True)
    check_form(rewritten)
    np.testing.assert_array_equal(run(rewritten, feeds)["stylized"], run(model, feeds)["stylized"])


def test_metadata_is_kept() -> None:
    proto = onnx.load_from_string(static_model(network_model(4, seed=3), {"image": (1, 64, 64, 3)}))
    assert {"rtstyle.name": "net3"}.items() <= {
        p.key: p.value for p in proto.metadata_props
    }.items()


@pytest.mark.parametrize(("name", "nodes", "casts"), [("fast", 86, 4), ("balanced", 94, 4)])
def test_a_style_has_few_nodes_in_the_end(name: str, nodes: int, casts: int) -> None:
    model = read_model(PRETRAINED / f"wave-{name}.onnx")
    static = static_model(model, shapes_of(feeds_for(model, 1080, 1920)))
    kinds = Counter(node.op_type for node in onnx.load_from_string(static).graph.node)
    assert kinds.total() == nodes
    assert kinds["Cast"] == casts


def test_stored_weights_are_unpacked() -> None:
    graph = Graph()
    stored = graph.op("Cast", graph.const(np.full((3, 3, 1, 1), -5, np.int8)), to=TensorProto.FLOAT)
    step = graph.op("Cast", graph.const(np.float16([0.5] * 3).reshape(3, 1, 1, 1)), to=1)
    kernel = graph.op("Mul", stored, step)
    graph.finish(graph.op("Conv", graph.planes("image"), kernel))
    rewritten = static_model(graph.model(), {"image": (1, 4, 4, 3)})
    [weight] = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(rewritten).graph.initializer
        if tensor.dims == [3, 3, 1, 1]
    ]
    np.testing.assert_array_equal(weight, np.full((3, 3, 1, 1), -2.5, np.float32))


def test_integer_division_rounds_towards_zero() -> None:
    graph = Graph()
    divided = graph.op("Div", graph.op("Neg", graph.size("image")), graph.ints(2, 2))
    negative = graph.op("Neg", divided)  # H // 2 only if -(7 // 2) is -3
    kept = graph.op("Slice", graph.planes("image"), graph.ints(0, 0), negative, graph.ints(2, 3))
    graph.finish(kept)
    feeds = feeds_for(graph.model(), 7, 9)
    found = run(static_model(graph.model(), shapes_of(feeds)), feeds)["stylized"]
    np.testing.assert_array_equal(found, feeds["image"][:, :3, :4])


def test_what_turns_or_shifts_a_picture_without_a_new_size_is_no_empty_step() -> None:
    graph = Graph()
    x = graph.op(
        "Slice", graph.planes("image"), graph.ints(-1), graph.ints(-99), graph.ints(3),
        graph.ints(-1),
    )  # fmt: skip
    graph.finish(graph.op("Pad", x, graph.ints(0, 0, 1, 0, 0, 0, -1, 0), mode="edge"))
    feeds = feeds_for(graph.model(), 6, 8)
    found = run(static_model(graph.model(), shapes_of(feeds)), feeds)["stylized"]
    turned = feeds["image"][:, :, ::-1]
    np.testing.assert_array_equal(found, np.concatenate([turned[:, :1], turned[:, :-1]], axis=1))


def test_a_cast_to_bytes_cuts_the_fraction_off_where_nothing_was_rounded() -> None:
    graph = Graph()
    x = graph.op("Mul", graph.planes("image"), graph.scalar(0.3))
    x = graph.op("Cast", x, to=TensorProto.UINT8)
    graph.op("Transpose", x, out="stylized", perm=[0, 2, 3, 1])
    feeds = feeds_for(graph.model(), 16, 16)
    rewritten = static_model(graph.model(), shapes_of(feeds))
    check_form(rewritten)
    np.testing.assert_array_equal(
        run(rewritten, feeds)["stylized"], run(graph.model(), feeds)["stylized"]
    )


def test_a_part_that_was_rounded_does_not_stand_for_the_whole() -> None:
    graph = Graph()
    x = graph.op("Mul", graph.planes("image"), graph.scalar(0.3))
    x = graph.op("Concat", graph.op("Round", x), x, axis=2)
    x = graph.op("Cast", x, to=TensorProto.UINT8)
    x = graph.op("Slice", x, graph.ints(8), graph.ints(24), graph.ints(2))
    graph.op("Transpose", x, out="stylized", perm=[0, 2, 3, 1])
    feeds = feeds_for(graph.model(), 16, 16)
    rewritten = static_model(graph.model(), shapes_of(feeds))
    np.testing.assert_array_equal(
        run(rewritten, feeds)["stylized"], run(graph.model(), feeds)["stylized"]
    )


def test_bytes_that_are_joined_and_moved() -> None:
    graph = Graph()
    ends = graph.const(np.full((1, 2, 4, 3), 200, np.uint8))
    joined = graph.op("Concat", "image", ends, axis=1)
    numbers = graph.op("Cast", joined, to=TensorProto.INT32)
    back = graph.op("Cast", numbers, to=TensorProto.UINT8)
    graph.op("Slice", back, graph.ints(2), graph.ints(99), graph.ints(1), out="stylized")
    feeds = feeds_for(graph.model(), 4, 4)
    rewritten = static_model(graph.model(), shapes_of(feeds))
    check_form(rewritten)
    wanted = np.concatenate([feeds["image"][:, 2:], np.full((1, 2, 4, 3), 200, np.uint8)], axis=1)
    np.testing.assert_array_equal(run(rewritten, feeds)["stylized"], wanted)


def test_an_output_may_be_constant_or_an_input() -> None:
    graph = Graph()
    graph.op("Identity", graph.const(np.full((1, 4, 4, 3), 9, np.uint8)), out="stylized")
    assert (run(static_model(graph.model(), {"image": (1, 4, 4, 3)}),
                {"image": np.zeros((1, 4, 4, 3), np.uint8)})["stylized"] == 9).all()  # fmt: skip


def test_half_precision_stops_before_the_norms() -> None:
    model = static_model(network_model(4), {"image": (1, 64, 64, 3)}, half=True)
    graph, types = types_of(model)
    for node in graph.node:
        kinds = {types[name] for name in (*node.input, *node.output) if name}
        if node.op_type == "Conv":
            assert kinds == {TensorProto.FLOAT16}
        if node.op_type in ("InstanceNormalization", "Add", "Mul", "Clip", "Round"):
            assert TensorProto.FLOAT16 not in kinds


def test_half_precision_keeps_a_bright_flat_picture_finite() -> None:
    model = static_model(network_model(8), {"image": (1, 64, 64, 3)}, half=True)
    flat = np.full((1, 64, 64, 3), 255, np.uint8)
    wanted = run(network_model(8), {"image": flat})
    check_near(run(model, {"image": flat}), wanted)


def test_weights_beyond_half_precision_stay_in_full() -> None:
    graph = Graph()
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[range(3), range(3)] = 1e5
    x = graph.op("Conv", graph.planes("image"), graph.const(kernel))
    graph.finish(graph.op("Mul", x, graph.scalar(1e-5)))
    feeds = feeds_for(graph.model(), 8, 8)
    found = run(static_model(graph.model(), shapes_of(feeds), half=True), feeds)["stylized"]
    np.testing.assert_array_equal(found, feeds["image"])


def sizes_of_contents() -> bytes:
    graph = Graph()
    places = graph.op("NonZero", graph.planes("image"))
    graph.op("Cast", graph.op("Unsqueeze", places, graph.ints(0)), to=2, out="stylized")
    return graph.model()


def shrinking() -> bytes:
    graph = Graph()
    graph.finish(graph.op("Pad", graph.planes("image"), graph.ints(0, 0, -3, 0, 0, 0, 0, 0)))
    return graph.model()


def with_a_foreign_operator() -> bytes:
    model = onnx.load_from_string(identity_model())
    model.graph.node[1].domain = "elsewhere"
    model.opset_import.append(onnx.helper.make_opsetid("elsewhere", 1))
    return model.SerializeToString()


def computing_in_bytes() -> bytes:
    graph = Graph()
    graph.op("Max", "image", graph.const(np.array(3, np.uint8)), out="stylized")
    return graph.model()


@pytest.mark.parametrize(
    ("model", "shapes", "why"),
    [
        (b"no model", {"image": (1, 8, 8, 3)}, "cannot be loaded"),
        (identity_model(), {}, "has shapes for"),
        (identity_model(), {"image": (1, 8, 8, 3), "canvas": (1, 8, 8, 3)}, "canvas"),
        (network_model(4), {"image": (1, 8, 8, 4)}, "no image of .1, 8, 8, 4"),
        (network_model(4), {"image": (8, 8, 3)}, "no image of"),
        (shrinking(), {"image": (1, 2, 8, 3)}, "of this size"),
        (sizes_of_contents(), {"image": (1, 8, 8, 3)}, "depends on more"),
        (with_a_foreign_operator(), {"image": (1, 8, 8, 3)}, "operator elsewhere::Transpose"),
        (computing_in_bytes(), {"image": (1, 8, 8, 3)}, "computes in bytes .Max"),
    ],
)
def test_what_cannot_be_rewritten_is_named(model: bytes, shapes: Shapes, why: str) -> None:
    with pytest.raises(EngineError, match=why):
        static_model(model, shapes)
