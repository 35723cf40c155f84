from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from rtstyle.errors import UsageError
from rtstyle.live.rate import LADDER, PATIENCE, RateController, Rung


def simulate(
    controller: RateController,
    seconds_at_full: Callable[[float], float],
    duration: float,
    *,
    noise: float = 0.0,
    begin: float = 0.0,
) -> list[tuple[float, Rung]]:
    """Run a machine on which `fast` at full size takes `seconds_at_full(now)`; list the changes."""
    rng, now = random.Random(1), begin
    changes = [(now, controller.rung)]
    while now < begin + duration:
        took = seconds_at_full(now) * controller.rung.cost * (1 + noise * rng.uniform(-1, 1))
        if rng.random() < 0.02 * bool(noise):
            took += 0.06
        now += max(took, 1 / controller.target)
        if controller.note(took, now) != changes[-1][1]:
            changes.append((now, controller.rung))
    return changes


def test_a_quick_machine_stays_on_the_best_rung() -> None:
    controller = RateController(30)
    assert simulate(controller, lambda _: 0.004, 60) == [(0.0, LADDER[0])]


def test_a_slow_machine_goes_straight_to_a_rung_that_fits() -> None:
    controller = RateController(30)
    changes = simulate(controller, lambda _: 0.050, 5)
    fits = next(rung for rung in LADDER if 0.050 * rung.cost <= controller.budget)
    assert [rung for _, rung in changes] == [LADDER[0], fits]
    assert changes[1][0] < 3


@pytest.mark.parametrize("milliseconds", [3, 9, 12, 15, 18, 22, 27, 30, 40, 55, 80, 200])
def test_it_never_oscillates(milliseconds: float) -> None:
    controller = RateController(30)
    changes = simulate(controller, lambda _: milliseconds / 1000, 600, noise=0.15)
    # A climb that fails is tried again after 6, 12, 24 ... s: few in ten minutes, ever rarer.
    late = [moment for moment, _ in changes if moment > 300]
    assert len(late) <= 4
    assert controller.changes <= 16


def test_it_climbs_back_when_the_load_is_gone() -> None:
    controller = RateController(30)
    changes = simulate(controller, lambda now: 0.060 if 10 < now < 20 else 0.008, 90)
    assert min(rung.cost for _, rung in changes) < 1
    assert controller.rung == LADDER[0]


def test_a_single_hiccup_changes_nothing() -> None:
    controller = RateController(30)
    for number in range(300):
        controller.note(1.0 if number % 40 == 39 else 0.010, number / 30)
    assert controller.changes == 0


def test_a_failed_climb_waits_twice_as_long() -> None:
    # Half the usual cost difference is expected, the real one is larger: each climb fails.
    ladder = (Rung("fast", 1.0), Rung("fast", 0.9))
    controller = RateController(30, ladder, start=1)
    now, climbs = 0.0, []
    for _ in range(6000):
        now += 1 / 30
        at = controller.rung
        controller.note(0.015 if at.scale < 1 else 0.050, now)
        if at.scale < 1 and controller.rung.scale == 1:
            climbs.append(now)
    # After the first failure the true ratio is known, and nothing is tried again.
    assert len(climbs) == 1
    assert climbs[0] >= PATIENCE


def test_heights_are_whole_multiples_of_eight() -> None:
    assert Rung("fast", 1.0).height(481) is None
    assert Rung("fast", 0.65).height(480) == 312
    assert Rung("fast", 0.375).height(16) == 16


@pytest.mark.parametrize("target", [0.0, -1.0, float("nan")])
def test_a_target_that_cannot_be_held(target: float) -> None:
    with pytest.raises(UsageError, match="cannot be held"):
        RateController(target)
    with pytest.raises(UsageError, match="nothing to choose"):
        RateController(30, ())
