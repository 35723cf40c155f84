"""One user's live picture: a look that may change at any moment, painted with shared models."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from rtstyle.errors import RtstyleError, StyleError, UsageError
from rtstyle.frame import Image
from rtstyle.live.bank import StyleBank
from rtstyle.live.look import Look, model_of, snapped
from rtstyle.live.naming import split_names
from rtstyle.live.rate import RateController
from rtstyle.live.reach import Reach
from rtstyle.live.steady import SteadyPainter
from rtstyle.live.transition import Layer, Transition
from rtstyle.media.color import resize
from rtstyle.painting.masks import DrawnMask, StillMask
from rtstyle.styles.latent import Walk, available
from rtstyle.styles.paintings import Statistics
from rtstyle.styles.spec import Styles

Segmenter = Callable[[Image], Image]
"""Maps (H, W, 3) uint8 RGB to (H, W) uint8, 255 on a person."""


class Studio:
    """Paints one live picture. Call it with frames from one thread; change it from any.

    A change of style, size or height takes effect with the first frame for which the model is
    ready; until then the old one goes on, so the picture never stands still. Where only other
    strokes or another size have to wait, the style does not. A style that cannot be opened leaves
    the picture as it is, and its error in `problem`. A `controller` chooses network size and height
    from the time that painting took. While `frozen` the last picture is repeated. `mask` lies over
    the picture as it is shown: it divides a look of several styles, or, where the first look has
    one, says what is painted. Where the first look has `match_color`, pictures as styles take on
    the colours of the first frame.

    Styles give way to each other by `transition` (`fade`, `wipe` or `cut`) in `fade` seconds; 0 is
    a cut. With a `walk` above 0, pictures as styles are where a path through all styles begins,
    which comes to another one every so many seconds (`rtstyle.styles.latent.Walk`).
    """

    def __init__(
        self,
        bank: StyleBank,
        look: Look | None = None,
        *,
        segmenter: Segmenter | None = None,
        controller: RateController | None = None,
        mask: StillMask | None = None,
        fade: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bank, self._segmenter, self._controller = bank, segmenter, controller
        self._lock = threading.Lock()
        self._wanted = self._shown = look or Look()
        self._begun = False
        self.transition, self.fade, self._clock = "fade", fade, clock
        self._crossing: Transition | None = None
        self.walk, self.seed = 0.0, 0
        self.recolour: Callable[[Styles, str], Statistics | None] = lambda *_: None
        """Returns the vector of a style in other colours, None for its own."""
        self._path: Walk | None = None
        self._path_of, self._place = "", 0.0
        self._within_reach = Reach(bank)
        self._good = model_of(self._wanted)
        self._latest, self._now = Layer(self._good), clock()
        divided = len(self._wanted.names) > 1
        self._regions = mask if divided else None
        self._part: StillMask | DrawnMask | None = None if divided else mask
        self._unmasked = False
        self.matched = False
        self._match: bool | None = self._wanted.match_color or None
        self.problem: RtstyleError | None = None
        self.frozen = False
        self.coherent = True
        """Whether there is time to paint over the last frame; a controller decides for itself."""
        self.last: Image | None = None

    @property
    def look(self) -> Look:
        """What was last asked for."""
        return self._wanted

    @property
    def shown(self) -> Look:
        """What the last frame was painted with."""
        return self._shown

    def change(self, **settings: Any) -> Look:
        """Change some settings of the `Look`, and return all of them.

        Raises `UsageError` for values out of range and `TypeError` for unknown names.
        """
        with self._lock:
            self._wanted = replace(self._wanted, **settings)
            return self._wanted

    @property
    def matching(self) -> bool:
        """Whether pictures as styles have the camera's colours, or will with the next frame."""
        return self.matched if self._match is None else self._match

    @property
    def masked(self) -> bool:
        """Whether a mask lies over the picture."""
        if self._regions is not None:
            return len(self._wanted.names) > 1
        return self._part is not None and not self._unmasked

    def use_mask(self, on: bool) -> None:
        """Paint by the mask, or everything. Raises `UsageError` where that cannot be."""
        if self._part is None and on != self.masked:
            if self._regions is not None and not on:
                raise UsageError("The mask divides styles: choose one style for all of it.")
            raise UsageError("There is no mask to paint by.", "", "Start with --mask.")
        self._unmasked = not on

    def lay_mask(self, mask: StillMask | DrawnMask | None) -> None:
        """Paint from now on where a mask of two regions says so; None: everywhere."""
        self._part, self._unmasked = mask, False

    def hold_rate(self, rate: float) -> None:
        """Have the controller hold `rate` frames a second, where there is one."""
        if self._controller is not None:
            self._controller.target = rate

    def match(self, on: bool) -> None:
        """Give pictures as styles the colours of the next frame, or their own again.

        The present style takes them on once it is encoded anew, in the background.
        """
        self._match = on

    def __call__(self, image: Image) -> Image:
        """Paint (H, W, 3) uint8 RGB; returns a picture of the same size, not to be written to."""
        last = self.last
        if self.frozen and last is not None and last.shape == image.shape:
            return last
        match, self._match = self._match, None
        if match is not None:
            self._bank.match(image if match else None)
            self.matched = match
        before, self._now = self._now, self._clock()
        began = time.perf_counter()
        look = self._settle(image.shape[0], image.shape[1])
        if self.walk > 0.0:
            self._place += (self._now - before) / self.walk
        crossing = self._cross(look, before)
        painted = self._paint_or_go_back(image, look)
        if painted is None:
            return last if last is not None and last.shape == image.shape else image
        # What two models take says nothing of either.
        if look.strength > 0.0 and not crossing:
            self._adapt(time.perf_counter() - began, look, image.shape[0])
        return painted

    def _paint_or_go_back(self, image: Image, look: Look) -> Image | None:
        """Paint a frame; where its style cannot be any more, return to the one before, and None.

        The file of a picture may have gone from the disk. Raises for the first frame of all.
        """
        while True:
            try:
                self.last = self._paint(image, look)
                self._good = model_of(look)
                return self.last
            except (StyleError, UsageError) as error:
                if self.last is None:
                    raise
                self.problem = error
            if self._crossing is None:
                break
            # It may be the old style that has gone.
            self._crossing, self._latest = None, Layer(model_of(look))
        self._latest = Layer(self._good)
        with self._lock:
            # Another style may be wanted meanwhile that is not ready yet.
            if model_of(self._wanted) == model_of(look):
                self._wanted = replace(self._wanted, **self._good)
            self._shown = replace(self._shown, **self._good)
        return None

    def _cross(self, look: Look, before: float) -> bool:
        """Begin a transition where the style is a new one, or end one; return True within one.

        It begins at the moment of the frame `before`, so that this one shows some of it already.
        """
        old, new = self._latest, Layer(model_of(look))
        if self._crossing is not None and self._crossing.done(self._now):
            self._crossing = None
        if new.model["style"] == old.model["style"]:
            old.model = new.model
            return self._crossing is not None
        self._latest = new
        if self.fade <= 0.0 or self.transition == "cut" or _continuous(old, new):
            self._crossing = None
        elif old.painted is not None:
            old.share = 1.0
            layers = [old] if self._crossing is None else self._crossing.interrupted(before)
            self._crossing = Transition(layers, new, self.transition, self.fade, before)
            self._bank.rest(self.fade)
        return self._crossing is not None

    def _paint(self, image: Image, look: Look) -> Image:
        source = np.ascontiguousarray(image[:, ::-1]) if look.mirror else image
        if look.strength == 0.0:
            return source.copy()
        mask = self._mask(source, look)
        if self._crossing is None:
            painted = self._network(source, look, self._latest)
            # A copy where it is kept: what is finished is written into.
            return self._finish(source, painted.copy() if self.fade > 0.0 else painted, look, mask)
        budget = self._controller.budget if self._controller is not None else 0.0
        crossing, due = self._crossing, self._crossing.due(self._now, budget)
        looks = [replace(look, **layer.model) for layer in crossing.layers]
        pictures = []
        for layer, own in zip(crossing.layers, looks, strict=True):
            stale = layer.painted if layer not in due else None
            pictures.append(self._network(source, own, layer) if stale is None else stale)
        if look.strength < 1.0 and len({self._bank.mixes(*own.model_name) for own in looks}) > 1:
            finished = [
                self._finish(source, picture.copy(), own, mask)
                for picture, own in zip(pictures, looks, strict=True)
            ]
            return crossing.compose(finished, self._now)
        # All else is the same for every layer, and is done once.
        return self._finish(source, crossing.compose(pictures, self._now), looks[-1], mask)

    def _network(self, source: Image, look: Look, layer: Layer) -> Image:
        """Return what the network makes of a picture, and keep it in `layer`."""
        began = time.perf_counter()
        rows, columns = look.working_size(source.shape[0], source.shape[1])
        stroke = snapped(look.stroke_size)
        divided = self._regions if len(look.names) > 1 else None
        weights = divided.weights(rows, columns) if divided else None
        small = resize(source, rows, columns)
        vector = self._walked(look)
        if vector is None:
            vector = self.recolour(*look.model_name)
        steady = None if weights is not None or vector is not None else self._steady(look, layer)
        if steady is not None:
            layer.painted = steady(small)
        else:
            layer.painted = self._bank.paint(
                small, *look.model_name, look.strength, weights, vector, stroke
            )
        layer.seconds = time.perf_counter() - began
        return layer.painted

    def _steady(self, look: Look, layer: Layer) -> SteadyPainter | None:
        """Return what paints over the last frame of a layer, None where there can be none."""
        wanted = look.coherence > 0.0 and self.coherent
        if self._controller is not None:
            wanted = wanted and self._controller.rung.coherent
        if not wanted or not self._bank.coherent(*look.model_name):
            layer.steady = None
            return None
        stroke = snapped(look.stroke_size)
        vectors = self._bank.resolve(*look.model_name).statistics
        strength = 1.0 if vectors is None else look.strength
        # A picture in other colours, or fitted meanwhile, is another style of the same name.
        vector = None if vectors is None else vectors[0].tobytes()
        key = (look.model_name, stroke, look.coherence, strength, vector)
        if layer.steady is None or layer.steady.key != key:
            style, size = look.model_name
            run = partial(self._bank.paint_over, style=style, size=size, strength=strength)
            layer.steady = SteadyPainter(
                run, self._bank.upsampler, key, stroke_size=stroke, coherence=look.coherence
            )
        return layer.steady

    def _walked(self, look: Look) -> Statistics | None:
        """Return the style vector of this moment of a walk, None where there is no walk."""
        if self.walk <= 0.0 or len(look.names) > 1 or not available(look.size):
            self._path = None
            return None
        if not self._bank.can_sample(look.size):
            return None  # Its files are opened in the background.
        if self._path is None or self._path_of != look.names[0]:
            start = self._bank.resolve(*look.model_name).statistics
            if start is None:
                return None  # A network that is trained for one style knows no other.
            self._path, self._path_of = Walk(start[0], self.seed, look.size), look.names[0]
            self._place = 0.0
        return self._path.at(self._place)

    def _finish(self, source: Image, painted: Image, look: Look, mask: Image | None) -> Image:
        if self._bank.mixes(*look.model_name):
            look = replace(look, strength=1.0)
        return look.finish(source, painted, mask)

    def _mask(self, source: Image, look: Look) -> Image | None:
        """Return where to paint, None for everywhere."""
        where: Image | None = None
        if look.only != "all" and self._segmenter is not None:
            person = self._segmenter(source)
            where = person if look.only == "person" else 255 - person
        # Another thread may lay a new one.
        over = self._part
        if over is not None and not self._unmasked:
            part = over.weights(source.shape[0], source.shape[1])[1]
            where = np.rint(part * np.float32(255) if where is None else part * where)
            where = where.astype(np.uint8)
        return where

    def _adapt(self, seconds: float, look: Look, rows: int) -> None:
        """Let the controller judge the frame, and ask for what it chooses."""
        if self._controller is None:
            return
        now = self._controller.rung
        if (look.size, look.height) != (now.size, now.height(rows)):
            return  # The model that it chose is not ready yet: this frame says nothing about it.
        rung = self._controller.note(seconds, time.monotonic())
        if rung != now:
            self.change(size=rung.size, height=rung.height(rows))

    def _settle(self, height: int, width: int) -> Look:
        """Choose the look of the next frame: the wanted one, on a model that is ready."""
        with self._lock:
            wanted = self._wanted
        look, shown = wanted, self._shown
        if model_of(wanted) != model_of(shown) and self._begun:
            try:
                look = self._within_reach.nearest(wanted, shown, (height, width), self._now)
            except RtstyleError as error:
                self.problem = error
                look = replace(wanted, **model_of(shown))
                with self._lock:
                    # Another one may be wanted by now.
                    if model_of(self._wanted) == model_of(wanted):
                        self._wanted = replace(self._wanted, **model_of(shown))
        self._begun, self._shown = True, look
        return look


def _continuous(old: Layer, new: Layer) -> bool:
    """Return True for blends of the same pictures: a slider that is dragged is not a new style."""
    styles = [layer.model["style"] for layer in (old, new)]
    if not all(isinstance(style, str) for style in styles):
        return False
    parts = [set(split_names(style)) for style in styles]
    return parts[0] == parts[1] and len(parts[0]) > 1
