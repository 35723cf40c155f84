"""Large pictures in tiles by networks that see a canvas."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtstyle.engines import open_engine
from rtstyle.engines.canvas import Canvas, half
from rtstyle.frame import Image
from rtstyle.painting import tiling
from rtstyle.painting.network import Network
from rtstyle.painting.norm_graph import NormGraph
from rtstyle.styles.model import resolve
from rtstyle.styles.recipe import Recipe

torch = pytest.importorskip("torch")

CPU = "openvino:cpu"


def smooth(height: int, width: int, seed: int = 0) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 9, width // 9, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(scope="module", params=["quarter", "eighth"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights in the form that is shipped."""
    from rtstyle_export.networks.canvas import SPECS, CanvasNet
    from rtstyle_export.onnx_files.writer import Credits, write_onnx

    torch.manual_seed(7)
    net = CanvasNet(SPECS["fast", request.param]).eval().requires_grad_(False)
    net.out.weight.mul_(3)
    path = tmp_path_factory.mktemp("net") / "canvas.onnx"
    write_onnx(net, path, name="canvas", size="fast", credit=Credits(), training={})
    return path


@pytest.mark.slow
def test_tiles_over_a_canvas_equal_the_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = NormGraph(file.read_bytes())
    assert graph.sees_canvas
    tile = max(64, graph.period)
    size = (3 * tile + 219, 4 * tile + 35)
    image, picture = smooth(*size), smooth(*size, seed=1)
    trust = np.asarray(cv2.resize(smooth(90, 90, 2)[:, :, 0], half(size)[::-1]), np.uint8)
    canvas = Canvas(picture, trust)
    monkeypatch.setattr(tiling, "PROBE_TILE", tile)
    with open_engine(file, CPU, precision="fp32") as engine:
        whole = engine.run(image[None], canvas.feeds())[0]
        tiled, tiles = tiling.paint_tiled(engine, graph, image, tile, canvas)
    assert tiles > 1
    assert np.ptp(whole) > 20
    difference = np.abs(whole.astype(int) - tiled)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.slow
def test_a_large_picture_is_painted_in_tiles_and_enlarged(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = smooth(700, 900)
    with Network.open(resolve(str(file), "fast"), CPU, precision="fp32") as network:
        whole, one = tiling.paint(network, image, Recipe(str(file), "fast"))
        tile = max(128, NormGraph(file.read_bytes()).period)
        # What is painted has 480 rows, and does not fit.
        bytes_of = NormGraph(file.read_bytes()).bytes_per_pixel * tiling.ACTIVATIONS
        monkeypatch.setattr(tiling, "WHOLE_BYTES", int(400 * 620 * bytes_of))
        monkeypatch.setattr(tiling, "TILE", tile)
        monkeypatch.setattr(tiling, "PROBE_TILE", tile)
        tiled, several = tiling.paint(network, image, Recipe(str(file), "fast"))
    assert whole.shape == tiled.shape == image.shape
    assert one == 1
    assert several > 1 or tile == 512
    # One level for the tiles; the upsampler adds to it at edges.
    assert np.abs(whole.astype(int) - tiled).max() <= 3
