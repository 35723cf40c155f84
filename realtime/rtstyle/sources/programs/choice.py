"""Which of the sources here a camera's name stands for."""

from __future__ import annotations

from rtstyle.sources.programs.latest import LatestSource
from rtstyle.sources.programs.ndi import NdiSource
from rtstyle.sources.programs.spout import SpoutSource
from rtstyle.sources.programs.syphon_client import SyphonSource

SOURCES: tuple[type[LatestSource], ...] = (NdiSource, SpoutSource, SyphonSource)


def open_program(camera: str, rate: float) -> LatestSource | None:
    """Return the source for `ndi`, `ndi:NAME` and the like, not opened; None for other names."""
    word, colon, _ = camera.partition(":")
    for kind in SOURCES:
        if word.lower() == kind.kind.lower() and (colon or camera == word):
            return kind(camera, rate=rate)
    return None
