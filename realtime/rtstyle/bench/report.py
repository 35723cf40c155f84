"""Shows the result of a benchmark: tables for the eye, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rtstyle import devices
from rtstyle.bench.figures import Figure, efficiency, slowest
from rtstyle.bench.suite import Result, Row

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
        f"style {settings.style} on {result.engine}; medians of {settings.runs} runs",
        highlight=False,
    )
    if note := busy_note(machine):
        console.print(note, style="yellow", highlight=False)
    console.print(_rows_table("Network only (p50, p95: one run)", result, "network"))
    if any(row.kind == "video" for row in result.rows):
        title = "Decode to encode, with sound (p50, p95: decoder to file)"
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
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("network")
    heads = ["size", "p50 ms", "p95 ms", "FPS", "peak MB", "warm-up s", "streams", "frames"]
    heads += ["stages alone, FPS"] if kind == "video" else []
    for head in heads:
        table.add_column(head, justify="right")
    for row in (row for row in result.rows if row.kind == kind):
        cells = [row.size, f"{row.width}x{row.height}", f"{row.p50_ms:.1f}", f"{row.p95_ms:.1f}"]
        cells += [f"{row.fps:.1f}", f"{row.peak_mb:.0f}", f"{row.warm_up_s:.2f}"]
        cells += [str(row.streams), str(row.frames)]
        if kind == "video":
            cells.append(", ".join(f"{name} {fps:.0f}" for name, fps in row.stages.items()))
        table.add_row(*cells)
    return table


def _figures_table(figures: list[Figure]) -> Table:
    table = Table(title="Figures (targets are for two cores)", title_justify="left")
    table.title_style = "bold"
    table.add_column("what")
    for head in ("measured", "target", ""):
        table.add_column(head, justify="right")
    for figure in figures:
        verdict = {True: Text("reached", "green"), False: Text("missed", "red"), None: Text()}
        table.add_row(
            figure.name, show(figure), show_target(figure), verdict[figure.reached]
        )  # fmt: skip
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
