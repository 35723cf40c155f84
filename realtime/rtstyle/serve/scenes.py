"""The scenes of a file as a page has them: its styles by their names in the gallery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtstyle.errors import RtstyleError, UsageError
from rtstyle.live.show.file import Scene, read_show
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.settings import CONTROLS, as_json


@dataclass(frozen=True, slots=True)
class PageScene:
    """A look with a name; `values` are checked settings of a page."""

    name: str
    values: dict[str, Any]

    def public(self) -> dict[str, Any]:
        """Return it as JSON."""
        values = dict(self.values)
        if "style" in values:
            values["style"] = as_json(values["style"])
        return {"name": self.name, "values": values}


def read_scenes(path: Path, catalogue: Catalogue) -> tuple[PageScene, ...]:
    """Return the scenes of a file, and hang up their pictures.

    Controls that a page does not have are left out. Raises `UsageError`.
    """
    return tuple(_on_page(scene, path, catalogue) for scene in read_show(path).scenes)


def read_beat(path: Path) -> str:
    """Return what each tapped beat does by a file, in the words of its `[react]`, or ''."""
    return read_show(path).bindings.get("react", {}).get("beat", "")


def _on_page(scene: Scene, path: Path, catalogue: Catalogue) -> PageScene:
    values: dict[str, Any] = {n: value for n, value in scene.values.items() if n in CONTROLS}
    if "style" in scene.values:
        try:
            values["style"] = _style(str(scene.values["style"]), catalogue)
        except RtstyleError as error:
            where = f"{path.name}: scene {scene.name!r}: {error.what}"
            raise UsageError(where, error.why, error.todo) from error
    return PageScene(scene.name, values)


def _style(text: str, catalogue: Catalogue) -> Any:
    names = list(catalogue)
    if not text.isdecimal():
        return catalogue.take(text)
    if not 1 <= int(text) <= len(names):
        raise UsageError(f"there is no style {text}.", "", f"There are {len(names)}.")
    return names[int(text) - 1]
