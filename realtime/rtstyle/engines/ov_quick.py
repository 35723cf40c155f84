"""OpenVINO without its model converter, which takes two thirds of the time of its import.

`import openvino` tries to import `openvino.tools.ovc` and goes on without. Here it has to, and
gets `convert_model` when somebody asks for it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CONVERTER = "openvino.tools.ovc"


@contextmanager
def _without_converter() -> Iterator[None]:
    if CONVERTER in sys.modules:
        yield
        return
    sys.modules[CONVERTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[CONVERTER]


with _without_converter():
    import openvino as ov


def _later(name: str) -> Any:
    if name == "convert_model":
        return importlib.import_module(CONVERTER).convert_model
    raise AttributeError(f"module 'openvino' has no attribute {name!r}")


if not hasattr(ov, "convert_model"):
    ov.__getattr__ = _later  # of a module, by PEP 562

__all__ = ["ov"]
