"""Videos and photos painted on a cluster, as one run with one progress."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import rtstyle
from rtstyle import errors
from rtstyle.cluster import tasks
from rtstyle.cluster.clip import Done, Run, paint_clip
from rtstyle.cluster.files import packed
from rtstyle.cluster.inputs import Input
from rtstyle.cluster.machines.base import Machines
from rtstyle.cluster.plans import Plan, Request
from rtstyle.cluster.stores import Name
from rtstyle.cluster.tally import Told
from rtstyle.cluster.tasks import Failure, Hello, Job
from rtstyle.errors import RtstyleError, UsageError
from rtstyle.files.whole import write_whole
from rtstyle.report import Progress
from rtstyle.styles.recipe import Recipe

PHOTOS = 8
"""Photos of a task: small ones are painted faster than a task is begun."""

Watch = Callable[[Progress], None]


class Whole:
    """How far a run is as a whole: frames of videos that are done, and of those under way."""

    def __init__(self, sources: Sequence[Name], watch: Watch | None) -> None:
        self._watch = watch
        self._frames: dict[str, int | None] = {str(source): None for source in sources}
        self._done: dict[str, int] = {}
        self._bytes = self._kept = 0
        self._began = time.monotonic()

    def found(self, key: str, frames: int | None, _seconds: float) -> None:
        """Note how many frames a video has."""
        self._frames[key] = frames

    def painted(self, key: str, frames: int, size: int) -> None:
        """Note a task that ended; `size` is 0 for what an earlier run painted."""
        self._done[key] = frames
        self._bytes += size
        self._kept += 0 if size else frames
        self.tell({})

    def tell(self, going: dict[str, Told]) -> None:
        """Show how far all is; `going` is what running tasks have told."""
        if self._watch is None:
            return
        known = [frames for frames in self._frames.values() if frames]
        mean = sum(known) / len(known) if known else 0
        total = sum(frames or mean for frames in self._frames.values())
        done = sum(self._done.values()) + sum(
            told.frames for key, told in going.items() if key not in self._done
        )
        spent = time.monotonic() - self._began
        rate = max(0, done - self._kept) / spent if spent > 0 else 0.0
        self._watch(Progress(done, done, max(done, round(total)) or None, spent, rate, 0,
                             self._bytes))  # fmt: skip


def begin(machines: Machines, recipe: Recipe, device: str, precision: str) -> tuple[Any, Hello]:
    """Open the model on one machine, and return the shared `Job` with how it was opened.

    All machines then open it so: what the quickest engine is may differ from one to the next.
    """
    machines.take(device)
    threads = 1 if machines.on_gpu else machines.threads
    job = Job(
        secrets.token_hex(8), recipe, packed(recipe), device, precision, threads,
        errors.speaks_to_command_line(),
    )  # fmt: skip
    found: Hello = machines.call(Request(tasks.hello, (machines.share(job),)))
    check_version(found)
    pinned = Job(
        job.number, recipe, job.files, found.device, found.precision, threads, job.command_line
    )
    return machines.share(pinned), found


def check_version(found: Hello) -> None:
    """Raise `UsageError` where a machine has another version of rtstyle."""
    if found.version != rtstyle.__version__:
        raise UsageError(
            f"The cluster has rtstyle {found.version}, and this machine {rtstyle.__version__}.",
            "The pictures may differ.",
            "Install the same version on all machines.",
        )


def paint_videos(
    machines: Machines,
    pairs: Sequence[tuple[Name, Name]],
    recipe: Recipe,
    options: dict[str, Any],
    watch: Watch | None = None,
    tasks_told: Callable[[dict[str, Told]], None] = lambda _: None,
) -> Iterator[tuple[int, Done | RtstyleError]]:
    """Paint videos into outputs, names of files or of stores; yield what became of each.

    `options` are those of `rtstyle.jobs.video.stylize_video`. The number is that of the pair.
    `watch` sees how far all is, `tasks_told` what each running task tells.
    Raises `StoppedError` after Ctrl-C: the same run then goes on with the parts that are done.
    """
    job, found = begin(machines, recipe, options["device"], options["precision"])
    whole = Whole([source for source, _ in pairs], watch)
    run = Run(machines, job, recipe, found.coherent, options, whole.found, whole.painted)
    plans = (paint_clip(run, source, target) for source, target in pairs)

    def look(told: dict[str, Told]) -> None:
        tasks_told(told)
        whole.tell(told)

    yield from machines.run(plans, look)


def paint_photos(
    machines: Machines,
    pairs: Sequence[tuple[Name, Name]],
    recipe: Recipe,
    *,
    device: str,
    precision: str,
    quality: int,
    watch: Watch | None = None,
) -> Iterator[tuple[Name, Any]]:
    """Paint photos; yield each output with its `ImageReport`, or a `Failure`, as they end.

    Raises `StoppedError` after Ctrl-C.
    """
    job, _ = begin(machines, recipe, device, precision)
    groups = [pairs[n : n + PHOTOS] for n in range(0, len(pairs), PHOTOS)]
    began, done = time.monotonic(), 0
    plans = (photo_plan(machines, job, group, quality) for group in groups)
    for number, results in machines.run(plans):
        group = groups[number]
        if isinstance(results, RtstyleError):
            results = [Failure(str(results))] * len(group)
        for (_, target), result in zip(group, results, strict=True):
            done += 1
            if isinstance(result, Failure):
                yield target, result
                continue
            report, content = result
            if content is not None:
                write_whole(Path(target), content)
            yield target, report
        if watch is not None:
            spent = time.monotonic() - began
            watch(Progress(done, done, len(pairs), spent, done / spent if spent else 0.0, 0, 0))


def photo_plan(
    machines: Machines, job: Any, pairs: Sequence[tuple[Name, Name]], quality: int
) -> Plan:
    """Plan some photos, painted by one task."""
    given = [Input.of(source) for source, _ in pairs]
    targets = [target for _, target in pairs]
    try:
        (results,) = yield [Request(tasks.paint_photos, (job, given, targets, quality))]
    finally:
        for one in given:
            machines.forget(one.name)
    return results
