"""Photos and short videos that pages send to be painted: one at a time, each in its own process."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rtstyle
from rtstyle.errors import UsageError
from rtstyle.live.naming import split_names
from rtstyle.serve.clients.lobby import FullError
from rtstyle.serve.gallery.pictures import tidy

COMMAND = [sys.executable, "-m", "rtstyle.serve.paint_apart"]
WAITING = 4
"""Files that wait for their turn, those that are still on their way among them."""
SECONDS = 900.0
"""How long painting one may take."""
KEPT = 6
"""Results that are kept for their pages; the oldest goes first."""
KEPT_FOR = 1800.0
"""Seconds that a result is kept."""
LINE = 65_536
"""Bytes of the longest line of a report."""
VIDEOS = {".mp4": (4, b"ftyp"), ".mkv": (0, b"\x1a\x45\xdf\xa3"), ".avi": (8, b"AVI ")}
"""Where which bytes say that a file is a video that is taken.

Nothing else is: FFmpeg also knows lists of other files and addresses, which it would open.
"""
PHOTOS = {
    ".jpg": (b"\xff\xd8\xff",),
    ".png": (b"\x89PNG",),
    ".tif": (b"II*\0", b"MM\0*"),
    ".bmp": (b"BM",),
    ".gif": (b"GIF8",),
}
AVIF = (b"avif", b"avis", b"mif1")
HEAD = 12
"""Bytes that tell what a file is."""


@dataclass(eq=False)
class Job:
    """One file. `settings` are those of a `Recipe`; `state` says how far it is.

    `state` is waiting, painting, done, failed or stopped; `progress` goes from 0 to 1.
    """

    title: str
    source: Path
    output: Path
    settings: dict[str, Any]
    state: str = "waiting"
    progress: float = 0.0
    error: str = ""
    notes: list[str] = field(default_factory=list)
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    ended: float = 0.0

    @property
    def file_name(self) -> str:
        """What the result is saved as."""
        return f"{Path(self.title).stem or 'painted'}-painted{self.output.suffix}"


def kind_of(head: bytes) -> tuple[str, str]:
    """Return the suffixes of a file that begins like this and of its painting.

    Raises `UsageError` for what is not painted.
    """
    brand = head[8:12]
    if head[4:8] == b"ftyp" and brand in AVIF:
        return ".avif", ".jpg"
    for suffix, (at, mark) in VIDEOS.items():
        if head[at : at + len(mark)] == mark:
            return suffix, ".mp4"
    if head.startswith(b"RIFF") and brand == b"WEBP":
        return ".webp", ".jpg"
    for suffix, marks in PHOTOS.items():
        if head.startswith(marks):
            return suffix, ".png" if suffix == ".png" else ".jpg"
    raise UsageError(
        "This is neither a photo nor a video that can be painted.",
        "",
        "Use JPEG, PNG, WebP, MP4, MOV, WebM or MKV.",
    )


class PaintJobs:
    """The queue. Lives on the event loop; `close` ends what is under way.

    Files lie in `folder`, which is made when the first one comes.
    """

    def __init__(self, folder: Path, device: str = "auto", precision: str = "auto") -> None:
        self.folder, self._device, self._precision = folder, device, precision
        self.jobs: dict[str, Job] = {}
        self.arriving = 0
        self._worker: asyncio.Task[None] | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._closed = False
        self._started_in = Path.cwd()

    def check_room(self) -> None:
        """Raise `FullError` where no more may wait."""
        waiting = sum(job.state == "waiting" for job in self.jobs.values()) + self.arriving
        if self._closed or waiting >= WAITING:
            why = f"{waiting} other files are waiting to be painted."
            raise FullError("The file is not taken.", why, "Please try again in a while.")

    def add(self, title: str, source: Path, suffix: str, settings: dict[str, Any]) -> Job:
        """Take a file that is there; `settings` are those of its recipe."""
        title = tidy(title) or "painted"
        job = Job(title, source, source.with_name(f"{source.stem}-painted{suffix}"), settings)
        self.jobs[job.id] = job
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())
        return job

    def find(self, name: str) -> Job | None:
        """Return a job that is still known."""
        self.forget()
        return self.jobs.get(name)

    def place(self, job: Job) -> int:
        """Return how many are before a job that waits."""
        open_jobs = [j for j in self.jobs.values() if j.state in ("waiting", "painting")]
        return open_jobs.index(job) if job in open_jobs else 0

    def remove(self, job: Job) -> None:
        """Stop a job, or delete its result."""
        if job.state == "painting":
            job.state = "stopped"
            if self._child is not None:
                with suppress(ProcessLookupError):
                    self._child.kill()
        else:
            self._delete(job)
        self.jobs.pop(job.id, None)

    def forget(self) -> None:
        """Delete the results that nobody has fetched for long, or that are too many."""
        ended = [job for job in self.jobs.values() if job.ended]
        now = time.monotonic()
        for number, job in enumerate(sorted(ended, key=lambda job: -job.ended)):
            if number >= KEPT or now - job.ended > KEPT_FOR:
                self.remove(job)

    async def close(self) -> None:
        """Stop what is under way, and take no more."""
        self._closed = True
        for job in list(self.jobs.values()):
            self.remove(job)
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        while job := next((j for j in self.jobs.values() if j.state == "waiting"), None):
            job.state = "painting"
            try:
                await asyncio.wait_for(self._paint(job), SECONDS)
            except asyncio.TimeoutError:
                self._fail(job, "Painting takes too long. Send a shorter or smaller one.")
            except (OSError, ValueError):
                self._fail(job, "Painting failed.")
            job.ended = time.monotonic()
            job.source.unlink(missing_ok=True)
            if job.state != "done":
                self._delete(job)
            self.forget()

    async def _paint(self, job: Job) -> None:
        request = {"source": str(job.source), "output": str(job.output), **job.settings}
        # Styles and folders of the server's may be named from where it was started.
        request["started_in"] = str(self._started_in)
        request |= {"device": self._device, "precision": self._precision}
        child = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE,
            # Where this package is, so that the same one is found, and nothing before it.
            cwd=Path(rtstyle.__file__).parents[1],
            # Ctrl-C is the server's to take.
            start_new_session=True,
        )
        self._child = child
        if job.state == "stopped":
            child.kill()
        try:
            await self._follow(job, child, json.dumps(request).encode() + b"\n")
        finally:
            self._child = None
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _follow(self, job: Job, child: asyncio.subprocess.Process, request: bytes) -> None:
        if child.stdin is None or child.stdout is None:
            raise OSError("no pipe")  # Both were asked for.
        with suppress(BrokenPipeError, ConnectionResetError):
            child.stdin.write(request)
            await child.stdin.drain()
        async for line in child.stdout:
            report = json.loads(line)
            job.progress = report.get("progress", job.progress)
            if "error" in report:
                self._fail(job, self._shown(report["error"], job))
            if "notes" in report:
                job.notes = [self._shown(note, job) for note in report["notes"]]
                job.state, job.progress = "done", 1.0
        await child.wait()
        if job.state == "painting":
            self._fail(job, f"{job.title} cannot be painted: its decoder failed.")

    def _shown(self, text: str, job: Job) -> str:
        """Return a text without our folders."""
        names = (str(job.source), str(job.output), job.source.name, job.output.name)
        for name in names:
            text = text.replace(name, job.title)
        for style in split_names(str(job.settings.get("style", ""))):
            text = text.replace(style, Path(style).name)
        return text.replace(str(self.folder), "the folder")

    def _fail(self, job: Job, error: str) -> None:
        if job.state != "stopped":
            job.state, job.error = "failed", error

    def _delete(self, job: Job) -> None:
        for path in (job.source, job.output):
            path.unlink(missing_ok=True)
        partial = job.output.with_name(f"{job.output.stem}.partial{job.output.suffix}")
        partial.unlink(missing_ok=True)
