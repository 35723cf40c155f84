"""A data set painted in random styles on a cluster: some pictures a task, one list of them all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import rtstyle
from rtstyle import errors
from rtstyle.cluster.inputs import AbsentError, Input
from rtstyle.cluster.machines.base import Machines
from rtstyle.cluster.machines.connection import connected
from rtstyle.cluster.plans import Plan, Request, StoppedError
from rtstyle.cluster.run import check_version
from rtstyle.cluster.stored_folder import data_folder
from rtstyle.cluster.stores import Name, is_store, upload
from rtstyle.cluster.tasks import Hello, guarded, kept_open, opened_as
from rtstyle.errors import RtstyleError
from rtstyle.files.pending import writing_to
from rtstyle.files.temporary import temporary_folder
from rtstyle.jobs.augment.run import (
    AugmentOptions,
    AugmentRun,
    Item,
    Painted,
    paint_items,
    read_strength,
)
from rtstyle.painting.augment import AugmentPainter

PAINTINGS = 8
"""Paintings of a task: one alone is painted faster than a task is begun."""

Result: TypeAlias = tuple[Painted, list[dict[str, Any]], Mapping[str, bytes]]
"""What became of a picture, its lines of the manifest, and its paintings by name."""


@dataclass(frozen=True)
class AugmentJob:
    """What all tasks of a run share; `number` tells one run from another."""

    number: str
    options: AugmentOptions
    per: int
    device: str
    precision: str
    threads: int
    command_line: bool


def painter_of(job: AugmentJob) -> AugmentPainter:
    """Return the painter of a run."""
    if job.command_line:
        errors.speak_to_command_line()
    return kept_open(
        job.number,
        lambda: AugmentPainter(
            job.options.size, device=job.device, streams=job.threads, threads=job.threads,
            precision=job.precision,
        ),
    )  # fmt: skip


@guarded
def open_painter(job: AugmentJob) -> Hello:
    """Open the network here, and return as what."""
    engine = painter_of(job).network.engine
    return Hello(rtstyle.__version__, *opened_as(engine, job.device, job.precision), False)


@guarded
def paint_pictures(
    job: AugmentJob, given: Sequence[Input], items: Sequence[Item], output: Name
) -> list[Result]:
    """Paint all versions of some pictures that are not there.

    They are written into a store from here; else the caller gets and writes them.
    """
    painter, found = painter_of(job), list[Result]()
    with temporary_folder() as name:
        folder, made = Path(name), Path(name) / "out"
        here = []
        for number, (one, item) in enumerate(zip(given, items, strict=True)):
            (folder / str(number)).mkdir()
            try:
                here.append(replace(item, path=one.fetched(folder / str(number))))
            except AbsentError:
                raise  # It is sent, and all of them are tried again.
            except (RtstyleError, OSError) as error:
                found.append((Painted(item.source, error=RtstyleError(str(error))), [], {}))
                continue
            for version in range(1, job.per + 1):
                (made / str(version) / item.target.parent).mkdir(parents=True, exist_ok=True)
        for painted, entries in paint_items(
            painter, iter(here), job.options, made, job.per, job.threads
        ):
            if painted.error is not None:
                # Only what is said of it survives the way back.
                painted = replace(painted, error=RtstyleError(str(painted.error)))
            files = {}
            for file in (entry["file"] for entry in entries):
                if is_store(output):
                    upload(made / file, f"{output}/{file}")
                else:
                    files[file] = (made / file).read_bytes()
            found.append((painted, entries, files))
    return found


def run_of(
    photos: str, output: str, strength: str, options: dict[str, Any], **more: Any
) -> AugmentRun:
    """Return a run over folders, here or in stores, by their names.

    `strength` is a number or a range as text; `options` are the others of `AugmentOptions`, `more`
    those of `AugmentRun`.
    """
    given = AugmentOptions(read_strength(strength), **options)
    return AugmentRun(data_folder(photos), data_folder(output), given, **more)


def paint_on(address: str, run: AugmentRun) -> Iterator[Painted]:
    """Paint a data set on the cluster at an address; see `paint_data_set`.

    Raises `KeyboardInterrupt` after Ctrl-C.
    """
    try:
        with connected(address) as machines:
            yield from paint_data_set(machines, run)
    except StoppedError as stopped:
        raise KeyboardInterrupt from stopped


def paint_data_set(machines: Machines, run: AugmentRun) -> Iterator[Painted]:
    """Paint a data set; yield what became of each picture, as they end.

    Paintings and manifest are those of one machine alone. Raises `StoppedError` after Ctrl-C: the
    same run then goes on with what is painted.
    """
    job = begin(machines, run)
    with run.begun():
        for _, results in machines.run(plans(machines, job, run)):
            for _, _, files in results:
                for file, content in files.items():
                    with writing_to(run.output.place(file)):
                        run.output.write(file, content)
            run.note([entry for _, entries, _ in results for entry in entries])
            yield from (painted for painted, _, _ in results)


def begin(machines: Machines, run: AugmentRun) -> Any:
    """Open the network on one machine, and return the job that opens it so on all of them."""
    machines.take(run.device)
    job = AugmentJob(
        secrets.token_hex(8), run.options, run.per, run.device, run.options.precision,
        1 if machines.on_gpu else machines.threads, errors.speaks_to_command_line(),
    )  # fmt: skip
    found: Hello = machines.call(Request(open_painter, (machines.share(job),)))
    check_version(found)
    return machines.share(replace(job, device=found.device, precision=found.precision))


def plans(machines: Machines, job: Any, run: AugmentRun) -> Iterator[Plan]:
    """Yield a plan for every few pictures."""
    items = run.items()
    while group := list(islice(items, max(1, PAINTINGS // run.per))):
        yield plan_of(machines, job, group, str(run.output.place("")).rstrip("/"))


def plan_of(machines: Machines, job: Any, group: list[Item], output: Name) -> Plan:
    """Plan some pictures, painted by one task; what comes of it is a list of `Result`."""
    given = [Input.of(item.path) for item in group]
    try:
        (results,) = yield [Request(paint_pictures, (job, given, group, output))]
    except RtstyleError as error:
        return [(Painted(item.source, error=error), [], {}) for item in group]
    finally:
        for one in given:
            machines.forget(one.name)
    return results
