"""One microphone for several outputs: each takes all of its sound."""

from __future__ import annotations

import threading
from collections import deque

from rtstyle.sinks.video_file import SoundInput
from rtstyle.sound import Sound

KEPT = 1000
"""Pieces that wait for an output that does not take them; beyond, the oldest is dropped."""


class SharedSound:
    """One of the takers of a microphone; `also` makes another one. Any thread may take."""

    def __init__(self, sound: SoundInput) -> None:
        self._sound, self._lock = sound, threading.Lock()
        self._waiting: deque[Sound] = deque(maxlen=KEPT)
        self._all = [self]

    @property
    def channels(self) -> int:
        """Channels of the microphone."""
        return self._sound.channels

    def also(self) -> SharedSound:
        """Return another taker, for what comes from now on."""
        other = SharedSound(self._sound)
        other._lock, other._all = self._lock, self._all
        with self._lock:
            self._all.append(other)
        return other

    def take(self) -> list[Sound]:
        """Return the pieces since the last call, without waiting."""
        with self._lock:
            for piece in self._sound.take():
                for one in self._all:
                    one._waiting.append(piece)
            taken = list(self._waiting)
            self._waiting.clear()
        return taken
