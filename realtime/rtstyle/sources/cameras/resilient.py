"""A live source that outlives its camera: placards while it is away, then it continues.

The threads of a run are `pipeline`'s, but for this one. A camera's driver can block in a read
for ever (an unplugged USB camera, a stalled network), and no timeout of ours reaches into it. So
each opened camera is read by a thread of its own, named `rtstyle-camera-N`, that can be left
behind: it frees its camera when the driver lets go of it, and cannot keep the program from ending.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import Protocol

import cv2
import numpy as np

from rtstyle.errors import SourceError
from rtstyle.frame import Frame, Image
from rtstyle.sources.base import Source
from rtstyle.sources.cameras.placard import draw_placard

MICROSECOND = Fraction(1, 1_000_000)
FIRST_DELAY, LONGEST_DELAY = 0.5, 8.0
"""Seconds before the first attempt to open a lost camera again; each further one waits twice."""
PLACARD_RATE = 4
"""Placards a second while there is no picture."""
SETTLING, MEASURED_FOR = 0.5, 1.0
"""Seconds of pictures that are left out (a stream begins with a burst), and then measured."""
MOST_STUCK = 6
"""Readers left behind in a driver at once; beyond, nothing more is opened until one returns."""
CLOSING_PATIENCE = 1.0

_numbers = count()


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture, (H, W, 3) uint8 RGB, and `time.monotonic()` of the moment that it shows."""

    image: Image
    at: float


class StreamEndedError(Exception):
    """The stream came to its proper end, as a film does; there is nothing to wait for."""


class Capture(Protocol):
    """An opened camera. One thread makes it, reads it and closes it."""

    rate: Fraction | None
    """Pictures a second by its own account."""
    note: str
    """What else `describe` should say of it, such as the pixel format."""

    def read(self) -> Shot | None:
        """Wait for the next picture; None when the camera gives no more, for whatever reason.

        Raises `StreamEndedError` at the proper end of a stream.
        """

    def close(self) -> None:
        """Let go of the camera."""


class Reader:
    """Opens and reads one capture in a thread, until it fails or is abandoned.

    The newest `depth` pictures wait in `shots`. All attributes are guarded by `news`, which is
    notified at every change.
    """

    def __init__(
        self, opener: Callable[[], Capture], news: threading.Condition, depth: int = 1
    ) -> None:
        self._opener, self._news, self._depth = opener, news, depth
        self.shots: deque[Shot] = deque()
        self.overtaken = 0
        self.error: Exception | None = None
        self.alive, self.ended, self.abandoned = True, False, False
        self.rate: Fraction | None = None
        self.note = ""
        self.thread = threading.Thread(
            target=self._run, name=f"rtstyle-camera-{next(_numbers)}", daemon=True
        )
        self.thread.start()

    def _run(self) -> None:
        error: Exception | None = None
        ended = False
        try:
            self._read_all()
        except StreamEndedError:
            ended = True
        except Exception as problem:
            error = problem
        with self._news:
            self.error, self.ended, self.alive = error, ended, False
            self._news.notify_all()

    def _read_all(self) -> None:
        capture = self._opener()
        try:
            self.rate, self.note = capture.rate, capture.note
            while not self.abandoned:
                shot = capture.read()
                if shot is None:
                    return
                with self._news:
                    if len(self.shots) == self._depth:
                        self.shots.popleft()
                        self.overtaken += 1
                    self.shots.append(shot)
                    self._news.notify_all()
        finally:
            capture.close()


class ResilientSource(Source):
    """Pictures of whatever `opener` opens, without end: it never hangs and never dies.

    `open` waits at most `open_patience` seconds for the first picture, which sets the size, and
    raises `SourceError` if none comes: this is the only way to fail. Afterwards, when the camera
    fails or gives nothing for `patience` seconds, placards come at `PLACARD_RATE` and the camera
    is opened again and again, after 0.5 s, 1 s, 2 s and so on up to 8 s. `counts` has
    "reconnects", "placards", "stalled" (times the camera fell silent without failing) and
    "overtaken" (pictures replaced by newer ones before they were asked for; their `index` is
    skipped). Time stamps are microseconds since the first picture.

    `opener` is called in a thread; what it raises at the first time is raised by `open`. `clock`
    and `wait` (condition, seconds) stand in for the time in tests; `depth` is how many unread
    pictures are kept, each one more delay.
    """

    live = True

    def __init__(
        self,
        name: str,
        opener: Callable[[], Capture],
        *,
        patience: float = 2.0,
        open_patience: float = 10.0,
        depth: int = 1,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        super().__init__()
        self.name = name
        self.measured_rate: float | None = None
        """Pictures a second as they truly came in the beginning, None for the first 1.5 s."""
        self.note = ""
        self._opener, self._depth = opener, depth
        self._patience, self._open_patience = patience, open_patience
        self._clock, self._wait = clock, wait
        self._news = threading.Condition()
        self._reader: Reader | None = None
        self._left_behind: list[Reader] = []
        self._opened = self._stopped = self._lost = False
        self._index, self._last_pts = 0, -1
        self._delay = FIRST_DELAY
        self._began = self._heard = self._retry_at = self._deadline = self._placard_at = 0.0
        self._settled: tuple[int, float] | None = None
        self._picture: Image | None = None

    @property
    def lost(self) -> bool:
        """Whether placards are shown at present, because there is no picture."""
        return self._lost

    def open(self) -> None:
        """Open the camera and wait for its first picture, which shows the true size."""
        if self._opened:
            return
        with self._news:
            reader = self._reader = Reader(self._opener, self._news, self._depth)
            deadline = self._clock() + self._open_patience
            while reader.alive and not reader.shots and not self._stopped:
                left = deadline - self._clock()
                if left <= 0:
                    break
                self._wait(self._news, left)
            if not reader.shots:
                self._abandon()
                raise self._no_first_picture(reader)
            first = reader.shots[0]
            self._began, self._heard = first.at, self._clock()
            self.height, self.width = first.image.shape[:2]
            self.rate, self.note = reader.rate, reader.note
            self._opened = True

    def close(self) -> None:
        """Let go of the camera; a reader that hangs in the driver is left behind."""
        with self._news:
            reader = self._reader
            self._abandon()
            self._opened = False
        if reader is not None and reader.thread is not threading.current_thread():
            reader.thread.join(CLOSING_PATIENCE)

    def stop(self) -> None:
        """Wake a waiting iteration and end it at once."""
        with self._news:
            self._stopped = True
            self._news.notify_all()

    def describe(self) -> str:
        """Say what the camera gives: by its own account, and as measured once that is known."""
        note = f" {self.note}" if self.note else ""
        given = f" at {float(self.rate):g} FPS" if self.rate else ""
        measured = f", measured {self.measured_rate:.1f} FPS" if self.measured_rate else ""
        return f"{self.name}: {self.width}x{self.height}{note}{given}{measured}"

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        while (shot := self._next()) is not None:
            yield self._frame(shot)

    def _next(self) -> Shot | None:
        """Return the next picture, of the camera or else a placard; None at the end."""
        with self._news:
            while not self._stopped:
                reader = self._reader
                if reader is not None and reader.shots:
                    return self._take(reader)
                if reader is not None and reader.ended:
                    return None
                due = self._watch() if self._lost else self._watch_for_loss()
                now = self._clock()
                if self._lost and now >= self._placard_at:
                    self._placard_at = now + 1 / PLACARD_RATE
                    self.counts["placards"] += 1
                    return Shot(self._placard(now), now)
                due = min(due, self._placard_at) if self._lost else due
                self._wait(self._news, max(0.0, due - now))
            return None

    def _take(self, reader: Reader) -> Shot:
        shot = reader.shots.popleft()
        if reader.overtaken:
            self._index += reader.overtaken
            self.counts["overtaken"] += reader.overtaken
            reader.overtaken = 0
        self._heard = self._clock()
        if self._lost:
            self._lost, self._delay = False, FIRST_DELAY
            self.counts["reconnects"] += 1
        elif self.measured_rate is None and not self.counts["reconnects"]:
            self._measure(shot.at)
        self._picture = shot.image
        return shot

    def _measure(self, at: float) -> None:
        """Note the rate once enough pictures have come; `_index` is the number of this one."""
        if self._settled is None:
            if at - self._began >= SETTLING:
                self._settled = self._index, at
            return
        number, since = self._settled
        if at - since >= MEASURED_FOR:
            self.measured_rate = (self._index - number) / (at - since)

    def _watch_for_loss(self) -> float:
        """Notice that the camera fails or is silent; return when to look again."""
        reader, now = self._reader, self._clock()
        silent = now >= self._heard + self._patience
        if reader is not None and reader.alive and not silent:
            return self._heard + self._patience
        if reader is not None and reader.alive:
            self.counts["stalled"] += 1
        self._abandon()
        self._lost, self._delay = True, FIRST_DELAY
        self._retry_at, self._placard_at = now + self._delay, now
        return self._retry_at

    def _watch(self) -> float:
        """Try to get a lost camera back; return when to look again."""
        reader, now = self._reader, self._clock()
        if reader is not None and (not reader.alive or now >= self._deadline):
            self._abandon()
            self._delay = min(LONGEST_DELAY, 2 * self._delay)
            self._retry_at = now + self._delay
            return self._retry_at
        if reader is not None:
            return self._deadline
        if now < self._retry_at:
            return self._retry_at
        self._left_behind = [r for r in self._left_behind if r.alive]
        if len(self._left_behind) >= MOST_STUCK:
            self._retry_at = now + LONGEST_DELAY
            return self._retry_at
        self._reader = Reader(self._opener, self._news, self._depth)
        self._deadline = now + self._open_patience
        return self._deadline

    def _abandon(self) -> None:
        """Tell the reader to end as soon as its driver lets it, and forget it."""
        if self._reader is not None:
            self._reader.abandoned = True
            self._left_behind.append(self._reader)
            self._reader = None

    def _placard(self, now: float) -> Image:
        left = self._retry_at - now
        when = "now" if self._reader is not None or left <= 0 else f"in {max(1, round(left))} s"
        return draw_placard(
            self.width,
            self.height,
            f"No picture from {self.name}",
            f"trying again {when}",
            self._picture,
        )

    def _frame(self, shot: Shot) -> Frame:
        self._last_pts = max(self._last_pts + 1, int((shot.at - self._began) * 1e6))
        image = shot.image
        if image.shape[:2] != (self.height, self.width):
            self.counts["frames of another size"] += 1
            image = np.asarray(cv2.resize(image, (self.width, self.height)), np.uint8)
        frame = Frame(image, self._index, self._last_pts, MICROSECOND, shot.at)
        self._index += 1
        return frame

    def _no_first_picture(self, reader: Reader) -> SourceError:
        if isinstance(reader.error, SourceError):
            return reader.error
        if reader.error is not None:
            why = str(reader.error) or type(reader.error).__name__
        elif reader.alive:
            why = f"It gave none within {self._open_patience:g} s."
        else:
            why = "It opens but gives no picture; another program may be using it."
        return self.missing(why)

    def missing(self, why: str) -> SourceError:
        """Return the error for a camera without a first picture."""
        return SourceError(f"There is no picture from {self.name}.", why)
