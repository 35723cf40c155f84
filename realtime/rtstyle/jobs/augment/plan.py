"""Which files of a data set are painted, which are copied as they are, and where they go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath

from rtstyle.errors import SourceError, UsageError
from rtstyle.jobs.augment.folders import DataFolder
from rtstyle.media.picture import INPUT_SUFFIXES, OUTPUT_FORMATS

ANNOTATIONS = frozenset((".csv", ".json", ".npy", ".txt", ".xml", ".yaml", ".yml"))
"""Files that tell of pictures: of COCO, YOLO, Pascal VOC, and lists."""
LABEL_FOLDERS = frozenset(
    (
        *("annotations", "depth", "gtfine", "labels", "mask", "masks", "panoptic", "segmentation"),
        *("segmentationclass", "segmentationobject", "segmentations", "stuffthingmaps"),
    )
)
"""Folders, in any case, whose pictures are labels: a mask that is painted is lost."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The files of a data set, as paths below `root`, sorted.

    `pictures` maps those that are painted to the names they get, `copied` holds labels, `left_out`
    counts all others by their endings.
    """

    root: DataFolder
    pictures: dict[PurePosixPath, PurePosixPath]
    copied: tuple[PurePosixPath, ...]
    left_out: Counter[str]

    @property
    def renamed(self) -> list[PurePosixPath]:
        """Pictures of kinds that cannot be written: these get another ending."""
        return [source for source, target in self.pictures.items() if source != target]


def plan(root: DataFolder, keep: Sequence[str] = ()) -> Plan:
    """Return the plan of a data set. What `keep` names by patterns (`gt/*.png`) is copied, too.

    Raises `SourceError` for a folder without pictures, `UsageError` for equal names.
    """
    if not root.is_folder():
        raise SourceError(f"{root} is not a folder.", "", "Name the folder of a data set.")
    pictures: list[PurePosixPath] = []
    copied: list[PurePosixPath] = []
    left_out: Counter[str] = Counter()
    for path in files_below(root):
        suffix = path.suffix.lower()
        label = is_label(path) or any(fnmatch(str(path), pattern) for pattern in keep)
        if suffix in INPUT_SUFFIXES and not label:
            pictures.append(path)
        elif label or suffix in ANNOTATIONS:
            copied.append(path)
        else:
            left_out[suffix or "without ending"] += 1
    if not pictures:
        raise SourceError(
            f"The folder {root} has no pictures.",
            f"Looked for {', '.join(sorted(INPUT_SUFFIXES))} in it and below.",
            "Name the folder of a data set.",
        )
    return Plan(root, named(pictures, copied), tuple(copied), left_out)


def files_below(root: DataFolder) -> Iterator[PurePosixPath]:
    """Yield the files below a folder, sorted, without hidden ones and those in hidden folders."""
    for path in root.files():
        if not any(part.startswith(".") for part in path.parts):
            yield path


def is_label(path: PurePosixPath) -> bool:
    """Return True for what lies in a folder of labels."""
    return any(part.lower() in LABEL_FOLDERS for part in path.parts[:-1])


def named(
    pictures: Sequence[PurePosixPath], copied: Sequence[PurePosixPath]
) -> dict[PurePosixPath, PurePosixPath]:
    """Return pictures with the names they get: their own, or .png where it cannot be written."""
    found = {
        path: path if path.suffix.lower() in OUTPUT_FORMATS else path.with_suffix(".png")
        for path in pictures
    }
    twice = [name for name, n in Counter([*found.values(), *copied]).items() if n > 1]
    if twice:
        raise UsageError(f"Two pictures would become {twice[0]}.", "", "Rename one of them.")
    return found


def check_output(root: DataFolder, output: DataFolder) -> None:
    """Raise `UsageError` for an output that is the data set itself, or a part of it, or a file."""
    if output.is_file():
        raise UsageError(f"{output} is not a folder.", "", "Name a folder for the painted set.")
    if root.overlaps(output):
        raise UsageError(
            f"{output} and {root} lie in each other.",
            "Painted pictures would be painted again.",
            "Name a folder beside it.",
        )
