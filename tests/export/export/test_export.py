"""Export: any size in and out, parity with PyTorch, metadata, manifest, and the refusals."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

torch = pytest.importorskip("torch")

from helpers.console import rtstyle  # noqa: E402
from helpers.training import small_config, vgg_state  # noqa: E402

from rtstyle.engines import open_engine, ov  # noqa: E402
from rtstyle.errors import TrainingError, UsageError  # noqa: E402
from rtstyle.samples import sample_frames  # noqa: E402
from rtstyle.styles.manifest import find_model, load_manifest  # noqa: E402
from rtstyle_export.export import by_kind  # noqa: E402
from rtstyle_export.export.facts import training_facts  # noqa: E402
from rtstyle_export.export.johnson import export_styles  # noqa: E402
from rtstyle_export.maths.losses import LossSpec, PerceptualLoss  # noqa: E402
from rtstyle_export.maths.vgg import VGG  # noqa: E402
from rtstyle_export.networks.johnson import SIZES, build_network  # noqa: E402
from rtstyle_export.networks.realtime import fold_upsample  # noqa: E402
from rtstyle_export.onnx_files.ranges import style_feeds  # noqa: E402
from rtstyle_export.onnx_files.writer import (  # noqa: E402
    Credits,
    PictureNet,
    content_hash,
    stored_form,
    write_onnx,
)
from rtstyle_export.quality.parity import Parity, measure_parity  # noqa: E402
from rtstyle_export.quality.shipped import Score, gatys_curve, score, spec_of  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402


def lively(size: str, styles: int = 1) -> torch.nn.Module:
    """A network whose every parameter is off its start, so that mix-ups show."""
    net = build_network(size, styles)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return net.eval()


def export(net: torch.nn.Module, path: Path, size: str = "fast") -> str:
    return write_onnx(net, path, name="test", size=size, credit=Credits(), training={"steps": 1})


@pytest.fixture(scope="module", params=SIZES)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[torch.nn.Module, Path]:
    """A network of each size and its file."""
    net = lively(request.param)
    path = tmp_path_factory.mktemp("export") / f"{request.param}.onnx"
    export(net, path, request.param)
    return net, path


@pytest.mark.slow
@pytest.mark.parametrize("device", ["onnxruntime:cpu", "openvino:cpu"])
@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 17, 30), (1, 64, 48), (1, 101, 67)])
def test_files_paint_as_pytorch_does_at_any_size(
    exported: tuple[torch.nn.Module, Path], device: str, shape: tuple[int, int, int]
) -> None:
    net, path = exported
    batch = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    with torch.no_grad():
        trained, stored = (
            form(torch.from_numpy(batch)).numpy().astype(int)
            for form in (PictureNet(net), stored_form(net))
        )
    with open_engine(path, device, precision="fp32") as engine:
        got = engine.run(batch)
    assert got.shape == batch.shape
    assert got.dtype == np.uint8
    difference = np.abs(got.astype(int) - stored)
    assert difference.max() <= 3
    assert (difference <= 1).mean() >= 0.999
    # A random network magnifies what half precision takes off its weights; parity is for photos.
    assert np.abs(got.astype(int) - trained).max() <= 3


def test_files_hold_half_precision(exported: tuple[torch.nn.Module, Path]) -> None:
    net, path = exported
    values = sum(parameter.numel() for parameter in net.parameters())
    assert path.stat().st_size < 3 * values + 20_000


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_frames_stay_finite_and_flat(
    exported: tuple[torch.nn.Module, Path], level: int
) -> None:
    _, path = exported
    batch = np.full((1, 64, 64, 3), level, np.uint8)
    with open_engine(path, "cpu") as engine:
        out = engine.run(batch)
    # Away from the border a flat frame gives a picture that repeats with the stride.
    middle = out[0, 24:40, 24:40].astype(int)
    assert np.abs(middle[4:] - middle[:-4]).max() <= 6


@pytest.mark.slow
def test_parity_report_holds_on_the_bundled_pictures(
    exported: tuple[torch.nn.Module, Path],
) -> None:
    net, path = exported
    parity = measure_parity(net, path, style_feeds(frame[:120, :160] for frame in sample_frames(2)))
    assert parity.pictures == 2
    assert parity.holds
    parity.require()


def test_parity_report_sees_another_network(tmp_path: Path) -> None:
    path = tmp_path / "fast.onnx"
    export(lively("fast"), path)
    parity = measure_parity(build_network("fast").eval(), path, style_feeds([np.eye(64, dtype=np.uint8)[..., None].repeat(3, 2) * 200]))  # fmt: skip  # noqa: E501
    assert not parity.holds
    with pytest.raises(TrainingError, match="does not paint as the network"):
        parity.require()


def test_parity_bounds_are_those_of_the_issue() -> None:
    assert Parity("cpu", 1, 0.999, 3).holds
    assert not Parity("cpu", 1, 0.9989, 3).holds
    assert not Parity("cpu", 1, 1.0, 4).holds


def test_metadata_and_hash_are_inside(tmp_path: Path) -> None:
    path = tmp_path / "wave.onnx"
    digest = write_onnx(
        lively("fast"),
        path,
        name="wave",
        size="fast",
        credit=Credits("The Great Wave", "Hokusai", "1831", "public domain", "wave.jpg"),
        training={"steps": 7},
    )
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    model = onnx.load(str(path))
    props = {item.key: item.value for item in model.metadata_props}
    assert props["rtstyle.artist"] == "Hokusai"
    assert json.loads(props["rtstyle.training"]) == {"steps": 7}
    assert props["rtstyle.content_hash"] == content_hash(model)
    dims = [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert dims[:3] == ["batch", "height", "width"]


def test_only_fusable_operators_of_real_time_nets_touch_pictures(tmp_path: Path) -> None:
    path = tmp_path / "fast.onnx"
    export(lively("fast"), path)
    operators = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert not operators & {"Resize", "ConvTranspose", "DepthToSpace", "SpaceToDepth"}
    assert {"Conv", "InstanceNormalization", "Concat"} <= operators


def write_checkpoint(folder: Path, styles: tuple[str, ...] = ("a", "b")) -> Path:
    config = small_config(*(Path(f"/some/where/{name}.jpg") for name in styles))
    net = lively("fast", len(styles))
    checkpoint = Checkpoint(config, 4, net.state_dict(), None, 1.0, {"total": 2.0})
    path = folder / "checkpoint.pt"
    checkpoint.save(path)
    return path


@pytest.mark.slow
def test_command_writes_every_style_and_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, out = write_checkpoint(tmp_path), tmp_path / "out"
    words = ("export", str(checkpoint), "--out", str(out), "--manifest", "--artist", "Me")
    result = rtstyle(*words, "--pack", str(tmp_path / "mine.zip"))
    assert result.code == 0, result.output
    assert "mine.zip: a, b" in result.output
    with zipfile.ZipFile(tmp_path / "mine.zip") as pack:
        packed = json.loads(pack.read("manifest.json"))["styles"]
        assert {entry["artist"] for entry in packed.values()} == {"Me"}
        assert set(pack.namelist()) == {
            "manifest.json",
            *(path.name for path in out.glob("*.onnx")),
        }
    assert "within 1 level" in result.output
    assert result.output.count("int8 changes") == (2 if ov.has_int8() else 0)
    monkeypatch.setenv("RTSTYLE_STYLES", str(out))
    styles = load_manifest().styles
    assert set(styles) == {"a", "b"}
    assert styles["a"].artist == "Me"
    assert styles["a"].painting == "a.jpg"
    assert find_model("b", "fast").read_bytes() != find_model("a", "fast").read_bytes()
    assert "/some/where" not in (out / "manifest.json").read_text()
    assert b"/some/where" not in find_model("a", "fast").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_what_was_trained_in_8_bits_is_stored_so_at_parity(size: str, tmp_path: Path) -> None:
    config = small_config(Path("a.jpg"), size=size, weight_bits=8)
    path = tmp_path / "checkpoint.pt"
    net = lively(size)
    Checkpoint(config, 4, net.state_dict(), None, 1.0, {}).save(path)
    done = export_styles(Checkpoint.load(path), tmp_path)[0]
    assert done.parity.within_one > 0.9999
    tensors = onnx.load(done.path).graph.initializer
    types = [tensor.data_type for tensor in tensors]
    # The real-time networks are folded: there the first and the last layers have other kernels.
    assert types.count(onnx.TensorProto.INT8) >= (15 if size == "paper" else 5)
    if size != "paper":
        # Folded, it would not fit into 8 bits, so it is only rounded to 16.
        even = next(numpy_helper.to_array(t) for t in tensors if t.name == "up.0.weight.stored")
        exact = fold_upsample(net.up.weight.detach(), torch.zeros(16))[0].weight
        assert np.array_equal(even, exact.detach().half().numpy())


def test_a_file_tells_the_whole_objective_it_was_trained_with() -> None:
    spec = LossSpec({"relu2_2": 0.5}, {"conv1_2": 2.0}, 3.0, 4.0, 5.0, 6.0)
    config = small_config(Path("a.jpg"), loss=spec, loss_network="vgg19")
    facts = json.loads(json.dumps(training_facts(Checkpoint(config, 4, {}, None, 1.0, {}))))
    assert spec_of(facts) == spec
    assert facts["loss_network"] == "vgg19"
    # Files exported before say less.
    assert spec_of({"content_weight": 3.0, "style_weight": 4.0, "tv_weight": 5.0}) == LossSpec(
        content_weight=3.0, style_weight=4.0, tv_weight=5.0
    )


@pytest.mark.slow
def test_a_file_tells_which_part_of_the_painting_it_was_trained_on(tmp_path: Path) -> None:
    parts = ((1, 2, 30, 40), (0, 0, 5, 6))
    config = small_config(Path("a.jpg"), Path("b.jpg"), parts=parts)
    Checkpoint(config, 4, lively("fast", 2).state_dict(), None, 1.0, {}).save(tmp_path / "c.pt")
    export_styles(Checkpoint.load(tmp_path / "c.pt"), tmp_path, manifest=True)
    styles = json.loads((tmp_path / "manifest.json").read_text())["styles"]
    told = [styles[name]["files"]["fast"]["training"]["part"] for name in ("a", "b")]
    assert told == [list(part) for part in parts]


def test_a_trust_is_for_networks_that_see_a_canvas(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path)
    with pytest.raises(TrainingError, match="networks that see a canvas"):
        by_kind.export(checkpoint, tmp_path, by_kind.Request(trust=1.2), lambda *_: None)
    with pytest.raises(UsageError, match="out of range"):
        export_styles(Checkpoint.load(checkpoint), tmp_path, trust=9.0)


def test_unknown_style_of_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds a, b"):
        export_styles(Checkpoint.load(write_checkpoint(tmp_path)), tmp_path, style="c")


def test_failed_export_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = write_checkpoint(tmp_path, ("a",))
    old = tmp_path / "a-fast.onnx"
    old.write_bytes(b"old")
    bad = Parity("cpu", 1, 0.5, 99)
    monkeypatch.setattr("rtstyle_export.export.johnson.measure_parity", lambda *_: bad)
    with pytest.raises(TrainingError):
        export_styles(Checkpoint.load(checkpoint), tmp_path)
    assert old.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-fast.onnx", "checkpoint.pt"]


def shallow_loss(painting: torch.Tensor) -> PerceptualLoss:
    spec = LossSpec(content_layers={"relu2_2": 1.0}, style_layers={"relu1_2": 0.5, "relu2_2": 0.5})
    return PerceptualLoss(VGG("vgg16", spec.layers, vgg_state()), spec, [painting])


def test_gatys_optimisation_lowers_the_objective_from_noise() -> None:
    photo = np.kron(np.random.default_rng(0).integers(0, 256, (8, 8, 3)), np.ones((6, 6, 1)))
    loss = shallow_loss(torch.rand(1, 3, 48, 48) * 2 - 1)
    curve = gatys_curve(loss, photo.astype(np.uint8), 25)
    assert len(curve) == 25
    assert sorted(curve, reverse=True) == curve
    assert curve[-1] < 0.7 * curve[0]


def test_score_tells_a_steady_painter_from_a_flickering_one() -> None:
    photo = np.kron(np.random.default_rng(0).integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1)))
    photos = [photo.astype(np.uint8)]
    loss = shallow_loss(torch.rand(1, 3, 48, 48) * 2 - 1)
    generator = torch.Generator().manual_seed(0)
    steady = Score.mean(score(lambda x: x, loss, photos))
    (flicker,) = score(
        lambda x: (x + torch.randn(x.shape, generator=generator)).clamp(-1, 1), loss, photos
    )
    assert steady.stability < 0.1 * flicker.stability
    assert steady.content == pytest.approx(0, abs=1e-6)
    assert flicker.content > 0.1
