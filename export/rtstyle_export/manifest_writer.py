"""Adds exported files to the manifest of the built-in styles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtstyle_export.onnx_writer import Credits
from rtstyle_export.storage import donors_of, make_whole, share

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
    path = donor.with_name("manifest.json")
    data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    donors = {
        entry["path"]: [place["path"] for place in entry.get("donors", ())]
        for group in _groups(data)
        for entry in group.values()
    }
    takers = {name: places for name, places in donors.items() if donor.name in places}
    if not takers:
        yield
        return
    for name in takers:
        make_whole(donor.with_name(name))
    try:
        yield
    finally:
        for name, places in takers.items():
            for place in places:
                share(donor.with_name(name), donor.with_name(place))
        with edit_manifest(donor.parent) as data:
            for group in _groups(data):
                for part, entry in group.items():
                    if entry["path"] in takers:
                        file = donor.with_name(entry["path"])
                        group[part] = file_entry(file, entry["training"])


def _groups(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files of networks for any style by part: those of AdaIN by size, those of WCT."""
    return [*data.get("any", {}).values(), data.get("wct", {})]


@contextmanager
def edit_manifest(folder: Path) -> Iterator[dict[str, Any]]:
    """Give out the content of manifest.json to be changed, and write it back whole."""
    path = folder / "manifest.json"
    data: dict[str, Any] = {"version": 1, "styles": {}}
    if path.exists():
        data = json.loads(path.read_text(encoding="utf-8"))
    yield data
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
