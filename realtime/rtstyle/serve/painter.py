"""One thread that paints for everybody: each in turn, always their newest frame."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Generic, TypeVar

from rtstyle.closeable import Closing
from rtstyle.frame_queue import Pace
from rtstyle.live.look import Look
from rtstyle.live.rate import RateController, Rung, steady_ladder
from rtstyle.serve.defaults import TARGET_FPS

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

MEASURED = 60
"""Paintings whose median time says what the machine can carry."""
BESIDE = 1.25
"""How much longer a painting takes once video is decoded and encoded beside it, roughly."""
USUAL = (480, 640)
"""Rows and columns of most cameras; models are made warm for it."""
SMALLEST_SCALE = 0.5
"""Below this share of the rows a painting is a smear; rather fewer frames, or fewer clients."""


class Seat(Generic[T]):
    """The place of one client: its newest frame, and what is done with it.

    `work` is called in the painter's thread and returns True if it really painted; what it raises
    goes to `failed`, and the others are not disturbed. `rate` is what `Painter.hold` was told.
    """

    def __init__(self, work: Callable[[T], bool], failed: Callable[[Exception], None]) -> None:
        self.work, self.failed = work, failed
        self.waiting: T | None = None
        self.received = self.painted = self.dropped = 0
        self.rate: float | None = None
        self.pace = Pace()


class Painter(Closing):
    """Serves every seat in turn from one thread. Use as a context manager.

    `join`, `leave` and `offer` may be called from any thread and never wait for a painting.
    """

    def __init__(self, size: str = "fast", target: float = TARGET_FPS) -> None:
        self._seats: deque[Seat[object]] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._times: deque[float] = deque(maxlen=MEASURED)
        self._ladder = steady_ladder(size, SMALLEST_SCALE)
        self.target = target
        self._controller = RateController(target, self._ladder)
        self.received = self.painted = self.dropped = self.failures = 0
        self._thread = threading.Thread(target=self._run, name="rtstyle-paint", daemon=True)

    @property
    def rung(self) -> Rung:
        """The working resolution that holds the rate for all who are here."""
        return self._controller.rung

    @property
    def usual(self) -> tuple[int, int]:
        """Rows and columns at which the pictures of most cameras are painted now."""
        return Look(height=self.rung.height(USUAL[0])).working_size(*USUAL)

    @property
    def seconds(self) -> float | None:
        """Median time of one painting, conversions included; None before the first."""
        with self._changed:
            return median(self._times) if self._times else None

    @property
    def capacity(self) -> float | None:
        """Frames a second that the machine paints in all; None before the first."""
        seconds = self.seconds
        return 1.0 / seconds if seconds else None

    def join(self, work: Callable[[T], bool], failed: Callable[[Exception], None]) -> Seat[T]:
        """Give a client a seat; see `Seat`."""
        seat = Seat(work, failed)
        with self._changed:
            self._seats.append(seat)  # type: ignore[arg-type]
            self._aim()
        return seat

    def leave(self, seat: Seat[T]) -> None:
        """Take a seat away; a painting that is under way is still handed over."""
        with self._changed:
            if seat in self._seats:
                self._seats.remove(seat)  # type: ignore[arg-type]
            seat.waiting = None
            self._aim()

    def hold(self, seat: Seat[T], rate: float | None) -> None:
        """Paint no more than `rate` frames a second of a client; None: all that come.

        The working resolution, which all share, follows the highest rate of those who are here,
        and never more than the server's own.
        """
        with self._changed:
            seat.rate = rate
            seat.pace.limit(rate)
            self._aim()

    def _aim(self) -> None:
        rates = [self.target if seat.rate is None else seat.rate for seat in self._seats]
        self._controller.target = min(self.target, max(rates, default=self.target))

    def offer(self, seat: Seat[T], item: T, now: float | None = None) -> None:
        """Put a frame on a seat; one that still waited there is dropped and counted.

        So is one that exceeds the rate of the client, at the moment `now` (monotonic).
        """
        with self._changed:
            if seat not in self._seats:
                return
            seat.received += 1
            self.received += 1
            if seat.pace.too_soon(time.monotonic() if now is None else now):
                seat.dropped += 1
                self.dropped += 1
                return
            if seat.waiting is not None:
                seat.dropped += 1
                self.dropped += 1
            seat.waiting = item
            self._changed.notify()

    def measure(self, seconds: float) -> None:
        """Take in the time of one painting (also of those that warm the models up)."""
        with self._changed:
            self._times.append(seconds)

    def settle(self) -> None:
        """Begin at the working resolution that what was measured at the full one suggests.

        Else the first client would see a few seconds of stutter until the controller has found
        it. Call it before any seat is taken.
        """
        seconds, controller = self.seconds or 0.0, self._controller
        # What was measured was painted frame by frame.
        full = replace(self._ladder[0], coherent=False).cost
        fits = (BESIDE * seconds * rung.cost / full <= controller.budget for rung in self._ladder)
        start = next((at for at, good in enumerate(fits) if good), len(self._ladder) - 1)
        self._controller = RateController(controller.target, self._ladder, start)

    def close(self) -> None:
        """Stop after the painting that is under way; a second call does nothing."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _next(self) -> tuple[Seat[object], object, int] | None:
        """Wait for a frame; return it with its seat and the number of seats. None: stop."""
        with self._changed:
            while not self._stopped:
                if (turn := self._turn()) is not None:
                    return turn
                # Nothing here knows a seat while it waits: one that is left is freed.
                self._changed.wait()
        return None

    def _turn(self) -> tuple[Seat[object], object, int] | None:
        """Return a frame that waits, as `_next`; None where no seat has one."""
        for _ in range(len(self._seats)):
            seat = self._seats[0]
            # Whoever was looked at goes to the end, so nobody is served twice in a row while
            # another waits.
            self._seats.rotate(-1)
            if seat.waiting is not None:
                item, seat.waiting = seat.waiting, None
                return seat, item, len(self._seats)
        return None

    def _run(self) -> None:
        while (turn := self._next()) is not None:
            self._serve(*turn)
            # While no frame comes, nothing of a client that has left is kept here.
            del turn

    def _serve(self, seat: Seat[object], item: object, seats: int) -> None:
        began = time.monotonic()
        try:
            painted = seat.work(item)
        except Exception as error:
            self.failures += 1
            seat.failed(error)
            return
        now = time.monotonic()
        seat.painted += 1
        self.painted += 1
        if painted:
            self.measure(now - began)
            # Each frame of a client waits for one of everybody else's.
            self._controller.note(seats * (now - began), now)

    def __enter__(self) -> Self:
        self._thread.start()
        return self
