"""What a live picture can be painted with at once, and what it waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtstyle.errors import EngineError
from rtstyle.live.bank import StyleBank
from rtstyle.live.look import Look
from rtstyle.live.reach import Reach
from rtstyle.painting.upsampling import Upsampler


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
