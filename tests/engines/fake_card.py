"""A FAKE NVIDIA card over NumPy, and a FAKE TensorRT over ONNX Runtime: nothing here is a GPU.

They keep the contracts of `cuda_card.Card` and `trt_library.Library` strictly, to test what lies
above: copies and runs happen only in `wait`, as late as a card may do them, and memory that is
freed, leaked, too small or used twice at a time is an error.
"""

# ruff: noqa: N802, N815 - FakeCuda has the names of CUDA

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from rtstyle.engines.gpu import trt
from rtstyle.engines.gpu.cuda_card import Buffer, Card
from rtstyle.errors import DeviceError, EngineError


class FakeCard:
    """Memory by pointer, and streams as queues of work."""

    name = "FAKE card over NumPy"

    def __init__(self, capability: tuple[int, int] = (8, 9), driver: int = 13000) -> None:
        self.capability, self.driver = capability, driver
        self.memory: dict[int, NDArray[np.uint8]] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.limit = 1 << 40
        self.opened = 0
        self._ids = itertools.count(1 << 20, 1 << 16)
        self._lock = threading.Lock()

    def open_stream(self) -> int:
        with self._lock:
            stream = next(self._ids)
            self.streams[stream] = []
            return stream

    def close_stream(self, stream: int) -> None:
        assert self.streams.pop(stream) == [], "a stream was closed with work under way"

    def allocate(self, size: int) -> Buffer:
        with self._lock:
            if sum(one.nbytes for one in self.memory.values()) + size > self.limit:
                raise EngineError("The NVIDIA card failed.", "CUDA 2: out of memory")
            pointer = next(self._ids)
            self.memory[pointer] = np.zeros(size, np.uint8)
            self.opened += 1
            return Buffer(np.zeros(size, np.uint8), pointer)

    def free(self, buffer: Buffer) -> None:
        del self.memory[buffer.pointer]

    def upload(self, buffer: Buffer, stream: int) -> None:
        self.streams[stream].append(lambda: np.copyto(self.memory[buffer.pointer], buffer.host))

    def download(self, buffer: Buffer, stream: int) -> None:
        self.streams[stream].append(lambda: np.copyto(buffer.host, self.memory[buffer.pointer]))

    def wait(self, stream: int) -> None:
        work, self.streams[stream] = self.streams[stream], []
        for step in work:
            step()


class FakeLibrary:
    """Engines that are ONNX files, run by ONNX Runtime on the CPU when a stream is waited for."""

    name = "FAKE TensorRT"

    def __init__(self, card: FakeCard, version: str = "FAKE TensorRT 1.0") -> None:
        self.card, self.version = card, version
        self.built: list[tuple[int, int] | None] = []
        self.loaded = 0
        self.fails = False

    def check(self, card: Card) -> None:
        if card.capability < (7, 5):
            raise DeviceError(f"The card {card.name} is too old.", "for this", "Use another.")

    def build(self, model: bytes, capability: tuple[int, int] | None) -> bytes:
        for port in onnx.load_from_string(model).graph.input:
            assert all(axis.HasField("dim_value") for axis in port.type.tensor_type.shape.dim)
        self.built.append(capability)
        return self.version.encode() + b"\n" + model

    def load(self, plan: bytes, kernels: bytes) -> FakePlan:
        version, _, model = plan.partition(b"\n")
        if version != self.version.encode() or self.fails:
            raise EngineError(f"{self.name} failed to load the model.", "another version built it")
        self.loaded += 1
        return FakePlan(self.card, model, kernels)


class FakePlan:
    def __init__(self, card: FakeCard, model: bytes, kernels: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.card, self.given = card, kernels
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def context(self) -> FakeContext:
        return FakeContext(self)

    def kernels(self) -> bytes:
        return b"FAKE kernels"


class FakeContext:
    def __init__(self, plan: FakePlan) -> None:
        self.plan, self.pointers, self.busy = plan, dict[str, int](), False

    def bind(self, name: str, pointer: int) -> None:
        self.pointers[name] = pointer

    def enqueue(self, stream: int) -> None:
        assert not self.busy, "a context ran twice at a time"
        self.busy = True
        self.plan.card.streams[stream].append(self._run)

    def _run(self) -> None:
        memory, session = self.plan.card.memory, self.plan.session
        kinds = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
        feeds: dict[str, NDArray[Any]] = {}
        for port in session.get_inputs():
            held = memory[self.pointers[port.name]].view(kinds[port.type])
            feeds[port.name] = held.reshape(port.shape).copy()
        result = session.run(["stylized"], feeds)[0]
        memory[self.pointers["stylized"]][:] = result.reshape(-1)
        self.busy = False


class FakeCuda:
    """A FAKE of `cuda.bindings.runtime` that knows one card, whose memory is this machine's.

    Copies happen at once; what is asked in the wrong way, or beyond `limit` allocations, fails.
    """

    cudaError_t = SimpleNamespace(cudaSuccess=0, cudaErrorMemoryAllocation=2)
    cudaDeviceAttr = SimpleNamespace(
        cudaDevAttrComputeCapabilityMajor=75, cudaDevAttrComputeCapabilityMinor=76
    )
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)

    def __init__(self) -> None:
        self.blocks: dict[str, dict[int, Any]] = {"card": {}, "host": {}}
        self.streams: set[int] = set()
        self.limit = 99

    def cudaDriverGetVersion(self) -> tuple[int, int]:
        return 0, 13000

    def cudaGetDeviceCount(self) -> tuple[int, int]:
        return 0, 1

    def cudaDeviceGetAttribute(self, kind: int, device: int) -> tuple[int, int]:
        return 0, {75: 8, 76: 6}[kind]

    def cudaGetDeviceProperties(self, device: int) -> tuple[int, Any]:
        return 0, SimpleNamespace(name=b"FAKE")

    def cudaGetErrorString(self, error: int) -> tuple[int, bytes]:
        return 0, b"out of memory"

    def cudaMalloc(self, size: int) -> tuple[int, int | None]:
        return self._allocate("card", size)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[int, int | None]:
        return self._allocate("host", size)

    def _allocate(self, side: str, size: int) -> tuple[int, int | None]:
        if sum(map(len, self.blocks.values())) >= self.limit:
            return 2, None
        memory = ctypes.create_string_buffer(size)
        self.blocks[side][ctypes.addressof(memory)] = memory
        return 0, ctypes.addressof(memory)

    def cudaFree(self, pointer: int) -> tuple[int]:
        del self.blocks["card"][pointer]
        return (0,)

    def cudaFreeHost(self, pointer: int) -> tuple[int]:
        del self.blocks["host"][pointer]
        return (0,)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int, int]:
        self.streams.add(7)
        return 0, 7

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        self.streams.remove(stream)
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        assert stream in self.streams
        return (0,)

    def cudaMemcpyAsync(
        self, to: int, source: int, size: int, kind: int, stream: int
    ) -> tuple[int]:
        ends = ("card", "host") if kind == 1 else ("host", "card")
        for side, pointer in zip(ends, (to, source), strict=True):
            assert ctypes.sizeof(self.blocks[side][pointer]) == size
        assert stream in self.streams
        ctypes.memmove(to, source, size)
        return (0,)


def install(patch: pytest.MonkeyPatch) -> tuple[FakeCard, FakeLibrary]:
    """Let `--device tensorrt` find the fakes."""
    card = FakeCard()
    library = FakeLibrary(card)
    patch.setattr(trt, "open_card", lambda: card)
    patch.setattr(trt, "find_library", lambda _: library)
    return card, library
