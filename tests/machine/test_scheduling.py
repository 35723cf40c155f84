"""No library takes the machine for itself: SVT-AV1 would, as root."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from rtstyle.doctor import checks
from rtstyle.machine.scheduling import ordinary_scheduling
from rtstyle.sinks import open_output
from rtstyle.sinks.encoding import encoders
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.testing import FakeSource

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="priorities of Linux")


def policies() -> set[int]:
    """Return how the threads of this process are scheduled; idle ones are nobody's trouble."""
    threads = (int(task.name) for task in Path("/proc/self/task").iterdir())
    return {os.sched_getscheduler(thread) for thread in threads} - {os.SCHED_IDLE}


def take_over() -> None:
    """Do as SVT-AV1 does; a policy that everybody may have stands in for the real-time one."""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


@pytest.fixture
def _own_thread_stays_ordinary() -> object:
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.mark.usefixtures("_own_thread_stays_ordinary")
def test_this_thread_and_those_it_starts_are_as_before() -> None:
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    with ordinary_scheduling():
        take_over()
        other.start()  # inherits it
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
    found = policies()
    stop.set()
    other.join()
    assert found == {os.SCHED_OTHER}


@pytest.mark.usefixtures("_own_thread_stays_ordinary")
def test_threads_that_were_there_keep_theirs() -> None:
    stop, ready = threading.Event(), threading.Event()

    def work() -> None:
        take_over()
        ready.set()
        stop.wait()

    other = threading.Thread(target=work)
    other.start()
    ready.wait()
    with ordinary_scheduling():
        pass
    found = policies()
    stop.set()
    other.join()
    assert found == {os.SCHED_OTHER, os.SCHED_BATCH}


@pytest.mark.usefixtures("_own_thread_stays_ordinary")
def test_the_av1_encoder_leaves_all_as_it_was(tmp_path: Path) -> None:
    assert checks.encoder_problem("libsvtav1") == ""
    assert policies() == {os.SCHED_OTHER}
    assert encoders.try_out("libsvtav1", 64, 64) == ""
    assert policies() == {os.SCHED_OTHER}
    source, asked = FakeSource(4, width=64, height=64), Encoding(codec="av1")
    with source, open_output(tmp_path / "a.mkv", source, encoding=asked) as sink:
        for frame in source:
            sink.write(frame)
            assert policies() == {os.SCHED_OTHER}
    assert policies() == {os.SCHED_OTHER}
    assert (tmp_path / "a.mkv").stat().st_size
