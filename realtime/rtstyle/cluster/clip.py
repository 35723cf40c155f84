"""One video on a cluster: surveyed, cut, painted in parts, joined; or painted at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

import rtstyle
from rtstyle.cluster import tasks
from rtstyle.cluster.inputs import Input
from rtstyle.cluster.machines.base import Machines
from rtstyle.cluster.plans import FailedError, Plan, Request
from rtstyle.cluster.stores import Name, StateFolder, is_store, shown, stamp
from rtstyle.errors import UsageError
from rtstyle.files.whole import write_whole
from rtstyle.jobs.journal import identity
from rtstyle.jobs.mask_video import as_video
from rtstyle.jobs.parts.paint import Clip, Painted, Work, as_known
from rtstyle.jobs.parts.survey import Part, Survey, parts_of, where_cuts_count
from rtstyle.media.container import as_media
from rtstyle.sinks.encoding.codecs import CONTAINERS
from rtstyle.sinks.encoding.encoders import choose_encoder
from rtstyle.sinks.encoding.settings import for_one_of_several
from rtstyle.sinks.tracks.picture_track import segment_length
from rtstyle.sinks.tracks.segment_file import read_head
from rtstyle.sinks.video_file import DEFAULT_RATE, encoder_threads

if TYPE_CHECKING:
    from rtstyle.styles.recipe import Recipe

WHOLE = ("start", "end", "rate", "side_by_side", "deinterlace", "background", "precision",
         "encoding", "audio", "keep_location")  # fmt: skip
"""Options of a video that is painted at once."""


@dataclass
class Done:
    """What became of a video: its output, frames, size of pictures, bytes, parts, and notes.

    `whole` says why it was painted at once, `kept` how many parts were there from an earlier run.
    """

    target: Name
    frames: int
    width: int
    height: int
    bytes: int
    parts: int
    kept: int = 0
    whole: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass
class Run:
    """What all videos of a run share. `options` are those of `stylize_video`.

    `found` is told the frames of each video, by key, and `painted` those of each task that ended.
    """

    machines: Machines
    job: Any
    recipe: Recipe
    coherent: bool
    options: dict[str, Any]
    found: Callable[[str, int | None, float], None]
    painted: Callable[[str, int, int], None]


def paint_clip(run: Run, source: Name, target: Name) -> Plan:
    """Plan one video; what comes of it is a `Done`."""
    given, options = Input.of(source), run.options
    try:
        (looked,) = yield [
            Request(
                tasks.look_at,
                (given, options["start"], options["end"], options["rate"], options["deinterlace"]),
                light=True,
            )
        ]
        found: Survey = looked[0]
        whole = why_at_once(run, found, target)
        run.found(str(source), len(found.times) or found.frames, found.seconds)
        if not whole:
            try:
                return (yield from in_parts(run, given, target, found, looked[1]))
            except FailedError as error:
                if error.kind != "frames":
                    raise
                # A container that lists other frames than come when it is entered in the middle.
                whole = "it cannot be entered in the middle"
                StateFolder(target).remove()
        return (yield from at_once(run, given, target, whole))
    finally:
        run.machines.forget(given.name)


def why_at_once(run: Run, found: Survey, target: Name) -> str:
    """Return why a video must be painted at once, nothing where it need not."""
    if Path(str(target)).suffix.lower() not in CONTAINERS:
        return "the output is not a video file"
    if as_video(run.recipe.mask) is not None:
        return "the mask is a video"
    return found.whole


def at_once(run: Run, given: Input, target: Name, why: str) -> Plan:
    """Plan a video that one task paints."""
    options = {name: run.options[name] for name in WHOLE}
    options["encoding"] = for_one_of_several(options["encoding"], target)
    key = str(given.name)
    ((painted, notes, content),) = yield [
        Request(
            tasks.paint_whole,
            (run.job, given, target, options, run.machines.tally(), key),
            key=key,
        )
    ]
    if content is not None:
        write_whole(Path(target), content)
    run.painted(key, painted.frames, painted.size)
    return Done(
        target, painted.frames, painted.width, painted.height, painted.size, 1, whole=why,
        notes=notes,
    )  # fmt: skip


def in_parts(run: Run, given: Input, target: Name, found: Survey, sphere: bool) -> Plan:
    """Plan a video that is cut."""
    work = work_of(run, found, target)
    state = StateFolder(target)
    about = identity_of(run, given, found, work)
    noted = state.read()
    same = isinstance(noted, dict) and noted.get("about") == about
    if not same and noted is not None:
        if run.options["resume"]:
            raise UsageError(
                f"{shown(state.name)} belongs to a run with other options.",
                "",
                "Repeat the options of that run, or leave out --resume to begin anew.",
            )
        state.remove()
    cuts = noted.get("cuts") if same else None
    if run.coherent and not sphere and cuts is None:
        cuts = yield from cuts_that_count(given, found, work)
    if not same:
        state.begin({"about": about, "cuts": cuts})
    parts = parts_of(len(found.times), work.length, cuts)
    there = state.files()
    kept = [part for part in parts if part.name in there]
    for part in kept:
        run.painted(f"{given.name}:{part.name}", part.end - part.begin, 0)
    left = [part for part in parts if part.name not in there]
    results: list[tuple[Painted, Any]] = []
    if left:
        results = yield [request_of(run, given, work, found, part, state) for part in left]
    return (yield from joined(run, given, target, work, parts, state, results, len(kept)))


def work_of(run: Run, found: Survey, target: Name) -> Work:
    """Return what all parts of a video share."""
    options = run.options
    kind = CONTAINERS[Path(str(target)).suffix.lower()]
    encoding = as_known(options, found)
    deep = found.depth > 8 and encoding.wants_depth
    rate = found.rate or DEFAULT_RATE
    if run.recipe.sweep is not None and not found.frames:
        raise UsageError(
            "The video does not say how long it is.", "A sweep needs it.", "Convert it first."
        )
    # The encoder that this machine would take alone.
    chosen = encoder_here(encoding, kind, found, rate, options["side_by_side"], run.recipe.height)
    encoding = replace(encoding, codec="auto", encoder=chosen)
    return Work(
        run.recipe, encoding, kind, segment_length(rate), encoder_threads(), options["start"],
        options["end"], options["side_by_side"], options["deinterlace"], options["background"],
        deep,
    )  # fmt: skip


def encoder_here(
    encoding: Any, kind: str, found: Survey, rate: Fraction, beside: bool, height: int | None
) -> str:
    """Return FFmpeg's name of the encoder that this machine takes. Raises `SinkError`."""
    rows, columns = found.height, found.width
    if height is not None:
        rows, columns = height, 2 * max(1, round(found.width * height / found.height / 2))
    container: Any = av.open(os.devnull, "w", format=kind)
    try:
        chosen = choose_encoder(encoding, container, columns * (1 + beside), rows, rate)
    finally:
        container.close()
    return str(chosen.name)


def identity_of(run: Run, given: Input, found: Survey, work: Work) -> Any:
    """Return all that decides the pictures of a video, as JSON gives it back."""
    media = as_media(given.name)
    about = identity(
        media, run.recipe, work.encoding, start=work.start, end=work.end,
        side_by_side=work.side_by_side, deinterlace=work.deinterlace, background=work.background,
    )  # fmt: skip
    more = {
        "stamp": stamp(given.name) if is_store(given.name) else None,
        "frames": len(found.times), "length": work.length, "threads": work.threads,
        "kind": work.kind, "device": run.options["device"], "precision": run.options["precision"],
        "version": rtstyle.__version__,
    }  # fmt: skip
    return json.loads(json.dumps({**about, **more}, default=str))


def cuts_that_count(given: Input, found: Survey, work: Work) -> Plan:
    """Plan the search for cuts: each task looks at the frames around the begin of a segment."""
    spans = where_cuts_count(len(found.times), work.length)
    results = yield [
        Request(tasks.cuts_of, (given, work, Clip.of(found, *span)), light=True) for span in spans
    ]
    return sorted(cut for cuts in results for cut in cuts)


def request_of(
    run: Run, given: Input, work: Work, found: Survey, part: Part, state: StateFolder
) -> Request:
    """Return the task that paints a part; its result is kept at once."""
    key = f"{given.name}:{part.name}"
    clip = Clip.of(found, part.first, part.end)
    shared = state if state.shared else None
    return Request(
        tasks.paint,
        (run.job, given, work, clip, part, shared, run.machines.tally(), key),
        key=key,
        frames=part.end - part.begin,
        done=partial(keep, run, key, part, state),
    )


def keep(run: Run, key: str, part: Part, state: StateFolder, result: Any) -> None:
    """Keep the file of a part that was painted."""
    painted, content = result
    if content is not None:
        state.write(part.name, content)
    run.painted(key, painted.frames, painted.size)


def joined(
    run: Run,
    given: Input,
    target: Name,
    work: Work,
    parts: Sequence[Part],
    state: StateFolder,
    results: Sequence[tuple[Painted, Any]],
    kept: int,
) -> Plan:
    """Plan the join: here for a file of this machine, on a machine of the cluster for a store."""
    options = {name: run.options[name] for name in ("audio", "keep_location")}
    args = (given, target, work, state, [part.name for part in parts])
    if state.shared:
        ((size, notes),) = yield [Request(tasks.join, args, light=True, options=options)]
    else:
        outcome = tasks.join(*args, **options)
        if isinstance(outcome, tasks.Failure):
            raise FailedError(outcome)
        size, notes = outcome
    width, height = state_size(state, parts)
    state.remove()
    counts: dict[str, int] = {}
    for painted, _ in results:
        for what, count in painted.counts.items():
            counts[what] = counts.get(what, 0) + count
    told = [f"{count} {what}" for what, count in sorted(counts.items())]
    # What is told after the last task: a part may be lost at any moment before.
    tasks_told = run.machines.progress()
    keys = (f"{given.name}:{part.name}" for part in parts)
    again = sum(tasks_told[key].begun > 1 for key in keys if key in tasks_told)
    if again:
        told.append(f"{again} parts were painted again: their process or machine was lost")
    return Done(
        target, parts[-1].end, width, height, size, len(parts), kept, notes=told + list(notes)
    )


def state_size(state: StateFolder, parts: Sequence[Part]) -> tuple[int, int]:
    """Return width and height of painted parts."""

    with state.opener(parts[0].name)() as file:
        head = read_head(file)
    height, width = head["encoder"]["shape"]
    return int(width), int(height)
