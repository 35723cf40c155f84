"""The table of controls, and the board between those who ask and the one who owns the picture."""

from __future__ import annotations

import json
import math
import random
import threading
from typing import Any

import pytest

from rtstyle.errors import UsageError
from rtstyle.live.controls.board import Board
from rtstyle.live.controls.change import Do, Set, Step, Toggle, changed, read_words
from rtstyle.live.controls.table import BY_NAME, CONTROLS, Control, Kind


def asked(board: Board, *values: Any) -> dict[str, Any]:
    for value in values:
        board.ask(value)
    return {control.name: change for control, change in board.drain()}


def valid(control: Control, random: random.Random) -> Any:
    """Return a random value that a control takes."""
    if control.kind is Kind.NUMBER:
        return random.choice([random.uniform(control.low, control.high), control.low, "+0.0"])
    if control.kind is Kind.CHOICE:
        return random.choice([*control.choices, "+1", "-1"])
    if control.kind is Kind.SWITCH:
        return random.choice([True, False, "toggle"])
    return True if control.kind is Kind.ACTION else random.choice(["wave", 3, "a b"])


NEVER: tuple[Any, ...] = (None, [], {}, math.nan, math.inf, -1e9, "\0", "", "x" * 2000, [1])


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
class TestEveryControl:
    def test_says_what_it_does_in_json(self, control: Control) -> None:
        told = json.loads(json.dumps(control.described()))
        assert told["name"] == control.name
        assert told["does"].endswith(".")
        assert ("low" in told) == (control.kind is Kind.NUMBER)

    def test_takes_what_is_in_its_range(self, control: Control) -> None:
        chance = random.Random(7)
        for _ in range(50):
            assert control.name in asked(Board(), {control.name: valid(control, chance)})

    @pytest.mark.parametrize("value", NEVER, ids=repr)
    def test_refuses_what_is_not(self, control: Control, value: Any) -> None:
        board = Board()
        with pytest.raises(UsageError, match=control.name):
            board.ask({"mirror": True, control.name: value})
        assert board.drain() == []

    def test_is_named_by_words(self, control: Control) -> None:
        words = {
            Kind.SWITCH: "on",
            Kind.NUMBER: f"{control.high:g}",
            Kind.CHOICE: "+1",
            Kind.TEXT: "wave",
            Kind.ACTION: "",
        }[control.kind]
        name, value = read_words(f"{control.name} {words}")
        assert control.name in asked(Board(), {name: value})


class TestValues:
    def test_ends_of_a_range_are_in_it(self) -> None:
        for control in CONTROLS:
            if control.kind is Kind.NUMBER:
                assert control.check(control.low) == control.low
                assert control.check(control.high) == control.high
                with pytest.raises(UsageError, match=f"{control.low:g} to {control.high:g}"):
                    control.check(control.high + 1e-6)

    def test_steps_stop_at_the_ends_and_do_not_drift(self) -> None:
        strength, value = BY_NAME["strength"], 1.0
        for _ in range(7):
            value = float(changed(strength, value, Step(-0.1)))
        assert value == 0.3
        assert changed(strength, value, Step(-0.9)) == 0.0

    def test_choices_go_round(self) -> None:
        assert changed(BY_NAME["only"], "person", Step(1)) == "all"
        assert changed(BY_NAME["only"], "all", Step(-1)) == "person"

    @pytest.mark.parametrize(
        ("words", "means"),
        [
            ("strength 0.5", ("strength", 0.5)),
            ("strength +0.1", ("strength", "+0.1")),
            ("mirror", ("mirror", "toggle")),
            ("mirror off", ("mirror", False)),
            ("next", ("next", True)),
            ("style wave:0.7,mosaic:0.3", ("style", "wave:0.7,mosaic:0.3")),
            ("scene Last song", ("scene", "Last song")),
        ],
    )
    def test_words(self, words: str, means: tuple[str, object]) -> None:
        assert read_words(words) == means

    @pytest.mark.parametrize("words", ["strenght 1", "strength", "", "style"])
    def test_words_that_mean_nothing(self, words: str) -> None:
        with pytest.raises(UsageError):
            read_words(words)


class TestBoard:
    def test_the_last_value_counts(self) -> None:
        got = asked(Board(), {"strength": 0.1}, {"mirror": True}, {"strength": 0.7})
        assert got == {"mirror": Set(True), "strength": Set(0.7)}
        assert list(got) == ["mirror", "strength"]

    def test_steps_add_up_and_toggles_cancel(self) -> None:
        board = Board()
        assert asked(board, {"strength": "+0.1"}, {"strength": "+0.1"}) == {"strength": Step(0.2)}
        assert asked(board, {"strength": 0.5}, {"strength": "-0.1"}) == {"strength": Set(0.4)}
        assert asked(board, {"mirror": "toggle"}, {"mirror": "toggle"}) == {}
        assert asked(board, {"mirror": True}, {"mirror": "toggle"}) == {"mirror": Set(False)}
        assert asked(board, *[{"mirror": "toggle"}] * 3) == {"mirror": Toggle()}

    def test_actions_are_counted_only_where_that_makes_sense(self) -> None:
        board = Board()
        assert asked(board, *[{"next": True}] * 3) == {"next": Do(3)}
        assert asked(board, *[{"snapshot": True}] * 3) == {"snapshot": Do(1)}
        assert asked(board, *[{"next": True}] * 1000) == {"next": Do(100)}
        assert asked(board, {"snapshot": False}) == {}

    def test_a_picture_has_only_the_controls_that_it_names(self) -> None:
        board = Board(("strength", "mirror"))
        with pytest.raises(UsageError, match="quit"):
            board.ask({"quit": True})

    def test_texts_are_checked_before_they_are_taken(self) -> None:
        def check(name: str, value: object) -> None:
            if value != "wave":
                raise UsageError(f"no {name} {value}")

        board = Board()
        board.check_texts(check)
        with pytest.raises(UsageError, match="no style mosaic"):
            board.ask({"style": "mosaic"})
        assert asked(board, {"style": "wave"}) == {"style": Set("wave")}

    def test_subscribers_are_told_what_changes_and_nothing_else(self) -> None:
        board, heard = Board(), []
        board.publish({"strength": 1.0, "mirror": False}, {})
        leave = board.subscribe(heard.append)
        board.publish({"strength": 1.0, "mirror": True}, {"fps": 30.0})
        board.publish({"strength": 1.0, "mirror": True}, {"fps": 29.0})
        leave()
        leave()
        board.publish({"strength": 0.5, "mirror": True}, {})
        assert heard == [{"mirror": True}]
        assert board.state == {"strength": 0.5, "mirror": True}
        assert board.revision == 3

    def test_ten_thousand_messages_between_two_frames_leave_one_change_a_control(self) -> None:
        board, chance, refused = Board(), random.Random(11), 0
        for _ in range(10_000):
            control = chance.choice(CONTROLS)
            value = chance.choice([valid(control, chance), chance.choice(NEVER)])
            try:
                board.ask({control.name: value})
            except UsageError:
                refused += 1
        assert 3000 < refused < 7000
        assert len(board.drain()) <= len(CONTROLS)
        assert board.drain() == []

    def test_many_threads_lose_nothing(self) -> None:
        board = Board()

        def ask() -> None:
            for _ in range(20):
                board.ask({"next": True, "strength": "+0.001"})

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        got = {control.name: change for control, change in board.drain()}
        assert got["next"] == Do(80)
        assert got["strength"].by == pytest.approx(0.08)
