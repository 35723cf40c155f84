"""Where all faces ask for changes, and where the one thread that owns the picture takes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from rtstyle.errors import UsageError
from rtstyle.live.controls.change import Change, merged, read_changes
from rtstyle.live.controls.table import BY_NAME, Control, Kind, Value

Listener: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Called with what has changed, in the owner's thread: it must return at once."""
Check: TypeAlias = Callable[[str, Value], None]
"""Raises `UsageError` for a text that names nothing; called in any thread."""


class Board:
    """The present value of every control, and the changes that are waiting.

    Any thread may `ask`, read the `state` and `subscribe`. The owner of the picture calls `drain`
    before each frame and `publish` after it. However much is asked for between two frames, one
    change a control is what waits: the last value counts, steps add up. `names` are the controls
    that this picture has; at first all of the table.
    """

    def __init__(self, names: Collection[str] = tuple(BY_NAME)) -> None:
        self.offer(names)
        self._waiting: dict[str, Change] = {}
        self._state: dict[str, Any] = {}
        self._figures: dict[str, Any] = {}
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._check: Check | None = None
        self.revision = 0

    def offer(self, names: Collection[str]) -> None:
        """Have these controls and no others."""
        self._own = frozenset(names)
        self.controls = tuple(c for name, c in BY_NAME.items() if name in self._own)

    def check_texts(self, check: Check) -> None:
        """Have every text looked at by `check` before it is taken."""
        self._check = check

    def ask(self, asked: object) -> None:
        """Take changes as an object of JSON, `{"strength": "+0.1"}`; all of them or none.

        Raises `UsageError`.
        """
        changes = read_changes(asked)
        for name, change in changes.items():
            if name not in self._own:
                raise UsageError(f"{name} cannot be changed here.")
            if self._check is not None and BY_NAME[name].kind is Kind.TEXT:
                self._check(name, change.value)  # type: ignore[union-attr]
        with self._lock:
            for name, change in changes.items():
                self._wait(name, change)

    def _wait(self, name: str, change: Change) -> None:
        before = self._waiting.pop(name, None)
        new = change if before is None else merged(BY_NAME[name], before, change)
        if new is not None:
            self._waiting[name] = new

    def drain(self) -> list[tuple[Control, Change]]:
        """Return what was asked for since the last call, what was asked for last at the end."""
        if not self._waiting:
            return []
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        return [(BY_NAME[name], change) for name, change in waiting.items()]

    @property
    def state(self) -> dict[str, Value]:
        """The value of every control but the actions, as the last frame had them."""
        with self._lock:
            return dict(self._state)

    @property
    def figures(self) -> dict[str, Any]:
        """What can be read only: frames a second, delay, drops, the latest message."""
        with self._lock:
            return dict(self._figures)

    def publish(self, state: Mapping[str, Value], figures: Mapping[str, Any]) -> None:
        """Take in the values as they are now, and tell those who subscribed what is new."""
        with self._lock:
            news = {name: value for name, value in state.items() if self._differs(name, value)}
            self._state.update(news)
            self._figures = dict(figures)
            self.revision += bool(news)
            listeners = list(self._listeners)
        if news:
            for listener in listeners:
                listener(news)

    def _differs(self, name: str, value: Value) -> bool:
        return name not in self._state or self._state[name] != value

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each change from now on; returns what ends that.

        It is called in the thread of the picture, so it may only pass the news on.
        """
        with self._lock:
            self._listeners.append(listener)

        def leave() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return leave
