"""ONNX Runtime: the CPU everywhere, and Apple and DirectX devices through its providers.

Styles on NVIDIA cards and WebGPU are in `rtstyle.engines.gpu`; `open_session` opens what is no
style, and has no fixed size, on an NVIDIA card, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

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
    damaged,
    first_line,
    not_a_style,
)
from rtstyle.engines.external import check_whole
from rtstyle.errors import DeviceError, EngineError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}

# What gives the device, said when it is missing.
GET_CUDA = (
    "Install NVIDIA's driver, 580 or newer, then `pip uninstall onnxruntime` and "
    "`pip install 'onnxruntime-gpu[cuda,cudnn]'`: in one environment both break each other."
)
_REMEDIES = {
    "cuda": GET_CUDA,
    "coreml": "CoreML comes with onnxruntime on macOS only.",
    "directml": "`pip install onnxruntime-directml` on Windows, in place of onnxruntime.",
}


class OnnxRuntimeEngine(Closing):
    """A style model in an ONNX Runtime session; see `rtstyle.engines.base.Engine`."""

    name = "onnxruntime"

    def __init__(self, model: bytes, options: EngineOptions) -> None:
        """Load `model`. Raises `DeviceError` or `EngineError`."""
        self.device, self.streams = options.device, options.streams
        if options.precision in ("fp16", "bf16", "int8"):
            raise DeviceError(
                f"ONNX Runtime does not run these models in {options.precision}.",
                "",
                "Use --device openvino:cpu.",
            )
        self.precision = "fp32"
        self._session: ort.InferenceSession | None = open_session(model, options)
        try:
            self.metadata: Mapping[str, str] = dict(
                self._session.get_modelmeta().custom_metadata_map
            )
            self.extras: Mapping[str, Input] = _check_ports(self._session)
        except EngineError:
            raise
        except Exception as error:
            # Text that is not UTF-8, types that NumPy does not have.
            raise damaged(error) from error

    def run(self, image: Batch, extra: Mapping[str, NDArray[Any]] | None = None) -> Batch:
        """Run the model on (N, H, W, 3) uint8 RGB; see `Engine.run`."""
        session = self._session
        if session is None:
            raise EngineError("The engine is closed.")
        feeds = {"image": check_batch(image), **check_extra(self.extras, extra)}
        try:
            result: Batch = run_session(session, ["stylized"], feeds)[0]
        except Exception as error:
            raise EngineError("ONNX Runtime failed to run the model.", first_line(error)) from error
        return result

    def holds(self, size: tuple[int, int]) -> bool:  # noqa: ARG002 - of any size
        """Return True: a session takes pictures of any size."""
        return True

    def keep(self, sizes: Collection[tuple[int, int]]) -> None:
        """Do nothing: nothing is prepared for a size."""

    def close(self) -> None:
        """Free the session."""
        self._session = None


def available_devices() -> tuple[str, ...]:
    """Return the devices that this build of ONNX Runtime has a provider for."""
    providers = set(ort.get_available_providers())
    return tuple(device for device, provider in PROVIDERS.items() if provider in providers)


def open_session(model: bytes, options: EngineOptions) -> ort.InferenceSession:
    """Open any ONNX model on `options.device`. Raises `DeviceError` or `EngineError`."""
    provider = PROVIDERS.get(options.device, "")
    todo = _REMEDIES.get(options.device, f"Use one of {', '.join(PROVIDERS)}.")
    if provider not in ort.get_available_providers():
        raise DeviceError(
            f"The device {options.device!r} is not available.",
            f"This build of ONNX Runtime {ort.__version__} has no provider for it.",
            todo,
        )
    check_whole(model)
    if options.device == "cuda" and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # finds CUDA and cuDNN in the nvidia-* wheels
    # By default float32 is multiplied to ten bits on NVIDIA cards.
    settings = {"use_tf32": "0"} if options.device == "cuda" else {}
    chain: list[Any] = [(provider, settings)]
    if options.device != "cpu":
        chain.append(PROVIDERS["cpu"])
    try:
        # Without its own fall-back, which goes on with the CPU when a device fails in a run.
        session = ort.InferenceSession(
            model, session_options(options), providers=chain, enable_fallback=0
        )
    except Exception as error:
        if options.device == "cpu" or "INVALID_PROTOBUF" in str(error):
            raise damaged(error) from error
        why = first_line(error)
        raise DeviceError(f"The device {options.device!r} failed.", why, todo) from error
    # ONNX Runtime falls back to the CPU in silence when a provider does not load.
    if provider not in session.get_providers():
        why = f"ONNX Runtime could not load its {provider}."
        raise DeviceError(f"The device {options.device!r} is not available.", why, todo)
    return session


def run_session(
    session: ort.InferenceSession, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]
) -> list[NDArray[Any]]:
    """Return the named outputs, copied out of the session. Raises what ONNX Runtime raises.

    Its own arrays are views of the session's memory: one number that is kept would keep all of
    it, some 90 MB for each painting, long after the session has gone.
    """
    return [np.array(value) for value in session.run(list(outputs), dict(feeds))]


def session_options(options: EngineOptions) -> ort.SessionOptions:
    """Return session options that keep to the threads and streams asked for."""
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    # The pool is shared by all callers, and every caller works along with it.
    settings.intra_op_num_threads = max(1, (options.threads or 1) - options.streams + 1)
    settings.inter_op_num_threads = 1
    # Threads that spin between runs would take the cores from the decoder and the encoder.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if options.device == "directml":
        settings.enable_mem_pattern = False
        settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    return settings


def _check_ports(session: ort.InferenceSession) -> dict[str, Input]:
    """Return the further inputs. Raises `EngineError` unless this is a style model."""
    inputs = {port.name: port for port in session.get_inputs()}
    outputs = {port.name for port in session.get_outputs()}
    image = inputs.pop("image", None)
    if image is None or image.type != "tensor(uint8)" or "stylized" not in outputs:
        raise not_a_style()
    return {name: _input(port) for name, port in inputs.items()}


def _input(port: Any) -> Input:
    shape = tuple(size if isinstance(size, int) else -1 for size in port.shape)
    kinds = {"float": "float32", "double": "float64"}
    kind = port.type.removeprefix("tensor(").removesuffix(")")
    return Input(shape, np.dtype(kinds.get(kind, kind)).name)
