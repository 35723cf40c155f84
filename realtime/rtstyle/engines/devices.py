"""Which engine and device runs a model: named by the user, or measured once and remembered."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtstyle.engines.base import NOISE_PORT, RANGES, Engine, EngineOptions
from rtstyle.engines.noise import noise_size
from rtstyle.errors import DeviceError, EngineError, UsageError
from rtstyle.files.cache import one_at_a_time, read_kept, write_kept

DEVICES = ("auto", "cpu", "cuda", "tensorrt", "webgpu", "coreml", "directml", "gpu")
"""What `--device` takes, besides `engine:device`."""

CACHE_VARIABLE = "RTSTYLE_CACHE"
"""Environment variable that moves the cache folder."""

TRIAL_SIZE = (360, 480)
"""Height and width of the picture on which engines are compared."""

LARGE_MODEL = 2 << 20
"""Model files over this many bytes are compared on a smaller picture."""

TRIAL_ROUNDS = 3

TRIAL_SECONDS = 0.5
"""Once a comparison took this long, no further round is begun: slow models differ clearly."""

MARGIN = 0.9
"""A later candidate must need less than this share of an earlier one's time to be preferred."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine (`openvino`, `onnxruntime`, `tensorrt`) on a concrete device."""

    engine: str
    device: str

    def __str__(self) -> str:
        return f"{self.engine}:{self.device}"


@dataclass(frozen=True, slots=True)
class Trial:
    """How long an engine took for a picture, and the CPU time of this process meanwhile."""

    seconds: float
    work: float

    def least(self, other: Trial) -> Trial:
        """Return the less of both trials."""
        return Trial(min(self.seconds, other.seconds), min(self.work, other.work))


# The likelier winner first; it wins where times cannot be taken.
_BY_DEVICE: Mapping[str, tuple[Candidate, ...]] = {
    "cpu": (Candidate("openvino", "cpu"), Candidate("onnxruntime", "cpu")),
    "cuda": (Candidate("onnxruntime", "cuda"),),
    "tensorrt": (Candidate("tensorrt", "cuda"),),
    "webgpu": (Candidate("onnxruntime", "webgpu"),),
    "coreml": (Candidate("onnxruntime", "coreml"),),
    "directml": (Candidate("onnxruntime", "directml"),),
    "gpu": (Candidate("openvino", "gpu"),),
}

# TensorRT and WebGPU have not run on a card yet, so they are left to who asks for them.
_AUTO = ("cuda", "coreml", "directml", "gpu", "cpu")

_DISTRIBUTIONS = ("openvino", "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")


def cpu_count() -> int:
    """Return how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    count = getattr(os, "process_cpu_count", os.cpu_count)()
    return count or 1


def cpu_name() -> str:
    """Return the processor's model name, as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cache_folder() -> Path:
    """Return the folder for what rtstyle remembers; `RTSTYLE_CACHE` moves it."""
    if other := os.environ.get(CACHE_VARIABLE):
        return Path(other)
    from platformdirs import user_cache_path

    return user_cache_path("rtstyle", appauthor=False)


def candidates(device: str) -> tuple[Candidate, ...]:
    """Return the engines that may serve `device`. Raises `UsageError` for an unknown name."""
    if device == "auto":
        return tuple(one for name in _AUTO for one in _BY_DEVICE[name])
    if device in _BY_DEVICE:
        return _BY_DEVICE[device]
    for one in (one for group in _BY_DEVICE.values() for one in group):
        if device == str(one):
            return (one,)
    names = [*DEVICES, *(str(one) for one in _BY_DEVICE["cpu"])]
    raise UsageError(f"There is no device {device!r}.", "", f"Use one of {', '.join(names)}.")


def open_best(model: bytes, device: str, options: EngineOptions) -> Engine:
    """Open `model` on the fastest engine for `device`, measured once and then remembered.

    The choice is not remembered if a device that is there failed in the measurement.
    Raises what the last engine raised if none is available.
    """
    choices = candidates(device)
    if len(choices) > 1 and options.precision in ("bf16", "int8"):
        # Only OpenVINO computes in these.
        choices = tuple(one for one in choices if one.engine == "openvino")
    if len(choices) == 1:
        return open_candidate(model, choices[0], options)
    key = _memory_key(device, model, options)
    if (engine := _open_remembered(key, model, choices, options)) is not None:
        return engine
    # Those who measure at once disturb each other, and would not all choose the same.
    with one_at_a_time(_memory_path().with_suffix(".lock")):
        if (engine := _open_remembered(key, model, choices, options)) is not None:
            return engine
        trials = measure(model, choices, options)
        best = fastest(trials)
        # A device that is there and failed (busy, out of memory) may well work the next time.
        if not any(is_present(one) for one in choices if one not in trials):
            _remember(key, best, trials)
    return open_candidate(model, best, options)


def _open_remembered(
    key: str, model: bytes, choices: Sequence[Candidate], options: EngineOptions
) -> Engine | None:
    """Open `model` on what was chosen before; None if nothing was, or its device is gone."""
    remembered = _recall(key)
    for one in choices:
        if str(one) == remembered:
            with suppress(DeviceError):
                return open_candidate(model, one, options)
    return None


def measure(
    model: bytes, choices: Sequence[Candidate], options: EngineOptions
) -> dict[Candidate, Trial]:
    """Return the time that each engine takes for one small picture; those that fail are out.

    The engines take turns, so that a passing load on the machine hits them alike.
    Raises the error of the last one if every engine fails.
    """
    # The large networks need seconds for the full trial picture; a third of its sides ranks them.
    height, width = (side // (3 if len(model) > LARGE_MODEL else 1) for side in TRIAL_SIZE)
    noise = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    trials: dict[Candidate, Trial] = {}
    failure: EngineError = DeviceError("There is no engine to choose from.")
    with ExitStack() as stack:
        engines: dict[Candidate, Engine] = {}
        for one in choices:
            try:
                engine = stack.enter_context(open_candidate(model, one, options))
                engine.run(noise, blank_extra(engine, height, width))
            except EngineError as error:
                failure = error
            else:
                engines[one] = engine
        begun = time.perf_counter()
        for _ in range(TRIAL_ROUNDS if len(engines) > 1 else 1):
            if trials and time.perf_counter() - begun > TRIAL_SECONDS:
                break
            for one, engine in engines.items():
                start, worked = time.perf_counter(), time.process_time()
                engine.run(noise, blank_extra(engine, height, width))
                trial = Trial(time.perf_counter() - start, time.process_time() - worked)
                trials[one] = trial if one not in trials else trial.least(trials[one])
    if not trials:
        raise failure
    return trials


def open_candidate(model: bytes, candidate: Candidate, options: EngineOptions) -> Engine:
    """Open `model` on one concrete engine and device."""
    options = replace(options, device=candidate.device)
    if candidate.engine == "openvino":
        from rtstyle.engines.ov import OpenVinoEngine

        return OpenVinoEngine(model, options)
    if candidate.engine == "tensorrt":
        from rtstyle.engines.gpu.trt import TensorRtEngine

        return TensorRtEngine(model, options)
    if candidate.device in ("cuda", "webgpu"):
        from rtstyle.engines.gpu.onnxrt_gpu import OnnxRuntimeGpuEngine

        return OnnxRuntimeGpuEngine(model, options)
    from rtstyle.engines.onnxrt import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, options)


def is_present(one: Candidate) -> bool:
    """Return True if the engine knows the device here, whether or not it works."""
    # Each engine's library is only imported where it is tried.
    if one.engine == "onnxruntime" and one.device in ("cuda", "webgpu"):
        from rtstyle.engines.gpu.onnxrt_gpu import is_available

        return is_available(one.device)
    if one.engine == "tensorrt":
        from rtstyle.engines.gpu.trt_library import available_devices
    elif one.engine == "openvino":
        from rtstyle.engines.ov import available_devices
    else:
        from rtstyle.engines.onnxrt import available_devices
    return one.device in available_devices()


def fastest(trials: Mapping[Candidate, Trial]) -> Candidate:
    """Return the quickest; one nearly as quick wins if it comes earlier, so noise decides less.

    Of two on the CPU, a later one must also have less to do: that hardly changes with the load,
    so the choice, and with it every picture, does not either.
    """
    best, *others = trials
    for one in others:
        both = one.device == best.device == "cpu"
        if trials[one].seconds < MARGIN * trials[best].seconds and not (
            both and trials[one].work > trials[best].work
        ):
            best = one
    return best


def blank_extra(engine: Engine, height: int, width: int) -> dict[str, NDArray[Any]]:
    """Return ones for the further inputs of a model, to try it out on a picture of that size."""
    return {
        name: np.ones(_blank(name, p.shape, height, width), p.dtype)
        for name, p in engine.extras.items()
    }


def _blank(name: str, shape: tuple[int, ...], height: int, width: int) -> list[int]:
    """Fill in what may vary: maps are as large as the picture, the trust in a canvas half that.

    Noise is as large as the picture, rounded up.
    """
    filled = [max(size, 1) for size in shape]
    if name == "trust":
        height, width = -(-height // 2), -(-width // 2)
    elif name == NOISE_PORT:
        height, width = noise_size((height, width))
    if len(shape) == 4 and shape[2:] == (-1, -1):
        filled[2:] = [height, width]
    elif len(shape) == 4 and shape[1:3] == (-1, -1):
        filled[1:3] = [height, width]
    return filled


def _memory_key(device: str, model: bytes, options: EngineOptions) -> str:
    """Return what the choice depends on, as one short text."""
    versions = [f"{name} {_version(name)}" for name in _DISTRIBUTIONS]
    hardware = [Path(p).exists() for p in ("/dev/nvidiactl", "/dev/dri/renderD128")]
    parts = [
        device,
        *versions,
        cpu_name(),
        sys.platform,
        hardware,
        options.threads,
        options.streams,
        options.precision,
        # Models within a factor of two of each other behave alike.
        len(model).bit_length(),
        RANGES.encode() in model,
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "none"


def _memory_path() -> Path:
    return cache_folder() / "devices.json"


def _memory() -> dict[str, Any]:
    try:
        content = json.loads(read_kept(_memory_path()) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _recall(key: str) -> str:
    entry = _memory().get(key)
    return str(entry.get("choice", "")) if isinstance(entry, dict) else ""


def _remember(key: str, best: Candidate, trials: Mapping[Candidate, Trial]) -> None:
    """Write the choice down."""
    seconds = {str(one): trial.seconds for one, trial in trials.items()}
    memory = {**_memory(), key: {"choice": str(best), "seconds": seconds}}
    write_kept(_memory_path(), json.dumps(memory, indent=1).encode())
