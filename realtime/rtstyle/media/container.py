"""One media input, opened by FFmpeg: a file, an address or a pipe.

Names are read in `rtstyle.files.names`. Every container is opened here: FFmpeg by itself would take
`take:2.mp4` for an address of the protocol `take`.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import av.error
from av.stream import Disposition

from rtstyle.errors import SourceError, reason
from rtstyle.files.names import (
    OF_STORES,
    STDIN,
    as_file,
    as_path,
    is_address,
    not_there,
    shown_name,
    without_password,
)
from rtstyle.machine.nvdec import open_with_card
from rtstyle.media.feed import Feed, Tap, is_pipe, nothing_came

OPEN_TIMEOUT, READ_TIMEOUT = 15.0, 30.0
"""Seconds that a server may take to answer, and to send the next bytes."""
MOST_BYTES = 64 << 30
"""Bytes of an address that are read at most: a server may send without end."""
LONGEST_TICK = 86_400
"""Seconds of the coarsest clock: a picture a day. Damaged files have told of years."""
RECONNECT = {"reconnect": "1", "reconnect_delay_max": "5"}
PIPE_BUFFER = 1 << 18
# From 19 on PyAV keeps text that is not UTF-8 as it stands in the file (as lone surrogates, which
# it writes back unchanged) and has no such option; before, it raises unless told to replace it.
LENIENT_TEXT: dict[str, Any] = (
    {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}
)
"""Options of `av.open` that let tags be in any encoding."""


def picture_rate(container: Any, stream: Any) -> int | None:
    """Return the bits a second of a picture's stream, None where the file does not tell.

    Where only the file has a rate, that of the other streams is taken off.
    """
    if stream.bit_rate:
        return int(stream.bit_rate)
    others = sum(s.bit_rate or 0 for s in container.streams if hasattr(s, "bit_rate"))
    rate = (container.bit_rate or 0) - others
    return rate if rate > 0 else None


DECODERS = ("cpu", "nvdec")
"""What may decode a picture."""


class Media:
    """One input that can be opened, more than once where it is not a pipe.

    `name` is for messages, `path` the file, or None. `open` is for the picture and begins anew
    each time, `reserve` for those who read beside it. With the `decoder` `nvdec` an NVIDIA card
    decodes the picture of a file where it can; `notes` say where it cannot.
    """

    def __init__(self, place: str | Path) -> None:
        self.place = place
        self.address = is_address(place)
        self.path = None if self.address or place == STDIN else Path(place)
        self.name = shown_name(place)
        self.decoder = DECODERS[0]
        self.notes: list[str] = []
        self._feed: Feed | None = None
        self._tap: Tap | None = None

    @property
    def pipe(self) -> bool:
        """Whether it can be read only once, from its beginning to its end."""
        return self._pipe() is not None

    @property
    def silent(self) -> bool:
        """Whether it is a pipe that was given up because nothing came any more."""
        return self._feed is not None and self._feed.silent

    def open(self) -> Any:
        """Return the container from its beginning. Raises `SourceError`, after a time-out at most.

        A pipe begins anew as long as `settle` was not called; its last container ends.
        """
        tap, self._tap = self._tap, None
        if self._pipe() is None:
            return self._open(None) if self.decoder == DECODERS[0] else self._open_with_card()
        self._tap = self._feeding().tap()
        if tap is not None:
            tap.close()
        return self._open(self._tap)

    def reserve(self) -> Reserved:
        """Return what opens a second container later, from the beginning on."""
        return Reserved(self, None if self._pipe() is None else self._feeding().tap())

    def settle(self) -> None:
        """Note that `open` is not called any more."""
        if self._feed is not None:
            self._feed.settle()

    def stop(self) -> None:
        """Wake who waits for the bytes of a pipe; may be called from any thread."""
        if self._feed is not None:
            self._feed.stop()
            if self._tap is not None:
                self._tap.close()

    def close(self) -> None:
        """Let go of a pipe."""
        if self._feed is not None:
            self._feed.close()

    def _pipe(self) -> int | Path | None:
        """Return the pipe that is meant, None for a file or an address."""
        if self.place == STDIN:
            return None if stdin_is_a_file() else sys.__stdin__.fileno() if sys.__stdin__ else 0
        return self.path if self.path is not None and is_pipe(self.path) else None

    def _feeding(self) -> Feed:
        if self._feed is None:
            pipe = self._pipe()
            assert pipe is not None
            self._feed = Feed(pipe, self.name if self.path is None else str(self.path))
        return self._feed

    def _open(self, tap: Tap | None) -> Any:
        if self.address:
            return open_address(str(self.place))
        if tap is not None:
            return self._open_pipe(tap)
        if self.place == STDIN:
            return av.open("pipe:0" if sys.platform == "win32" else "file:/dev/stdin")
        assert self.path is not None
        return open_file(self.path)

    def _open_with_card(self) -> Any:
        plain = self._open(None)  # it says what is wrong with the file itself
        if self.path is None:
            return plain
        container, why = open_with_card(self.path, **LENIENT_TEXT)
        self.notes = [why] if why else []
        if container is None:
            return plain
        plain.close()
        return container

    def _open_pipe(self, tap: Tap) -> Any:
        try:
            return av.open(tap, buffer_size=PIPE_BUFFER, **LENIENT_TEXT)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if tap.interrupted is not None:
                raise tap.interrupted from None
            if tap.position == 0:
                raise nothing_came(self._feeding()) from error
            raise SourceError(
                f"{self.name} gives no video that can be read from a pipe.",
                reason(error),
                "Use Matroska, NUT, Y4M or MPEG-TS; most MP4 files can only be read as files.",
            ) from error


class Reserved:
    """A container beside the picture's, which is opened later or never; see `Media.reserve`."""

    def __init__(self, media: Media, tap: Tap | None) -> None:
        self._media, self._tap = media, tap

    def open(self) -> Any:
        """Return the container."""
        return self._media._open(self._tap)

    def close(self) -> None:
        """Need no more of it."""
        if self._tap is not None:
            self._tap.close()


def as_media(place: str | Path | Media) -> Media:
    """Return an input that was not opened so far, or one as it is. Raises `UsageError`."""
    if isinstance(place, Media):
        return place
    return Media(place if isinstance(place, str) else as_path(place))


def stdin_is_a_file() -> bool:
    """Return True if standard input is a regular file, as after `< clip.mp4`."""
    try:
        return stat.S_ISREG(os.fstat(0).st_mode)
    except OSError:
        return False


def open_file(path: Path) -> Any:
    """Open a media file for reading, or raise `SourceError` with the reason in plain words."""
    if path.is_dir():
        raise SourceError(f"{path} is a folder, not a video.", "", "Name a file in it.")
    if not path.exists():
        raise SourceError(f"{path} does not exist.", "", not_there(path))
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise SourceError(f"{path} is empty.", "It has 0 bytes.", "Fetch it again.")
        return av.open(as_file(path), **LENIENT_TEXT)
    except av.error.PermissionError as error:
        raise SourceError(f"{path} cannot be read.", "You have no right to.", "") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"{path} is not a video that can be read.",
            reason(error),
            "Check that it plays, or fetch it again.",
        ) from error


def trusted_certificates() -> str | None:
    """Return the file of those who may sign certificates, None if there is none.

    The variable SSL_CERT_FILE names another one than that of the system.
    """
    # Only needed for addresses.
    import ssl

    return ssl.get_default_verify_paths().cafile


def open_address(address: str) -> Any:
    """Open what FFmpeg reads over a network, with time-outs. Raises `SourceError`."""
    scheme = urlsplit(address).scheme.lower()
    options = dict(RECONNECT) if scheme in ("http", "https") else {}
    trusted = trusted_certificates() if scheme == "https" else None
    if trusted is not None:
        # FFmpeg by itself trusts everybody.
        options |= {"tls_verify": "1", "ca_file": trusted}
    if scheme in ("rtsp", "rtsps"):
        # Over UDP lost packets smear the picture.
        options["rtsp_transport"] = "tcp"
    shown = without_password(address)
    try:
        container: Any = av.open(
            address,
            options=options,
            timeout=(OPEN_TIMEOUT, READ_TIMEOUT),
            **LENIENT_TEXT,
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        why = reason(error)
        if isinstance(error, av.error.ExitError):
            why = f"It did not answer within {OPEN_TIMEOUT:g} s."
        elif trusted is not None and getattr(error, "errno", 0) == errno.EIO:
            why = f"The connection failed, or its certificate is by none of those in {trusted}."
        todo = "Check the address, or download the file first."
        if isinstance(error, av.error.ProtocolNotFoundError):
            todo = OF_STORES
        raise SourceError(f"There is no video at {shown} that can be read.", why, todo) from error
    if container.size > MOST_BYTES:
        size = container.size
        container.close()
        raise SourceError(
            f"{shown} is too large.", f"It has {size >> 30} GiB, {MOST_BYTES >> 30} may be read."
        )
    return container


def pick_video_stream(container: Any, name: object) -> Any:
    """Return the best moving picture of a container; a cover picture does not count.

    Raises `SourceError`, and closes the container, if there is none or its clock cannot be right.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    if best in streams:
        streams.insert(0, best)
    for stream in streams:
        if stream.codec_context is not None:
            if stream.time_base and stream.time_base > LONGEST_TICK:
                container.close()
                raise SourceError(
                    f"{name} has a clock that cannot be right.",
                    f"It says that a picture lasts {float(stream.time_base):.3g} s at least.",
                    "It is damaged: fetch it again.",
                )
            return stream
    has = "only sound" if container.streams.audio else "no picture and no sound"
    container.close()
    raise SourceError(f"{name} holds no video.", f"It has {has}.", "Choose a file with pictures.")


def promised_end(stream: Any, container: Any) -> Fraction | None:
    """Return the moment in seconds at which the picture ends by the header, or None."""
    begins = (stream.start_time or 0) * stream.time_base
    if stream.duration:
        return Fraction(begins + stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])
    # Sound may go on after the picture, so the length of the file says nothing then.
    if container.duration and len(container.streams) == 1:
        return Fraction(begins) + Fraction(container.duration, av.time_base)
    return None
