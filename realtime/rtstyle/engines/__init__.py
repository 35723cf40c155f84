"""Engines: models on a device, opened by `open_engine` and `open_engines`.

Knows nothing of styles, of files of pictures, or of what a model paints.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rtstyle.engines.base import Batch, Engine, EngineOptions, Input, read_model
from rtstyle.errors import UsageError

__all__ = [
    "Batch",
    "Engine",
    "EngineOptions",
    "Input",
    "open_engine",
    "open_engines",
    "parts_of",
]

PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")


def open_engine(
    model: Path | bytes,
    device: str = "auto",
    *,
    streams: int = 1,
    threads: int = 0,
    precision: str = "auto",
) -> Engine:
    """Open an ONNX style model (a file, or its bytes) on a device.

    `device` is `auto` (the fastest that works here, measured once and remembered), a device of
    `rtstyle.engines.devices.DEVICES`, or `engine:device` such as `onnxruntime:cpu`. `streams` is
    how many `run` calls may be under way at once; `threads` CPU threads (0: every core) are shared
    out over them. `precision` is one of `PRECISIONS`; `auto` takes the quickest that file and
    device can do.

    Raises `DeviceError` for a device that is not available, `EngineError` for a damaged model and
    `UsageError` for options out of range.
    """
    from rtstyle.engines import devices

    if streams < 1 or threads < 0:
        raise UsageError(f"An engine cannot have {streams} streams and {threads} threads.")
    if precision not in PRECISIONS:
        raise UsageError(
            f"There is no precision {precision!r}.", "", f"Use one of {', '.join(PRECISIONS)}."
        )
    content = read_model(model)
    options = EngineOptions(
        threads=threads or devices.cpu_count(), streams=streams, precision=precision
    )
    return devices.open_best(content, device, options)


def open_engines(models: Sequence[Path], device: str = "auto", **options: Any) -> Engine:
    """Open one style model, or one for each region of a mask, as one engine; see `open_engine`."""
    with ExitStack() as stack:
        engines = [stack.enter_context(open_engine(file, device, **options)) for file in models]
        stack.pop_all()
    if len(engines) == 1:
        return engines[0]
    from rtstyle.engines.regional import RegionalEngine

    return RegionalEngine(engines)


def parts_of(engine: Engine) -> tuple[Engine, ...]:
    """Return the engines of the regions of a mask, or the engine itself if it has none."""
    return getattr(engine, "engines", (engine,))
