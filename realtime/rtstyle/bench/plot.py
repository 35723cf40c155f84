"""A picture of a benchmark: three panels of bars, with the targets as marks."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtstyle.bench.suite import PEAK_TARGET, Result, Row
from rtstyle.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {"fast": "#2f7f8f", "balanced": "#c9792b", "paper": "#7a5c99"}
OTHER_COLOR = "#777777"


def require_matplotlib() -> None:
    """Raise `MissingExtraError` if there is no Matplotlib."""
    try:
        import matplotlib  # noqa: F401 - only to see whether it is there
    except ImportError as error:
        raise MissingExtraError(
            "A plot needs Matplotlib.", str(error), "pip install 'rtstyle[plot]'"
        ) from error


def check_plot(path: Path) -> None:
    """Raise `MissingExtraError` without Matplotlib, `UsageError` for what is not a PNG file."""
    require_matplotlib()
    if path.suffix.lower() != ".png":
        raise UsageError(f"A plot cannot be written as {path.name}.", "", "Name it .png.")


def draw(result: Result, machine: dict[str, Any]) -> bytes:
    """Return a PNG picture of the result. Raises `MissingExtraError`."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    alone = [row for row in result.rows if row.kind == "network"]
    whole = [row for row in result.rows if row.kind == "video"]
    drawing = Drawing(figsize=(13, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(drawing)
    panels = drawing.subplots(1, 3)
    _times(panels[0], alone)
    wanted = result.settings.fps_targets
    _rates(panels[1], whole, [wanted.get((row.size, row.width, row.height)) for row in whole])
    _memory(panels[2], whole)
    drawing.suptitle(
        f"rtstyle, {result.settings.style}: {machine['cpu']}, {machine['cores']} cores, "
        f"{result.engine}, medians of {result.settings.runs} runs",
        fontsize=10,
    )
    buffer = BytesIO()
    drawing.savefig(buffer, format="png")
    return buffer.getvalue()


def _times(axes: Axes, rows: list[Row]) -> None:
    # Points, not bars: on a logarithmic axis the length of a bar says nothing.
    for place, (row, color) in enumerate(zip(rows, _colors(rows), strict=True)):
        axes.plot([row.p50_ms, row.p95_ms], [place, place], color=color, linewidth=2)
        axes.plot(row.p50_ms, place, "o", color=color, markersize=8)
        axes.annotate(
            f"{row.fps:.1f} FPS",
            (row.p95_ms, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(rows)), _labels(rows))
    axes.set_xscale("log")
    axes.grid(axis="x", which="both", alpha=0.25)
    _finish(axes, "Network only", "ms a run, p50 (line: to p95), logarithmic")
    axes.margins(x=0.35, y=0.15)


def _rates(axes: Axes, rows: list[Row], targets: list[float | None]) -> None:
    bars = axes.barh(_labels(rows), [row.fps for row in rows], color=_colors(rows))
    axes.bar_label(bars, fmt=" %.1f", fontsize=8)
    _marks(axes, targets)
    _finish(axes, "Decode to encode, with sound", "FPS (red: target)")


def _memory(axes: Axes, rows: list[Row]) -> None:
    bars = axes.barh(_labels(rows), [row.peak_mb for row in rows], color=_colors(rows))
    axes.bar_label(bars, fmt=" %.0f", fontsize=8)
    _marks(axes, [PEAK_TARGET.get((row.width, row.height)) for row in rows])
    _finish(axes, "Peak memory, decode to encode", "MB (red: limit)")


def _marks(axes: Axes, targets: list[float | None]) -> None:
    for place, target in enumerate(targets):
        if target is not None:
            axes.plot([target, target], [place - 0.45, place + 0.45], color="red", linewidth=2)


def _finish(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def _labels(rows: list[Row]) -> list[str]:
    return [f"{row.size}\n{row.width}x{row.height}" for row in rows]


def _colors(rows: list[Row]) -> list[str]:
    return [COLORS.get(row.size, OTHER_COLOR) for row in rows]
