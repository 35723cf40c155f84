"""Which questions a survey asks, in which order, and which picture stands where.

All of it follows from a seed and the number of the visitor. Visitors take turns in a common list,
so that every question is asked equally often, and what stood left stands right the next time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from rtstyle.errors import SourceError, UsageError
from rtstyle.media.picture import INPUT_SUFFIXES

PREFER, REAL = "prefer", "real"
"""Kinds of questions: which of two is better, and which of four is the real painting."""
PLACES = {PREFER: 2, REAL: 4}
PAINTINGS = ""
"""In place of a method: by a painter."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture: the method that made it, or `PAINTINGS`, and its name without ending."""

    method: str
    name: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question as one visitor sees it: pictures from left to right, or from the top on."""

    kind: str
    shown: tuple[Shown, ...]


class Design:
    """The questions about some folders of pictures; pictures of one name belong together.

    `methods` maps names to pictures by name, `paintings` are those by painters. Raises
    `UsageError` where there is nothing to ask.
    """

    def __init__(
        self,
        methods: dict[str, dict[str, Path]],
        paintings: dict[str, Path],
        *,
        seed: int = 0,
        questions: int = 30,
    ) -> None:
        if questions < 1:
            raise UsageError("--questions is 1 or more.")
        self.methods, self.paintings, self.seed = methods, paintings, seed
        rng = np.random.default_rng((seed, 0))
        self.pairs = [
            (Shown(one, name), Shown(other, name))
            for one, other in combinations(methods, 2)
            for name in sorted(methods[one].keys() & methods[other].keys())
        ]
        self.triples = triples(methods, rng) if paintings else []
        self._painters = [Shown(PAINTINGS, name) for name in sorted(paintings)]
        for questions_of_a_kind in (self.pairs, self.triples, self._painters):
            rng.shuffle(questions_of_a_kind)
        if not self.pairs and not self.triples:
            raise UsageError(
                "There is nothing to compare.",
                "No two folders have pictures of one name.",
                "Name the paintings of one photo alike in each folder.",
            )
        self.counts = {
            PREFER: min(questions, len(self.pairs)),
            REAL: min(questions, len(self.triples)),
        }

    @property
    def total(self) -> int:
        """How many questions each visitor is asked."""
        return sum(self.counts.values())

    def questions(self, visitor: int) -> list[Question]:
        """Return the questions for visitor number 0, 1, ...: first those of preference."""
        rng = np.random.default_rng((self.seed, 1, visitor))
        found: list[Question] = []
        for kind, ask in ((PREFER, self._prefer), (REAL, self._real)):
            count = self.counts[kind]
            turns = range(visitor * count, (visitor + 1) * count)
            found += [ask(turn) for turn in rng.permutation(turns).tolist()]
        return found

    def _prefer(self, turn: int) -> Question:
        times, number = divmod(turn, len(self.pairs))
        pair = self.pairs[number]
        return Question(PREFER, pair[::-1] if (number + times) % 2 else pair)

    def _real(self, turn: int) -> Question:
        times, number = divmod(turn, len(self.triples))
        place = (number + times) % PLACES[REAL]
        others = self.triples[number]
        real = self._painters[turn % len(self._painters)]
        return Question(REAL, (*others[:place], real, *others[place:]))

    def path(self, shown: Shown) -> Path:
        """Return the file of a picture."""
        return (self.methods.get(shown.method, self.paintings))[shown.name]

    def pictures(self) -> list[Shown]:
        """Return all pictures that any question shows."""
        found = dict.fromkeys(one for group in (*self.pairs, *self.triples) for one in group)
        return [*found, *(self._painters if self.triples else ())]

    def identity(self) -> str:
        """Return a hash of all that decides the questions."""
        names = [sorted(pictures) for pictures in (*self.methods.values(), self.paintings)]
        text = repr((list(self.methods), names, self.seed, self.counts))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def triples(
    methods: dict[str, dict[str, Path]], rng: np.random.Generator
) -> list[tuple[Shown, ...]]:
    """Return groups of three paintings of one method; each is in one group, at most two in none.

    Raises `UsageError` for a method with fewer.
    """
    found: list[tuple[Shown, ...]] = []
    for method, pictures in methods.items():
        if len(pictures) < 3:
            raise UsageError(
                f"{method} has {len(pictures)} pictures.",
                "A real painting is shown among three.",
                "Add pictures, or leave --paintings out.",
            )
        names = [str(name) for name in rng.permutation(sorted(pictures))]
        groups = (names[start : start + 3] for start in range(0, len(names) - 2, 3))
        found += [tuple(Shown(method, name) for name in group) for group in groups]
    return found


def read_folder(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by name without ending. Raises `SourceError`."""
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder.", "", "Name a folder of pictures.")
    seen = (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    found = [path for path in seen if path.suffix.lower() in INPUT_SUFFIXES and path.is_file()]
    if not found:
        raise SourceError(f"The folder {folder} has no pictures.", "", "Name another folder.")
    twice = [name for name, count in Counter(path.stem for path in found).items() if count > 1]
    if twice:
        raise SourceError(
            f"{folder} has two pictures named {twice[0]}.", "", "Keep one kind of each."
        )
    return {path.stem: path for path in found}


def method_names(folders: Sequence[Path]) -> list[str]:
    """Return the names of folders, with as many parents as it takes to tell them from each other.

    Raises `UsageError` for fewer than two folders, or one that comes twice.
    """
    places = [folder.resolve() for folder in folders]
    if len(set(places)) < 2 or len(set(places)) < len(places):
        raise UsageError(
            "A survey compares two folders or more.", "", "rtstyle survey FOLDER_A FOLDER_B"
        )
    for parts in range(1, max(len(place.parts) for place in places) + 1):
        names = ["/".join(place.parts[-parts:]) for place in places]
        if len(set(names)) == len(names):
            break
    return names


def read_design(
    folders: Sequence[Path], paintings: Path | None, *, seed: int = 0, questions: int = 30
) -> Design:
    """Return the design of a survey over folders. Raises `SourceError` or `UsageError`."""
    methods = dict(zip(method_names(folders), map(read_folder, folders), strict=True))
    known = {} if paintings is None else read_folder(paintings)
    return Design(methods, known, seed=seed, questions=questions)
