"""The built-in styles: names, credits, checksums, and where a model file lies."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from rtstyle.errors import StyleError, reason
from rtstyle.styles.entries import DAMAGE as DAMAGE
from rtstyle.styles.entries import MANIFEST_VERSION as MANIFEST_VERSION
from rtstyle.styles.entries import PICTURE as PICTURE
from rtstyle.styles.entries import SIZES as SIZES
from rtstyle.styles.entries import Manifest as Manifest
from rtstyle.styles.entries import Style as Style
from rtstyle.styles.entries import StyleFile as StyleFile
from rtstyle.styles.entries import read_manifest as read_manifest
from rtstyle.styles.sizes import any_size as any_size
from rtstyle.styles.sizes import plain_size

ANY_SIZES = ("fast", "paper")
"""Sizes of the network that paints like any picture; `balanced` means `fast` there."""

DEFAULT_STYLE = "mosaic"
DEFAULT_SIZE = "balanced"
FOLDER_VARIABLE = "RTSTYLE_STYLES"
"""Environment variable that names another folder with a manifest.json."""
OWN_VARIABLE = "RTSTYLE_OWN_STYLES"
"""Environment variable that moves the folder of the styles that the user has added."""


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
            f"The list of styles {path} cannot be read.", reason(error), "Reinstall rtstyle."
        ) from error
    except DAMAGE as error:
        why = f"{type(error).__name__}: {error}"
        raise StyleError(
            f"The list of styles {path} is damaged.", why, "Reinstall rtstyle."
        ) from error


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


def find_upsampler() -> Path | None:
    """Return the network that enlarges paintings, its sha256 verified; None where there is none.

    Raises `StyleError` if it is missing or altered.
    """
    known = load_manifest().upsampler
    return None if known is None else checked(known)


def checked(file: StyleFile) -> Path:
    """Return the path of a file. Raises `StyleError` if it is missing or altered."""
    if why := file.problem():
        raise StyleError(f"The style file {file.path} is refused.", why, "Reinstall rtstyle.")
    return file.path


def names_with(*given: str) -> list[str]:
    """Return the built-in names, and before them those given that are none of them."""
    return [*(style for style in given if style not in style_names()), *style_names()]
