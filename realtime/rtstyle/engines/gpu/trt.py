"""TensorRT: the quickest engine on NVIDIA cards, with TensorRT for RTX or the full TensorRT.

A model is rewritten and built for the size of the pictures it gets, in about a second, and kept
in the cache. The last few sizes stay loaded. Every stream has a context, a queue and memory of
its own, pinned on this machine's side. **No part of this has run on a card yet**; see
`rtstyle.engines.gpu.trt_library`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from queue import LifoQueue
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtstyle.closeable import Closing
from rtstyle.engines import devices, open_engine
from rtstyle.engines.base import (
    Batch,
    EngineOptions,
    Input,
    check_batch,
    check_extra,
    holds_size,
    read_ports,
)
from rtstyle.engines.devices import blank_extra
from rtstyle.engines.gpu.cuda_card import Buffer, Card, open_card
from rtstyle.engines.gpu.engine_cache import EngineCache, EngineKey
from rtstyle.engines.gpu.static_graph import static_model
from rtstyle.engines.gpu.trt_library import Library, Plan, find_library
from rtstyle.errors import DeviceError, EngineError

KEPT_SIZES = 4
"""How many picture sizes stay loaded."""

_Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
_Feeds: TypeAlias = Mapping[str, NDArray[Any]]


class TensorRtEngine(Closing):
    """A style model in TensorRT; see `rtstyle.engines.base.Engine`.

    `fp16`, which `auto` takes, computes its convolutions in half precision, `fp32` nothing.
    """

    name = "tensorrt"

    def __init__(
        self,
        model: bytes,
        options: EngineOptions,
        *,
        card: Card | None = None,
        library: Library | None = None,
        cache: EngineCache | None = None,
    ) -> None:
        """Load `model`. Raises `DeviceError` or `EngineError`."""
        self.device, self.streams = options.device, options.streams
        if options.precision in ("bf16", "int8"):
            raise DeviceError(
                f"TensorRT does not run these models in {options.precision}.",
                "",
                "Use the precision fp16, fp32 or auto.",
            )
        self.precision = "fp32" if options.precision == "fp32" else "fp16"
        self.metadata: Mapping[str, str]
        self.extras: Mapping[str, Input]
        self.metadata, self.extras = read_ports(model)
        self._model = model
        self._card: Card = card or open_card()
        self._library: Library = library or find_library(self._card)
        self._library.check(self._card)
        self._cache = cache or EngineCache(cache_folder())
        self._lock = threading.Lock()
        self._closed = False
        self._sizes: OrderedDict[_Shapes, _Size] = OrderedDict()

    def run(self, image: Batch, extra: Mapping[str, NDArray[Any]] | None = None) -> Batch:
        """Run the model on (N, H, W, 3) uint8 RGB; see `Engine.run`.

        The first picture of a new size waits for its engine, a second if none is kept.
        """
        feeds = {"image": check_batch(image), **check_extra(self.extras, extra)}
        for name, port in self.extras.items():
            if feeds[name].dtype != port.dtype:
                raise EngineError(f"The input {name} is {port.dtype}, not {feeds[name].dtype}.")
        size = self._borrowed(tuple((name, value.shape) for name, value in feeds.items()))
        try:
            return size.run(feeds)
        finally:
            self._returned(size)

    def prepare(self, height: int, width: int) -> bool:
        """Build the engine for single pictures of this size, and paint a black one.

        Returns whether it was kept already. Raises what `run` does.
        """

        image, extra = np.zeros((1, height, width, 3), np.uint8), blank_extra(self, height, width)
        feeds = {"image": image, **extra}
        kept = self._cache.has(self._key(tuple((n, v.shape) for n, v in feeds.items())))
        self.run(image, extra)
        return kept

    def holds(self, size: tuple[int, int]) -> bool:
        """Return True if there is an engine for a size; see `Engine.holds`."""
        # Without the lock, which is held while another one is built.
        return holds_size(list(self._sizes), size)

    def keep(self, sizes: Collection[tuple[int, int]]) -> None:
        """Do nothing: an engine takes long to build, and its memory is the card's."""

    def close(self) -> None:
        """Free the engines and their memory; runs under way end first."""
        with self._lock:
            self._closed = True
            sizes, self._sizes = list(self._sizes.values()), OrderedDict()
            idle = [size for size in sizes if size.retire()]
        for size in idle:
            size.free()

    def _borrowed(self, shapes: _Shapes) -> _Size:
        """Return what runs inputs of `shapes`; `_returned` must follow."""
        idle = None
        with self._lock:
            if self._closed:
                raise EngineError("The engine is closed.")
            size = self._sizes.get(shapes)
            if size is None:
                size = self._sizes[shapes] = self._made(shapes)
            self._sizes.move_to_end(shapes)
            size.users += 1
            if len(self._sizes) > KEPT_SIZES:
                _, oldest = self._sizes.popitem(last=False)
                idle = oldest if oldest.retire() else None
        if idle is not None:
            idle.free()
        return size

    def _returned(self, size: _Size) -> None:
        with self._lock:
            size.users -= 1
            idle = size.is_idle()
        if idle:
            size.free()

    def _key(self, shapes: _Shapes) -> EngineKey:
        return EngineKey(
            self._model,
            dict(shapes),
            self.precision,
            self._library.version,
            self._card.capability,
            self._card.driver,
        )

    def _made(self, shapes: _Shapes) -> _Size:
        key = self._key(shapes)

        def build() -> bytes:
            model = static_model(self._model, dict(shapes), half=self.precision == "fp16")
            return self._library.build(model, self._card.capability)

        plan, kernels = self._cache.opened(key, build, self._loaded)

        def keep() -> None:
            if (found := plan.kernels()) and found != kernels:
                self._cache.keep_kernels(key, found)

        return _Size(self._card, plan, dict(shapes), self._types(), self.streams, keep)

    def _loaded(self, plan: bytes, kernels: bytes) -> tuple[Plan, bytes]:
        try:
            return self._library.load(plan, kernels), kernels
        except DeviceError:
            raise
        except EngineError as error:
            major, minor = self._card.capability
            raise DeviceError(
                f"{self._library.version} does not run on {self._card.name}.",
                f"Compute capability {major}.{minor}: {error.why or error.what}",
                "Use --device cuda, or install the full TensorRT from NVIDIA for this card.",
            ) from error

    def _types(self) -> dict[str, str]:
        return {"image": "uint8", **{name: port.dtype for name, port in self.extras.items()}}


class _Size:
    """A loaded engine for one size, with a lane for each stream."""

    def __init__(
        self,
        card: Card,
        plan: Plan,
        shapes: Mapping[str, tuple[int, ...]],
        types: Mapping[str, str],
        streams: int,
        on_first_run: Any,
    ) -> None:
        self.users = 0
        self._retired = False
        self._plan: Plan | None = plan
        self._on_first_run = on_first_run
        self._lanes: list[_Lane] = []
        self._free: LifoQueue[_Lane] = LifoQueue()
        try:
            for _ in range(streams):
                self._lanes.append(_Lane(card, plan, shapes, types))
                self._free.put(self._lanes[-1])
        except BaseException:
            self.free()
            raise

    def run(self, feeds: _Feeds) -> Batch:
        lane = self._free.get()
        try:
            result = lane.run(feeds)
            first, self._on_first_run = self._on_first_run, None
            if first is not None:
                first()
            return result
        finally:
            self._free.put(lane)

    def retire(self) -> bool:
        """Take it out of use; return True if it may be freed at once."""
        self._retired = True
        return self.is_idle()

    def is_idle(self) -> bool:
        """Return True if nobody uses it, nor ever will."""
        return self._retired and not self.users

    def free(self) -> None:
        for lane in self._lanes:
            lane.free()
        self._lanes.clear()
        self._plan = None


class _Lane:
    """A context, a queue and buffers: one run at a time."""

    def __init__(
        self,
        card: Card,
        plan: Plan,
        shapes: Mapping[str, tuple[int, ...]],
        types: Mapping[str, str],
    ) -> None:
        self._card, self._shape = card, shapes["image"]
        self._buffers: dict[str, Buffer] = {}
        self._context: Any = None
        self._stream = card.open_stream()
        try:
            self._context = plan.context()
            for name, shape in {**shapes, "stylized": self._shape}.items():
                size = int(np.prod(shape)) * np.dtype(types.get(name, "uint8")).itemsize
                self._buffers[name] = card.allocate(size)
                self._context.bind(name, self._buffers[name].pointer)
        except BaseException:
            self.free()
            raise

    def run(self, feeds: _Feeds) -> Batch:
        result = self._buffers["stylized"]
        try:
            for name, value in feeds.items():
                buffer = self._buffers[name]
                np.copyto(buffer.host.view(value.dtype).reshape(value.shape), value)
                self._card.upload(buffer, self._stream)
            self._context.enqueue(self._stream)
            self._card.download(result, self._stream)
        finally:
            # After a failure, too: the next run overwrites what a copy may still read.
            self._card.wait(self._stream)
        return result.host.reshape(self._shape).copy()

    def free(self) -> None:
        self._context = None
        for buffer in self._buffers.values():
            self._card.free(buffer)
        self._buffers.clear()
        self._card.close_stream(self._stream)


def cache_folder() -> Any:
    """Return the folder of built engines."""

    return devices.cache_folder() / "tensorrt"


def build_ahead(
    model: Path, sizes: Iterable[tuple[int, int]], precision: str
) -> Iterator[tuple[tuple[int, int], bool, str]]:
    """Build the engine of a model for each size (width, height) that is not kept already.

    Yields the size, whether it was kept, and the precision. Raises what `TensorRtEngine` does.
    """
    with open_engine(model, "tensorrt", precision=precision) as engine:
        if not isinstance(engine, TensorRtEngine):
            raise TypeError(f"the device tensorrt gave {type(engine)}")
        for width, height in sizes:
            yield (width, height), engine.prepare(height, width), engine.precision
