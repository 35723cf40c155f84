"""Adds exported files to the manifest of the built-in styles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtstyle.engines.base import read_model
from rtstyle.errors import TrainingError
from rtstyle.files.temporary import replacing
from rtstyle_export.onnx_files.storage import donors_of, replace_file, share
from rtstyle_export.onnx_files.writer import Credits

MANIFEST_TODO = "Mend or remove it, or choose another --out."

# Artist, title and year of the paintings that the built-in styles were trained on. Every artist
# died before 1954; the works are in the public domain.
CREDITS = {
    "mosaic": ("Jean Metzinger's portrait", "Robert Delaunay", "1906"),
    "starry_night": ("The Starry Night", "Vincent van Gogh", "1889"),
    "scream": ("The Scream", "Edvard Munch", "1893"),
    "wave": ("The Great Wave off Kanagawa", "Katsushika Hokusai", "1831"),
    "composition": ("Composition VII", "Wassily Kandinsky", "1913"),
    "udnie": ("Udnie", "Francis Picabia", "1913"),
    "shipwreck": ("The Shipwreck of the Minotaur", "J. M. W. Turner", "1810"),
    "water_lilies": ("Water Lilies", "Claude Monet", "1919"),
    "sketch": ("Charcoal drawing", "John Singer Sargent", ""),
    "parnassum": ("Ad Parnassum", "Paul Klee", "1932"),
    "wheat_field": ("Wheat Field with Cypresses", "Vincent van Gogh", "1889"),
    "city_rises": ("The City Rises", "Umberto Boccioni", "1910"),
}


def credits_for(name: str, painting: str) -> Credits:
    """Credits of a built-in style, or just the painting's file name for another."""
    title, artist, year = CREDITS.get(name, ("", "", ""))
    licence = "public domain" if name in CREDITS else ""
    return Credits(title, artist, year, licence, Path(painting).name)


def add_to_manifest(
    folder: Path, name: str, size: str, file: Path, credit: Credits, training: dict[str, Any]
) -> None:
    """Enter `file`, which lies in `folder`, as style `name` in `size`."""
    with edit_manifest(folder) as data:
        entry = data["styles"].setdefault(name, {"files": {}})
        entry.update(
            title=credit.title,
            artist=credit.artist,
            year=credit.year,
            licence=credit.licence,
            painting=credit.painting,
        )
        entry["files"][size] = file_entry(file, training)


def file_entry(file: Path, training: dict[str, Any]) -> dict[str, Any]:
    """Return what the manifest says of a file, and of those that hold weights of it."""
    entry = {**_place(file), "bytes": file.stat().st_size, "training": training}
    donors = donors_of(file) if file.suffix == ".onnx" else []
    return {**entry, "donors": [_place(file.with_name(d)) for d in donors]} if donors else entry


def _place(file: Path) -> dict[str, str]:
    return {"path": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


@contextmanager
def rewriting(donor: Path) -> Iterator[None]:
    """Let the file `donor` change: those that take weights from it have them again afterwards."""
    path, folder = donor.with_name("manifest.json"), donor.parent
    data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    donors = {
        entry["path"]: [place["path"] for place in entry.get("donors", ())]
        for group in _groups(data)
        for entry in group.values()
    }
    takers = _takers(donor.name, donors)
    if not takers:
        yield
        return
    # All are read before any is written: what one takes from another moves.
    whole = {name: read_model(folder / name) for name in takers}
    for name, content in whole.items():
        replace_file(folder / name, content)
    try:
        yield
    finally:
        for name in takers:
            for place in donors[name]:
                share(folder / name, folder / place)
        with edit_manifest(folder) as data:
            for group in _groups(data):
                for part, entry in group.items():
                    if entry["path"] in takers:
                        group[part] = file_entry(folder / entry["path"], entry["training"])


def _takers(donor: str, donors: dict[str, list[str]]) -> list[str]:
    """Return the files that take weights from `donor`, or from one that does, each after its own.

    `donors` holds what each file takes from.
    """
    found: list[str] = []
    while more := [n for n in donors if n not in found and {donor, *found} & set(donors[n])]:
        found += more
    ordered: list[str] = []
    while left := [name for name in found if name not in ordered]:
        ordered += [name for name in left if not set(donors[name]) & set(left)] or left
    return ordered


def _groups(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files of networks for any style by part: those of AdaIN by size, those of WCT."""
    return [*data.get("any", {}).values(), data.get("wct", {})]


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the content of a manifest.json, an empty one if there is none.

    Raises `TrainingError` for another file, so that it is known before anything is exported.
    """
    if not path.exists():
        return {"version": 1, "styles": {}}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{path} cannot be read.", str(error), MANIFEST_TODO) from error
    if not isinstance(data, dict) or not isinstance(data.get("styles"), dict):
        raise TrainingError(f"{path} is not a manifest of styles.", "", MANIFEST_TODO)
    return data


@contextmanager
def edit_manifest(folder: Path) -> Iterator[dict[str, Any]]:
    """Give out the content of manifest.json to be changed, and write it back whole."""
    path = folder / "manifest.json"
    data = read_manifest(path)
    yield data
    with replacing(path) as temporary:
        content = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        temporary.write_text(content, encoding="utf-8")
