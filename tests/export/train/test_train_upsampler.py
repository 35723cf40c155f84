"""The network that enlarges paintings: its function, what it learns from, its run and its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.console import rtstyle
from PIL import Image as Pil

from rtstyle.engines import open_engine
from rtstyle.errors import TrainingError

torch = pytest.importorskip("torch")

from helpers.training import vgg19_state  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from rtstyle_export.export.by_kind import Request, export  # noqa: E402
from rtstyle_export.export.upsampler import load_upsampler, paintings_of  # noqa: E402
from rtstyle_export.maths.losses import UpsamplerLossSpec  # noqa: E402
from rtstyle_export.networks.upsampler import UpsamplerNet, UpsamplerSpec  # noqa: E402
from rtstyle_export.onnx_files.upsampler import FoldedUpsampler  # noqa: E402
from rtstyle_export.onnx_files.writer import on_bytes  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.upsampler_config import UpsamplerConfig  # noqa: E402
from rtstyle_export.train import upsampler as training  # noqa: E402
from rtstyle_export.train.upsampler import (  # noqa: E402
    Pairs,
    UpsamplerTrainer,
    reduced_and_enlarged,
    spoilt,
    to_floats,
)

TINY = {"crop": 64, "margin": 8, "batch": 2, "judged": 1, "pairs": 6}


def net_of(seed: int = 1) -> UpsamplerNet:
    torch.manual_seed(seed)
    net = UpsamplerNet().eval().requires_grad_(False)
    net.last.weight.mul_(10)
    return net


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        coarse = rng.integers(0, 256, (30, 40, 3), np.uint8)
        photo = cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_NEAREST)
        Pil.fromarray(photo).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def vgg(tmp_path: Path) -> Path:
    path = tmp_path / "vgg19.safetensors"
    save_file(vgg19_state("relu2_2"), path)
    return path


@pytest.fixture(autouse=True)
def _small_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SIDE", 96)


@pytest.mark.parametrize("size", [(64, 48), (37, 51), (3, 2)])
def test_the_exported_form_is_the_same_function(size: tuple[int, int]) -> None:
    net = net_of()
    generator = torch.Generator().manual_seed(2)
    image, canvas = torch.randint(0, 256, (2, 1, *size, 3), generator=generator, dtype=torch.uint8)
    wanted, found = on_bytes(net)(image, canvas), FoldedUpsampler(net).eval()(image, canvas)
    assert found.shape == (1, *size, 3)
    assert int((wanted.int() - found.int()).abs().max()) <= 1
    assert int((found.int() - canvas.int()).abs().max()) > 5


def test_a_fresh_network_returns_about_what_it_is_given() -> None:
    torch.manual_seed(0)
    frame, enlarged = torch.rand(2, 1, 3, 40, 44) * 2 - 1
    with torch.no_grad():
        assert float((UpsamplerNet()(frame, enlarged) - enlarged).abs().mean()) < 0.05


def test_it_sees_as_far_as_its_border_says() -> None:
    spec = UpsamplerSpec()
    net = net_of()
    frame = torch.rand(1, 3, 96, 96) * 2 - 1
    changed = frame.clone()
    changed[:, :, :, 48:52] += 0.5
    difference = (net(changed, frame) - net(frame, frame)).abs().amax((0, 1, 2))
    touched = torch.nonzero(difference > 1e-6).flatten()
    assert int(touched.min()) >= 48 - spec.border
    assert int(touched.max()) < 52 + spec.border


def test_pairs_are_a_function_of_their_number() -> None:
    rng = np.random.default_rng(3)
    photos, painted = rng.integers(0, 256, (2, 3, 96, 96, 3), np.uint8)
    config = UpsamplerConfig(**TINY)
    pairs = Pairs(photos, painted, config)
    for one, two in zip(pairs[5], Pairs(photos, painted, config)[5], strict=True):
        assert one.shape == (72, 72, 3)
        np.testing.assert_array_equal(one, two)
    assert any((a != b).any() for a, b in zip(pairs[5], pairs[6], strict=True))
    # The target is a part of a painting, turned perhaps; what is enlarged has lost its detail.
    _, enlarged, target = pairs[5]
    assert enlarged.std() < target.std()
    assert abs(float(enlarged.mean()) - float(target.mean())) < 3


def test_reduced_and_enlarged_keeps_size_and_loses_detail() -> None:
    checks = (np.indices((40, 60)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found = reduced_and_enlarged(np.repeat(checks[..., None], 3, axis=2), 2.0)
    assert found.shape == (40, 60, 3)
    assert found.std() < 3


def test_photos_are_spoilt_within_bounds() -> None:
    photo = np.full((48, 48, 3), 100, np.uint8)
    found = [spoilt(photo, np.random.default_rng(seed)) for seed in range(40)]
    assert any((x == photo).all() for x in found)
    assert any((x != photo).any() for x in found)
    assert max(float(np.abs(x.astype(int) - 100).mean()) for x in found) < 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"judged": 9}, "judged must lie"),
        ({"least": 1.0}, "reduced by more than 1"),
        ({"most": 9.0}, "reduced by more than 1"),
        ({"pairs": 0}, "pairs must lie"),
        ({"loss": UpsamplerLossSpec(pixel_weight=-1)}, "pixel-weight"),
    ],
)
def test_what_cannot_be_trained_with_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        UpsamplerConfig(**options).check()  # type: ignore[arg-type]


def trainer(photos: Path, vgg: Path, folder: Path, **options: Any) -> UpsamplerTrainer:
    config = UpsamplerConfig(**{**TINY, "plain_steps": 4, **options})
    return UpsamplerTrainer(config, photos, folder, vgg_weights=vgg)


@pytest.mark.slow
def test_a_run_learns_and_a_resumed_one_ends_alike(photos: Path, vgg: Path, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    whole = trainer(photos, vgg, tmp_path / "whole", steps=8)
    whole.run(lambda progress: seen.append(progress.losses))
    assert [set(losses) for losses in seen[3:5]] == [
        {"pixel", "even", "grid", "total"},
        {"pixel", "even", "grid", "content", "style", "total"},
    ]
    stopped = trainer(photos, vgg, tmp_path / "parts", steps=8)
    stopped.run(should_stop=lambda: stopped.step >= 5)
    assert stopped.step == 5
    resumed = trainer(photos, vgg, tmp_path / "parts", steps=8)
    assert resumed.step == 5
    resumed.run()
    for key, value in whole.weights().items():
        torch.testing.assert_close(resumed.weights()[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_many_steps_bring_edges_back(
    photos: Path, vgg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of paintings whose edges are those of the photo."""
    monkeypatch.setattr(training, "painted_by_all", lambda squares, _tell: 255 - squares)
    run = trainer(
        photos, vgg, tmp_path / "run", steps=200, plain_steps=200, batch=4, learning_rate=0.003,
        loss=UpsamplerLossSpec(even_weight=3),
    )  # fmt: skip
    run.run()
    errors = []
    for number in range(1000, 1008):
        frame, enlarged, target = (
            to_floats(torch.from_numpy(x)[None]) for x in run.dataset()[number]
        )
        with torch.no_grad():
            found = run.net(frame, enlarged)
        errors.append([float((x - target).abs().mean()) for x in (found, enlarged)])
    by_network, by_interpolation = np.mean(errors, axis=0)
    assert by_network < 0.9 * by_interpolation
    assert added_to_colours(run.net) < 0.001


def test_what_repeats_from_square_to_square_is_found() -> None:
    generator = torch.Generator().manual_seed(1)
    square = torch.tensor([[1.0, -1, 1, -1]] * 4)
    grid = square.tile(9, 12)[:, :47].expand(2, 3, -1, -1)
    assert float(training.repeated(grid)) == pytest.approx(1)
    # Neither an even error nor what lies elsewhere in every square.
    assert float(training.repeated(torch.full((2, 3, 36, 48), 0.3))) == pytest.approx(0, abs=1e-6)
    noise = torch.randn(2, 3, 400, 400, generator=generator)
    assert float(training.repeated(noise)) < 0.01


def added_to_colours(net: torch.nn.Module) -> float:
    """Return what is added to even pictures, the mean of 125 colours beside 125 others."""
    steps = torch.linspace(-0.9, 0.9, 5)
    colours = torch.cartesian_prod(steps, steps, steps)[:, :, None, None].expand(-1, -1, 24, 24)
    with torch.no_grad():
        return float((net(colours.flip(0), colours) - colours).abs().mean())


@pytest.mark.slow
def test_the_file_is_that_of_the_checkpoint(photos: Path, vgg: Path, tmp_path: Path) -> None:
    run = trainer(photos, vgg, tmp_path / "run", steps=3)
    run.run()
    out = tmp_path / "styles"
    out.mkdir()
    done = export(tmp_path / "run", out, Request(manifest=True), lambda *_: None)
    assert done.use == ""
    assert done.files == [out / "upsampler.onnx"]
    entry = json.loads((out / "manifest.json").read_text())["upsampler"]
    assert entry["path"] == "upsampler.onnx"
    assert entry["training"]["steps"] == 3
    assert entry["training"]["pairs"] == TINY["pairs"]
    net = on_bytes(load_upsampler(Checkpoint.load(run.path))).eval()
    picture = np.random.default_rng(0).integers(0, 256, (50, 62, 3), np.uint8)
    (feed,) = paintings_of([picture])
    with open_engine(out / "upsampler.onnx", "cpu", precision="fp32") as engine:
        found = engine.run(feed["image"], {"canvas": feed["canvas"]})
    with torch.no_grad():
        wanted = net(*(torch.from_numpy(feed[name]) for name in ("image", "canvas"))).numpy()
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_other_checkpoints_are_refused(photos: Path, vgg: Path, tmp_path: Path) -> None:
    run = trainer(photos, vgg, tmp_path / "run", steps=1)
    run.run()
    again = trainer(photos, vgg, tmp_path / "again", steps=1)
    again.initialise(Checkpoint.load(run.path))
    for key, value in run.weights().items():
        torch.testing.assert_close(again.weights()[key], value)


@pytest.mark.slow
def test_the_command_trains_and_says_where(photos: Path, vgg: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = rtstyle(
        "train-upsampler", str(photos), "--out", str(out), "--steps", "2", "--plain-steps", "1",
        "--pairs", "3", "--crop", "64", "--batch", "2", "--threads", "1",
        "--vgg-weights", str(vgg),
    )  # fmt: skip
    assert result.code == 0, result.output
    assert (out / "checkpoint.pt").is_file()
    assert "Finished after 2 steps" in result.output
