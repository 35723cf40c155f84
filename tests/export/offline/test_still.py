"""`rtstyle still`, `texture` and `reconstruct` as a user meets them, with a small network."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

torch = pytest.importorskip("torch")

from helpers.console import rtstyle  # noqa: E402
from helpers.training import vgg_state, write_painting  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from rtstyle.errors import SinkError  # noqa: E402
from rtstyle.media.color import with_chroma_of  # noqa: E402
from rtstyle_export.offline import job, memory  # noqa: E402
from rtstyle_export.offline.gatys import Method  # noqa: E402

LAYERS = ("--content-layers", "relu2_1", "--style-layers", "conv1_1,relu2_1")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a photo, two paintings, a mask and weights of the first layers."""
    monkeypatch.chdir(tmp_path)
    small = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    Pil.fromarray(small).resize((60, 48), Pil.Resampling.BICUBIC).save("photo.png")
    write_painting(tmp_path / "a.png", 1)
    write_painting(tmp_path / "b.png", 2)
    mask = np.zeros((48, 60), np.uint8)
    mask[:, 30:] = 255
    Pil.fromarray(mask).save("mask.png")
    save_file(vgg_state(), tmp_path / "vgg19.safetensors")


class Run:
    """Runs commands in this process."""

    def __call__(self, *arguments: object) -> tuple[int, str]:
        """Return exit code and all that was printed."""
        done = rtstyle(*arguments)
        return done.code, done.output

    def still(self, *arguments: object, layers: tuple[str, ...] = LAYERS) -> tuple[int, str]:
        weights = ("--vgg-weights", "vgg19.safetensors", "--iterations", "3")
        return self("still", "photo.png", "out.png", *weights, *layers, *arguments)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("RTSTYLE_DEBUG", "1")
    return Run()


def pixels(name: str) -> np.ndarray:
    with Pil.open(name) as file:
        return np.asarray(file.convert("RGB"))


def test_a_still_is_painted(run: Run) -> None:
    code, text = run.still("--style", "a.png")
    assert (code, text.startswith("out.png  60x48")) == (0, True), text
    assert not np.array_equal(pixels("out.png"), pixels("photo.png"))
    assert not Path("out.png.state").exists()


def test_options_change_the_painting(run: Run) -> None:
    seen = []
    for options in (
        ("--style", "a.png"),
        ("--style", "a.png:0.5,b.png:0.5"),
        ("--style", "a.png", "--style", "b.png", "--mask", "mask.png"),
        ("--style", "a.png", "--style-scale", "2"),
        ("--style", "a.png", "--optimizer", "adam", "--learning-rate", "0.1"),
        ("--style", "a.png", "--init", "noise"),
        ("--style", "a.png", "--keep-color", "match"),
        ("--style", "a.png", "--tv", "power", "--gamma", "1.2", "--tv-weight", "9"),
        ("--style", "a.png", "--pooling", "max"),
    ):
        code, text = run.still(*options, "--overwrite")
        assert code == 0, text
        seen.append(pixels("out.png").tobytes())
    assert len(set(seen)) == len(seen)


def test_each_style_paints_its_region(run: Run) -> None:
    Pil.new("RGB", (64, 64), (250, 20, 20)).save("red.png")
    Pil.new("RGB", (64, 64), (20, 20, 250)).save("blue.png")
    styles = ("--style", "red.png", "--style", "blue.png", "--mask", "mask.png")
    layers = ("--content-layers", "relu2_1", "--style-layers", "relu1_1")
    weights = ("--content-weight", "0", "--iterations", "25")
    code, text = run.still(*styles, *weights, layers=layers)
    assert code == 0, text
    left, right = pixels("out.png")[:, 4:26], pixels("out.png")[:, 34:56]
    assert left[..., 0].mean() > left[..., 2].mean() + 40
    assert right[..., 2].mean() > right[..., 0].mean() + 40


def test_luminance_keeps_the_chroma_of_the_photo(run: Run) -> None:
    code, text = run.still("--style", "a.png", "--keep-color", "luminance")
    assert code == 0, text
    photo, painted = pixels("photo.png"), pixels("out.png")
    difference = np.abs(painted.astype(int) - with_chroma_of(photo, painted))
    assert difference.max() <= 3


def test_size_and_alpha(run: Run) -> None:
    photo = Pil.fromarray(pixels("photo.png"))
    photo.putalpha(Pil.fromarray((np.arange(48 * 60) % 256).astype(np.uint8).reshape(48, 60)))
    photo.save("photo.png")
    code, text = run.still("--style", "a.png", "--long-side", "30")
    assert code == 0, text
    with Pil.open("out.png") as painted:
        assert (painted.size, painted.mode) == ((30, 24), "RGBA")


def test_preview(run: Run) -> None:
    code, text = run.still("--style", "a.png", "--preview", "p.png", "--preview-every", "1")
    assert code == 0, text
    assert pixels("p.png").shape == pixels("out.png").shape


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--style", "mosaic"), "--style takes picture files here"),
        (("--style", "none.png"), "no picture none.png"),
        (("--style", "vgg19.safetensors"), "not a photo that can be read"),
        (("--style", "a.png", "--method", "fft"), "Use gatys or wct"),
        (("--style", "a.png", "--content-layers", "conv9_1"), "Its layers are conv1_1"),
        (("--style", "a.png", "--content-layers", "conv4_2"), "do not reach the layers"),
        (("--style", "a.png", "--style-layers", "conv1_1:x"), "Cannot read the layer weight"),
        (("--style", "a.png", "--gamma", "2"), "--tv power"),
        (("--style", "a.png", "--learning-rate", "2"), "--optimizer adam"),
        (("--style", "a.png", "--style", "b.png"), "--mask"),
        (("--style", "a.png", "--mask", "mask.png"), "Repeat --style"),
        (("--style", "a.png", "--keep-color", "yes"), "luminance or match"),
        (("--style", "a.png", "--init", "sketch"), "photo, noise, style"),
        (("--style", "a.png", "--device", "tpu"), "auto, cpu or cuda"),
        (("--style", "a.png", "--resume"), "nothing to resume"),
        (("--style", "a.png", "--style-scale", "0"), "out of range"),
        (("--style", "a.png", "--long-side", "0"), "--long-side"),
    ],
)
def test_bad_input_is_one_message(run: Run, options: tuple[str, ...], words: str) -> None:
    code, text = run.still(*options)
    assert code == 2
    assert words in text
    assert not Path("out.png").exists()


def test_a_wrong_name_is_told_before_anything_is_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("VGG-19 was loaded")

    monkeypatch.setattr("rtstyle_export.offline.start.suited", never)
    code, text = run.still("--style", "none.png")
    assert code == 2
    assert "no picture none.png" in text


def test_existing_outputs_are_kept(run: Run) -> None:
    Path("out.png").write_bytes(b"mine")
    code, text = run.still("--style", "a.png")
    assert (code, "--overwrite" in text) == (2, True)
    code, text = run.still("--style", "none.png", "--overwrite")
    assert code == 2
    assert Path("out.png").read_bytes() == b"mine"
    code, text = run("still", "photo.png", "photo.png", "--style", "a.png", "--overwrite")
    assert (code, "input itself" in text) == (2, True)


def test_what_is_read_is_never_replaced(run: Run) -> None:
    before = Path("a.png").read_bytes()
    code, text = run("still", "photo.png", "a.png", "--style", "a.png", "--overwrite")
    assert (code, "read here" in text) == (2, True)
    code, text = run.still("--style", "a.png", "--preview", "a.png", "--overwrite")
    assert (code, "read here" in text) == (2, True)
    code, text = run("texture", "a.png:0.5,b.png:0.5", "a.png", "--overwrite")
    assert (code, "read here" in text) == (2, True)
    assert Path("a.png").read_bytes() == before


def test_too_little_memory_is_told_before_the_start(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda _: 1_001_000_000)
    code, text = run.still("--style", "a.png")
    assert code == 2
    assert "not enough memory for 60x48" in text


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int, signals: int = 1) -> None:
    """Press Ctrl-C at a step of the optimisation."""
    plain, count = job.Watch.__call__, [0]

    def call(self: job.Watch, progress: object) -> None:
        plain(self, progress)  # type: ignore[arg-type]
        count[0] += 1
        if count[0] == steps:
            for _ in range(signals):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(job.Watch, "__call__", call)


def test_ctrl_c_keeps_the_best_and_resume_goes_on(run: Run) -> None:
    code, _ = run.still("--style", "a.png")
    whole = pixels("out.png")
    Path("out.png").unlink()
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 1)
        code, text = run.still("--style", "a.png")
    assert (code, "--resume" in text, "best so far" in text) == (130, True, True)
    assert pixels("out.png").shape == whole.shape
    code, text = run.still("--style", "b.png", "--resume")
    assert (code, "These differ: pictures" in text) == (2, True)
    code, text = run.still("--style", "a.png", "--resume")
    assert code == 0, text
    assert np.array_equal(pixels("out.png"), whole)
    assert not Path("out.png.state").exists()


def test_a_crash_leaves_what_was_saved_last(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "SAVE_EVERY", 0.0)
    run.still("--style", "a.png")
    whole = pixels("out.png")
    assert not Path("out.png.state").exists()
    Path("out.png").unlink()
    plain, count = job.Watch.__call__, [0]

    def crash(self: job.Watch, progress: object) -> None:
        plain(self, progress)  # type: ignore[arg-type]
        count[0] += 1
        if count[0] == 2:
            raise SinkError("a crash")

    with monkeypatch.context() as patch:
        patch.setattr(job.Watch, "__call__", crash)
        assert run.still("--style", "a.png")[0] == 2
    assert Path("out.png.state").exists()
    assert not Path("out.png").exists()
    code, text = run.still("--style", "a.png", "--resume")
    assert code == 0, text
    assert np.array_equal(pixels("out.png"), whole)
    assert not Path("out.png.state").exists()


def test_a_state_that_cannot_be_saved_is_told_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SinkError("out.png.state cannot be written: the disk is full.")

    monkeypatch.setattr(job, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(job.stored, "save", fail)
    code, text = run.still("--style", "a.png")
    assert (code, text.count("the disk is full")) == (0, 1)


def test_second_ctrl_c_ends_at_once_and_keeps_the_picture(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(monkeypatch, 1, signals=2)
    code, text = run.still("--style", "a.png")
    assert (code, "best so far" in text, "--resume" in text) == (130, True, False)
    assert pixels("out.png").shape == (48, 60, 3)


def test_missing_torch_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("still", "texture", "reconstruct"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "rtstyle_export.offline.start", None)
            patch.delattr("rtstyle_export.offline.start", raising=False)
            options = ("--style", "a.png") if command == "still" else ()
            code, text = run(command, "a.png", "out.png", *options)
        assert code == 2
        assert "[train]" in text


def test_texture(run: Run) -> None:
    options = ("--vgg-weights", "vgg19.safetensors", "--iterations", "2")
    layers = ("--style-layers", "conv1_1,relu2_1")
    code, text = run(
        "texture", "a.png", "t.png", "--width", "40", "--height", "32", *options, *layers
    )
    assert code == 0, text
    assert pixels("t.png").shape == (32, 40, 3)
    code, text = run("texture", "a.png", "t.png", *options, *layers)
    assert (code, "--overwrite" in text) == (2, True)


def test_reconstruct_draws_a_labelled_sheet(run: Run) -> None:
    options = ("--vgg-weights", "vgg19.safetensors", "--iterations", "2", "--side", "32")
    layers = ("--content", "conv1_1,relu2_1", "--style", "conv1_1+relu2_1")
    code, text = run("reconstruct", "photo.png", "sheet.png", *options, *layers)
    assert code == 0, text
    assert text.startswith("sheet.png  3 pictures")
    assert len(np.unique(pixels("sheet.png").reshape(-1, 3), axis=0)) > 100


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--content", "conv9"), "no layer conv9"),
        (("--content", "conv1_1,,"), "Cannot read the layers"),
        (("--content", "-", "--style", "-"), "nothing to draw"),
    ],
)
def test_reconstruct_refuses(run: Run, options: tuple[str, ...], words: str) -> None:
    code, text = run("reconstruct", "photo.png", "sheet.png", *options)
    assert (code, words in text) == (2, True)


def test_reconstruct_keeps_what_was_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(monkeypatch, 3)
    options = ("--vgg-weights", "vgg19.safetensors", "--iterations", "1", "--side", "32")
    layers = ("--content", "conv1_1,conv1_1,conv1_1,conv1_1,conv1_1", "--style", "-")
    code, text = run("reconstruct", "photo.png", "sheet.png", *options, *layers)
    assert (code, "what was done" in text) == (130, True)
    assert pixels("sheet.png").ndim == 3


def test_the_help_names_the_defaults_of_the_code(run: Run) -> None:
    shown = " ".join(run("still", "--help-all")[1].split())
    assert f"at the coarsest size ({Method().closures})" in shown
    assert f"Evaluations between previews, default {job.Settings().preview_every}." in shown
