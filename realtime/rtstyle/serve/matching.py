"""Pictures as styles in the colours of one live picture, encoded beside the painter."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rtstyle.closeable import Closing
from rtstyle.errors import RtstyleError
from rtstyle.live.bank.fitting import forget_oldest
from rtstyle.machine.heap import give_back
from rtstyle.machine.scheduling import lower_priority
from rtstyle.media.color import Colours, match_colors
from rtstyle.styles.model import even_shares
from rtstyle.styles.paintings import Statistics, encode_image, prepare, read_painting
from rtstyle.styles.spec import Mixture, Styles, is_network, is_random, parse_style

Wanted: TypeAlias = tuple[str, str, Colours]
"""A style, a network size, and the colours that it takes on."""
MOST = 8
"""Styles that wait to be encoded; what was asked for first is then forgotten, and asked again."""


class Matching(Closing):
    """Style vectors in other colours, for all clients of a server (Gatys et al. 2016b, 3.1).

    Each client has colours of its own, so these are no part of the shared `StyleBank`. Nothing of
    them goes to disk: every press of the switch gives others. `scale` is that of the bank.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale
        self._found: OrderedDict[Wanted, Statistics | None] = OrderedDict()
        self._waiting: OrderedDict[Wanted, None] = OrderedDict()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def vector(self, style: Styles, size: str, colours: Colours) -> Statistics | None:
        """Return the vector (M,) of a style in these colours, None for its own.

        Never waits: it is encoded in the background, and its own colours stay until then. Built-in
        and random paintings, and what they are mixed with, have their own colours only.
        """
        if not isinstance(style, str):
            return None
        wanted = (style, size, colours)
        with self._changed:
            if wanted in self._found:
                return self._found[wanted]
            self._waiting[wanted] = None
            while len(self._waiting) > MOST:
                self._waiting.popitem(last=False)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._encode_all, name="rtstyle-match", daemon=True
                )
                self._thread.start()
        return None

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to encode; False if that took longer than `timeout`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def close(self) -> None:
        """End what is under way; a second call does nothing."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _encode_all(self) -> None:
        lower_priority()
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    self._changed.notify_all()
                    return
                wanted = next(reversed(self._waiting))
            try:
                found = encode(*wanted, self._scale)
            except RtstyleError:
                # Its file has gone, say: whoever paints with it meets the same error.
                found = None
            give_back()
            with self._changed:
                self._waiting.pop(wanted, None)
                self._found[wanted] = found
                forget_oldest(self._found)


def encode(style: str, size: str, colours: Colours, scale: float) -> Statistics | None:
    """Return the vector (M,) of a picture, or a blend, in other colours; None where there is none.

    Raises `StyleError` for a file that cannot be read.
    """
    found = parse_style(style)
    if not isinstance(found, Mixture) or found.variation:
        return None
    names = [name for name, _ in found.parts]
    if any(is_network(name) or is_random(name) for name in names):
        return None
    total = np.zeros((), np.float32)
    shares = even_shares([weight for _, weight in found.parts])
    for share, name in zip(shares, names, strict=True):
        painting = prepare(match_colors(read_painting(Path(name)), colours), scale)
        total = total + np.float32(share) * encode_image(painting, size)
    return np.asarray(total, np.float32)
