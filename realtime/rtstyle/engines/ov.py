"""OpenVINO: the quickest engine on x86 CPUs, and Intel GPUs.

A model is compiled for the size of the pictures it gets: that takes 0.1 s, and our networks then
ran 5 to 18 % faster than with a dynamic size, as padding and cropping fold into constants. The
last few sizes are kept.
"""

from __future__ import annotations

import functools
import math
import platform
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from queue import LifoQueue
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtstyle.closeable import Closing
from rtstyle.engines.base import (
    Batch,
    EngineOptions,
    Input,
    check_batch,
    check_extra,
    damaged,
    first_line,
    holds_size,
    not_a_style,
)
from rtstyle.engines.devices import cache_folder
from rtstyle.engines.external import check_whole
from rtstyle.engines.int8 import quantize, read_ranges
from rtstyle.engines.ov_quick import ov
from rtstyle.errors import DeviceError, EngineError

ALONE_PIXELS = 6_000_000
"""Pixels of a picture above which only one is painted at once."""
KEPT_SIZES = 4
"""How many compiled picture sizes an engine keeps: each width of strokes takes one of a network."""

_DEVICES = {"cpu": "CPU", "gpu": "GPU"}

# The binding sets up its types on first use and can deadlock if two threads do so at once.
ov.Tensor(np.zeros(1, np.uint8), shared_memory=True)

_Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
_Requests: TypeAlias = "LifoQueue[ov.InferRequest]"


@functools.cache
def shared_core() -> ov.Core:
    """Return the one core of this process, which is never freed.

    The CPU plugin gives the main thread a signal stack of its own. Freeing the last core unmaps
    that stack, and the next Ctrl-C would crash the process.
    """
    return ov.Core()


class OpenVinoEngine(Closing):
    """A style model in OpenVINO; see `rtstyle.engines.base.Engine`."""

    name = "openvino"

    def __init__(self, model: bytes, options: EngineOptions) -> None:
        """Load `model`. Raises `DeviceError` or `EngineError`."""
        self.device, self.streams = options.device, options.streams
        self._core: ov.Core | None = shared_core()
        self._target = _target(self._core, options.device)
        self._threads = options.threads
        check_whole(model)
        try:
            self._model = self._core.read_model(model)
            self.extras: Mapping[str, Input] = _check_ports(self._model)
            self.metadata: Mapping[str, str] = _metadata(self._model)
        except EngineError:
            raise
        except Exception as error:
            # Of names and metadata, too: text that is not UTF-8, types that NumPy does not have.
            raise damaged(error) from error
        self.precision = self._chosen(options.precision)
        # What is no convolution waits for memory: with half the bytes all takes a quarter less.
        self._bf16 = self.precision == "bf16" or (self.precision == "int8" and has_bf16())
        self._lock = threading.Lock()
        self._cloning = threading.Lock()
        self._compiled: OrderedDict[_Shapes, _Requests] = OrderedDict()
        self._compiling: dict[_Shapes, threading.Lock] = {}

    def _chosen(self, wanted: str) -> str:
        """Return the precision for `wanted`, and prepare the model for int8."""
        assert self._core is not None
        if wanted == "int8" or (wanted == "auto" and self._target == "CPU" and has_int8()):
            if self._target != "CPU" or not has_int8():
                raise DeviceError(
                    "This device does not compute in int8.",
                    "It takes an x86 CPU.",
                    "Use the precision fp32 or auto.",
                )
            if quantize(self._model, read_ranges(self.metadata)):
                return "int8"
            if wanted == "int8":
                raise EngineError(
                    "This style does not run in int8.",
                    "Its file does not say in what ranges its features lie.",
                    "Use the precision fp32 or auto, or export it again.",
                )
        return _precision(self._core, self._target, wanted)

    def run(self, image: Batch, extra: Mapping[str, NDArray[Any]] | None = None) -> Batch:
        """Run the model on (N, H, W, 3) uint8 RGB; see `Engine.run`.

        The first picture of a new size waits for the model to be compiled for it.
        """
        feeds = {"image": check_batch(image), **check_extra(self.extras, extra)}
        requests = self._requests(tuple((name, value.shape) for name, value in feeds.items()))
        request = requests.get()
        try:
            # The results are copied out: the request's own buffer is overwritten by the next run.
            result: Batch = request.infer(feeds, share_inputs=True, share_outputs=False)["stylized"]
        except Exception as error:
            raise EngineError("OpenVINO failed to run the model.", first_line(error)) from error
        finally:
            requests.put(request)
        return result

    def holds(self, size: tuple[int, int]) -> bool:
        """Return True if the model is compiled for a size; see `Engine.holds`."""
        with self._lock:
            return holds_size(self._compiled, size)

    def keep(self, sizes: Collection[tuple[int, int]]) -> None:
        """Let go of other sizes; see `Engine.keep`."""
        with self._lock:
            others = [k for k in self._compiled if not any(holds_size([k], s) for s in sizes)]
            freed = [self._compiled.pop(each) for each in others]
        freed.clear()  # Not under the lock: it takes a while.

    def _requests(self, shapes: _Shapes) -> _Requests:
        """Return the free requests of the model compiled for `shapes`.

        Pictures of other sizes are painted meanwhile: compiling takes as long as many of them.
        """
        with self._lock:
            if (requests := self._kept(shapes)) is not None:
                return requests
            alone = self._compiling.setdefault(shapes, threading.Lock())
        with alone:
            with self._lock:
                if (requests := self._kept(shapes)) is not None:
                    return requests
            try:
                requests = self._compile(shared_core(), shapes)
            finally:
                with self._lock:
                    self._compiling.pop(shapes, None)
            with self._lock:
                self._kept(shapes)  # Raises where it was closed meanwhile.
                self._compiled[shapes] = requests
                if len(self._compiled) > KEPT_SIZES:
                    self._compiled.popitem(last=False)
                return requests

    def _kept(self, shapes: _Shapes) -> _Requests | None:
        """Return the requests of a size that is kept. Raises `EngineError` once it is closed."""
        if self._core is None:
            raise EngineError("The engine is closed.")
        if shapes in self._compiled:
            self._compiled.move_to_end(shapes)
        return self._compiled.get(shapes)

    def _compile(self, core: ov.Core, shapes: _Shapes) -> _Requests:
        try:
            with self._cloning:
                model = self._model.clone()
            model.reshape({name: list(shape) for name, shape in shapes})
            # Others wait: each stream has memory of its own, some 30 bytes a pixel.
            pixels = math.prod(dict(shapes)["image"][:3])
            streams = 1 if pixels > ALONE_PIXELS else self.streams
            compiled = self._prepared(core, model, streams)
            requests: _Requests = LifoQueue()
            for _ in range(streams):
                requests.put(compiled.create_infer_request())
        except Exception as error:
            raise EngineError(
                f"OpenVINO cannot prepare the model for pictures of {dict(shapes)['image']}.",
                first_line(error),
            ) from error
        return requests

    def _prepared(self, core: ov.Core, model: ov.Model, streams: int) -> ov.CompiledModel:
        """Compile a model; where int8 and bf16 do not go together, with int8 and fp32."""
        brief = self._bf16  # Another thread, at another size, may come upon it at the same time.
        try:
            return core.compile_model(model, self._target, self._config(streams, brief))
        except RuntimeError:
            # For some kernels of few channels on AMX OpenVINO finds "no suitable implementation".
            if self.precision != "int8" or not brief:
                raise
            self._bf16 = False
            return core.compile_model(model, self._target, self._config(streams, False))

    def _config(self, streams: int, brief: bool) -> dict[str, Any]:
        kind = ov.Type.bf16 if brief else ov.Type.f32
        config: dict[str, Any] = {
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": kind,
        }
        if self._target == "CPU":
            config["INFERENCE_NUM_THREADS"] = max(self._threads, self.streams)
            # Pinned threads of two models, or of a decoder, would fight for the same cores.
            config["ENABLE_CPU_PINNING"] = False
        else:
            # On a GPU the kernels take seconds to build, so they are kept; OpenVINO keys them by
            # model, size, device and version. On a CPU compiling takes 0.1 s and is not cached.
            config["CACHE_DIR"] = str(cache_folder() / "openvino")
        return config

    def close(self) -> None:
        """Free the compiled models."""
        with self._lock:
            self._core = None
            self._compiled.clear()


def available_devices() -> tuple[str, ...]:
    """Return the devices that OpenVINO finds here."""
    found = {name.split(".")[0] for name in shared_core().available_devices}
    return tuple(device for device, target in _DEVICES.items() if target in found)


@functools.cache
def has_int8() -> bool:
    """Return True if int8 is quicker than fp32 on this CPU. ARM is not tried."""
    core = shared_core()
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return x86 and "INT8" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@functools.cache
def has_bf16() -> bool:
    """Return True if this CPU computes in bf16 by itself."""
    return "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _target(core: ov.Core, device: str) -> str:
    target = _DEVICES.get(device, "")
    found = {name.split(".")[0] for name in core.available_devices}
    if target in found:
        return target
    raise DeviceError(
        f"OpenVINO cannot use the device {device!r}.",
        f"It finds {', '.join(sorted(found)) or 'none'} here.",
        "For an Intel GPU install its compute driver (Debian: apt install intel-opencl-icd).",
    )


def _precision(core: ov.Core, target: str, wanted: str) -> str:
    able = "BF16" in core.get_property(target, "OPTIMIZATION_CAPABILITIES")
    if wanted == "bf16" and not able:
        raise DeviceError(
            "This device does not compute in bf16.",
            "A CPU needs AVX512-BF16 or AMX for it.",
            "Use the precision fp32 or auto.",
        )
    if wanted == "fp16":
        raise DeviceError(
            "OpenVINO does not run these models in fp16.", "", "Use the precision fp32 or auto."
        )
    if wanted == "auto":
        return "bf16" if able and target == "CPU" else "fp32"
    return wanted


def _check_ports(model: ov.Model) -> dict[str, Input]:
    """Return the further inputs. Raises `EngineError` unless this is a style model."""
    inputs = {port.get_any_name(): port for port in model.inputs}
    outputs = {name for port in model.outputs for name in port.get_names()}
    image = inputs.pop("image", None)
    if image is None or image.element_type != ov.Type.u8 or "stylized" not in outputs:
        raise not_a_style()
    return {name: _input(port) for name, port in inputs.items()}


def _input(port: Any) -> Input:
    shape = tuple(-1 if size.is_dynamic else size.get_length() for size in port.partial_shape)
    return Input(shape, np.dtype(port.element_type.to_dtype()).name)


def _metadata(model: ov.Model) -> dict[str, str]:
    """Return the metadata_props of the ONNX file, which OpenVINO keeps under `framework`."""
    if "framework" not in model.rt_info:
        return {}
    return {key: str(value.value) for key, value in model.rt_info["framework"].items()}
