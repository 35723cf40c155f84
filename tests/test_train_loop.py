"""The training loop and its loss network: finished runs, bad numbers, devices, layers, previews."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from rich.console import Console  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from training import (  # noqa: E402
    SHALLOW,
    small_config,
    vgg19_state,
    vgg_state,
    write_place,
)

from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle_export.data import read_picture, to_tensor  # noqa: E402
from rtstyle_export.losses import LossSpec, PerceptualLoss  # noqa: E402
from rtstyle_export.stability import Perturbation  # noqa: E402
from rtstyle_export.train.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.train.config import TrainConfig  # noqa: E402
from rtstyle_export.train.job import catch_interrupts, place_of  # noqa: E402
from rtstyle_export.train.loop import Machine  # noqa: E402
from rtstyle_export.train.report import Reporter  # noqa: E402
from rtstyle_export.train.trainer import Trainer  # noqa: E402
from rtstyle_export.vgg import OXFORD, TORCHVISION, VGG, load_vgg  # noqa: E402


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with photos/, painting.png and vgg16.safetensors."""
    return write_place(tmp_path)


def trainer(place: Path, **options: object) -> Trainer:
    config: TrainConfig = small_config(place / "painting.png", **{"steps": 2, **options})
    machine = Machine(device="cpu", precision="fp32")
    vgg = place / "vgg16.safetensors"
    return Trainer(config, place / "photos", place / "run", machine, vgg_weights=vgg)


class TestFinished:
    def test_running_a_finished_run_again_changes_nothing(self, place: Path) -> None:
        first = trainer(place)
        assert first.run()
        before = first.path.read_bytes()
        assert {"content", "style", "tv", "stability", "total"} <= set(first.metrics)
        again = trainer(place)
        assert again.run()
        assert again.metrics == first.metrics
        assert first.path.read_bytes() == before

    def test_a_slimmed_run_stays_without_its_optimiser(self, place: Path) -> None:
        first = trainer(place)
        first.run()
        slim = replace(Checkpoint.load(first.path), optimizer=None)
        slim.save(first.path)
        assert trainer(place).run()
        assert Checkpoint.load(first.path).optimizer is None
        with pytest.raises(TrainingError, match="without its optimiser"):
            trainer(place, steps=3)


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_numbers_that_are_none_stop_a_run_before_they_reach_the_weights(
    place: Path, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    run = trainer(place, steps=5)
    plain = run.losses

    def losses(batch: object, generator: torch.Generator) -> object:
        total, report = plain(batch, generator)
        if run.step == 2:
            root = (total - total.detach()).abs().sqrt()  # 0, and its gradient is not finite
            total = total + (root if bad == "gradient" else float("nan"))
        return total, report

    monkeypatch.setattr(run, "losses", losses)
    with pytest.raises(TrainingError, match=f"The {bad} is no longer a number at step 3"):
        run.run(save_every=1)
    assert run.step == 2
    assert all(value.isfinite().all() for value in run.net.state_dict().values())
    assert Checkpoint.load(run.path).step == 2


def test_the_preview_is_painted_with_weights_as_they_are_stored(place: Path) -> None:
    run = trainer(place, weight_bits=8)
    photo = to_tensor(read_picture(place / "photos" / "0.png"))
    seen: list[torch.Tensor] = []
    plain = run.preview

    def preview(shown: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.append(run.net.state_dict()["down.weight"].clone())
        return plain(shown)

    run.preview = preview  # type: ignore[method-assign]
    run.save()
    exact = run.net.state_dict()["down.weight"].clone()
    with Reporter(run, run.folder, photo, Console(quiet=True)) as reporter:
        reporter.preview(1)
    stored = Checkpoint.load(run.path).network().state_dict()["down.weight"]
    assert not torch.equal(stored, exact)
    assert torch.equal(seen[0], stored)
    assert torch.equal(run.net.state_dict()["down.weight"], exact)


class TestDevices:
    @pytest.mark.parametrize(
        ("device", "local", "gpus", "found"),
        [
            ("auto", 0, 0, ("cpu", "gloo")),
            ("auto", 1, 2, ("cuda:1", "nccl")),
            ("cuda", 1, 2, ("cuda:1", "nccl")),
            ("cpu", 1, 2, ("cpu", "gloo")),
            ("cpu", 5, 2, ("cpu", "gloo")),
            ("cuda", 0, 0, ("cuda:0", "nccl")),
        ],
    )
    def test_each_process_has_its_own(
        self, device: str, local: int, gpus: int, found: tuple[str, str]
    ) -> None:
        assert place_of(device, local, gpus) == found

    def test_a_gpu_is_not_shared(self) -> None:
        with pytest.raises(TrainingError, match="cannot train on cuda:1"):
            place_of("cuda:1", 0, 2)
        with pytest.raises(TrainingError, match="no GPU for process 3"):
            place_of("auto", 2, 2)


class TestLayers:
    @pytest.mark.parametrize(
        "layers", [["pool1"], ["conv2_2", "relu2_2"], ["pool1", "relu1_2"], ["relu2_1", "conv2_2"]]
    )
    def test_content_layers_of_every_kind(self, layers: list[str]) -> None:
        spec = LossSpec(dict.fromkeys(layers, 1.0), SHALLOW.style_layers)
        loss = PerceptualLoss(
            VGG("vgg16", spec.layers, vgg_state()), spec, [torch.zeros(1, 3, 32, 32)]
        )
        photo = torch.rand(1, 3, 32, 32) * 2 - 1
        found, wanted = loss.content_targets(photo), loss.vgg(photo)
        assert list(found) == layers
        for layer in layers:
            assert torch.equal(found[layer], wanted[layer])

    def test_a_convolution_is_read_before_its_relu(self, place: Path) -> None:
        run = trainer(place, loss=LossSpec({"conv2_2": 1.0}, {"relu1_2": 1.0}))
        photo = torch.rand(1, 3, 32, 32) * 2 - 1
        found = run.loss.content_targets(photo)["conv2_2"]
        assert float(found.min()) < 0


class TestScale:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    @pytest.mark.parametrize(
        ("arch", "first"),
        [("vgg16", (-0.55373, 0.14270, 0.52896)), ("vgg19", (-0.053474, -0.049257, -0.067942))],
    )
    def test_weights_of_torchvision_are_known(
        self, tmp_path: Path, arch: str, first: tuple[float, ...], dtype: torch.dtype
    ) -> None:
        state = vgg19_state("relu1_1")
        state["features.0.weight"].view(-1)[:3] = torch.tensor(first)
        path = tmp_path / "vgg.safetensors"
        save_file({key: value.to(dtype) for key, value in state.items()}, path)
        vgg = load_vgg(arch, ["relu1_1"], path)
        assert (vgg.mean.flatten().tolist(), vgg.std.flatten().tolist()) == (
            pytest.approx(TORCHVISION[0]),
            pytest.approx(TORCHVISION[1]),
        )

    def test_others_are_taken_for_those_of_oxford(self, place: Path) -> None:
        vgg = load_vgg("vgg16", ["relu1_1"], place / "vgg16.safetensors")
        assert vgg.mean.flatten().tolist() == pytest.approx(OXFORD[0])
        assert vgg.std.flatten().tolist() == [1, 1, 1]

    @pytest.mark.parametrize("arch", ["vgg16", "vgg19"])
    def test_those_of_oxford_are(self, data: Path, arch: str) -> None:
        vgg = load_vgg(arch, ["relu1_1"], data / "weights" / f"{arch}.safetensors")
        assert vgg.std.flatten().tolist() == [1, 1, 1]


def test_the_margin_covers_what_moved_in() -> None:
    assert Perturbation(shift=6, scale=0.04).margin(280) == 6 + 6
    assert Perturbation(shift=6, scale=0.04).margin(256) == 6 + 6
    assert Perturbation(shift=2, scale=0.0).margin(256) == 2
    assert Perturbation(shift=0, scale=0.5).margin(40) == 10


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")
def test_a_closed_terminal_ends_a_run_in_order() -> None:
    # Whatever started the tests may have it ignored, as nohup does.
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with catch_interrupts() as flag:
            signal.raise_signal(signal.SIGHUP)
            # The shell says it to its jobs once more.
            signal.raise_signal(signal.SIGHUP)
        assert flag.raised
    finally:
        signal.signal(signal.SIGHUP, inherited)
