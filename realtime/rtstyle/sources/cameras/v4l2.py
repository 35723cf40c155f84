"""Cameras and their modes as Linux tells them: sysfs for names, Video4Linux2 for the rest.

By system calls and not a library: the well-kept one (linuxpy) is under the GPL, rtstyle under the
MIT licence, and all that is needed is four calls. Their structures are those of
`linux/videodev2.h`, which the kernel never changes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from rtstyle.sources.cameras.info import CameraInfo, Mode

QUERYCAP = 0x80685600
ENUM_FMT = 0xC0405602
ENUM_FRAMESIZES = 0xC02C564A
ENUM_FRAMEINTERVALS = 0xC034564B
VIDEO_CAPTURE, DEVICE_CAPS = 0x1, 0x80000000
CAPTURE_TYPE, DISCRETE = 1, 1
MOST_ENTRIES = 256
"""More formats, sizes or rates than any camera has: a driver that never ends its list."""

Ioctl = Callable[[int, int, bytearray], object]


def list_v4l2_cameras(
    sys: Path = Path("/sys/class/video4linux"),
    dev: Path = Path("/dev"),
    ioctl: Ioctl | None = None,
) -> list[CameraInfo]:
    """Return all capture devices by rising index; `sys`, `dev` and `ioctl` are for tests."""
    if ioctl is None:
        from fcntl import ioctl as real

        ioctl = real
    numbers = sorted(int(path.name[5:]) for path in dev.glob("video*") if path.name[5:].isdecimal())
    found = (_examine(number, sys, dev / f"video{number}", ioctl) for number in numbers)
    return [camera for camera in found if camera is not None]


def _examine(number: int, sys: Path, device: Path, ioctl: Ioctl) -> CameraInfo | None:
    """Return what a device is, or None if it captures no video (many cameras have such nodes)."""
    name = ""
    with suppress(OSError):
        name = (sys / f"video{number}" / "name").read_text("utf-8", "replace").strip()
    path = str(device)
    try:
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        problem = f"it cannot be opened ({error.strerror})"
        if isinstance(error, PermissionError):
            problem += "; add yourself to its group: sudo usermod -aG video $USER"
        return CameraInfo(number, name or device.name, path, problem=problem)
    try:
        card, captures = _capabilities(handle, ioctl)
        if not captures:
            return None
        return CameraInfo(number, name or card or device.name, path, tuple(_modes(handle, ioctl)))
    except OSError as error:
        problem = f"it does not answer ({error.strerror})"
        return CameraInfo(number, name or device.name, path, problem=problem)
    finally:
        os.close(handle)


def _capabilities(handle: int, ioctl: Ioctl) -> tuple[str, bool]:
    """Return the card's name, and whether it captures video."""
    answer = bytearray(104)
    ioctl(handle, QUERYCAP, answer)
    card = bytes(answer[16:48]).split(b"\0")[0].decode("utf-8", "replace")
    everything, own = struct.unpack_from("=II", answer, 84)
    # `everything` is about all nodes of the device together, `own` about this one.
    return card, bool((own if everything & DEVICE_CAPS else everything) & VIDEO_CAPTURE)


def _modes(handle: int, ioctl: Ioctl) -> Iterator[Mode]:
    for answer in _entries(handle, ioctl, ENUM_FMT, 64, CAPTURE_TYPE):
        (code,) = struct.unpack_from("=I", answer, 44)
        name = struct.pack("=I", code & 0x7FFFFFFF).decode("ascii", "replace").strip()
        for width, height in _sizes(handle, ioctl, code):
            yield Mode(name, width, height, tuple(_rates(handle, ioctl, code, width, height)))


def _sizes(handle: int, ioctl: Ioctl, code: int) -> Iterator[tuple[int, int]]:
    for answer in _entries(handle, ioctl, ENUM_FRAMESIZES, 44, code):
        kind, *numbers = struct.unpack_from("=7I", answer, 8)
        if kind == DISCRETE:
            yield numbers[0], numbers[1]
        else:
            # Every size between two limits: the largest one stands for them.
            yield numbers[1], numbers[4]
            return


def _rates(handle: int, ioctl: Ioctl, code: int, width: int, height: int) -> Iterator[float]:
    for answer in _entries(handle, ioctl, ENUM_FRAMEINTERVALS, 52, code, width, height):
        kind, above, below = struct.unpack_from("=3I", answer, 16)
        if above:
            yield round(below / above, 3)
        if kind != DISCRETE:
            return


def _entries(
    handle: int, ioctl: Ioctl, request: int, size: int, *arguments: int
) -> Iterator[bytearray]:
    """Return the entries of one of the kernel's lists, which ends with EINVAL."""
    for index in range(MOST_ENTRIES):
        entry = bytearray(size)
        struct.pack_into(f"={1 + len(arguments)}I", entry, 0, index, *arguments)
        try:
            ioctl(handle, request, entry)
        except OSError:
            return
        yield entry
