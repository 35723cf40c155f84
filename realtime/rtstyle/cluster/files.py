"""The files that a recipe reads (paintings, masks, models), sent along with a run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rtstyle.engines.devices import cache_folder
from rtstyle.errors import StyleError, reason
from rtstyle.files.cache import write_kept
from rtstyle.styles.manifest import own_manifest
from rtstyle.styles.recipe import Recipe

AROUND = r"(?:(?<=[,.:])|^)(\s*){name}(?=\s*(?:[,:~]|\.\.|$))"
"""A name in a style: alone, in a blend (a,b:0.5), in a sweep (a..b), or varied (a~0.5)."""


@dataclass(frozen=True)
class Shipped:
    """Files by the name that the recipe gives them: suffix and content."""

    files: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)


def packed(recipe: Recipe) -> Shipped:
    """Return the files that a recipe reads. Raises `StyleError` for one that cannot be read."""
    own = own_manifest().styles
    found: dict[str, Path] = {}
    for name in recipe.names:
        if name in own and own[name].files:
            style = own[name]
            size = recipe.size if recipe.size in style.files else style.sizes[0]
            found[name] = style.files[size].path
        elif name.lower().endswith(".onnx"):
            found[name] = Path(name)
    for picture in recipe.pictures():
        if picture.is_file():
            found[str(picture)] = picture
    try:
        return Shipped({name: (path.suffix, path.read_bytes()) for name, path in found.items()})
    except OSError as error:
        raise StyleError(f"{error.filename} cannot be read.", reason(error)) from error


def unpacked(recipe: Recipe, shipped: Shipped) -> Recipe:
    """Return the recipe with the files as they are called on this machine."""
    places = {name: str(unpack(*file)) for name, file in shipped.files.items()}
    if not places:
        return recipe
    mask = recipe.mask
    if isinstance(mask, (str, Path)):
        mask = places.get(str(mask), mask)
    return replace(
        recipe,
        style=tuple(renamed(name, places) for name in recipe.names),
        sweep=None if recipe.sweep is None else renamed(recipe.sweep, places),
        mask=mask,
    )


def unpack(suffix: str, content: bytes) -> Path:
    """Write a file into the cache, where it is not there yet, and return its path."""
    digest = hashlib.sha256(content).hexdigest()
    path = cache_folder() / "cluster" / f"{digest}{suffix}"
    if not path.is_file() or path.stat().st_size != len(content):
        write_kept(path, content)
    return path


def renamed(style: str, places: Mapping[str, str]) -> str:
    """Return a style with other names of its files."""
    if style in places:
        return places[style]
    # The longest first: one name may end in another.
    names = sorted(places, key=len, reverse=True)
    if not names:
        return style
    any_name = "(?P<name>" + "|".join(map(re.escape, names)) + ")"
    pattern = AROUND.format(name=any_name)
    return re.sub(pattern, lambda found: found[1] + places[found["name"]], style)
