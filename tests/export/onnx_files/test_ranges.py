"""Ranges for int8: measured where features come from, kept only where pictures hardly change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from rtstyle.engines import open_engine, ov  # noqa: E402
from rtstyle.engines.base import RANGES  # noqa: E402
from rtstyle.engines.int8 import read_ranges  # noqa: E402
from rtstyle.samples import sample_frames  # noqa: E402
from rtstyle_export.networks.johnson import build_network  # noqa: E402
from rtstyle_export.onnx_files import ranges  # noqa: E402
from rtstyle_export.onnx_files.ranges import add_ranges, best_range, keep_ranges, style_feeds  # noqa: E402
from rtstyle_export.onnx_files.writer import Credits, write_onnx  # noqa: E402

needs_int8 = pytest.mark.skipif(not ov.has_int8(), reason="int8 is for x86 CPUs")


@pytest.fixture(scope="module")
def feeds() -> list[dict[str, np.ndarray]]:
    return style_feeds([frame[:120, :160] for frame in sample_frames(2)])


@pytest.fixture
def exported(tmp_path: Path, feeds: list[dict[str, np.ndarray]]) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "test-fast.onnx"
    net = build_network("fast").eval()
    write_onnx(
        net, path, name="test", size="fast", credit=Credits(), training={"steps": 1}, feeds=feeds
    )
    return path


@pytest.mark.parametrize("signed", [False, True])
def test_the_best_range_loses_least_when_values_are_really_rounded(signed: bool) -> None:
    values = np.random.default_rng(0).exponential(1.0, 100_000).astype(np.float32)
    if signed:
        values *= np.random.default_rng(1).choice([-1, 1], values.shape)
    low, high = best_range(values)
    assert low == (-high if signed else 0)

    def loss(share: float) -> float:
        first, last = share * low, share * high
        step = (last - first) / 255
        rounded = np.rint((values.clip(first, last) - first) / step) * step + first
        return float(np.mean((rounded - values) ** 2))

    assert high < values.max()
    assert loss(1) < min(loss(0.8), loss(1.25), loss(0.6), loss(values.max() / high))


def test_a_range_begins_at_zero_without_negative_values() -> None:
    assert best_range(np.zeros(5, np.float32)) == (0, 0)
    assert best_range(np.full(5, 3, np.float32)) == (0, pytest.approx(3))


def test_every_convolution_of_a_real_time_net_gets_its_range(exported: Path) -> None:
    model = onnx.load(exported)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    found = read_ranges(metadata)
    producers = {name: node.op_type for node in model.graph.node for name in node.output}
    kinds = sorted(producers[name] for name in found)
    # The picture, stem, down, the inner of two blocks and two rows of `up`; sums of two blocks.
    assert kinds == ["Add"] * 2 + ["Cast"] + ["Relu"] * 6
    for name, (low, high) in found.items():
        assert high > 0
        assert (low < 0) == (producers[name] == "Add")
        if producers[name] == "Cast":
            assert (low, high) == (0, 255)


@needs_int8
def test_all_convolutions_run_in_int8(exported: Path) -> None:
    with open_engine(exported, "openvino:cpu", precision="int8") as engine:
        marks = [node.get_type_name() for node in engine._model.get_ops()]  # type: ignore[attr-defined]
    # Nine features, and the weights of stem, down, four of the blocks, twice `up` and `out`.
    assert marks.count("FakeQuantize") == 9 + 10


@needs_int8
def test_ranges_stay_where_pictures_hardly_change(
    exported: Path, feeds: list[dict[str, np.ndarray]]
) -> None:
    before = exported.read_bytes()
    rounding = keep_ranges(exported, feeds)
    assert rounding.holds
    assert rounding.rms is not None
    assert 0 < rounding.rms < 4
    assert str(rounding) == f"int8 changes {rounding.rms:.1f} levels (rms, worst picture)"
    assert exported.read_bytes() == before


@needs_int8
def test_ranges_that_change_pictures_are_taken_out(
    exported: Path, feeds: list[dict[str, np.ndarray]]
) -> None:
    model = onnx.load(exported)
    graph = model.graph.SerializeToString(deterministic=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    tight = {name: (low / 20, high / 20) for name, (low, high) in read_ranges(metadata).items()}
    add_ranges(model, tight)
    onnx.save(model, exported)
    rounding = keep_ranges(exported, feeds)
    assert not rounding.holds
    assert "too much" in str(rounding)
    left = onnx.load(exported)
    assert RANGES not in {entry.key for entry in left.metadata_props}
    assert len(left.metadata_props) == len(metadata) - 1
    assert left.graph.SerializeToString(deterministic=True) == graph
    with open_engine(exported, "openvino:cpu") as engine:
        assert engine.precision != "int8"


def test_ranges_that_cannot_be_checked_are_taken_out(
    exported: Path, feeds: list[dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtstyle.engines.ov.has_int8", lambda: False)
    before = onnx.load(exported)
    rounding = keep_ranges(exported, feeds)
    assert not rounding.holds
    assert "cannot be tried on this machine" in str(rounding)
    left = onnx.load(exported)
    assert RANGES not in {entry.key for entry in left.metadata_props}
    assert len(left.metadata_props) == len(before.metadata_props) - 1
    graphs = [x.graph.SerializeToString(deterministic=True) for x in (left, before)]
    assert graphs[0] == graphs[1]


def test_no_pictures_no_ranges(exported: Path) -> None:
    model = onnx.load(exported)
    assert ranges.measure_ranges(model, []) == {}
    add_ranges(model, {})
    assert RANGES not in {entry.key for entry in model.metadata_props}
    add_ranges(model, {"a": (0.0, 1 / 3)})
    kept = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(kept[RANGES]) == {"a": [0, 0.3333]}
    assert kept["rtstyle.name"] == "test"
