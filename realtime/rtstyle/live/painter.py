"""One user's live picture: a look that may change at any moment, painted with shared models."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from rtstyle.errors import RtstyleError, UsageError
from rtstyle.frame import Image
from rtstyle.live.bank import StyleBank
from rtstyle.live.look import Look
from rtstyle.live.rate import RateController
from rtstyle.media.color import resize
from rtstyle.painting.masks import StillMask

Segmenter = Callable[[Image], Image]
"""Maps (H, W, 3) uint8 RGB to (H, W) uint8, 255 on a person."""


class Studio:
    """Paints one live picture. Call it with frames from one thread; change it from any.

    A change of style, size or height takes effect with the first frame for which the model is
    ready; until then the old one goes on, so the picture never stands still. A style that cannot
    be had leaves the picture as it is, and its error in `problem`. A `controller` chooses network
    size and height from the time that painting took. While `frozen` the last picture is repeated.
    `mask` lies over the picture as it is shown: it divides a look with `regions`, or, where the
    first look has none, tells what is painted. With `match_color` pictures as styles take on the
    colours of the first frame.
    """

    def __init__(
        self,
        bank: StyleBank,
        look: Look | None = None,
        *,
        segmenter: Segmenter | None = None,
        controller: RateController | None = None,
        mask: StillMask | None = None,
        match_color: bool = False,
    ) -> None:
        self._bank, self._segmenter, self._controller = bank, segmenter, controller
        self._lock = threading.Lock()
        self._wanted = self._shown = look or Look()
        self._begun = False
        self._regions = mask if self._wanted.regions else None
        self._part = None if self._wanted.regions else mask
        self._unmasked = False
        self.matched = False
        self._match: bool | None = match_color or None
        self.problem: RtstyleError | None = None
        self.frozen = False
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
            return bool(self._wanted.regions)
        return self._part is not None and not self._unmasked

    def use_mask(self, on: bool) -> None:
        """Paint by the mask, or everything. Raises `UsageError` where that cannot be."""
        if self._part is None and on != self.masked:
            if self._regions is not None and not on:
                raise UsageError("The mask divides styles: choose one style for all of it.")
            raise UsageError("There is no mask to paint by.", "", "Start with --mask.")
        self._unmasked = not on

    def match(self, on: bool) -> None:
        """Give pictures as styles the colours of the next frame, or their own again.

        That frame waits until the present style is encoded anew.
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
        began = time.perf_counter()
        look = self._settle(image.shape[0], image.shape[1])
        self.last = self._paint(image, look)
        if look.strength > 0.0:
            self._adapt(time.perf_counter() - began, look, image.shape[0])
        return self.last

    def _paint(self, image: Image, look: Look) -> Image:
        source = np.ascontiguousarray(image[:, ::-1]) if look.mirror else image
        if look.strength == 0.0:
            return source.copy()
        rows, columns = look.working_size(image.shape[0], image.shape[1])
        divided = look.regions and self._regions
        weights = divided.weights(rows, columns) if divided else None
        small = resize(source, rows, columns)
        painted = self._bank.paint(small, *look.model, look.strength, weights)
        mask = self._mask(source, look)
        if self._bank.mixes(*look.model):
            look = replace(look, strength=1.0)
        return look.finish(source, painted, mask)

    def _mask(self, source: Image, look: Look) -> Image | None:
        """Return where to paint, None for everywhere."""
        where: Image | None = None
        if look.only != "all" and self._segmenter is not None:
            person = self._segmenter(source)
            where = person if look.only == "person" else 255 - person
        if self._part is not None and not self._unmasked:
            part = self._part.weights(source.shape[0], source.shape[1])[1]
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
            wanted, shown = self._wanted, self._shown
            now = (*shown.model, shown.height)
            if (*wanted.model, wanted.height) != now and self._begun:
                shape = wanted.working_size(height, width)
                try:
                    if not self._bank.ready(*wanted.model, shape):
                        self._bank.prepare([wanted.model], shape)
                        wanted = replace(wanted, **model_of(shown))
                except RtstyleError as error:
                    self.problem = error
                    wanted = self._wanted = replace(wanted, **model_of(shown))
            self._begun = True
            self._shown = wanted
            return wanted


def model_of(look: Look) -> dict[str, Any]:
    """Return the settings of a look that choose its model and the pictures it works on."""
    return {name: getattr(look, name) for name in ("style", "regions", "size", "height")}
