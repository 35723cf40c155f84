"""TensorRT: built engines, and engines loaded, by TensorRT for RTX or the full TensorRT.

TensorRT for RTX is on PyPI and builds on any machine, in half a second, what it finishes on the
card at the first run. The full TensorRT, for cards in data centres, is taken where the user has it
from NVIDIA. Neither has run on a card yet: building is tested, what follows on a stand-in.
"""

from __future__ import annotations

import functools
import importlib
import re
import threading
from collections import deque
from typing import Any, Protocol

from rtstyle.engines.gpu.cuda_card import UNAVAILABLE, Card
from rtstyle.errors import DeviceError, EngineError

RTX, FULL = "tensorrt_rtx_bindings", "tensorrt"
"""Modules of TensorRT for RTX and of the full one."""

GET_RTX = "pip install 'rtstyle[tensorrt]'"


class Context(Protocol):
    """One run at a time of a loaded engine."""

    def bind(self, name: str, pointer: int) -> None:
        """Say where on the card an input or output lies."""
        ...

    def enqueue(self, stream: int) -> None:
        """Queue one run on a stream. Raises `EngineError`."""
        ...


class Plan(Protocol):
    """An engine loaded onto a card."""

    def context(self) -> Context:
        """Return a new context. Raises `EngineError`."""
        ...

    def kernels(self) -> bytes:
        """Return what was compiled for this card so far; empty if there is nothing to keep."""
        ...


class Library(Protocol):
    """What builds and loads engines. `version` tells builds apart whose engines differ."""

    name: str
    version: str

    def check(self, card: Card) -> None:
        """Raise `DeviceError` if the card is too old for this library."""
        ...

    def build(self, model: bytes, capability: tuple[int, int] | None) -> bytes:
        """Build an engine of an ONNX model with fixed sizes. Raises `EngineError`.

        It is for cards of this compute capability; None: for all that the library builds for.
        """
        ...

    def load(self, plan: bytes, kernels: bytes) -> Plan:
        """Load an engine, and what was compiled of it before. Raises `EngineError`."""
        ...


@functools.cache
def open_library(module: str) -> TensorRt:
    """Return TensorRT as the `module` has it. Raises `DeviceError` if it is not available."""
    try:
        return TensorRt(importlib.import_module(module))
    except DeviceError:
        raise
    except Exception as error:
        # Its loader raises what it likes where a library beside it is missing.
        raise DeviceError(UNAVAILABLE, f"{type(error).__name__}: {error}", GET_RTX) from error


def find_library(card: Card) -> TensorRt:
    """Return the TensorRT that suits the card, the one for RTX first.

    Raises `DeviceError` with the remedy.
    """
    failure: DeviceError | None = None
    untried: TensorRt | None = None
    for module in (RTX, FULL):
        try:
            library = open_library(module)
            library.check(card)
        except DeviceError as error:
            failure = failure or error
        else:
            if not library.capabilities() or card.capability in library.capabilities():
                return library
            untried = untried or library
    if untried is not None:
        return untried  # the card may be newer than the library: loading an engine will tell
    assert failure is not None
    raise failure


def available_devices() -> tuple[str, ...]:
    """Return `cuda` if TensorRT and a card for it are here."""
    from rtstyle.engines.gpu.cuda_card import open_card

    try:
        find_library(open_card())
    except DeviceError:
        return ()
    return ("cuda",)


class TensorRt:
    """TensorRT by its Python binding; see `Library`."""

    def __init__(self, module: Any) -> None:
        self._trt = module
        self.is_full = not hasattr(module, "IRuntimeConfig") or not hasattr(module, "IRuntimeCache")
        self.name = "TensorRT" if self.is_full else "TensorRT for RTX"
        self.version = f"{self.name} {module.__version__}"
        if not hasattr(module, "OnnxParser") or not hasattr(module, "Builder"):
            why = f"{self.version} is a part that builds nothing."
            raise DeviceError(UNAVAILABLE, why, GET_RTX)
        self._log, self._lock = _logger(module), threading.Lock()

    def capabilities(self) -> list[tuple[int, int]]:
        """Return the compute capabilities that the library names; none if it names no cards."""
        names = getattr(getattr(self._trt, "ComputeCapability", None), "__members__", {})
        found = [re.fullmatch(r"SM(\d+)(\d)", name) for name in names]
        return sorted((int(one[1]), int(one[2])) for one in found if one)

    def check(self, card: Card) -> None:
        """Raise `DeviceError` if the card is too old for this library."""
        named = self.capabilities()
        if named and card.capability < named[0]:
            raise DeviceError(
                f"The card {card.name} is too old for {self.name}.",
                f"It has compute capability {_dotted(card.capability)}, and "
                f"{_dotted(named[0])} (Turing) is needed.",
                "Use --device cuda, webgpu or cpu.",
            )

    def build(self, model: bytes, capability: tuple[int, int] | None) -> bytes:
        """Build an engine of an ONNX model with fixed sizes; see `Library.build`."""
        trt = self._trt
        with self._lock:
            self._log.clear()
            builder = trt.Builder(self._log.logger)
            # Types are as in the file: half precision only where `half_graph` put it.
            network = builder.create_network(
                1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
            )
            parser = trt.OnnxParser(network, self._log.logger)
            if not parser.parse(model):
                first = parser.get_error(0) if parser.num_errors else None
                raise self._failed("read", "" if first is None else f"{first.desc()}")
            config = builder.create_builder_config()
            # On by default, and float32 to ten bits only.
            config.clear_flag(trt.BuilderFlag.TF32)
            if capability in self.capabilities():
                config.num_compute_capabilities = 1
                name = "SM{}{}".format(*capability)
                config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
            plan = builder.build_serialized_network(network, config)
            if plan is None:
                raise self._failed("build")
            return bytes(plan)

    def load(self, plan: bytes, kernels: bytes) -> Plan:
        """Load an engine, and what was compiled of it before; see `Library.load`."""
        with self._lock:
            self._log.clear()
            runtime = self._trt.Runtime(self._log.logger)
            engine = None if runtime is None else runtime.deserialize_cuda_engine(plan)
            if engine is None:
                raise self._failed("load")
            return _Loaded(self, runtime, engine, kernels)

    def _failed(self, verb: str, why: str = "") -> EngineError:
        return EngineError(f"{self.name} failed to {verb} the model.", why or self._log.last())


class _Loaded:
    """An engine on the card; see `Plan`."""

    def __init__(self, library: TensorRt, runtime: Any, engine: Any, kernels: bytes) -> None:
        self._library, self._runtime, self._engine = library, runtime, engine
        self._config = self._cache = None
        if not library.is_full:
            self._config = engine.create_runtime_config()
            strategies = getattr(library._trt, "CudaGraphStrategy", None)
            if strategies is not None:
                self._config.cuda_graph_strategy = strategies.WHOLE_GRAPH_CAPTURE
            self._cache = self._config.create_runtime_cache()
            if kernels:
                self._cache.deserialize(kernels)
            self._config.set_runtime_cache(self._cache)

    def context(self) -> Context:
        """Return a new context; see `Plan.context`."""
        given = () if self._config is None else (self._config,)
        context = self._engine.create_execution_context(*given)
        if context is None:
            raise self._library._failed("prepare")
        return _Context(self._library, context)

    def kernels(self) -> bytes:
        """Return what was compiled for this card so far; see `Plan.kernels`."""
        found = None if self._cache is None else self._cache.serialize()
        return b"" if found is None else bytes(found)


class _Context:
    def __init__(self, library: TensorRt, context: Any) -> None:
        self._library, self._context = library, context

    def bind(self, name: str, pointer: int) -> None:
        if not self._context.set_tensor_address(name, pointer):
            raise self._library._failed("prepare")

    def enqueue(self, stream: int) -> None:
        if not self._context.execute_async_v3(stream):
            raise self._library._failed("run")


class _Log:
    """The last errors of a library, which prints them otherwise. It takes one logger a process."""

    def __init__(self) -> None:
        self.logger: Any = None
        self._lines: deque[str] = deque(maxlen=8)

    def add(self, line: str) -> None:
        self._lines.append(" ".join(line.split()))

    def clear(self) -> None:
        self._lines.clear()

    def last(self) -> str:
        return self._lines[0][:300] if self._lines else ""


def _logger(trt: Any) -> _Log:
    log = _Log()
    worst = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in worst:
                log.add(message)

    log.logger = Logger()
    return log


def _dotted(capability: tuple[int, int]) -> str:
    return "{}.{}".format(*capability)
