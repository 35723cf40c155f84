"""The compact level 5 of WCT: its mathematics, training and export, on a random VGG-19."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

import onnx  # noqa: E402
from helpers import wct_runs  # noqa: E402
from helpers.training import write_pictures  # noqa: E402
from helpers.wct_runs import command, material, pictures_of  # noqa: E402

from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle.painting.wct import transform  # noqa: E402
from rtstyle.painting.wct.models import WctModels  # noqa: E402
from rtstyle.painting.wct.stylizer import WctStylizer  # noqa: E402
from rtstyle.styles import manifest  # noqa: E402
from rtstyle_export.export.wct import export_wct  # noqa: E402
from rtstyle_export.maths.vgg import load_vgg  # noqa: E402
from rtstyle_export.networks.wct import CODES, CompactLevel5, principal  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.config import WctConfig  # noqa: E402
from rtstyle_export.runs.onnx_reader import wct_checkpoint_of  # noqa: E402
from rtstyle_export.train.wct import WctTrainer  # noqa: E402
from rtstyle_export.train.wct_compact import CompactTrainer  # noqa: E402


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, random VGG-19 weights and a run of level 4."""
    folder = material(tmp_path_factory.mktemp("wct-compact"), "conv5_1")
    wct_runs.make(WctTrainer, folder, "runs/4", level=4, steps=1).run()
    return folder


def level_4(place: Path) -> Path:
    return place / "runs" / "4" / "checkpoint.pt"


def make(place: Path, run: str, init_from: Path | None = None, **options: object) -> CompactTrainer:
    given = {"level": 5, "steps": 3, "width": 8, **options}
    return wct_runs.make(CompactTrainer, place, run, init_from or level_4(place), **given)


class TestMathematics:
    def test_principal_components_keep_the_most_variance(self) -> None:
        generator = torch.Generator().manual_seed(1)
        spread = torch.linspace(0.1, 3, 256).flip(0).view(-1, 1, 1)
        features = [torch.randn(256, 20, 25, generator=generator) * spread + 2 for _ in range(2)]
        mean, basis, kept = principal(features)
        assert torch.allclose(basis.T @ basis, torch.eye(CODES), atol=1e-5)
        assert torch.allclose(mean, torch.full((256,), 2.0), atol=0.6)
        flat = torch.cat([each.flatten(1) for each in features], dim=1)
        codes = basis.T @ (flat - mean[:, None])
        assert float(codes.square().sum(0).mean()) == pytest.approx(float(kept), rel=1e-3)
        assert float(kept) > float(flat[:CODES].var(dim=1).sum())

    def test_transfer_in_an_orthonormal_basis_is_transfer_in_the_subspace(self) -> None:
        rng = np.random.default_rng(0)
        basis = np.linalg.qr(rng.normal(size=(12, 5)))[0].astype(np.float32)
        content = rng.normal(size=(5, 6, 7)).astype(np.float32)
        style = rng.normal(2, 3, size=(5, 8, 5)).astype(np.float32)

        def whole(codes: np.ndarray) -> np.ndarray:
            return np.einsum("ck,khw->chw", basis, codes)

        wanted = transform.wct(whole(content), whole(style), 0.7)
        assert np.allclose(whole(transform.wct(content, style, 0.7)), wanted, atol=1e-3)

    def test_sizes(self) -> None:
        net = CompactLevel5(8)
        codes, again = net(torch.rand(2, 512, 8, 6))
        assert codes.shape == (2, CODES, 4, 3)
        assert again.shape == (2, 512, 8, 6)
        assert net.paint(codes).shape == (2, 3, 64, 48)


@pytest.mark.slow
class TestTraining:
    def test_features_first_then_pictures(self, place: Path) -> None:
        run = make(place, "phases", feature_steps=2)
        seen: list[dict[str, float]] = []
        before = {k: v.clone() for k, v in run.net.decoder.state_dict().items()}
        run.run(lambda progress: seen.append(progress.losses))
        assert [("pixel" in losses, "feature" in losses) for losses in seen] == [
            (False, False), (False, False), (True, True),
        ]  # fmt: skip
        assert seen[0]["total"] == pytest.approx(seen[0]["code"] + seen[0]["deep"], rel=1e-5)
        # The decoder of level 4 stays as it is: their files share its weights.
        assert all(torch.equal(v, before[k]) for k, v in run.net.decoder.state_dict().items())

    def test_the_losses_fall(self, place: Path, tmp_path: Path) -> None:
        place = shutil.copytree(place, tmp_path / "place")
        write_pictures(place / "photos", blobs=(3, 2))
        run = make(place, "falls", steps=30, feature_steps=30, learning_rate=3e-3, width=24)
        seen: list[dict[str, float]] = []
        run.run(lambda progress: seen.append(progress.losses))
        for name in ("code", "deep"):
            assert sum(x[name] for x in seen[-5:]) < 0.9 * sum(x[name] for x in seen[:5]), name

    def test_a_resumed_run_ends_as_an_unbroken_one(self, place: Path) -> None:
        whole = make(place, "whole", feature_steps=2)
        whole.run()
        broken = make(place, "broken", feature_steps=2)
        broken.run(should_stop=lambda: broken.step == 1)
        resumed = make(place, "broken", feature_steps=2)
        assert resumed.step == 1
        resumed.run()
        for key, value in whole.weights().items():
            assert torch.allclose(value, resumed.weights()[key], atol=1e-6), key

    def test_it_starts_from_another_run_of_its_own(self, place: Path) -> None:
        first = make(place, "own", steps=1)
        first.run()
        second = make(place, "other", init_from=first.path)
        for key, value in first.weights().items():
            assert torch.equal(second.weights()[key], value), key

    def test_it_needs_level_4(self, place: Path) -> None:
        config = WctConfig(level=5, width=8, crop=64, scaled_on=2)
        with pytest.raises(TrainingError, match="needs the decoder of level 4"):
            CompactTrainer(config, place / "photos", place / "none")
        shallow = Checkpoint.load(level_4(place))
        shallow.model = {k: v for k, v in shallow.model.items() if ".8." not in k}
        shallow.save(place / "shallow.pt")
        with pytest.raises(TrainingError, match="has another"):
            make(place, "none", init_from=place / "shallow.pt")

    def test_the_preview_shows_a_picture(self, place: Path) -> None:
        shown = make(place, "preview").preview(torch.zeros(1, 3, 50, 70))
        assert shown["relu5_1"].shape == (3, 50, 70)


@pytest.fixture(scope="module")
def exported(place: Path) -> Path:
    """Level 4, exported, and then level 5 beside it."""
    five = make(place, "five/5", steps=1, feature_steps=1)
    five.run()
    shutil.copytree(place / "runs", place / "four")
    for runs in ("four", "five"):
        export_wct(
            place / runs, place / "out", pictures=pictures_of(place),
            vgg_weights=place / "vgg19.safetensors", manifest=True,
        )  # fmt: skip
    return place / "out"


@pytest.mark.slow
class TestExport:
    def test_level_5_joins_the_levels_that_are_there(
        self, exported: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entries = json.loads((exported / "manifest.json").read_text())["wct"]
        assert list(entries) == ["encoder", "scales", "decoder-4", "decoder-5"]
        assert entries["decoder-5"]["training"]["width"] == 8
        monkeypatch.setenv("RTSTYLE_STYLES", str(exported))
        assert manifest.find_wct("decoder-5").name == "wct-decoder-5.onnx"
        with WctStylizer(threads=1) as painter:
            assert painter.levels == (5, 4)
            style = painter.learn(np.zeros((40, 40, 3), np.uint8), (40, 40))
            painted = painter(np.full((40, 50, 3), 99, np.uint8), [[(style, 1.0)]])
            assert painted.shape == (40, 50, 3)

    def test_it_leaves_its_weights_to_level_4(self, exported: Path) -> None:
        entries = json.loads((exported / "manifest.json").read_text())["wct"]
        donors = [place["path"] for place in entries["decoder-5"]["donors"]]
        assert donors == ["wct-decoder-4.onnx"]
        own = 8 * (512 + 2 * 72) + CODES * 72
        assert entries["decoder-5"]["bytes"] < own + 60_000

    def test_it_decodes_as_the_network_does(self, place: Path, exported: Path) -> None:
        net = CompactLevel5(8)
        model = Checkpoint.load(place / "five" / "5" / "checkpoint.pt").model
        net.load_state_dict({k: v for k, v in model.items() if not k.startswith("scales.")})
        codes = np.random.default_rng(0).normal(0, 2, (CODES, 2, 3)).astype(np.float32)
        with WctModels(exported, threads=1) as models:
            found = models.decode(codes, 5)
        with torch.no_grad():
            wanted = net.paint(torch.from_numpy(codes)[None]).clamp(-1, 1)[0].permute(1, 2, 0)
        assert np.abs(found - (wanted.numpy() + 1) * 127.5).mean() < 1.5

    def test_level_4_can_be_exported_again(self, place: Path, exported: Path) -> None:
        before = json.loads((exported / "manifest.json").read_text())["wct"]
        run = Checkpoint.load(level_4(place))
        run.model["convs.8.bias"] = run.model["convs.8.bias"] + 0.01
        run.save(place / "again" / "4" / "checkpoint.pt")
        out = place / "copy"
        shutil.copytree(exported, out)
        export_wct(
            place / "again", out, pictures=pictures_of(place), manifest=True,
            vgg_weights=place / "vgg19.safetensors",
        )  # fmt: skip
        after = json.loads((out / "manifest.json").read_text())["wct"]
        for part in ("encoder", "scales"):
            assert after[part] == before[part], "the deeper encoder stays"
        assert after["decoder-4"]["sha256"] != before["decoder-4"]["sha256"]
        for part in ("encoder", "decoder-4", "decoder-5"):
            onnx.checker.check_model(str(out / after[part]["path"]))

    def test_another_encoder_is_refused(self, place: Path, exported: Path) -> None:
        run = Checkpoint.load(level_4(place))
        run.model["scales.0"] = run.model["scales.0"] * 2
        run.save(place / "foreign" / "1" / "checkpoint.pt")
        run.config = WctConfig(level=1, scaled_on=2)
        run.model = {k: v for k, v in run.model.items() if k.startswith("scales.")}
        run.model |= {"convs.0.weight": torch.zeros(3, 64, 3, 3), "convs.0.bias": torch.zeros(3)}
        run.save(place / "foreign" / "1" / "checkpoint.pt")
        before = sorted(path.read_bytes() for path in exported.iterdir())
        with pytest.raises(TrainingError, match="of another encoder"):
            export_wct(
                place / "foreign", exported, pictures=[], manifest=True,
                vgg_weights=place / "vgg19.safetensors",
            )  # fmt: skip
        assert sorted(path.read_bytes() for path in exported.iterdir()) == before

    def test_its_file_is_no_start(self, place: Path, exported: Path) -> None:
        vgg = load_vgg("vgg19", ["relu4_1"], place / "vgg19.safetensors")
        with pytest.raises(TrainingError, match="from its checkpoint only"):
            wct_checkpoint_of(exported / "wct-decoder-5.onnx", vgg)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--level", "5", "--width", "-1"], "width must not be negative"),
        (["--level", "3", "--width", "8"], "are for level 5"),
        (["--level", "5", "--width", "0", "--feature-steps", "4"], "need a width"),
        (["--level", "5"], "needs the decoder of level 4"),
    ],
)
def test_bad_options_are_one_line(
    place: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wct_runs.check_refused(place, words, message, capsys)


@pytest.mark.slow
def test_the_command_trains_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [place / "photos", "--level", 5, "--crop", 64, "--batch", 1, "--steps", 1]
    words += ["--width", 8, "--feature-steps", 1, "--init-from", level_4(place)]
    out = place / "turn"
    assert command(*words, "--vgg-weights", place / "vgg19.safetensors", "--out", out) == 0
    assert "Finished after 1 steps" in capsys.readouterr().out
    assert (out / "5" / "preview.png").is_file()
