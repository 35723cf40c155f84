"""The styles that a page can choose from, and a thumbnail of each."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rtstyle.errors import StyleError, UsageError
from rtstyle.live.bank import StyleBank
from rtstyle.serve.gallery.library import Library
from rtstyle.serve.gallery.pictures import Kept, keep_picture
from rtstyle.serve.gallery.thumbnail import SHIPPED, encode_thumbnail, sample_picture
from rtstyle.serve.settings import Style, is_drawn, names_in
from rtstyle.styles import latent, manifest, paintings
from rtstyle.styles.spec import Mixture, parse_style

PICTURES = 24
"""Pictures kept; the one that was not chosen for longest makes room for a new one."""
LIBRARY = 120
"""Pictures kept in a library; when it is full, no more are taken."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One style as the page names it; `model` is what the bank knows it by.

    `mixes` says whether it can be part of a blend, `picture` whether a page sent it.
    """

    name: str
    title: str
    artist: str
    year: str
    model: str
    mixes: bool = False
    picture: bool = False


class Catalogue:
    """The built-in styles that exist in `size`, what the server was started with, and pictures.

    `first` is what is shown before anything is chosen; it may be an .onnx file, a picture or a
    blend. Pictures are copied to `folder`, or kept in a `library`, from where a later server hangs
    them up again. But for `thumbnail` all of it belongs to the event loop. `revision` counts the
    changes. Raises `StyleError` if `first` is unknown or does not exist in `size`, `UsageError` for
    a blend that cannot be.
    """

    def __init__(self, first: str, size: str, folder: Path, library: Library | None = None) -> None:
        self.size, self.folder, self._library = size, folder, library
        # Not that of the server before: a page may outlive it.
        self.revision = secrets.randbits(32)
        self.entries: dict[str, Entry] = {}
        # The entries that are pictures; the last one was chosen last.
        self._pictures: OrderedDict[str, None] = OrderedDict()
        self._painting = threading.Lock()
        self._painted: dict[str, bytes] = {}
        for style in manifest.load_manifest().styles.values():
            if size in style.files:
                name, mixes = style.name, has_painting(style.name, size)
                self._add(Entry(name, style.title, style.artist, style.year, name, mixes))
            elif manifest.PICTURE in style.files and self.takes_pictures:
                facts = (style.name, style.title, style.artist, style.year, style.name)
                self._add(Entry(*facts, mixes=True))
        if library is not None and self.takes_pictures:
            for kept in library.pictures():
                self._show(kept)
                self._pictures[kept.name] = None
        self.first: Style = self.take(first)

    def _add(self, entry: Entry) -> None:
        self.entries[entry.name] = entry

    def take(self, text: str) -> Style:
        """Return a style of the server's own user as the page names it; files are hung up.

        Raises as the class does.
        """
        if text in self.entries and manifest.picture_of(text) is not None:
            return text
        if is_drawn(text) and self.draws:
            return text
        found = parse_style(text)
        if isinstance(found, Mixture):
            manifest.find_any("content", self.size)
            parts = tuple((self._take_painting(name), share) for name, share in found.parts)
            alone = len(parts) == 1 and self.entries[parts[0][0]].picture
            return parts[0][0] if alone else parts
        manifest.find_model(found, self.size)
        if found in self.entries:
            return found
        # The page knows the file only by this name: a path never goes out or comes in.
        files = [entry for entry in self.entries.values() if entry.name.startswith("file")]
        known = next((entry.name for entry in files if entry.model == found), None)
        name = known or ("file" if not files else f"file-{len(files) + 1}")
        self._add(Entry(name, Path(found).stem, "", "", found))
        return name

    def _take_painting(self, name: str) -> str:
        """Return the name of a part of a blend; a picture file is hung up."""
        if name in self.entries:
            return name
        if name in manifest.load_manifest().styles:
            raise StyleError(f"Style {name!r} has no size {self.size!r}.")
        # This one stays, as every new page begins with it.
        return self._show(keep_picture(Path(name), Path(name).name, self.folder)).name

    def __contains__(self, name: object) -> bool:
        return name in self.entries or (is_drawn(name) and self.draws)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, name: str) -> Entry:
        return self.entries[name]

    def find(self, name: str) -> Entry | None:
        """Return an entry, if it is there."""
        return self.entries.get(name)

    @property
    def takes_pictures(self) -> bool:
        """Whether there is a network of this size that paints like any picture."""
        return manifest.any_size(self.size) in manifest.load_manifest().any

    @property
    def draws(self) -> bool:
        """Whether there are styles that nobody painted, `random:7`, which have no entry."""
        return latent.available(self.size)

    @property
    def mixable(self) -> set[str]:
        """Names of the styles that can be blended."""
        return {entry.name for entry in self.entries.values() if entry.mixes}

    def mixes(self, name: str) -> bool:
        """Return True if a style can be part of a blend."""
        return self.entries[name].mixes if name in self.entries else is_drawn(name)

    def model_of(self, style: Style) -> str:
        """Return what the bank knows a checked style by. Raises `UsageError` if it has gone."""
        names = names_in(style)
        if any(name not in self for name in names):
            raise UsageError("This picture was removed to make room for newer ones.")
        for name in names:
            if name in self._pictures:
                self._pictures.move_to_end(name)
        if isinstance(style, str):
            return self._model(style)
        return ",".join(f"{self._model(name)}:{share:g}" for name, share in style)

    def _model(self, name: str) -> str:
        return self.entries[name].model if name in self.entries else name

    def hang(self, kept: Kept) -> Entry:
        """Add a picture that a page sent; if there are too many, another one goes.

        A library loses none: raises `UsageError` where it is full, or cannot be written to.
        """
        if kept.name not in self.entries:
            if self._library is not None:
                kept = self._library.keep(kept, full=len(self._pictures) >= LIBRARY)
            while self._library is None and len(self._pictures) >= PICTURES:
                self.take_down(next(iter(self._pictures)))
            self._show(kept)
            self._pictures[kept.name] = None
        return self.entries[kept.name]

    def _show(self, kept: Kept) -> Entry:
        entry = Entry(kept.name, kept.title, "", "", str(kept.path), mixes=True, picture=True)
        self._add(entry)
        self._painted[kept.name] = kept.thumbnail
        self.revision += 1
        return entry

    def take_down(self, name: str) -> None:
        """Remove a picture; who is painted like it goes on until something else is chosen."""
        del self._pictures[name]
        self.revision += 1
        self._painted.pop(name, None)
        Path(self.entries.pop(name).model).unlink(missing_ok=True)

    def thumbnail(self, name: str, bank: StyleBank) -> bytes:
        """Return a WebP picture: shipped, that of a sent picture, or painted now and kept.

        Blocks while it paints. Raises `StyleError` for an unknown name, and as `StyleBank.paint`.
        """
        entry = self.find(name)
        if entry is None:
            raise StyleError("There is no such style.")
        shipped = SHIPPED / f"{name}.webp"
        if entry.model == name and shipped.is_file():
            return shipped.read_bytes()
        with self._painting:
            if name not in self._painted:
                painted = bank.paint(sample_picture(), entry.model, self.size)
                self._painted[name] = encode_thumbnail(painted)
            return self._painted[name]


def has_painting(name: str, size: str) -> bool:
    """Return True if a built-in style can be part of a blend: its painting is there as well."""
    try:
        paintings.built_in(name, size)
    except StyleError:
        return False
    return True
