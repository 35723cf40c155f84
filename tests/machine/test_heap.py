"""Freed memory is handed back to the system, and what long live runs hold stays flat."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rtstyle.frame_queue import Policy
from rtstyle.machine import heap
from rtstyle.pipeline import LATEST, WAIT, Pipeline
from rtstyle.testing import FakeSink, FakeSource

SCATTERED = """
from rtstyle.machine import heap
import numpy as np

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

blocks = [np.ones(60_000, np.uint8) for _ in range(3000)]
keep = blocks[::10]
full = resident()
del blocks
before = resident()
assert heap.give_back()
after = resident()
print(full, before, after)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what glibc keeps")
def test_what_is_free_between_what_is_used_goes_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCATTERED], capture_output=True, text=True, check=True, timeout=60
    )
    full, before, after = map(int, done.stdout.split())
    freed = 0.9 * 3000 * 60_000
    # What is free at the end of the heap is given back by itself; between what is in use, nothing.
    assert full - before < 0.2 * freed
    assert full - after > 0.8 * freed


ARENAS = """
import ctypes, sys, threading
from rtstyle.machine import heap

if sys.argv[1] == "shared":
    assert heap.share_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.fopen.restype = ctypes.c_void_p
here = threading.Barrier(8)

def work():
    here.wait()  # All of them at once, so that no arena is free to be taken over.
    libc.malloc(ctypes.c_size_t(100))
    here.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
with open(sys.argv[2]) as found:
    print(found.read().count("<heap nr="))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what glibc keeps")
def test_threads_of_a_server_share_few_arenas(tmp_path: Path) -> None:
    def arenas(how: str) -> int:
        words = [sys.executable, "-c", ARENAS, how, str(tmp_path / "malloc.xml")]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    assert arenas("shared") <= heap.ARENAS
    assert arenas("plain") > heap.ARENAS


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "times"), [(LATEST, 2), (WAIT, 0)])
def test_a_live_run_gives_memory_back_now_and_then(
    policy: Policy, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(heap, "EVERY", 10)
    monkeypatch.setattr(heap, "give_back", lambda: calls.append(True))
    # Each frame waits for the one before to be shown, so that a live run drops none.
    turn = threading.Semaphore()
    source = FakeSource(25, width=8, height=8, on_frame=lambda _: turn.acquire() and None)
    sink = FakeSink(on_frame=lambda _: turn.release())
    pipeline = Pipeline(source, np.copy, [sink], policy=policy)
    report = pipeline.run()
    assert report.frames_out == 25
    assert len(calls) == times


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "frozen"), [(LATEST, [False, True, True]), (WAIT, [False] * 3)])
def test_the_garbage_collector_leaves_alone_what_a_live_run_began_with(
    policy: Policy, frozen: list[bool]
) -> None:
    before, found = gc.get_freeze_count(), []
    turn = threading.Semaphore()
    source = FakeSource(3, width=8, height=8, on_frame=lambda _: turn.acquire() and None)

    def shown(_: object) -> None:
        found.append(gc.get_freeze_count() > before + 1000)
        turn.release()

    Pipeline(source, np.copy, [FakeSink(on_frame=shown)], policy=policy).run()
    assert found == frozen
    assert gc.get_freeze_count() == (0 if policy is LATEST else before)
