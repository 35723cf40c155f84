"""What ships: the built-in styles and the two halves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image as Pil

from rtstyle import Stylizer
from rtstyle.engines import EngineOptions, ov
from rtstyle.engines.base import read_model
from rtstyle.engines.onnxrt import open_session
from rtstyle.errors import StyleError
from rtstyle.live.rate import STEADY, choose_ladder
from rtstyle.painting.norm_graph import NormGraph, baked
from rtstyle.painting.tiling import paint_tiled
from rtstyle.samples import sample_frames
from rtstyle.styles import latent
from rtstyle.styles.manifest import FOLDER_VARIABLE, find_any, find_model, load_manifest
from rtstyle.styles.paintings import built_in, encode, encode_image, prepare

ROOT = Path(__file__).resolve().parents[2]
NAMED = {"mosaic", "starry_night", "scream", "wave", "composition", "udnie", "sketch"}
SHIPPED = sorted(json.loads((ROOT / "pretrained" / "manifest.json").read_text())["styles"])


@pytest.fixture(autouse=True)
def _shipped_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE)


def test_the_named_styles_are_there_in_the_promised_sizes() -> None:
    styles = load_manifest().styles
    complete = {name for name, style in styles.items() if {"fast", "balanced"} <= set(style.files)}
    assert set(styles) >= NAMED
    assert len(complete) >= 10
    assert {"mosaic", "starry_night"} <= {n for n, s in styles.items() if "paper" in s.files}


def test_every_file_is_whole_and_says_what_it_is() -> None:
    folder = load_manifest().folder
    listed = set()
    for style in load_manifest().styles.values():
        assert style.title
        assert style.artist
        assert style.licence == "public domain"
        for size, file in style.files.items():
            assert file.problem() == ""
            listed.add(file.path.name)
            props = {p.key: p.value for p in onnx.load(str(file.path)).metadata_props}
            assert (props["rtstyle.name"], props["rtstyle.size"]) == (style.name, size)
            assert props["rtstyle.painting"] == style.painting
            assert file.training["steps"] > 0
    networks = load_manifest().any
    assert set(networks) == {"fast", "paper", "fast-linear", "paper-linear"}
    parts = [file for files in networks.values() for file in files.values()]
    textures, upsampler = load_manifest().textures.values(), load_manifest().upsampler
    assert upsampler is not None
    for file in (*parts, *load_manifest().wct.values(), *textures, upsampler):
        assert file.problem() == ""
        listed.add(file.path.name)
    models = {path.name for path in folder.glob("*.onnx")}
    assert listed == models | {"wct-scales.npz"}


def test_a_changed_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = load_manifest().folder
    (tmp_path / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    for path in folder.glob("mosaic-*.onnx"):
        (tmp_path / path.name).write_bytes(path.read_bytes() + b"x")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(StyleError, match="sha256"):
        find_model("mosaic", "fast")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMED))
@pytest.mark.parametrize("size", ["fast", "balanced"])
def test_styles_paint_a_real_frame(name: str, size: str) -> None:
    """Painted means changed, alive with detail, not clipped, and without a frame or dot grid."""
    frame = next(sample_frames(3))[:240, :320].copy()
    with Stylizer(name, size, device="cpu") as stylizer:
        painted = stylizer(frame).astype(float)
    assert painted.shape == frame.shape
    assert np.abs(painted - frame).mean() > 15
    assert painted.std() > 8
    assert ((painted <= 0) | (painted >= 255)).mean() < 0.3
    # The outermost rows and columns look like those farther in.
    for edge, inside in ((painted[:2], painted[8:12]), (painted[:, :2], painted[:, 8:12])):
        assert np.abs(edge.mean((0, 1)) - inside.mean((0, 1))).max() < 30


@pytest.mark.slow
@pytest.mark.skipif(not ov.has_int8(), reason="int8 is for x86 CPUs")
@pytest.mark.parametrize("name", [*sorted(NAMED), "scream:1"])
@pytest.mark.parametrize("size", ["fast", "balanced"])
def test_int8_hardly_changes_pictures(name: str, size: str) -> None:
    frame = next(sample_frames(3))[:240, :320].copy()
    flat = np.zeros((61, 85, 3), np.uint8)
    painted = {}
    for precision in ("int8", "fp32"):
        with Stylizer(name, size, device="openvino:cpu", precision=precision) as stylizer:
            assert stylizer.network.engine.precision == precision
            painted[precision] = stylizer(frame).astype(float)
            even = stylizer(flat).astype(int)
        # The flat picture stays flat, as no border shows.
        assert np.ptp(even, axis=(0, 1)).max() <= 1
    difference = painted["int8"] - painted["fp32"]
    assert np.sqrt(np.mean(difference**2)) < 4
    assert np.abs(difference.mean(axis=(0, 1))).max() < 2


@pytest.mark.slow
def test_running_never_loads_pytorch() -> None:
    code = (
        "import sys, rtstyle, rtstyle.cli; rtstyle.cli.build_app(); "
        "import rtstyle.jobs.video, rtstyle.jobs.image, rtstyle.jobs.sheet; "
        "import rtstyle.doctor.checks, rtstyle.painting.stylizer; "
        "rtstyle.stylize_video; rtstyle.Stylizer; "
        "sys.exit(any(m.split('.')[0] in ('torch', 'rtstyle_export') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_loads_no_codec_and_no_engine() -> None:
    code = (
        "import sys; from rtstyle.cli import build_app; build_app(); "
        "sys.exit(any(m in sys.modules for m in ('av', 'cv2', 'openvino', 'onnxruntime', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A painting that no test else has; it is fitted once for all, some seconds a size."""
    painting = list(sample_frames(2))[1][:256, :256][::-1, :, ::-1]
    path = tmp_path_factory.mktemp("paintings") / "painting.png"
    Pil.fromarray(np.ascontiguousarray(painting)).save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("size", ["fast", "paper"])
def test_any_picture_is_a_style(size: str, path: Path) -> None:
    photo = next(sample_frames(2))[::4, ::4].copy()
    for style in (str(path), "scream:1", f"{path}:0.5,wave:0.5"):
        with Stylizer(style, size) as stylize:
            painted = stylize(photo)
        assert painted.shape == photo.shape
        assert painted.std() > 10
        assert abs(painted.astype(int) - photo).mean() > 5


@pytest.mark.slow
@pytest.mark.parametrize("size", ["fast-linear", "paper-linear"])
def test_any_picture_is_a_style_by_a_linear_transform(size: str, tmp_path: Path) -> None:
    photo, painting = (frame[::4, ::4].copy() for frame in sample_frames(2))
    path = tmp_path / "painting.png"
    Pil.fromarray(painting[..., ::-1].copy()).save(path)
    with Stylizer(str(path), size) as stylize, Stylizer(str(path), size, strength=0.0) as idle:
        painted, plain = stylize(photo), idle(photo)
    assert painted.std() > 10
    # The colours are those of the painting, and at strength 0 those of the photo.
    spread = 6.0
    assert np.abs(painted.mean((0, 1)) - painting[..., ::-1].mean((0, 1))).max() < spread
    assert np.abs(plain.mean((0, 1)) - photo.mean((0, 1))).max() < spread
    assert abs(painted.astype(int) - plain).mean() > 5


@pytest.mark.slow
@pytest.mark.parametrize("size", ["fast", "paper"])
def test_large_photos_are_painted_like_any_picture_in_tiles(size: str) -> None:
    photo = next(sample_frames(1))[:203, :599].copy()
    with Stylizer("wave:1", size, device="cpu", precision="fp32") as stylize:
        whole = stylize.paint(photo)
        feeds = stylize.network.model.feeds(stylize.network.engine, 1.0, photo.shape[:2])
        assert feeds is not None
        graph = NormGraph(baked(read_model(stylize.network.model.files[0]), feeds))
        tiled, tiles = paint_tiled(stylize.network.engine, graph, photo, 128)
    assert tiles > 1
    assert np.abs(tiled.astype(int) - whole).max() <= 2


def test_styles_are_sampled_near_a_painting_and_far_from_it() -> None:
    own = built_in("wave", "fast")
    near = [latent.neighbour(own, 0.5, seed, "fast") for seed in range(4)]
    far = [encode(f"random:{seed}", "balanced") for seed in range(4)]
    for vector in (*near, *far):
        assert np.isfinite(vector).all()
        # The last numbers are the mean and the deviation of the colours, in -1 to 1.
        assert np.abs(vector[-6:-3]).max() < 1.2
        assert vector[-3:].min() > -0.1
    apart = [[np.linalg.norm(vector - own) for vector in some] for some in (near, far)]
    assert 0 < max(apart[0]) < min(apart[1])
    walk = latent.Walk(own, 0, "fast")
    np.testing.assert_allclose(walk.at(0.0), own, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("side", [1, 16, 33])
def test_flat_dark_and_bright_frames_do_not_explode(level: int, side: int) -> None:
    flat = np.full((side, side, 3), level, np.uint8)
    with Stylizer("wave:1", "fast") as stylize:
        painted = stylize(flat)
    assert painted.shape == flat.shape
    # The network ends with AdaIN of the pixels: no more contrast than the painting's, and its mean.
    mean, std = np.split(built_in("wave", "fast")[-6:] * 127.5, 2)
    assert (painted.std(axis=(0, 1)) < std).all()
    if side >= 16:
        np.testing.assert_allclose(painted.mean(axis=(0, 1)), mean + 127.5, atol=6)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["fast", "paper"])
def test_a_fitted_vector_paints_better_what_it_was_not_fitted_to(size: str, path: Path) -> None:
    frame, painting = next(sample_frames(2))[:256, :256], np.asarray(Pil.open(path))
    eye, gradient = (
        open_session(read_model(find_any(part, size).path), EngineOptions())
        for part in ("vgg", "refine")
    )
    goal = eye.run(["statistics"], {"image": painting[None]})[0]
    other = np.ascontiguousarray(frame[64:192, :128])
    layers = [port.name for port in eye.get_outputs()]
    given = dict(zip(layers, eye.run(layers, {"image": other[None]}), strict=True))
    given |= {"image": other[None], "goal": goal}
    given = {port.name: given[port.name] for port in gradient.get_inputs() if port.name in given}

    def judge(numbers: NDArray[np.float32]) -> tuple[float, float]:
        wanted = ["objective", "style"]
        objective, style = gradient.run(wanted, {**given, "numbers": numbers[None]})
        return float(objective), float(style)

    # Not by `encode`, which knows what was fitted before.
    before, after = judge(encode_image(prepare(painting), size)), judge(encode(str(path), size))
    assert after[0] < 0.95 * before[0]
    assert after[1] < 0.95 * before[1]


@pytest.mark.slow
@pytest.mark.parametrize(("level", "side"), [(0, 300), (128, 1), (255, 16)])
def test_flat_dark_and_bright_paintings_do_not_explode(
    level: int, side: int, tmp_path: Path
) -> None:
    path = tmp_path / "flat.png"
    Pil.fromarray(np.full((side, side, 3), level, np.uint8)).save(path)
    assert np.isfinite(encode(str(path), "fast")).all()
    with Stylizer(str(path), "fast") as stylize:
        painted = stylize(next(iter(sample_frames(1)))[::4, ::4].copy())
    # As flat as the painting.
    assert np.abs(painted.astype(int) - level).mean() < 4


@pytest.mark.slow
def test_a_style_that_sees_a_canvas_is_live_over_it_and_not_frame_by_frame_in_balanced() -> None:
    styles = load_manifest().styles
    for name, style in styles.items():
        ladder, start = choose_ladder([name], "auto")
        assert ladder[start] == STEADY
        seeing = [size for size in ("fast", "balanced") if style.files[size].sees_canvas]
        assert ladder[0].coherent
        assert (ladder[0] == STEADY) == (seeing == ["fast"])
        for size in ("fast", "balanced"):
            with Stylizer(name, size) as stylizer:
                assert stylizer.network.sees_canvas == (size in seeing)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("size", ["fast", "balanced"])
def test_nothing_grows_over_the_canvas_in_a_slow_pan(name: str, size: str) -> None:
    """Moves by parts of a pixel raise some waves a little; gates that keep all let them grow."""
    photo = next(iter(sample_frames(1)))[100:360, 200:560]
    with Stylizer(name, size, threads=1) as stylizer:
        over, alone = (stylizer.coherent() for _ in range(2))
        assert over is not None
        assert alone is not None
        for number in range(60):
            matrix = np.array([[1, 0, -0.5 * number], [0, 1, -0.3 * number]], np.float32)
            view = np.asarray(cv2.warpAffine(photo, matrix, (320, 240), flags=cv2.INTER_CUBIC))
            painted = over.paint(view, over.prepare(view, number))
        anew = alone.paint(view, alone.prepare(view, 0))
    sharp, fresh = (cv2.Laplacian(x, cv2.CV_32F).std() for x in (painted, anew))
    assert 0.5 < sharp / fresh < 1.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"), [("wave", "fast"), ("mosaic", "balanced"), ("city_rises", "balanced")]
)
def test_a_still_picture_under_a_cameras_noise_stays_as_it_was_painted(
    name: str, size: str
) -> None:
    """With three times the share of new paint they are 7 to 10 levels away after 200 frames."""
    still = next(iter(sample_frames(1)))[100:228, 200:360]
    chance = np.random.default_rng(0)
    with Stylizer(name, size) as stylizer:
        painter = stylizer.coherent()
        assert painter is not None
        for index in range(201):
            noisy = still + chance.normal(0, 2, still.shape)
            frame = noisy.clip(0, 255).round().astype(np.uint8)
            painted = painter.paint(frame, painter.prepare(frame, index)).astype(np.float32)
            if index == 0:
                first = painted
    assert float(np.sqrt(np.square(painted - first).mean())) < 5.5
