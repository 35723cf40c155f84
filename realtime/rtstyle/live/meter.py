"""Figures of a running picture: rate, delay, drops, and what is shown."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from rtstyle.live.naming import shown_names
from rtstyle.live.painter import Studio
from rtstyle.report import Progress

SECONDS = 2.0
"""Span of the frame rate that is shown."""
SMOOTH = 20
"""Frames over which the delay is smoothed."""


class Meter:
    """Measures a run frame by frame."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._gaps: deque[float] = deque()
        self.latency, self.drops = 0.0, 0

    def note(self, progress: Progress, now: float) -> None:
        """Take in where the pipeline stands at the moment `now`, after each frame."""
        self._times.append(now)
        self._gaps.append(progress.gap)
        while self._times[0] < now - SECONDS:
            self._times.popleft()
            self._gaps.popleft()
        self.latency += (progress.latency - self.latency) / min(SMOOTH, progress.frames_out)
        self.drops = progress.drops

    @property
    def fps(self) -> float:
        """Frames a second over the last moments."""
        span = self._times[-1] - self._times[0] if len(self._times) > 1 else 0.0
        return (len(self._times) - 1) / span if span else 0.0

    def figures(self, studio: Studio) -> dict[str, Any]:
        """Return what a program may read: rate, delay, the longest gap between two frames of the
        last moments (both in milliseconds), drops since the start, what is shown."""
        return {
            "fps": round(self.fps, 1),
            "latency_ms": round(1000 * self.latency, 1),
            "gap_ms": round(1000 * max(self._gaps, default=0.0), 1),
            "dropped": self.drops,
            "shown": shown_names(studio.shown),
            "size": studio.shown.size,
        }

    def lines(self, studio: Studio, recording: Path | None) -> list[str]:
        """Return the lines that a window shows over the picture."""
        shown, wanted = studio.shown, studio.look
        style = shown_names(shown)
        if wanted.style != shown.style:
            style += f" > {shown_names(wanted)}"
        rows = f", {shown.height} rows" if shown.height else ""
        flags = [f"{shown.strength:.0%}"] if shown.strength < 1 else []
        flags += [name for name in ("mirror", "split") if getattr(shown, name)]
        flags += ["camera colours"] if shown.keep_color else []
        flags += [f"{shown.only} only"] if shown.only != "all" else []
        flags += ["frozen"] if studio.frozen else []
        lines = [
            f"{style}  ({shown.size}{rows})",
            f"{self.fps:.0f} FPS   {1000 * self.latency:.0f} ms   {self.drops} dropped",
        ]
        if flags:
            lines.append(", ".join(flags))
        if recording is not None:
            lines.append(f"REC {recording.name}")
        return lines
