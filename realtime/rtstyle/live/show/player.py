"""Goes through the scenes of a file, and takes in what is edited while the picture runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from rtstyle.errors import RtstyleError
from rtstyle.live.controls.bindings import DEVICES, Bindings
from rtstyle.live.controls.table import BY_NAME, Value
from rtstyle.live.show.file import Scene, Show, add_binding, add_scene, read_show, scene_values

LOOK_EVERY = 0.5
"""Seconds between looks at whether the file has changed."""
FIRST = ("transition", "fade", "style")
"""Set before the others: how a style comes must be known when it does."""


class Player:
    """The scenes of `path`; without a file there are none until one is saved.

    `put` sets a control without asking whether its style is on a list; `own` are the bindings of
    keys that hold where the file has no others. `how` are transition and fade for scenes that do
    not say. All calls come from the thread of the picture, but for `names` and `learnt`.
    """

    def __init__(
        self,
        path: Path,
        bindings: Bindings,
        put: Callable[[str, Value], object],
        say: Callable[[str], None],
        tell: Callable[[RtstyleError], None],
        *,
        own: Mapping[str, str],
        how: Mapping[str, Value],
        clock: Callable[[], float],
    ) -> None:
        self.path, self._bindings, self._put = path, bindings, put
        self._say, self._tell = say, tell
        self._own, self._how, self._clock = own, dict(how), clock
        self.show = Show()
        self.at: int | None = None
        self.since = clock()
        self._stamp: tuple[int, int] | None = None
        self._looked = clock()
        self._learnt: deque[tuple[str, str, str]] = deque()
        bindings.learnt = lambda *learnt: self._learnt.append(learnt)

    @property
    def scene(self) -> Scene | None:
        """The scene that was shown last."""
        return None if self.at is None else self.show.scenes[self.at]

    @property
    def styles(self) -> list[str]:
        """The styles of all scenes."""
        found = (
            str(scene.values["style"]) for scene in self.show.scenes if "style" in scene.values
        )
        return [style for style in dict.fromkeys(found) if not style.isdecimal()]

    def load(self) -> None:
        """Read the file. Raises `UsageError`, and then all is as it was."""
        self._stamp = self._stamp_now()
        show = read_show(self.path)
        for device in DEVICES:
            own = self._own if device == "keys" else {}
            self._bindings.use(device, {**own, **show.bindings[device]})
        shown = self.scene
        self.show = show
        self._how |= {name: show.start[name] for name in self._how if name in show.start}
        names = [scene.name for scene in show.scenes]
        self.at = names.index(shown.name) if shown is not None and shown.name in names else None

    def start(self) -> None:
        """Set what the file has for the beginning, and show its first scene."""
        for name, value in self.show.start.items():
            self._put(name, value)
        if self.show.scenes:
            self.show_scene("1")

    def look(self) -> None:
        """Take in a change of the file, where there is one; what is wrong with it is told."""
        while self._learnt:
            device, name, words = self._learnt.popleft()
            self._guard(partial(self._keep, device, name, words))
        now = self._clock()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        if self._stamp_now() not in (self._stamp, None):
            self._guard(self._reload)

    def _reload(self) -> None:
        self.load()
        self._say(f"{self.path.name} was read again")

    def _keep(self, device: str, name: str, words: str) -> None:
        add_binding(self.path, device, name, words)
        self.load()
        self._say(f"{name}: {words}")

    def _guard(self, work: Callable[[], object]) -> None:
        try:
            work()
        except RtstyleError as error:
            self._tell(error)

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None  # Some editors take it away for a moment.
        return found.st_mtime_ns, found.st_size

    def show_scene(self, text: str) -> None:
        """Show a scene by its name or number. Raises `UsageError`."""
        at = self.show.find(text)
        scene = self.show.scenes[at]
        self.at, self.since = at, self._clock()
        values = {**self._how, **scene.values}
        for name in sorted(values, key=lambda name: name not in FIRST):
            self._put(name, values[name])
        self._say(scene.name)

    def go_on(self, step: int = 1) -> None:
        """Show the next scene, round and round. Raises `UsageError` where there is none."""
        count = len(self.show.scenes)
        at = 0 if self.at is None else (self.at + step) % max(1, count)
        self.show_scene(str(at + 1))

    def due(self, cycle: float) -> bool:
        """Return True if the next scene's time has come; `cycle` counts for scenes without one."""
        scene = self.scene
        if scene is None:
            return False
        stay = scene.seconds or cycle
        return bool(stay) and self._clock() - self.since >= stay

    def save(self, state: Mapping[str, Value]) -> None:
        """Write the present look into the file. Raises `RtstyleError`."""
        name = add_scene(self.path, scene_values(BY_NAME, state))
        self.load()
        self.at, self.since = self.show.find(name), self._clock()
        self._say(f"{name} is in {self.path.name}")
