"""Networks read back out of their files, and training that starts from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.adain_runs import make, material, quick_fitting  # noqa: E402, F401
from helpers.console import rtstyle  # noqa: E402
from helpers.models import network_model  # noqa: E402
from helpers.training import small_config, vgg19_state, write_painting, write_pictures, write_vgg  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from rtstyle.commands.training.train_adain import find_start as find_any_start  # noqa: E402
from rtstyle.engines import EngineOptions, open_engine, read_model  # noqa: E402
from rtstyle.engines.canvas import Canvas  # noqa: E402
from rtstyle.engines.onnxrt import open_session  # noqa: E402
from rtstyle.errors import StyleError, TrainingError  # noqa: E402
from rtstyle.samples import sample_frames  # noqa: E402
from rtstyle.styles.manifest import FOLDER_VARIABLE, find_model, load_manifest  # noqa: E402
from rtstyle_export.data import list_pictures, read_picture  # noqa: E402
from rtstyle_export.export.adain import export_adain  # noqa: E402
from rtstyle_export.export.wct_onnx import DecoderFile  # noqa: E402
from rtstyle_export.maths.vgg import load_vgg  # noqa: E402
from rtstyle_export.networks.canvas import without_canvas  # noqa: E402
from rtstyle_export.networks.johnson import build_network  # noqa: E402
from rtstyle_export.networks.wct import WctDecoder  # noqa: E402
from rtstyle_export.onnx_files.writer import Credits, on_bytes, write_onnx  # noqa: E402
from rtstyle_export.runs.checkpoint import (  # noqa: E402
    Checkpoint,
    initial_weights,
    scales_of,
    without_scales,
)
from rtstyle_export.runs.onnx_reader import checkpoint_of, wct_checkpoint_of  # noqa: E402


@pytest.fixture(autouse=True)
def _shipped_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["fast", "balanced", "paper"])
def test_a_built_in_style_paints_the_same_once_read_back(size: str) -> None:
    path = find_model("mosaic", size)
    source = checkpoint_of(path)
    assert (source.config.styles, source.johnson().size) == (("mosaic",), size)
    assert source.step > 0
    frame = next(sample_frames(1))[:96, :120].copy()
    with open_engine(path, "cpu", precision="fp32") as engine:
        over = Canvas(frame[:, ::-1].copy(), np.full((48, 60), 200, np.uint8))
        extra = over.feeds() if engine.extras else {}
        wanted = engine.run(frame[None], extra or None)
    given = [torch.from_numpy(value) for value in (frame[None], *extra.values())]
    with torch.no_grad():
        found = on_bytes(source.network())(*given).numpy().astype(int)
    assert np.abs(found - wanted).max() <= 1


def test_weights_come_back_to_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, path = build_network("fast"), tmp_path / "test-fast.onnx"
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    write_onnx(net.eval(), path, name="test", size="fast", credit=Credits(), training={"steps": 7})
    source = checkpoint_of(path)
    assert source.step == 7
    assert source.model.keys() == net.state_dict().keys()
    for key, value in net.state_dict().items():
        torch.testing.assert_close(source.model[key], value, atol=2e-3, rtol=1e-3)
    start = initial_weights(source, small_config(Path("other.jpg")))
    assert torch.equal(start["down.weight"], source.model["down.weight"])
    assert torch.equal(start["stem_norm.weight"], source.model["stem_norm.weight"])


@pytest.mark.slow
@pytest.mark.parametrize("size", ["fast", "paper"])
@pytest.mark.usefixtures("quick_fitting")
def test_a_network_for_any_style_comes_back(size: str, tmp_path: Path) -> None:
    place = material(tmp_path)
    run = make(place, "run", size=size, steps=1)
    assert run.run()
    vgg = place / "vgg19.safetensors"
    out = tmp_path / "out"
    pictures = [read_picture(path) for path in list_pictures(place / "photos")]
    export_adain(Checkpoint.load(run.path), out, pictures=pictures, vgg_weights=vgg)
    file = out / f"any-{size}-content.onnx"
    again = make(place, "again", size=size, init_from=file)
    for wanted, found in zip(run.scales, again.scales, strict=True):
        torch.testing.assert_close(found, wanted, rtol=2e-4, atol=0)
    tolerance = {"fast": 2e-3, "paper": 0.02}[size]  # half precision, and 8 bits
    for key, value in run.net.state_dict().items():
        if ".encoder." not in key:
            difference = float((again.net.state_dict()[key] - value).abs().max())
            assert difference <= tolerance * max(1.0, float(value.abs().max())), key
    with pytest.raises(TrainingError, match="content file"):
        make(place, "wrong", size=size, init_from=out / f"any-{size}-style.onnx")
    with pytest.raises(TrainingError, match="cannot be read"):
        make(place, "none", size=size, init_from=out / "missing.onnx")


def test_any_names_the_built_in_network() -> None:
    assert find_any_start("any", "fast").name == "any-fast-content.onnx"
    assert find_any_start("some/checkpoint.pt", "fast") == Path("some/checkpoint.pt")


def test_a_decoder_of_wct_comes_back(tmp_path: Path) -> None:
    file = load_manifest().wct["decoder-2"].path
    save_file(vgg19_state("conv2_1"), tmp_path / "vgg19.safetensors")
    vgg = load_vgg("vgg19", ["relu2_1"], tmp_path / "vgg19.safetensors")
    source = wct_checkpoint_of(file, vgg)
    assert [scale.shape for scale in scales_of(source.model)] == [(64,), (64,), (128,)]
    decoder = WctDecoder(2)
    decoder.load_state_dict(without_scales(source.model))
    features = torch.rand(1, 128, 20, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = DecoderFile(decoder)(features).numpy().astype(int)
    session = open_session(read_model(file), EngineOptions())
    found = session.run(None, {session.get_inputs()[0].name: features.numpy()})[0]
    assert np.abs(found - wanted).max() <= 1
    with pytest.raises(TrainingError, match="not the decoder"):
        wct_checkpoint_of(file.with_name("wct-encoder.onnx"), vgg)


@pytest.mark.parametrize("content", [b"nothing", b"", network_model(4)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "style.onnx"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"style\.onnx"):
        checkpoint_of(path)
    with pytest.raises(TrainingError, match=r"missing\.onnx"):
        checkpoint_of(tmp_path / "missing.onnx")


def test_training_starts_from_a_built_in_name(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos")
    write_painting(tmp_path / "painting.png")
    write_vgg(tmp_path)
    words = [
        "train", str(tmp_path / "painting.png"), str(tmp_path / "photos"), "--size", "fast",
        "--steps", "1", "--batch", "1", "--crop", "64", "--style-size", "64",
        "--content-layers", "relu2_2", "--style-layers", "relu1_2,relu2_2",
        "--learning-rate", "1e-9", "--vgg-weights", str(tmp_path / "vgg16.safetensors"),
        "--out", str(tmp_path / "out"), "--device", "cpu", "--precision", "fp32",
        "--no-canvas", "--no-add", "--init-from",
    ]  # fmt: skip
    wrong = rtstyle(*words, "mosiac")
    assert isinstance(wrong.error, StyleError)
    assert "mosaic" in str(wrong.error)
    assert not (tmp_path / "out").exists()
    result = rtstyle(*words, "mosaic")
    assert result.code == 0, result.output
    trained = Checkpoint.load(tmp_path / "out" / "checkpoint.pt").model
    known = without_canvas(checkpoint_of(find_model("mosaic", "fast")).model)
    assert known.keys() == trained.keys()
    for key, value in known.items():
        torch.testing.assert_close(trained[key], value, atol=1e-6, rtol=0)
