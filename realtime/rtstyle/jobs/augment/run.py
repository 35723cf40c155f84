"""The job: every picture of a data set painted some times, labels copied."""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from rtstyle.engines.devices import cpu_count
from rtstyle.errors import RtstyleError, SinkError, SourceError, UsageError
from rtstyle.files.temporary import replacing
from rtstyle.jobs.augment.folders import DataFolder, LocalFolder, as_data_folder
from rtstyle.jobs.augment.manifest import NAME, AugmentManifest
from rtstyle.jobs.augment.plan import Plan, check_output, plan
from rtstyle.media.limits import DEFAULT_QUALITY, check_quality
from rtstyle.media.picture import Picture, read_picture, write_picture
from rtstyle.painting.augment import (
    AugmentPainter,
    Draw,
    Range,
    check_strength,
    draw,
    read_strength,
)
from rtstyle.styles import manifest
from rtstyle.styles.recipe import check_range
from rtstyle.styles.spec import check_seed

__all__ = ["AugmentOptions", "AugmentRun", "Painted", "read_strength"]

MOST = 1000
"""Paintings of one picture."""


@dataclass(frozen=True, slots=True)
class AugmentOptions:
    """What is painted. It decides every pixel, together with machine and device.

    `strength` is the range from which strengths are drawn, `p` the share of pictures that is
    painted; the others are copied. Raises `UsageError`.
    """

    strength: Range = (1.0, 1.0)
    seed: int = 0
    p: float = 1.0
    size: str = "fast"
    precision: str = "auto"
    quality: int = DEFAULT_QUALITY

    def __post_init__(self) -> None:
        check_strength(self.strength)
        check_seed(self.seed)
        check_range("A share", self.p, (0, 1))
        check_quality(self.quality)

    def identity(self) -> dict[str, Any]:
        """Return all that decides the pictures, by name; the networks by their hashes."""
        parts = ("content", "sample")
        networks = [manifest.listed_any(part, self.size).sha256[:16] for part in parts]
        return {
            "strength": list(self.strength), "seed": self.seed, "p": self.p, "size": self.size,
            "precision": self.precision, "quality": self.quality, "networks": networks,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Painted:
    """What became of one picture: paintings made now and kept from before, or the error."""

    source: PurePosixPath
    made: int = 0
    kept: int = 0
    error: RtstyleError | OSError | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A picture to be painted: its name in the data set, the name it gets, and its file or address.

    `kept` holds the paintings of it that are there, with the hash of what each was made of.
    """

    source: PurePosixPath
    target: PurePosixPath
    path: Path | str
    kept: Mapping[str, str]


class AugmentRun:
    """A run over a data set: `OUT/1` to `OUT/PER` become data sets of the same layout.

    `plan` says what is painted and copied. Iterating copies the labels, then yields a `Painted` for
    every picture, in order. A run that is cut short goes on where it was.
    Raises `UsageError`, `SourceError`, `SinkError`, `StyleError`, `DeviceError` or `EngineError`.
    """

    def __init__(
        self,
        photos: DataFolder | Path,
        output: DataFolder | Path,
        options: AugmentOptions,
        *,
        per: int = 1,
        keep: Sequence[str] = (),
        device: str = "auto",
        overwrite: bool = False,
    ) -> None:
        if not 1 <= per <= MOST:
            raise UsageError(
                f"{per} paintings of each picture are out of range.", "", f"Use 1 to {MOST}."
            )
        source, self.output = as_data_folder(photos), as_data_folder(output)
        check_output(source, self.output)
        self.plan: Plan = plan(source, keep)
        self.per = per
        self.options, self.device = options, device
        if overwrite:
            self.output.remove(NAME)
            self.output.log(NAME).clear()
        self.manifest = AugmentManifest(self.output, options.identity())
        if not (overwrite or self.manifest.goes_on):
            self._refuse_loss()

    def _refuse_loss(self) -> None:
        """Raise `UsageError` if a file that no such run has written would be replaced."""
        names = (*self.plan.pictures.values(), *self.plan.copied)
        targets = [f"{n}/{name}" for n in range(1, self.per + 1) for name in names]
        if there := self.output.there(targets):
            raise UsageError(
                f"{self.output.place(min(there))} exists already.",
                "",
                "Name another folder, or pass --overwrite.",
            )

    def __iter__(self) -> Iterator[Painted]:
        if not (isinstance(self.output, LocalFolder) and isinstance(self.plan.root, LocalFolder)):
            raise UsageError("Stores are read and written by a cluster.", "", "Add --cluster auto.")
        streams = cpu_count()
        with (
            AugmentPainter(
                self.options.size, device=self.device, streams=streams, threads=streams,
                precision=self.options.precision,
            ) as painter,
            self.begun(),
        ):  # fmt: skip
            for found, entries in paint_items(
                painter, self.items(), self.options, self.output.path, self.per, streams
            ):
                self.note(entries)
                yield found

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Make the folders, copy the labels, and keep the list while pictures are painted."""
        self._prepare()
        try:
            yield
            self.manifest.end()
        finally:
            self.manifest.close()

    def items(self) -> Iterator[Item]:
        """Yield the pictures, with what is there of each."""
        for source, target in self.plan.pictures.items():
            files = (f"{number}/{target}" for number in range(1, self.per + 1))
            yield Item(source, target, self.plan.root.place(source), self.manifest.kept(files))

    def note(self, entries: Iterable[dict[str, Any]]) -> None:
        """Note paintings that are written. Raises `SinkError`."""
        self.manifest.add(entries)

    def _prepare(self) -> None:
        """Make the folders, copy the labels, and begin the list."""
        names = {*self.plan.pictures.values(), *self.plan.copied}
        versions = [str(number) for number in range(1, self.per + 1)]
        try:
            self.output.prepare({f"{v}/{name.parent}" for v in versions for name in names})
            for name in self.plan.copied:
                content = self.plan.root.read(name)
                if content is None:
                    raise SourceError(f"{self.plan.root.place(name)} is gone.")
                for version in versions:
                    self.output.write(f"{version}/{name}", content)
        except OSError as error:
            raise SinkError(
                f"{self.output} cannot be written.", error.strerror or str(error)
            ) from error
        self.manifest.begin()


def paint_items(
    painter: AugmentPainter,
    items: Iterator[Item],
    options: AugmentOptions,
    output: Path,
    per: int,
    streams: int,
) -> Iterator[tuple[Painted, list[dict[str, Any]]]]:
    """Paint pictures into `output`, `streams` at once; yield in order, with their entries."""
    going: deque[Future[tuple[Painted, list[dict[str, Any]]]]] = deque()
    pool = ThreadPoolExecutor(streams, thread_name_prefix="rtstyle-augment")
    try:
        while True:
            while len(going) < 2 * streams and (item := next(items, None)) is not None:
                going.append(pool.submit(paint_item, painter, item, options, output, per))
            if not going:
                return
            yield going.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def paint_item(
    painter: AugmentPainter, item: Item, options: AugmentOptions, output: Path, per: int
) -> tuple[Painted, list[dict[str, Any]]]:
    """Paint all versions of one picture that are not there, and return their entries."""
    source, target = item.source, item.target
    entries, kept, notes = list[dict[str, Any]](), 0, list[str]()
    picture: Picture | None = None
    try:
        path = Path(item.path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        for number in range(1, per + 1):
            file = f"{number}/{target}"
            if item.kept.get(file) == digest:
                kept += 1
                continue
            # By the name of the source and the number, whatever else is in the set.
            drawn = draw(f"{options.seed}/{number}/{source}", options.strength, options.p)
            if drawn is None and source == target:
                copy(path, output / file)
            else:
                # Boxes and masks fit the picture as it lies in its file.
                picture = picture or read_picture(path, "picture", upright=False)
                made = picture if drawn is None else painted(painter, picture, drawn)
                notes += write_picture(made, output / file, options.quality)
            entries.append(entry(file, source, digest, drawn))
    except (RtstyleError, OSError) as error:
        return Painted(source, len(entries), kept, error), entries
    notes += () if picture is None else picture.notes
    return Painted(source, len(entries), kept, None, tuple(dict.fromkeys(notes))), entries


def painted(painter: AugmentPainter, picture: Picture, drawn: Draw) -> Picture:
    """Return a picture as it was drawn."""
    rgb = painter.paint(picture.rgb, painter.style(drawn.seed), drawn.strength)
    return replace(picture, rgb=rgb)


def entry(file: str, source: PurePosixPath, digest: str, drawn: Draw | None) -> dict[str, Any]:
    """Return the line of the manifest for one painting."""
    style = {"style": None} if drawn is None else {"style": drawn.style, "strength": drawn.strength}
    return {"file": file, "source": str(source), "sha256": digest, **style}


def copy(source: Path, target: Path) -> None:
    """Copy a file as it is, whole or not at all."""
    with replacing(target) as fresh:
        shutil.copyfile(source, fresh)
