"""Weights in fewer bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from rtstyle.engines import read_model
from rtstyle.errors import EngineError
from rtstyle.styles.manifest import load_manifest

torch = pytest.importorskip("torch")

from rtstyle_export.export.manifest_writer import edit_manifest, file_entry, rewriting  # noqa: E402
from rtstyle_export.networks.johnson import build_network  # noqa: E402
from rtstyle_export.onnx_files.storage import (  # noqa: E402
    donors_of,
    halved,
    quantized,
    rounded,
    share,
    store_small,
)


def adding(weight: np.ndarray) -> onnx.ModelProto:
    """A model that adds `weight` to its input."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, weight.shape)],
        [numpy_helper.from_array(weight, "w")],
    )
    return model_of(graph)


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(weight: np.ndarray, path: Path) -> bytes:
    """Write `adding(weight)`; return the file's bytes."""
    path.write_bytes(adding(weight).SerializeToString())
    return path.read_bytes()


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
    model = adding(kept)
    store_small(model)
    onnx.checker.check_model(model)
    types = {8: onnx.TensorProto.INT8, 16: onnx.TensorProto.FLOAT16}
    assert model.graph.initializer[0].data_type == types[bits]
    found = ReferenceEvaluator(model).run(None, {"x": np.zeros(1, np.float32)})[0]
    np.testing.assert_array_equal(found, kept)


@pytest.mark.parametrize("count", [4095, 4096])
def test_only_large_weights_are_stored_in_fewer_bytes(count: int, tmp_path: Path) -> None:
    large = count >= 4096
    layer = torch.nn.Linear(1, count, bias=False)
    plain = layer.weight.detach().clone()
    halved(layer)
    assert bool((layer.weight.detach() != plain).any()) is large
    shape = (16, 16, 4) if large else (5, 91, 3)
    kernel = torch.nn.Conv2d(*shape, bias=False)
    assert kernel.weight.numel() == count
    plain = kernel.weight.detach().clone()
    quantized(kernel)
    assert bool((kernel.weight.detach() != plain).any()) is large
    # Half precision keeps these values, and 8 bits do not.
    model = adding((np.arange(count) % 1024 / 1024).astype(np.float32))
    store_small(model)
    stored = onnx.TensorProto.FLOAT16 if large else onnx.TensorProto.FLOAT
    assert model.graph.initializer[0].data_type == stored
    # Another file's weights are shared from as many bytes on.
    weight = np.arange(count // 4, dtype=np.float32)
    for name in ("donor.onnx", "taker.onnx"):
        write(weight, tmp_path / name)
    assert share(tmp_path / "taker.onnx", tmp_path / "donor.onnx") is large


def test_steps_are_the_largest_weight_over_127_rounded_up_to_11_bits() -> None:
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-15, 10, (5000, 1, 1, 1))
    weight = (rng.standard_normal((5000, 2, 2, 2)) * sizes).astype(np.float32)
    weight[0], weight[1, 0, 0, 0], weight[2] = 0, 1e12, 127 * 2.0**-3
    largest = np.maximum(np.abs(weight).max(axis=(1, 2, 3), keepdims=True), 1e-12)
    mantissa, exponent = np.frexp(largest.astype(np.float32) / 127)
    wanted = np.ldexp(np.ceil(mantissa * 2048) / 2048, exponent)
    steps = np.rint(weight / wanted) * wanted
    layer = torch.nn.Conv2d(2, 5000, 2, bias=False)
    layer.weight.data = torch.tensor(weight)
    quantized(layer)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), steps)


def test_kernels_are_rounded_only_for_a_while() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(16, 40, 3), torch.nn.Conv2d(40, 2, 3))
    plain = {key: value.clone() for key, value in net.state_dict().items()}
    with rounded(net):
        inside = net[0].weight.detach().clone()
        net(torch.randn(1, 16, 8, 8)).sum().backward()
    assert net[0].weight.grad is not None
    for key, value in plain.items():
        assert torch.equal(net.state_dict()[key], value), key
    steps = np.unique(np.rint(inside[0].numpy() / (np.abs(inside[0].numpy()).max() / 127)))
    np.testing.assert_allclose(
        np.unique(inside[0].numpy()), steps * np.abs(inside[0].numpy()).max() / 127, rtol=1e-5
    )
    quantized(net)
    assert torch.equal(net[0].weight, inside)
    halved(net)
    assert torch.equal(net[0].weight, inside)
    # Small layers are left alone.
    assert torch.equal(net[1].weight, plain["1.weight"])


def test_a_kernel_that_is_stored_folded_is_not_rounded_to_8_bits() -> None:
    net = build_network("fast")
    plain = {key: value.clone() for key, value in net.state_dict().items()}
    with rounded(net):
        assert torch.equal(net.state_dict()["up.weight"], plain["up.weight"])
        assert not torch.equal(net.state_dict()["down.weight"], plain["down.weight"])
    quantized(net)
    assert torch.equal(net.state_dict()["up.weight"], plain["up.weight"])
    assert not torch.equal(net.state_dict()["down.weight"], plain["down.weight"])
    # That of `paper` is stored as it is.
    paper = build_network("paper")
    before = paper.state_dict()["up1.conv.weight"].clone()
    quantized(paper)
    assert not torch.equal(paper.state_dict()["up1.conv.weight"], before)


def run(model: str | bytes) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros(1, np.float32)})[0]


class TestSharing:
    @pytest.fixture
    def weight(self) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(90, 100)).astype(np.float32)

    @pytest.fixture
    def files(self, tmp_path: Path, weight: np.ndarray) -> tuple[Path, Path]:
        """A file that shares its weight, and its donor."""
        taker, donor = tmp_path / "taker.onnx", tmp_path / "donor.onnx"
        write(weight, taker)
        write(weight, donor)
        assert share(taker, donor)
        return taker, donor

    def test_a_file_gives_up_what_its_donor_holds(
        self, files: tuple[Path, Path], weight: np.ndarray
    ) -> None:
        taker, donor = files
        assert taker.stat().st_size < 500 < donor.stat().st_size
        assert donors_of(taker) == [donor.name]
        np.testing.assert_array_equal(run(read_model(taker)), weight)
        np.testing.assert_array_equal(run(str(taker)), weight)  # as ONNX itself reads it
        taker.write_bytes(read_model(taker))
        assert not donors_of(taker)
        donor.unlink()
        np.testing.assert_array_equal(run(taker.read_bytes()), weight)

    def test_other_weights_stay(self, tmp_path: Path, weight: np.ndarray) -> None:
        before = write(weight, tmp_path / "one.onnx")
        write(weight + 1, tmp_path / "other.onnx")
        assert not share(tmp_path / "one.onnx", tmp_path / "other.onnx")
        assert (tmp_path / "one.onnx").read_bytes() == before

    def test_a_missing_or_short_donor_is_told(self, files: tuple[Path, Path]) -> None:
        taker, donor = files
        content = donor.read_bytes()
        donor.write_bytes(content[:1000])
        with pytest.raises(EngineError, match="too short"):
            read_model(taker)
        donor.unlink()
        with pytest.raises(EngineError, match=r"lacks .*donor\.onnx"):
            read_model(taker)

    def test_a_truncated_file_is_told(self, files: tuple[Path, Path]) -> None:
        taker, _ = files
        taker.write_bytes(taker.read_bytes()[:-20])
        with pytest.raises(EngineError, match="cannot be loaded"):
            read_model(taker)

    def test_a_model_cannot_read_elsewhere(self, files: tuple[Path, Path]) -> None:
        taker, _ = files
        model = onnx.load(taker, load_external_data=False)
        model.graph.initializer[0].external_data[0].value = "../donor.onnx"
        taker.write_bytes(model.SerializeToString())
        with pytest.raises(EngineError, match="not a plain file name"):
            read_model(taker)

    def test_a_donor_that_differs_is_refused(self, files: tuple[Path, Path]) -> None:
        taker, donor = files
        with edit_manifest(taker.parent) as data:
            data["any"] = {"fast": {"content": file_entry(taker, {})}}
        file = load_manifest(taker.parent).any["fast"]["content"]
        assert file.problem() == ""
        donor.write_bytes(donor.read_bytes() + b" ")
        assert "donor.onnx" in file.problem()

    def test_a_donor_may_be_rewritten(
        self, files: tuple[Path, Path], weight: np.ndarray, tmp_path: Path
    ) -> None:
        taker, donor = files
        with edit_manifest(tmp_path) as data:
            data["any"] = {"fast": {"content": file_entry(taker, {"steps": 3})}}
        with rewriting(donor):
            graph = onnx.load(donor)
            graph.doc_string = "moves every weight"
            donor.write_bytes(graph.SerializeToString())
        assert donors_of(taker) == [donor.name]
        np.testing.assert_array_equal(run(read_model(taker)), weight)
        with rewriting(donor):
            write(weight + 1, donor)
        assert not donors_of(taker)
        np.testing.assert_array_equal(run(read_model(taker)), weight)
        file = load_manifest(tmp_path).any["fast"]["content"]
        assert (file.problem(), file.donors, file.training) == ("", (), {"steps": 3})

    def test_files_that_take_from_takers_are_kept_whole(self, tmp_path: Path) -> None:
        """As the regions of AdaIN take from its content, and both from the encoder."""
        rng = np.random.default_rng(1)
        weights = [rng.normal(size=(90, 100)).astype(np.float32) for _ in range(3)]

        def build(name: str, count: int) -> Path:
            added = [f"w{number}" for number in range(count)]
            nodes = [
                helper.make_node("Add", [f"y{n}" if n else "x", name_], [f"y{n + 1}"])
                for n, name_ in enumerate(added)
            ]
            nodes[-1].output[0] = "y"
            graph = helper.make_graph(
                nodes,
                "g",
                [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
                [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [90, 100])],
                [numpy_helper.from_array(weights[n], added[n]) for n in range(count)],
            )
            path = tmp_path / f"{name}.onnx"
            onnx.save(model_of(graph), path)
            return path

        encoder, content, regions = (build(n, k) for k, n in enumerate("abc", start=1))
        assert share(content, encoder)
        assert share(regions, encoder)
        assert share(regions, content)
        # The last comes first in the manifest: the order there must not matter.
        with edit_manifest(tmp_path) as data:
            data["any"] = {"paper": {"r": file_entry(regions, {}), "c": file_entry(content, {})}}
        small = regions.stat().st_size
        with rewriting(encoder):
            model = onnx.load(encoder)
            model.doc_string = "moves every weight"
            encoder.write_bytes(model.SerializeToString())
        np.testing.assert_allclose(run(read_model(regions)), sum(weights), rtol=1e-5)
        np.testing.assert_allclose(run(read_model(content)), sum(weights[:2]), rtol=1e-5)
        assert donors_of(regions) == ["a.onnx", "b.onnx"]
        assert regions.stat().st_size < small + 100
        files = load_manifest(tmp_path).any["paper"].values()
        assert [file.problem() for file in files] == ["", ""]

    def test_rewriting_a_file_that_nobody_shares_writes_no_manifest(self, tmp_path: Path) -> None:
        with rewriting(tmp_path / "donor.onnx"):
            (tmp_path / "donor.onnx").write_bytes(b"x")
        assert not (tmp_path / "manifest.json").exists()
