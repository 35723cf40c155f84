"""What `--style` may be: a built-in name, a model file, a picture, or a blend of pictures."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeAlias

from rtstyle.errors import RtstyleError, StyleError, UsageError
from rtstyle.styles import manifest
from rtstyle.styles.sizes import TEXTURE, plain_size

SYNTAX = 'Write "a.jpg:0.7,b.jpg:0.3", with pictures or built-in names.'
SWEEP = ".."
VARIATIONS = (0.0, 2.0)
"""Least and largest variation of a neighbour; see `rtstyle.styles.latent.neighbour`."""
MOST_SEED = 2**32 - 1
RANDOM = re.compile(r"random(?::(\d{1,20}))?")
NEIGHBOUR = re.compile(r"(?P<style>.+?)~(?P<variation>\d+(?:\.\d*)?|\.\d+)(?:~(?P<seed>\d{1,20}))?")

Styles: TypeAlias = str | tuple[str, ...]
"""A style as `--style` takes it, or one for each region of a mask."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Pictures (paths, or names of built-in or random ones) with weights, which sum to 1.

    With a `variation` above 0 a neighbour of them, drawn with `seed` (`rtstyle.styles.latent`).
    """

    parts: tuple[tuple[str, float], ...]
    variation: float = 0.0
    seed: int = 0

    def __str__(self) -> str:
        blend = ",".join(f"{name}:{weight:.4g}" for name, weight in self.parts)
        return f"{blend}~{self.variation:.4g}~{self.seed}" if self.variation else blend


def parse_style(text: str) -> str | Mixture:
    """Return a built-in name or an .onnx path as it is, and anything else as a `Mixture`.

    A built-in name with a weight, as in `mosaic:1`, means the painting, not the trained network.
    Raises `StyleError` for what is neither a style nor a picture, `UsageError` for bad weights.
    """
    if is_network(text):
        return text
    if is_file(text) or manifest.picture_of(text):
        return Mixture(((as_file(text), 1.0),))
    if near := NEIGHBOUR.fullmatch(text):
        return neighbour(near["style"], float(near["variation"]), int(near["seed"] or 0))
    return mixture([_part(part, text) for part in split_blend(text)])


def neighbour(text: str, variation: float, seed: int = 0) -> Mixture:
    """Return a neighbour of a style, as `a.jpg~0.5~7` writes it too.

    Raises as `as_mixture`, and `UsageError` for a variation or a seed out of range.
    """
    check_variation(variation)
    return replace(as_mixture(text), variation=variation, seed=check_seed(seed))


def varied_network(text: str, size: str) -> tuple[str, float, int] | None:
    """Return network, variation and seed of `FILE.onnx~0.5~7`, None for any other style.

    At the size `texture` built-in names mean networks, too: what varies is their noise. Raises
    `UsageError` for a variation or a seed out of range.
    """
    near = None if is_file(text) else NEIGHBOUR.fullmatch(text)
    if near is None or not is_network(near["style"]):
        return None
    if not (near["style"].lower().endswith(".onnx") or plain_size(size) == TEXTURE):
        return None
    variation = check_variation(float(near["variation"]))
    return near["style"], variation, check_seed(int(near["seed"] or 0))


def check_variation(variation: float) -> float:
    """Return `variation`. Raises `UsageError` out of range."""
    if not VARIATIONS[0] <= variation <= VARIATIONS[1]:
        raise UsageError(
            f"A variation of {variation:g} is out of range.",
            "",
            f"Use {VARIATIONS[0]:g} to {VARIATIONS[1]:g}.",
        )
    return variation


def check_seed(seed: int) -> int:
    """Return `seed`. Raises `UsageError` out of range."""
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"A seed of {seed} is out of range.", "", f"Use 0 to {MOST_SEED}.")
    return seed


def is_random(name: str) -> bool:
    """Return True for `random` and `random:7`, styles that nobody painted."""
    return RANDOM.fullmatch(name) is not None and not is_file(name)


def seed_of(name: str) -> int:
    """Return the seed of a random style; that of `random` is one for the whole program.

    Raises `UsageError` for one out of range.
    """
    found = RANDOM.fullmatch(name)
    return check_seed(int(found[1])) if found and found[1] else own_seed()


@cache
def own_seed() -> int:
    """Return the seed of `random` in this run of the program."""
    return secrets.randbelow(10_000)


def split_blend(text: str) -> list[str]:
    """Split a blend at its commas, except for those in the name of a file that exists.

    Of `Monet, Water Lilies.jpg:0.5,mosaic:0.5` these are two. The longest name wins.
    """
    pieces, parts = text.split(","), []
    while pieces:
        counts = range(len(pieces), 1, -1)
        longer = (n for n in counts if _names_a_file(",".join(pieces[:n]).strip()))
        count = next(longer, 1)
        parts.append(",".join(pieces[:count]).strip())
        pieces = pieces[count:]
    return parts


def _names_a_file(part: str) -> bool:
    """Return True for an existing file, with or without a weight."""
    name, colon, number = part.rpartition(":")
    return is_file(part) or (bool(colon) and _is_number(number) and is_file(name))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_file(name: str) -> bool:
    """Return True for an existing file; a blend may be longer than the name of any file."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def as_mixture(text: str) -> Mixture:
    """Return any style as pictures: a built-in name then means its painting.

    Raises as `parse_style`, and `UsageError` for an .onnx file.
    """
    found = parse_style(text)
    if isinstance(found, Mixture):
        return found
    _refuse_network(found)
    return Mixture(((found, 1.0),))


def mixture(parts: list[tuple[str, float]]) -> Mixture:
    """Return the blend of parts whose weights need not sum to 1. Raises `UsageError`."""
    total: dict[str, float] = {}
    for name, weight in parts:
        if not math.isfinite(weight) or weight < 0:
            raise UsageError(
                f"A weight of {weight:g} for {name} is out of range.", "", "Use 0 or more."
            )
        total[name] = total.get(name, 0.0) + weight
    whole = sum(total.values())
    if whole <= 0:
        raise UsageError("The weights of the blend sum to zero.", "", SYNTAX)
    return Mixture(tuple((name, weight / whole) for name, weight in total.items()))


def parse_sweep(text: str) -> tuple[Mixture, Mixture]:
    """Return the two ends of `a.jpg..b.jpg`. Raises `UsageError` or `StyleError`."""
    # A path may hold two dots itself, as ../a.jpg does: take the first cut whose halves exist.
    cuts = [i for i in range(1, len(text) - 2) if text.startswith(SWEEP, i)]
    for cut in cuts:
        try:
            return as_mixture(text[:cut]), as_mixture(text[cut + len(SWEEP) :])
        except StyleError:
            if cut == cuts[-1]:
                raise
    raise UsageError(f"{text!r} does not name two styles.", "", "Write a.jpg..b.jpg.")


def pictures_of(
    styles: Iterable[str], mask: str | Path | None = None, sweep: str | None = None
) -> list[Path]:
    """Return the files that styles, a mask and a sweep are read from.

    What is not a style has none here: who opens it says what is wrong with it.
    """
    mixtures: list[Mixture | str] = []
    for text in styles:
        with suppress(RtstyleError):
            mixtures.append(parse_style(text))
    with suppress(RtstyleError):
        mixtures += parse_sweep(sweep) if sweep else ()
    found = [] if mask is None else [Path(mask)]
    return found + [Path(name) for m in mixtures if isinstance(m, Mixture) for name, _ in m.parts]


def is_network(text: str) -> bool:
    """Return True if `text` names a network trained for one style."""
    known = text in manifest.load_manifest().styles and manifest.picture_of(text) is None
    return text.lower().endswith(".onnx") or known


def as_file(name: str) -> str:
    """Return the file of an added style that is a picture, and any other name as it is."""
    return str(manifest.picture_of(name) or name)


def are_networks(style: Styles) -> bool:
    """Return True if a style for each region was given, and all are networks trained for one."""
    return not isinstance(style, str) and all(map(is_network, style))


def _part(part: str, whole: str) -> tuple[str, float]:
    """Return name and weight of one part of a blend."""
    if not part:
        raise UsageError(f"The blend {whole!r} has an empty part.", "", SYNTAX)
    if is_random(part):
        return f"random:{seed_of(part)}", 1.0
    if is_network(part) or is_file(as_file(part)):
        _refuse_network(part)
        return as_file(part), 1.0
    name, colon, number = part.rpartition(":")
    if not colon:
        raise _unknown(part)
    try:
        weight = float(number)
    except ValueError:
        raise _unknown(part) from None
    _refuse_network(name)
    if is_random(name):
        return f"random:{seed_of(name)}", weight
    if not is_network(name) and not is_file(as_file(name)):
        raise _unknown(name)
    return as_file(name), weight


def _refuse_network(name: str) -> None:
    if name.lower().endswith(".onnx"):
        raise UsageError(
            f"{name} cannot be mixed with others.", "It is a network for one style.", SYNTAX
        )


def _unknown(name: str) -> StyleError:
    """Return the error for a name that is neither a style nor a file."""
    path = Path(name)
    if path.is_dir():
        return StyleError(f"{name} is a folder.", "", "Name one picture in it.")
    if path.suffix or path.name != name:
        return StyleError(f"There is no picture {name}.", "", "Check the path.")
    try:
        manifest.find_style(name)
    except StyleError as error:
        return error
    return StyleError(f"{name!r} is not a style.")
