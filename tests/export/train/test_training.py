"""Training: it learns, resumes to the same result, stops well and refuses what cannot work."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.console import rtstyle  # noqa: E402
from helpers.training import (  # noqa: E402
    SHALLOW,
    small_config,
    train_words,
    vgg_state,
    write_painting,
    write_place,
)
from PIL import Image  # noqa: E402

from rtstyle.commands.training.outcome import RunLog, describe  # noqa: E402
from rtstyle.errors import RtstyleError, TrainingError, UsageError  # noqa: E402
from rtstyle_export.data import (  # noqa: E402
    Crops,
    Stretch,
    list_pictures,
    mirror_to,
    read_picture,
    to_tensor,
)
from rtstyle_export.maths.losses import LossSpec, PerceptualLoss  # noqa: E402
from rtstyle_export.maths.vgg import VGG, layer_names, load_vgg  # noqa: E402
from rtstyle_export.networks.johnson import build_network  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint, initial_weights  # noqa: E402
from rtstyle_export.runs.config import TrainConfig  # noqa: E402
from rtstyle_export.runs.loop import Machine, learning_rate  # noqa: E402
from rtstyle_export.train.johnson import Trainer  # noqa: E402


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with photos/, painting.png, second.png and vgg16.safetensors."""
    write_painting(tmp_path / "second.png", seed=4)
    return write_place(tmp_path)


def trainer(place: Path, config: TrainConfig, run: str = "run", **options: object) -> Trainer:
    return Trainer(
        config,
        place / "photos",
        place / run,
        Machine(device="cpu", precision="fp32"),
        vgg_weights=place / "vgg16.safetensors",
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.slow
def test_loss_falls(place: Path) -> None:
    config = small_config(place / "painting.png", steps=30, stability_weight=0.5)
    totals: list[float] = []
    assert trainer(place, config).run(lambda p: totals.append(p.losses["total"]))
    assert np.mean(totals[-5:]) < 0.75 * np.mean(totals[:5])


@pytest.mark.slow
def test_same_seed_same_weights_and_another_seed_others(place: Path) -> None:
    painting = place / "painting.png"
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run = trainer(place, small_config(painting, seed=seed), name)
        run.run()
        runs.append(run.net.state_dict()["down.weight"])
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_unbroken_one_does(place: Path) -> None:
    config = small_config(place / "painting.png", place / "second.png", steps=5)
    whole = trainer(place, config, "whole")
    assert whole.run()
    part = trainer(place, config, "part")
    assert not part.run(should_stop=lambda: part.step >= 2)
    resumed = trainer(place, config, "part")
    assert resumed.step == 2
    assert resumed.run()
    assert whole.metrics == pytest.approx(resumed.metrics, rel=1e-5)
    assert Checkpoint.load(resumed.path).metrics == resumed.metrics
    for key, value in whole.net.state_dict().items():
        torch.testing.assert_close(resumed.net.state_dict()[key], value, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_a_run_in_8_bits_resumes_to_the_same_and_is_stored_as_it_was_trained(place: Path) -> None:
    config = small_config(place / "painting.png", steps=4, weight_bits=8)
    whole = trainer(place, config, "whole")
    assert whole.run()
    part = trainer(place, config, "part")
    assert not part.run(should_stop=lambda: part.step >= 2)
    resumed = trainer(place, config, "part")
    assert resumed.run()
    exact = resumed.net.state_dict()["down.weight"]
    torch.testing.assert_close(exact, whole.net.state_dict()["down.weight"], atol=1e-6, rtol=1e-5)
    stored = Checkpoint.load(resumed.path).network().state_dict()["down.weight"]
    assert not torch.equal(stored, exact)
    assert float((stored - exact).abs().max()) <= float(exact.abs().max()) / 127
    for channel in stored.numpy():
        whole_numbers = channel * 127 / np.abs(channel).max()
        assert np.abs(whole_numbers - np.rint(whole_numbers)).max() < 1e-3


def test_resuming_with_other_options_is_refused(place: Path) -> None:
    trainer(place, small_config(place / "painting.png", steps=1)).run()
    other = small_config(place / "painting.png", steps=1, batch=3)
    with pytest.raises(TrainingError, match="other options"):
        trainer(place, other)


def test_start_from_another_style_copies_what_is_shared(place: Path) -> None:
    config = small_config(place / "painting.png", place / "second.png", steps=2)
    first = trainer(place, config, "first")
    first.run()
    source = Checkpoint.load(first.path)
    same = initial_weights(source, config)
    assert all(torch.equal(same[key], source.model[key]) for key in same)
    one = initial_weights(source, small_config(place / "second.png"))
    assert torch.equal(one["stem_norm.weight"][0], source.model["stem_norm.weight"][1])
    assert torch.equal(one["stem.weight"], source.model["stem.weight"])
    new = initial_weights(source, small_config(place / "new.png"))
    torch.testing.assert_close(new["out.weight"][0], source.model["out.weight"].mean(0))
    started = trainer(place, small_config(place / "second.png"), "next", init_from=first.path)
    assert torch.equal(started.net.state_dict()["stem.weight"], source.model["stem.weight"])
    with pytest.raises(TrainingError, match="Cannot start a paper network"):
        initial_weights(source, small_config(place / "second.png", size="paper"))


def test_start_from_a_joint_run_with_as_many_styles_as_channels() -> None:
    """The stem has 16 filters: with 16 styles its counts agree with those of a style layer."""
    paintings = [Path(f"{number}.png") for number in range(16)]
    source = Checkpoint(
        small_config(*paintings), 0, build_network("fast", 16).state_dict(), None, 0.0, {}
    )
    generator = torch.Generator().manual_seed(0)
    for value in source.model.values():
        value.copy_(torch.randn(value.shape, generator=generator))
    weights = initial_weights(source, small_config(*reversed(paintings)))
    per_style = {key for key in weights if "norm" in key or key.startswith("out.")}
    for key, value in weights.items():
        old = source.model[key]
        assert torch.equal(value, old.flip(0) if key in per_style else old), key


def test_checkpoint_survives_a_failed_write(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(place, small_config(place / "painting.png", steps=1))
    run.run()
    before = run.path.read_bytes()

    def broken(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        run.save()
    assert run.path.read_bytes() == before


def test_damaged_checkpoint_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        Checkpoint.load(path)
    with pytest.raises(TrainingError, match="no checkpoint"):
        Checkpoint.load(tmp_path / "missing.pt")


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    config = small_config(Path("a.png"), steps=100, warmup=10, learning_rate=1e-3)
    rates = [learning_rate(config, step) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == rates[9] == rates[10] == pytest.approx(1e-3)
    assert rates[55] == pytest.approx(5e-4)
    assert rates[100] == pytest.approx(0)


def test_crops_are_a_function_of_seed_and_number(place: Path) -> None:
    paths = list_pictures(place / "photos")
    crops, again = Crops(paths, 64, 7), Crops(paths, 64, 7)
    again[3]
    assert torch.equal(crops[5], again[5])
    assert not torch.equal(crops[5], crops[6])
    assert not torch.equal(crops[5], Crops(paths, 64, 8)[5])
    assert crops[5].shape == (3, 64, 64)
    assert -1 <= crops[5].min() < crops[5].max() <= 1


def test_processes_share_out_the_numbers() -> None:
    single = list(Stretch(2, 4, 4))
    pair = [list(Stretch(2, 4, 2, rank, 2)) for rank in (0, 1)]
    assert single == list(range(8, 16))
    assert sorted(pair[0] + pair[1]) == single
    assert pair[0] == [8, 9, 12, 13]


def test_small_photos_are_scaled_up_to_the_crop(tmp_path: Path) -> None:
    Image.new("RGB", (20, 300), (255, 0, 0)).save(tmp_path / "thin.png")
    Image.new("L", (300, 300), 255).save(tmp_path / "grey.png")
    crops = Crops(list_pictures(tmp_path), 256, 0)
    assert {crops[i].shape for i in range(4)} == {(3, 256, 256)}


@pytest.mark.parametrize("size", [200, 280])
def test_crops_are_scaled_both_ways(tmp_path: Path, size: int) -> None:
    # Stripes of 8 pixels: how many a crop shows tells by how much it was scaled.
    stripes = np.zeros((256, 340, 3), np.uint8)
    stripes[:, np.arange(340) % 16 < 8] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    crops = Crops(list_pictures(tmp_path), size, 0)
    edges = [int(((crops[i][0, 9] > 0).int().diff() != 0).sum()) for i in range(60)]
    scales = size / 8 / np.array(edges)
    assert 0.7 < scales.min() < 0.85
    assert 1.25 < scales.max() < 1.5
    assert np.exp(np.log(scales).mean()) == pytest.approx(np.sqrt(0.75 * 1.4), rel=0.08)


def test_crops_go_to_processes_without_the_photos(place: Path) -> None:
    crops = Crops(list_pictures(place / "photos"), 64, 7)
    expected = crops[5]
    sent = pickle.dumps(crops)
    assert len(sent) < 10_000
    assert torch.equal(pickle.loads(sent)[5], expected)


def test_small_photos_are_mirrored_where_the_crop_is_larger(tmp_path: Path) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    wide = mirror_to(image, 4)
    assert wide.shape == (4, 4, 3)
    assert np.array_equal(wide[1:3, 1:3], image)
    assert np.array_equal(wide[0], wide[1])
    assert mirror_to(image, 2) is image


def test_vgg_reads_the_layers_by_name() -> None:
    vgg = VGG("vgg16", ["relu1_2", "pool1", "relu2_2"], vgg_state())
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    found = vgg(image)
    assert list(found) == ["relu1_2", "pool1", "relu2_2"]
    state = vgg_state()
    x = (image + 1) * 127.5 - torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)
    for index in (0, 2):
        weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
        x = torch.relu(torch.nn.functional.conv2d(x, weight, bias, padding=1))
    torch.testing.assert_close(found["relu1_2"], x, atol=1e-3, rtol=1e-4)
    assert list(vgg(image, until="relu1_2")) == ["relu1_2"]


def test_vgg_names_follow_the_architectures() -> None:
    assert layer_names("vgg16").index("relu3_3") == 15
    assert layer_names("vgg16").index("relu4_3") == 22
    assert layer_names("vgg19").index("conv4_1") == 19
    with pytest.raises(TrainingError, match="vgg16, vgg19"):
        layer_names("resnet")


def test_vgg_refuses_unknown_layers_and_short_files(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no layer relu9_9"):
        VGG("vgg16", ["relu9_9"], vgg_state())
    with pytest.raises(TrainingError, match="do not reach"):
        VGG("vgg16", ["relu4_3"], vgg_state())
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"x" * 20)
    with pytest.raises(TrainingError, match="Cannot read"):
        load_vgg("vgg16", ["relu1_2"], bad)


def test_real_loss_network_sees_photos_as_the_paper_does(data: Path) -> None:
    """With Oxford's weights a photo is nearer to its own blur than to another photo."""
    vgg = load_vgg("vgg16", LossSpec().layers, data / "weights" / "vgg16.safetensors")
    paths = list_pictures(data / "content" / "val")
    photo, other = (to_tensor(read_picture(paths[i], 96)[:96, :96].copy()) for i in (0, 5))
    loss = PerceptualLoss(vgg, LossSpec(), [photo])
    blurred = torch.nn.functional.avg_pool2d(photo, 3, 1, 1)
    style = torch.zeros(1, dtype=torch.int64)
    content = loss.content_targets(photo)
    near, far = (loss.terms(x, content, style) for x in (blurred, other))
    own = loss.terms(photo, content, style)
    assert float(own["content"]) < 1e-8
    assert float(own["style"]) < 1e-8
    assert near["content"] < far["content"]
    assert near["style"] < far["style"]


def test_the_objective_is_the_weighted_sum(place: Path) -> None:
    vgg = load_vgg("vgg16", SHALLOW.layers, place / "vgg16.safetensors")
    paintings = [to_tensor(read_picture(place / name)) for name in ("painting.png", "second.png")]
    loss = PerceptualLoss(vgg, SHALLOW, paintings)
    raw = torch.rand(2, 3, 32, 32) * 3 - 1.5
    content = loss.content_targets(torch.rand(2, 3, 32, 32) * 2 - 1)
    style = torch.tensor([0, 1])
    total, report = loss(raw, content, style)
    excess = torch.relu(raw.abs() - 1).square().mean()
    wanted = report["content"] + 10 * report["style"] + 0.1 * report["tv"] + 10 * excess
    torch.testing.assert_close(total, wanted, atol=1e-5, rtol=1e-5)
    swapped, _ = loss(raw, content, style.flip(0))
    assert float(total) != pytest.approx(float(swapped))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"size": "huge"}, "fast, balanced, paper"),
        ({"crop": 30}, "multiple of 4"),
        ({"steps": 0}, "at least 1"),
        ({"learning_rate": 5.0}, "between 0 and 1"),
        ({"styles": ("a", "b")}, "one name"),
        ({"weight_bits": 4}, "8 or 16"),
        ({"parts": ((0, 0, 9, 9),) * 2}, "one part"),
        ({"parts": ((0, 0, 9),)}, "four numbers"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object], why: str) -> None:
    config = TrainConfig(**{"styles": ("a",), "paintings": ("a.png",), **options})  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=why):
        config.check()


def test_config_goes_through_json() -> None:
    config = small_config(Path("a.png"), Path("b.png"), parts=((0, 0, 8, 9), (1, 2, 3, 4)))
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_an_error(place: Path) -> None:
    with pytest.raises(TrainingError, match="Cannot train on CUDA"):
        Trainer(
            small_config(place / "painting.png"), place / "photos", place / "r", Machine("cuda")
        )


def test_command_trains_previews_logs_and_resumes(place: Path) -> None:
    first = rtstyle(*train_words(place))
    assert first.code == 0, first.output
    assert "Finished after 3 steps" in first.output
    with Image.open(place / "out" / "preview.png") as preview:
        assert preview.size == (2 * 307, 256)
        photo, painted = np.split(np.asarray(preview).astype(int), 2, axis=1)
        assert photo.std() > 10
        assert np.abs(photo - painted).mean() > 5
    events = list((place / "out" / "tensorboard").iterdir())
    assert events
    assert events[0].stat().st_size > 500
    longer = train_words(place, "--steps", "5")
    again = rtstyle(*longer)
    assert again.code == 0, again.output
    assert Checkpoint.load(place / "out" / "checkpoint.pt").step == 5


def test_a_part_of_a_painting_is_as_good_as_a_file_of_it(place: Path) -> None:
    with Image.open(place / "painting.png") as painting:
        framed = Image.new("RGB", (84, 90), "white")
        framed.paste(painting, (7, 5))
    framed.save(place / "framed.png")
    whole = trainer(place, small_config(place / "painting.png", steps=1), "whole")
    config = small_config(place / "framed.png", steps=1, parts=((7, 5, 71, 69),))
    part = trainer(place, config, "part")
    assert whole.run()
    assert part.run()
    for first, second in zip(whole.net.parameters(), part.net.parameters(), strict=True):
        assert torch.equal(first, second)


def test_bf16_autocast_trains(place: Path) -> None:
    config = small_config(place / "painting.png", steps=1, batch=1)
    run = Trainer(
        config,
        place / "photos",
        place / "run",
        Machine(device="cpu", precision="bf16"),
        vgg_weights=place / "vgg16.safetensors",
    )
    assert run.run()
    assert all(p.isfinite().all() and p.dtype is torch.float32 for p in run.net.parameters())


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (["train", "only-one"], UsageError),
        (["train", "missing.png", "PHOTOS"], RtstyleError),
        (["train", "PAINTING", "no-such-folder"], RtstyleError),
        (["train", "PAINTING", "PHOTOS", "--precision", "fp8"], UsageError),
        (["train", "PAINTING", "PHOTOS", "--style-layers", "relu1_2:x"], UsageError),
        (["train", "PAINTING", "PHOTOS", "--part", "0,0,9"], UsageError),
        (["train", "PAINTING", "PHOTOS", "--part", "0,0,9,x"], UsageError),
        (["train", "PAINTING", "PHOTOS", "--part", "0,0,65,64"], TrainingError),
        (["train", "PAINTING", "PHOTOS", "--part", "9,0,9,64"], TrainingError),
    ],
)
def test_bad_input_is_one_clear_error(place: Path, change: list[str], kind: type) -> None:
    names = {"PAINTING": str(place / "painting.png"), "PHOTOS": str(place / "photos")}
    words = [names.get(word, word) for word in change]
    if len(words) > 2:
        words += ["--vgg-weights", str(place / "vgg16.safetensors"), "--out", str(place / "o")]
        words += ["--content-layers", "relu2_2"]
        words += [] if "--style-layers" in words else ["--style-layers", "relu1_2"]
    result = rtstyle(*words)
    assert isinstance(result.error, kind)


def python_path() -> dict[str, str]:
    root = Path(__file__).resolve().parents[3]
    path = os.pathsep.join([str(root / "realtime"), str(root / "export")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_ctrl_c_saves_and_says_so(place: Path) -> None:
    words = train_words(place, "--steps", "100000", "--save-every", "100000")
    process = subprocess.Popen(
        [sys.executable, "-c", "from rtstyle.cli import main; main()", *words],
        env=python_path(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    events = place / "out" / "tensorboard"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(
        path.stat().st_size > 400 for path in events.glob("*")
    ):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "run the same command again" in out
    assert "Traceback" not in err
    assert Checkpoint.load(place / "out" / "checkpoint.pt").step >= 1


@pytest.mark.slow
def test_two_gloo_processes_train_as_one_with_twice_the_batch(place: Path) -> None:
    words = [*train_words(place), "--stability-weight", "0", "--margin", "0", "--threads", "1"]
    words += ["--optimizer", "adam"]  # in three steps SOAP's bases still hang on rounding
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "--no-python", sys.executable, "-c", "from rtstyle.cli import main; main()", *words,
    ]  # fmt: skip
    done = subprocess.run(
        command, env=python_path(), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("Finished after 3 steps") == 1
    pair = Checkpoint.load(place / "out" / "checkpoint.pt")
    assert pair.step == 3
    assert all(value.isfinite().all() for value in pair.model.values())
    # Without random windows, two processes with one photo each see what one sees with two.
    alone = [str(place / "alone") if word == str(place / "out") else word for word in words]
    alone[alone.index("--batch") + 1] = "2"
    assert rtstyle(*alone).code == 0
    single = Checkpoint.load(place / "alone" / "checkpoint.pt")
    torch.manual_seed(0)
    start = build_network("fast").state_dict()
    for key in ("stem.weight", "down.weight", "up.weight", "out.weight"):
        steps = [(run.model[key] - start[key]).flatten() for run in (pair, single)]
        assert float(torch.nn.functional.cosine_similarity(*steps, dim=0)) > 0.98


class TestRunLog:
    def test_a_run_whose_output_is_a_file_tells_where_it_is(
        self,
        place: Path,
    ) -> None:
        result = rtstyle(*train_words(place))
        assert result.code == 0, result.output
        steps = int(train_words(place)[train_words(place).index("--steps") + 1])
        assert result.err.startswith(f"step 0 of {steps}\n")

    def test_lines_come_while_a_step_takes_its_time(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = threading.Event()

        class Slow:
            machine, config = Machine("cpu"), SimpleNamespace(steps=9)
            step, seconds = 3, 6.0

            @property
            def metrics(self) -> dict[str, float]:
                if next(looks) == 2:
                    told.set()
                return {"total": 0.5}

        looks = itertools.count()
        with RunLog(every=0.01) as log:
            log.follow(Slow())  # type: ignore[type-var]
            assert told.wait(30)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) >= 2
        assert set(lines) == {"step 3 of 9, loss 0.5000, 2.00 s a step, 0:00:12 left"}

    def test_others_of_a_group_say_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        second = SimpleNamespace(machine=Machine("cpu", rank=1, world=2))
        with RunLog(every=0.01) as log:
            log.follow(second)  # type: ignore[type-var]
        assert capsys.readouterr().err == ""

    def test_a_line(self) -> None:
        assert describe(0, 4, {}, 0.0) == "step 0 of 4"
        assert describe(2, 4000, {"total": 1.0}, 3.0) == (
            "step 2 of 4000, loss 1.0000, 1.50 s a step, 1:39:57 left"
        )
