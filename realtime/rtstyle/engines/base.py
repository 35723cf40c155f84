"""What every engine is: one model on one device, `open -> run -> close`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtstyle.engines.external import check_whole, embedded
from rtstyle.errors import EngineError, reason

Batch: TypeAlias = NDArray[np.uint8]
"""RGB pictures: (N, H, W, 3), uint8, 0 to 255, C-contiguous."""


RANGES = "rtstyle.ranges"
"""Metadata of a model file: JSON, `{tensor: [lowest, highest]}` of features before convolutions."""

MOVES = ("Transpose", "Reshape", "Concat", "Squeeze", "Unsqueeze", "Pad")
"""Operators, of ONNX and OpenVINO alike, that move or repeat values: rounding comes before them."""


CANVAS_PORTS = frozenset(("canvas", "trust"))
"""The further inputs of a network that sees what it has painted; see `rtstyle.painting.canvas`."""

NOISE_PORT = "z"
"""The further input of a texture network; see `rtstyle.engines.noise`."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine runs a model.

    `device` is a concrete device (`cpu`, `cuda`, `coreml`, `directml`, `webgpu`, `gpu`), never
    `auto`. `threads` is the number of CPU threads in all (0: every core the process may use).
    `streams` is how many `run` calls may be under way at once; the threads are shared out over
    them, so more streams give more frames a second at a longer latency for each.
    `precision` is `fp32`, `fp16` (convolutions, on GPUs), `bf16`, `int8` (of files that hold their
    ranges, see `rtstyle.engines.int8`) or `auto`, the quickest of these that file and device can
    do.
    """

    device: str = "cpu"
    threads: int = 0
    streams: int = 1
    precision: str = "fp32"


@dataclass(frozen=True, slots=True)
class Input:
    """A further input of a model: its shape (-1 where it may vary) and NumPy type name."""

    shape: tuple[int, ...]
    dtype: str


class Engine(Protocol):
    """A model that is ready to run. Use as a context manager, or call `close`.

    `run` may be called from up to `streams` threads at once.
    """

    name: str
    device: str
    streams: int
    precision: str
    metadata: Mapping[str, str]
    extras: Mapping[str, Input]

    def run(self, image: Batch, extra: Mapping[str, NDArray[Any]] | None = None) -> Batch:
        """Run the model on (N, H, W, 3) uint8 RGB and return the same shape and type.

        `extra` holds further named inputs of the model, if it has any. The result is the caller's
        to keep. Raises `EngineError` for a wrong shape or type, or when the run itself fails.
        """
        ...

    def holds(self, size: tuple[int, int]) -> bool:
        """Return True if pictures of a size (rows, columns) are painted without preparation.

        Some engines are built for a size, and keep the last few of them.
        """
        ...

    def keep(self, sizes: Collection[tuple[int, int]]) -> None:
        """Let go of what was prepared for other sizes (rows, columns) than these.

        Where it takes long to prepare, or nothing is prepared, it does nothing.
        """
        ...

    def close(self) -> None:
        """Free the model. A second call does nothing; `run` afterwards raises `EngineError`."""
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def read_model(model: Path | bytes) -> bytes:
    """Return a model file with all its weights. Raises `EngineError` if it cannot be read."""
    if isinstance(model, bytes):
        check_whole(model)
        return model
    try:
        content = model.read_bytes()
    except OSError as error:
        raise EngineError(f"The model file {model} cannot be read.", reason(error)) from error
    try:
        return embedded(content, model)
    except EngineError:
        raise
    except Exception as error:
        raise damaged(error) from error


def check_batch(image: Batch) -> Batch:
    """Return `image` C-contiguous. Raises `EngineError` unless it is (N, H, W, 3) uint8."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = getattr(image, "dtype", type(image).__name__)
        raise EngineError(f"An engine takes uint8 arrays, not {found}.")
    if image.ndim != 4 or image.shape[3] != 3 or 0 in image.shape:
        raise EngineError(f"An engine takes (N, H, W, 3) pictures, not {image.shape}.")
    return np.ascontiguousarray(image)


def holds_size(shapes: Iterable[tuple[tuple[str, tuple[int, ...]], ...]], size: object) -> bool:
    """Return True if a picture of `size` is among the shapes of inputs that an engine keeps."""
    return any(dict(each)["image"][1:3] == size for each in shapes)


def check_extra(
    wanted: Mapping[str, object], extra: Mapping[str, NDArray[Any]] | None
) -> dict[str, NDArray[Any]]:
    """Return the further inputs. Raises `EngineError` unless they are just the `wanted` ones."""
    given = dict(extra or {})
    if given.keys() != wanted.keys():
        names, found = sorted(wanted) or "none", sorted(given) or "none"
        raise EngineError(f"The model takes the further inputs {names}, not {found}.")
    return given


def read_ports(model: bytes) -> tuple[dict[str, str], dict[str, Input]]:
    """Return a model's metadata and further inputs. Raises `EngineError` unless it is a style."""
    check_whole(model)
    try:
        return _read_ports(model)
    except EngineError:
        raise
    except Exception as error:
        # Of names and metadata, too: text that is not UTF-8, types that NumPy does not have.
        raise damaged(error) from error


def _read_ports(model: bytes) -> tuple[dict[str, str], dict[str, Input]]:
    # Not every engine needs the library.
    import onnx
    from onnx import TensorProto, helper

    proto = onnx.load_from_string(model)
    weights = {tensor.name for tensor in proto.graph.initializer}
    ports = {_text(port.name): port.type.tensor_type for port in proto.graph.input}
    image = ports.pop("image", None)
    outputs = {_text(port.name) for port in proto.graph.output}
    if not proto.graph.node and not outputs:
        raise damaged(EngineError("It is empty."))
    if image is None or image.elem_type != TensorProto.UINT8 or "stylized" not in outputs:
        raise not_a_style()
    extras = {
        name: Input(
            tuple(axis.dim_value or -1 for axis in kind.shape.dim),
            np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)).name,
        )
        for name, kind in ports.items()
        if name not in weights
    }
    return {_text(entry.key): _text(entry.value) for entry in proto.metadata_props}, extras


def _text(value: str | bytes) -> str:
    """Return text of a model, which protobuf gives as bytes if it is not UTF-8, and we refuse."""
    return value.decode() if isinstance(value, bytes) else value


def damaged(error: Exception) -> EngineError:
    """Return the error for a model that no engine can load."""
    unreadable = isinstance(error, UnicodeDecodeError)
    return EngineError(
        "The model file cannot be loaded.",
        "It holds text that is not UTF-8." if unreadable else first_line(error),
        "Download or export it again.",
    )


def not_a_style() -> EngineError:
    """Return the error for a sound model that is not a style."""
    return EngineError(
        "The model is not a style.",
        "It needs the input `image` and the output `stylized`, (N, H, W, 3) uint8.",
        "Export it with `rtstyle export`.",
    )


def first_line(error: Exception) -> str:
    """Return the most telling line of a library's error, at most 200 characters."""
    # ONNX Runtime names its own source first, and then what CUDA, cuDNN or cuBLAS say.
    if found := re.search(r"(CUDA|CUDNN|CUBLAS|CUFFT) failure \d+: [^;\n]*", str(error)):
        return found[0].strip()[:200]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # OpenVINO puts the source position in the first lines and the cause in the last one.
    return (lines[-1] if lines else type(error).__name__)[:200]
