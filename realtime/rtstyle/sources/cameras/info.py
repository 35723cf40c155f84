"""What is known of a camera before it is opened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mode:
    """Pictures of one kind: `pixel_format` as a FourCC, size in pixels, rates in FPS."""

    pixel_format: str
    width: int
    height: int
    rates: tuple[float, ...] = ()


@dataclass(frozen=True)
class CameraInfo:
    """A camera: `index` and `name` are what `--camera` takes, `path` its device or ''.

    `modes` is empty where the system does not tell them. `problem` says why it cannot be used.
    """

    index: int
    name: str
    path: str = ""
    modes: tuple[Mode, ...] = ()
    problem: str = ""
