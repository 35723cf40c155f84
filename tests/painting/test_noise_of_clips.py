"""The noise of a texture network over a clip: it stays where it is, and `--vary` moves it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers.any_models import build, port
from helpers.console import rtstyle
from helpers.media import write_clip
from helpers.models import Graph
from onnx import TensorProto
from PIL import Image

from rtstyle.engines.noise import draw

SIZE = (40, 64)


def noise_model() -> bytes:
    """A network whose painting is the first three channels of its noise."""
    graph = Graph()
    rows_and_columns = graph.op(
        "Slice", graph.op("Shape", "image"), graph.ints(1), graph.ints(3), graph.ints(0)
    )
    ends = graph.op("Concat", rows_and_columns, graph.ints(3), axis=0)
    graph.op("Slice", "z", graph.ints(0, 0, 0), ends, graph.ints(1, 2, 3), out="stylized")
    return build(
        graph,
        [
            port("image", TensorProto.UINT8, ["N", "H", "W", 3]),
            port("z", TensorProto.UINT8, ["N", "R", "C", 6]),
        ],
        port("stylized", TensorProto.UINT8, ["N", "H", "W", 3]),
    )


def painted(folder: Path, name: str, *more: object) -> list[np.ndarray]:
    """The frames of a clip in which everything moves, painted by the network."""
    clip = folder / "in.mp4"
    if not clip.exists():
        write_clip(clip, width=SIZE[1], height=SIZE[0], frames=5)
        (folder / "noise.onnx").write_bytes(noise_model())
    (folder / name).mkdir()
    words = ("--style", folder / "noise.onnx", "--device", "onnxruntime:cpu", *more)
    done = rtstyle("video", clip, folder / name / "%03d.png", *words)
    assert done.code == 0, done.output
    return [np.asarray(Image.open(path)) for path in sorted((folder / name).iterdir())]


def test_noise_stays_over_a_clip_and_vary_moves_it(tmp_path: Path) -> None:
    plain = painted(tmp_path, "plain")
    varied = painted(tmp_path, "varied", "--vary", 1, "--seed", 7)
    again = painted(tmp_path, "again", "--vary", 1, "--seed", 7)
    assert len(plain) == len(varied) == 5
    for frames, drawn in ((plain, draw(SIZE, 6)), (varied, draw(SIZE, 6, 7, 1.0))):
        for frame in frames:
            np.testing.assert_array_equal(frame, drawn[0, : SIZE[0], : SIZE[1], :3])
    np.testing.assert_array_equal(varied, again)
    # Of the values that are drawn anew, one of 256 stays as it was.
    changed = (varied[0] != plain[0]).any(axis=2).mean()
    assert abs(changed - 0.5) < 0.05
