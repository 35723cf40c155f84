"""What a picture can be painted with at once; the rest is made ready in the background."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rtstyle.errors import RtstyleError
from rtstyle.live.bank import UPSAMPLER, Shape, StyleBank
from rtstyle.live.bank.shelf import SPARE
from rtstyle.live.look import Look, model_of, snapped
from rtstyle.painting.strokes import levels
from rtstyle.styles.spec import is_network

CALM = 0.2
"""Seconds for which a look that no model is ready for must stay the same before one is made ready:
a slider that is dragged, or a program that sends a hundred changes, would have a core do nothing
else."""

SETTLED = 1.0
"""Seconds for which the working size must stay the same before all styles are made ready for it."""


class Reach:
    """What one picture can be painted with at once."""

    def __init__(self, bank: StyleBank) -> None:
        self._bank = bank
        self._asked: dict[str, Any] = {}
        self._asked_at, self._at_once = -math.inf, True

    def nearest(self, wanted: Look, shown: Look, frame: Shape, now: float) -> Look:
        """Return the wanted look, with those settings of `shown` that no model is ready without.

        `frame` is the size of the picture. Where other strokes or another size have to wait, the
        style does not. Raises what keeps the style from being opened.
        """
        if self._ready(wanted, frame, ask=self._is_time_for(model_of(wanted), now)):
            return wanted
        old = model_of(shown)
        style_alone = replace(wanted, **{**old, "style": wanted.style})
        if wanted.style != shown.style and self._ready(style_alone, frame, ask=False):
            return style_alone
        return replace(wanted, **old)

    def _ready(self, look: Look, frame: Shape, *, ask: bool) -> bool:
        """Return True if a model is ready for all sizes that a look has it paint; else ask for it.

        Raises what keeps it from being ready.
        """
        painted, *larger = levels(look.working_size(*frame), snapped(look.stroke_size))
        ready = self._bank.ready(*look.model_name, painted)
        ready = ready and all(self._bank.ready(*UPSAMPLER, size) for size in larger)
        if ask and not ready:
            self._bank.prepare([look.model_name], painted, larger=larger, owner=self)
        return ready

    def _is_time_for(self, model: dict[str, Any], now: float) -> bool:
        """Return True if a model is to be made ready: one that stays, or comes after a calm."""
        if model != self._asked:
            self._at_once = now - self._asked_at >= CALM
            self._asked, self._asked_at = model, now
        return self._at_once or now - self._asked_at >= CALM


class Ahead:
    """Makes all styles that a user goes through ready for the sizes that are painted."""

    def __init__(self, bank: StyleBank) -> None:
        self._bank = bank
        self._done: tuple[object, ...] | None = None
        self._sizes: tuple[str, list[Shape]] | None = None
        self._around: tuple[list[str], str] | None = None
        self._near: list[str] = []
        self._since = -math.inf

    def prepare(
        self, names: Sequence[str], name: str, look: Look, frame: Shape, now: float
    ) -> None:
        """Have `names` ready for what `look` has painted of a `frame`, those beside `name` first.

        It does so once, and again where the names or the sizes have changed. Where the bank has no
        room for all networks, those nearest to `name` are made ready, and others as `name` changes.
        """
        sizes = look.size, levels(look.working_size(*frame), snapped(look.stroke_size))
        if self._done is not None and sizes != self._sizes:
            self._since = now
        self._sizes = sizes
        if self._around != (list(names), name):
            self._around, self._near = (list(names), name), self._nearest(names, name)
        near = self._near
        if self._done == (sizes, frozenset(near)) or now - self._since < SETTLED:
            return
        self._done = sizes, frozenset(near)
        painted, *larger = sizes[1]
        models = [(one, look.size) for one in near]
        # A rate that went up and down would otherwise leave all styles ready for many sizes.
        self._bank.prepare(models, painted, larger=larger, urgent=False, tidy=True)

    def _nearest(self, names: Sequence[str], name: str) -> list[str]:
        """Return the names that the bank has room for, the nearest to `name` first.

        Pictures share one network, and all of them are among these.
        """
        at = names.index(name) if name in names else 0
        order = sorted(
            range(len(names)), key=lambda i: min((i - at) % len(names), (at - i) % len(names))
        )
        room, found = max(1, self._bank.capacity - SPARE), []
        for one in (names[i] for i in order):
            if not _is_network(one):
                found.append(one)
            elif room:
                found.append(one)
                room -= 1
        return found


def _is_network(name: str) -> bool:
    try:
        return is_network(name)
    except RtstyleError:
        return True  # Whoever opens it meets the same error.
