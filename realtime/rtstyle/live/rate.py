"""Chooses network size and working resolution by measurement, so that a live picture keeps pace.

The choices form a ladder from the best to the quickest. The controller goes down at once when the
measured time of a frame exceeds its budget, and up only when the time expected one rung higher
leaves room. A rung that turned out too slow is tried again later and later, so it never swings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rtstyle.errors import UsageError
from rtstyle.styles.manifest import load_manifest

HEADROOM = 0.85
"""Share of the time between two frames that painting may take; the rest is capture and display."""
ROOM_TO_CLIMB = 0.75
"""Share of the budget under which the expected time of the next rung must lie."""
WINDOW = 15
"""Frames whose median is the measurement: a single hiccup changes nothing."""
SETTLE = 5
"""Frames after a change that do not count, while caches warm up."""
PATIENCE = 3.0
"""Seconds of room before a first climb; doubled after each climb that had to be taken back."""
LONGEST_PATIENCE = 300.0
RELATIVE_COST = {"fast": 1.0, "balanced": 1.6, "paper": 40.0}
"""Time for a pixel, roughly, by network size; only used until a rung has been measured."""
COHERENT_COST = 1.0
"""The same for the flow, and for the move of the last painting along it."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One choice: a network size, and the share of the frame's rows that it works on (0 to 1).

    With `coherent`, frames are painted over the last ones where the network sees a canvas.
    """

    size: str
    scale: float
    coherent: bool = False

    @property
    def cost(self) -> float:
        """Expected time, relative to `fast` at full resolution and frame by frame."""
        moving = COHERENT_COST if self.coherent else 0.0
        return (RELATIVE_COST.get(self.size, 1.0) + moving) * self.scale**2

    def height(self, rows: int) -> int | None:
        """Return the working height for frames of `rows` rows, None for all of them."""
        return None if self.scale >= 1.0 else max(16, 8 * round(rows * self.scale / 8))


SCALES = (1.0, 0.8, 0.65, 0.5, 0.375)
STEADY = Rung("fast", 1.0, coherent=True)
LADDER = (Rung("balanced", 1.0, coherent=True), STEADY, *(Rung("fast", scale) for scale in SCALES))
"""The default ladder, from the best to the quickest: coherence goes before resolution does."""


def choose_ladder(styles: Sequence[str], size: str) -> tuple[tuple[Rung, ...], int]:
    """Return what the controller may choose from, and where it begins: most can hold `fast`.

    `styles` are one, or those of a mask's regions. What `fast` paints over the last frame is better
    to look at than `balanced` frame by frame.
    """

    known = load_manifest().styles
    if size == "auto" and len(styles) == 1 and styles[0] in known:
        files = known[styles[0]].files
        # Those that a user has added may have one size, or be a picture.
        both = "fast" in files and "balanced" in files
        if both and (not files["fast"].sees_canvas or files["balanced"].sees_canvas):
            return LADDER, LADDER.index(STEADY)
    return steady_ladder("fast" if size == "auto" else size), 0


def steady_ladder(size: str, least: float = 0.0) -> tuple[Rung, ...]:
    """Return the rungs of one network size down to a scale of `least`, coherent at first."""
    scales = (scale for scale in SCALES if scale >= least)
    return (Rung(size, 1.0, coherent=True), *(Rung(size, scale) for scale in scales))


class RateController:
    """Holds `target` frames a second on a ladder of `Rung`s, best first.

    Call `note` with the time of each painted frame. Not thread-safe. Raises `UsageError` for a
    target that is not positive, or no rungs.
    """

    def __init__(
        self, target: float, ladder: Sequence[Rung] = LADDER, start: int | None = None
    ) -> None:
        if not target > 0:
            raise UsageError(f"A target of {target:g} FPS cannot be held.", "", "Use 1 or more.")
        if not ladder:
            raise UsageError("The controller has nothing to choose from.")
        self.target, self.ladder = target, tuple(ladder)
        self.changes = 0
        self._at = min(start if start is not None else 0, len(self.ladder) - 1)
        self._times: deque[float] = deque(maxlen=WINDOW)
        self._skip = SETTLE
        self._ratio: dict[tuple[int, int], float] = {}
        self._left: tuple[int, float] | None = None
        self._patience = dict.fromkeys(range(len(self.ladder)), PATIENCE)
        self._roomy_since: float | None = None

    @property
    def rung(self) -> Rung:
        """The present choice."""
        return self.ladder[self._at]

    @property
    def budget(self) -> float:
        """Seconds that painting one frame may take."""
        return HEADROOM / self.target

    def note(self, seconds: float, now: float) -> Rung:
        """Take in that a frame took `seconds` and was done at `now` (monotonic); return the choice.

        `seconds` is the time of the stylizing stage for one frame at the present rung.
        """
        if self._skip:
            self._skip -= 1
            return self.rung
        self._times.append(seconds)
        if len(self._times) < WINDOW:
            return self.rung
        typical = median(self._times)
        self._learn(typical)
        if typical > self.budget:
            self._go_down(typical)
        elif self._may_climb(typical, now):
            self._move(self._at - 1, typical)
        return self.rung

    def _learn(self, typical: float) -> None:
        """Measure how much slower or quicker this rung is than the one before."""
        if self._left is not None:
            before, seconds = self._left
            self._ratio[before, self._at] = typical / seconds
            self._ratio[self._at, before] = seconds / typical
            self._left = None

    def _expected(self, rung: int, typical: float) -> float:
        """Return the expected time at `rung`, by the measured ratio or else by the costs."""
        guess = self.ladder[rung].cost / self.rung.cost
        return typical * self._ratio.get((self._at, rung), guess)

    def _go_down(self, typical: float) -> None:
        """Take the best rung that should fit, and try this one again later than last time."""
        if self._at + 1 >= len(self.ladder):
            return
        self._patience[self._at] = min(LONGEST_PATIENCE, 2 * self._patience[self._at])
        lower = self._at + 1
        while lower + 1 < len(self.ladder) and self._expected(lower, typical) > self.budget:
            lower += 1
        self._move(lower, typical)

    def _may_climb(self, typical: float, now: float) -> bool:
        """Return True if the rung above has had room for long enough."""
        if self._at == 0:
            return False
        above = self._at - 1
        if self._expected(above, typical) > ROOM_TO_CLIMB * self.budget:
            self._roomy_since = None
            return False
        if self._roomy_since is None:
            self._roomy_since = now
        return now - self._roomy_since >= self._patience[above]

    def _move(self, to: int, typical: float) -> None:
        self._left = (self._at, typical)
        self._at, self._roomy_since, self._skip = to, None, SETTLE
        self._times.clear()
        self.changes += 1
