"""What the server can say about itself: JSON for people, Prometheus text for machines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rtstyle import __version__

if TYPE_CHECKING:
    from rtstyle.serve.camera import CameraHub
    from rtstyle.serve.lobby import Lobby

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
QUANTILES = (0.5, 0.95)


class Metrics:
    """Reads the counters of a lobby and a camera hub; holds none of its own but the start."""

    def __init__(self, lobby: Lobby, hub: CameraHub) -> None:
        self._lobby, self._hub = lobby, hub
        self._began = time.monotonic()

    def health(self) -> dict[str, Any]:
        """Return the state in a few values, ready for JSON."""
        lobby, painter = self._lobby, self._lobby.painter
        capacity = painter.capacity
        return {
            "status": "ok",
            "version": __version__,
            "seconds_up": round(time.monotonic() - self._began, 1),
            "clients": lobby.clients,
            "max_clients": lobby.max_clients,
            "capacity_fps": None if capacity is None else round(capacity, 1),
            "scale": painter.rung.scale,
            "size": lobby.catalogue.size,
            "styles": len(lobby.catalogue),
            "pictures_to_fit": lobby.bank.to_fit,
            "camera_open": self._hub.is_open,
            "camera_viewers": self._hub.viewers,
        }

    def latency(self) -> dict[float, float]:
        """Return the quantiles of the sessions' last delays, in seconds; empty before any."""
        times = sorted(
            seconds
            for session in self._lobby.sessions.values()
            for seconds in session.picture.latencies()
        )
        return {q: times[int(q * (len(times) - 1))] for q in QUANTILES} if times else {}

    def text(self) -> str:
        """Return everything in Prometheus' text format."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        lobby, painter, hub = self._lobby, self._lobby.painter, self._hub
        sent = sum(session.track.frames for session in lobby.sessions.values())
        values: tuple[tuple[str, str, str, float], ...] = (
            ("clients", "gauge", "Clients that have frames painted.", lobby.clients),
            ("clients_max", "gauge", "Most clients at once.", lobby.max_clients),
            ("clients_admitted_total", "counter", "Clients let in.", lobby.admitted),
            ("clients_refused_total", "counter", "Clients refused as full.", lobby.refused),
            ("frames_received_total", "counter", "Frames that came in.", painter.received),
            ("frames_painted_total", "counter", "Frames painted.", painter.painted),
            ("frames_dropped_total", "counter", "Frames a newer one replaced.", painter.dropped),
            ("frames_failed_total", "counter", "Frames that raised.", painter.failures),
            ("frames_sent", "gauge", "Frames sent to the present clients.", sent),
            ("paint_seconds", "gauge", "Median time of one painting.", painter.seconds or 0.0),
            ("capacity_fps", "gauge", "Frames a second in all.", painter.capacity or 0.0),
            ("working_scale", "gauge", "Share of the rows painted on.", painter.rung.scale),
            ("camera_open", "gauge", "Whether the camera is held.", int(hub.is_open)),
            ("camera_viewers", "gauge", "Open streams of the camera.", hub.viewers),
            ("uptime_seconds", "gauge", "Since the start.", time.monotonic() - self._began),
        )
        for name, kind, text, value in values:
            yield f"# HELP rtstyle_{name} {text}"
            yield f"# TYPE rtstyle_{name} {kind}"
            yield f"rtstyle_{name} {value:.10g}"
        yield "# HELP rtstyle_latency_seconds From a frame's arrival to the encoder."
        yield "# TYPE rtstyle_latency_seconds gauge"
        for quantile, seconds in self.latency().items():
            yield f'rtstyle_latency_seconds{{quantile="{quantile:g}"}} {seconds:.6f}'
