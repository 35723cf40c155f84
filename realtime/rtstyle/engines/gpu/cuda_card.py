"""An NVIDIA card's memory and streams, through `cuda.bindings`: what TensorRT runs on.

It has never run on a card: no machine of this project had one. What it says without a driver is
tested as it is; `TensorRtEngine` is tested on a stand-in of this class.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtstyle.errors import DeviceError, EngineError

UNAVAILABLE = "The device 'tensorrt' is not available."
NO_DRIVER = "Install NVIDIA's driver, 580 or newer, or use --device cpu."


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes of this machine, from which the card copies by itself, and as many of the card."""

    host: NDArray[np.uint8]
    """(size,), pinned: it must not be touched while a copy is under way."""
    pointer: int


class Card(Protocol):
    """A card. Whatever takes a `stream` only queues there, until `wait`; safe from any thread."""

    name: str
    capability: tuple[int, int]
    driver: int

    def open_stream(self) -> int:
        """Return a new queue of work."""
        ...

    def close_stream(self, stream: int) -> None:
        """Free a stream whose work is done."""
        ...

    def allocate(self, size: int) -> Buffer:
        """Return a buffer of `size` bytes. Raises `EngineError` if the memory does not suffice."""
        ...

    def free(self, buffer: Buffer) -> None:
        """Free both halves of a buffer."""
        ...

    def upload(self, buffer: Buffer, stream: int) -> None:
        """Copy from the machine to the card."""
        ...

    def download(self, buffer: Buffer, stream: int) -> None:
        """Copy from the card to the machine."""
        ...

    def wait(self, stream: int) -> None:
        """Wait for all work of a stream. Raises `EngineError` if any of it failed."""
        ...


@functools.cache
def open_card() -> CudaCard:
    """Return the first card that CUDA shows, which is never closed.

    Raises `DeviceError`, with the remedy, if the binding, the driver or the card is missing.
    """
    return CudaCard()


class CudaCard:
    """The first card that CUDA shows; see `Card`. `CUDA_VISIBLE_DEVICES` chooses another."""

    def __init__(self, runtime: Any = None) -> None:
        self._cuda = _runtime() if runtime is None else runtime
        self.driver = int(self._call(self._cuda.cudaDriverGetVersion()))
        error, count = self._cuda.cudaGetDeviceCount()
        if self._failed(error) or not count:
            raise self._absent(error)
        kinds = self._cuda.cudaDeviceAttr
        self.capability = (
            int(self._attribute(kinds.cudaDevAttrComputeCapabilityMajor)),
            int(self._attribute(kinds.cudaDevAttrComputeCapabilityMinor)),
        )
        name = self._call(self._cuda.cudaGetDeviceProperties(0)).name
        self.name = name.decode() if isinstance(name, bytes) else str(name)

    def open_stream(self) -> int:
        """Return a new queue of work."""
        return int(self._call(self._cuda.cudaStreamCreateWithFlags(1)))  # it waits for no other

    def close_stream(self, stream: int) -> None:
        """Free a stream whose work is done."""
        self._call(self._cuda.cudaStreamDestroy(stream))

    def allocate(self, size: int) -> Buffer:
        """Return a buffer of `size` bytes. Raises `EngineError` if the memory does not suffice."""
        pointer = int(self._call(self._cuda.cudaMalloc(size)))
        try:
            host = int(self._call(self._cuda.cudaHostAlloc(size, 0)))
        except EngineError:
            self._cuda.cudaFree(pointer)
            raise
        memory = (ctypes.c_uint8 * size).from_address(host)
        return Buffer(np.ctypeslib.as_array(memory), pointer)

    def free(self, buffer: Buffer) -> None:
        """Free both halves of a buffer."""
        self._call(self._cuda.cudaFreeHost(buffer.host.ctypes.data))
        self._call(self._cuda.cudaFree(buffer.pointer))

    def upload(self, buffer: Buffer, stream: int) -> None:
        """Copy from the machine to the card."""
        self._copy(
            buffer.pointer, buffer.host.ctypes.data, buffer, "cudaMemcpyHostToDevice", stream
        )

    def download(self, buffer: Buffer, stream: int) -> None:
        """Copy from the card to the machine."""
        self._copy(
            buffer.host.ctypes.data, buffer.pointer, buffer, "cudaMemcpyDeviceToHost", stream
        )

    def wait(self, stream: int) -> None:
        """Wait for all work of a stream. Raises `EngineError` if any of it failed."""
        self._call(self._cuda.cudaStreamSynchronize(stream))

    def _copy(self, to: int, source: int, buffer: Buffer, way: str, stream: int) -> None:
        kind = getattr(self._cuda.cudaMemcpyKind, way)
        self._call(self._cuda.cudaMemcpyAsync(to, source, buffer.host.nbytes, kind, stream))

    def _attribute(self, kind: Any) -> Any:
        return self._call(self._cuda.cudaDeviceGetAttribute(kind, 0))

    def _failed(self, error: Any) -> bool:
        return bool(error != self._cuda.cudaError_t.cudaSuccess)

    def _call(self, answer: tuple[Any, ...]) -> Any:
        """Return the value of CUDA's answer. Raises `EngineError` with CUDA's own words."""
        error, *values = answer
        if self._failed(error):
            raise EngineError("The NVIDIA card failed.", self._words(error))
        return values[0] if values else None

    def _words(self, error: Any) -> str:
        words = self._cuda.cudaGetErrorString(error)[1]
        text = words.decode() if isinstance(words, bytes) else str(words)
        return f"CUDA {int(error)}: {text}"

    def _absent(self, error: Any) -> DeviceError:
        if not self.driver:
            return DeviceError(UNAVAILABLE, "NVIDIA's driver is not installed.", NO_DRIVER)
        if error == self._cuda.cudaError_t.cudaErrorInsufficientDriver:
            version = f"{self.driver // 1000}.{self.driver % 1000 // 10}"
            why = f"The driver is too old: it knows CUDA {version}, and 13.0 is needed."
            return DeviceError(UNAVAILABLE, why, "Update NVIDIA's driver to 580 or newer.")
        if self._failed(error) and error != self._cuda.cudaError_t.cudaErrorNoDevice:
            return DeviceError(
                UNAVAILABLE, self._words(error), "Restart the machine, or use --device cpu."
            )
        why = "The driver finds no card (CUDA_VISIBLE_DEVICES hides some)."
        return DeviceError(UNAVAILABLE, why, "Use --device cpu.")


def _runtime() -> Any:
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise DeviceError(
            UNAVAILABLE,
            f"The library cuda-bindings is not installed ({error}).",
            "pip install 'rtstyle[tensorrt]'",
        ) from error
    return runtime
