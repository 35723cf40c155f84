"""What a name on the command line means: a file, an address or a pipe.

A name is a file unless it contains `://`; `-` is standard input or output.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from rtstyle.errors import UsageError, printable

STDIN = "-"
STREAMS = frozenset(("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"))
"""Schemes of addresses that FFmpeg reads by itself; others may be those of stores."""
OF_STORES = "Stores such as s3:// are read by `video`, `image` and `augment` with --cluster auto."
VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("264", "265", "3gp", "apng", "asf", "avi", "flv", "gif", "h264", "hevc", "m2ts", "m4v"),
        *("mjpeg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogv", "ts", "vob", "webm"),
        *("wmv", "y4m"),
    )
)
"""What counts as a video in a folder; single files are judged by their content."""


def is_address(name: object) -> bool:
    """Return True for an address such as https://host/a.mp4, False for a file."""
    return isinstance(name, str) and bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name))


def read_name(text: str) -> Path | str:
    """Return a name of the command line: a path, or the text itself for an address or `-`.

    A path would make `https:/` of `https://`.
    """
    if text.lower().startswith("file://"):
        from urllib.request import url2pathname

        return Path(url2pathname(urlsplit(text).path))
    return text if text == STDIN or is_address(text) else Path(text)


def as_path(name: object) -> Path:
    """Return the name of a file as a path. Raises `UsageError` for what is not a name."""
    if isinstance(name, (str, os.PathLike)):
        return Path(os.fspath(name))
    raise UsageError(
        f"{type(name).__name__} is not the name of a file.",
        "",
        "For a picture in memory call an open Stylizer: rtstyle.Stylizer(style)(picture).",
    )


def as_file(path: str | Path) -> str:
    """Return what FFmpeg opens as just this file, whatever signs its name holds."""
    return f"file:{os.fspath(path)}"


def shown_name(place: str | Path) -> str:
    """Return an input as messages name it: without folders, and without a password."""
    if place == STDIN:
        return "standard input"
    if is_address(place):
        return printable(
            PurePosixPath(unquote(urlsplit(str(place)).path)).name or without_password(str(place))
        )
    return printable(Path(place).name)


def without_password(address: str) -> str:
    """Return an address as it may be shown and logged."""
    try:
        parts = urlsplit(address)
        if parts.password:
            host = parts.netloc.rpartition("@")[2]
            return parts._replace(netloc=f"{parts.username}:***@{host}").geturl()
    except ValueError:
        pass
    return address


def not_there(path: Path) -> str:
    """Return what to do about a file that does not exist."""
    if found := re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/[^/]", path.as_posix()):
        # A path makes one slash of two.
        if found[1].lower() not in STREAMS:
            return OF_STORES
        return "Download it first: only `rtstyle video` reads addresses."
    return "Check the name and the folder."
