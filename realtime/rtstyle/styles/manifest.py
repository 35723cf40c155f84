"""The built-in styles: names, credits, checksums, and where a model file lies."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from rtstyle.errors import StyleError
from rtstyle.styles.sizes import TEXTURE, plain_size
from rtstyle.styles.sizes import any_size as any_size

SIZES = ("fast", "balanced", "paper", TEXTURE)
"""Network sizes, from the quickest to the most faithful, and that of texture networks."""
ANY_SIZES = ("fast", "paper")
"""Sizes of the network that paints like any picture; `balanced` means `fast` there."""

DEFAULT_STYLE = "mosaic"
DEFAULT_SIZE = "balanced"
MANIFEST_VERSION = 1
FOLDER_VARIABLE = "RTSTYLE_STYLES"
"""Environment variable that names another folder with a manifest.json."""
OWN_VARIABLE = "RTSTYLE_OWN_STYLES"
"""Environment variable that moves the folder of the styles that the user has added."""


DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading a damaged manifest may raise."""


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
    `textures` those of pure texture by style.
    """

    folder: Path
    styles: Mapping[str, Style]
    any: Mapping[str, Mapping[str, StyleFile]] = field(default_factory=dict)
    paintings: StyleFile | None = None
    wct: Mapping[str, StyleFile] = field(default_factory=dict)
    textures: Mapping[str, StyleFile] = field(default_factory=dict)


def styles_folder() -> Path:
    """Return the folder of the model files, in a wheel as in a checkout.

    `RTSTYLE_STYLES` names another one.
    """
    if other := os.environ.get(FOLDER_VARIABLE):
        return Path(other)
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / "pretrained"
    # <repository>/realtime/rtstyle/styles/manifest.py -> <repository>/pretrained
    return in_wheel if in_wheel.is_dir() else package.parents[1] / "pretrained"


def own_folder() -> Path:
    """Return the folder of the styles that the user has added; `RTSTYLE_OWN_STYLES` moves it."""
    if other := os.environ.get(OWN_VARIABLE):
        return Path(other)
    import platformdirs

    return platformdirs.user_data_path("rtstyle") / "styles"


def load_manifest(folder: Path | None = None) -> Manifest:
    """Return the manifest of `folder`, read once; without one, of all styles that there are.

    Those are what ships and, behind it, what the user has added. Raises `StyleError` if one of the
    lists is damaged, or the one that ships is missing.
    """
    if folder is not None:
        return _read_manifest(folder)
    shipped, own = shipped_manifest(), own_manifest()
    return _joined(shipped, own) if own.styles else shipped


def shipped_manifest() -> Manifest:
    """Return the manifest of what ships. Raises as `load_manifest`."""
    return _read_manifest(styles_folder())


def own_manifest() -> Manifest:
    """Return the manifest of what the user has added; empty where that is nothing."""
    folder = own_folder()
    try:
        changed = (folder / "manifest.json").stat().st_mtime_ns
    except OSError:
        return Manifest(folder, {})
    return _read_own(folder, changed)


@lru_cache(maxsize=4)
def _read_own(folder: Path, _changed: int) -> Manifest:
    try:
        found = _read_manifest.__wrapped__(folder)
    except StyleError as error:
        todo = f"Remove {folder / 'manifest.json'}, and add your styles again."
        raise StyleError(error.what, error.why, todo) from error
    return replace(found, styles={n: replace(s, own=True) for n, s in found.styles.items()})


def _joined(shipped: Manifest, own: Manifest) -> Manifest:
    key = (shipped.folder, id(shipped), id(own))
    if key not in _JOINED:
        _JOINED.clear()
        styles = {**own.styles, **shipped.styles}
        order = [*shipped.styles, *(name for name in own.styles if name not in shipped.styles)]
        joined = replace(shipped, styles={name: styles[name] for name in order})
        # Both are kept as well, so that their ids stay theirs.
        _JOINED[key] = (joined, shipped, own)
    return _JOINED[key][0]


_JOINED: dict[Any, tuple[Manifest, Manifest, Manifest]] = {}


def forget_own() -> None:
    """Read the user's list again with the next look: it was changed just now."""
    _read_own.cache_clear()


@lru_cache(maxsize=8)
def _read_manifest(folder: Path) -> Manifest:
    path = folder / "manifest.json"
    try:
        return read_manifest(folder, json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StyleError(
            f"The list of styles {path} cannot be read.", str(error.strerror), "Reinstall rtstyle."
        ) from error
    except DAMAGE as error:
        why = f"{type(error).__name__}: {error}"
        raise StyleError(
            f"The list of styles {path} is damaged.", why, "Reinstall rtstyle."
        ) from error


def read_manifest(folder: Path, content: Any) -> Manifest:
    """Return what the content of a manifest.json in `folder` says. Raises one of `DAMAGE`."""
    if content["version"] != MANIFEST_VERSION:
        raise ValueError(f"version {content['version']}, expected {MANIFEST_VERSION}")
    styles = {n: _parse_style(folder, n, entry) for n, entry in content["styles"].items()}
    networks = {
        size: {part: _parse_file(folder, part, size, file) for part, file in parts.items()}
        for size, parts in content.get("any", {}).items()
    }
    paintings = None
    if known := content.get("paintings"):
        paintings = _parse_file(folder, "paintings", "", known)
    wct, textures = (
        {part: _parse_file(folder, key, part, file) for part, file in content.get(key, {}).items()}
        for key in ("wct", "textures")
    )
    return Manifest(folder, styles, networks, paintings, wct, textures)


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


def style_names() -> tuple[str, ...]:
    """Return the names of the built-in styles, in the manifest's order."""
    return tuple(load_manifest().styles)


def find_style(name: str) -> Style:
    """Return the built-in style `name`. Raises `StyleError` that suggests the nearest names."""
    styles = load_manifest().styles
    if name in styles:
        return styles[name]
    lowered = name.lower().replace("-", "_").replace(" ", "_")
    near = get_close_matches(lowered, styles, n=3, cutoff=0.5)
    todo = f"Did you mean {' or '.join(near)}? " if near else ""
    raise StyleError(
        f"There is no style named {name!r}.",
        f"The built-in styles are {', '.join(styles) or 'none'}.",
        f"{todo}A picture file, or an .onnx style file, works too.",
    )


def picture_of(name: str) -> Path | None:
    """Return the picture that an added style is, None for a network or what is not a style."""
    style = load_manifest().styles.get(name)
    return style.files[PICTURE].path if style is not None and PICTURE in style.files else None


def find_model(style: str, size: str = DEFAULT_SIZE) -> Path:
    """Return the model file of a style, its sha256 verified.

    `style` is a built-in name, or the path of an existing .onnx file, which is taken as it is.
    Raises `StyleError` for an unknown style or size, or a file that is missing or altered.
    """
    if style.lower().endswith(".onnx"):
        path = Path(style)
        if not path.is_file():
            raise StyleError(f"There is no style file {style}.", "", "Check the path.")
        return path
    entry, size = find_style(style), plain_size(size)
    if size not in entry.files and entry.own and entry.files:
        # Most people train one: a live picture must not fail where it would choose another.
        size = entry.sizes[0]
    if size not in entry.files:
        sizes = ", ".join(entry.sizes) or "none"
        todo = f"Use --size {entry.sizes[0]}." if entry.sizes else "Choose another style."
        raise StyleError(f"Style {style!r} has no size {size!r}.", f"It has {sizes}.", todo)
    return checked(entry.files[size])


def find_any(part: str, size: str) -> StyleFile:
    """Return a file of the network for any style, its sha256 verified. Raises `StyleError`."""
    file = listed_any(part, size)
    checked(file)
    return file


def listed_any(part: str, size: str) -> StyleFile:
    """Return a file of the network for any style as the manifest has it. Raises `StyleError`."""
    known = load_manifest().any
    parts = known.get(any_size(size))
    if not parts:
        why = f"The sizes are {', '.join(known)}." if known else "This folder of styles has none."
        raise StyleError(f"There is no network of size {size!r} for any style.", why)
    if part == "regions" and size != plain_size(size):
        raise StyleError(
            "A linear transform paints the whole picture.", "", "Leave --transform out with a mask."
        )
    # Once the paper's network painted regions with its one content file.
    return parts.get(part) or parts["content"]


def find_wct(part: str) -> Path:
    """Return a file of universal style transfer, its sha256 verified. Raises `StyleError`."""
    known = load_manifest().wct
    if part not in known:
        why = f"It has {', '.join(known)}." if known else "It has nothing of this method."
        raise StyleError(f"This folder of styles has no {part} of WCT.", why)
    return checked(known[part])


def checked(file: StyleFile) -> Path:
    """Return the path of a file. Raises `StyleError` if it is missing or altered."""
    if why := file.problem():
        raise StyleError(f"The style file {file.path} is refused.", why, "Reinstall rtstyle.")
    return file.path


def names_with(*given: str) -> list[str]:
    """Return the built-in names, and before them those given that are none of them."""
    return [*(style for style in given if style not in style_names()), *style_names()]
