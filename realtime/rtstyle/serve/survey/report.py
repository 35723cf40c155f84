"""The report of a survey: lines, JSON, and a plot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtstyle.bench.plot import check_plot, require_matplotlib
from rtstyle.files.whole import STDOUT, write_or_print, write_whole
from rtstyle.serve.survey.statistics import GUESSING, Result, Share, summarize
from rtstyle.serve.survey.votes import read_votes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOR, MARK = "#2f7f8f", "#b03a2e"


def show(
    votes: Path,
    json_file: Path | None,
    plot: Path | None,
    say: Callable[[str], None],
    tell: Callable[[str], None],
) -> None:
    """Say the report of a file of votes by `say`, and write it where it is wanted.

    `tell` is told which files were written. Raises `SourceError`, `SinkError`, `UsageError` or
    `MissingExtraError`.
    """
    if plot is not None:
        check_plot(plot)
    found = read_votes(votes)
    if not found:
        say("There are no votes yet.")
        return
    result = summarize(found)
    if json_file != STDOUT:
        say("\n".join(lines(result)))
    if write_or_print(json_file, json.dumps(as_json(result), indent=2) + "\n"):
        tell(f"{json_file} written")
    if plot is not None:
        write_whole(plot, draw(result))
        tell(f"{plot} written")


def lines(result: Result) -> Iterator[str]:
    """Yield the report as text."""
    votes = sum(share.count for share in (*result.preferred.values(), *result.deceived.values()))
    yield f"{votes} votes of {result.visitors} visitors; intervals hold 95 %"
    if result.preferred:
        yield ""
        yield "Preferred"
        for (one, other), share in result.preferred.items():
            yield f"  {one} to {other}: {told(share)}"
        yield f"  what stood left: {told(result.left)}"
        yield ""
        yield "Bradley-Terry scores (1 more: preferred 2.7 times as often)"
        for name, score in sorted(result.scores.items(), key=lambda item: -item[1]):
            yield f"  {name}: {score:+.2f}"
    if result.deceived:
        yield ""
        yield f"Taken for the real painting ({GUESSING:.0%} by guessing)"
        for name, share in result.deceived.items():
            yield f"  {name}: {told(share)}"


def told(share: Share) -> str:
    """Return a share in words."""
    low, high = share.interval
    return f"{share.rate:.1%} ({low:.1%} to {high:.1%}), {share.hits} of {share.count}"


def as_json(result: Result) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "visitors": result.visitors,
        "preferred": [
            {"method": one, "to": other, **numbers(share)}
            for (one, other), share in result.preferred.items()
        ],
        "left": numbers(result.left),
        "bradley_terry": dict(result.scores),
        "deceived": [{"method": name, **numbers(share)} for name, share in result.deceived.items()],
    }


def numbers(share: Share) -> dict[str, Any]:
    """Return a share as numbers; a rate of none is None."""
    rate = share.rate if share.count else None
    return {
        "hits": share.hits,
        "count": share.count,
        "rate": rate,
        "interval": list(share.interval),
    }


def draw(result: Result) -> bytes:
    """Return a PNG picture of the report. Raises `MissingExtraError`."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [
        ("Preferred", {f"{a} to {b}": s for (a, b), s in result.preferred.items()}, 0.5),
        ("Taken for the real painting", dict(result.deceived), GUESSING),
    ]
    panels = [panel for panel in panels if panel[1]]
    columns = len(panels) + bool(result.scores)
    rows = max([len(shares) for _, shares, _ in panels] + [len(result.scores), 2])
    drawing = Figure(figsize=(4.6 * columns, 1.4 + 0.5 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.subplots(1, columns, squeeze=False)[0]
    for ax, (title, shares, chance) in zip(axes, panels, strict=False):
        _shares(ax, title, shares, chance)
    if result.scores:
        _scores(axes[-1], dict(sorted(result.scores.items(), key=lambda item: item[1])))
    drawing.suptitle(f"{result.visitors} visitors, 95 % intervals", fontsize=9)
    buffer = BytesIO()
    drawing.savefig(buffer, format="png")
    return buffer.getvalue()


def _shares(axes: Axes, title: str, shares: dict[str, Share], chance: float) -> None:
    for place, share in enumerate(shares.values()):
        low, high = share.interval
        axes.plot([100 * low, 100 * high], [place, place], color=COLOR, linewidth=3)
        axes.plot(100 * share.rate, place, "o", color=COLOR, markersize=8)
    axes.axvline(100 * chance, color=MARK, linestyle="--", linewidth=1)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% (dashed: by chance)", fontsize=8)
    _finish(axes, title, list(shares))


def _scores(axes: Axes, scores: dict[str, float]) -> None:
    axes.plot(list(scores.values()), range(len(scores)), "o", color=COLOR, markersize=8)
    axes.axvline(0, color=MARK, linestyle="--", linewidth=1)
    axes.set_xlabel("logarithmic strength", fontsize=8)
    _finish(axes, "Bradley-Terry scores", list(scores))


def _finish(axes: Axes, title: str, names: list[str]) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=8)
    axes.margins(y=0.3)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
