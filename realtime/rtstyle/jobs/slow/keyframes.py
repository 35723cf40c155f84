"""Painted keyframes of a video: pictures, an index with time stamps, and a contact sheet.

The index is written after every picture, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from rtstyle.errors import SinkError, SourceError, UsageError, reason
from rtstyle.files.pending import check_folder
from rtstyle.files.temporary import replacing
from rtstyle.frame import Image
from rtstyle.jobs.outputs import refuse_loss
from rtstyle.jobs.sheet import CELL_PIXELS, compose, shrink
from rtstyle.jobs.slow.shots import Moment, choose, find_shots
from rtstyle.jobs.slow.still import THRESHOLD, Paintings, painting_files
from rtstyle.jobs.slow.still_photo import read_paintings
from rtstyle.media.color import resize
from rtstyle.media.picture import Picture, read_picture, write_picture
from rtstyle.painting.flow import FlowChain, carry
from rtstyle.sources.base import Source
from rtstyle.sources.video_file import VideoFileSource

INDEX = "index.json"
SHEET = "sheet.png"
KEY = re.compile(r"key_\d{5,}\.png")
"""Names of the pictures."""
VERSION = 2
SHEET_PIXELS = 12_000_000
"""About how large a contact sheet may become."""


Known: TypeAlias = Callable[[Image], Image]
"""Lays what the last keyframe knows over a picture (H, W, 3) uint8 of the present one: its own
picture, moved by optical flow, where that can be trusted."""


class Painter(Protocol):
    """Paints keyframes; `share` (0 to 1) is the weight of what is known where it is trusted."""

    share: float

    def __call__(self, photo: Image, known: Known | None) -> Image:
        """Paint (H, W, 3) uint8 RGB; `known` is None for the first keyframe of a shot."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What is painted: one keyframe a shot, or one `every` so many seconds.

    `threshold` is that of a cut, `size` the long side of a keyframe in pixels. `options` are all
    others that decide the result; a run with different ones cannot go on in the same folder.
    """

    every: float | None = None
    threshold: float = THRESHOLD
    size: int = 512
    options: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "options": dict(self.options or {})}


class Index:
    """The index of a folder: the moments to be painted, and which are done."""

    def __init__(self, folder: Path, video: Mapping[str, Any], job: Job) -> None:
        self.folder, self.path = folder, folder / INDEX
        self._identity = json.loads(json.dumps({"video": dict(video), "job": job.to_json()}))
        self.moments: list[Moment] = []
        self.shots: list[dict[str, Any]] = []
        self.done: set[int] = set()

    def load(self) -> bool:
        """Take over what an earlier run left; False if there was none. Raises `UsageError`."""
        if not self.path.exists():
            return False
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            same = {key: content[key] for key in ("version", *self._identity)}
            moments = [Moment(k["frame"], k["time"], k["shot"]) for k in content["keyframes"]]
            done = {n for n, k in enumerate(content["keyframes"]) if k["done"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{self.path} is not an index of keyframes.", str(error), "Name another folder."
            ) from error
        if same != {"version": VERSION, **self._identity}:
            raise UsageError(
                f"{self.folder} holds other keyframes.",
                "They are of another video or painting, or with other options.",
                "Repeat those options to continue, name another folder, or pass --overwrite.",
            )
        self.moments, self.shots = moments, content["shots"]
        self.done = {number for number in done if self.picture(number).is_file()}
        return True

    def picture(self, number: int) -> Path:
        """Return the file of a keyframe."""
        return self.folder / f"key_{number + 1:05d}.png"

    def forget_others(self) -> None:
        """Remove the pictures of an earlier run that this one does not paint anew.

        They are those that the index in the folder names. Raises `SinkError`.
        """
        mine = {self.picture(number).name for number in range(len(self.moments))}
        for name in sorted(named_pictures(self.path) - mine):
            try:
                (self.folder / name).unlink(missing_ok=True)
            except OSError as error:
                raise SinkError(
                    f"{self.folder / name} cannot be removed.", reason(error)
                ) from error

    def save(self) -> None:
        """Write the index, whole or not at all. Raises `SinkError`."""
        keyframes = [
            {"file": self.picture(number).name, **asdict(moment), "done": number in self.done}
            for number, moment in enumerate(self.moments)
        ]
        content = {
            "version": VERSION, **self._identity, "shots": self.shots, "keyframes": keyframes
        }  # fmt: skip
        try:
            with replacing(self.path) as fresh:
                fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise SinkError(f"{self.path} cannot be written.", reason(error)) from error


def named_pictures(path: Path) -> set[str]:
    """Return the names of keyframes in an index file; none if it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {str(keyframe["file"]) for keyframe in content["keyframes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if KEY.fullmatch(name)}


def identify(file: Path) -> dict[str, Any]:
    """Return what tells one video or painting from another. Raises `SourceError`."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as content:
            # All of it: finding the shots takes longer, and two videos may differ in one frame.
            while part := content.read(1 << 20):
                digest.update(part)
    except OSError as error:
        raise SourceError(f"{file} cannot be read.", reason(error)) from error
    return {"name": file.name, "sha256": digest.hexdigest()}


def paint_video(
    video: Path,
    folder: Path,
    style: str,
    job: Job,
    make_painter: Callable[[Paintings, int, int], Painter],
    *,
    overwrite: bool,
    tell: Callable[[str], None],
    on_picture: Callable[[Path, str], None],
) -> tuple[bool, str]:
    """Paint the keyframes of a video; return whether all are done, and say what was done.

    `style` is one painting or several, as `read_paintings` takes them. `make_painter` gets them and
    the rows and columns of keyframes. `tell` is told what was mended in the video, `on_picture`
    each file and its time. Ctrl-C ends it; the same call goes on. Raises `UsageError`,
    `SourceError`, `SinkError`, or what `make_painter` and the painter raise.
    """
    paintings, files = read_paintings(style), painting_files(style)
    known = [{**identify(path), "weight": weight} for path, weight in files]
    job = replace(job, options={"style": known, **(job.options or {})})
    with VideoFileSource(video):
        pass  # say now what is wrong with the video
    prepare(folder, overwrite=overwrite, read=[video, *(path for path, _ in files)])
    index = Index(folder, identify(video), job)
    fresh: list[int] = []

    def note(number: int, path: Path) -> None:
        fresh.append(number)
        on_picture(path, clock(index.moments[number].time))

    try:
        opened = partial(VideoFileSource, video)
        for mended in plan(index, opened, job, lambda _: None, overwrite=overwrite):
            tell(f"  note: {mended}")
        paint(index, opened, partial(make_painter, paintings), job, note)
    except KeyboardInterrupt:
        return False, summary(index, fresh)
    return True, summary(index, fresh)


def prepare(folder: Path, *, overwrite: bool, read: Iterable[Path] = ()) -> None:
    """Make the folder. Raises `SinkError`, or `UsageError` where files would be lost.

    These are the files that are `read`, and without `overwrite` pictures of no earlier run.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise SinkError(f"The folder {folder} cannot be used.", reason(error)) from error
    check_folder(folder)
    old = [folder / name for name in names if name == SHEET or KEY.fullmatch(name)]
    read = list(read)
    for file in old:
        if file.exists():
            refuse_loss(file, read)
    if old and not overwrite and INDEX not in names:
        raise UsageError(
            f"{old[0]} exists already.", "", "Name another folder, or pass --overwrite."
        )


def plan(
    index: Index,
    open_source: Callable[[], Source],
    job: Job,
    progress: Callable[[float], None],
    *,
    overwrite: bool = False,
) -> list[str]:
    """Find the shots and choose the moments, unless an earlier run did.

    With `overwrite` begin anew. Returns what had to be mended in the video while reading it.
    """
    if not overwrite and index.load():
        return []
    source = open_source()
    shots, times = find_shots(source, job.threshold, progress)
    index.moments = choose(shots, times, job.every)
    index.shots = [asdict(shot) for shot in shots]
    index.forget_others()
    index.save()
    return [f"{count} {what}" for what, count in sorted(source.counts.items())]


def paint(
    index: Index,
    open_source: Callable[[], Source],
    make_painter: Callable[[int, int], Painter],
    job: Job,
    on_picture: Callable[[int, Path], None] = lambda *_: None,
) -> None:
    """Paint the moments of an index that are left, and the contact sheet.

    `make_painter` gets rows and columns of the keyframes. `on_picture` gets the number and the
    file of each one. Raises what sources, painters and `write_picture` raise.
    """
    left = [n for n in range(len(index.moments)) if n not in index.done]
    if left:
        with open_source() as source:
            _paint_left(index, source, make_painter, job, on_picture)
    draw_sheet(index)


def _paint_left(
    index: Index,
    source: Source,
    make_painter: Callable[[int, int], Painter],
    job: Job,
    on_picture: Callable[[int, Path], None],
) -> None:
    height, width = keyframe_size(source, job.size)
    painter = make_painter(height, width)
    numbers = {moment.frame: number for number, moment in enumerate(index.moments)}
    last = max(n for n in range(len(index.moments)) if n not in index.done)
    chain: FlowChain | None = None
    painted: Image | None = None
    for frame in source:
        number = numbers.get(frame.index)
        if chain is None and number is None:
            continue
        image = resize(frame.image, height, width)
        if chain is not None:
            chain.add(image)
        if number is None:
            continue
        file = index.picture(number)
        if number in index.done:
            painted = read_picture(file).rgb
        else:
            known = None
            if chain is not None and painted is not None:
                known = lay(painted, chain, image, painter.share)
            painted = painter(image, known)
            write_picture(Picture(painted), file)
            index.done.add(number)
            index.save()
            on_picture(number, file)
        if number == last:
            return
        followed = index.moments[number + 1].shot == index.moments[number].shot
        chain = FlowChain(image) if followed else None


def lay(painted: Image, chain: FlowChain, photo: Image, share: float) -> Known:
    """Return what lays `painted`, the keyframe that `chain` began at, over pictures of `photo`."""
    return partial(carry, painted=painted, where=chain.where, trust=chain.trust(photo), share=share)


def keyframe_size(source: Source, long_side: int) -> tuple[int, int]:
    """Return rows and columns with at most `long_side` pixels, in the shape that is shown."""
    height, width = float(source.height), float(source.width)
    if source.sample_aspect_ratio:
        width *= float(source.sample_aspect_ratio)
    factor = min(1.0, long_side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def draw_sheet(index: Index) -> None:
    """Write the contact sheet of all keyframes with their time stamps."""

    numbers = sorted(index.done)
    if not numbers:
        return
    area = min(CELL_PIXELS, SHEET_PIXELS / len(numbers))
    cells = [shrink(read_picture(index.picture(number)).rgb, area) for number in numbers]
    labels = [(clock(index.moments[n].time), f"shot {index.moments[n].shot + 1}") for n in numbers]
    write_picture(Picture(compose(cells, labels)), index.folder / SHEET)


def clock(seconds: float) -> str:
    """Return a time as 0:05.20 or 1:02:03.50."""
    minutes, rest = divmod(round(max(0.0, seconds) * 100), 6000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 100:02d}.{rest % 100:02d}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def summary(index: Index, fresh: Sequence[int]) -> str:
    """Say what a run has done."""
    shots = len({moment.shot for moment in index.moments})
    old = len(index.done) - len(fresh)
    before = f", {old} of them before" if old else ""
    return f"{len(index.done)} keyframes of {shots} shots{before}"
