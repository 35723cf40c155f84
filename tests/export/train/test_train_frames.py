"""Training on painted frames: pairs, the windows of a step, the run, the file, the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.console import rtstyle  # noqa: E402
from helpers.training import write_vgg  # noqa: E402
from PIL import Image  # noqa: E402

from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle_export.export.by_kind import Request, export  # noqa: E402
from rtstyle_export.maths.losses import FramesLossSpec  # noqa: E402
from rtstyle_export.networks.canvas import SPECS, CanvasNet  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.frames_config import FramesConfig  # noqa: E402
from rtstyle_export.train.canvas.motion import grid_of, sample  # noqa: E402
from rtstyle_export.train.frames.pairs import Spread, read_pairs  # noqa: E402
from rtstyle_export.train.frames.trainer import (  # noqa: E402
    FramesTrainer,
    draw_view,
    seen,
)
from rtstyle_export.train.nearest import nearest_to_frames  # noqa: E402

SHALLOW = FramesLossSpec(
    content_layers={"relu2_2": 1.0}, style_layers={"relu1_2": 0.5, "relu2_2": 0.5}
)


def frame_of(number: int) -> np.ndarray:
    """A frame of the clip: a bright square that moves to the right over a slope."""
    image = np.zeros((80, 96, 3), np.uint8)
    image[..., 1] = np.linspace(40, 160, 96).astype(np.uint8)
    image[20:50, 8 + 4 * number : 38 + 4 * number] = (220, 60, 40)
    return image


def painted_of(frame: np.ndarray) -> np.ndarray:
    """What a painter makes of a frame: other colours for the same things."""
    return np.ascontiguousarray(255 - frame[..., ::-1])


def write_place(folder: Path) -> Path:
    """Write clip.mp4, vgg16.safetensors, and the painted frames 2 and 9 into painted/."""
    with av.open(str(folder / "clip.mp4"), "w") as out:
        stream: Any = out.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        for number in range(12):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame_of(number), "rgb24")))
        out.mux(stream.encode())
    write_vgg(folder)
    (folder / "painted").mkdir()
    for number in (2, 9):
        file = folder / "painted" / f"frame_{number:05d}.png"
        Image.fromarray(painted_of(frame_of(number - 1))).save(file)
    return folder


def config_of(place: Path, **options: object) -> FramesConfig:
    known: dict[str, object] = {
        "styles": ("mine",), "paintings": (str(place / "painted"),),
        "clip": str(place / "clip.mp4"), "crop": 64, "patch": 64, "style_size": 80,
        "steps": 6, "loss_network": "vgg16", "loss": SHALLOW,
    }  # fmt: skip
    return FramesConfig(**{**known, **options})  # type: ignore[arg-type]


def trainer_of(place: Path, folder: Path, **options: object) -> FramesTrainer:
    return FramesTrainer(
        config_of(place, **options), folder, vgg_weights=place / "vgg16.safetensors"
    )


def test_pictures_are_paired_with_their_frames_by_number(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    pairs = read_pairs(place / "painted", place / "clip.mp4", 80)
    assert len(pairs.painted) == 2
    for number, frame, painted in zip((1, 8), pairs.frames, pairs.painted, strict=True):
        assert np.abs(frame.astype(int) - frame_of(number)).mean() < 6
        np.testing.assert_array_equal(painted, painted_of(frame_of(number)))
    assert len(pairs.others) == 10
    # Frames 1 to 5 are nearer to the second frame, the rest to the ninth.
    assert pairs.nearest == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]


def test_pictures_are_paired_by_the_index_of_keyframes(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    (place / "painted" / "frame_00002.png").rename(place / "painted" / "key_00001.png")
    (place / "painted" / "frame_00009.png").rename(place / "painted" / "key_00002.png")
    rows = [{"file": f"key_0000{k + 1}.png", "time": at} for k, at in enumerate((0.1, 0.8))]
    (place / "painted" / "index.json").write_text(json.dumps({"keyframes": rows}))
    pairs = read_pairs(place / "painted", place / "clip.mp4", 80)
    np.testing.assert_array_equal(pairs.painted[1], painted_of(frame_of(8)))
    assert np.abs(pairs.frames[1].astype(int) - frame_of(8)).mean() < 6


@pytest.mark.parametrize(
    ("name", "size", "why"),
    [
        ("sketch.png", (96, 80), "not known which frame"),
        ("f_00000.png", (96, 80), "not known which frame"),
        ("f_00013.png", (96, 80), "no frame in"),
        ("f_00003.png", (80, 80), "other proportions"),
    ],
)
def test_pictures_that_are_no_frames_are_named(
    tmp_path: Path, name: str, size: tuple[int, int], why: str
) -> None:
    place = write_place(tmp_path)
    Image.new("RGB", size).save(place / "painted" / name)
    with pytest.raises(TrainingError, match=why):
        read_pairs(place / "painted", place / "clip.mp4", 80)


def test_what_is_kept_of_a_clip_is_spread_over_all_of_it() -> None:
    spread = Spread(5)
    image = np.zeros((1, 1, 3), np.uint8)
    for number in range(23):
        spread.add(float(number), image)
    times = [time for time, _ in spread.kept]
    assert len(times) <= 5
    assert times == [float(n) for n in range(0, 23, spread.every)]


def test_a_window_shows_frame_and_painting_at_one_place_and_the_last_one_moved() -> None:
    """The canvas, moved, lies where the frame is now."""
    small = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(1))
    picture = torch.nn.functional.interpolate(small, (200, 300), mode="bicubic").clamp(0, 1) * 255
    rng = np.random.default_rng(4)
    for _ in range(8):
        view = draw_view(rng, (200, 300), 96)
        now, before = (seen(picture, place, 96) for place in (view.place, view.before))
        moved = sample(before, grid_of(view.motion, 96))
        assert float((moved - now)[:, :, 16:-16, 16:-16].abs().mean()) < 0.02
        # All corners of the window lie in the picture, but for its slant.
        assert float(grid_of(view.place, 96).abs().max()) < 1.15


def test_windows_keep_the_proportions_of_things() -> None:
    view = draw_view(np.random.default_rng(0), (100, 300), 64)
    across, down = view.place[0, :, 0] * torch.tensor([150, 50]), view.place[0, :, 1]
    down = down * torch.tensor([150, 50])
    assert float(across.norm()) == pytest.approx(float(down.norm()), rel=1e-5)
    assert float(across @ down) == pytest.approx(0, abs=1e-3)


def test_the_objective_is_the_sum_of_its_terms(tmp_path: Path) -> None:
    """L1 alone first, then with patches; Gram matrices alone where nobody painted."""
    place = write_place(tmp_path)
    run = trainer_of(place, tmp_path / "run", plain=0.5)
    loss = run.config.loss
    total, terms = run.losses(np.random.default_rng(3))
    always = {"coherence", "lattice", "range"}
    assert set(terms) == {*always, "pixel"}
    run.step = 5
    seen_terms = set()
    for seed in range(12):
        total, terms = run.losses(np.random.default_rng(seed))
        weighed = sum(getattr(loss, f"{name}_weight") * float(v) for name, v in terms.items())
        assert float(total.detach()) == pytest.approx(weighed, rel=1e-4)
        seen_terms.add(frozenset(terms) - always)
    assert seen_terms == {frozenset({"pixel", "content", "style"}), frozenset({"style"})}


@pytest.mark.slow
def test_a_run_learns_the_painter_and_paints_a_frame_that_was_not_painted(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    run = trainer_of(place, tmp_path / "run", steps=160, learning_rate=5e-3, plain=0.8)
    net = run.network()

    def far() -> float:
        frame = torch.from_numpy(frame_of(5)).permute(2, 0, 1)[None].float() / 127.5 - 1
        wanted = torch.from_numpy(painted_of(frame_of(5))).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            return float((run.alone(frame) - wanted).abs().mean())

    before = far()
    totals: list[float] = []
    assert not run.run(lambda p: totals.append(p.losses["total"]), lambda: len(totals) >= 120)
    again = trainer_of(place, tmp_path / "run", steps=160, learning_rate=5e-3, plain=0.8)
    assert again.step == 120
    for key, value in run.weights().items():
        assert torch.equal(value, again.weights()[key])
    assert run.run()
    assert far() < 0.45 * before
    assert net is run.network()


@pytest.mark.slow
def test_a_file_is_exported_like_others_and_sees_a_canvas(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    run = trainer_of(place, tmp_path / "run", steps=2)
    assert run.run()
    done = export(run.path, tmp_path / "files", Request(), lambda *_: None)
    assert done.use == f"video in.mp4 out.mp4 --style {done.files[0]}"
    assert (tmp_path / "files" / "mine-fast.onnx").is_file()
    back = Checkpoint.load(run.path)
    assert back.config == run.config
    assert isinstance(back.network("mine"), CanvasNet)


def test_a_run_starts_from_a_network_of_the_same_layers(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    torch.manual_seed(2)
    other = CanvasNet(SPECS["fast", "quarter"])
    config = config_of(place, styles=("other",))
    Checkpoint(config, 3, other.state_dict(), None, 0.0, {}).save(tmp_path / "other.pt")
    run = FramesTrainer(
        config_of(place), tmp_path / "run", init_from=tmp_path / "other.pt",
        vgg_weights=place / "vgg16.safetensors",
    )  # fmt: skip
    for key, value in other.state_dict().items():
        torch.testing.assert_close(run.weights()[key], value)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"paintings": ("a", "b"), "styles": ("a", "b"), "batch": 2}, "one folder"),
        ({"clip": ""}, "need the clip"),
        ({"body": "eighth"}, "the body quarter"),
        ({"patch": 32}, "patch must lie"),
        ({"plain": 1.5}, "plain must lie"),
        ({"unpaired": 1.0}, "unpaired must lie"),
    ],
)
def test_options_that_do_not_work_are_named(options: dict[str, object], why: str) -> None:
    base = {"styles": ("a",), "paintings": ("a",), "clip": "in.mp4"}
    with pytest.raises(TrainingError, match=why):
        FramesConfig(**{**base, **options}).check()  # type: ignore[arg-type]


def test_the_command_trains_and_says_what_does_not_go_together(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    start = tmp_path / "start.pt"
    net = CanvasNet(SPECS["fast", "quarter"])
    Checkpoint(config_of(place), 3, net.state_dict(), None, 0.0, {}).save(start)
    words = [
        "train", "--frames", str(place / "painted"), "--clip", str(place / "clip.mp4"),
        "--name", "mine", "--steps", "2", "--crop", "64", "--patch", "64",
        "--content-layers", "relu2_2", "--style-layers", "relu1_2,relu2_2",
        "--loss-network", "vgg16", "--vgg-weights", str(place / "vgg16.safetensors"),
        "--out", str(tmp_path / "run"), "--init-from", str(start),
    ]  # fmt: skip
    done = rtstyle(*words)
    assert done.code == 0, done.output
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
    assert (tmp_path / "run" / "preview.png").is_file()
    refused = rtstyle(*words, "--part", "0,0,9,9")
    assert "takes the place of paintings" in str(refused.error)
    alone = rtstyle("train", "--clip", str(place / "clip.mp4"))
    assert "need the clip that they are of" in str(alone.error)


def test_the_start_is_the_style_that_paints_most_alike(tmp_path: Path) -> None:
    """Of the styles of the tests, one gives pictures back, one inverts them, one is a network."""
    place = write_place(tmp_path)
    for number in (2, 9):
        painted = 255 - frame_of(number - 1)
        Image.fromarray(painted).save(place / "painted" / f"frame_{number:05d}.png")
    pairs = read_pairs(place / "painted", place / "clip.mp4", 80)
    name, path = nearest_to_frames(pairs, config_of(place), place / "vgg16.safetensors")
    assert name == "invert"
    assert path.is_file()
