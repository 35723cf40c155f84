"""Keeps the models of several styles warm, so that a live picture changes style at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rtstyle.closeable import Closing
from rtstyle.errors import RtstyleError
from rtstyle.frame import Image
from rtstyle.live.bank import fitting
from rtstyle.live.bank.errands import Errand, Errands, Shape
from rtstyle.live.bank.fitting import Fitter, Known, forget_oldest, is_of, paintings_of, thinned
from rtstyle.live.bank.painted import Painted
from rtstyle.live.bank.shelf import Shelf, room
from rtstyle.machine.heap import give_back
from rtstyle.media.color import Colours
from rtstyle.painting.masks import Weights
from rtstyle.painting.network import Network
from rtstyle.painting.strokes import levels
from rtstyle.painting.upsampling import Upsampler
from rtstyle.styles import model, paintings
from rtstyle.styles.model import Model, ModelName
from rtstyle.styles.paintings import Statistics
from rtstyle.styles.recipe import SCALES, check_range
from rtstyle.styles.spec import Styles, is_network, is_random

UPSAMPLER: ModelName = ("", "upsampler")
"""In place of a model: what enlarges paintings, whatever the style."""
LONGEST_REST = 2.0
"""Seconds of a transition, where two networks paint, in which no other is made ready ahead."""
TIDY: ModelName = ("", "tidy")
"""In place of a model: let go of all sizes but one."""


class StyleBank(Closing):
    """The open models of a live program, shared by all who paint with them.

    `prepare` opens models in a background thread and runs each once, so that `paint` is quick
    from the first frame on. A picture as style is seen at a glance first; then its vector is
    fitted to it in another thread (`rtstyle.live.bank.fitting`).
    `paint` may be called from several threads; pictures then wait for each other, as one picture
    already uses every core. `threads` counts CPU threads (0: all). `style_scale` enlarges the
    strokes of pictures as styles. Built-in and random paintings, and what they are blended with,
    are of scale 1 and in their own colours. Raises `UsageError` for a bad scale.

    `capacity` networks are kept, by default as many as the memory has `room` for; the one that was
    not used for longest goes first.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        threads: int = 0,
        precision: str = "auto",
        capacity: int | None = None,
        style_scale: float = 1.0,
    ) -> None:
        check_range("A style scale", style_scale, SCALES)
        self.scale = style_scale
        self._colours: Colours | None = None
        self._options = {"device": device, "threads": threads, "precision": precision}
        self.upsampler = Upsampler(**self._options)  # type: ignore[arg-type]
        self._shelf = Shelf(room() if capacity is None else capacity)
        self._known: OrderedDict[ModelName, Known] = OrderedDict()
        self._encoded: dict[tuple[str, str], None] = {}
        self._painted = Painted()
        self._stale: set[ModelName] = set()
        self._sampled: set[str] = set()
        self._failed: dict[Errand, RtstyleError] = {}
        self._changed = threading.Condition()
        self._errands = Errands(self._do, self._changed)
        self._fitter = Fitter(self._forget, lambda: self._errands.idle, self._changed)
        self._opening = threading.Lock()
        self._running = threading.Lock()

    @property
    def capacity(self) -> int:
        """How many networks are kept."""
        return self._shelf.capacity

    def network(self, style: Styles, size: str) -> Network:
        """Return the network of a style, opened now if need be.

        Raises `StyleError`, `UsageError`, `DeviceError` or `EngineError`.
        """
        found = self.resolve(style, size)
        files = found.files
        # Asked before the lock, too: who paints with an open one waits for no other to be opened.
        if (network := self._open(found)) is not None:
            return network
        with self._opening:
            if (network := self._open(found)) is not None:
                return network
            network = Network.open(found, upsampler=self.upsampler, **self._options)  # type: ignore[arg-type]
            with self._changed:
                evicted = self._shelf.put(files, network)
            if evicted:
                give_back()
        return network

    def _open(self, found: Model) -> Network | None:
        """Return the network of a model that is open."""
        with self._changed:
            network = self._shelf.use(found.files)
            return None if network is None else network.given(found)

    def resolve(self, style: Styles, size: str) -> Model:
        """Return the file of a style and what it is fed; a new picture is encoded now.

        Other colours come in the background: until then it is what it was.
        """
        key = (style, size)
        with self._changed:
            if key in self._known:
                self._known.move_to_end(key)
                if key in self._stale:
                    self._errands.ask([(key, None)])
                return self._known[key].model
        return self._resolve(style, size)

    def _resolve(self, style: Styles, size: str) -> Model:
        key = (style, size)
        with self._changed:
            colours = self._colours
        parts = paintings_of(style)
        scale = self.scale
        matches = bool(parts) and not any(is_network(part) or is_random(part) for part in parts)
        scale, own = (scale, colours) if matches else (1.0, None)
        # Asked first: what is fitted between the two is then fitted once more, from memory.
        rough = [(name, size, scale, own) for name in parts]
        rough = [painting for painting in rough if paintings.is_rough(*painting)]
        found = model.resolve(style, size, scale, own, rough=True)
        if rough:
            give_back()  # of what encoded a picture
        with self._changed:
            self._known[key] = Known(found, matches)
            if matches and colours != self._colours:
                # `match` came between: better than what there was, and not the last word.
                self._stale.add(key)
                return found
            self._stale.discard(key)
            self._fitter.fit_later(rough)
            self._encoded.update(dict.fromkeys((name, size) for name in parts))
            if any(map(is_random, parts)):
                self._sampled.add(size)
            forget_oldest(self._known)
            forget_oldest(self._encoded)
        return found

    def match(self, image: Image | None) -> None:
        """Give pictures as styles the colours of (H, W, 3) uint8 `image`, None: their own.

        They take them on in the background; see `resolve`. Gatys et al. 2016b, section 3.1.
        """
        colours = None if image is None else Colours.of(thinned(image))
        with self._changed:
            self._colours = colours
            self._stale.update(key for key, known in self._known.items() if known.matches)
            self._encoded.clear()
            self._fitter.let_go()

    def can_sample(self, size: str) -> bool:
        """Return True if styles can be drawn at once; else get ready for that in the background."""
        with self._changed:
            if size in self._sampled:
                return True
            self._errands.ask([(("random:0", size), None)])
            return False

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
        if not known and fitting.at_hand(style, size, self._encoded, self._sampled):
            self.resolve(style, size)
        with self._changed:
            return self._is_warm(key)

    def _is_warm(self, errand: Errand) -> bool:
        """Return True if nothing is left to be done: an engine may have let go of a size again."""
        key, shape = errand
        if key == UPSAMPLER:
            return shape is None or self.upsampler.holds(shape)
        found = self._known.get(key)
        if found is None or key in self._stale or shape is None:
            return found is not None and key not in self._stale
        return self._shelf.is_warm(found.model.files, shape)

    def prepare(
        self,
        models: Iterable[ModelName],
        *shapes: Shape,
        larger: Sequence[Shape] = (),
        urgent: bool = True,
        tidy: bool = False,
        owner: Hashable = None,
    ) -> None:
        """Make models ready for pictures of `shapes` in the background, the first one first.

        Paintings are enlarged to the sizes `larger` then. What is not `urgent` comes after all
        else, with pauses, and replaces what was to come later so far; with `tidy` all sizes but the
        last of `shapes`, and those painted last, are let go of then. What an `owner` asks for
        replaces what it asked for before.
        """
        keys: list[Errand] = [(name, shape) for name in models for shape in shapes]
        keys += [(UPSAMPLER, shape) for shape in larger]
        with self._changed:
            for name, _ in reversed(keys):
                # Asked for again is as good as used: the first one is the last to be let go of.
                if (known := self._known.get(name)) is not None:
                    self._shelf.use(known.model.files)
            fresh = [key for key in keys if key not in self._failed and not self._is_warm(key)]
            last: list[Errand] = [(TIDY, shapes[-1])] if tidy else []
            self._errands.ask(fresh, owner) if urgent else self._errands.ask_later(fresh + last)

    def rest(self, seconds: float) -> None:
        """Begin nothing that is not urgent for so long, or `LONGEST_REST`: cores are needed."""
        self._errands.rest(min(seconds, LONGEST_REST))

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

        Opens the model if it is not ready; raises as `network`. `strength` counts only where the
        style `mixes`, `weights` (K, H, W) with K regions; `vector` (M,) is a picture's as style.
        """
        network = self.network(style, size)
        if vector is not None:
            network = network.given(model.at_vector(network.model, vector))
        with self._running:
            painted = network.paint(image, strength, weights, stroke_size=stroke_size)
        painted_at = levels((image.shape[0], image.shape[1]), stroke_size)[0]
        self._painted.note(network.model.files, painted_at)
        with self._changed:
            self._shelf.note(network.model.files, painted_at)
        return painted

    def coherent(self, style: Styles, size: str) -> bool:
        """Return True if `paint_over` serves a style. Raises as `network`."""
        return self.network(style, size).coherent

    def paint_over(
        self,
        image: Image,
        extra: Mapping[str, NDArray[np.uint8]],
        style: Styles,
        size: str,
        strength: float = 1.0,
    ) -> Image:
        """Paint once over a canvas, as `Network.paint_over`. Raises as `network`."""
        network = self.network(style, size)
        with self._running:
            painted = network.paint_over(image, extra, strength)
        self._painted.note(network.model.files, (image.shape[0], image.shape[1]))
        with self._changed:
            self._shelf.note(network.model.files, (image.shape[0], image.shape[1]))
        return painted

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to prepare; False if that took longer than `timeout`.

        Pictures may still be fitted then: see `wait_fitted`.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._errands.idle, timeout)

    @property
    def to_fit(self) -> int:
        """How many pictures are still to be fitted."""
        return self._fitter.left

    def wait_fitted(self, timeout: float | None = None) -> bool:
        """Wait until no picture is to be fitted; False if that took longer than `timeout`."""
        return self._fitter.wait(timeout)

    def close(self) -> None:
        """Free every model; a second call does nothing."""
        for thread in (self._errands.close(), self._fitter.close()):
            if thread is not None:
                thread.join()
        with self._changed:
            self._shelf.close()
            self.upsampler.close()

    def _forget(self, name: str) -> None:
        """Have what is mixed of a picture made anew, as it is fitted now."""
        with self._changed:
            for key in [key for key in self._known if is_of(key[0], name)]:
                del self._known[key]

    def _do(self, errand: Errand) -> None:
        """Make a model ready, in the background."""
        (style, size), shape = errand
        try:
            if shape is not None and errand[0] == UPSAMPLER:
                return self.upsampler.prepare(shape)
            if shape is not None and errand[0] == TIDY:
                with self._changed:
                    networks = self._shelf.items()
                return self._painted.tidy(networks, shape)
            with self._changed:
                known = errand[0] in self._known and errand[0] not in self._stale
            if not known:
                self._resolve(style, size)
            if shape is None:
                return None
            network = self.network(style, size)
            with self._changed:
                if self._is_warm(errand):
                    return None
            # Not under `_running`: the picture on the screen must not wait for this.
            network.paint(np.zeros((*shape, 3), np.uint8))
        except RtstyleError as error:
            with self._changed:
                # Whoever paints with it meets the same error.
                self._known.pop(errand[0], None)
                if shape is not None:
                    self._failed[errand] = error
                    forget_oldest(self._failed)
        else:
            with self._changed:
                self._shelf.note(network.model.files, shape)
