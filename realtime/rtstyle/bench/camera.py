"""The live benchmark: a clip as a camera, for minutes, and then changes of style."""

from __future__ import annotations

import itertools
import math
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.error
import psutil
from rich.box import SIMPLE_HEAD
from rich.table import Table

from rtstyle.bench.clips import SAMPLE_FRAMES, check_clip, fitted
from rtstyle.bench.figures import percentile
from rtstyle.bench.runner import RTSTYLE
from rtstyle.errors import RtstyleError
from rtstyle.files.temporary import temporary_folder
from rtstyle.frame import Frame
from rtstyle.live.bank import StyleBank
from rtstyle.live.look import Look
from rtstyle.live.painter import Studio
from rtstyle.live.rate import RateController, choose_ladder
from rtstyle.live.session import LiveSession
from rtstyle.pipeline import LATEST, Pipeline
from rtstyle.samples import sample_clip
from rtstyle.sinks.base import Sink, SinkClosedError
from rtstyle.sinks.recorder import RecorderSink
from rtstyle.sources.realtime import RealTimeFileSource
from rtstyle.styles.manifest import names_with

MINUTE = 60.0
WARM_UP = 3.0
"""Seconds at the start that no figure counts: models load, the controller finds its rung."""
BETWEEN_SWITCHES = 1.5
"""Seconds from one change of style to the next."""
SWITCHES = 12
START_PATIENCE = 60.0
"""Seconds that a process may take to start or to end before it counts as hung."""
ENOUGH_BYTES = 50_000
"""A recording of this size is well under way."""


def camera_clip(path: Path, width: int, height: int, rate: int) -> Path:
    """Write the bundled clip without sound at another size and rate, to be played as a camera."""
    check_clip(width, height, SAMPLE_FRAMES)
    with av.open(str(sample_clip())) as source, av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.thread_count = 1
        stream = source.streams.video[0]
        for number, frame in enumerate(fitted(source, stream, width, height, SAMPLE_FRAMES)):
            frame.pts, frame.time_base = number, Fraction(1, rate)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return path


class Shown(NamedTuple):
    """One frame as it came out: seconds since the start, latency in seconds, style, number."""

    at: float
    latency: float
    style: str
    number: int


@dataclass
class Meter(Sink):
    """The sink of the benchmark: notes every frame, changes style at the end, then ends.

    `press` changes to the next style and returns its name, `style` returns the style of the frame
    that was just painted, `minutes` is the length of the first part.
    """

    press: Any
    style: Any
    minutes: float
    switches: int = SWITCHES
    name: str = "meter"
    times: array[float] = field(default_factory=lambda: array("d"))
    styles: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    pressed: list[tuple[float, str]] = field(default_factory=list)
    began: float = 0.0

    def write(self, frame: Frame) -> None:
        """Note the frame; press the key when it is time. Raises `SinkClosedError` at the end."""

        now = time.monotonic()
        self.began = self.began or now
        at = now - self.began
        self.times.extend((at, now - frame.captured_at, frame.index))
        self.styles.append(self.style())
        if not self.memory or at - self.memory[-1][0] >= 1.0:
            self.memory.append((at, psutil.Process().memory_info().rss))
        due = self.minutes * MINUTE + WARM_UP + len(self.pressed) * BETWEEN_SWITCHES
        if at >= due:
            if len(self.pressed) == self.switches:
                raise SinkClosedError
            self.pressed.append((time.monotonic() - self.began, self.press()))

    @property
    def shown(self) -> list[Shown]:
        """Every frame so far. Kept as plain numbers: objects would grow into the memory figure."""
        at, late, index = (self.times[k::3] for k in range(3))
        rows = zip(at, late, self.styles, map(int, index), strict=True)
        return [Shown(*row) for row in rows]


def stretch(meter: Meter, first: float, last: float) -> list[Shown]:
    """Return the frames shown from `first` to `last`, in seconds."""
    return [shown for shown in meter.shown if first <= shown.at < last]


def memory_between(meter: Meter, first: float, last: float) -> float:
    """Return the median resident memory in bytes between two moments."""
    found = [size for at, size in meter.memory if first <= at < last]
    return percentile([float(size) for size in found], 50) if found else math.nan


def switch_times(meter: Meter) -> tuple[list[float], list[float]]:
    """Return, for each change, the seconds until the style is shown, and the longest gap between
    two frames from the key press to the next one."""
    delays, gaps, frames = [], [], meter.shown
    ends = [at for at, _ in meter.pressed[1:]] + [math.inf]
    for (at, style), end in zip(meter.pressed, ends, strict=True):
        after = [shown for shown in frames if at <= shown.at < end]
        delays.append(next((s.at - at for s in after if s.style == style), math.inf))
        moments = [at, *(shown.at for shown in after)]
        gaps.append(max(b - a for a, b in itertools.pairwise(moments)))
    return delays, gaps


def fade_rates(meter: Meter, fade: float) -> list[float]:
    """Return, for each change, the frames a second from the first one of the new style on."""
    found = []
    for at, style in meter.pressed:
        first = next((s.at for s in meter.shown if s.at >= at and s.style == style), math.inf)
        found.append(len(stretch(meter, first, first + fade)) / fade)
    return found


def measure(
    clip: str,
    style: str,
    device: str,
    minutes: float,
    target: float,
    size: str = "auto",
    fade: float = 0.0,
) -> dict[str, Any]:
    """Run the live pipeline on `clip` and return its figures (see `rtstyle bench live --help`)."""

    ladder, start = choose_ladder([style], size)
    with StyleBank(device=device) as bank:
        controller = RateController(target, ladder, start)
        studio = Studio(bank, Look(style, ladder[start].size), controller=controller, fade=fade)
        session = LiveSession(studio, bank, names_with(style), RecorderSink())

        def press() -> str:
            session.key("n")
            return studio.look.title

        meter = Meter(press, lambda: studio.shown.title, minutes)
        source = RealTimeFileSource(clip, loop=True)
        report = Pipeline(
            source, studio, [meter], policy=LATEST, max_rate=target, progress=session.progress
        ).run()
    found = {**figures(meter, minutes), **choice(studio, controller), "drops": dict(report.drops)}
    return found | ({"fade_fps": min(fade_rates(meter, fade))} if fade else {})


TARGETS = (
    ("sustained FPS", "fps", 29.5, "{:.2f}", True),
    ("frames dropped", "dropped", 0.01, "{:.2%}", False),
    ("latency p50, ms", "p50_ms_all", 60, "{:.1f}", False),
    ("latency p95, ms", "p95_ms_all", 90, "{:.1f}", False),
    ("style change p50, ms", "switch_p50_ms", None, "{:.0f}", False),
    ("style change, slowest, ms", "switch_max_ms", 100, "{:.0f}", False),
    ("longest gap after a change, ms", "switch_gap_ms", 60, "{:.0f}", False),
    ("slowest fade, FPS", "fade_fps", 27, "{:.1f}", True),
    ("memory, first to last minute", "growth", 0.02, "{:+.1%}", False),
    ("Ctrl-C to gone, recording closed, s", "stop_s", 2.0, "{:.2f}", False),
    ("SIGTERM to gone, recording closed, s", "term_s", 2.0, "{:.2f}", False),
)
"""Title, key, wanted, how to write it, whether more is better."""


def table(values: dict[str, Any], target: float) -> Table:
    """Return the figures beside those wanted (at 640x480 and 30 FPS on two cores)."""
    table = Table(box=SIMPLE_HEAD, title=f"Live at {target:g} FPS")
    for column in ("what", "measured", "wanted", ""):
        table.add_column(column, justify="left" if column == "what" else "right")
    for title, key, wanted, form, more in TARGETS:
        if key not in values:
            continue
        value = values[key]
        if key in ("fps", "fade_fps") and wanted is not None:
            wanted = wanted * target / 30
        if wanted is None:
            table.add_row(title, written(value, form), "", "")
            continue
        good = value is not None and (value >= wanted if more else value <= wanted)
        sign = (">= " if more else "<= ") + form.format(wanted).lstrip("+")
        table.add_row(title, written(value, form), sign, "reached" if good else "missed")
    for share in (50, 95):
        first, last = values[f"p{share}_ms_first"], values[f"p{share}_ms_last"]
        title = f"latency p{share}, first and last minute, ms"
        both = f"{written(first, '{:.1f}')}, {written(last, '{:.1f}')}"
        table.add_row(title, both, "the same", "")
    rows = f"{values['height']} rows" if values["height"] else "full resolution"
    table.add_row("ended with", f"{values['size']}, {rows}", "", "")
    table.add_row("changes by the controller", str(values["changes"]), "", "")
    table.add_row("memory", written(values["memory_mb"], "{:.0f} MB"), "", "")
    return table


def written(value: float | None, form: str) -> str:
    """Return a figure as text; in words if it failed (None), never came or could not be taken."""
    if value is None:
        return "failed"
    if math.isnan(value):
        return "unknown"
    return "never" if math.isinf(value) else form.format(value)


WINDOWS = sys.platform == "win32"
INTERRUPT: signal.Signals = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)
"""Ctrl-C; Windows can send only Ctrl-Break, and only to a process group of its own."""
STOPS = {"stop_s": INTERRUPT} if WINDOWS else {"stop_s": INTERRUPT, "term_s": signal.SIGTERM}
"""Figure: the signal that it measures. Windows has no SIGTERM that a process could answer."""
BREAK_IS_CTRL_C = (
    "import signal; signal.signal(signal.SIGBREAK, lambda *_: signal.raise_signal(signal.SIGINT)); "
)


def stop_figures(
    clip: str, style: str, device: str, tell: Callable[[str], object]
) -> dict[str, float | None]:
    """Return the seconds for each of `STOPS`, None where it failed; `tell` gets the reason."""
    found: dict[str, float | None] = {}
    for key, how in STOPS.items():
        found[key] = None
        try:
            found[key] = stop_seconds(clip, style, device, how)
        except (RtstyleError, OSError) as error:
            # The figures of many minutes must not be lost to the last step.
            tell(str(error))
    return found


def webcam_command(words: list[str]) -> list[str]:
    """Return the command of `rtstyle webcam` as a process that answers `INTERRUPT`."""
    python, option, code = RTSTYLE
    return [python, option, (BREAK_IS_CTRL_C if WINDOWS else "") + code, "webcam", *words]


def stop_seconds(clip: str, style: str, device: str, how: signal.Signals) -> float:
    """Return the seconds from a signal to `rtstyle webcam` until it is gone, while it records.

    Raises `RtstyleError` unless it ended in order and the recording plays.
    """
    with temporary_folder() as folder:
        path = Path(folder) / "recording.mp4"
        words = ["--camera", clip, "--loop", "--no-window", "--style", style, "--device", device]
        child = subprocess.Popen(
            webcam_command([*words, "--record", str(path)]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        try:
            deadline = time.monotonic() + START_PATIENCE
            while time.monotonic() < deadline and child.poll() is None:
                if path.exists() and path.stat().st_size > ENOUGH_BYTES:
                    break
                time.sleep(0.05)
            began = time.monotonic()
            child.send_signal(how)
            status = child.wait(START_PATIENCE)
            spent = time.monotonic() - began
        except subprocess.TimeoutExpired as error:
            why = f"It was ended after {START_PATIENCE:.0f} s."
            raise RtstyleError(f"After {how.name} webcam hung.", why, "Try it alone.") from error
        finally:
            child.kill()
            child.wait()
        if status != 0 or not plays(path):
            raise RtstyleError(f"After {how.name} webcam ended with {status}.", "", "Try it alone.")
        return spent


def plays(path: Path) -> bool:
    """Return True if a video is there and has a frame that can be decoded."""
    try:
        with av.open(str(path)) as file:
            return next(iter(file.decode(video=0)), None) is not None
    except (av.error.FFmpegError, OSError, IndexError):
        return False


def choice(studio: Any, controller: Any) -> dict[str, Any]:
    """Return what the controller ended with."""
    shown = studio.shown
    return {"size": shown.size, "height": shown.height, "changes": controller.changes}


def figures(meter: Meter, minutes: float) -> dict[str, Any]:
    """Return the figures of a run: FPS, latencies in ms, memory growth and the style changes."""
    end = WARM_UP + minutes * MINUTE
    part = min(MINUTE, minutes * MINUTE / 2)
    steady = stretch(meter, WARM_UP, end)
    first, last = stretch(meter, WARM_UP, WARM_UP + part), stretch(meter, end - part, end)
    before = memory_between(meter, part, WARM_UP + 1.25 * part)
    delays, gaps = switch_times(meter)
    return {
        "frames": len(steady),
        "dropped": 1 - (len(steady) - 1) / (steady[-1].number - steady[0].number),
        "fps": (len(steady) - 1) / (steady[-1].at - steady[0].at),
        **{
            f"p{share}_ms_{name}": 1000 * percentile([shown.latency for shown in frames], share)
            for name, frames in (("all", steady), ("first", first), ("last", last))
            for share in (50, 95)
        },
        "memory_mb": before / 1e6,
        "growth": memory_between(meter, end - 0.25 * part, end) / before - 1,
        "switch_p50_ms": 1000 * percentile(delays, 50),
        "switch_max_ms": 1000 * max(delays),
        "switch_gap_ms": 1000 * max(gaps),
        "switches": len(delays),
    }
