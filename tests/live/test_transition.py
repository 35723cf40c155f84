"""Styles that give way to each other: what is seen at each moment, and what is painted for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from rtstyle.frame import Image
from rtstyle.live.bank import StyleBank
from rtstyle.live.look import Look
from rtstyle.live.painter import Studio, _continuous
from rtstyle.live.rate import RateController, Rung
from rtstyle.live.transition import Layer, Transition, wipe_weights

SHAPE = (32, 48)
FRAME = 1 / 30


def flat(level: int) -> Image:
    return np.full((*SHAPE, 3), level, np.uint8)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class CountingBank(StyleBank):
    """Counts what is painted with each style."""

    def __init__(self) -> None:
        super().__init__(device="openvino:cpu", threads=1)
        self.painted: list[str] = []

    def paint(self, image: Image, style: object, *rest: object, **named: object) -> Image:
        self.painted.append(str(style))
        return super().paint(image, style, *rest, **named)  # type: ignore[arg-type]


@pytest.fixture
def bank() -> Iterator[CountingBank]:
    with CountingBank() as bank:
        bank.prepare([(name, "fast") for name in ("identity", "invert", "mosaic")], SHAPE)
        assert bank.wait_idle(60)
        yield bank


class Player:
    """Shows one flat picture, frame by frame, at 30 frames a second of a made-up clock."""

    def __init__(self, bank: StyleBank, *, fade: float = 0.6, budget: float = 0.0) -> None:
        self.clock = Clock()
        target = 0.85 / budget if budget else 1e6
        controller = RateController(target, (Rung("fast", 1.0),))
        self.studio = Studio(
            bank, Look("identity"), fade=fade, clock=self.clock, controller=controller
        )

    def show(self, count: int = 1, level: int = 200) -> list[int]:
        """Return the level in the middle of each of the next frames."""
        levels = []
        for _ in range(count):
            picture = self.studio(flat(level))
            levels.append(int(picture[SHAPE[0] // 2, SHAPE[1] // 2, 0]))
            self.clock.now += FRAME
        return levels


class TestFade:
    def test_goes_from_the_old_to_the_new_and_stops_nowhere(self, bank: CountingBank) -> None:
        player = Player(bank)
        assert player.show(3) == [200] * 3
        player.studio.change(style="invert")
        levels = player.show(25)
        t = np.clip((np.arange(25) + 1) * FRAME / 0.6, 0, 1)
        wanted = 200 + (55 - 200) * t * t * (3 - 2 * t)
        assert levels == pytest.approx(wanted, abs=1)
        assert levels[0] < 200, "the first frame shows some of the new style"
        assert all(b <= a for a, b in pairwise(levels))
        assert levels[-1] == 55

    def test_moving_pictures_move_on_in_both_layers(self, bank: CountingBank) -> None:
        player = Player(bank, budget=1e3)
        player.show()
        player.studio.change(style="invert")
        player.show(9)
        assert player.show(level=100)[0] == pytest.approx(
            100 + 55 * player.studio._crossing.progress(player.clock.now - FRAME),
            abs=1,  # type: ignore[union-attr]
        )

    def test_a_tight_budget_paints_one_model_a_frame_and_each_in_turn(
        self, bank: CountingBank
    ) -> None:
        player = Player(bank)
        player.show()
        player.studio.change(style="invert")
        bank.painted.clear()
        player.show(18)
        assert len(bank.painted) == 18
        assert {bank.painted.count("identity"), bank.painted.count("invert")} <= set(range(6, 13))
        longest = max(len(run) for run in "".join(n[1] for n in bank.painted).split("n"))
        assert longest <= 6

    def test_networks_that_come_later_wait_for_the_end_of_a_transition(
        self, bank: CountingBank, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that was compiled meanwhile made a gap of 90 ms between two frames of a fade."""
        rests: list[float] = []
        monkeypatch.setattr(bank, "rest", rests.append)
        player = Player(bank)
        player.show(2)
        assert rests == []
        player.studio.change(style="invert")
        player.show(3)
        assert rests == [0.6]

    def test_a_wide_budget_paints_both(self, bank: CountingBank) -> None:
        player = Player(bank, budget=1e3)
        player.show()
        player.studio.change(style="invert")
        bank.painted.clear()
        player.show(17)
        assert len(bank.painted) == 34
        player.show(3)
        bank.painted.clear()
        player.show(3)
        assert bank.painted == ["invert"] * 3

    def test_a_second_change_goes_on_from_the_mix_that_is_shown(self, bank: CountingBank) -> None:
        player = Player(bank)
        player.show()
        player.studio.change(style="invert")
        middle = player.show(9)[-1]
        player.studio.change(style="identity")
        back = player.show(25)
        assert abs(back[0] - middle) < 10
        assert all(b >= a for a, b in pairwise(back))
        assert back[-1] == 200

    def test_many_changes_in_a_row_never_jump(self, bank: CountingBank) -> None:
        player = Player(bank)
        levels = player.show()
        for number in range(40):
            player.studio.change(style=("invert", "identity")[number % 2])
            levels += player.show(2)
            assert len(player.studio._crossing.layers) <= 3  # type: ignore[union-attr]
        assert max(abs(b - a) for a, b in pairwise(levels)) < 40

    def test_blends_of_the_same_pictures_follow_a_slider_at_once(self) -> None:
        parts = [Layer({"style": f"a.jpg:{w},b.jpg:{1 - w}", "regions": ()}) for w in (0.2, 0.7)]
        assert _continuous(*parts)
        assert not _continuous(Layer({"style": "a.jpg", "regions": ()}), parts[0])


class TestCutAndWipe:
    def test_a_cut_is_the_next_frame(self, bank: CountingBank) -> None:
        for fade, kind in ((0.0, "fade"), (0.6, "cut")):
            player = Player(bank, fade=fade)
            player.studio.transition = kind
            player.show()
            player.studio.change(style="invert")
            assert player.show(2) == [55, 55]

    def test_a_wipe_comes_from_the_left(self, bank: CountingBank) -> None:
        player = Player(bank)
        player.studio.transition = "wipe"
        player.show()
        player.studio.change(style="invert")
        player.show(8)
        row = player.studio(flat(200))[0, :, 0].astype(int)
        assert (row[0], row[-1]) == (55, 200)
        assert all(np.diff(row) >= 0)
        player.show(20)
        assert player.show() == [55]

    def test_the_weights_of_a_wipe(self) -> None:
        assert not wipe_weights((4, 100), 0.0).any()
        assert (wipe_weights((4, 100), 1.0) == 1).all()
        half = wipe_weights((4, 100), 0.5)
        assert half.shape == (4, 100)
        assert half.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("old", "new", "painted"),
    [
        (0.010, 0.010, ["old", "new"]),
        # Its first frame, without a canvas, says nothing of the next ones.
        (0.017, 0.009, ["old"]),
        # Nearly all of the budget: the next frame may take a little longer.
        (0.014, 0.014, ["old"]),
        # Not painted yet: it must be.
        (0.017, None, ["new"]),
    ],
)
def test_layers_take_turns_where_the_dearest_twice_leaves_no_room(
    old: float, new: float | None, painted: list[str]
) -> None:
    layers = [
        Layer({"style": name}, painted=None if seconds is None else flat(9), seconds=seconds)
        for name, seconds in (("old", old), ("new", new))
    ]
    crossing = Transition(layers[:1], layers[1], "fade", 0.6, began=100.0)
    assert [one.model["style"] for one in crossing.due(100.1, budget=0.0283)] == painted


def test_layers_of_little_share_are_dropped_and_the_others_fill_in() -> None:
    layers = [Layer({}, share) for share in (0.5, 0.1, 0.4)]
    new = Layer({})
    crossing = Transition(layers, new, "fade", 1.0, 0.0)
    assert crossing.layers == [layers[0], layers[2], new]
    assert [layer.share for layer in crossing.layers[:2]] == pytest.approx([5 / 9, 4 / 9])
    assert crossing.interrupted(0.5) == [layers[0], layers[2], new]
    assert sum(layer.share for layer in crossing.layers) == pytest.approx(1.0)


def test_the_kind_may_be_changed_from_another_thread(bank: CountingBank) -> None:
    player = Player(bank)
    done = threading.Event()

    def turn() -> None:
        for number in range(100):
            player.studio.transition = ("wipe", "fade", "cut")[number % 3]
            player.studio.change(style=("invert", "identity")[number % 2])
        done.set()

    thread = threading.Thread(target=turn)
    player.show()
    thread.start()
    while not done.is_set():
        assert 55 <= player.show()[0] <= 200
    thread.join()
