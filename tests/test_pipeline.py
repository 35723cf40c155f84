from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rtstyle.errors import UsageError
from rtstyle.frame import Frame, Image
from rtstyle.frame_queue import LATE, ReorderQueue
from rtstyle.pipeline import LATEST, Pipeline
from rtstyle.report import Progress, Report, in_frames
from rtstyle.signals import ENDING
from rtstyle.sinks.base import Sink
from rtstyle.sinks.null import NullSink
from rtstyle.testing import FakeSink, FakeSource, negative


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t.name for t in threading.enumerate() if t not in before]
    assert not [name for name in left if name.startswith("rtstyle")]


def uneven(image: Image) -> Image:
    """A style that takes longer for every other frame, so that workers overtake each other."""
    time.sleep(0.004 if image[0, 0, 0] % 2 else 0)
    return negative(image)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_every_frame_arrives_in_order(workers: int) -> None:
    source, sink = FakeSource(40), FakeSink()
    report = Pipeline(source, uneven, [sink], workers=workers).run()
    assert [f.index for f in sink.frames] == list(range(40))
    assert [int(f.image[0, 0, 0]) for f in sink.frames] == [255 - i for i in range(40)]
    assert sink.calls == ["open", *["write"] * 40, "close"]
    assert (report.frames_in, report.frames_out, report.stopped) == (40, 40, False)
    assert not report.drops
    assert source.closed == 1


def test_all_sinks_get_all_frames() -> None:
    sinks = [FakeSink(), NullSink(), FakeSink()]
    Pipeline(FakeSource(7), negative, sinks).run()
    assert [len(sinks[0].frames), sinks[1].count, len(sinks[2].frames)] == [7, 7, 7]  # type: ignore[attr-defined]


def test_the_report_tells_where_the_time_went() -> None:
    def slow(image: Image) -> Image:
        time.sleep(0.005)
        return image

    report = Pipeline(FakeSource(20), slow, [NullSink()], workers=2).run()
    assert report.busy.keys() == {"capture", "stylize", "sinks"}
    assert report.busy["stylize"] >= 20 * 0.005
    assert report.slowest_stage[0] == "stylize"
    assert 0 < report.slowest_stage[1] <= 2 / 0.005
    assert report.first_frame is not None
    assert 0 < report.first_frame <= report.seconds
    assert 0.005 <= report.latency["p50"] <= report.latency["p95"] <= report.latency["max"]


def test_gaps_between_frames_are_told() -> None:
    told: list[Progress] = []
    report = Pipeline(FakeSource(20), negative, [NullSink()], progress=told.append).run()
    assert report.first_frame is not None
    assert told[0].gap == 0.0
    assert all(one.gap > 0.0 for one in told[1:])
    assert sum(one.gap for one in told) == pytest.approx(report.seconds - report.first_frame)
    assert report.longest_gap == max(one.gap for one in told)


def test_an_empty_source_gives_an_empty_report() -> None:
    report = Pipeline(FakeSource(0), negative, [FakeSink()]).run()
    assert report.frames_out == 0
    assert report.fps == report.steady_fps == 0
    assert Report().slowest_stage == ("", 0.0)


@pytest.mark.slow
def test_latest_drops_old_frames_and_counts_them() -> None:
    begun, released = threading.Event(), threading.Event()

    def hold(index: int) -> None:
        # Frame 0 is being painted while all others arrive: only the last of them may survive.
        if index == 1:
            assert begun.wait(10)

    def paint(image: Image) -> Image:
        if image[0, 0, 0] == 0:
            begun.set()
            assert released.wait(10)
        return image

    class Source(FakeSource):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            released.set()

    sink = FakeSink()
    report = Pipeline(Source(20, on_frame=hold), paint, [sink], policy=LATEST).run()
    assert [f.index for f in sink.frames] == [0, 19]
    assert report.drops == {LATE: 18}
    assert report.frames_in == 20


@pytest.mark.parametrize("workers", [1, 3])
def test_a_failing_source_is_raised_again_and_sinks_are_aborted(workers: int) -> None:
    source, sink = FakeSource(fails_at=5, error=ValueError("bad frame")), FakeSink()
    with pytest.raises(ValueError, match="bad frame"):
        Pipeline(source, negative, [sink], workers=workers).run()
    assert sink.calls[-1] == "abort"
    assert "close" not in sink.calls
    assert source.closed == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_a_failing_style_is_raised_again(workers: int) -> None:
    def fail(image: Image) -> Image:
        if image[0, 0, 0] == 4:
            raise ValueError("bad style")
        return image

    sink = FakeSink()
    with pytest.raises(ValueError, match="bad style"):
        Pipeline(FakeSource(1000), fail, [sink], workers=workers).run()
    assert sink.calls[-1] == "abort"
    assert len(sink.frames) <= 4


def test_a_failing_sink_is_raised_again_and_all_are_aborted() -> None:
    good, bad = FakeSink(), FakeSink(fails_at=3, error=OSError("bad sink"))
    with pytest.raises(OSError, match="bad sink"):
        Pipeline(FakeSource(1000), negative, [good, bad], workers=2).run()
    assert good.calls[-1] == bad.calls[-1] == "abort"


def test_a_sink_that_fails_to_abort_hides_neither_the_error_nor_the_others() -> None:
    class Stubborn(FakeSink):
        def abort(self) -> None:
            raise RuntimeError("bad abort")

    good = FakeSink()
    with pytest.raises(OSError, match="bad sink"):
        Pipeline(
            FakeSource(1000), negative, [Stubborn(fails_at=3, error=OSError("bad sink")), good]
        ).run()
    assert good.calls[-1] == "abort"


def test_a_sink_that_cannot_open_costs_no_work() -> None:
    class Closed(FakeSink):
        def open(self) -> None:
            raise OSError("no room")

    first, source = FakeSink(), FakeSource()
    with pytest.raises(OSError, match="no room"):
        Pipeline(source, negative, [first, Closed()]).run()
    assert first.calls == ["open", "abort"]
    assert source.opened == 0


def test_a_failing_progress_callback_is_raised_again() -> None:
    def fail(status: Progress) -> None:
        raise RuntimeError("bad progress")

    sink = FakeSink()
    with pytest.raises(RuntimeError, match="bad progress"):
        Pipeline(FakeSource(1000), negative, [sink], progress=fail).run()
    assert sink.calls[-1] == "abort"


def test_progress_counts_up() -> None:
    seen: list[Progress] = []
    Pipeline(FakeSource(5), negative, [NullSink()], progress=seen.append).run()
    assert [s.frames_out for s in seen] == [1, 2, 3, 4, 5]
    assert all(s.total == 5 and s.drops == 0 and s.fps > 0 for s in seen)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_stops_cleanly_and_keeps_what_was_done(number: signal.Signals) -> None:
    def interrupt(frame: Frame) -> None:
        if frame.index == 3:
            signal.raise_signal(number)

    # Whatever started the tests may have it ignored, as nohup does.
    inherited = signal.signal(number, signal.SIG_DFL)
    before = signal.getsignal(number)
    sink, source = FakeSink(on_frame=interrupt), FakeSource(100_000)
    try:
        report = Pipeline(source, negative, [sink], workers=2).run()
        assert signal.getsignal(number) is before
    finally:
        signal.signal(number, inherited)
    assert report.stopped
    assert [f.index for f in sink.frames] == [0, 1, 2, 3]
    assert sink.calls[-1] == "partial"
    assert source.closed == 1


def test_a_signal_while_nothing_comes_stops_too() -> None:
    ready = threading.Event()

    class Stalled(FakeSource):
        def stop(self) -> None:
            ready.set()

    def stall(index: int) -> None:
        if index == 2:
            os.kill(os.getpid(), signal.SIGINT)
            assert ready.wait(10)

    sink = FakeSink()
    report = Pipeline(Stalled(10, on_frame=stall), negative, [sink]).run()
    assert report.stopped
    assert sink.calls[-1] == "partial"


def test_a_second_signal_breaks_the_run_off() -> None:
    class Slow(FakeSink):
        def close(self, complete: bool = True) -> None:
            signal.raise_signal(signal.SIGINT)
            super().close(complete)

    def interrupt(frame: Frame) -> None:
        signal.raise_signal(signal.SIGINT)

    sink = Slow(on_frame=interrupt)
    with pytest.raises(KeyboardInterrupt):
        Pipeline(FakeSource(1000), negative, [sink]).run()
    assert sink.calls[-1] == "abort"


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")
def test_a_terminal_that_closes_may_say_so_twice() -> None:
    def interrupt(frame: Frame) -> None:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, lambda *_: pytest.fail("The signal was not caught."))
    try:
        sink = FakeSink(on_frame=interrupt)
        assert Pipeline(FakeSource(1000), negative, [sink]).run().stopped
    finally:
        signal.signal(signal.SIGHUP, before)
    assert sink.calls == ["open", "write", "partial"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")
def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        sink = FakeSink(on_frame=lambda frame: signal.raise_signal(signal.SIGHUP))
        assert not Pipeline(FakeSource(5), negative, [sink]).run().stopped
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("broken_off", [False, True])
def test_a_source_that_hangs_is_not_closed_under_its_thread(
    monkeypatch: pytest.MonkeyPatch, broken_off: bool
) -> None:
    monkeypatch.setattr("rtstyle.pipeline.CAPTURE_PATIENCE", 0.01)
    released = threading.Event()

    class Stuck(FakeSource):
        def stop(self) -> None:
            super().stop()
            if broken_off:  # as by a second Ctrl-C while it is waited for
                raise KeyboardInterrupt

    def hang(index: int) -> None:
        if index == 1:
            assert released.wait(10)

    source = Stuck(on_frame=hang)
    pipeline = Pipeline(source, negative, [FakeSink()], limit=1)
    if broken_off:
        with pytest.raises(KeyboardInterrupt):
            pipeline.run()
    else:
        pipeline.run()
    assert source.closed == 0
    released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("rtstyle"):
            thread.join(10)


def test_stop_from_another_thread() -> None:
    sink = FakeSink(on_frame=lambda frame: frame.index == 2 and stopper.start())  # type: ignore[arg-type, func-returns-value]
    pipeline = Pipeline(FakeSource(10_000_000), negative, [sink])
    stopper = threading.Thread(target=pipeline.stop)
    report = pipeline.run()
    stopper.join(10)
    assert report.stopped
    assert sink.calls[-1] == "partial"


def test_a_closed_window_ends_the_run_and_others_keep_the_frame() -> None:
    window, record = FakeSink(closes_at=4), FakeSink()
    report = Pipeline(FakeSource(1000), negative, [window, record]).run()
    assert report.stopped
    assert len(record.frames) == report.frames_out == 5
    assert record.calls[-1] == "partial"


@pytest.mark.slow
def test_a_live_recording_that_is_stopped_is_complete() -> None:
    window, record = FakeSink(closes_at=0), FakeSink()
    Pipeline(FakeSource(1000), negative, [window, record], policy=LATEST).run()
    assert record.calls[-1] == "close"


def test_limit_ends_the_run_as_complete() -> None:
    sink = FakeSink()
    report = Pipeline(FakeSource(1000), negative, [sink], limit=6, workers=2).run()
    assert report.frames_out == len(sink.frames) == 6
    assert not report.stopped
    assert sink.calls[-1] == "close"


def test_workers_must_be_positive() -> None:
    with pytest.raises(UsageError):
        Pipeline(FakeSource(), negative, [], workers=0)


def test_the_first_call_has_no_company() -> None:
    running = most = calls = 0
    lock = threading.Lock()

    def paint(image: Image) -> Image:
        nonlocal running, most, calls
        with lock:
            running, calls = running + 1, calls + 1
            first = calls == 1
        if first:
            time.sleep(0.05)
        with lock:
            most = max(most, running) if first else most
            running -= 1
        return image

    Pipeline(FakeSource(10), paint, [NullSink()], workers=4).run()
    assert (most, calls) == (1, 10)


def test_frames_in_flight_are_bounded() -> None:
    alive: set[int] = set()
    most = 0

    class Tracked(np.ndarray):  # type: ignore[type-arg]
        """An array that can be weakly referenced."""

    class Source(FakeSource):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                image = frame.image.view(Tracked)
                alive.add(frame.index)
                weakref.finalize(image, alive.discard, frame.index)
                yield frame.with_image(image)

    class Slow(NullSink):
        def write(self, frame: Frame) -> None:
            nonlocal most
            time.sleep(0.001)
            most = max(most, len(alive))
            super().write(frame)

    Pipeline(Source(200), lambda image: image, [Slow()], workers=2).run()
    # Two queued, one in hand per stage and worker, three done, and one that is being replaced.
    assert 2 <= most <= 10


def test_opencv_threads_are_put_back() -> None:
    import cv2

    seen: list[int] = []
    before = cv2.getNumThreads()
    Pipeline(FakeSource(1), lambda i: seen.append(cv2.getNumThreads()) or i, [NullSink()]).run()  # type: ignore[func-returns-value]
    assert seen == [1]
    assert cv2.getNumThreads() == before


def test_the_pipeline_runs_outside_the_main_thread() -> None:
    reports: list[Report] = []
    worker = threading.Thread(
        target=lambda: reports.append(Pipeline(FakeSource(5), negative, [FakeSink()]).run())
    )
    worker.start()
    worker.join(10)
    assert reports[0].frames_out == 5


def test_sinks_are_looked_after_as_often_as_the_most_impatient_one_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits, get = set[float](), ReorderQueue.get

    def noting(queue: Any, timeout: float) -> Any:
        waits.add(timeout)
        return get(queue, timeout)

    monkeypatch.setattr(ReorderQueue, "get", noting)
    patient, impatient = FakeSink(), FakeSink()
    impatient.poll = 0.01
    Pipeline(FakeSource(2, width=8, height=8), np.copy, [patient]).run()
    Pipeline(FakeSource(2, width=8, height=8), np.copy, [patient, impatient]).run()
    assert waits == {Sink.poll, 0.01}


def test_counts_of_frames_in_words() -> None:
    assert [in_frames(count) for count in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
