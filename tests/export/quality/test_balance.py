"""The trust that a trained network gets when it is exported with --trust auto."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.console import rtstyle  # noqa: E402

from rtstyle.errors import UsageError  # noqa: E402
from rtstyle_export.export.johnson import export_styles  # noqa: E402
from rtstyle_export.networks.canvas import SPECS, CanvasNet  # noqa: E402
from rtstyle_export.quality import balance  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.config import CanvasConfig  # noqa: E402
from rtstyle_export.runs.onnx_reader import checkpoint_of  # noqa: E402

SHIPPED = Path(__file__).parents[3] / "pretrained" / "wave-fast.onnx"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = balance.clip_frames()
    monkeypatch.setattr(balance, "clip_frames", lambda: [image[:120, :160] for image in whole])


def shipped() -> CanvasNet:
    net = checkpoint_of(SHIPPED).network("wave")
    assert isinstance(net, CanvasNet)
    return net


def test_the_more_is_kept_the_softer_strokes_become() -> None:
    net, frames = shipped(), balance.clip_frames()
    sharp = [
        balance.mean_sharpness(
            balance.over_canvas(balance.runner(net, trust), frames)[balance.SEEN]
        )
        for trust in (0.5, 1.0, 2.0)
    ]
    assert sharp[0] > sharp[1] > sharp[2]


@pytest.mark.slow
def test_the_trust_is_where_strokes_have_the_sharpness_that_is_aimed_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With goals on either side of what the network has, the trust moves to either side of 1."""
    net, frames = shipped(), balance.clip_frames()
    run = balance.runner(net, 1.0)
    size = (frames[0].shape[0], frames[0].shape[1])
    alone = [run(frame, balance.empty(size).feeds()) for frame in frames[balance.SEEN]]
    over = balance.over_canvas(run, frames)[balance.SEEN]
    own = balance.mean_sharpness(over) / balance.mean_sharpness(alone)
    found = []
    for goal in (1.15 * own, 0.85 * own):
        monkeypatch.setattr(balance, "SHARP", goal)
        found.append(balance.balanced_trust(net))
    assert found[0] < 1 < found[1]
    assert balance.LEAST <= found[0] <= found[1] <= balance.MOST


@pytest.mark.slow
def test_an_export_says_what_trust_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtstyle_export.export.johnson.balanced_trust", lambda net: 1.37)
    config = CanvasConfig(styles=("mine",), paintings=("mine.jpg",), size="fast")
    net = CanvasNet(SPECS["fast", "quarter"])
    run = Checkpoint(config, 1, net.state_dict(), None, 1.0, {"total": 1.0})
    pictures = [np.zeros((64, 64, 3), np.uint8)]
    (plain,) = export_styles(run, tmp_path, pictures=pictures)
    assert "trust" not in _training(plain.path)
    (auto,) = export_styles(run, tmp_path, pictures=pictures, trust=None)
    assert _training(auto.path)["trust"] == 1.37
    kept = checkpoint_of(auto.path).model["known.weight"][net.spec.stem :]
    assert torch.allclose(kept, 1.37 * net.known.weight[net.spec.stem :], rtol=1e-3)


def _training(path: Path) -> dict[str, object]:
    import json

    import onnx

    facts = {one.key: one.value for one in onnx.load(path).metadata_props}
    found = json.loads(facts["rtstyle.training"])
    assert isinstance(found, dict)
    return found


def test_what_is_no_trust_is_one_clear_line(tmp_path: Path) -> None:
    done = rtstyle("export", tmp_path / "checkpoint.pt", "--trust", "much")
    assert isinstance(done.error, UsageError)
    assert "auto, or 0.5 to 2" in str(done.error)
