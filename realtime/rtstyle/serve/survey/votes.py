"""Votes in an SQLite file, a row a vote. Nothing in it tells who voted, from where or when."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rtstyle.closeable import Closing
from rtstyle.errors import SinkError, SourceError, UsageError
from rtstyle.serve.survey.design import Question, Shown

TABLES = """
CREATE TABLE IF NOT EXISTS survey (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS visitor (number INTEGER PRIMARY KEY, pass TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS vote (
    visitor INTEGER NOT NULL REFERENCES visitor (number),
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    shown TEXT NOT NULL,
    choice INTEGER NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (visitor, number)
);
"""
"""`shown` is JSON: [method, name] of each picture, in the order in which they stood."""
LONGEST = 3600.0
"""Seconds for an answer that are noted at most."""
MOST_VISITORS = 100_000


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote: what was shown, and the place of what was chosen."""

    visitor: int
    kind: str
    shown: tuple[Shown, ...]
    choice: int
    seconds: float

    @property
    def chosen(self) -> Shown:
        """The picture that was chosen."""
        return self.shown[self.choice]


class Votes(Closing):
    """The file of a survey. Raises `SinkError` if it cannot be written."""

    def __init__(self, path: Path, identity: str) -> None:
        """Open the file, or make it.

        `identity` is that of the design. Raises `UsageError` for the file of another survey.
        """
        self.path = path
        with told(path):
            # Opened here and used by the one thread of the server.
            self._file = sqlite3.connect(path, check_same_thread=False)
        try:
            self._begin(identity)
        except BaseException:
            self._file.close()
            raise

    def _begin(self, identity: str) -> None:
        with told(self.path), self._file as file:
            file.executescript(TABLES)
            file.execute("INSERT OR IGNORE INTO survey VALUES ('design', ?)", (identity,))
            salt = secrets.token_hex(16)
            file.execute("INSERT OR IGNORE INTO survey VALUES ('salt', ?)", (salt,))
            known = dict(file.execute("SELECT name, value FROM survey"))
        if known["design"] != identity:
            raise UsageError(
                f"{self.path} has the votes of another survey.",
                "Its folders, pictures, seed or number of questions differ.",
                "Name another file by --votes.",
            )
        self.salt: str = known["salt"]

    def join(self, key: str | None = None) -> tuple[str, int]:
        """Return key and number of a visitor: one who was here, by the key, or a new one."""
        known = None if key is None else self.number(key)
        if key is not None and known is not None:
            return key, known
        key = secrets.token_urlsafe(16)
        with told(self.path), self._file as file:
            row = file.execute("SELECT COALESCE(MAX(number) + 1, 0) FROM visitor").fetchone()
            if row[0] >= MOST_VISITORS:
                raise UsageError("This survey takes no more visitors.")
            file.execute("INSERT INTO visitor VALUES (?, ?)", (row[0], hashed(key)))
        return key, int(row[0])

    def number(self, key: str) -> int | None:
        """Return the number of the visitor with this key, or None."""
        query = "SELECT number FROM visitor WHERE pass = ?"
        row = self._file.execute(query, (hashed(key),)).fetchone()
        return None if row is None else int(row[0])

    def done(self, visitor: int) -> int:
        """Return how many questions a visitor has answered."""
        query = "SELECT COUNT(*) FROM vote WHERE visitor = ?"
        return int(self._file.execute(query, (visitor,)).fetchone()[0])

    def add(
        self, visitor: int, number: int, question: Question, choice: int, seconds: float
    ) -> None:
        """Note a vote, unless the visitor has answered this question already."""
        shown = json.dumps([[one.method, one.name] for one in question.shown])
        row = (visitor, number, question.kind, shown, choice, min(max(seconds, 0.0), LONGEST))
        with told(self.path), self._file as file:
            file.execute("INSERT OR IGNORE INTO vote VALUES (?, ?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


def read_votes(path: Path) -> list[Vote]:
    """Return all votes of a file, in the order of visitors. Raises `SourceError`."""
    if not path.is_file():
        raise SourceError(f"There are no votes in {path}.", "It does not exist.", "Check --votes.")
    query = "SELECT visitor, kind, shown, choice, seconds FROM vote ORDER BY visitor, number"
    try:
        # Read only, so that a report never changes a running survey.
        file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            rows = file.execute(query).fetchall()
        finally:
            file.close()
        return [
            Vote(int(visitor), str(kind), pictures(shown), int(choice), float(seconds))
            for visitor, kind, shown, choice, seconds in rows
        ]
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise SourceError(
            f"{path} cannot be read.", str(error), "Is it a file of rtstyle survey?"
        ) from error


def pictures(text: str) -> tuple[Shown, ...]:
    """Return the pictures that a row has in JSON."""
    return tuple(Shown(str(method), str(name)) for method, name in json.loads(text))


def hashed(key: str) -> str:
    """Return what the file keeps of a visitor's key, which is random."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite says into a `SinkError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise SinkError(
            f"{path} cannot be written.", str(error), "Name another file by --votes."
        ) from error
