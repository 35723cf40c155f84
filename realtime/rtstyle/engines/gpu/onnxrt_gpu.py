"""ONNX Runtime on a GPU: CUDA by its own build, every maker's cards by the WebGPU plugin.

A model is rewritten for the size of the pictures it gets, so that it runs on the card as a whole;
what would have to run on the CPU is an error. Each stream has a session of its own. **Neither
provider has run on a card yet**: what lies around them is tested with the CPU's.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import metadata
from queue import LifoQueue
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from rtstyle.closeable import Closing
from rtstyle.engines.base import (
    Batch,
    EngineOptions,
    Input,
    check_batch,
    check_extra,
    first_line,
    holds_size,
    read_ports,
)
from rtstyle.engines.gpu.static_graph import static_model
from rtstyle.engines.onnxrt import GET_CUDA
from rtstyle.errors import DeviceError, EngineError

KEPT_SIZES = 4
"""How many picture sizes stay loaded."""

DRIVER = "Install NVIDIA's driver, 580 or newer, or use --device cpu."

_Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Provider:
    """How a model gets onto a device.

    `plugin` are the devices of a plugin. `memory` is where inputs and outputs stay between runs;
    without, they are handed over in each. Without `has_bytes` the ports are float32. `remedy` is
    told where the provider is there and does not work.
    """

    name: str
    options: Mapping[str, str]
    remedy: str
    plugin: tuple[Any, ...] = ()
    memory: str = ""
    has_bytes: bool = True
    half: bool = True


def find_provider(device: str) -> Provider:
    """Return what runs models on `cuda` or `webgpu`. Raises `DeviceError` with the remedy."""
    return find_webgpu() if device == "webgpu" else find_cuda()


def find_cuda() -> Provider:
    """Return ONNX Runtime's provider for NVIDIA cards. Raises `DeviceError` if it is not there."""
    name = "CUDAExecutionProvider"
    if name not in ort.get_available_providers():
        raise unavailable(
            "cuda",
            _why_no_cuda(),
            GET_CUDA,
        )
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # finds CUDA and cuDNN in the nvidia-* wheels
    options = {
        "use_tf32": "0",  # on by default, and float32 to ten bits only
        "enable_cuda_graph": "1",
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "prefer_nhwc": "1",
    }
    return Provider(name, options, DRIVER, memory="cuda")


@functools.cache
def _register(path: str) -> None:
    """Load a plugin into ONNX Runtime, which takes each once in a process."""
    ort.register_execution_provider_library("webgpu", path)


def find_webgpu() -> Provider:
    """Return the WebGPU plugin's provider. Raises `DeviceError` if it is not there."""
    try:
        import onnxruntime_ep_webgpu as plugin
    except ImportError as error:
        raise unavailable(
            "webgpu",
            "The library onnxruntime-ep-webgpu is not installed.",
            "pip install 'rtstyle[webgpu]', with Python 3.11 or newer.",
        ) from error
    if not hasattr(ort, "get_ep_devices"):
        why = f"ONNX Runtime {ort.__version__} takes no plugins."
        raise unavailable("webgpu", why, "pip install 'onnxruntime>=1.24.4'")
    name = str(plugin.get_ep_name())
    try:
        _register(plugin.get_library_path())
    except Exception as error:
        raise unavailable(
            "webgpu",
            first_line(error),
            "On Linux install the Vulkan loader (Debian: apt install libvulkan1).",
        ) from error
    found = tuple(one for one in ort.get_ep_devices() if one.ep_name == name)
    if not found:
        raise unavailable(
            "webgpu", "ONNX Runtime finds no GPU here.", "Install its driver, or use --device cpu."
        )
    # WebGPU has no bytes, and half precision on some cards only.
    remedy = "Update the driver of the GPU, or use --device cpu."
    return Provider(name, {}, remedy, plugin=found[:1], has_bytes=False, half=False)


def _why_no_cuda() -> str:
    if find_distribution("onnxruntime") and find_distribution("onnxruntime-gpu"):
        return "onnxruntime and onnxruntime-gpu are both installed, and one hides the other."
    return f"This build of ONNX Runtime {ort.__version__} has no provider for it."


def find_distribution(name: str) -> bool:
    """Return True if a distribution is installed."""
    return any(True for _ in metadata.distributions(name=name))


def is_available(device: str) -> bool:
    """Return True if ONNX Runtime has a provider for `cuda` or `webgpu` here, working or not."""
    try:
        find_provider(device)
    except DeviceError:
        return False
    return True


def unavailable(device: str, why: str, todo: str) -> DeviceError:
    """Return the error for a device that cannot be used."""
    return DeviceError(f"The device {device!r} is not available.", why, todo)


class OnnxRuntimeGpuEngine(Closing):
    """A style model in ONNX Runtime on a GPU; see `rtstyle.engines.base.Engine`.

    `fp16`, which `auto` takes on CUDA, computes its convolutions in half precision, `fp32` nothing.
    """

    name = "onnxruntime"

    def __init__(
        self, model: bytes, options: EngineOptions, provider: Provider | None = None
    ) -> None:
        """Load `model`. Raises `DeviceError` or `EngineError`."""
        self.device, self.streams = options.device, options.streams
        if options.precision in ("bf16", "int8"):
            raise DeviceError(
                f"ONNX Runtime does not run these models in {options.precision}.",
                "",
                "Use the precision fp16, fp32 or auto.",
            )
        # First, as `auto` tries it everywhere, and all below needs ONNX.
        self._provider = provider or find_provider(options.device)
        self.metadata: Mapping[str, str]
        self.extras: Mapping[str, Input]
        self.metadata, self.extras = read_ports(model)
        self._model: bytes | None = model
        self.precision = options.precision
        if options.precision == "auto":
            self.precision = "fp16" if self._provider.half else "fp32"
        self._lock = threading.Lock()
        self._sizes: OrderedDict[_Shapes, LifoQueue[_Lane]] = OrderedDict()

    def run(self, image: Batch, extra: Mapping[str, NDArray[Any]] | None = None) -> Batch:
        """Run the model on (N, H, W, 3) uint8 RGB; see `Engine.run`.

        The first picture of a new size waits for its sessions.
        """
        feeds = {"image": check_batch(image), **check_extra(self.extras, extra)}
        lanes = self._lanes(tuple((name, value.shape) for name, value in feeds.items()))
        lane = lanes.get()
        try:
            return lane.run(feeds)
        except Exception as error:
            raise EngineError("ONNX Runtime failed to run the model.", first_line(error)) from error
        finally:
            lanes.put(lane)

    def _lanes(self, shapes: _Shapes) -> LifoQueue[_Lane]:

        with self._lock:
            if self._model is None:
                raise EngineError("The engine is closed.")
            if shapes not in self._sizes:
                model = static_model(
                    self._model,
                    dict(shapes),
                    half=self.precision == "fp16",
                    float_ports=not self._provider.has_bytes,
                )
                lanes: LifoQueue[_Lane] = LifoQueue()
                for _ in range(self.streams):
                    lanes.put(_Lane(open_on(self._provider, self.device, model), self._provider))
                self._sizes[shapes] = lanes
                if len(self._sizes) > KEPT_SIZES:
                    self._sizes.popitem(last=False)
            self._sizes.move_to_end(shapes)
            return self._sizes[shapes]

    def holds(self, size: tuple[int, int]) -> bool:
        """Return True if there is a session for a size; see `Engine.holds`."""
        # Without the lock, which is held while another one is built.
        return holds_size(list(self._sizes), size)

    def keep(self, sizes: Collection[tuple[int, int]]) -> None:
        """Do nothing: a session takes long to open, and its memory is the card's."""

    def close(self) -> None:
        """Free the sessions; runs under way end first."""
        with self._lock:
            self._model = None
            self._sizes.clear()


def open_on(provider: Provider, device: str, model: bytes) -> ort.InferenceSession:
    """Open a model with all its nodes on the provider. Raises `DeviceError`."""
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    # Nodes that the provider does not take would go to the CPU in silence.
    if provider.name != "CPUExecutionProvider":
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        if provider.plugin:
            settings.add_provider_for_devices(list(provider.plugin), dict(provider.options))
            session = ort.InferenceSession(model, settings, enable_fallback=0)
        else:
            chosen = [(provider.name, dict(provider.options))]
            session = ort.InferenceSession(model, settings, providers=chosen, enable_fallback=0)
    except Exception as error:
        raise unavailable(device, first_line(error), provider.remedy) from error
    if provider.name not in session.get_providers():
        why = f"ONNX Runtime could not load its {provider.name}."
        raise unavailable(device, why, provider.remedy)
    return session


class _Lane:
    """A session whose inputs and outputs stay where they are: one run at a time."""

    def __init__(self, session: ort.InferenceSession, provider: Provider) -> None:
        self._session, self._memory = session, provider.memory
        self._values: dict[str, ort.OrtValue] = {}
        ports = [*session.get_inputs(), *session.get_outputs()]
        self._kinds = {
            port.name: np.float32 if port.type == "tensor(float)" else np.uint8 for port in ports
        }
        if not self._memory:
            return
        self._binding = session.io_binding()
        for port in ports:
            value = ort.OrtValue.ortvalue_from_shape_and_type(
                port.shape, self._kinds[port.name], self._memory, 0
            )
            self._values[port.name] = value
            if port.name == "stylized":
                self._binding.bind_ortvalue_output(port.name, value)
            else:
                self._binding.bind_ortvalue_input(port.name, value)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Batch:
        if not self._memory:
            cast = {n: v.astype(self._kinds[n], copy=False) for n, v in feeds.items()}
            painted: NDArray[Any] = self._session.run(["stylized"], cast)[0]
        else:
            for name, value in feeds.items():
                self._values[name].update_inplace(np.ascontiguousarray(value))
            self._session.run_with_iobinding(self._binding)
            painted = self._values["stylized"].numpy()
        # Values of the CPU are the very memory of the next run.
        return painted.astype(np.uint8, copy=not painted.flags.owndata)
