"""How far a run is, and what it came to: counts, rates, latencies."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

LATENCIES_KEPT = 1 << 15


def in_frames(count: int) -> str:
    """Return a count in words: "1 frame", "2 frames"."""
    return "1 frame" if count == 1 else f"{count} frames"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    `total` is the estimated number of frames or None, `elapsed` is in seconds, `written` the bytes
    in all outputs, `fps` the mean rate since the first frame came out, `latency` the delay of the
    last frame in seconds, from capture to after the last sink, `gap` the seconds between the last
    two frames.
    """

    frames_in: int
    frames_out: int
    total: int | None
    elapsed: float
    fps: float
    drops: int
    written: int
    latency: float = 0.0
    gap: float = 0.0


@dataclass
class Report:
    """What a run did.

    `busy` is the time in seconds that each stage worked, waiting apart, `stylize` summed over
    its workers. `latency` is p50, p95 and the largest delay in seconds from capture to after the
    last sink. `seconds` runs from the start of the stages to the last frame, `first_frame` to
    the first, `longest_gap` is the longest time between two frames. `counts` says what the source
    mended or skipped.
    """

    frames_in: int = 0
    frames_out: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    busy: dict[str, float] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    first_frame: float | None = None
    longest_gap: float = 0.0
    stopped: bool = False
    workers: int = 1

    @property
    def fps(self) -> float:
        """Frames out a second, start-up included."""
        return self.frames_out / self.seconds if self.seconds else 0.0

    @property
    def steady_fps(self) -> float:
        """Frames out a second from the first one on, so without start-up and warm-up."""
        span = self.seconds - (self.first_frame or 0.0)
        return (self.frames_out - 1) / span if span > 0 and self.frames_out > 1 else self.fps

    @property
    def slowest_stage(self) -> tuple[str, float]:
        """The stage that limits the rate, and the FPS that it would reach alone."""
        share = {
            name: busy / (self.workers if name == "stylize" else 1)
            for name, busy in self.busy.items()
        }
        if not share:
            return "", 0.0
        name = max(share, key=lambda stage: share[stage])
        return name, self.frames_out / share[name] if share[name] else 0.0
