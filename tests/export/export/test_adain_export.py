"""Export of networks for any style: parity, storage in half precision, regions, the manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from helpers.adain_runs import make, material, quick_fitting  # noqa: E402, F401
from helpers.console import rtstyle  # noqa: E402
from helpers.models import identity_model, write_pretrained  # noqa: E402
from PIL import Image as Pil  # noqa: E402

from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle.painting.stylizer import Stylizer  # noqa: E402
from rtstyle.styles import manifest  # noqa: E402
from rtstyle_export.export.adain import (  # noqa: E402
    export_adain,
    find_paintings,
    load_pair,
    take_over,
)
from rtstyle_export.export.wct_onnx import write_encoder  # noqa: E402
from rtstyle_export.maths.functional import (  # noqa: E402
    adain,
    channel_statistics,
    regional_adain,
    regional_statistics,
)
from rtstyle_export.networks.adain_fast import FastAdain  # noqa: E402
from rtstyle_export.networks.realtime import RealTimeSpec  # noqa: E402
from rtstyle_export.onnx_files.adain import (  # noqa: E402
    ContentNet,
    FoldedContentNet,
    RegionsNet,
    encoder_hash,
)
from rtstyle_export.onnx_files.storage import donors_of  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.config import TrainConfig  # noqa: E402

SMALL = RealTimeSpec(stem=4, body=8, blocks=1, tail=4, border=16)


class TestRegions:
    def test_statistics_of_halves(self) -> None:
        x = torch.randn(1, 3, 64, 64) * 2 + 1
        weights = torch.zeros(1, 2, 64, 64)
        weights[:, 0, :, :32], weights[:, 1, :, 32:] = 1, 1
        mean, std = regional_statistics(x, weights, prior=0.0)
        for k, half in enumerate((x[..., :32], x[..., 32:])):
            wanted = channel_statistics(half)
            assert torch.allclose(mean[:, :, k], wanted[0], atol=1e-4)
            assert torch.allclose(std[:, :, k], wanted[1], atol=1e-4)

    def test_one_region_is_plain_adain(self) -> None:
        x, ones = torch.randn(2, 3, 16, 16), torch.ones(2, 1, 16, 16)
        mean, std = torch.randn(2, 3), torch.rand(2, 3) + 0.5
        found = regional_adain(x, ones, mean[:, :, None], std[:, :, None])
        assert torch.allclose(found, adain(x, mean, std), atol=1e-4)

    def test_each_region_gets_the_statistics_of_its_style(self) -> None:
        x = torch.randn(1, 4, 64, 64)
        weights = torch.zeros(1, 2, 64, 64)
        weights[:, 0, :40], weights[:, 1, 40:] = 1, 1
        mean, std = torch.randn(1, 4, 2), torch.rand(1, 4, 2) + 0.5
        painted = regional_adain(x, weights, mean, std)
        for k, part in enumerate((painted[:, :, :40], painted[:, :, 40:])):
            found = channel_statistics(part)
            assert torch.allclose(found[0], mean[:, :, k], atol=0.02)
            assert torch.allclose(found[1], std[:, :, k], atol=0.02)

    def test_an_empty_region_stays_finite(self) -> None:
        weights = torch.zeros(1, 2, 8, 8)
        weights[:, 0] = 1
        found = regional_adain(torch.randn(1, 2, 8, 8), weights, *torch.rand(2, 1, 2, 2))
        assert torch.isfinite(found).all()


class TestForms:
    def picture(self, height: int = 37, width: int = 50) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randint(0, 256, (1, height, width, 3), generator=generator, dtype=torch.uint8)

    def test_the_folded_form_is_the_same_function(self) -> None:
        net = FastAdain(SMALL).eval()
        numbers = torch.randn(1, net.numbers) * 0.3
        for strength in (0.0, 0.4, 1.0):
            given = (self.picture(), numbers, torch.tensor([strength]))
            with torch.no_grad():
                wanted, found = ContentNet(net)(*given), FoldedContentNet(net)(*given)
            assert (wanted.int() - found.int()).abs().max() <= 1

    def test_one_region_is_the_plain_network(self) -> None:
        net = FastAdain(SMALL).eval()
        numbers, one = torch.randn(1, net.numbers) * 0.3, torch.ones(1)
        with torch.no_grad():
            wanted = ContentNet(net)(self.picture(), numbers, one)
            whole = torch.ones(1, 1, 37, 50)
            found = RegionsNet(net)(self.picture(), numbers[:, None], one, whole)
        assert (wanted.int() - found.int()).abs().max() <= 1


class TestBorders:
    def test_a_flat_picture_has_no_frame(self) -> None:
        net = FastAdain(SMALL).eval()
        flat = torch.full((1, 64, 64, 3), 90, dtype=torch.uint8)
        with torch.no_grad():
            found = ContentNet(net)(flat, torch.randn(1, net.numbers) * 0.3, torch.ones(1))
        # Nearest upsampling repeats with the stride; nothing else may differ.
        assert torch.equal(found, found[:, 8:12, 8:12].repeat(1, 16, 16, 1))

    @pytest.mark.parametrize(("norm", "step"), [(-2, 4), (-1, 2)], ids=["quarter", "half"])
    def test_regions_lie_where_their_weights_are(self, norm: int, step: int) -> None:
        """Only one norm tells the regions apart: the picture must change at its step."""
        net, edge = FastAdain(SMALL).eval(), 24 + step
        with torch.no_grad():
            for conv in (net.up, net.out):
                conv.weight.zero_()
                conv.bias.zero_()
                conv.weight[:, 0, 1, 1] = 1
            for conv in (net.stem, net.down, *net.blocks):
                conv.weight.zero_()
        parts = [torch.zeros(1, 2, size) for size in net.sizes]
        width = net.sizes[norm] // 2
        parts[norm][:, 1, width:] = 0.5  # the shifts of the second region
        numbers = torch.cat([*parts, torch.zeros(1, 2, 6)], dim=2)
        weights = torch.zeros(1, 2, 64, 64)
        weights[:, 0, :, :edge], weights[:, 1, :, edge:] = 1, 1
        image, found = torch.rand(1, 3, 64, 64), []
        # Before the colours, which are set by region, too.
        net.out.register_forward_hook(lambda _m, _i, y: found.append(net.spec.cropped(y, image)))
        with torch.no_grad():
            net.regional(image, numbers, torch.ones(1), weights)
        change = (found[0][0, 0].diff(dim=1).abs().amax(0) > 0.1).nonzero().flatten()
        assert change.tolist() == [edge - 1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material(tmp_path_factory.mktemp("adain-export"))


@pytest.mark.slow
@pytest.mark.parametrize("size", ["fast", "paper"])
@pytest.mark.usefixtures("quick_fitting")
def test_export(
    size: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make(place, f"run-{size}", size=size, steps=1)
    run.save()
    out = tmp_path / "styles"
    write_pretrained(out, {"identity": {"fast": identity_model()}})
    data = json.loads((out / "manifest.json").read_text())
    painting = sorted((place / "paintings").iterdir())[0]
    data["styles"]["identity"]["painting"] = painting.name
    (out / "manifest.json").write_text(json.dumps(data))
    encoder, _ = load_pair(Checkpoint.load(run.path), place / "vgg19.safetensors")
    write_encoder(encoder, out / "wct-encoder.onnx")
    arguments = [
        *("export", run.path, "--out", out, "--manifest"),
        *("--vgg-weights", place / "vgg19.safetensors"),
        *("--photos", place / "photos", "--paintings", place / "paintings"),
    ]
    done = rtstyle(*arguments)
    assert done.code == 0, done.output
    assert "100.0000% within 1 level" in done.out
    monkeypatch.setenv("RTSTYLE_STYLES", str(out))
    assert manifest.find_any("content", size).training["steps"] == 0
    # VGG-19 is in the encoder's file already.
    style = manifest.find_any("style", size)
    assert donors_of(style.path) == ["wct-encoder.onnx"]
    assert style.donors[0][0] == out / "wct-encoder.onnx"
    weights = onnx.load(out / f"any-{size}-content.onnx").graph.initializer
    # The paper's encoder has 8 large convolutions in half precision, its decoder 8 in 8 bits, and
    # so are the 3 that join it.
    types = [weight.data_type for weight in weights]
    assert types.count(onnx.TensorProto.INT8) == (11 if size == "paper" else 0)
    photo = np.asarray(Pil.open(sorted((place / "photos").iterdir())[0]).convert("RGB"))
    half = np.zeros((*photo.shape[:2], 3), np.uint8)
    half[:, photo.shape[1] // 2 :] = 255
    names = [str(painting), "identity:1"]
    for style, mask in ((names[0], None), (names[1], None), (names, half)):
        with Stylizer(style, size, mask=mask, device="cpu") as stylize:
            assert stylize(photo).shape == photo.shape


def test_a_painting_is_seen_as_the_style_was_trained_on_it(tmp_path: Path) -> None:
    for name in ("whole.png", "framed.png", "other.png"):
        Pil.new("RGB", (40, 30)).save(tmp_path / name)
    files = {"fast": {"training": {}}, "balanced": {"training": {"part": [3, 4, 30, 20]}}}
    known = {
        "a": {"painting": "whole.png", "files": {"fast": {}}},
        "b": {"painting": "framed.png", "files": files},
        "c": {"painting": "missing.png", "files": files},
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"styles": known}))
    picture = np.zeros((30, 40, 3))
    found = {name: picture[part].shape for name, _, part in find_paintings(tmp_path, tmp_path)}
    assert found == {"a": (30, 40, 3), "b": (16, 27, 3)}


@pytest.mark.slow
def test_an_encoder_that_differs_in_the_last_bits_is_taken_over(place: Path) -> None:
    run = make(place, "nearly", size="fast", steps=1)
    run.save()
    vgg = place / "vgg19.safetensors"
    donor = place / "nearly.onnx"
    stored, _ = load_pair(Checkpoint.load(run.path), vgg)
    write_encoder(stored, donor)
    run.scales = [scale * (1 + 1e-6) for scale in run.scales]
    run.save()
    near, _ = load_pair(Checkpoint.load(run.path), vgg)
    assert encoder_hash(near) != encoder_hash(stored)
    take_over(near, donor)
    assert encoder_hash(near) == encoder_hash(stored)
    run.scales = [scale * 1.1 for scale in run.scales]
    run.save()
    other, _ = load_pair(Checkpoint.load(run.path), vgg)
    before = encoder_hash(other)
    take_over(other, donor)
    assert encoder_hash(other) == before


def test_another_kind_of_checkpoint_is_told(place: Path) -> None:
    config = TrainConfig(styles=("a",), paintings=("a.jpg",))
    with pytest.raises(TrainingError, match="johnson"):
        export_adain(Checkpoint(config, 0, {}, None, 0.0, {}), place, pictures=[])
