"""What runs on the machines of a cluster: functions of values, which return values.

What is wrong with an input comes back as a `Failure`: only machines that are lost are tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import rtstyle
from rtstyle.cluster.files import Shipped, unpacked
from rtstyle.cluster.inputs import AbsentError, Input
from rtstyle.cluster.stores import Name, StateFolder, is_store, upload
from rtstyle.cluster.tally import Reporter, Tally
from rtstyle.engines import devices
from rtstyle.engines.base import Engine
from rtstyle.errors import RtstyleError, speak_to_command_line
from rtstyle.files.temporary import temporary_folder
from rtstyle.jobs.image import paint_file
from rtstyle.jobs.parts.join import join_parts
from rtstyle.jobs.parts.paint import Clip, Painted, Work, find_cuts, paint_part
from rtstyle.jobs.parts.part_source import OtherFramesError
from rtstyle.jobs.parts.survey import Part, Survey, survey
from rtstyle.jobs.video import open_stylizer, stylize_video
from rtstyle.painting.stylizer import Stylizer
from rtstyle.sources import open_video
from rtstyle.styles.recipe import Recipe

Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why a task came to nothing. `kind` is error, absent (a file), or frames (`PartSource`)."""

    text: str
    kind: str = "error"


@dataclass(frozen=True)
class Job:
    """What all tasks of a run share. `files` are those that the recipe reads.

    `threads` are those that a task may use; `number` tells one run from another.
    """

    number: str
    recipe: Recipe
    files: Shipped
    device: str
    precision: str
    threads: int
    command_line: bool


@dataclass(frozen=True)
class Hello:
    """How a model was opened on a machine, and whether it sees a canvas."""

    version: str
    device: str
    precision: str
    coherent: bool


def guarded(
    work: Callable[Given, Result],
) -> Callable[Given, Result | Failure]:
    """Return a function whose errors for users are results."""

    @wraps(work)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> Result | Failure:
        try:
            return work(*args, **kwargs)
        except OtherFramesError as error:
            return Failure(str(error), "frames")
        except AbsentError as error:
            return Failure(str(error), "absent")
        except (RtstyleError, OSError) as error:
            return Failure(str(error))

    return run


Opened = TypeVar("Opened", bound="Closable")
_opened: dict[str, Closable] = {}


class Closable(Protocol):
    """What holds a model."""

    def close(self) -> None:
        """Let go of it."""


def kept_open(number: str, open_it: Callable[[], Opened]) -> Opened:
    """Return what a run has opened; it stays open in this process until another run's comes."""
    if number not in _opened:
        let_go()
        _opened[number] = open_it()
    return cast("Opened", _opened[number])


def let_go() -> None:
    """Close what the last run has opened in this process."""
    while _opened:
        _opened.popitem()[1].close()


def stylizer_of(job: Job) -> Stylizer:
    """Return the model of a run."""
    if job.command_line:
        speak_to_command_line()
    return kept_open(
        job.number,
        lambda: open_stylizer(
            unpacked(job.recipe, job.files), device=job.device, precision=job.precision,
            threads=job.threads,
        ),
    )  # fmt: skip


def opened_as(engine: Engine, device: str, precision: str) -> tuple[str, str]:
    """Return device and precision of an engine, so named that another machine opens the same."""
    name = f"{engine.name}:{engine.device}"
    try:
        devices.candidates(name)
    except RtstyleError:
        return device, precision
    return name, engine.precision


@guarded
def hello(job: Job) -> Hello:
    """Open the model here, and return as what."""
    stylizer = stylizer_of(job)
    device, precision = opened_as(stylizer.network.engine, job.device, job.precision)
    coherent = stylizer.coherent() is not None and stylizer.strength > 0
    return Hello(rtstyle.__version__, device, precision, coherent)


@guarded
def look_at(
    given: Input, start: float | None, end: float | None, rate: Any, deinterlace: str
) -> tuple[Survey, bool]:
    """Return what is known of a video, and whether it is a sphere."""
    pictures = not given.remote and given.seen
    place: Any = given.name if pictures else given.media()
    with open_video(place, start, end, rate, deinterlace=deinterlace, keep_alpha=True) as source:
        sphere = source.spherical is not None and source.spherical.wraps
        return survey(source, start, end), sphere


@guarded
def cuts_of(given: Input, work: Work, clip: Clip) -> list[int]:
    """Return where the canvas is empty in a stretch of a video."""
    return find_cuts(given.media(), work, clip)


@guarded
def paint(
    job: Job,
    given: Input,
    work: Work,
    clip: Clip,
    part: Part,
    state: StateFolder | None,
    tally: Tally,
    key: str,
) -> tuple[Painted, bytes | None]:
    """Paint a part; return its file where there is no `state` folder that all can write to."""
    stylizer = stylizer_of(job)
    work = replace(work, recipe=stylizer.recipe)
    with temporary_folder() as folder:
        target = Path(folder) / part.name
        painted = paint_part(
            given.media(), work, clip, part, target, stylizer, Reporter(tally, key)
        )
        (file,) = Path(folder).iterdir()
        content = file.read_bytes()
    if state is None:
        return painted, content
    state.write(part.name, content)
    return painted, None


@guarded
def join(
    given: Input, target: Name, work: Work, state: StateFolder, names: Sequence[str], **options: Any
) -> tuple[int, list[str]]:
    """Join the parts of a video; return the size of the file, and notes."""
    parts = [state.opener(name) for name in names]
    if not is_store(target):
        notes = join_parts(given.media(), Path(target), work, parts, **options)
        return Path(target).stat().st_size, notes
    with temporary_folder() as folder:
        local = Path(folder) / Path(str(target)).name
        notes = join_parts(given.media(), local, work, parts, **options)
        upload(local, str(target))
        return local.stat().st_size, notes


@guarded
def paint_whole(
    job: Job, given: Input, target: Name, options: dict[str, Any], tally: Tally, key: str
) -> tuple[Painted, list[str], bytes | None]:
    """Paint a video that cannot be cut; return its file where the caller has to write it."""
    stylizer = stylizer_of(job)
    with temporary_folder() as folder:
        local = Path(folder) / Path(str(target)).name
        if job.recipe.depends_on_clip:
            options = {**options, "style": stylizer.recipe, "device": job.device}
        else:
            options = {**options, "stylizer": stylizer}
        pictures = not given.remote and given.seen
        place: Any = given.name if pictures else given.media()
        report = stylize_video(place, local, progress=Reporter(tally, key), **options)
        if report.stopped:
            raise KeyboardInterrupt
        painted = Painted(report.frames, report.seconds, report.bytes, report.width, report.height)
        if is_store(target):
            upload(local, str(target))
            return painted, report.notes, None
        return painted, report.notes, local.read_bytes()


@guarded
def paint_photos(
    job: Job, given: Sequence[Input], targets: Sequence[Name], quality: int
) -> list[tuple[Any, bytes | None] | Failure]:
    """Paint photos; return for each what `paint_file` reports, and its file, or what is wrong."""
    stylizer = stylizer_of(job)
    found = [
        _paint_photo(stylizer, one, target, quality)
        for one, target in zip(given, targets, strict=True)
    ]
    for each in found:
        if isinstance(each, Failure) and each.kind == "absent":
            raise AbsentError(each.text)
    return found


@guarded
def _paint_photo(
    stylizer: Stylizer, given: Input, target: Name, quality: int
) -> tuple[Any, bytes | None]:
    with temporary_folder() as folder:
        for name in ("in", "out"):
            (Path(folder) / name).mkdir()
        local = Path(folder) / "out" / Path(str(target)).name
        report = paint_file(stylizer, given.fetched(Path(folder) / "in"), local, quality=quality)
        if is_store(target):
            upload(local, str(target))
            return report, None
        return report, local.read_bytes()
