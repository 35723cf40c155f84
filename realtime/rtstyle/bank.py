"""Keeps the models of several styles warm, so that a live picture changes style at once."""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from rtstyle import adain
from rtstyle.closing import Closing
from rtstyle.color import Colours
from rtstyle.engines import Engine
from rtstyle.errors import RtstyleError
from rtstyle.frame import Image
from rtstyle.heap import give_back
from rtstyle.mixture import are_networks, as_mixture, is_network, parse_style
from rtstyle.regions import Weights

Model: TypeAlias = tuple[adain.Styles, str]
"""Style, or one for each region of a mask, and network size."""
Rough: TypeAlias = tuple[str, str, float, Colours | None]
"""A picture as style that is not fitted yet: file, network size, scale and colours."""
Shape: TypeAlias = tuple[int, int]
"""Rows and columns of the pictures that a model works on."""

CAPACITY = 16
"""Engines kept; the one that was not used for longest goes first."""
KNOWN = 256
"""Styles whose model file and statistics are remembered, or what kept them from being made."""
GAP = 0.3
"""Seconds between two models that nobody waits for yet: making one ready takes every core."""


class StyleBank(Closing):
    """The open models of a live program, shared by all who paint with them.

    `prepare` opens models in a background thread and runs each once, so that `paint` is quick
    from the first frame on. A picture as style is seen at a glance first; then its vector is
    fitted to it (`rtstyle.refine`) in another thread, on one core and with the lowest priority.
    `paint` may be called from several threads; pictures then wait for
    each other, as one picture already uses every core. `threads` counts CPU threads (0: all).
    `style_scale` enlarges the strokes of pictures as styles. Built-in paintings, and what they are
    blended with, are of scale 1 and in their own colours. Raises `UsageError` for a bad scale.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        threads: int = 0,
        precision: str = "auto",
        capacity: int = CAPACITY,
        style_scale: float = 1.0,
    ) -> None:
        self._scale = adain.check_scale(style_scale)
        self._colours: Colours | None = None
        self._options = {"device": device, "threads": threads, "precision": precision}
        self._capacity = max(1, capacity)
        # Pictures as styles share one engine: only the statistics that it is fed differ.
        self._engines: OrderedDict[tuple[Path, ...], Engine] = OrderedDict()
        self._known: OrderedDict[Model, adain.Model] = OrderedDict()
        self._encoded: dict[Model, None] = {}
        self._warm: set[tuple[tuple[Path, ...], Shape]] = set()
        self._failed: dict[tuple[Model, Shape], RtstyleError] = {}
        self._rough: deque[Rough] = deque()
        self._unfit: dict[Rough, None] = {}
        self._fitting: threading.Thread | None = None
        self._wanted: deque[tuple[Model, Shape]] = deque()
        self._later: deque[tuple[Model, Shape]] = deque()
        self._current: tuple[Model, Shape] | None = None
        self._changed = threading.Condition()
        self._opening = threading.Lock()
        self._running = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def engine(self, style: adain.Styles, size: str) -> Engine:
        """Return the engine of a model, opened now if need be.

        Raises `StyleError`, `UsageError`, `DeviceError` or `EngineError`.
        """
        model = self.resolve(style, size)
        files = model.files
        with self._opening:
            with self._changed:
                if files in self._engines:
                    self._engines.move_to_end(files)
                    return self._engines[files]
            engine = model.open(**self._options)  # type: ignore[arg-type]
            with self._changed:
                self._engines[files] = engine
                evicted = len(self._engines) > self._capacity
                while len(self._engines) > self._capacity:
                    # Only let go of: somebody may be painting with it, and then frees it last.
                    old = self._engines.popitem(last=False)[0]
                    self._warm = {item for item in self._warm if item[0] != old}
            if evicted:
                give_back()
        return engine

    def resolve(self, style: adain.Styles, size: str) -> adain.Model:
        """Return the file of a style and what it is fed; a new picture is encoded now."""
        key = (style, size)
        with self._changed:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            colours = self._colours
        parts = paintings_of(style)
        scale = self._scale
        if not parts or any(map(is_network, parts)):
            scale, own = 1.0, None
        else:
            own = colours
        # Asked first: what is fitted between the two is then fitted once more, from memory.
        rough = [(name, size, scale, own) for name in parts]
        rough = [painting for painting in rough if adain.is_rough(*painting)]
        model = adain.resolve(style, size, scale, own, rough=True)
        if rough:
            give_back()  # of what encoded a picture
        with self._changed:
            if colours != self._colours:
                return model  # `match` came between: not to be remembered.
            self._fit_later(rough)
            self._known[key] = model
            self._encoded.update(dict.fromkeys((name, size) for name in parts))
            forget_oldest(self._known)
            forget_oldest(self._encoded)
        return model

    def match(self, image: Image | None) -> None:
        """Give pictures as styles the colours of (H, W, 3) uint8 `image`, None: their own.

        From now on. Gatys et al. 2016b, section 3.1.
        """
        with self._changed:
            self._colours = None if image is None else Colours.of(image)
            self._known.clear()
            self._encoded.clear()
            self._rough.clear()

    def mixes(self, style: adain.Styles, size: str) -> bool:
        """Tell whether the network of a style mixes in the strength itself, in its features."""
        return self.resolve(style, size).statistics is not None

    def ready(self, style: adain.Styles, size: str, shape: Shape) -> bool:
        """Tell whether `paint` will be quick for this model and picture size.

        A new blend of paintings that are encoded is mixed now, in less than a millisecond: a
        slider that is dragged asks for another one with every frame. Raises what kept the model
        from being prepared, once.
        """
        key = ((style, size), shape)
        with self._changed:
            if key in self._failed:
                raise self._failed.pop(key)
            known = key[0] in self._known
        if not known and self._is_at_hand(style, size):
            self.resolve(style, size)
        with self._changed:
            return self._is_warm(key)

    def _is_at_hand(self, style: adain.Styles, size: str) -> bool:
        """Tell whether all paintings of a blend are encoded."""
        try:
            parts = paintings_of(style)
        except RtstyleError:
            return False  # `prepare` meets the same error, and keeps it.
        with self._changed:
            return bool(parts) and all(is_network(p) or (p, size) in self._encoded for p in parts)

    def _is_warm(self, key: tuple[Model, Shape]) -> bool:
        model = self._known.get(key[0])
        return model is not None and (model.files, key[1]) in self._warm

    def prepare(self, models: Iterable[Model], shape: Shape, *, urgent: bool = True) -> None:
        """Make models ready for pictures of `shape` in the background, the first one first.

        Those that are not `urgent` come after all others, with pauses between them, and replace
        what was to come later so far.
        """
        with self._changed:
            busy = set(self._failed) | set(self._wanted) | {self._current}
            keys = [(model, shape) for model in models]
            fresh = [key for key in keys if key not in busy and not self._is_warm(key)]
            if urgent:
                # What was asked for last is what the user waits for now.
                self._wanted.extendleft(reversed(fresh))
            else:
                self._later = deque(fresh)
            if fresh and self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._prepare_all, name="rtstyle-prepare", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def paint(
        self,
        image: Image,
        style: adain.Styles,
        size: str,
        strength: float = 1.0,
        weights: Weights | None = None,
    ) -> Image:
        """Run a model on an (H, W, 3) uint8 RGB picture and return the same shape.

        Opens the model first if it is not ready. `strength` counts only where the style `mixes`,
        `weights` (K, H, W) only with styles for K regions. Raises as `engine` does.
        """
        engine, model = self.engine(style, size), self.resolve(style, size)
        height, width = image.shape[:2]
        feeds = model.feeds(engine, strength, (height, width), weights)
        with self._running:
            painted: Image = engine.run(np.ascontiguousarray(image)[None], feeds)[0]
        with self._changed:
            self._warm.add((model.files, (height, width)))
        return painted

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to prepare; False if that took longer than `timeout`.

        Pictures may still be fitted then: see `wait_fitted`.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None or self._closed, timeout)

    @property
    def to_fit(self) -> int:
        """How many pictures are still to be fitted."""
        with self._changed:
            return len(self._rough)

    def wait_fitted(self, timeout: float | None = None) -> bool:
        """Wait until no picture is to be fitted; False if that took longer than `timeout`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._fitting is None or self._closed, timeout)

    def close(self) -> None:
        """Free every model; a second call does nothing."""
        with self._changed:
            self._closed = True
            self._wanted.clear()
            self._later.clear()
            self._rough.clear()
            threads = [self._thread, self._fitting]
            self._changed.notify_all()
        for thread in threads:
            if thread is not None:
                thread.join()
        with self._changed:
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()
            self._warm.clear()

    def _fit_later(self, paintings: list[Rough]) -> None:
        self._rough.extend(p for p in paintings if p not in self._rough and p not in self._unfit)
        if self._rough and self._fitting is None and not self._closed:
            self._fitting = threading.Thread(target=self._fit_all, name="rtstyle-fit", daemon=True)
            self._fitting.start()

    def _fit_all(self) -> None:
        """Fit pictures while nothing has to be prepared, until none is left."""
        lowest_priority()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._thread is None or self._closed)
                if self._closed or not self._rough:
                    self._fitting = None
                    self._changed.notify_all()
                    return
                name, size, scale, colours = painting = self._rough[0]
            try:
                stopped = partial(self._is_let_go, painting)
                adain.encode(name, size, scale, colours, threads=1, stopped=stopped)
            except RtstyleError:
                # What it was at a glance is good enough to go on.
                self._unfit[painting] = None
                forget_oldest(self._unfit)
            give_back()
            with self._changed:
                if painting in self._rough:
                    self._rough.remove(painting)
                for key in [key for key in self._known if is_of(key[0], name)]:
                    del self._known[key]

    def _is_let_go(self, painting: Rough) -> bool:
        with self._changed:
            return painting not in self._rough

    def _prepare_all(self) -> None:
        while (key := self._next()) is not None:
            (style, size), (height, width) = key
            try:
                engine, model = self.engine(style, size), self.resolve(style, size)
                with self._changed:
                    if (model.files, key[1]) in self._warm:
                        continue
                # Not under `_running`: the picture on the screen must not wait for this.
                feeds = model.feeds(engine, 1.0, key[1])
                engine.run(np.zeros((1, height, width, 3), np.uint8), feeds)
            except RtstyleError as error:
                with self._changed:
                    self._failed[key] = error
                    forget_oldest(self._failed)
            else:
                with self._changed:
                    self._warm.add((model.files, key[1]))

    def _next(self) -> tuple[Model, Shape] | None:
        """Wait for what to prepare next; None, and the thread is gone, when nothing is left."""
        with self._changed:
            self._current = None
            if not self._wanted and self._later:
                self._changed.wait_for(lambda: bool(self._wanted) or self._closed, GAP)
            queue = self._wanted or self._later
            if self._closed or not queue:
                self._thread = None
                self._changed.notify_all()
                return None
            self._current = queue.popleft()
            return self._current


def forget_oldest(known: MutableMapping[Any, Any]) -> None:
    """Drop what was put in first until `KNOWN` items are left."""
    for oldest in list(islice(known, max(0, len(known) - KNOWN))):
        del known[oldest]


def lowest_priority() -> None:
    """Let every other thread go first, where the system knows priorities of threads."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def is_of(style: adain.Styles, name: str) -> bool:
    """Return True if a style is mixed of a picture, or of one whose file has gone meanwhile."""
    try:
        return name in paintings_of(style)
    except RtstyleError:
        return True


def paintings_of(style: adain.Styles) -> list[str]:
    """Return the pictures and built-in paintings that a style is mixed of; none for networks."""
    if are_networks(style):
        return []
    if not isinstance(style, str):
        return [name for one in style for name, _ in as_mixture(one).parts]
    found = parse_style(style)
    return [] if isinstance(found, str) else [name for name, _ in found.parts]
