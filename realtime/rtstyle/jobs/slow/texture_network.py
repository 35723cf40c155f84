"""Textures by texture networks, of noise alone (Ulyanov et al. 2016)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rtstyle.engines.base import NOISE_PORT, EngineOptions, first_line, read_model
from rtstyle.engines.devices import cpu_count
from rtstyle.engines.noise import MOST_VARIATION, draw
from rtstyle.engines.onnxrt import open_session, run_session
from rtstyle.errors import EngineError, StyleError
from rtstyle.frame import Image
from rtstyle.media.picture import Picture, write_picture
from rtstyle.styles.manifest import checked, load_manifest


def find_texture(name: str) -> Path:
    """Return the file of a network of pure texture: of a built-in one, or an .onnx file as it is.

    Raises `StyleError`.
    """
    if name.lower().endswith(".onnx"):
        if not Path(name).is_file():
            raise StyleError(f"There is no file {name}.", "", "Check the path.")
        return Path(name)
    known = load_manifest().textures
    if name in known:
        return checked(known[name])
    why = f"There are {', '.join(known)}." if known else "This folder of styles has none."
    raise StyleError(
        f"There is no texture network named {name!r}.",
        why,
        "Train one: rtstyle train painting.jpg --size texture, then rtstyle export.",
    )


def make_texture(
    name: str, size: tuple[int, int], *, seed: int = 0, device: str = "auto", threads: int = 0
) -> Image:
    """Return a texture (rows, columns, 3) uint8 of a size (rows, columns), by a trained network.

    Its edges continue at the opposite ones if the sides are multiples of
    `rtstyle.engines.noise.STRIDE`. Device `auto` is the CPU. Raises `StyleError`, `DeviceError` or
    `EngineError`.
    """
    path = find_texture(name)
    options = EngineOptions(
        device="cpu" if device == "auto" else device, threads=threads or cpu_count()
    )
    session = open_session(read_model(path), options)
    ports = {port.name: port for port in session.get_inputs()}
    if set(ports) != {NOISE_PORT} or session.get_outputs()[0].name != "stylized":
        raise StyleError(
            f"{path.name} is not a network of pure texture.",
            "It takes more than noise, or something else.",
            "Train one: rtstyle train painting.jpg --size texture, then rtstyle export.",
        )
    z = draw(size, int(ports[NOISE_PORT].shape[3]), seed, MOST_VARIATION)
    try:
        made = run_session(session, ["stylized"], {NOISE_PORT: z})[0][0]
    except Exception as error:
        raise EngineError("The texture network failed to run.", first_line(error)) from error
    return np.ascontiguousarray(made[: size[0], : size[1]])


def write_texture(
    name: str, output: Path, size: tuple[int, int], *, quality: int, **how: Any
) -> None:
    """Make a texture into a file. `how` are the other arguments of `make_texture`."""
    write_picture(Picture(make_texture(name, size, **how)), output, quality)
