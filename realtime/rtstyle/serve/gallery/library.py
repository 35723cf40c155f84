"""A folder in which the pictures that pages send outlive the server."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

from rtstyle.errors import RtstyleError, SinkError, UsageError
from rtstyle.files.pending import PendingFile
from rtstyle.serve.gallery.pictures import TITLE, Kept, tidy
from rtstyle.serve.gallery.thumbnail import covering, encode_thumbnail
from rtstyle.styles.paintings import read_painting

log = logging.getLogger(__name__)

NAME = re.compile(r"picture-[0-9a-f]{16}")
TITLES = "titles.json"


class Library:
    """Pictures in `folder` as `picture-HASH.jpg`, with their titles in `titles.json`.

    Who deletes a file there takes the picture down with the next start. Raises `UsageError` if the
    folder cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = PendingFile(folder / TITLES)
            probe.temporary.touch()
            probe.discard()
        except (OSError, SinkError) as error:
            why = error.strerror if isinstance(error, OSError) else f"{error.what} {error.why}"
            raise UsageError(
                f"{folder} cannot hold the library.", why or "", "Give another --library."
            ) from error
        self.damaged: list[str] = []
        self._titles = self._read_titles()

    def pictures(self) -> list[Kept]:
        """Return what is there, oldest first; files that are no pictures are in `damaged`."""
        files = [path for path in self.folder.glob("picture-*.jpg") if NAME.fullmatch(path.stem)]
        found = []
        for path in sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.name)):
            try:
                thumbnail = encode_thumbnail(covering(read_painting(path)))
            except RtstyleError:
                self.damaged.append(path.name)
                continue
            title = self._titles.get(path.stem, "A picture")
            found.append(Kept(path.stem, title, path, thumbnail))
        return found

    def keep(self, kept: Kept, *, full: bool) -> Kept:
        """Move a picture here; return it with its new place. Raises `UsageError`."""
        if full:
            kept.path.unlink(missing_ok=True)
            raise UsageError(
                "The library is full.",
                "",
                "Ask whoever runs this server to delete pictures from its folder.",
            )
        target = self.folder / f"{kept.name}.jpg"
        self._titles[kept.name] = kept.title
        try:
            self._write(kept.path, target)
        except (OSError, SinkError) as error:
            # No path goes out to a page.
            log.error("the library cannot be written to: %s", error)
            raise UsageError("The library cannot be written to.") from error
        return Kept(kept.name, kept.title, target, kept.thumbnail)

    def _write(self, source: Path, target: Path) -> None:
        put(target, source.read_bytes())
        put(self.folder / TITLES, json.dumps(self._titles, indent=1).encode())
        source.unlink(missing_ok=True)

    def _read_titles(self) -> dict[str, str]:
        try:
            found = json.loads((self.folder / TITLES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {
            name: tidy(title)[:TITLE]
            for name, title in found.items()
            if NAME.fullmatch(name) and isinstance(title, str)
        }


def put(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises `OSError` or `SinkError`."""
    pending = PendingFile(path)
    try:
        pending.temporary.write_bytes(content)
        pending.commit()
    finally:
        pending.discard()
