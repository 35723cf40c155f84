"""Training and export of the decoders of WCT, on generated pictures and a random VGG-19."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from helpers import wct_runs  # noqa: E402
from helpers.training import vgg19_state  # noqa: E402
from helpers.wct_runs import command, material, pictures_of  # noqa: E402

from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle.painting.wct.models import WctModels  # noqa: E402
from rtstyle.painting.wct.stylizer import WctStylizer  # noqa: E402
from rtstyle.styles import manifest  # noqa: E402
from rtstyle_export.data import read_picture, to_tensor  # noqa: E402
from rtstyle_export.export.wct import export_wct, runs_below  # noqa: E402
from rtstyle_export.export.wct_onnx import load_run  # noqa: E402
from rtstyle_export.maths.vgg import layer_names  # noqa: E402
from rtstyle_export.networks.adain import PAPER_PLAN, PaperDecoder  # noqa: E402
from rtstyle_export.networks.encoder import Encoder  # noqa: E402
from rtstyle_export.networks.wct import LEVELS, WctDecoder, decoder_plan, layer  # noqa: E402
from rtstyle_export.runs.adain_config import AdainConfig  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint, scales_of  # noqa: E402
from rtstyle_export.runs.loss_network import find_vgg, read_scales  # noqa: E402
from rtstyle_export.train.wct import WctTrainer, convolutions  # noqa: E402


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos and random VGG-19 weights up to conv3_1."""
    return material(tmp_path_factory.mktemp("wct-train"), "conv3_1")


def make(place: Path, run: str, init_from: Path | None = None, **options: object) -> WctTrainer:
    return wct_runs.make(WctTrainer, place, run, init_from, **{"level": 2, **options})


class TestNetworks:
    def test_plans_mirror_the_encoder(self) -> None:
        assert decoder_plan(4) == PAPER_PLAN
        for level in LEVELS:
            plan = decoder_plan(level)
            assert plan.count("up") == level - 1
            names = layer_names("vgg19")
            encoder = [n for n in names[: names.index(layer(level)) + 1] if n.startswith("conv")]
            assert len(plan) - plan.count("up") == len(encoder)
            assert decoder_plan(5)[-len(plan) :] == plan

    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_a_decoder_gives_the_picture_its_size_back(self, level: int) -> None:
        encoder = Encoder(vgg19_state("conv3_1"), last=layer(level))
        found = encoder(torch.zeros(1, 3, 48, 32))
        assert list(found) == [layer(each) for each in range(1, level + 1)]
        assert WctDecoder(level)(found[layer(level)]).shape == (1, 3, 48, 32)

    def test_unknown_levels(self) -> None:
        with pytest.raises(TrainingError, match="There is no level 6"):
            decoder_plan(6)


@pytest.mark.slow
class TestTraining:
    def test_the_loss_falls(self, place: Path) -> None:
        run = make(place, "falls", level=1, steps=12, learning_rate=1e-3)
        seen: list[dict[str, float]] = []
        run.run(lambda progress: seen.append(progress.losses))
        assert {"pixel", "feature", "total"} <= seen[0].keys()
        assert sum(x["total"] for x in seen[-3:]) < 0.9 * sum(x["total"] for x in seen[:3])

    def test_a_resumed_run_ends_as_an_unbroken_one(self, place: Path) -> None:
        whole = make(place, "whole")
        whole.run()
        broken = make(place, "broken")
        broken.run(should_stop=lambda: broken.step == 2)
        resumed = make(place, "broken")
        assert resumed.step == 2
        resumed.run()
        for key, value in whole.weights().items():
            assert torch.allclose(value, resumed.weights()[key], atol=1e-6), key

    def test_lambda_weighs_the_features(self, place: Path) -> None:
        photo = to_tensor(read_picture(place / "photos" / "0.png", 64))[..., :64, :64]
        parts = []
        for weight in (0.0, 2.0):
            total, report = make(place, f"w{weight}", feature_weight=weight).losses(
                photo, torch.Generator()
            )
            parts.append((float(total.detach()), report))
        assert parts[0][0] == pytest.approx(float(parts[0][1]["pixel"]))
        both = parts[1][1]
        assert parts[1][0] == pytest.approx(float(both["pixel"] + 2 * both["feature"]))

    def test_it_starts_from_the_level_before(self, place: Path) -> None:
        first = make(place, "1", level=1, steps=1)
        first.run()
        second = make(place, "2", init_from=first.path)
        mine, before = second.net.convs, first.net.convs
        assert torch.equal(mine[-1].weight, before[-1].weight)
        assert torch.equal(second.scales[0], first.scales[0])
        assert len(second.scales) == 3

    def test_it_starts_from_adain(self, place: Path, tmp_path: Path) -> None:
        decoder = PaperDecoder()
        weights = {f"net.decoder.{k}": v for k, v in decoder.state_dict().items()}
        scales = {f"scales.{i}": torch.full((1,), 2.0) for i in range(1)}
        path = tmp_path / "adain.pt"
        Checkpoint(AdainConfig(), 1, {**weights, **scales}, None, 0.0, {}).save(path)
        assert len(convolutions(Checkpoint.load(path).model)) == 9
        run = make(place, "from-adain", init_from=path, level=3)
        for mine, theirs in zip(run.net.convs[1:], decoder.convs[5:], strict=True):
            assert torch.equal(mine.weight, theirs.weight)

    def test_kernels_are_trained_and_stored_in_8_bits(self, place: Path, tmp_path: Path) -> None:
        run = make(place, "bits/2", weight_bits=8, steps=2)
        run.run()
        exact = run.net.convs[0].weight.detach()
        _, stored = load_run(run.path)
        step = exact.abs().amax(dim=(1, 2, 3), keepdim=True) / 127
        apart = (stored.convs[0].weight.detach() - exact).abs()
        assert float(apart.max()) > 0
        assert bool((apart <= 0.51 * step).all())
        pictures = pictures_of(place)
        export_wct(
            place / "bits", tmp_path, pictures=pictures, vgg_weights=place / "vgg19.safetensors"
        )
        values = 128 * 64 * 9 + 64 * 64 * 9
        assert (tmp_path / "wct-decoder-2.onnx").stat().st_size < 1.1 * values + 16_000

    def test_another_level_in_the_same_folder_is_refused(self, place: Path) -> None:
        make(place, "same", level=1, steps=1).run()
        with pytest.raises(TrainingError, match="other options"):
            make(place, "same", level=2)

    def test_the_preview_shows_odd_photos(self, place: Path) -> None:
        shown = make(place, "preview").preview(torch.zeros(1, 3, 50, 70))
        assert shown["relu2_1"].shape == (3, 50, 70)


@pytest.fixture(scope="module")
def exported(place: Path) -> Path:
    for level in (1, 2):
        before = place / "runs" / str(level - 1) / "checkpoint.pt"
        start = before if level > 1 else None
        make(place, f"runs/{level}", init_from=start, level=level, steps=2).run()
    pictures = pictures_of(place)
    export_wct(
        place / "runs", place / "out", pictures=pictures,
        vgg_weights=place / "vgg19.safetensors", manifest=True,
    )  # fmt: skip
    return place / "out"


class TestExport:
    def test_files_decode_as_the_networks_do(self, place: Path, exported: Path) -> None:
        names = sorted(path.name for path in exported.iterdir())
        assert names == [
            "manifest.json", "wct-decoder-1.onnx", "wct-decoder-2.onnx", "wct-encoder.onnx",
            "wct-scales.npz",
        ]  # fmt: skip
        _, decoder = load_run(place / "runs" / "2" / "checkpoint.pt")
        with WctModels(exported, threads=1) as models:
            features = models.encode(np.zeros((32, 48, 3), np.uint8), (2,))[0]
            found = models.decode(features, 2)
        wanted = decoder(torch.from_numpy(features)[None]).clamp(-1, 1)[0].permute(1, 2, 0)
        assert np.abs(found - (wanted.detach().numpy() + 1) * 127.5).max() < 1.5

    def test_weights_are_stored_in_half_precision(self, exported: Path) -> None:
        values = 128 * 64 * 9 + 64 * 64 * 9 + 64 * 3 * 9
        assert (exported / "wct-decoder-2.onnx").stat().st_size < 2 * values + 16_000

    def test_the_manifest_makes_them_ship(
        self, exported: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RTSTYLE_STYLES", str(exported))
        entry = json.loads((exported / "manifest.json").read_text())["wct"]["decoder-2"]
        assert entry["training"]["level"] == 2
        assert manifest.find_wct("decoder-2").name == "wct-decoder-2.onnx"
        with WctStylizer(threads=1) as painter:
            assert painter.levels == (2, 1)
            style = painter.learn(np.zeros((40, 40, 3), np.uint8), (40, 40))
            painted = painter(np.full((40, 50, 3), 99, np.uint8), [[(style, 1.0)]])
            assert painted.shape == (40, 50, 3)

    def test_mean_activations_lie_beside_the_encoder(
        self, place: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RTSTYLE_STYLES", str(exported))
        scales = read_scales(manifest.find_wct("scales"))
        run = load_run(place / "runs" / "2" / "checkpoint.pt")[0]
        assert [len(scale) for scale in scales] == [64, 64, 128]
        for own, wanted in zip(scales, scales_of(run.model), strict=True):
            assert torch.equal(own, wanted)
        # Weights of a random VGG-19, as they were before they were divided.
        vgg = find_vgg("vgg19", ["relu2_1"], plain=True)
        for key, wanted in vgg19_state("conv2_1").items():
            own = vgg.state_dict()[key]  # from half precision
            assert float((own - wanted).norm()) <= 0.02 * float(wanted.norm()), key

    def test_those_of_another_encoder_are_not_listed(
        self, place: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(exported, tmp_path / "out")
        # Its weights are those that ship, which were divided before: by how much is not in the run.
        monkeypatch.setenv("RTSTYLE_STYLES", str(exported))
        export_wct(place / "runs", tmp_path / "out", pictures=pictures_of(place), manifest=True)
        parts = json.loads((tmp_path / "out" / "manifest.json").read_text())["wct"]
        assert list(parts) == ["encoder", "decoder-1", "decoder-2"]

    def test_levels_of_different_encoders_are_refused(self, place: Path, tmp_path: Path) -> None:
        for level in (1, 2):
            run = load_run(place / "runs" / str(level) / "checkpoint.pt")[0]
            if level == 1:
                run.model["scales.0"] = run.model["scales.0"] * 2
            run.save(tmp_path / str(level) / "checkpoint.pt")
        with pytest.raises(TrainingError, match="Level 1 has another encoder"):
            export_wct(tmp_path, tmp_path / "out", pictures=[])

    def test_other_folders(self, place: Path, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match="no runs"):
            runs_below(tmp_path)


@pytest.mark.slow
def test_the_command_trains_levels_in_turn(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "turn"
    words = [place / "photos", "--level", "1,2", "--crop", 64, "--batch", 1, "--steps", 1]
    assert command(*words, "--vgg-weights", place / "vgg19.safetensors", "--out", out) == 0
    assert capsys.readouterr().out.count("Finished after 1 steps") == 2
    assert (out / "2" / "preview.png").is_file()
    assert [path.parent.name for path in runs_below(out)] == ["1", "2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--level", "6"], "There is no level"),
        (["--level", "4"], "do not reach the layers"),
        (["--crop", "100"], "multiple of 16"),
        (["--precision", "fp8"], "precision"),
    ],
)
def test_bad_options_are_one_line(
    place: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wct_runs.check_refused(place, words, message, capsys)


def test_a_folder_of_levels_is_exported(
    place: Path, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [place / "runs", "--out", place / "mine", "--photos", place / "photos"]
    weights = ["--vgg-weights", place / "vgg19.safetensors"]
    assert command(*words, *weights, name="export") == 0
    assert "100.0000% within 1 level" in capsys.readouterr().out
    assert (place / "mine" / "wct-decoder-2.onnx").is_file()
