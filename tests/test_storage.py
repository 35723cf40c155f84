"""Weights in fewer bytes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from onnx import helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from rtstyle_export.storage import halved, quantized, store_small  # noqa: E402


@pytest.mark.parametrize("bits", [8, 16])
def test_rounded_weights_are_stored_exactly(bits: int) -> None:
    layer = torch.nn.Conv2d(16, 40, 3, bias=False)
    plain = layer.weight.detach().clone()
    (quantized if bits == 8 else halved)(layer)
    assert (
        0
        < float((layer.weight.detach() - plain).abs().max())
        < 1 / 12 / (250 if bits == 8 else 1000)
    )
    kept = layer.weight.detach().numpy().copy()
    (quantized if bits == 8 else halved)(layer)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), kept)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, kept.shape)],
        [numpy_helper.from_array(kept, "w")],
    )
    model = helper.make_model(graph)
    store_small(model)
    onnx.checker.check_model(model)
    types = {8: onnx.TensorProto.INT8, 16: onnx.TensorProto.FLOAT16}
    assert model.graph.initializer[0].data_type == types[bits]
    found = ReferenceEvaluator(model).run(None, {"x": np.zeros(1, np.float32)})[0]
    np.testing.assert_array_equal(found, kept)
