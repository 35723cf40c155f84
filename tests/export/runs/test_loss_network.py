"""Weights of the loss network without a file and without a download: what ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from helpers import console  # noqa: E402
from helpers.training import (  # noqa: E402
    vgg19_state,
    write_painting,
    write_pictures,
    write_vgg,
)
from PIL import Image as Pil  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from rtstyle.styles.manifest import FOLDER_VARIABLE, find_wct  # noqa: E402
from rtstyle_export.maths.vgg import load_vgg  # noqa: E402
from rtstyle_export.offline.objective import GatysSpec, without_download  # noqa: E402
from rtstyle_export.runs import loss_network  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.loss_network import find_vgg, reachable, ships, usual_network  # noqa: E402
from rtstyle_export.runs.onnx_reader import encoder_of  # noqa: E402

FILE = Path("vgg19.safetensors")


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE)


def picture() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.nn.functional.interpolate(
        torch.rand(1, 3, 8, 8, generator=generator) * 2 - 1, size=(64, 64), mode="bicubic"
    ).clamp(-1, 1)


@pytest.mark.usefixtures("shipped")
class TestShipped:
    def test_what_ships_ends_at_relu4_1(self) -> None:
        assert ships("vgg19", ["conv1_1", "relu2_2", "pool3", "conv4_1", "relu4_1"])
        assert not ships("vgg19", ["conv4_2"])
        assert not ships("vgg16", ["relu1_2"])

    def test_its_weights_are_those_of_the_file(self) -> None:
        stored = encoder_of(find_wct("encoder"))
        vgg = find_vgg("vgg19", ["relu4_1"])
        assert torch.equal(vgg.features[0].weight, stored["convs.0.weight"])
        assert torch.equal(vgg.features[19].bias, stored["convs.8.bias"])
        assert vgg(picture())["relu4_1"].shape == (1, 512, 8, 8)

    def test_it_is_oxfords_but_for_the_scale_of_filters(self, data: Path) -> None:
        whole = load_vgg("vgg19", ["relu1_1", "relu4_1"], data / "weights" / "vgg19.safetensors")
        vgg = find_vgg("vgg19", ["relu1_1", "relu4_1"])
        for layer, wanted in whole(picture()).items():
            found = vgg(picture())[layer]
            for own, other in zip(found[0].flatten(1), wanted[0].flatten(1), strict=True):
                if float(other.std()) > 0.05 * float(wanted.std()):
                    assert float(torch.corrcoef(torch.stack([own, other]))[0, 1]) > 0.97, layer

    def test_a_style_is_taught_by_oxfords_own_scales(self, data: Path) -> None:
        layers = ["relu1_2", "relu3_3", "relu4_1"]
        whole = load_vgg("vgg19", layers, data / "weights" / "vgg19.safetensors")(picture())
        divided, plain = (find_vgg("vgg19", layers, plain=p)(picture()) for p in (False, True))
        for layer, wanted in whole.items():
            size = float(wanted.norm())
            assert float((plain[layer] - wanted).norm()) < 1e-3 * size, layer
            assert float((divided[layer] - wanted).norm()) > 0.9 * size, layer

    def test_deeper_layers_move_to_the_deepest(self) -> None:
        layers = {"conv3_1": 0.2, "conv4_1": 0.2, "conv5_1": 0.2}
        assert reachable("vgg19", layers) == {"conv3_1": 0.2, "conv4_1": 0.4}
        assert reachable("vgg19", {"relu4_3": 0.05}) == {"relu4_1": 0.05}
        assert reachable("vgg19", layers, FILE) == layers
        assert reachable("vgg16", layers) == layers

    def test_a_style_learns_from_it_unless_there_is_a_file(self, tmp_path: Path) -> None:
        assert usual_network() == "vgg19"
        assert usual_network(write_vgg(tmp_path)) == "vgg16"
        save_file(vgg19_state("conv4_1"), tmp_path / "vgg19.safetensors")
        assert usual_network(tmp_path / "vgg19.safetensors") == "vgg19"
        assert usual_network(tmp_path / "missing.safetensors") == "vgg16"

    def test_chosen_layers_stay(self) -> None:
        spec = without_download(GatysSpec(), None)
        assert spec.content_layers == {"conv4_1": 1.0}
        assert spec.style_layers == pytest.approx(
            {"conv1_1": 0.2, "conv2_1": 0.2, "conv3_1": 0.2, "conv4_1": 0.4}
        )
        assert without_download(GatysSpec(), None, ["style_layers"]).style_layers == (
            GatysSpec().style_layers
        )
        assert without_download(GatysSpec(), FILE) == GatysSpec()


def test_a_folder_without_it_takes_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_network, "load_vgg", lambda *asked: asked)
    assert find_vgg("vgg19", ["relu1_1"]) == ("vgg19", ("relu1_1",), None)
    assert reachable("vgg19", {"conv5_1": 1.0}) == {"conv5_1": 1.0}
    assert usual_network() == "vgg16"


@pytest.mark.usefixtures("shipped")
class TestCommands:
    @pytest.fixture(autouse=True)
    def no_download(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loss_network, "load_vgg", lambda *_: pytest.fail("a download"))

    @pytest.mark.slow
    def test_gatys_out_of_the_box(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        photo = write_pictures(tmp_path / "photos", 1) / "0.png"
        painting, out = write_painting(tmp_path / "painting.png"), tmp_path / "out.png"
        words = ("--long-side", 64, "--iterations", 4, "--precision", "fp32")
        assert console.command("still", photo, out, "--style", painting, *words) == 0
        said = capsys.readouterr()
        assert said.err.count("note: VGG-19 ends at relu4_1 here") == 1
        assert "objective" in said.out
        painted = np.asarray(Pil.open(out)).astype(int)
        before = np.asarray(Pil.open(photo).resize(painted.shape[1::-1]).convert("RGB"))
        assert np.abs(painted - before).mean() > 2

    @pytest.mark.slow
    def test_a_texture_and_reconstructions(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        painting = write_painting(tmp_path / "painting.png")
        words = ("--width", 32, "--height", 32, "--iterations", 1, "--precision", "fp32")
        assert console.command("texture", painting, tmp_path / "texture.png", *words) == 0
        sheet = ("--side", 32, "--iterations", 1)
        assert console.command("reconstruct", painting, tmp_path / "sheet.png", *sheet) == 0
        said = capsys.readouterr()
        assert said.err.count("VGG-19 ends at relu4_1") == 2
        # Four layers of content, and four sets of them of style.
        assert "8 pictures" in said.out

    @pytest.mark.slow
    def test_an_own_style(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        photos = write_pictures(tmp_path / "photos")
        painting, out = write_painting(tmp_path / "painting.png"), tmp_path / "run"
        words = ("--no-canvas", "--size", "fast", "--steps", 1, "--batch", 1, "--crop", 64)
        run = (
            "--style-size",
            64,
            "--no-add",
            "--out",
            out,
            "--precision",
            "fp32",
            "--device",
            "cpu",
        )
        assert console.command("train", painting, photos, *words, *run) == 0
        assert capsys.readouterr().err.count("note: the loss network is VGG-19 up to relu4_1") == 1
        config = Checkpoint.load(out / "checkpoint.pt").johnson()
        assert config.loss_network == "vgg19"
        assert list(config.loss.style_layers) == ["relu1_2", "relu2_2", "relu3_3", "relu4_1"]
