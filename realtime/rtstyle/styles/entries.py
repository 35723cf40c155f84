"""What a manifest.json of styles says: entries, and how they are read."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtstyle.styles.sizes import TEXTURE

SIZES = ("fast", "balanced", "paper", TEXTURE)
"""Network sizes, from the quickest to the most faithful, and that of texture networks."""
MANIFEST_VERSION = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What a style of the user's may be called."""

DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading a damaged manifest may raise."""


def plain_name(stem: str) -> str:
    """Return what the name of a picture's file leaves when it becomes that of a style, or ''."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-").lower()[:64]


def name_for(stem: str) -> str:
    """Return what a style is called by default whose painting's file has this name."""
    return stem if NAME.fullmatch(stem) else plain_name(stem) or stem


@dataclass(frozen=True, slots=True)
class StyleFile:
    """One model file of a style. `training` holds its training figures, as JSON values.

    `donors` are the files beside it that hold some of its weights, each with its sha256.
    """

    style: str
    size: str
    path: Path
    sha256: str
    bytes: int
    training: Mapping[str, Any]
    donors: tuple[tuple[Path, str], ...] = ()

    @property
    def sees_canvas(self) -> bool:
        """Whether the network sees what it has painted."""
        return "body" in self.training

    def problem(self) -> str:
        """Say in a few words what is wrong with the file, or return an empty string."""
        if why := _difference(self.path, self.sha256):
            return why
        for path, sha256 in self.donors:
            if why := _difference(path, sha256):
                return f"{path.name}, which holds some of its weights: {why}"
        return ""


def _difference(path: Path, sha256: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if hashlib.sha256(content).hexdigest() != sha256:
        return "its sha256 differs from the manifest's"
    return ""


PICTURE = "picture"
"""In place of a size: the file is a picture, which a network for any style paints like."""


@dataclass(frozen=True, slots=True)
class Style:
    """A style, the painting it was trained on, and its model files by size."""

    name: str
    title: str
    artist: str
    year: str
    licence: str
    painting: str
    files: Mapping[str, StyleFile]
    own: bool = False
    """Whether the user added it."""

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes that exist, the quickest first."""
        known = [size for size in SIZES if size in self.files]
        return (*known, *sorted(set(self.files) - set(known)))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What manifest.json says: the folder of the model files and the styles by name.

    `any` holds the files of the network for any style (`style`, `content`, `regions`, perhaps `vgg`
    and `refine`) by size, `paintings` the file with the statistics of the built-in paintings for
    it. `wct` are the files of universal style transfer, `encoder` and `decoder-1` to `decoder-5`,
    `textures` those of pure texture by style, `upsampler` the network that enlarges paintings.
    """

    folder: Path
    styles: Mapping[str, Style]
    any: Mapping[str, Mapping[str, StyleFile]] = field(default_factory=dict)
    paintings: StyleFile | None = None
    wct: Mapping[str, StyleFile] = field(default_factory=dict)
    textures: Mapping[str, StyleFile] = field(default_factory=dict)
    upsampler: StyleFile | None = None


def read_manifest(folder: Path, content: Any) -> Manifest:
    """Return what the content of a manifest.json in `folder` says. Raises one of `DAMAGE`."""
    if content["version"] != MANIFEST_VERSION:
        raise ValueError(f"version {content['version']}, expected {MANIFEST_VERSION}")
    styles = {n: _parse_style(folder, n, entry) for n, entry in content["styles"].items()}
    networks = {
        size: {part: _parse_file(folder, part, size, file) for part, file in parts.items()}
        for size, parts in content.get("any", {}).items()
    }
    paintings, upsampler = (
        _parse_file(folder, key, "", content[key]) if content.get(key) else None
        for key in ("paintings", "upsampler")
    )
    wct, textures = (
        {part: _parse_file(folder, key, part, file) for part, file in content.get(key, {}).items()}
        for key in ("wct", "textures")
    )
    return Manifest(folder, styles, networks, paintings, wct, textures, upsampler)


def _parse_style(folder: Path, name: str, entry: Mapping[str, Any]) -> Style:
    files = {s: _parse_file(folder, name, s, f) for s, f in entry["files"].items()}
    keys = ("title", "artist", "year", "licence", "painting")
    title, artist, year, licence, painting = (str(entry.get(key, "")) for key in keys)
    return Style(name, title, artist, year, licence, painting, files)


def _parse_file(folder: Path, name: str, size: str, entry: Mapping[str, Any]) -> StyleFile:
    path, sha256 = _parse_place(folder, entry)
    return StyleFile(
        style=name,
        size=size,
        path=path,
        sha256=sha256,
        bytes=int(entry["bytes"]),
        training=dict(entry.get("training") or {}),
        donors=tuple(_parse_place(folder, place) for place in entry.get("donors", ())),
    )


def _parse_place(folder: Path, entry: Mapping[str, Any]) -> tuple[Path, str]:
    relative = str(entry["path"])
    # A manifest must not reach out of its own folder. What is not a name at all raises here, too.
    if Path(relative).name != relative or b"\0" in os.fsencode(relative):
        raise ValueError(f"{relative!r} is not a plain file name")
    return folder / relative, str(entry["sha256"]).lower()
