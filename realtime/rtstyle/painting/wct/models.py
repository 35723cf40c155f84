"""Encoder and decoders of universal style transfer in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from rtstyle.closeable import Closing
from rtstyle.engines.base import EngineOptions, damaged, first_line, read_model
from rtstyle.engines.devices import cpu_count
from rtstyle.engines.onnxrt import open_session
from rtstyle.errors import EngineError, StyleError
from rtstyle.frame import Image
from rtstyle.painting.wct.transform import Features
from rtstyle.styles import manifest

LEVELS = (1, 2, 3, 4, 5)
"""Levels of the method, from colours and edges to whole motifs."""


def layer(level: int) -> str:
    """Return the layer of VGG-19 whose features `level` transforms."""
    return f"relu{level}_1"


def stride(level: int) -> int:
    """Return how many pixels of a picture one position of the features stands for."""
    return 1 << (level - 1)


def model_file(part: str, folder: Path | None = None) -> Path:
    """Return the file of `encoder` or `decoder-K` in `folder`, by default the one that ships.

    Raises `StyleError` if it is not there, or is not what the manifest says.
    """
    if folder is None:
        return manifest.find_wct(part)
    path = folder / f"wct-{part}.onnx"
    if not path.is_file():
        raise StyleError(
            f"There is no file {path}.", "", "Train it with `rtstyle train-wct`, then export it."
        )
    return path


def available(folder: Path | None = None) -> tuple[int, ...]:
    """Return the levels that have a decoder in `folder`, by default those that ship."""
    if folder is None:
        parts = manifest.load_manifest().wct
        return tuple(level for level in LEVELS if f"decoder-{level}" in parts)
    return tuple(level for level in LEVELS if (folder / f"wct-decoder-{level}.onnx").is_file())


def cut(model: onnx.ModelProto, outputs: list[str]) -> bytes:
    """Return a model that computes only these outputs of `model`, in this order.

    Raises `EngineError` if it lacks one.
    """
    known = {port.name: port for port in model.graph.output}
    if missing := [name for name in outputs if name not in known]:
        raise EngineError(
            f"The encoder does not reach {missing[0]}.", f"It gives {', '.join(known)}."
        )
    needed = set(outputs)
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.insert(0, node)
            needed.update(node.input)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    for field, values in (
        (graph.node, kept),
        (graph.initializer, [x for x in model.graph.initializer if x.name in needed]),
        (graph.output, [known[name] for name in outputs]),
    ):
        del field[:]
        field.extend(values)
    del graph.value_info[:]
    return bytes(made.SerializeToString())


class WctModels(Closing):
    """The networks of universal style transfer, loaded on first use.

    `folder` holds the exported files, by default those that ship; `device` is one of ONNX
    Runtime's, `threads` 0 means every core.
    """

    def __init__(self, folder: Path | None = None, device: str = "cpu", threads: int = 0) -> None:
        self.folder = folder
        self.levels = available(folder)
        self._options = EngineOptions(device=device, threads=threads or cpu_count())
        self._sessions: dict[tuple[str, ...], Any] = {}
        self._encoder: onnx.ModelProto | None = None

    def encode(self, image: Image, levels: tuple[int, ...]) -> list[Features]:
        """Return the features (C, H / s, W / s) of each level, s its stride.

        `image` is (H, W, 3) uint8 RGB, each side a multiple of every stride and at least two.
        Raises `StyleError`, `DeviceError` or `EngineError`.
        """
        names = tuple(layer(level) for level in levels)
        if names not in self._sessions:
            self._sessions[names] = self._open(cut(self._whole_encoder(), list(names)))
        found = self._run(self._sessions[names], list(names), {"image": image[None]})
        return [features[0] for features in found]

    def decode(self, features: Features, level: int) -> Image:
        """Return the picture (H, W, 3) uint8 of features (C, h, w), `stride` times as large."""
        part = f"decoder-{level}"
        if (part,) not in self._sessions:
            self._sessions[(part,)] = self._open(read_model(model_file(part, self.folder)))
        picture: Image = self._run(
            self._sessions[(part,)], ["stylized"], {"features": features[None]}
        )[0][0]
        return picture

    def close(self) -> None:
        """Free the networks."""
        self._sessions.clear()
        self._encoder = None

    def _open(self, model: bytes) -> Any:
        return open_session(model, self._options)

    def _whole_encoder(self) -> onnx.ModelProto:
        if self._encoder is None:
            content = read_model(model_file("encoder", self.folder))
            try:
                self._encoder = onnx.load_from_string(content)
            except Exception as error:
                raise damaged(error) from error
        return self._encoder

    def _run(
        self, session: Any, outputs: list[str], feeds: dict[str, NDArray[Any]]
    ) -> list[NDArray[Any]]:
        try:
            found: list[NDArray[Any]] = session.run(
                outputs, {name: np.ascontiguousarray(value) for name, value in feeds.items()}
            )
        except Exception as error:
            raise EngineError("ONNX Runtime failed to run the model.", first_line(error)) from error
        return found
