"""Wires source, workers and sinks together, and starts the threads of a run.

    capture thread ─▶ FrameQueue ─▶ worker threads ─▶ ReorderQueue ─▶ sinks, in the calling thread

Sinks run in the calling thread because windows must, and so that Ctrl-C finds nobody waiting.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtstyle.errors import UsageError
from rtstyle.frame import Frame, Image
from rtstyle.frame_painter import FramePainter, PreparingPainter, paint_one
from rtstyle.frame_queue import FrameQueue, Pace, Policy, ReorderQueue
from rtstyle.machine import heap
from rtstyle.report import LATENCIES_KEPT, Progress, Report
from rtstyle.signals import HANGUP, handled
from rtstyle.sinks.base import Sink, SinkClosedError
from rtstyle.sources.base import Source

LATEST, WAIT = Policy.LATEST, Policy.WAIT
CAPTURE_PATIENCE = 5.0
"""Seconds that a source may take to notice `stop`; a dead network camera is left behind."""


class Pipeline:
    """Runs every frame of `source` through `stylize` into all `sinks`, in order.

    `stylize` is a function of pictures, a `FramePainter`, or a `PreparingPainter` (of one worker).

    `policy` is `WAIT` (nothing is lost) or `LATEST` (the newest frame wins). `workers` threads call
    `stylize` at once, and `ahead` frames wait for them. `limit` ends the run after so many frames,
    `max_rate` lets no more than that many a second in and counts the others as drops. `progress` is
    called in the calling thread after each frame. Source and sinks are opened and closed here;
    after a signal of `ENDING` or `stop` the sinks keep what was done.
    """

    def __init__(
        self,
        source: Source,
        stylize: Callable[[Image], Image] | FramePainter | PreparingPainter,
        sinks: Sequence[Sink],
        *,
        policy: Policy = WAIT,
        workers: int = 1,
        ahead: int = 2,
        limit: int | None = None,
        max_rate: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        if workers < 1:
            raise UsageError(f"{workers} workers cannot do anything.", "", "Use 1 or more.")
        self.source, self.sinks = source, list(sinks)
        self._preparing = stylize if isinstance(stylize, PreparingPainter) else None
        if self._preparing is not None and workers > 1:
            raise UsageError("Frames that depend on each other take one worker.")
        self._paint_one = paint_one(stylize)
        self._workers, self._progress = workers, progress
        self._limit, self._live = limit, policy is LATEST
        self._pace = Pace(max_rate)
        self._excess = 0
        # Live: a single waiting frame, because each further one is only delay.
        self._todo: FrameQueue[Frame] = FrameQueue(1 if policy is LATEST else ahead, policy)
        # What is prepared is painted: a frame dropped in between would leave a gap.
        self._ready: FrameQueue[tuple[Frame, Any]] = FrameQueue(1)
        self._done: ReorderQueue[Frame] = ReorderQueue(workers + 1, workers)
        self._report = Report(workers=workers)
        self._errors: list[BaseException] = []
        self._busy_lock, self._first = threading.Lock(), threading.Lock()
        self._warm = False
        self._interrupted = self._stuck = False

    def limit_rate(self, max_rate: float | None) -> None:
        """Let no more than so many frames a second in from now on; may be called at any time."""
        self._pace.limit(max_rate)

    def stop(self) -> None:
        """End the run soon and keep what was done; may be called from any thread."""
        self._interrupted = True
        self._halt()

    def _halt(self) -> None:
        self.source.stop()
        self._todo.stop()
        self._ready.stop()
        self._done.stop()

    def run(self) -> Report:
        """Run to the end of the source, and return the report.

        An exception of any stage ends all of them and is raised here; the sinks are then
        aborted. Ctrl-C, `stop` and a closed window end the run with `stopped` in the report.
        """
        opened: list[Sink] = []
        try:
            for sink in self.sinks:
                opened.append(sink)
                sink.open()
            self.source.open()
            with one_opencv_thread(), self._catch_interrupt():
                self._run_stages()
                if self._errors:
                    raise self._errors[0]
                # A live run has no other end than being stopped.
                complete = self._live or not self._report.stopped
                for sink in opened:
                    sink.close(complete)
        except BaseException:
            for sink in opened:
                # What went wrong first is told; no sink may keep the others from clearing away.
                with suppress(Exception):
                    sink.abort()
            raise
        finally:
            if self._live:
                gc.unfreeze()
            if not self._stuck:
                self.source.close()
        return self._report

    def _run_stages(self) -> None:
        threads = [
            threading.Thread(target=self._guard, args=(work,), name=f"rtstyle-{name}", daemon=True)
            for name, work in self._stages()
        ]
        self._began = time.monotonic()
        for thread in threads:
            thread.start()
        # Until it has been seen to end: the second Ctrl-C may come while it is waited for.
        self._stuck = True
        try:
            self._report.stopped = not self._show_all()
        except SinkClosedError:
            self._report.stopped = True
        except BaseException as error:
            self._errors.append(error)
        finally:
            self._halt()
            for thread in threads:
                thread.join(CAPTURE_PATIENCE)
            # A source that hangs in its driver must not be closed under its feet.
            self._stuck = threads[0].is_alive()
        self._finish_report()

    def _stages(self) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "capture", self._capture
        if self._preparing is not None:
            yield "prepare", self._prepare
            yield "stylize-0", self._work_prepared
            return
        for number in range(self._workers):
            yield f"stylize-{number}", self._work

    def _guard(self, work: Callable[[], None]) -> None:
        """Run a stage; keep its exception for the caller and end the others."""
        try:
            work()
        except BaseException as error:
            self._errors.append(error)
            self._halt()

    def _capture(self) -> None:
        busy = 0.0
        frames = (frame for frame in self.source if frame.index >= self.source.skip)
        while True:
            began = time.perf_counter()
            frame = next(frames, None)
            busy += time.perf_counter() - began
            if frame is None:
                break
            self._report.frames_in += 1
            if self._pace.too_soon(frame.time):
                self._excess += 1
                continue
            if not self._todo.put(frame):
                break
        self._report.busy["capture"] = busy
        self._todo.finish()

    def _prepare(self) -> None:
        assert self._preparing is not None
        busy = 0.0
        with self._todo.reader() as items:
            for _, frame in items:
                began = time.perf_counter()
                found = self._preparing.prepare(frame)
                busy += time.perf_counter() - began
                if not self._ready.put((frame, found)):
                    break
        self._report.busy["prepare"] = busy
        self._ready.finish()

    def _work_prepared(self) -> None:
        assert self._preparing is not None
        busy = 0.0
        with self._ready.reader() as items:
            for number, (frame, found) in items:
                began = time.perf_counter()
                painted = self._preparing.paint_prepared(frame, found)
                busy += time.perf_counter() - began
                if not self._done.put(number, frame.with_image(painted)):
                    break
        self._report.busy["stylize"] = busy
        self._done.finish()

    def _work(self) -> None:
        busy = 0.0
        with self._todo.reader() as items:
            for number, frame in items:
                painted, seconds = self._paint(frame)
                busy += seconds
                if not self._done.put(number, frame.with_image(painted)):
                    break
        with self._busy_lock:
            self._report.busy["stylize"] = self._report.busy.get("stylize", 0.0) + busy
        self._done.finish()

    def _paint(self, frame: Frame) -> tuple[NDArray[Any], float]:
        """Call `stylize`; return its result and the seconds it took.

        The first call has no company: two first calls of OpenVINO 2026.4 at once can dead-lock
        in its Python binding, and a model would be prepared for the new size once per worker.
        """
        with nullcontext() if self._warm else self._first:
            began = time.perf_counter()
            painted = self._paint_one(frame)
            self._warm = True
            return painted, time.perf_counter() - began

    def _show_all(self) -> bool:
        """Write every result into the sinks; say whether the end was reached."""
        report = self._report
        report.busy["sinks"] = 0.0
        self._latencies = np.zeros(LATENCIES_KEPT, np.float32)
        poll = min((sink.poll for sink in self.sinks), default=Sink.poll)
        while not self._interrupted:
            try:
                frame = self._done.get(timeout=poll)
            except TimeoutError:
                for sink in self.sinks:
                    sink.idle()
                continue
            if frame is None:
                return not self._done.stopped
            self._show(frame)
            if report.frames_out == self._limit:
                return True
        return False

    def _show(self, frame: Frame) -> None:
        began = time.perf_counter()
        closed: SinkClosedError | None = None
        for sink in self.sinks:
            try:
                sink.write(frame)
            except SinkClosedError as error:
                closed = error
        self._report.busy["sinks"] += time.perf_counter() - began
        self._count(frame)
        if self._live and self._report.frames_out == 1:
            heap.set_apart()
        if self._live and self._report.frames_out % heap.EVERY == 0:
            heap.give_back()
        if closed:
            raise closed

    def _count(self, frame: Frame) -> None:
        report, now = self._report, time.monotonic()
        self._latencies[report.frames_out % LATENCIES_KEPT] = now - frame.captured_at
        report.frames_out += 1
        before, report.seconds = report.seconds, now - self._began
        if report.first_frame is None:
            report.first_frame = before = report.seconds
        self._gap = report.seconds - before
        report.longest_gap = max(report.longest_gap, self._gap)
        if self._progress is not None:
            self._progress(self._status())

    def _status(self) -> Progress:
        report = self._report
        return Progress(
            frames_in=report.frames_in,
            frames_out=report.frames_out,
            total=self._limit or self.source.left,
            elapsed=report.seconds,
            fps=report.steady_fps,
            drops=self._todo.drops.total() + self._excess,
            written=sum(sink.written for sink in self.sinks),
            latency=float(self._latencies[(report.frames_out - 1) % LATENCIES_KEPT]),
            gap=self._gap,
        )

    def _finish_report(self) -> None:
        report = self._report
        report.drops = self._todo.drops + self._ready.drops + self._done.drops
        if self._excess:
            report.drops["excess"] = self._excess
        report.counts = Counter({k: v for k, v in self.source.counts.items() if v})
        if report.frames_out:
            delays = self._latencies[: min(report.frames_out, LATENCIES_KEPT)]
            # By nearest rank: `np.percentile` would import `numpy.ma`, which takes 0.03 s.
            ranks = {"p50": 0.5, "p95": 0.95, "max": 1.0}
            ordered = np.sort(delays)
            last = len(ordered) - 1
            report.latency = {k: float(ordered[round(q * last)]) for k, q in ranks.items()}

    @contextmanager
    def _catch_interrupt(self) -> Iterator[None]:
        """Let the first signal of `ENDING` end the run in order; the second one breaks it off."""

        def on_signal(number: int, _stack: FrameType | None) -> None:
            if self._interrupted and number != HANGUP:
                raise KeyboardInterrupt
            # Only a flag: a lock taken here might be held by the very code interrupted.
            self._interrupted = True

        with handled(on_signal):
            yield


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV to the calling thread: its pool spins, and doubles the cost of a conversion."""
    cv2: Any = sys.modules.get("cv2")
    if cv2 is None:
        yield
        return
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
