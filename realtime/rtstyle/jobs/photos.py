"""Several photos with one model: planned, painted one by one, continued after a crash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtstyle.errors import RtstyleError
from rtstyle.jobs.image import ImageReport, paint_file, plan
from rtstyle.jobs.journal import Journal
from rtstyle.painting.stylizer import Stylizer
from rtstyle.styles.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photo that could not be painted, and why."""

    source: Path
    error: RtstyleError | OSError


class PhotoRun:
    """A run over photos and folders; see `rtstyle.jobs.image.plan`, whose errors it raises.

    `pairs` are the photos that are left to paint with their outputs, `done` those that a run with
    the same options, which was cut short, painted before. Iterating opens the model and paints.
    """

    def __init__(
        self,
        inputs: Sequence[Path],
        output: Path,
        recipe: Recipe,
        *,
        device: str,
        precision: str,
        quality: int,
        overwrite: bool,
    ) -> None:
        self._recipe, self._quality = recipe, quality
        self._device, self._precision = device, precision
        self.done: list[Path] = []
        read = recipe.pictures()
        several = len(inputs) > 1 or inputs[0].is_dir()
        options = {"options": (repr(recipe), device, precision, quality)}
        # With overwrite an old painting looks like a new one.
        self._journal = Journal(output, options, read) if several and not overwrite else None
        self.pairs = plan(inputs, output, overwrite=overwrite, read=read, done=self._is_done)

    def _is_done(self, source: Path, target: Path) -> bool:
        if self._journal is None or not self._journal.is_done(source, target):
            return False
        self.done.append(source)
        return True

    def __iter__(self) -> Iterator[ImageReport | Skipped]:
        """Paint; a bad photo does not stop the others, but a single one raises its error."""
        if self._journal is not None:
            self._journal.begin(self.pairs)
        with Stylizer(self._recipe, device=self._device, precision=self._precision) as stylizer:
            for source, target in self.pairs:
                try:
                    found = paint_file(stylizer, source, target, quality=self._quality)
                except (RtstyleError, OSError) as error:
                    if len(self.pairs) == 1:
                        raise
                    yield Skipped(source, error)
                else:
                    yield found
        if self._journal is not None:
            self._journal.end()
