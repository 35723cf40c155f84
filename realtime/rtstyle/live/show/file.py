"""The scenes file, `show.toml`: read and checked as a whole, written with its comments kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtstyle.errors import RtstyleError, UsageError, reason
from rtstyle.files.pending import PendingFile, writing_to
from rtstyle.live.controls.bindings import DEVICES, Binding
from rtstyle.live.controls.table import Control, Kind, Value, find_control, is_number
from rtstyle.styles.spec import is_file, parse_style

LARGEST = 1 << 20
"""Bytes of the largest file that is read."""
MOST_SCENES = 999
LONGEST_STAY = 86_400.0
"""Seconds that a scene may stay at most: a day."""
HEARD = ("loudness", "low", "mid", "high", "onset", "beat")
"""Figures of sound, and the tapped beat; see `rtstyle.live.hearing`."""
NOT_IN_SCENES = ("scene", "record", "full_screen", "figures", "help")


@dataclass(frozen=True, slots=True)
class Scene:
    """A look with a name: values of controls, and the seconds that it stays; None: no limit."""

    name: str
    values: Mapping[str, Value]
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """What a scenes file says: `start` are values of controls for the beginning.

    `bindings` has, for each of `DEVICES`, what its keys, knobs or addresses ask for, in words.
    """

    scenes: tuple[Scene, ...] = ()
    start: Mapping[str, Value] = field(default_factory=dict)
    bindings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def find(self, text: str) -> int:
        """Return the place of a scene by its name, or its number from 1 on. Raises `UsageError`."""
        return find_named([scene.name for scene in self.scenes], text)


def find_named(names: Sequence[str], text: str) -> int:
    """Return the place of a scene by its name, or its number from 1 on. Raises `UsageError`."""
    if text in names:
        return names.index(text)
    if text.isdecimal() and 1 <= int(text) <= len(names):
        return int(text) - 1
    there = f"There are {', '.join(names)}." if names else "There are none."
    raise UsageError(f"{text!r} is not a scene.", "", there)


def read_show(path: Path) -> Show:
    """Return what a file says. Raises `UsageError` that names the file, the place and the fault."""
    text = read_text(path)
    try:
        return parse_show(text, path.parent)
    except RtstyleError as error:
        raise UsageError(f"{path.name}: {error.what}", error.why, error.todo) from error


def read_text(path: Path) -> str:
    """Return the text of a file. Raises `UsageError`."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read.", reason(error)) from error
    if len(content) > LARGEST:
        raise UsageError(f"{path} is larger than {LARGEST >> 20} MiB.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text.") from error


def parse_show(text: str, folder: Path) -> Show:
    """Return what a text says; pictures are looked for in `folder`. Raises `UsageError`."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        content = tomlkit.parse(text).unwrap()
    except (TOMLKitError, RecursionError, ValueError) as error:
        raise UsageError("this is not TOML.", str(error)) from error
    scenes = content.pop("scene", [])
    if not isinstance(scenes, list) or not all(isinstance(scene, dict) for scene in scenes):
        raise UsageError("scenes are written as [[scene]].")
    if len(scenes) > MOST_SCENES:
        raise UsageError(f"there are more than {MOST_SCENES} scenes.")
    read = tuple(_scene(scene, number, folder) for number, scene in enumerate(scenes, 1))
    names = [scene.name for scene in read]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"two scenes are named {twice[0]!r}.")
    bindings = {device: _bindings(device, content.pop(device, {})) for device in DEVICES}
    start = {name: _value(name, value, folder) for name, value in content.items()}
    show = Show(read, start, bindings)
    _check_scenes_in_bindings(show)
    return show


def _scene(content: dict[str, Any], number: int, folder: Path) -> Scene:
    name = content.pop("name", f"Scene {number}")
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise UsageError(f"the name of scene {number} is not a text of one line, or is empty.")
    seconds = content.pop("seconds", None)
    try:
        if seconds is not None and not (is_number(seconds) and 0.1 <= seconds <= LONGEST_STAY):
            raise UsageError(f"seconds is a number from 0.1 to {LONGEST_STAY:g}.")
        values = {key: _value(key, value, folder) for key, value in content.items()}
    except RtstyleError as error:
        where = f"scene {number}, {name!r}: {error.what}"
        raise UsageError(where, error.why, error.todo) from error
    return Scene(name.strip(), values, None if seconds is None else float(seconds))


def _value(name: str, value: object, folder: Path) -> Value:
    control = find_control(name)
    if control.kind is Kind.ACTION or name in NOT_IN_SCENES:
        raise UsageError(f"{name} cannot be set in a scene.")
    checked = control.check(value)
    if name == "style" and not str(checked).isdecimal():
        checked = style_in(folder, str(checked))
        parse_style(checked)
    return checked


def style_in(folder: Path, text: str) -> str:
    """Return a style or blend with the pictures of `folder` by their full names."""
    pieces, parts = text.split(","), []
    while pieces:
        # The longest name wins: there may be commas in it.
        tries = (_part_in(folder, ",".join(pieces[:n]).strip()) for n in range(len(pieces), 0, -1))
        count, part = next(
            ((len(pieces) - at, found) for at, found in enumerate(tries) if found is not None),
            (1, pieces[0].strip()),
        )
        parts.append(part)
        pieces = pieces[count:]
    return ",".join(parts)


def _part_in(folder: Path, part: str) -> str | None:
    """Return a picture of `folder` by its full name, with its weight if it has one; None: none."""
    if is_file(str(folder / part)):
        return str(folder / part)
    name, colon, weight = part.rpartition(":")
    return f"{folder / name}:{weight}" if colon and is_file(str(folder / name)) else None


def _bindings(device: str, content: object) -> dict[str, str]:
    if not isinstance(content, dict):
        raise UsageError(f"{device} is a table: [{device}].")
    read: dict[str, str] = {}
    for name, words in content.items():
        if not isinstance(words, str):
            raise UsageError(f'[{device}] {name}: write what it asks for, such as "strength".')
        try:
            binding = Binding.read(words)
        except RtstyleError as error:
            raise UsageError(f"[{device}] {name}: {error.what}", error.why, error.todo) from error
        if device == "keys":
            # What a press does not say is told now, not in the middle of a show.
            binding.pressed()
        if device == "react":
            _check_figure(name, binding)
        read[key_name(name) if device == "keys" else name] = words
    return read


def _check_figure(name: str, binding: Binding) -> None:
    """Raise `UsageError` for a figure of sound that is not heard, or one that can do nothing."""
    if name not in HEARD:
        raise UsageError(f"[react] {name} is not heard.", "", f"There are {', '.join(HEARD)}.")
    # What it does not say is told now, not in the middle of a show.
    _ = binding.pressed() if name in ("onset", "beat") else binding.moved(1.0)


def key_name(name: str) -> str:
    """Return a key as the window reports it: `F1` is f1, `A` is not a."""
    return name.lower() if len(name) > 1 else name


def _check_scenes_in_bindings(show: Show) -> None:
    for device, bindings in show.bindings.items():
        for name, words in bindings.items():
            binding = Binding.read(words)
            if binding.control.name == "scene" and binding.value is not None:
                try:
                    show.find(str(binding.value))
                except UsageError as error:
                    raise UsageError(f"[{device}] {name}: {error.what}", "", error.todo) from error


def add_scene(path: Path, values: Mapping[str, Value]) -> str:
    """Write a scene at the end of a file, which is made if it is missing; return its name.

    Raises `UsageError` if the file cannot be read as it is, `SinkError` if it cannot be written.
    """
    import tomlkit

    show, document = _document(path)
    taken = {scene.name for scene in show.scenes}
    number = len(show.scenes) + 1
    while (name := f"Scene {number}") in taken:
        number += 1
    table = tomlkit.table()
    table["name"] = name
    for key, value in values.items():
        table[key] = round(value, 3) if isinstance(value, float) else value
    if "scene" not in document:
        document["scene"] = tomlkit.aot()
    elif list(document)[-1] != "scene":
        table.add(tomlkit.nl())  # Before [keys], for one.
    document["scene"].append(table)
    _write(path, tomlkit.dumps(document))
    return name


def add_binding(path: Path, device: str, name: str, words: str) -> None:
    """Write what a knob or address asks for into a file. Raises as `add_scene`."""
    import tomlkit

    _, document = _document(path)
    if device not in document:
        document[device] = tomlkit.table()
    document[device][name] = words
    _write(path, tomlkit.dumps(document))


def _document(path: Path) -> tuple[Show, Any]:
    import tomlkit

    if not path.exists():
        return Show(), tomlkit.document()
    return read_show(path), tomlkit.parse(read_text(path))


def _write(path: Path, text: str) -> None:
    pending = PendingFile(path)
    try:
        with writing_to(path):
            pending.temporary.write_text(text, encoding="utf-8")
        pending.commit()
    finally:
        pending.discard()


def scene_values(controls: Mapping[str, Control], state: Mapping[str, Value]) -> dict[str, Value]:
    """Return what of a state belongs into a scene: the look, and how it comes."""
    left_out = (
        *NOT_IN_SCENES,
        "mix",
        "match_color",
        "mask",
        "freeze",
        "target_fps",
        "cycle",
        "tempo",
    )
    return {name: state[name] for name in controls if name in state and name not in left_out}
