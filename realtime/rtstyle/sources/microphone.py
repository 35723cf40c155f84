"""Sound of a microphone for recordings, through the input device that PyAV has on this platform.

Like a camera's, its driver can block for ever, so it is read by a thread of its own
(`rtstyle-microphone`) that can be left behind; see `resilient.py`.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from rtstyle.errors import SourceError, reason
from rtstyle.sound import Sound

KEPT_SECONDS = 10.0
"""Sound that waits to be taken; beyond, the oldest is dropped and counted."""
OPEN_PATIENCE, CLOSING_PATIENCE = 5.0, 0.5
ALSA_CONFIG = Path("/usr/share/alsa/alsa.conf")

INPUTS = {"linux": ("pulse", "alsa"), "darwin": ("avfoundation",), "win32": ("dshow",)}
"""Names of FFmpeg's input devices by platform, best first."""


class Microphone:
    """Records from `open` to `close`; `take` hands out what came in between, without waiting.

    `device` is the platform's own name for a microphone, None for the usual one. `open` returns
    when the first sound is there and raises `SourceError` if none comes within 5 s. What goes
    wrong later is in `problem`, and `take` then stays empty. `counts` has "overtaken", the
    pieces dropped because nobody took them. `opener` returns an open container, for tests.
    """

    def __init__(
        self,
        device: str | None = None,
        *,
        opener: Callable[[str | None], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"microphone {device}" if device else "microphone"
        self.rate = self.channels = 0
        self.counts: Counter[str] = Counter()
        self.problem: SourceError | None = None
        self._device, self._clock = device, clock
        self._opener = opener or open_input
        self._news = threading.Condition()
        self._waiting: deque[Sound] = deque()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def open(self) -> None:
        """Start to record; a second call does nothing. Raises `SourceError`."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name="rtstyle-microphone", daemon=True)
        self._thread.start()
        with self._news:
            self._news.wait_for(lambda: self._waiting or self.problem, OPEN_PATIENCE)
            if not self._waiting:
                why = f"It gave none within {OPEN_PATIENCE:g} s."
                self._stopped = True
                self.problem = self.problem or no_sound(self.name, why)
                raise self.problem

    def take(self) -> list[Sound]:
        """Return all sound since the last call, in order; never waits."""
        with self._news:
            taken = list(self._waiting)
            self._waiting.clear()
            return taken

    def close(self) -> None:
        """End the recording; a second call does nothing."""
        with self._news:
            self._stopped = True
        if self._thread is not None:
            self._thread.join(CLOSING_PATIENCE)
            self._thread = None

    def describe(self) -> str:
        """Say what it is and what it gives."""
        return f"{self.name}: {self.rate} Hz, {self.channels} channel(s)"

    def _run(self) -> None:
        problem = None
        try:
            container = self._opener(self._device)
            try:
                self._record(container)
            finally:
                container.close()
            problem = no_sound(self.name, "It stopped.")
        except SourceError as error:
            problem = error
        except Exception as error:
            problem = no_sound(self.name, str(error) or type(error).__name__)
        with self._news:
            if not self._stopped:
                self.problem = problem
            self._news.notify_all()

    def _record(self, container: Any) -> None:
        for samples, rate in decoded(container):
            sound = Sound(samples, rate, self._clock() - len(samples) / rate)
            with self._news:
                if self._stopped:
                    return
                self.rate, self.channels = rate, samples.shape[1]
                self._waiting.append(sound)
                while self._waiting[-1].end - self._waiting[0].at > KEPT_SECONDS:
                    self._waiting.popleft()
                    self.counts["overtaken"] += 1
                self._news.notify_all()


def decoded(container: Any) -> Iterator[tuple[NDArray[np.int16], int]]:
    """Return the sound of an open container as (N, channels) int16 with its rate."""
    resampler = av.AudioResampler(format="s16")
    for frame in container.decode(audio=0):
        for ready in resampler.resample(frame):
            packed = ready.to_ndarray().reshape(-1, ready.layout.nb_channels)
            yield np.ascontiguousarray(packed, np.int16), ready.sample_rate


def open_input(device: str | None) -> Any:
    """Return the open container of a microphone. Raises `SourceError`."""
    platform = "linux" if sys.platform.startswith("linux") else sys.platform
    known = [name for name in INPUTS.get(platform, ()) if name in av.formats_available]
    if not known:
        raise no_sound("a microphone", "This build of PyAV has no input for it.")
    if platform == "linux":
        problem = prepare_alsa()
        if problem and not device:
            raise no_sound("a microphone", problem)
    options = {"audio_buffer_size": "20"} if platform == "win32" else {}
    why = ""
    for name in known:
        for source in addresses(name, device):
            try:
                return av.open(source, format=name, options=options)
            except (av.error.FFmpegError, OSError, ValueError) as error:
                why = f"{source}: {reason(error)}"
    raise no_sound("the microphone", f"{why}. Another program may be using it.")


def addresses(name: str, device: str | None) -> list[str]:
    """Return what to try to open, in FFmpeg's words for its input device `name`."""
    if name == "avfoundation":
        return [f":{device or 'default'}"]
    if name == "dshow":
        found = [device] if device else [d.name for d in listed(name)]
        return [f"audio={one}" for one in found]
    # `default` may lead to a sound server that this ALSA cannot reach; the card itself works.
    return [device] if device else ["default", *(f"plughw:{at}" for at in alsa_inputs())]


def listed(name: str) -> list[Any]:
    """Return what FFmpeg's input device `name` lists that records sound."""
    try:
        devices = av.enumerate_input_devices(name)
    except (AttributeError, av.error.FFmpegError, OSError, ValueError):
        return []
    return [d for d in devices if "audio" in (getattr(d, "media_types", None) or ["audio"])]


def alsa_inputs(listing: Path = Path("/proc/asound/pcm")) -> list[str]:
    """Return `card,device` of everything that records, as the kernel lists it."""
    try:
        lines = listing.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = (re.match(r"(\d+)-(\d+):", line) for line in lines if "capture" in line)
    return [f"{int(at[1])},{int(at[2])}" for at in found if at]


def prepare_alsa() -> str:
    """Let PyAV's own ALSA find the system's settings; return why there can be no sound, or ''."""
    # The library in PyAV's wheel looks where it was built, not where systems keep the file.
    # A person who names settings of their own may have inputs that the kernel does not list.
    if os.environ.get("ALSA_CONFIG_PATH", str(ALSA_CONFIG)) == str(ALSA_CONFIG):
        if ALSA_CONFIG.is_file():
            os.environ["ALSA_CONFIG_PATH"] = str(ALSA_CONFIG)
        else:
            return f"There is no {ALSA_CONFIG}; install it: sudo apt install libasound2-data."
        if not alsa_inputs():
            return "This machine shows nothing that records sound."
    return ""


def no_sound(name: str, why: str) -> SourceError:
    """Return the error for a microphone that gives no sound."""
    return SourceError(
        f"There is no sound from {name}.", why, "Plug one in, or name another input."
    )
