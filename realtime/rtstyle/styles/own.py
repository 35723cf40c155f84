"""Styles that a user has added: model files in a folder of the user's, listed like those that ship.

A style is one or more networks, or a picture with its fitted vectors. A pack is a ZIP file with a
manifest.json in the form of the built-in one, and the files that it lists. Nothing of it is run:
files are checked, by their sha256 too, before they are copied.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from rtstyle.errors import StyleError, UsageError, reason
from rtstyle.files.pending import PendingFile, rename, writing_to
from rtstyle.files.temporary import temporary_folder, temporary_name
from rtstyle.styles import paintings
from rtstyle.styles.entries import NAME, plain_name
from rtstyle.styles.manifest import (
    DAMAGE,
    MANIFEST_VERSION,
    PICTURE,
    Style,
    checked,
    find_style,
    forget_own,
    own_folder,
    own_manifest,
    read_manifest,
    shipped_manifest,
)

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp")
LARGEST = 1 << 29
"""Bytes of the largest model file, and of the largest pack."""
DOMAINS = ("", "ai.onnx")
"""Where the operators of a model may come from: others would be code that it brings."""
TIMEOUT = 30.0
CREDIT = ("title", "artist", "year", "licence", "painting")


def add(source: str, name: str | None = None) -> list[str]:
    """Install a model file, a pack, a folder with a manifest, or what lies at an address.

    Returns the names; `name` is another one for a single style. A style of the user's with that
    name is replaced. Raises `StyleError` or `UsageError`, and then nothing is changed.
    """
    with _at_hand(source) as path, temporary_folder() as folder:
        if path.suffix.lower() == ".onnx":
            found = [_of_model(path)]
        elif path.suffix.lower() in PICTURES:
            found = [_of_picture(path, name)]
        else:
            found = _of_manifest(_unpacked(path, Path(folder)))
        if name is not None and len(found) != 1:
            raise UsageError(f"{source} has {len(found)} styles.", "", "Leave out --name.")
        styles = {name or style.name: style for style in found}
        for given, style in styles.items():
            _check_name(given)
            for size, file in style.files.items():
                check_file(size, file.path)
        for given, style in styles.items():
            _install(given, style)
    return list(styles)


def remove(name: str) -> None:
    """Remove a style that was added. Raises `StyleError` for any other."""
    own = own_manifest()
    if name not in own.styles:
        if name in shipped_manifest().styles:
            raise StyleError(f"{name} ships with rtstyle.", "", "Only added styles are removed.")
        there = f"There are {', '.join(own.styles)}." if own.styles else "There are none."
        raise StyleError(f"{name!r} is not a style that was added.", there)
    _write({given: _entry(style) for given, style in own.styles.items() if given != name})
    for file in own.styles[name].files.values():
        file.path.unlink(missing_ok=True)


def pack(name: str, path: Path) -> None:
    """Write a style into a pack, for others to add.

    Raises `StyleError`, `SinkError`, or `UsageError` for another ending than that of a ZIP file.
    """
    if path.suffix.lower() != ".zip":
        raise UsageError(f"A pack cannot be written as {path.name!r}.", "", "Use .zip.")
    pack_styles([find_style(name)], path)


def pack_models(models: Sequence[Path], path: Path) -> list[str]:
    """Write model files with their credit into one pack; return the names of its styles.

    Raises `StyleError` or `SinkError`.
    """
    styles: dict[str, Style] = {}
    for style in map(_of_model, models):
        before = styles.get(style.name)
        files = {**before.files, **style.files} if before is not None else style.files
        styles[style.name] = replace(style, files=files)
    pack_styles(list(styles.values()), path)
    return list(styles)


def pack_styles(styles: Sequence[Style], path: Path) -> None:
    """Write styles into a pack; pictures get their vectors. Raises `StyleError` or `SinkError`."""
    entries, files = {}, {}
    for style in styles:
        for file in style.files.values():
            if file.donors:
                what = f"{style.name} shares weights with other files."
                raise StyleError(what, "", "It ships anyway.")
            files[file.path.name] = checked(file)
        entries[style.name] = _entry(style)
        if PICTURE in style.files:
            vectors = paintings.fitted_vectors(style.files[PICTURE].path)
            entries[style.name]["files"][PICTURE]["training"] = {"vectors": vectors}
    pending = PendingFile(path)
    try:
        with writing_to(path), zipfile.ZipFile(pending.temporary, "w") as archive:
            content = {"version": MANIFEST_VERSION, "styles": entries}
            archive.writestr("manifest.json", json.dumps(content, indent=1))
            for name, file_path in files.items():
                archive.write(file_path, name)
        pending.commit()
    finally:
        pending.discard()


def check_file(size: str, path: Path) -> None:
    """Raise `StyleError` for what is not a style: a network, or a picture."""
    if size != PICTURE:
        check_model(path)
    elif path.suffix.lower() not in PICTURES:
        raise StyleError(f"{path.name} is not a picture.", "", f"Use {', '.join(PICTURES)}.")
    else:
        paintings.read_painting(path)


def check_model(path: Path) -> dict[str, str]:
    """Return the metadata of a model file. Raises `StyleError` for what is not a style of rtstyle.

    Refused are files that name other files, or operators that are not those of ONNX itself.
    """
    import onnx

    try:
        if path.stat().st_size > LARGEST:
            raise StyleError(f"{path.name} is larger than {LARGEST >> 20} MiB.")
        model: Any = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise StyleError(f"{path} cannot be read.", reason(error)) from error
    except StyleError:
        raise
    except Exception as error:  # Whatever protobuf makes of a damaged file.
        raise StyleError(f"{path.name} is not an ONNX file.", type(error).__name__) from error
    if any(tensor.data_location for tensor in model.graph.initializer):
        raise StyleError(f"{path.name} keeps its weights in another file.")
    strange = {one.domain for one in model.opset_import} - set(DOMAINS)
    if strange or model.functions:
        raise StyleError(f"{path.name} brings operators of its own.", ", ".join(sorted(strange)))
    inputs = [one.name for one in model.graph.input]
    if "image" not in inputs or [one.name for one in model.graph.output][:1] != ["stylized"]:
        raise StyleError(
            f"{path.name} is not a style.", "It does not take `image` and give `stylized`.",
            "Export it with `rtstyle export`.",
        )  # fmt: skip
    start = "rtstyle."
    return {
        one.key.removeprefix(start): one.value
        for one in model.metadata_props
        if one.key.startswith(start)
    }


def _of_model(path: Path) -> Style:
    facts = check_model(path)
    size = facts.get("size", "fast")
    entry = {key: facts.get(key, "") for key in CREDIT}
    entry["files"] = {size: _file_entry(path)}  # type: ignore[assignment]
    name = facts.get("name", path.stem)
    found: Any = read_manifest(path.parent, {"version": MANIFEST_VERSION, "styles": {name: entry}})
    return next(iter(found.styles.values()))  # type: ignore[no-any-return]


def _of_picture(path: Path, name: str | None) -> Style:
    check_file(PICTURE, path)
    entry = {"title": path.stem, "files": {PICTURE: _file_entry(path)}}
    # A file's name may be anything; what a style may be called is checked later.
    given = name or plain_name(path.stem)
    # Only in its own folder has a file a plain name.
    content = {"version": MANIFEST_VERSION, "styles": {given: entry}}
    found: Any = read_manifest(path.parent, content)
    return next(iter(found.styles.values()))  # type: ignore[no-any-return]


def _of_manifest(folder: Path) -> list[Style]:
    """Return the styles in a folder; every file is what its manifest says."""
    try:
        content = json.loads((folder / "manifest.json").read_text("utf-8"))
        styles = list(read_manifest(folder, {**content, "any": {}, "wct": {}}).styles.values())
    except OSError as error:
        raise StyleError(
            f"There is no manifest.json in {folder}.", "", "Add a pack or an .onnx."
        ) from error
    except DAMAGE as error:
        raise StyleError("Its manifest.json is damaged.", str(error)) from error
    for style in styles:
        for file in style.files.values():
            if why := file.problem():
                raise StyleError(f"{file.path.name} is refused.", why, "Fetch it again.")
    if not styles:
        raise StyleError("There is no style in it.")
    return styles


def _unpacked(path: Path, folder: Path) -> Path:
    """Return a folder with the files of a pack; only what the manifest lists is taken out."""
    if path.is_dir():
        return path
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(one.file_size for one in archive.infolist()) > LARGEST:
                raise StyleError(f"{path.name} is larger than {LARGEST >> 20} MiB.")
            content = archive.read("manifest.json")
            (folder / "manifest.json").write_bytes(content)
            files = read_manifest(folder, json.loads(content)).styles.values()
            for file in (file for style in files for file in style.files.values()):
                # Read whole, within the bound above; the name is a plain one, checked before.
                file.path.write_bytes(archive.read(file.path.name))
    except (zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError, *DAMAGE) as error:
        raise StyleError(f"{path.name} is not a pack of styles.", str(error)) from error
    return folder


@contextmanager
def _at_hand(source: str) -> Iterator[Path]:
    """Give the path of a file or folder; what lies at an address is fetched first."""
    parts = urlsplit(source)
    if parts.scheme not in ("http", "https"):
        if "://" in source:
            raise StyleError(f"{source} cannot be fetched.", "", "Use http:// or https://.")
        if not Path(source).exists():
            raise StyleError(f"There is no {source}.", "", "Check the path.")
        yield Path(source)
        return
    with temporary_folder() as folder:
        path = Path(folder) / (Path(parts.path).name or "pack.zip")
        try:
            with urlopen(source, timeout=TIMEOUT) as answer, path.open("wb") as file:
                left = LARGEST
                while piece := answer.read(1 << 20):
                    left -= len(piece)
                    if left < 0:
                        raise StyleError(f"{path.name} is larger than {LARGEST >> 20} MiB.")
                    file.write(piece)
        except OSError as error:
            why = str(getattr(error, "reason", None) or error)
            raise StyleError(f"{source} cannot be fetched.", why) from error
        yield path


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a style.", "",
            "Use letters, digits, - and _; --name gives another one.",
        )  # fmt: skip
    if name in shipped_manifest().styles:
        raise UsageError(f"{name} ships with rtstyle.", "", "Give another one: --name my_style.")


def _install(name: str, style: Style) -> None:
    folder = own_folder()
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {}
    for size, file in style.files.items():
        suffix = file.path.suffix.lower()
        target = folder / (f"{name}{suffix}" if size == PICTURE else f"{name}-{size}{suffix}")
        temporary = temporary_name(target)
        with writing_to(target):
            shutil.copyfile(file.path, temporary)
            rename(temporary, target)
        files[size] = {**_file_entry(target), "training": dict(file.training)}
        if size == PICTURE:
            paintings.keep_vectors(target, file.training.get("vectors"))
    entries = {given: _entry(one) for given, one in own_manifest().styles.items()}
    entries[name] = {**{key: getattr(style, key) for key in CREDIT}, "files": files}
    _write(entries)


def _entry(style: Style) -> dict[str, Any]:
    files = {
        size: {
            "path": file.path.name,
            "sha256": file.sha256,
            "bytes": file.bytes,
            "training": dict(file.training),
        }
        for size, file in style.files.items()
    }
    return {**{key: getattr(style, key) for key in CREDIT}, "files": files}


def _file_entry(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"path": path.name, "sha256": digest, "bytes": len(content)}


def _write(entries: Mapping[str, Any]) -> None:
    path = own_folder() / "manifest.json"
    pending = PendingFile(path)
    try:
        with writing_to(path):
            content = {"version": MANIFEST_VERSION, "styles": dict(entries)}
            pending.temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        pending.commit()
    finally:
        pending.discard()
    forget_own()
