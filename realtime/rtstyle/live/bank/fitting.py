"""Pictures as styles, fitted in the background; which ones a style is mixed of."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Container, MutableMapping
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from rtstyle.errors import RtstyleError
from rtstyle.frame import Image
from rtstyle.live.bank.apart import fit_apart
from rtstyle.media.color import Colours
from rtstyle.styles.model import Model
from rtstyle.styles.spec import (
    Styles,
    are_networks,
    as_mixture,
    is_network,
    is_random,
    parse_style,
)

Rough: TypeAlias = tuple[str, str, float, Colours | None]
"""A picture as style that is not fitted yet: file, network size, scale and colours."""

KNOWN = 256
"""Styles whose model file and statistics are remembered, or what kept them from being made."""

MATCHED = 20_000
"""Pixels of a picture whose colours others take on, about: more of them tell the same."""


class Known(NamedTuple):
    """What a style is painted with, and whether it takes on the colours of a picture."""

    model: Model
    matches: bool


def at_hand(
    style: Styles, size: str, encoded: Container[tuple[str, str]], sampled: Container[str]
) -> bool:
    """Return True if all paintings of a blend are encoded."""
    try:
        parts = paintings_of(style)
    except RtstyleError:
        return False  # `prepare` meets the same error, and keeps it.
    return bool(parts) and all(
        is_network(one) or (one, size) in encoded or (size in sampled and is_random(one))
        for one in parts
    )


def forget_oldest(known: MutableMapping[Any, Any]) -> None:
    """Drop what was put in first until `KNOWN` items are left."""
    for oldest in list(islice(known, max(0, len(known) - KNOWN))):
        del known[oldest]


def is_of(style: Styles, name: str) -> bool:
    """Return True if a style is mixed of a picture, or of one whose file has gone meanwhile."""
    try:
        return name in paintings_of(style)
    except RtstyleError:
        return True


def paintings_of(style: Styles) -> list[str]:
    """Return the pictures and built-in paintings that a style is mixed of; none for networks."""
    if are_networks(style):
        return []
    if not isinstance(style, str):
        return [name for one in style for name, _ in as_mixture(one).parts]
    found = parse_style(style)
    return [] if isinstance(found, str) else [name for name, _ in found.parts]


class Fitter:
    """Fits pictures (`rtstyle.styles.fit`), each in a process of its own (`fit_apart`).

    It begins with one only while the bank is `idle`, and tells the name of each to `fitted`.
    `changed` guards all of it.
    """

    def __init__(
        self,
        fitted: Callable[[str], None],
        idle: Callable[[], bool],
        changed: threading.Condition,
    ) -> None:
        self._fitted, self._idle, self._changed = fitted, idle, changed
        self._rough: deque[Rough] = deque()
        self._unfit: dict[Rough, None] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def left(self) -> int:
        """How many pictures are still to be fitted."""
        with self._changed:
            return len(self._rough)

    def fit_later(self, rough: list[Rough]) -> None:
        """Fit these, too, but for those that could not be fitted before."""
        with self._changed:
            self._rough.extend(p for p in rough if p not in self._rough and p not in self._unfit)
            if self._rough and self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="rtstyle-fit", daemon=True)
                self._thread.start()

    def let_go(self) -> None:
        """Fit none of those that wait, nor the present one."""
        with self._changed:
            self._rough.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no picture is to be fitted; False if that took longer than `timeout`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None or self._closed, timeout)

    def close(self) -> threading.Thread | None:
        """Begin with no picture any more; return the thread, which may still be busy."""
        with self._changed:
            self._closed = True
            self._rough.clear()
            self._changed.notify_all()
            return self._thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._idle() or self._closed)
                if self._closed or not self._rough:
                    self._thread = None
                    self._changed.notify_all()
                    return
                painting = self._rough[0]
            try:
                fit_apart(*painting, partial(self._is_let_go, painting))
            except RtstyleError:
                # What it was at a glance is good enough to continue with.
                self._unfit[painting] = None
                forget_oldest(self._unfit)
            with self._changed:
                if painting in self._rough:
                    self._rough.remove(painting)
            self._fitted(painting[0])

    def _is_let_go(self, painting: Rough) -> bool:
        with self._changed:
            return painting not in self._rough


def thinned(image: Image) -> Image:
    """Return about `MATCHED` pixels of a picture (H, W, 3), evenly."""
    step = max(1, round((image.shape[0] * image.shape[1] / MATCHED) ** 0.5))
    return image[::step, ::step]
