"""The look of a bare `/obs`, which programs control: every viewer without settings sees it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from rtstyle.live.controls.desk import Desk, Knob
from rtstyle.live.controls.table import FADE, Value
from rtstyle.live.look import Look
from rtstyle.live.show.file import find_named
from rtstyle.serve.defaults import TARGET_FPS
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.live_picture import LivePicture
from rtstyle.serve.scenes import PageScene
from rtstyle.serve.settings import CROSSING, OWN, PLAIN, as_query, read_query


class Stage:
    """Controls for the live pictures that follow it. Lives on the event loop."""

    def __init__(
        self,
        catalogue: Catalogue,
        scenes: Sequence[PageScene] = (),
        target: float = TARGET_FPS,
        beat: str = "",
    ) -> None:
        self.beat = beat
        self._catalogue, self.scenes, self._scene = catalogue, tuple(scenes), ""
        look = Look()
        self.settings: dict[str, Any] = {"style": catalogue.first}
        self.settings |= {name: getattr(look, name) for name in PLAIN}
        self.settings |= {"freeze": False, "walk": 0.0, "match_color": False, "target_fps": target}
        self._crossing: dict[str, Any] = {"transition": "fade", "fade": FADE}
        self._pictures: WeakSet[LivePicture] = WeakSet()
        self.problem = ""
        self.desk = Desk(self._say)
        self.desk.board.check_texts(self._check)
        knobs = {name: self._plain(name) for name in (*PLAIN, *OWN)}
        knobs |= {name: self._of_crossing(name) for name in self._crossing}
        style = Knob(lambda: as_query(self.settings["style"]), self._choose)
        turns = {
            "next": lambda: self._turn(1),
            "previous": lambda: self._turn(-1),
        }
        if catalogue.draws:
            turns["random"] = self._draw
        self.desk.add({"style": style, **knobs}, turns)
        if self.scenes:
            scene = Knob(lambda: self._scene, self._show)
            self.desk.add({"scene": scene}, {"next_scene": self._next_scene})
        self.turn()

    def turn(self) -> None:
        """Do what was asked for at the board."""
        self.problem = ""
        self.desk.turn()
        self.desk.publish({"note": self.problem})

    def follow(self, picture: LivePicture) -> None:
        """Have a picture look like this from now on, for as long as there is one."""
        picture.change(self.settings | self._crossing)
        self._pictures.add(picture)

    def _check(self, name: str, value: Value) -> None:
        if name == "scene":
            self._find(str(value))
        else:
            self._style(str(value))

    def _find(self, text: str) -> PageScene:
        found = find_named([scene.name for scene in self.scenes], text)
        return self.scenes[found]

    def _show(self, text: str) -> None:
        scene = self._find(text)
        self._scene = scene.name
        # How a style comes must be known when it does.
        for name in CROSSING:
            if name in scene.values:
                self._cross(name, scene.values[name])
        self._change({n: v for n, v in scene.values.items() if n in self.settings})

    def _next_scene(self) -> None:
        names = [scene.name for scene in self.scenes]
        at = names.index(self._scene) if self._scene in names else -1
        self._show(names[(at + 1) % len(names)])

    def _say(self, text: str) -> None:
        self.problem = text

    def _plain(self, name: str) -> Knob:
        return Knob(lambda: self.settings[name], lambda value: self._change({name: value}))

    def _of_crossing(self, name: str) -> Knob:
        return Knob(lambda: self._crossing[name], lambda value: self._cross(name, value))

    def _cross(self, name: str, value: Value) -> None:
        self._crossing[name] = value
        for picture in self._pictures:
            picture.change({name: value})

    def _choose(self, text: str) -> None:
        self._change(self._style(text))

    def _style(self, text: str) -> dict[str, Any]:
        """Return the setting that a text means. Raises `UsageError` for what is not listed."""
        names = list(self._catalogue)
        if text.isdecimal() and 1 <= int(text) <= len(names):
            text = names[int(text) - 1]
        return read_query({"style": text}, self._catalogue, self._catalogue.mixable)

    def _turn(self, step: int) -> None:
        names, now = list(self._catalogue), self.settings["style"]
        at = names.index(now) if now in names else -step
        self._change({"style": names[(at + step) % len(names)]})

    def _draw(self) -> None:
        self._change({"style": f"random:{secrets.randbelow(10**6)}"})

    def _change(self, settings: dict[str, Any]) -> None:
        self.settings |= settings
        for picture in self._pictures:
            picture.change(settings)
