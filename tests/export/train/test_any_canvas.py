"""Training of the network for any style that sees a canvas, its files, and the way back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from helpers import console  # noqa: E402
from helpers.adain_runs import make, material, quick_fitting  # noqa: E402, F401
from helpers.training import vgg19_state  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from rtstyle.engines import open_engine  # noqa: E402
from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle_export.export.adain import export_adain  # noqa: E402
from rtstyle_export.maths.losses import CanvasLossSpec  # noqa: E402
from rtstyle_export.networks.adain_fast import CANVAS_LAYERS, CanvasAdain  # noqa: E402
from rtstyle_export.onnx_files.ranges import over  # noqa: E402
from rtstyle_export.runs.adain_config import AnyCanvasConfig  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.loop import Machine  # noqa: E402
from rtstyle_export.train.canvas.any_style import AnyCanvasTrainer, Paintings  # noqa: E402
from rtstyle_export.train.canvas.motion import Scenes, views  # noqa: E402

LOSS = CanvasLossSpec(
    content_layers={"relu2_2": 1.0},
    style_layers={"relu1_2": 0.5, "relu2_2": 0.5},
)
SMALL = {"crop": 64, "margin": 8, "style_size": 64, "loss_network": "vgg19", "loss": LOSS}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a folder with what a run takes, and a run of a network without a canvas."""
    folder = material(tmp_path_factory.mktemp("any-canvas"))
    make(folder, "plain", steps=1).save()
    return folder


def trainer_of(place: Path, folder: Path, **options: object) -> AnyCanvasTrainer:
    config = AnyCanvasConfig(**{"steps": 4, **SMALL, **options})  # type: ignore[arg-type]
    return AnyCanvasTrainer(
        config, place / "photos", place / "paintings", folder, Machine("cpu", "fp32"),
        init_from=place / "plain" / "checkpoint.pt", vgg_weights=place / "vgg19.safetensors",
    )  # fmt: skip


def test_each_scene_keeps_its_painting_and_strength_until_it_begins_anew() -> None:
    scenes = Scenes(2, 3, 128, 64, 0, 1, paintings=50, unpainted=0.5)
    shown: dict[int, tuple[list[int], list[float]]] = {}
    paintings, strengths = set(), []
    for _ in range(300):
        draw = scenes.draw()
        told = views(torch.from_numpy(draw.flat()), 2)
        assert told["painting"].tolist() == draw.painting.tolist()
        assert told["strength"].tolist() == draw.strength.tolist()
        before = shown.get(scenes.now)
        for row in np.flatnonzero(draw.reset == 0).tolist():
            assert before is not None
            assert (before[0][row], before[1][row]) == (draw.painting[row], draw.strength[row])
        shown[scenes.now] = draw.painting.tolist(), draw.strength.tolist()
        paintings.update(draw.painting.tolist())
        strengths += draw.strength.tolist()
    assert len(paintings) > 40
    assert 0.35 < np.mean(np.array(strengths) < 1) < 0.65


@pytest.mark.slow
def test_training_keeps_the_numbers_of_paintings_and_resumes(place: Path, tmp_path: Path) -> None:
    run = trainer_of(place, tmp_path / "run", steps=21, stills=0.0)
    before = {key: value.clone() for key, value in run.weights().items()}
    taken: list[float] = []
    assert not run.run(lambda now: taken.append(now.losses["total"]), lambda: len(taken) >= 20)
    after = run.weights()
    assert any(key.startswith("scales.") for key in after)
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert not any(key.startswith(("head.", "scales.")) for key in changed)
    for layer in ("stem.", "stem_canvas.", "up_gate.", "known.", "gate.", "adapter.last.", "out."):
        assert any(key.startswith(f"net.{layer}") for key in changed), layer
    again = trainer_of(place, tmp_path / "run", steps=21, stills=0.0)
    assert again.step == 20
    for key, value in after.items():
        assert torch.equal(value, again.weights()[key])
    assert again.run()
    shown = again.preview(torch.zeros(1, 3, 32, 40))
    assert set(shown) == {"0", "1"}
    assert all(picture.shape == (3, 32, 40) for picture in shown.values())


@pytest.mark.slow
def test_with_canvas_only_a_still_picture_stays_what_it_was(place: Path, tmp_path: Path) -> None:
    run = trainer_of(place, tmp_path / "run", steps=20, stills=0.0, canvas_only=True)
    before = {key: value.clone() for key, value in run.weights().items()}
    assert run.run()
    changed = {
        key.split(".")[1]
        for key, value in run.weights().items()
        if not torch.equal(value, before[key])
    }
    assert changed == set(CANVAS_LAYERS)


@pytest.mark.slow
def test_the_targets_are_those_of_the_painting_that_was_drawn(place: Path, tmp_path: Path) -> None:
    run = trainer_of(place, tmp_path / "run", batch=2)
    for _ in range(4):
        run.train_step(None)
        number = run.stepper.drawn["painting"].long().tolist()
        for row, painting in enumerate(number):
            target = run.paintings.target(painting)
            for layer, gram in target.grams.items():
                assert torch.equal(run.stepper.targets[layer][row], gram[0])


@pytest.mark.slow
def test_a_painting_that_cannot_be_read_is_passed_over(place: Path, tmp_path: Path) -> None:
    run = trainer_of(place, tmp_path / "run")
    known = run.paintings
    (tmp_path / "broken.png").write_bytes(b"nothing")
    parts = (known.pair, known.encoder, known.vgg, known.layers, known.size, known.autocast)
    two = Paintings([tmp_path / "broken.png", known.paths[0]], *parts)
    assert torch.equal(two.target(0).numbers, two.target(1).numbers)
    with pytest.raises(TrainingError, match="None of the paintings"):
        Paintings([tmp_path / "broken.png"], *parts).target(0)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_fitting")
def test_its_files_paint_as_it_does_and_are_read_back(place: Path, tmp_path: Path) -> None:
    run = trainer_of(place, tmp_path / "run", steps=2)
    assert run.run()
    out = tmp_path / "files"
    out.mkdir()
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 50, 66, 3), dtype=np.uint8)
    weights = place / "vgg19.safetensors"
    export_adain(Checkpoint.load(run.path), out, pictures=[image[0]], vgg_weights=weights)
    net = run.pair.net.eval()
    assert isinstance(net, CanvasAdain)
    numbers = np.full((1, net.numbers), 0.2, np.float32)
    given = {**over(image[:, ::-1]), "statistics": numbers, "strength": np.ones(1, np.float32)}
    pictures = []
    for device in ("openvino:cpu", "onnxruntime:cpu"):
        with open_engine(out / "any-fast-content.onnx", device, precision="fp32") as engine:
            assert set(engine.extras) == set(given)
            pictures.append(engine.run(image, given).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    started = AnyCanvasTrainer(
        AnyCanvasConfig(**{**SMALL, "steps": 1}),  # type: ignore[arg-type]
        place / "photos", place / "paintings", tmp_path / "next", Machine("cpu", "fp32"),
        init_from=out / "any-fast-content.onnx", vgg_weights=weights,
    )  # fmt: skip
    for key, value in run.weights().items():
        # Stored in half precision.
        torch.testing.assert_close(started.weights()[key], value, rtol=2e-3, atol=2e-4)
    # A network without a canvas can start from it, too.
    plain = make(place, "from-canvas", init_from=out / "any-fast-content.onnx")
    assert not any("gate" in key for key in plain.weights())


command = partial(console.command, "train-adain")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--canvas", "--size", "paper"], "--size fast"),
        (["--canvas", "--size", "fast", "--teacher", "x.pt"], "no teacher"),
        (["--canvas", "--size", "fast", "--transform", "linear"], "--transform adain"),
        (["--size", "fast", "--minutes", "3"], "for --canvas"),
        (["--size", "fast", "--canvas-only"], "for --canvas"),
        (["--canvas", "--size", "fast", "--crop", "68"], "multiples of 8"),
        (["--canvas", "--size", "fast", "--optimizer", "adam"], "trained with soap"),
    ],
)
def test_bad_options_are_one_line(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path, tmp_path, *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.slow
def test_the_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, deeper = place / "commanded", place / "deeper.safetensors"
    save_file(vgg19_state("conv4_3"), deeper)
    words = [place / "photos", place / "paintings", "--size", "fast", "--canvas", "--steps", 1]
    rest = ["--crop", 64, "--margin", 8, "--out", out, "--vgg-weights", deeper]
    start = ["--init-from", place / "plain" / "checkpoint.pt"]
    assert command(*words, *rest, *start) == 0, capsys.readouterr().err
    assert "Finished after 1 steps" in capsys.readouterr().out
    assert (out / "checkpoint.pt").is_file()
