"""Which libraries are installed, and what machine this is."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from rtstyle.doctor.check import Check
from rtstyle.engines import devices

LIBRARIES = (
    "rtstyle",
    "numpy",
    "av",
    "opencv-python-headless",
    "onnx",
    "onnxruntime",
    "openvino",
    "pi-heif",
    "pillow",
    "pygame-ce",
)


OPTIONAL = {
    "torch": "pip install 'rtstyle[train]'",
    "matplotlib": "pip install 'rtstyle[plot]'",
    "tensorrt-rtx-cu13-bindings": "pip install 'rtstyle[tensorrt]'",
    "onnxruntime-ep-webgpu": "pip install 'rtstyle[webgpu]'",
}


_CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


def software() -> Iterator[Check]:
    """Versions of Python and of the libraries."""
    yield Check("software", "python", None, platform.python_version())
    for name in LIBRARIES:
        version = _version(name)
        todo = "" if version else f"pip install {name}"
        if name == "av" and version:
            version += f" (FFmpeg {_ffmpeg()})"
        yield Check("software", name, bool(version), version, todo, needed=True)
    for name, todo in OPTIONAL.items():
        version = _version(name)
        yield Check("software", name, bool(version), version, "" if version else todo)


def _version(distribution: str) -> str:
    # Builds of one library for other devices go by other names.
    for name in (distribution, *_ALIASES.get(distribution, ())):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


_ALIASES = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python"),
    "pygame-ce": ("pygame",),
}


def _ffmpeg() -> str:
    import av

    return str(getattr(av, "ffmpeg_version_info", av.library_versions["libavcodec"]))


def machine() -> Iterator[Check]:
    """System, processor, cores, memory."""
    import psutil

    yield Check("machine", "system", None, platform.platform())
    flags = cpu_features()
    detail = f"{devices.cpu_name()}, {devices.cpu_count()} cores"
    yield Check("machine", "cpu", None, f"{detail}, {' '.join(flags) or 'features unknown'}")
    memory = psutil.virtual_memory()
    yield Check(
        "machine", "memory", None, f"{memory.available >> 20} of {memory.total >> 20} MiB free"
    )
    cache = devices.cache_folder()
    usable = _writable(cache)
    todo = "" if usable else f"Set {devices.CACHE_VARIABLE} to a folder that can be written."
    yield Check("machine", "cache", usable, str(cache), todo)


def cpu_features() -> tuple[str, ...]:
    """Return the CPU's features that matter to the engines, where the system lists them."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return ()
    lines = info.read_text(encoding="utf-8", errors="replace").lower().splitlines()
    line = next((line for line in lines if line.startswith(("flags", "features"))), "")
    flags = set(line.partition(":")[2].split())
    return tuple(name for name in _CPU_FEATURES if name in flags)


def _writable(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)
