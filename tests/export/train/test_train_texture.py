"""Texture networks from the command line: trained, exported, painted with, and as pure texture."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.console import rtstyle  # noqa: E402
from helpers.training import write_painting, write_place  # noqa: E402
from PIL import Image  # noqa: E402

from rtstyle.engines import open_engine  # noqa: E402
from rtstyle.engines.noise import draw  # noqa: E402
from rtstyle.errors import EngineError  # noqa: E402
from rtstyle.painting import tiling  # noqa: E402
from rtstyle.painting.stylizer import Stylizer  # noqa: E402
from rtstyle_export.maths.diversity import mean_difference  # noqa: E402
from rtstyle_export.maths.losses import TextureLossSpec  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.loop import Machine  # noqa: E402
from rtstyle_export.runs.onnx_reader import checkpoint_of  # noqa: E402
from rtstyle_export.runs.texture_config import TextureConfig  # noqa: E402
from rtstyle_export.train.texture import TextureTrainer  # noqa: E402

LAYERS = {"relu1_2": 0.5, "relu2_2": 0.5}

pytestmark = pytest.mark.slow


def config(place: Path, **options: object) -> TextureConfig:
    values: dict[str, object] = {
        "styles": ("mine",), "paintings": (str(place / "painting.png"),), "steps": 4,
        "crop": 64, "margin": 0, "style_size": 64, "width": 4,
        "loss": TextureLossSpec(content_layers={"relu2_2": 1.0}, style_layers=LAYERS),
        **options,
    }  # fmt: skip
    return TextureConfig(**values)  # type: ignore[arg-type]


def trainer(place: Path, run: str, **options: object) -> TextureTrainer:
    return TextureTrainer(
        config(place, **options), place / "photos", place / run,
        Machine(device="cpu", precision="fp32"), vgg_weights=place / "vgg16.safetensors",
    )  # fmt: skip


def words(place: Path, out: str, *more: object) -> list[object]:
    return [
        "--size", "texture", "--steps", 2, "--crop", 64, "--style-size", 64, "--style-layers",
        "relu1_2:0.5,relu2_2:0.5", "--vgg-weights", place / "vgg16.safetensors", "--out",
        place / out, "--device", "cpu", "--precision", "fp32", "--no-add", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what trainings take, and a trained and exported network of each kind."""
    folder = write_place(tmp_path_factory.mktemp("texture"))
    painting, photos = folder / "painting.png", folder / "photos"
    shallow = ("--content-layers", "relu2_2")
    assert rtstyle("train", painting, photos, *words(folder, "out", *shallow)).code == 0
    assert rtstyle("train", painting, *words(folder, "pure")).code == 0
    for run in ("out", "pure"):
        done = rtstyle("export", folder / run, "--out", folder / "styles", "--manifest")
        assert done.code == 0, done.output
    return folder


@pytest.mark.parametrize("photo", [True, False])
def test_the_loss_falls(place: Path, *, photo: bool) -> None:
    content = {"relu2_2": 1.0} if photo else {}
    loss = TextureLossSpec(content_layers=content, style_layers=LAYERS, diversity_weight=0.02)
    totals: list[float] = []
    run = trainer(place, f"falls-{photo}", steps=30, photo=photo, loss=loss)
    assert run.run(lambda p: totals.append(p.losses["total"]))
    assert np.mean(totals[-5:]) < 0.75 * np.mean(totals[:5])


@pytest.mark.slow
def test_a_run_resumes_to_the_same(place: Path) -> None:
    whole = trainer(place, "whole")
    assert whole.run()
    part = trainer(place, "part")
    assert not part.run(should_stop=lambda: part.step >= 2)
    part = trainer(place, "part")
    assert part.step == 2
    assert part.run()
    for key, value in whole.net.state_dict().items():
        torch.testing.assert_close(part.net.state_dict()[key], value, atol=1e-6, rtol=1e-5)


def test_the_diversity_loss_makes_samples_differ(place: Path) -> None:
    apart = []
    for weight in (0.0, 20.0):
        loss = TextureLossSpec(
            content_layers={"relu2_2": 1.0}, style_layers=LAYERS, diversity_weight=weight
        )
        run = trainer(
            place, f"apart-{weight}", steps=30, learning_rate=5e-4, loss=loss, weight_bits=16
        )
        with torch.no_grad():
            # A network that has learned to do without its noise, as they do.
            for read in run.net.read:
                read.layers[0].conv.weight[:, 3:] *= 0.01
        assert run.run()
        net = run.net.eval()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            photo = run.dataset()[10_000][None]
            samples = [net(photo, run.noise(1, (64, 64), generator)) for _ in range(4)]
        apart.append(mean_difference(torch.cat(samples).clamp(-1, 1)))
    assert apart[1] > 1.3 * apart[0], apart


def test_samples_of_one_photo_are_compared_with_each_other(place: Path) -> None:
    run = trainer(place, "groups", batch=2, samples=3)
    seen: list[torch.Tensor] = []
    run.model.register_forward_pre_hook(lambda _, given: seen.extend(given))
    batch = torch.stack([run.dataset()[k] for k in range(2)])
    _, report = run.losses(batch, torch.Generator().manual_seed(0))
    photo, z, _ = seen
    assert [len(photo), len(z)] == [6, 6]
    assert torch.equal(photo[0], photo[2])
    assert torch.equal(photo[0], photo[4])
    assert not torch.equal(photo[0], photo[1])
    assert len({float(one.sum()) for one in z}) == 6
    assert bool(torch.isfinite(report["diversity"]))


def test_photos_by_both_engines_with_the_noise_as_an_input(place: Path) -> None:
    model = place / "styles" / "painting-texture.onnx"
    net = Checkpoint.load(place / "out" / "checkpoint.pt").network("painting")
    image = np.random.default_rng(0).integers(0, 256, (1, 37, 70, 3), np.uint8)
    z = draw((37, 70), 6)
    photo = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        y = net(photo, torch.from_numpy(z.copy()).permute(0, 3, 1, 2).float() / 255)
    wanted = ((y.clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()
    for device in ("onnxruntime:cpu", "openvino:cpu"):
        with open_engine(model, device, precision="fp32") as engine:
            assert set(engine.extras) == {"z"}
            found = engine.run(image, {"z": z})
            assert np.abs(found - wanted).max() <= 1.01, device
            with pytest.raises(EngineError, match="further inputs"):
                engine.run(image)


@pytest.mark.slow
def test_noise_is_fixed_and_vary_moves_it(place: Path) -> None:
    model = str(place / "styles" / "painting-texture.onnx")
    photo = np.asarray(Image.open(place / "photos" / "0.png"))
    painted = {}
    for style in ("", "~0", "~0~9", "~0.5~1", "~0.5~2", "~2~1"):
        with Stylizer(model + style, device="cpu", precision="fp32") as stylizer:
            painted[style] = stylizer(photo).astype(int)
            assert np.array_equal(painted[style], stylizer(photo))
    assert np.array_equal(painted[""], painted["~0"])
    assert np.array_equal(painted[""], painted["~0~9"])
    others = [painted[style] for style in ("", "~0.5~1", "~0.5~2", "~2~1")]
    assert all(np.abs(a - b).any() for a, b in itertools.combinations(others, 2))


@pytest.mark.slow
def test_a_photo_on_the_command_line(place: Path, tmp_path: Path) -> None:
    model, photo = place / "styles" / "painting-texture.onnx", place / "photos" / "0.png"
    for name, more in (("a", ()), ("b", ("--vary", 1, "--seed", 4))):
        done = rtstyle("image", photo, tmp_path / f"{name}.png", "--style", model, *more)
        assert done.code == 0, done.output
    a, b = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "ab")
    assert a.shape == b.shape == np.asarray(Image.open(photo)).shape
    assert (a != b).any()
    done = rtstyle("image", photo, tmp_path / "c.png", "--style", model, "--vary", 3)
    assert done.code == 2
    assert "variation of 3" in str(done.error)


def test_a_built_in_name_at_this_size(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSTYLE_STYLES", str(place / "styles"))
    photo = np.asarray(Image.open(place / "photos" / "0.png"))
    with Stylizer("painting", "texture", device="cpu") as plain:
        first = plain(photo)
    with Stylizer("painting~1~3", "texture", device="cpu") as varied:
        assert (varied(photo) != first).any()


def test_photos_that_are_too_large(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "MOST_NOISE", 1000)
    with Stylizer(str(place / "styles" / "painting-texture.onnx"), device="cpu") as stylizer:
        image = np.zeros((20, 51, 3), np.uint8)
        with pytest.raises(EngineError, match="too large for a texture network"):
            tiling.paint(stylizer.network, image, stylizer.recipe)
        painted, tiles = tiling.paint(stylizer.network, image[:, :50], stylizer.recipe)
    assert (painted.shape, tiles) == ((20, 50, 3), 1)


def test_pure_texture(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = place / "styles" / "pure-painting.onnx"
    monkeypatch.setenv("RTSTYLE_STYLES", str(place / "styles"))
    made = {}
    for name, style, seed in (("a", model, 0), ("b", "painting", 0), ("c", model, 1)):
        words = ("--method", "network", "--width", 96, "--height", 70, "--seed", seed)
        done = rtstyle("texture", style, tmp_path / f"{name}.png", *words)
        assert done.code == 0, done.output
        assert "96x70" in done.out
        made[name] = np.asarray(Image.open(tmp_path / f"{name}.png"))
        assert made[name].shape == (70, 96, 3)
    assert np.array_equal(made["a"], made["b"])
    assert (made["a"] != made["c"]).any()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("unknown",), "no texture network named"),
        (("gone.onnx",), "no file gone.onnx"),
        (("STYLES/painting-texture.onnx",), "not a network of pure texture"),
        (("painting", "--tv-weight", 1), "belongs to --method gatys or wct"),
        (("painting", "--levels", "4"), "belongs to --method gatys or wct"),
    ],
)
def test_what_is_no_pure_texture(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], what: str
) -> None:
    monkeypatch.setenv("RTSTYLE_STYLES", str(place / "styles"))
    name, *more = words
    name = name.replace("STYLES", str(place / "styles"))
    out = tmp_path / "out.png"
    done = rtstyle("texture", name, out, "--method", "network", *more)
    assert done.code == 2
    assert what in str(done.error)
    assert not out.exists()


def test_a_pure_texture_is_not_a_style_of_photos(place: Path, tmp_path: Path) -> None:
    model, photo = place / "styles" / "pure-painting.onnx", place / "photos" / "0.png"
    done = rtstyle("image", photo, tmp_path / "a.png", "--style", model)
    assert done.code == 2
    assert "not a style" in str(done.error)


def test_the_manifest_knows_both(place: Path) -> None:
    data = json.loads((place / "styles" / "manifest.json").read_text("utf-8"))
    facts = data["styles"]["painting"]["files"]["texture"]["training"]
    assert (facts["photo"], facts["width"], facts["norm"]) == (True, 8, "instance")
    assert facts["loss"]["diversity_weight"] == TextureLossSpec().diversity_weight
    assert data["textures"]["painting"]["path"] == "pure-painting.onnx"
    assert data["textures"]["painting"]["training"]["photo"] is False


@pytest.mark.parametrize("run", ["out", "pure"])
def test_a_file_is_a_start(place: Path, run: str) -> None:
    name = {"out": "painting-texture.onnx", "pure": "pure-painting.onnx"}[run]
    found, stored = (
        checkpoint_of(place / "styles" / name),
        Checkpoint.load(place / run / "checkpoint.pt").network("painting").state_dict(),
    )
    assert isinstance(found.config, TextureConfig)
    assert found.config.photo == (run == "out")
    for key, value in stored.items():
        assert torch.allclose(found.model[key], value, rtol=1e-3, atol=1e-4), key


@pytest.mark.slow
def test_batch_norm_and_another_width_are_exported_too(place: Path, tmp_path: Path) -> None:
    narrow = ("--norm", "batch", "--width", 4)
    more = ("--content-layers", "relu2_2", "--diversity-weight", 0, *narrow)
    run = words(place, "batch", *more)
    assert rtstyle("train", place / "painting.png", place / "photos", *run).code == 0
    done = rtstyle("export", place / "batch", "--out", tmp_path)
    assert done.code == 0, done.output
    assert "within 1 level" in done.out
    found = Checkpoint.load(place / "batch" / "checkpoint.pt").config
    assert isinstance(found, TextureConfig)
    assert (found.norm, found.width) == ("batch", 4)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (("--norm", "layer"), "norm is instance or batch"),
        (("--width", 0), "width must lie between 1 and 64"),
        (("--size", "balanced", "--width", 4), "are for texture networks"),
        (("--stability-weight", 1), "no stability-weight"),
        (("--canvas",), "see no canvas"),
        (("--size", "balanced", "--norm", "batch"), "are for texture networks"),
        (("--size", "balanced", "--diversity-weight", 1), "are for texture networks"),
    ],
)
def test_options_that_do_not_go_together(place: Path, more: tuple[object, ...], what: str) -> None:
    run = words(place, "refused", *more)
    done = rtstyle("train", place / "painting.png", place / "photos", *run)
    assert done.code == 2
    assert what in str(done.error)
    assert not (place / "refused").exists()


def test_two_paintings_share_a_network(place: Path) -> None:
    write_painting(place / "second.png", seed=4)
    two = (str(place / "painting.png"), str(place / "second.png"))
    run = trainer(place, "two", styles=("a", "b"), paintings=two, batch=2, steps=1)
    assert run.run()
    assert set(run.preview(torch.zeros(1, 3, 40, 40))) == {"a", "b"}
    with pytest.raises(Exception, match="batch norm serves one"):
        trainer(place, "three", styles=("a", "b"), paintings=two, norm="batch")
