"""Live pictures painted over their last frame: when, with what, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.models import canvas_model

from rtstyle.frame import Image
from rtstyle.live.bank import StyleBank
from rtstyle.live.look import Look
from rtstyle.live.painter import Studio
from rtstyle.live.rate import LADDER, STEADY, RateController, Rung, choose_ladder, steady_ladder
from rtstyle.serve.painter import Painter


@pytest.fixture
def bank() -> Iterator[StyleBank]:
    with StyleBank(device="openvino:cpu", threads=1) as bank:
        yield bank


@pytest.fixture
def style(tmp_path: Path) -> str:
    path = tmp_path / "reverse.onnx"
    path.write_bytes(canvas_model())
    return str(path)


def scene(step: int = 0, seed: int = 0) -> Image:
    """A smooth picture, some levels brighter by `step`."""
    coarse = np.random.default_rng(seed).integers(40, 216, (12, 16, 3), np.uint8)
    image = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.asarray(image, np.int16) + step, 0, 255).astype(np.uint8)


INSIDE = slice(8, -8)


def kept(before: Image, now: Image) -> float:
    """Return the share of the inside of a picture that is as it was, to 3 levels."""
    change = np.abs(before.astype(int) - now)[INSIDE, INSIDE].max(axis=2)
    return float((change <= 3).mean())


def test_what_was_painted_stays_while_the_light_changes(bank: StyleBank, style: str) -> None:
    studio = Studio(bank, Look(style))
    first, second = studio(scene()), studio(scene(9))
    assert kept(255 - scene(), first) == 1.0
    assert kept(first, second) > 0.95


@pytest.mark.parametrize(
    "change", [{"coherence": 0.0}, {"stroke_size": 0.5}, {"height": 60}], ids=str
)
def test_another_canvas_begins_with_a_change(
    bank: StyleBank, style: str, change: dict[str, float]
) -> None:
    studio = Studio(bank, Look(style))
    first = studio(scene())
    studio.change(**change)
    bank.prepare([studio.look.model_name], studio.look.working_size(120, 160))
    assert bank.wait_idle(60)
    assert kept(first, studio(scene(9))) < 0.1


def test_a_cut_begins_a_new_canvas(bank: StyleBank, style: str) -> None:
    studio = Studio(bank, Look(style))
    studio(scene())
    assert kept(255 - scene(seed=5), studio(scene(seed=5))) == 1.0


def test_a_network_that_sees_no_canvas_paints_each_frame_anew(bank: StyleBank) -> None:
    studio = Studio(bank, Look("invert"))
    for step in (0, 9):
        assert np.array_equal(studio(scene(step)), 255 - scene(step))


@pytest.mark.parametrize("coherent", [True, False])
def test_the_controller_says_whether_there_is_time(
    bank: StyleBank, style: str, coherent: bool
) -> None:
    controller = RateController(1.0, (Rung("fast", 1.0, coherent),))
    studio = Studio(bank, Look(style), controller=controller)
    first = studio(scene())
    assert (kept(first, studio(scene(9))) > 0.5) == coherent


def test_coherence_goes_before_resolution_does() -> None:
    controller = RateController(30, steady_ladder("fast"))
    now = 0.0
    while controller.rung.coherent:
        now += 0.04
        controller.note(0.04, now)  # 40 ms, where 28 are there
    assert controller.rung == Rung("fast", 1.0)
    assert STEADY.cost > LADDER[LADDER.index(STEADY) + 1].cost


@pytest.mark.parametrize("style", ["invert", "some.jpg"])
@pytest.mark.parametrize("size", ["auto", "fast"])
def test_a_live_picture_begins_with_coherence(style: str, size: str) -> None:
    ladder, start = choose_ladder([style], size)
    assert ladder[start] == STEADY


def test_a_server_begins_with_coherence_and_full_resolution() -> None:
    with Painter("fast") as painter:
        assert painter.rung == STEADY
