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
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtstyle.engines import Engine, EngineOptions, open_candidate
from rtstyle.engines.base import RANGES
from rtstyle.errors import DeviceError, EngineError, UsageError

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
    Raises what the last engine raised if none can be had.
    """
    choices = candidates(device)
    if len(choices) > 1 and options.precision in ("bf16", "int8"):
        # Only OpenVINO computes in these.
        choices = tuple(one for one in choices if one.engine == "openvino")
    if len(choices) == 1:
        return open_candidate(model, choices[0], options)
    key = _memory_key(device, model, options)
    remembered = _recall(key)
    for one in choices:
        if str(one) == remembered:
            try:
                return open_candidate(model, one, options)
            except DeviceError:
                # The device is gone since; measure again.
                break
    times = measure(model, choices, options)
    best = fastest(times)
    # A device that is there and failed (busy, out of memory) may well work the next time.
    if not any(is_present(one) for one in choices if one not in times):
        _remember(key, best, times)
    return open_candidate(model, best, options)


def measure(
    model: bytes, choices: Sequence[Candidate], options: EngineOptions
) -> dict[Candidate, float]:
    """Return the seconds that each engine takes for one small picture; those that fail are out.

    The engines take turns, so that a passing load on the machine hits them alike.
    Raises the error of the last one if every engine fails.
    """
    # The large networks need seconds for the full trial picture; a third of its sides ranks them.
    height, width = (side // (3 if len(model) > LARGE_MODEL else 1) for side in TRIAL_SIZE)
    noise = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    times: dict[Candidate, float] = {}
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
            if times and time.perf_counter() - begun > TRIAL_SECONDS:
                break
            for one, engine in engines.items():
                start = time.perf_counter()
                engine.run(noise, blank_extra(engine, height, width))
                times[one] = min(times.get(one, np.inf), time.perf_counter() - start)
    if not times:
        raise failure
    return times


def is_present(one: Candidate) -> bool:
    """Tell whether the engine knows the device here, whether or not it works."""
    # Each engine's library is only imported where it is tried.
    if one.engine == "onnxruntime" and one.device in ("cuda", "webgpu"):
        from rtstyle.engines.onnxrt_gpu import is_available

        return is_available(one.device)
    if one.engine == "tensorrt":
        from rtstyle.engines.trt_library import available_devices
    elif one.engine == "openvino":
        from rtstyle.engines.ov import available_devices
    else:
        from rtstyle.engines.onnxrt import available_devices
    return one.device in available_devices()


def fastest(times: Mapping[Candidate, float]) -> Candidate:
    """Return the quickest; one nearly as quick wins if it comes earlier, so noise decides less."""
    best, *others = times
    for one in others:
        if times[one] < MARGIN * times[best]:
            best = one
    return best


def blank_extra(engine: Engine, height: int, width: int) -> dict[str, NDArray[Any]]:
    """Return ones for the further inputs of a model, to try it out on a picture of that size."""
    return {
        name: np.ones(_blank(name, p.shape, height, width), p.dtype)
        for name, p in engine.extras.items()
    }


def _blank(name: str, shape: tuple[int, ...], height: int, width: int) -> list[int]:
    """Fill in what may vary: maps are as large as the picture, the trust in a canvas half that."""
    filled = [max(size, 1) for size in shape]
    if name == "trust":
        height, width = -(-height // 2), -(-width // 2)
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
        content = json.loads(_memory_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _recall(key: str) -> str:
    entry = _memory().get(key)
    return str(entry.get("choice", "")) if isinstance(entry, dict) else ""


def _remember(key: str, best: Candidate, times: Mapping[Candidate, float]) -> None:
    """Write the choice down. A cache that cannot be written costs speed only, so it is no error."""
    entry = {"choice": str(best), "seconds": {str(one): t for one, t in times.items()}}
    path = _memory_path()
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({**_memory(), key: entry}, indent=1), encoding="utf-8")
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
