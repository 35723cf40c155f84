"""Shows the result of a benchmark: tables for the eye, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rtstyle.bench.figures import Figure, efficiency, slowest
from rtstyle.bench.suite import Result, Row
from rtstyle.engines import devices

SCHEMA = 1
LIBRARIES = ("rtstyle", "av", "numpy", "onnxruntime", "opencv-python-headless", "openvino")

BUSY_LOAD = 0.5
"""Share of the cores that may be in use by others before figures count as disturbed."""


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, system, library versions, and the load before the benchmark."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "cpu": devices.cpu_name(),
        "cores": devices.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "load_before": round(load, 2),
    }


def busy_note(machine: dict[str, Any]) -> str:
    """Return a warning if others were using the machine, else an empty string."""
    load, cores = machine["load_before"], machine["cores"]
    if load <= BUSY_LOAD * cores:
        return ""
    return f"The machine was busy before (load {load:.1f} on {cores} cores): figures are too low."


def to_json(result: Result, machine: dict[str, Any]) -> str:
    """Return everything as JSON text; its `schema` number changes with its form."""
    content = {
        "schema": SCHEMA,
        "machine": machine,
        "engine": result.engine,
        "settings": asdict(result.settings),
        "rows": [_row(row) for row in result.rows],
        "figures": [{**asdict(figure), "reached": figure.reached} for figure in result.figures],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def print_tables(result: Result, machine: dict[str, Any], console: Console) -> None:
    """Print what was measured, and which targets were reached."""
    settings = result.settings
    console.print(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; "
        f"style {settings.style} on {result.engine}, {result.rows[0].streams} streams; "
        f"medians of {settings.runs} runs on {settings.frames} frames",
        highlight=False,
    )
    if note := busy_note(machine):
        console.print(note, style="yellow", highlight=False)
    console.print(_rows_table("Network only (p50, p95: one run)", result, "network"))
    if any(row.kind == "video" for row in result.rows):
        title = "Decode to encode, with sound (p50, p95: decoder to file); each stage alone"
        console.print(_rows_table(title, result, "video"))
    console.print(_figures_table(result.figures))


def _row(row: Row) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if row.stages:
        extra = {
            "slowest_stage": slowest(row.stages),
            "efficiency": efficiency(row.fps, row.stages),
        }
    return {**asdict(row), **extra}


def _rows_table(title: str, result: Result, kind: str) -> Table:
    rows = [row for row in result.rows if row.kind == kind]
    stages = list(rows[0].stages) if rows else []
    table = _table(title, "network")
    heads = ["FPS", "p50 ms", "p95 ms", "MB peak", "s warm-up", *(f"{s} FPS" for s in stages)]
    for head in heads:
        # Two short lines of heading keep the table within 80 columns.
        table.add_column(head.replace(" ", "\n"), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.label,
            f"{row.fps:.1f}",
            f"{row.p50_ms:.1f}",
            f"{row.p95_ms:.1f}",
            f"{row.peak_mb:.0f}",
            f"{row.warm_up_s:.2f}",
            *(f"{row.stages[stage]:.1f}" for stage in stages),
        )
    return table


def _table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    # Narrow enough that the widest table fits into 80 columns.
    table.padding, table.collapse_padding, table.pad_edge = (0, 1), True, False
    table.add_column(first, no_wrap=first == "network")
    return table


def _figures_table(figures: list[Figure]) -> Table:
    table = _table("Figures (targets are for two cores)", "what")
    for head in ("measured", "target", ""):
        table.add_column(head, justify="right", no_wrap=True)
    verdicts = {True: Text("reached", "green"), False: Text("missed", "red"), None: Text()}
    for figure in figures:
        table.add_row(figure.name, show(figure), show_target(figure), verdicts[figure.reached])
    return table


def show(figure: Figure) -> str:
    """Return the measured value in its unit, a figure without one as it is."""
    return f"{_number(figure, figure.value)} {figure.unit}".strip()


def show_target(figure: Figure) -> str:
    """Return the target with its direction, or an empty string."""
    if figure.target is None:
        return ""
    sign = "≥" if figure.at_least else "≤"
    return f"{sign} {_number(figure, figure.target)} {figure.unit}".strip()


def _number(figure: Figure, value: float) -> str:
    if figure.unit == "MB":
        return f"{value:.0f}"
    if figure.name.startswith("memory growth"):
        return f"{value:+.1%}"
    return f"{value:.1f}" if figure.unit == "FPS" else f"{value:.2f}"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "none"
