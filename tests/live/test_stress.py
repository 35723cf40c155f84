"""Thousands of control messages while a picture runs: no frame is lost to them.

Camera, painting and controls go by a made-up clock: what takes how long is told beforehand.
"""

from __future__ import annotations

import math
import random
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.any_models import write_latent
from PIL import Image as Pil

from rtstyle.engines import onnxrt
from rtstyle.engines.ov import OpenVinoEngine
from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.frame_queue import Pace
from rtstyle.live.bank import Shape, StyleBank
from rtstyle.live.controls.table import CONTROLS, Control, Kind
from rtstyle.live.look import Look
from rtstyle.live.painter import Studio
from rtstyle.live.rate import RateController, Rung
from rtstyle.live.session import LiveSession
from rtstyle.painting.network import Network
from rtstyle.painting.strokes import levels
from rtstyle.report import Progress
from rtstyle.sinks.recorder import RecorderSink
from rtstyle.styles import paintings
from rtstyle.styles.manifest import FOLDER_VARIABLE

SHAPE = (160, 200)
"""Of which wide strokes take two sizes: a coarse painting, and a fine one."""
CAMERA, COST = 30.0, 0.02
"""Frames a second, and seconds that a network takes for one: two of them take too long."""
FRAMES, MESSAGES = 240, 2000
NAMES = ("identity", "invert", "mosaic")
NEVER: tuple[Any, ...] = (None, [], {}, math.nan, math.inf, -1e9, "\0", "", "x" * 2000, [1])


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


COMPILING = 0.35
"""Seconds that it takes to compile a network for a size, or to open one."""


class TimedBank(StyleBank):
    """Takes `COST` of a made-up clock to paint, and prepares models between two frames.

    What is slow takes its time only in the thread that paints: it never should.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(device="openvino:cpu", threads=1)
        self.clock, self.painted, self.slow = clock, 0, Counter[str]()

    def took_long(self, what: str) -> None:
        """Note that something slow was done by this thread."""
        here = threading.current_thread() is threading.main_thread()
        self.slow[f"{what} {'within a frame' if here else 'beside'}"] += 1
        self.clock.now += COMPILING if here else 0.0

    def paint(self, *words: Any, **named: Any) -> Image:
        self.painted += 1
        self.clock.now += COST
        return super().paint(*words, **named)

    def prepare(self, *words: Any, **named: Any) -> None:
        super().prepare(*words, **named)
        assert self.wait_idle(60)


@pytest.fixture(autouse=True)
def _sampled(pretrained_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Styles that nobody painted, and walks."""
    folder = tmp_path / "styles"
    shutil.copytree(pretrained_folder, folder)
    write_latent(folder)
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    time = SimpleNamespace(perf_counter=clock, monotonic=clock)
    monkeypatch.setattr("rtstyle.live.painter.time", time)
    return clock


@pytest.fixture
def bank(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[TimedBank]:
    with TimedBank(clock) as bank:
        bank.prepare([(name, "fast") for name in NAMES], SHAPE)
        for owner, name in (
            (OpenVinoEngine, "_compile"),
            (Network, "open"),
            (onnxrt, "open_session"),
            (paintings, "encode_image"),
        ):
            monkeypatch.setattr(owner, name, noted(bank, name, getattr(owner, name)))
        yield bank


def noted(bank: TimedBank, name: str, function: Any) -> Any:
    def call(*words: Any, **named: Any) -> Any:
        bank.took_long(name)
        return function(*words, **named)

    return call


class Run:
    """A live run as `Pipeline` has it: one frame waits at most, the newest wins."""

    def __init__(self, clock: Clock, bank: TimedBank, folder: Path, seed: int) -> None:
        self.clock, self.bank, self.chance = clock, bank, random.Random(seed)
        controller = RateController(CAMERA, (Rung("fast", 1.0),))
        studio = Studio(bank, Look("identity"), controller=controller, fade=0.6, clock=clock)
        picture = folder / "blue.png"
        Pil.new("RGB", (64, 64), (0, 0, 200)).save(picture)
        self.names = (*NAMES, str(picture))
        self.session = LiveSession(
            studio, bank, self.names, RecorderSink(), folder=folder, rate=CAMERA, clock=clock
        )
        self.pace, self.drops, self.asked = Pace(), Counter[str](), Counter[str]()
        self.session.limit_rate = self.pace.limit
        self.shown, self.most, self.styles = 0, 0, set[str]()

    def run(self, messages: int) -> None:
        """Play `FRAMES` of the camera with so many messages between them."""
        began, waiting, free = self.clock.now, False, self.clock.now
        for number in range(FRAMES):
            due = began + number / CAMERA
            if waiting and free <= due:
                free, waiting = self.paint(free), False
            for _ in range(messages // FRAMES + (number < messages % FRAMES)):
                self.ask()
            if self.pace.too_soon(due):
                self.drops["excess"] += 1
            elif free <= due:
                free = self.paint(due)
            else:
                self.drops["late"] += waiting
                waiting = True

    def paint(self, moment: float) -> float:
        """Paint one frame from this moment on; return when it is done."""
        self.clock.now, before = moment, self.bank.painted
        self.session.studio(np.full((*SHAPE, 3), 200, np.uint8))
        self.session.desk.turn()
        self.shown += 1
        self.session.progress(Progress(self.shown, self.shown, None, 1.0, 30.0, 0, 0))
        self.most = max(self.most, self.bank.painted - before)
        self.styles.add(self.session.studio.shown.title)
        return self.clock.now

    def ask(self) -> None:
        control = self.chance.choice([one for one in CONTROLS if one.name != "quit"])
        good = self.chance.random() < 0.5
        value = valid(control, self.chance, self.names) if good else self.chance.choice(NEVER)
        try:
            self.session.desk.board.ask({control.name: value})
            self.asked["taken"] += 1
        except UsageError:
            self.asked["refused"] += 1


def valid(control: Control, chance: random.Random, names: tuple[str, ...]) -> Any:
    if control.kind is Kind.NUMBER:
        return chance.choice([chance.uniform(control.low, control.high), f"+{control.step}"])
    if control.kind is Kind.CHOICE:
        return chance.choice([*control.choices, "+1", "-1"])
    if control.kind is Kind.SWITCH:
        return chance.choice([True, False, "toggle"])
    return True if control.kind is Kind.ACTION else chance.choice([*names, 1, 2, 3])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_messages_cost_no_frame(clock: Clock, bank: TimedBank, tmp_path: Path, seed: int) -> None:
    calm = Run(clock, bank, tmp_path, seed)
    calm.run(0)
    assert (calm.shown, calm.drops, calm.most) == (FRAMES, {}, 1)
    busy = Run(clock, bank, tmp_path, seed)
    busy.run(MESSAGES)
    assert busy.asked.total() == MESSAGES
    assert min(busy.asked.values()) > MESSAGES / 4
    # It really was changed all the time.
    assert len(busy.styles) > 3
    # Rates that were asked for leave frames out; none comes too late.
    assert busy.drops["late"] == 0
    assert [what for what in bank.slow if "within" in what] == []
    # Other strokes were painted, too; what was asked for in passing was not made ready.
    assert 0 < bank.slow["_compile beside"] < MESSAGES / 100


@pytest.mark.slow
def test_styles_that_change_with_every_frame_take_one_painting_a_frame(
    clock: Clock, bank: TimedBank, tmp_path: Path
) -> None:
    run = Run(clock, bank, tmp_path, 4)
    run.run(0)
    run.session.desk.do("style invert")
    for _ in range(3):
        run.run(0)
        run.session.desk.do("cycle 1")
        for action in ("next", "previous", "random"):
            run.session.desk.board.ask({action: True})
    assert (run.shown, run.drops["late"], run.most) == (4 * FRAMES, 0, 1)
    assert [what for what in bank.slow if "within" in what] == []


@pytest.mark.slow
def test_colours_are_matched_whatever_is_painted(
    clock: Clock, bank: TimedBank, tmp_path: Path
) -> None:
    """A random style has colours of its own: asked for others, it ended the run."""
    run = Run(clock, bank, tmp_path, 5)
    run.run(0)
    for words in ("random", "match_color on", "next", "random", "match_color off", "mix 0.5"):
        run.session.desk.do(words)
        run.run(0)
    assert run.shown == 7 * FRAMES
    assert [what for what in bank.slow if "within" in what] == []


@pytest.mark.slow
def test_a_picture_that_is_gone_from_the_disk_gives_way_to_what_was_there(
    clock: Clock, bank: TimedBank, tmp_path: Path
) -> None:
    run, picture = Run(clock, bank, tmp_path, 6), tmp_path / "red.png"
    Pil.new("RGB", (64, 64), (200, 0, 0)).save(picture)
    run.run(0)
    run.session.drop(str(picture))
    run.run(0)
    assert run.session.studio.shown.title == str(picture)
    picture.unlink()
    run.session.desk.do("match_color on")
    run.run(0)
    assert "red.png" in str(run.session.note() or run.session.studio.problem)
    run.session.desk.do("style invert")
    run.run(0)
    assert run.session.studio.shown.title == "invert"


def test_other_strokes_come_once_the_sizes_that_they_need_are_ready(clock: Clock) -> None:
    """A model that is made ready for a size within a frame holds the picture up."""
    frame, asked = np.full((160, 200, 3), 200, np.uint8), []

    class Waiting(StyleBank):
        slow = False

        def prepare(self, models: Any, *shapes: Shape, **named: Any) -> None:
            asked.extend(shapes)
            if not self.slow:
                super().prepare(models, *shapes, **named)

    with Waiting(device="openvino:cpu", threads=1) as bank:
        studio = Studio(bank, Look("mosaic"), clock=clock)
        studio(frame)
        # What is painted differs only by steps: a slider that is dragged asks for few sizes.
        studio.change(stroke_size=1.1)
        studio(frame)
        assert (asked, studio.shown.stroke_size, studio.look.stroke_size) == ([], 1.1, 1.1)
        bank.slow = True
        studio.change(stroke_size=4.0, strength=0.5)
        studio(frame)
        # All else is changed at once.
        assert (studio.shown.stroke_size, studio.shown.strength) == (1.0, 0.5)
        assert asked == [levels((160, 200), 4.0)[0]]
        bank.slow = False
        studio(frame)
        assert bank.wait_idle(60)
        studio(frame)
        assert studio.shown.stroke_size == 4.0
