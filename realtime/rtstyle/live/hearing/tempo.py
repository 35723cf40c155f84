"""A beat that a user taps, for music that cannot be heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from statistics import median

from rtstyle.frame import Frame
from rtstyle.live.controls.bindings import Bindings
from rtstyle.live.controls.desk import Desk, Knob
from rtstyle.sinks.base import Sink

BEAT = "beat"
"""What `[react]` of the scenes file calls it."""
SLOWEST, QUICKEST = 20.0, 300.0
"""Beats a minute. Taps further apart than the slowest begin anew."""
TAPS = 8
"""Taps that count: a hand is off by some 20 ms, their median by less."""


class Tempo:
    """Does what `[react] beat` says with every beat, and is on the `desk` as `tap` and `tempo`.

    Two taps begin it; every further one corrects it, and the beat falls on the last one. A tempo
    that is set keeps the beat where it is. 0 is none. All calls come from the picture's thread.
    """

    def __init__(
        self,
        desk: Desk,
        bindings: Bindings,
        say: Callable[[str], object],
        clock: Callable[[], float],
    ) -> None:
        self._desk, self._bindings, self._say, self._clock = desk, bindings, say, clock
        self.bpm = 0.0
        self._taps: deque[float] = deque(maxlen=TAPS)
        self._next = 0.0
        desk.add({"tempo": Knob(lambda: self.bpm, self.use)}, {"tap": self.tap})

    def use(self, bpm: float) -> None:
        """Beat so often a minute; 0: not at all. What is out of range is clipped."""
        before, now = self.bpm, self._clock()
        self.bpm = min(QUICKEST, max(SLOWEST, bpm)) if bpm > 0 else 0.0
        if self.bpm and not before:
            self._next = now
        elif self.bpm:
            # The beat before stays where it was.
            self._next += 60 / self.bpm - 60 / before
        self._say(f"{self.bpm:.0f} beats a minute" if self.bpm else "no beat")

    def tap(self) -> None:
        """Take in that a beat is now."""
        now = self._clock()
        if self._taps and now - self._taps[-1] > 60 / SLOWEST:
            self._taps.clear()
        self._taps.append(now)
        if len(self._taps) < 2:
            self._say("tap on")
            return
        taps = list(self._taps)
        step = median(late - early for early, late in pairwise(taps))
        self.bpm = min(QUICKEST, max(SLOWEST, 60 / max(step, 1e-3)))
        # This beat is done now, and not a second time.
        self._next = now
        self._say(f"{self.bpm:.0f} beats a minute")

    def turn(self) -> None:
        """Do what a beat asks for, if one has come since the last call; one that is late is one."""
        now = self._clock()
        if not self.bpm or now < self._next:
            return
        period = 60 / self.bpm
        self._next += period * (1 + (now - self._next) // period)
        binding = self._bindings.find("react", BEAT)
        if binding is not None:
            self._desk.press(binding)


class BeatSink(Sink):
    """Has a `Tempo` do its turn with every frame, and while none comes."""

    def __init__(self, tempo: Tempo) -> None:
        self.name = "tempo"
        self._tempo = tempo

    def write(self, frame: Frame) -> None:  # noqa: ARG002 - any frame will do
        """Do what a beat asks for."""
        self._tempo.turn()

    def idle(self) -> None:
        """Do what a beat asks for."""
        self._tempo.turn()
