"""Keeps the models of several styles warm, so that a live picture changes style at once."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtstyle.closeable import Closing
from rtstyle.errors import RtstyleError
from rtstyle.frame import Image
from rtstyle.live.fitting import forget_oldest, is_of, paintings_of
from rtstyle.machine.heap import give_back
from rtstyle.machine.scheduling import lowest_priority
from rtstyle.media.color import Colours
from rtstyle.painting.masks import Weights
from rtstyle.painting.network import Network
from rtstyle.styles import model, paintings
from rtstyle.styles.model import Model, ModelName
from rtstyle.styles.paintings import Statistics
from rtstyle.styles.recipe import SCALES, check_range
from rtstyle.styles.spec import Styles, is_network, is_random

Rough: TypeAlias = tuple[str, str, float, Colours | None]
"""A picture as style that is not fitted yet: file, network size, scale and colours."""
Shape: TypeAlias = tuple[int, int]
"""Rows and columns of the pictures that a model works on."""

CAPACITY = 16
"""Engines kept; the one that was not used for longest goes first."""
GAP = 0.3
"""Seconds between two models that nobody waits for yet: making one ready takes every core."""


class StyleBank(Closing):
    """The open models of a live program, shared by all who paint with them.

    `prepare` opens models in a background thread and runs each once, so that `paint` is quick
    from the first frame on. A picture as style is seen at a glance first; then its vector is
    fitted to it (`rtstyle.styles.fit`) in another thread, on one core and with the lowest priority.
    `paint` may be called from several threads; pictures then wait for each other, as one picture
    already uses every core. `threads` counts CPU threads (0: all). `style_scale` enlarges the
    strokes of pictures as styles. Built-in and random paintings, and what they are blended with,
    are of scale 1 and in their own colours. Raises `UsageError` for a bad scale.
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
        check_range("A style scale", style_scale, SCALES)
        self.scale = style_scale
        self._colours: Colours | None = None
        self._options = {"device": device, "threads": threads, "precision": precision}
        self._capacity = max(1, capacity)
        # Pictures as styles share one engine: only the statistics that it is fed differ.
        self._networks: OrderedDict[tuple[Path, ...], Network] = OrderedDict()
        self._known: OrderedDict[ModelName, Model] = OrderedDict()
        self._encoded: dict[tuple[str, str], None] = {}
        self._warm: set[tuple[tuple[Path, ...], Shape]] = set()
        self._failed: dict[tuple[ModelName, Shape], RtstyleError] = {}
        self._rough: deque[Rough] = deque()
        self._unfit: dict[Rough, None] = {}
        self._fitting: threading.Thread | None = None
        self._wanted: deque[tuple[ModelName, Shape]] = deque()
        self._later: deque[tuple[ModelName, Shape]] = deque()
        self._current: tuple[ModelName, Shape] | None = None
        self._changed = threading.Condition()
        self._opening = threading.Lock()
        self._running = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def network(self, style: Styles, size: str) -> Network:
        """Return the network of a style, opened now if need be.

        Raises `StyleError`, `UsageError`, `DeviceError` or `EngineError`.
        """
        found = self.resolve(style, size)
        files = found.files
        with self._opening:
            with self._changed:
                if files in self._networks:
                    self._networks.move_to_end(files)
                    return self._networks[files].given(found)
            network = Network.open(found, **self._options)  # type: ignore[arg-type]
            with self._changed:
                self._networks[files] = network
                evicted = len(self._networks) > self._capacity
                while len(self._networks) > self._capacity:
                    # Only let go of: somebody may be painting with it, and then frees it last.
                    old = self._networks.popitem(last=False)[0]
                    self._warm = {item for item in self._warm if item[0] != old}
            if evicted:
                give_back()
        return network

    def resolve(self, style: Styles, size: str) -> Model:
        """Return the file of a style and what it is fed; a new picture is encoded now."""
        key = (style, size)
        with self._changed:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            colours = self._colours
        parts = paintings_of(style)
        scale = self.scale
        if not parts or any(is_network(part) or is_random(part) for part in parts):
            scale, own = 1.0, None
        else:
            own = colours
        # Asked first: what is fitted between the two is then fitted once more, from memory.
        rough = [(name, size, scale, own) for name in parts]
        rough = [painting for painting in rough if paintings.is_rough(*painting)]
        found = model.resolve(style, size, scale, own, rough=True)
        if rough:
            give_back()  # of what encoded a picture
        with self._changed:
            if colours != self._colours:
                return found  # `match` came between: not to be remembered.
            self._fit_later(rough)
            self._known[key] = found
            self._encoded.update(dict.fromkeys((name, size) for name in parts))
            forget_oldest(self._known)
            forget_oldest(self._encoded)
        return found

    def match(self, image: Image | None) -> None:
        """Give pictures as styles the colours of (H, W, 3) uint8 `image`, None: their own.

        From now on. Gatys et al. 2016b, section 3.1.
        """
        with self._changed:
            self._colours = None if image is None else Colours.of(image)
            self._known.clear()
            self._encoded.clear()
            self._rough.clear()

    def mixes(self, style: Styles, size: str) -> bool:
        """Return True if the network of a style mixes in the strength itself, in its features."""
        return self.resolve(style, size).statistics is not None

    def ready(self, style: Styles, size: str, shape: Shape) -> bool:
        """Return True if `paint` will be quick for this model and picture size.

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

    def _is_at_hand(self, style: Styles, size: str) -> bool:
        """Return True if all paintings of a blend are encoded."""
        try:
            parts = paintings_of(style)
        except RtstyleError:
            return False  # `prepare` meets the same error, and keeps it.
        with self._changed:
            return bool(parts) and all(is_network(p) or (p, size) in self._encoded for p in parts)

    def _is_warm(self, key: tuple[ModelName, Shape]) -> bool:
        found = self._known.get(key[0])
        return found is not None and (found.files, key[1]) in self._warm

    def prepare(self, models: Iterable[ModelName], shape: Shape, *, urgent: bool = True) -> None:
        """Make models ready for pictures of `shape` in the background, the first one first.

        Those that are not `urgent` come after all others, with pauses between them, and replace
        what was to come later so far.
        """
        with self._changed:
            busy = set(self._failed) | set(self._wanted) | {self._current}
            keys = [(name, shape) for name in models]
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
        style: Styles,
        size: str,
        strength: float = 1.0,
        weights: Weights | None = None,
        vector: Statistics | None = None,
        stroke_size: float = 1.0,
    ) -> Image:
        """Run a model on an (H, W, 3) uint8 RGB picture and return the same shape.

        Opens the model first if it is not ready. `strength` counts only where the style `mixes`,
        `weights` (K, H, W) only with styles for K regions, `stroke_size` only where the network
        sees a canvas. A `vector` (M,) takes the place of that of a picture as style. Raises as
        `network` does.
        """
        network = self.network(style, size)
        if vector is not None:
            network = network.given(model.at_vector(network.model, vector))
        with self._running:
            painted = network.paint(image, strength, weights, stroke_size=stroke_size)
        with self._changed:
            self._warm.add((network.model.files, (image.shape[0], image.shape[1])))
        return painted

    def sees_canvas(self, style: Styles, size: str) -> bool:
        """Return True if the network of a style sees what it has painted. Raises as `network`."""
        return self.network(style, size).sees_canvas

    def run(
        self, image: Image, extra: Mapping[str, NDArray[np.uint8]], style: Styles, size: str
    ) -> Image:
        """Run a network that sees a canvas once, with the inputs `extra`. Raises as `network`."""
        network = self.network(style, size)
        with self._running:
            painted = network.run(image, extra)
        with self._changed:
            self._warm.add((network.model.files, (image.shape[0], image.shape[1])))
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
            for network in self._networks.values():
                network.close()
            self._networks.clear()
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
                paintings.encode(name, size, scale, colours, threads=1, stopped=stopped)
            except RtstyleError:
                # What it was at a glance is good enough to continue with.
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
                network = self.network(style, size)
                with self._changed:
                    if (network.model.files, key[1]) in self._warm:
                        continue
                # Not under `_running`: the picture on the screen must not wait for this.
                network.paint(np.zeros((height, width, 3), np.uint8))
            except RtstyleError as error:
                with self._changed:
                    self._failed[key] = error
                    forget_oldest(self._failed)
            else:
                with self._changed:
                    self._warm.add((network.model.files, key[1]))

    def _next(self) -> tuple[ModelName, Shape] | None:
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
