"""What a live picture can be painted with at once, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtstyle.errors import EngineError
from rtstyle.live.bank import StyleBank
from rtstyle.live.bank.shelf import FEWEST, MOST, NETWORK, SHARE, SPARE, room
from rtstyle.live.look import Look
from rtstyle.live.reach import SETTLED, Ahead, Reach
from rtstyle.machine import memory
from rtstyle.painting.upsampling import Upsampler
from rtstyle.styles.model import ModelName


class Unprepared(Upsampler):
    """An upsampler that has to be prepared for every size."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.sizes: list[tuple[int, int]] = []

    def holds(self, size: tuple[int, int]) -> bool:
        return size in self.sizes

    def prepare(self, size: tuple[int, int]) -> None:
        self.sizes.append(size)


def test_wider_strokes_wait_until_paintings_can_be_enlarged() -> None:
    shown = Look(style="identity", size="fast")
    wanted, frame = replace(shown, stroke_size=2.0), (480, 640)
    with StyleBank() as bank:
        bank.upsampler = upsampler = Unprepared()
        for size in (frame, (240, 320)):
            bank.prepare([("identity", "fast")], size)
        assert bank.wait_idle(60)
        reach = Reach(bank)
        assert reach.nearest(wanted, shown, frame, 0.0).stroke_size == 1.0
        assert bank.wait_idle(60)
        assert upsampler.sizes == [frame]
        assert reach.nearest(wanted, shown, frame, 0.1) == wanted


@pytest.mark.slow
def test_all_styles_are_made_ready_with_the_sizes_they_are_enlarged_to() -> None:
    with StyleBank() as bank:
        bank.upsampler = upsampler = Unprepared()
        names = [("identity", "fast"), ("invert", "fast")]
        bank.prepare(names, (24, 32), larger=[(48, 64)], urgent=False)
        assert bank.wait_idle(60)
        assert upsampler.sizes == [(48, 64)]
        assert all(bank.ready(*name, (24, 32)) for name in names)


@pytest.mark.parametrize("size", [(48, 64), (24, 32)])
def test_without_an_upsampler_nothing_is_waited_for(size: tuple[int, int]) -> None:
    with StyleBank() as bank:
        assert bank.upsampler.holds(size)


class Broken(Unprepared):
    """An upsampler that no engine can run."""

    def prepare(self, size: tuple[int, int]) -> None:
        raise EngineError(f"Nothing enlarges to {size}.")


def test_strokes_that_can_never_be_enlarged_are_told_once() -> None:
    shown = Look(style="identity", size="fast")
    wanted, frame = replace(shown, stroke_size=2.0), (480, 640)
    with StyleBank() as bank:
        bank.upsampler = Broken()
        bank.prepare([("identity", "fast")], (240, 320))
        assert bank.wait_idle(60)
        reach = Reach(bank)
        assert reach.nearest(wanted, shown, frame, 0.0).stroke_size == 1.0
        assert bank.wait_idle(60)
        with pytest.raises(EngineError, match="Nothing enlarges"):
            reach.nearest(wanted, shown, frame, 0.1)


class Asked(StyleBank):
    """A bank that only notes what is to be made ready later."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity=capacity)
        self.asked: list[list[str]] = []

    def prepare(self, models: Iterable[ModelName], *_: Any, **__: Any) -> None:
        self.asked.append([str(name) for name, _ in models])


class TestAhead:
    NAMES = tuple(f"{letter}.onnx" for letter in "abcdefgh")
    LOOK = Look(style="a.onnx", size="fast")

    def test_without_room_for_all_the_nearest_are_made_ready_as_styles_change(self) -> None:
        """All were asked for, and the last ones put out the first ones, which come next."""
        with Asked(SPARE + 3) as bank:
            ahead = Ahead(bank)
            for name in ("a.onnx", "a.onnx", "b.onnx", "h.onnx"):
                ahead.prepare(self.NAMES, name, self.LOOK, (48, 64), 10.0)
        assert [{name[0] for name in asked} for asked in bank.asked] == [
            {"h", "a", "b"},
            {"a", "b", "c"},
            {"g", "h", "a"},
        ]
        assert all(asked[0][0] == base for asked, base in zip(bank.asked, "abh", strict=True))

    def test_with_room_for_all_they_are_made_ready_once(self) -> None:
        with Asked(SPARE + len(self.NAMES)) as bank:
            ahead = Ahead(bank)
            for name in self.NAMES:
                ahead.prepare(self.NAMES, name, self.LOOK, (48, 64), 10.0)
        assert len(bank.asked) == 1
        assert sorted(bank.asked[0]) == list(self.NAMES)

    def test_pictures_share_a_network_and_are_all_made_ready(self) -> None:
        pictures = [f"{number}.jpg" for number in range(20)]
        with Asked(SPARE + 1) as bank:
            Ahead(bank).prepare([*self.NAMES, *pictures], "a.onnx", self.LOOK, (48, 64), 10.0)
        assert set(bank.asked[0]) == {"a.onnx", *pictures}

    def test_another_size_is_waited_for_until_it_stays(self) -> None:
        with Asked(SPARE + 8) as bank:
            ahead = Ahead(bank)
            for frame, now in (((48, 64), 0.0), ((24, 32), 1.0), ((24, 32), 1.0 + SETTLED)):
                ahead.prepare(self.NAMES, "a.onnx", self.LOOK, frame, now)
                assert len(bank.asked) == 1 + (now > 1.0)


def test_what_is_asked_for_again_is_not_put_out_by_what_comes_anew(pretrained_folder: Path) -> None:
    picture, shape = np.zeros((32, 48, 3), np.uint8), (32, 48)
    with StyleBank(device="openvino:cpu", threads=1, capacity=2) as bank:
        for name in ("invert", "identity"):
            bank.paint(picture, name, "fast")
        bank.prepare([("invert", "fast")], shape)
        bank.paint(picture, "mosaic", "fast")
        assert bank.ready("invert", "fast", shape)
        assert not bank.ready("identity", "fast", shape)


class TestRoom:
    @pytest.mark.parametrize(
        ("gigabytes", "kept"), [(1, FEWEST), (8, FEWEST), (16, 25), (24, 38), (512, MOST)]
    )
    def test_follows_the_memory(
        self, monkeypatch: pytest.MonkeyPatch, gigabytes: int, kept: int
    ) -> None:
        monkeypatch.setattr("rtstyle.live.bank.shelf.total_memory", lambda: gigabytes << 30)
        assert room() == kept
        assert room() * NETWORK <= max(FEWEST * NETWORK, (gigabytes << 30) * SHARE)
        with StyleBank() as bank:
            assert bank.capacity == kept

    def test_a_container_has_its_own_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limit = tmp_path / "memory.max"
        monkeypatch.setattr(memory, "LIMITS", (tmp_path / "none", limit))
        limit.write_text("max\n")
        whole = memory.total_memory()
        assert whole > 64 << 20
        limit.write_text(f"{64 << 20}\n")
        assert memory.total_memory() == 64 << 20
