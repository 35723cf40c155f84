from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtstyle.errors import UsageError
from rtstyle.frame_queue import LATE, MAX_DEPTH, STOPPED, FrameQueue, Policy, ReorderQueue

PATIENCE = 10.0


class Runner:
    """Runs functions in threads and joins them, so that a hang fails the test."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def __call__(self, work: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def join(self) -> None:
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def run() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.join()


def wait_until_blocked(thread: threading.Thread) -> None:
    """Give a thread the time to reach its wait; it must not get through."""
    thread.join(0.05)
    assert thread.is_alive()


def test_everything_comes_out_in_order_and_numbered(run: Runner) -> None:
    queue: FrameQueue[str] = FrameQueue(2)
    run(lambda: [*map(queue.put, "abcdef"), queue.finish()])
    assert list(iter(queue.get, None)) == list(enumerate("abcdef"))
    assert not queue.drops


def test_wait_holds_the_producer_back(run: Runner) -> None:
    queue: FrameQueue[int] = FrameQueue(1)
    queue.put(0)
    producer = run(lambda: queue.put(1))
    wait_until_blocked(producer)
    assert queue.get() == (0, 0)
    assert queue.get() == (1, 1)


def test_latest_keeps_the_newest_and_counts_the_rest() -> None:
    queue: FrameQueue[int] = FrameQueue(2, Policy.LATEST)
    for item in range(10):
        assert queue.put(item)
    assert [queue.get(), queue.get()] == [(0, 8), (1, 9)]
    assert queue.drops == {LATE: 8}


@pytest.mark.parametrize("depth", [0, MAX_DEPTH + 1])
def test_depth_is_bounded(depth: int) -> None:
    with pytest.raises(UsageError):
        FrameQueue(depth)


def test_the_end_reaches_every_consumer(run: Runner) -> None:
    queue: FrameQueue[int] = FrameQueue()
    seen: list[object] = []
    for _ in range(3):
        run(lambda: seen.append(queue.get()))
    queue.finish()
    run.join()
    assert seen == [None] * 3


def test_stop_wakes_put_and_get_and_counts(run: Runner) -> None:
    full: FrameQueue[int] = FrameQueue(1)
    full.put(0)
    results: list[bool] = []
    producer = run(lambda: results.append(full.put(1)))
    empty: FrameQueue[int] = FrameQueue(1)
    consumer = run(lambda: results.append(empty.get() is None))
    wait_until_blocked(producer)
    wait_until_blocked(consumer)
    full.stop()
    empty.stop()
    run.join()
    assert sorted(results) == [False, True]
    assert full.drops == {STOPPED: 2}
    assert full.put(2) is False
    assert full.get() is None


def test_get_times_out() -> None:
    with pytest.raises(TimeoutError):
        FrameQueue[int]().get(timeout=0.01)
    with pytest.raises(TimeoutError):
        ReorderQueue[int](1).get(timeout=0.01)


def test_a_reader_that_leaves_early_frees_the_producer(run: Runner) -> None:
    queue: FrameQueue[int] = FrameQueue(1)
    run(lambda: [queue.put(item) for item in range(100)])
    with queue.reader() as items:
        assert next(items) == (0, 0)
    run.join()
    assert queue.stopped


def test_a_reader_that_raises_frees_the_producer(run: Runner) -> None:
    queue: FrameQueue[int] = FrameQueue(1)
    run(lambda: [queue.put(item) for item in range(100)])

    def read_and_fail() -> None:
        with queue.reader() as items:
            next(items)
            raise RuntimeError("consumer")

    with pytest.raises(RuntimeError, match="consumer"):
        read_and_fail()


def test_one_reader_may_leave_while_another_goes_on() -> None:
    queue: FrameQueue[int] = FrameQueue(4)
    with queue.reader() as stays:
        queue.put(0)
        with queue.reader():
            pass
        assert not queue.stopped
        assert next(stays) == (0, 0)
        queue.finish()
        assert next(stays, None) is None
    assert not queue.stopped


@given(st.permutations(range(8)))
def test_reorder_gives_any_order_back_in_order(order: list[int]) -> None:
    queue: ReorderQueue[int] = ReorderQueue(8)
    for number in order:
        assert queue.put(number, number * 10)
    queue.finish()
    assert list(iter(queue.get, None)) == [number * 10 for number in range(8)]


def test_reorder_holds_back_what_is_too_far_ahead(run: Runner) -> None:
    queue: ReorderQueue[str] = ReorderQueue(2)
    queue.put(1, "b")
    ahead = run(lambda: queue.put(2, "c"))
    wait_until_blocked(ahead)
    queue.put(0, "a")
    queue.get()
    run.join()
    assert [queue.get(), queue.get()] == ["b", "c"]


def test_reorder_ends_when_all_producers_are_done(run: Runner) -> None:
    queue: ReorderQueue[int] = ReorderQueue(1, producers=2)
    ends: list[object] = []
    queue.finish()
    consumer = run(lambda: ends.append(queue.get()))
    wait_until_blocked(consumer)
    queue.finish()
    run.join()
    assert ends == [None]


def test_reorder_stop_wakes_and_counts(run: Runner) -> None:
    queue: ReorderQueue[int] = ReorderQueue(1)
    results: list[object] = []
    producer = run(lambda: results.append(queue.put(1, 1)))
    consumer = run(lambda: results.append(queue.get()))
    wait_until_blocked(producer)
    wait_until_blocked(consumer)
    queue.stop()
    run.join()
    assert set(results) == {False, None}
    assert queue.drops == {STOPPED: 1}


def test_a_result_that_is_not_the_next_is_not_given_out() -> None:
    queue: ReorderQueue[str] = ReorderQueue(4)
    queue.put(1, "second")
    with pytest.raises(TimeoutError):
        queue.get(timeout=0)
    queue.put(0, "first")
    assert [queue.get(timeout=0), queue.get(timeout=0)] == ["first", "second"]
    queue.put(3, "after a gap")
    queue.finish()
    assert queue.get(timeout=0) is None
