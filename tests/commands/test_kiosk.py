"""`rtstyle webcam --kiosk`: what a picture needs that runs for months."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import console
from helpers.media import write_clip

from rtstyle.commands.live import kiosk, wiring
from rtstyle.errors import SinkError, SourceError
from rtstyle.frame import Frame
from rtstyle.machine.awake import Awake
from rtstyle.machine.service import ServiceManager
from rtstyle.report import Report
from rtstyle.sinks.heartbeat import HeartbeatSink
from rtstyle.testing import FakeSource

command = partial(console.command, "webcam", "--device", "cpu", "--style", "invert")
unix = pytest.mark.skipif(sys.platform == "win32", reason="systemd is Linux's")
FRAME = next(iter(FakeSource(1, width=16, height=16)))


class Manager:
    """The other end of sd_notify, a real socket."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(10)

    def heard(self) -> list[str]:
        """All that has come."""
        self._socket.setblocking(False)
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    it = Manager(tmp_path)
    yield it
    it.close()


@unix
def test_the_watchdog_hears_of_frames_and_of_the_end(manager: Manager) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "30000000"})
    assert service.watchdog == 30.0
    now = [100.0]
    sink = HeartbeatSink(service, lambda: now[0])
    sink.write(FRAME)
    assert manager.heard() == ["READY=1\nSTATUS=painting\nWATCHDOG=1"]
    for seconds in (1.0, 5.0, 9.9):
        now[0] = 100.0 + seconds
        sink.write(FRAME)
        # Without frames nothing is said, so that a painter that hangs is started again.
        sink.idle()
    assert manager.heard() == []
    now[0] = 110.0
    sink.write(FRAME)
    assert manager.heard() == ["WATCHDOG=1"]
    sink.close()
    assert manager.heard() == ["STOPPING=1"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
def test_outside_a_service_nothing_is_sent(environment: dict[str, str]) -> None:
    service = ServiceManager(environment)
    assert service.watchdog is None
    assert not service.tell("READY=1")
    HeartbeatSink(service).write(FRAME)


@unix
def test_a_service_manager_that_has_gone_stops_nothing(tmp_path: Path) -> None:
    assert not ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")
    assert not ServiceManager({"NOTIFY_SOCKET": "@rtstyle-gone"}).tell("READY=1")


@unix
def test_a_camera_that_is_not_there_yet_is_waited_for(manager: Manager) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": str(manager.path)})
    tries, said, slept, heard = [0], list[str](), list[float](), list[str]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        heard.extend(manager.heard())

    def attempt() -> str:
        tries[0] += 1
        if tries[0] < 8:
            raise SourceError("There is no camera 0.")
        return "a camera"

    assert kiosk.opened(attempt, service, said.append, sleep) == "a camera"
    heard += manager.heard()
    # Told once, and tried with growing pauses.
    assert len(said) == 1
    assert "There is no camera 0." in said[0]
    assert sum(slept) == 2 + 4 + 8 + 15 + 30 + 30 + 30
    assert heard[0] == "READY=1\nSTATUS=waiting: There is no camera 0.\nWATCHDOG=1"
    # No longer than a second without a sign of life.
    assert heard.count("WATCHDOG=1") == len(slept)
    assert max(slept) <= 1

    def broken() -> str:
        raise SinkError("The disk is full.")

    with pytest.raises(SinkError):
        kiosk.opened(broken, service, said.append, sleep)


@unix
def test_a_service_manager_that_does_not_read_holds_nobody_up(manager: Manager) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": str(manager.path)})
    sent = [service.tell("WATCHDOG=1") for _ in range(2000)]
    assert sent[0]
    assert not sent[-1]


def test_the_log_rotates_and_names_the_error_that_ended_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kiosk, "LOG_BYTES", 2000)
    path = tmp_path / "run.log"

    def run() -> None:
        with kiosk.logged(path) as say:
            for number in range(200):
                say(f"line {number} {'x' * 80}")
            raise SourceError("The camera is broken.")

    with pytest.raises(SourceError):
        run()
    files = sorted(tmp_path.glob("run.log*"))
    assert len(files) == 1 + kiosk.LOGS
    assert all(file.stat().st_size <= 2000 for file in files)
    assert path.read_text().splitlines()[-1].endswith("ERROR ended: The camera is broken.")
    assert "line 199" in capsys.readouterr().err
    with pytest.raises(SinkError, match="--log"), kiosk.logged(tmp_path / "no" / "run.log"):
        pass


@unix
def test_the_machine_is_kept_awake_by_a_helper_that_ends_with_us(tmp_path: Path) -> None:
    with Awake(("cat",)) as awake:
        assert not awake.problem
        process = awake._helper
        assert process is not None
        assert process.poll() is None
    assert process.poll() is not None
    with Awake(("false",)) as awake:
        assert "refused" in awake.problem
    with Awake((str(tmp_path / "missing"),)) as awake:
        assert "there is no" in awake.problem


@unix
def test_the_helper_does_not_outlive_a_process_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    program = (
        "import time, pathlib, sys\n"
        "from rtstyle.machine.awake import Awake\n"
        "with Awake(('cat',)) as awake:\n"
        "    pathlib.Path(sys.argv[1]).write_text(str(awake._helper.pid))\n"
        "    print('up', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(told)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    end = time.monotonic() + 60
    while is_running(int(told.read_text())):
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@unix
def test_what_keeps_the_machine_awake_does_not_report_for_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd-inhibit told systemd `ERRNO=2`: the service looked as if it had failed."""
    monkeypatch.setattr("rtstyle.machine.awake.AT_ONCE", 60.0)
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/user/0/notify")
    told = tmp_path / "environment"
    with Awake(("sh", "-c", f"env > {told}")):
        names = {line.partition("=")[0] for line in told.read_text().splitlines()}
    assert "PATH" in names
    assert "NOTIFY_SOCKET" not in names


@unix
@pytest.mark.slow
def test_a_kiosk_fills_the_screen_repeats_its_clip_and_reports(
    tmp_path: Path,
    manager: Manager,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rtstyle.sinks.window import WindowSink

    helper = tmp_path / "systemd-inhibit"
    helper.write_text("#!/bin/sh\nexec cat\n")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    seen: list[Any] = []
    write = WindowSink.write

    def watch(self: WindowSink, frame: Frame) -> None:
        write(self, frame)
        seen.append(SimpleNamespace(full=self.full_screen, hud=self.show_hud))

    monkeypatch.setattr(WindowSink, "write", watch)
    clip = write_clip(tmp_path / "clip.mp4", frames=10, rate=100)
    words = ("--camera", clip, "--kiosk", "--frames", 25, "--folder", tmp_path)
    assert command(*words) == 0
    assert len(seen) == 25
    assert all(one.full and not one.hud for one in seen)
    assert manager.heard()[0].startswith("READY=1")
    log = (tmp_path / "rtstyle.log").read_text()
    assert "clip.mp4: 96x64 at 100 FPS" in log
    assert "sleep" not in log
    assert "INFO 25 frames" in log
    assert capsys.readouterr().out.startswith("25 frames")


def test_the_last_line_tells_of_gaps_and_placards() -> None:
    report = Report(frames_in=310, frames_out=300, seconds=10.0, longest_gap=0.0521)
    report.latency = {"p50": 0.03, "p95": 0.05, "max": 0.1}
    line = wiring.summary(report)
    assert line.endswith("0 dropped (0.0 %), longest gap 52 ms")
    report.counts["placards"] = 8
    assert wiring.summary(report).endswith("longest gap 52 ms, 8 placards")
