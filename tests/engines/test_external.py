"""Weights in other files: found wherever they stand in a model, and taken from its folder only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtstyle.engines import EngineOptions, external
from rtstyle.engines.base import read_model
from rtstyle.engines.onnxrt import open_session
from rtstyle.engines.ov import OpenVinoEngine
from rtstyle.errors import EngineError

WEIGHT = np.array([1.5, -2, 0.25, 8], np.float32)
DONOR = "donor.bin"


def weight(location: str = DONOR, **place: int) -> TensorProto:
    """Return a tensor that is four floats of another file."""
    tensor = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": 3, "length": 16, **place}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def model_of(nodes: list[onnx.NodeProto], **more: list[object]) -> onnx.ModelProto:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    functions = more.pop("functions", [])
    graph = helper.make_graph(nodes, "g", [], [output], **more)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)


def constant(**attribute: object) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["y"], **attribute)


def in_initializer(tensor: TensorProto) -> onnx.ModelProto:
    return model_of([helper.make_node("Identity", ["weight"], ["y"])], initializer=[tensor])


def in_attribute(tensor: TensorProto) -> onnx.ModelProto:
    return model_of([constant(value=tensor)])


def in_list_of_attribute(tensor: TensorProto) -> onnx.ModelProto:
    model = model_of([constant(value_floats=WEIGHT.tolist())])
    attribute = model.graph.node[0].attribute.add(name="more", type=onnx.AttributeProto.TENSORS)
    attribute.tensors.append(tensor)
    return model


def sparse(tensor: TensorProto, *, indices: bool) -> onnx.SparseTensorProto:
    part = numpy_helper.from_array(np.arange(4, dtype=np.int64), "weight")
    values = numpy_helper.from_array(WEIGHT, "weight")
    if indices:
        return onnx.SparseTensorProto(values=values, indices=tensor, dims=[4])
    return onnx.SparseTensorProto(values=tensor, indices=part, dims=[4])


def in_sparse_initializer(tensor: TensorProto) -> onnx.ModelProto:
    nodes = [helper.make_node("Identity", ["weight"], ["y"])]
    return model_of(nodes, sparse_initializer=[sparse(tensor, indices=False)])


def in_sparse_indices(tensor: TensorProto) -> onnx.ModelProto:
    return model_of([constant(sparse_value=sparse(tensor, indices=True))])


def in_subgraph(tensor: TensorProto) -> onnx.ModelProto:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    branch = helper.make_graph([constant(value=tensor)], "b", [], [output])
    yes = numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    return model_of([node], initializer=[yes])


def in_function(tensor: TensorProto) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "F", [], ["y"], [constant(value=tensor)], opsets)
    node = helper.make_node("F", [], ["y"], domain="own")
    return model_of([node], functions=[function])


def in_training(tensor: TensorProto) -> onnx.ModelProto:
    model = model_of([constant(value_floats=WEIGHT.tolist())])
    model.training_info.add().algorithm.initializer.append(tensor)
    return model


PLACES = [
    in_initializer,
    in_attribute,
    in_list_of_attribute,
    in_sparse_initializer,
    in_sparse_indices,
    in_subgraph,
    in_function,
    in_training,
]
Place = Callable[[TensorProto], onnx.ModelProto]


def write(folder: Path, model: onnx.ModelProto | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a donor in it, and one beside it."""
    folder = tmp_path / "models"
    folder.mkdir()
    for place in (folder, tmp_path):
        (place / DONOR).write_bytes(b"xyz" + WEIGHT.tobytes() + b"more")
    return folder


def run(model: bytes) -> np.ndarray:
    return np.asarray(open_session(model, EngineOptions()).run(None, {})[0])


@pytest.mark.parametrize("place", [in_initializer, in_attribute, in_subgraph, in_function])
def test_weights_are_taken_in_from_everywhere(place: Place, folder: Path) -> None:
    whole = read_model(write(folder, place(weight())))
    np.testing.assert_array_equal(run(whole), WEIGHT)


@pytest.mark.parametrize("place", PLACES)
def test_no_tensor_stays_outside(place: Place, folder: Path) -> None:
    whole = read_model(write(folder, place(weight())))
    external.check_whole(whole)
    assert b"location" not in whole
    assert WEIGHT.tobytes() in whole


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "location",
    [
        "../donor.bin",
        "/etc/passwd",
        "..",
        ".",
        "",
        "./donor.bin",
        "C:donor.bin",
        "..\\donor.bin",
        "*/_ORT_MEM_ADDR_/*",  # ONNX Runtime's word for its own memory: the offset is an address
        "donor.bin\0",
    ],
)
def test_no_model_reads_outside_its_folder(place: Place, location: str, folder: Path) -> None:
    file = write(folder, place(weight(location)))
    with pytest.raises(EngineError, match="not a plain file name"):
        read_model(file)


@pytest.mark.parametrize("place", PLACES)
def test_no_engine_is_given_a_model_that_names_a_file(
    place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where an engine would look for it.
    monkeypatch.chdir(folder)
    model = place(weight()).SerializeToString()
    with pytest.raises(EngineError, match="from another file"):
        open_session(model, EngineOptions())
    with pytest.raises(EngineError, match="from another file"):
        OpenVinoEngine(model, EngineOptions())
    with pytest.raises(EngineError, match="from another file"):
        read_model(model)


def field(number: int, content: bytes, pad: int) -> bytes:
    """Return a length-delimited field whose key and length take `pad` bytes more than needed."""

    def varint(value: int) -> bytes:
        low = [value >> shift & 127 for shift in range(0, 28, 7)][: 1 if value < 128 else 2]
        low += [0] * pad
        return bytes([*(byte | 128 for byte in low[:-1]), low[-1]])

    return varint(number << 3 | 2) + varint(len(content)) + content


@pytest.mark.parametrize("pad", [0, 1, 3])
@pytest.mark.parametrize("location", [DONOR, "../" + DONOR])
def test_lengths_may_be_padded(pad: int, location: str, folder: Path) -> None:
    """A protobuf reader takes a number with idle bytes at its end, and joins a message's parts."""
    tensor = weight(location)
    places = {entry.key: entry.value for entry in tensor.external_data}
    tensor.ClearField("external_data")
    content = tensor.SerializeToString()
    for key, value in places.items():
        entry = field(1, key.encode(), pad) + field(2, value.encode(), pad)
        content += field(13, entry, pad)
    model = in_initializer(tensor)
    model.graph.ClearField("initializer")
    data = model.SerializeToString() + field(7, field(5, content, pad), pad)
    file = write(folder, data)
    assert (b"\x0a\x08location" in data) is (pad == 0)
    if location == DONOR:
        np.testing.assert_array_equal(run(read_model(file)), WEIGHT)
    else:
        with pytest.raises(EngineError, match="not a plain file name"):
            read_model(file)


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ({"offset": -4}, "too short"),
        ({"length": -4}, "too short"),
        ({"offset": 20}, "too short"),
        ({"length": 1 << 70}, "too short"),
        ({"offset": "first"}, "cannot be loaded"),
    ],
)
def test_places_that_are_none(place: dict[str, int], says: str, folder: Path) -> None:
    file = write(folder, in_initializer(weight(**place)))
    with pytest.raises(EngineError, match=says):
        read_model(file)


def test_the_rest_of_a_file_without_a_length(folder: Path) -> None:
    tensor = weight()
    del tensor.external_data[2]
    (folder / DONOR).write_bytes(b"xyz" + WEIGHT.tobytes())
    np.testing.assert_array_equal(run(read_model(write(folder, in_attribute(tensor)))), WEIGHT)


def test_one_donor_named_often_has_a_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = in_list_of_attribute(weight())
    model.graph.node[0].attribute[1].tensors.extend([weight()] * 9)
    file = write(folder, model)
    monkeypatch.setattr(external, "LARGEST", 160)
    assert read_model(file).count(WEIGHT.tobytes()) == 10
    monkeypatch.setattr(external, "LARGEST", 159)
    with pytest.raises(EngineError, match="too large"):
        read_model(file)


class TestLinks:
    """A folder may have been unpacked from anybody's archive."""

    @pytest.fixture(autouse=True)
    def _links(self) -> None:
        if os.name != "posix":
            pytest.skip("links and pipes of POSIX")

    def test_a_link_out_of_the_folder(self, folder: Path) -> None:
        (folder / DONOR).unlink()
        (folder / DONOR).symlink_to(folder.parent / DONOR)
        with pytest.raises(EngineError, match="a link out of its folder"):
            read_model(write(folder, in_attribute(weight())))

    def test_a_link_to_itself(self, folder: Path) -> None:
        (folder / DONOR).unlink()
        (folder / DONOR).symlink_to(DONOR)
        with pytest.raises(EngineError, match="lacks"):
            read_model(write(folder, in_attribute(weight())))

    def test_a_pipe_is_not_waited_for(self, folder: Path) -> None:
        (folder / DONOR).unlink()
        os.mkfifo(folder / DONOR)
        with pytest.raises(EngineError, match="not a regular file"):
            read_model(write(folder, in_attribute(weight())))

    def test_a_download_that_links_to_one_store(self, folder: Path, tmp_path: Path) -> None:
        store = write(tmp_path / "store", in_attribute(weight())).parent
        (folder / DONOR).rename(store / "1f3a")
        (folder / DONOR).symlink_to(store / "1f3a")
        (folder / "model.onnx").symlink_to(store / "model.onnx")
        np.testing.assert_array_equal(run(read_model(folder / "model.onnx")), WEIGHT)


def test_what_was_compiled_for_a_device_is_refused(folder: Path) -> None:
    node = helper.make_node(
        "EPContext", [], ["y"], domain="com.microsoft", embed_mode=0, ep_cache_context="/x.engine"
    )
    model = model_of([node])
    with pytest.raises(EngineError, match="EPContext"):
        read_model(write(folder, model))
    with pytest.raises(EngineError, match="EPContext"):
        open_session(model.SerializeToString(), EngineOptions())


def test_the_words_alone_do_no_harm(folder: Path) -> None:
    model = model_of([constant(value_floats=WEIGHT.tolist())])
    model.doc_string = "on location, with an EPContext"
    data = model.SerializeToString()
    np.testing.assert_array_equal(run(read_model(write(folder, data))), WEIGHT)
    np.testing.assert_array_equal(run(read_model(data)), WEIGHT)


def test_fields_of_another_onnx_are_not_passed_on(folder: Path) -> None:
    """An engine may know a place for tensors that this ONNX does not."""
    unknown = field(999, in_attribute(weight("../" + DONOR)).SerializeToString(), 0)
    data = in_attribute(weight()).SerializeToString() + unknown
    assert b"../" not in read_model(write(folder, data))
