"""Compiles `winograd.cpp` on first use, where there is a C++ compiler."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

SWITCH = "RTSTYLE_WINOGRAD"
"""Environment variable: ``0`` turns the native code off."""


_SOURCE = Path(__file__).with_name("winograd.cpp")


_COMPILE_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC")


_LINK_FLAGS = ("-shared", "-Wl,-z,defs")


_BUILD_SECONDS = 120


class _BuildError(Exception):
    """The native code cannot be built or loaded here; the message says why."""


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _BuildError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise _BuildError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
    return done.stdout


def _compiler() -> str:
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        path = shutil.which(name) if name else None
        if path is not None:
            return path
    raise _BuildError("no C++ compiler found (looked for $CXX, c++, g++ and clang++)")


def _processor() -> str:
    """Text that changes with the instruction set, for the cache key of ``-march=native``."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return " ".join(os.uname())
    return "\n".join(
        sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    )


def _loaded_openmp() -> str | None:
    """Path of the GNU OpenMP library that PyTorch has loaded, or None."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    except OSError:
        return None
    for line in maps.splitlines():
        path = line.split(maxsplit=5)[-1]
        if Path(path).name.startswith("libgomp") and Path(path).is_file():
            return path
    return None


def _cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "rtstyle" / "native"


def _build() -> Path:
    """Return the path of the compiled library, building it when the cache lacks it."""
    compiler = _compiler()
    version = _run([compiler, "--version"])
    # A second OpenMP runtime would keep a second pool of spinning threads: share PyTorch's.
    openmp = None if "clang" in version else _loaded_openmp()
    link = [*_LINK_FLAGS, openmp or "-fopenmp"]
    source = _SOURCE.read_bytes()
    key = "\0".join([compiler, version, _processor(), *_COMPILE_FLAGS, *link]).encode()
    cache = _cache_dir()
    target = cache / f"{hashlib.sha256(source + key).hexdigest()[:32]}.so"
    if target.is_file():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as work:
        made, library = Path(work, "winograd.o"), Path(work, "winograd.so")
        _run([compiler, *_COMPILE_FLAGS, "-c", str(_SOURCE), "-o", str(made)])
        _run([compiler, str(made), *link, "-o", str(library)])
        library.replace(target)  # atomic: two processes may build at once
    return target


@functools.cache
def _native() -> tuple[Any, str]:
    """Return the C function and "", or None and why there is none."""
    try:
        function = ctypes.CDLL(str(_build())).rtstyle_winograd_conv3x3
    except (_BuildError, OSError, AttributeError) as error:
        return None, str(error)
    function.restype = ctypes.c_int
    function.argtypes = (
        [ctypes.c_void_p] * 5
        + [ctypes.c_int64] * 5
        + [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int]
    )
    return function, ""


def unavailable_reason() -> str:
    """Return why the native code cannot be used, or "" when it can. Builds it on first call."""
    if os.environ.get(SWITCH) == "0":
        return f"turned off by {SWITCH}=0"
    return _native()[1]


def available() -> bool:
    """Say whether the native code can be used. Builds it on first call (a few seconds)."""
    return not unavailable_reason()
