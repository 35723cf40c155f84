"""Training of sampled styles, for the shipped picture network, with a random VGG-19."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from helpers import console  # noqa: E402
from helpers.adain_runs import material  # noqa: E402
from helpers.training import small_config  # noqa: E402

from rtstyle import cli  # noqa: E402
from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle.styles import fit, manifest, paintings  # noqa: E402
from rtstyle.styles.latent import LatentSpace  # noqa: E402
from rtstyle_export.export.variational import enter, export_variational, load_style  # noqa: E402
from rtstyle_export.maths.functional import gram_matrix  # noqa: E402
from rtstyle_export.maths.losses import VariationalLossSpec  # noqa: E402
from rtstyle_export.networks.encoder import STYLE_LAYERS  # noqa: E402
from rtstyle_export.quality.variational import Judge  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.kinds import config_from_json  # noqa: E402
from rtstyle_export.runs.loop import Machine  # noqa: E402
from rtstyle_export.runs.loss_network import find_vgg  # noqa: E402
from rtstyle_export.runs.onnx_reader import sampled_checkpoint_of  # noqa: E402
from rtstyle_export.runs.variational_config import VariationalConfig  # noqa: E402
from rtstyle_export.train import style_vectors  # noqa: E402
from rtstyle_export.train.variational import VariationalTrainer, style_term  # noqa: E402


@pytest.fixture(autouse=True)
def shipped_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use what ships, and see paintings at 64 rows: a sixteenth of the time."""
    monkeypatch.delenv(manifest.FOLDER_VARIABLE)
    monkeypatch.setattr(paintings, "STYLE_SIDE", 64)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material(tmp_path_factory.mktemp("variational"))


def make(place: Path, run: str, **options: object) -> VariationalTrainer:
    given = {"steps": 4, "vector_steps": 2, "vectors": 8, "fitted": 0, "latent": 5, "hidden": 12}
    given |= {"crop": 64, "margin": 8, "kl_steps": 1, "warmup": 1}
    start = options.pop("init_from", manifest.find_any("content", "fast").path)
    return VariationalTrainer(
        VariationalConfig(**{**given, **options}),  # type: ignore[arg-type]
        place / "photos",
        place / "paintings",
        place / run,
        Machine("cpu", "fp32"),
        init_from=start,  # type: ignore[arg-type]
        vgg_weights=place / "vgg19.safetensors",
    )


@pytest.mark.slow
def test_vectors_come_first_and_pictures_later(place: Path) -> None:
    run = make(place, "stages")
    before = {key: value.clone() for key, value in run.net.pair.state_dict().items()}
    seen: list[dict[str, float]] = []
    assert run.run(lambda progress: seen.append(progress.losses))
    assert [set(losses) for losses in seen[:2]] == [{"vector", "kl", "total"}] * 2
    pictures = {"vector", "kl", "content", "style", "tv", "disentangle", "triplet", "total"}
    assert [set(losses) for losses in seen[2:]] == [pictures] * 2
    for key, value in run.net.pair.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.slow
def test_pictures_teach_encoder_and_decoder(place: Path) -> None:
    run = make(place, "gradients", vector_steps=0)
    items = run.dataset()
    batch = [x[None] for x in items[0]]
    for name in ("style", "disentangle", "triplet"):
        run.net.zero_grad(set_to_none=True)
        # The margin and a push apart, so that no hinge is closed.
        terms = run._of_pictures(batch, torch.Generator().manual_seed(0))
        if float(terms[name].detach()) == 0:
            continue
        terms[name].backward()
        assert float(run.net.style.decoder[0].weight.grad.abs().sum()) > 0, name
        assert float(run.net.style.encoder[0].weight.grad.abs().sum()) > 0, name
    assert all(value.grad is None for value in run.net.pair.parameters())


@pytest.mark.slow
def test_vectors_are_learnt(place: Path) -> None:
    run = make(place, "learnt", steps=150, vector_steps=150, learning_rate=5e-3,
               loss=VariationalLossSpec(kl_weight=1e-4))  # fmt: skip
    seen: list[float] = []
    run.run(lambda progress: seen.append(progress.losses["vector"]))
    assert np.mean(seen[-20:]) < 0.5 * np.mean(seen[:10])


@pytest.mark.slow
def test_a_resumed_run_ends_as_an_unbroken_one(place: Path) -> None:
    whole = make(place, "whole")
    whole.run()
    broken = make(place, "broken")
    broken.run(should_stop=lambda: broken.step == 3)
    resumed = make(place, "broken")
    assert resumed.step == 3
    resumed.run()
    for key, value in whole.weights().items():
        assert torch.allclose(value, resumed.weights()[key], atol=1e-6), key


def test_the_style_term_is_zero_for_the_style_itself() -> None:
    features = {"relu1_1": torch.rand(2, 4, 8, 8)}
    grams = {"relu1_1": gram_matrix(features["relu1_1"])}
    assert torch.allclose(style_term(features, grams), torch.zeros(2), atol=1e-6)
    twice = {"relu1_1": torch.cat([features["relu1_1"], 2 * features["relu1_1"]])}
    # Twice the features are four times the Gram matrix: three times its length away.
    wanted = torch.tensor([0.0, 0.0, 9.0, 9.0])
    assert torch.allclose(style_term(twice, grams), wanted, atol=1e-4)


def test_one_item_is_a_function_of_its_number(place: Path) -> None:
    items, again = (make(place, "items").dataset() for _ in range(2))
    assert all(x.numel() == 0 for x in items[1])
    for one, other in zip(items[7], again[7], strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(items[7][0], items[7][1])


class TestVectors:
    def test_they_are_gathered_once(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        paths = sorted((place / "paintings").iterdir())
        told: list[tuple[int, int]] = []
        file = place / "gathered.npz"
        found = style_vectors.gather(paths, file, 0, lambda *t: told.append(t))
        assert told[-1] == (2, 2)
        wanted = paintings.encode_image(
            paintings.prepare(paintings.read_painting(paths[0])), "fast"
        )
        np.testing.assert_allclose(found.glances[0], wanted, atol=1e-5)
        assert found.names == tuple(path.name for path in paths)
        assert not found.known.any()
        assert torch.equal(found.fitted, found.glances)
        monkeypatch.setattr(style_vectors, "_glance", lambda _path: pytest.fail("again"))
        again = style_vectors.gather(paths, file, 0)
        assert torch.equal(again.glances, found.glances)

    def test_some_are_fitted(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fit, "refine", lambda numbers, *_rest, **_options: numbers + 1)
        paths = sorted((place / "paintings").iterdir())
        found = style_vectors.gather(paths, place / "fitted.npz", 1)
        assert found.known.tolist() == [True, False]
        assert torch.equal(found.fitted[0], found.glances[0] + 1)
        assert torch.equal(found.fitted[1], found.glances[1])

    def test_those_of_another_network_are_made_anew(self, place: Path) -> None:
        paths = sorted((place / "paintings").iterdir())
        file = place / "stale.npz"
        one = np.zeros((1, 3), np.float32)
        style_vectors._write(file, "another", {path.name: one for path in paths})
        assert style_vectors.gather(paths, file, 0).glances.shape[1] > 3

    def test_what_cannot_be_read_is_left_out(self, place: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken.png"
        broken.write_bytes(b"no picture")
        good = sorted((place / "paintings").iterdir())
        found = style_vectors.gather([broken, *good], tmp_path / "some.npz", 0)
        assert found.names == tuple(path.name for path in good)
        with pytest.raises(TrainingError, match="None of the paintings"):
            style_vectors.gather([broken], tmp_path / "none.npz", 0)

    def test_the_fitted_are_spread_evenly(self) -> None:
        assert style_vectors.chosen(9, 3) == {0, 4, 8}
        assert style_vectors.chosen(2, 5) == {0, 1}
        assert style_vectors.chosen(5, 0) == set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vectors": 1}, "vectors must be at least 2"),
        ({"latent": 0}, "latent must lie"),
        ({"fitted": -1}, "fitted must not"),
        ({"loss": VariationalLossSpec(kl_weight=-1.0)}, "kl-weight must be"),
    ],
)
def test_options_that_do_not_work_are_told(
    place: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        make(place, "bad", **options)


def test_a_configuration_survives_its_checkpoint() -> None:
    config = VariationalConfig(latent=9, loss=VariationalLossSpec(margin=2.0))
    assert config_from_json("variational", config.to_json()) == config


class TestExport:
    @pytest.fixture
    def run(self, place: Path) -> VariationalTrainer:
        made = make(place, "exported", latent=16, hidden=64, steps=3, vector_steps=3)
        made.run()
        return made

    def test_the_files_are_the_network(self, run: VariationalTrainer, tmp_path: Path) -> None:
        told: list[str] = []
        code, sample = export_variational(
            Checkpoint.load(run.path), tmp_path, on_file=lambda path, *_: told.append(path.name)
        )
        assert told == ["any-fast-code.onnx", "any-fast-sample.onnx"]
        # Kernels in 8 bits: little more than a byte a weight.
        assert code.stat().st_size < 1.4 * (742 * 64 + 64 * 64 + 64 * 32) + 16_000
        style = load_style(Checkpoint.load(run.path))[1]
        space = LatentSpace(code, sample)
        assert (space.numbers, space.dimensions) == (742, 16)
        vectors = run.vectors.glances
        with torch.no_grad():
            mean, log_variance = style.encode(vectors)
            wanted = style.decode(mean)
        found, deviation = space.code(vectors.numpy())
        spread = float(mean.std()) + 1e-3
        np.testing.assert_allclose(found, mean, atol=0.05 * spread)
        np.testing.assert_allclose(deviation, (0.5 * log_variance).exp(), rtol=0.05)
        error = np.abs(space.vectors(mean.numpy()) - wanted.numpy()) / style.scale.numpy()
        assert error.mean() < 0.02

    def test_they_join_the_network_in_the_manifest(
        self, run: VariationalTrainer, tmp_path: Path
    ) -> None:
        (tmp_path / "manifest.json").write_text(
            '{"version": 1, "styles": {}, "any": {"fast": {"content": {"path": "a.onnx"}}}}'
        )
        export_variational(Checkpoint.load(run.path), tmp_path, manifest=True)
        text = (tmp_path / "manifest.json").read_text()
        assert '"content"' in text
        assert '"any-fast-code.onnx"' in text
        assert '"any-fast-sample.onnx"' in text

    def test_without_that_network_they_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match="no network for any style"):
            enter(tmp_path, "fast", {}, {})

    def test_another_kind_of_checkpoint_is_refused(self, tmp_path: Path) -> None:
        other = Checkpoint(small_config(Path("a.png")), 0, {}, None, 0.0, {})
        with pytest.raises(TrainingError, match="kind johnson"):
            export_variational(other, tmp_path)


class TestReadingBack:
    def code(self) -> Path:
        return manifest.find_any("code", "fast").path

    def test_the_shipped_space_is_the_one_that_draws(self) -> None:
        vgg = find_vgg("vgg19", STYLE_LAYERS)
        style = load_style(sampled_checkpoint_of(self.code(), vgg))[1]
        space = LatentSpace(self.code(), manifest.find_any("sample", "fast").path)
        vectors = torch.from_numpy(np.stack([paintings.built_in("wave", "fast")]))
        with torch.no_grad():
            mean, log_variance = style.encode(vectors)
            decoded = style.decode(mean)
        found, deviation = space.code(vectors.numpy())
        np.testing.assert_allclose(found, mean, atol=1e-4)
        np.testing.assert_allclose(deviation, (0.5 * log_variance).exp(), rtol=1e-4)
        np.testing.assert_allclose(space.vectors(found), decoded, atol=1e-4, rtol=1e-4)

    def test_training_goes_on_from_it(self, place: Path) -> None:
        run = make(place, "on", init_from=self.code(), latent=64, hidden=256)
        wanted = sampled_checkpoint_of(self.code(), run._vgg).model
        assert run.step == 0
        for key, value in run.weights().items():
            assert torch.equal(value, wanted[key]), key

    def test_figures_need_no_run(self) -> None:
        judge = Judge(self.code())
        vector = torch.from_numpy(paintings.built_in("wave", "fast"))
        painted = judge.paint(torch.zeros(1, 3, 48, 48), vector[None])
        assert painted.shape == (1, 3, 48, 48)
        assert judge.codes(judge.look(painted)).shape == (1, 64)

    def test_other_files_are_refused(self) -> None:
        vgg = find_vgg("vgg19", STYLE_LAYERS)
        other = manifest.find_any("content", "fast").path
        with pytest.raises(TrainingError, match="not the code file"):
            sampled_checkpoint_of(other, vgg)


@pytest.mark.slow
def test_the_commands(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "out"
    words = [place / "photos", place / "paintings", "--vgg-weights", place / "vgg19.safetensors"]
    words += ["--out", out, "--steps", 2, "--vector-steps", 1, "--fitted", 0, "--crop", 64]
    assert console.command("train-variational", *words, "--margin", 8, "--latent", 4) == 0
    assert "Finished after 2 steps" in capsys.readouterr().out
    assert (out / "preview.png").is_file()
    assert console.command("export", out, "--out", place / "files") == 0
    assert "any-fast-sample.onnx" in capsys.readouterr().out


def test_the_command_is_known() -> None:
    assert "training.train_variational" in cli.COMMAND_MODULES
