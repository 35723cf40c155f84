"""One live picture on the shared painter: a studio that never makes the others wait."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from statistics import median
from typing import Any

import numpy as np

from rtstyle.errors import RtstyleError, UsageError
from rtstyle.frame import Image
from rtstyle.live.bank import StyleBank
from rtstyle.live.controls.table import FADE
from rtstyle.live.look import Look
from rtstyle.live.painter import Studio
from rtstyle.live.person import PersonSegmenter
from rtstyle.media.color import Colours, resize
from rtstyle.painting.masks import DrawnMask
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.matching import Matching
from rtstyle.serve.painter import Painter, Seat
from rtstyle.serve.settings import CROSSING, PLAIN, Style, as_json, names_in
from rtstyle.styles.latent import check_space
from rtstyle.styles.paintings import Statistics
from rtstyle.styles.spec import Styles, as_mixture

MAX_PIXELS = 640 * 480
"""Area at which pictures are painted; larger ones are scaled down to it."""
MAX_SIDE = 4096
"""Pixels of the longest side that is taken from a camera."""
LATENCIES = 120
ATTRIBUTES = {"freeze": "frozen"}
"""Controls that a `Studio` has under another name."""


class LivePicture:
    """A `Studio` with styles by their names on the page, and bounded picture sizes.

    Call it from the painter's thread; `change` may be called from any. `problem` is the latest
    thing that went wrong, in words for the user.
    """

    def __init__(
        self,
        bank: StyleBank,
        painter: Painter,
        catalogue: Catalogue,
        matching: Matching | None = None,
    ) -> None:
        self._bank, self._painter, self._catalogue = bank, painter, catalogue
        self._matching = matching or Matching(bank.scale)
        self._match: bool | None = None
        self._colours: Colours | None = None
        self._seat: Seat[Any] | None = None
        self._rate = painter.target
        look = Look(catalogue.model_of(catalogue.first), catalogue.size)
        self._studio = Studio(bank, look, segmenter=PersonSegmenter(), fade=FADE)
        self._studio.seed = secrets.randbelow(10_000)
        self._studio.recolour = self._recoloured
        self.masked = False
        # What the page calls the models that may be in the studio's looks.
        self._asked: dict[str, Style] = {look.title: catalogue.first}
        self._shape = (0, 0)
        self._begun = False
        self._lock = threading.Lock()
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self.warming = True
        self.problem = ""

    @property
    def styles(self) -> Catalogue:
        """What may be chosen."""
        return self._catalogue

    def change(self, settings: dict[str, Any]) -> None:
        """Take settings from `check_settings`. Raises `UsageError`."""
        settings, studio = dict(settings), self._studio
        walk, walked = settings.pop("walk", studio.walk), studio.walk
        asked = settings.get("style", self._name_of(studio.look.title))
        if "style" in settings or bool(walk) != bool(walked):
            settings["style"] = self._model_of(asked, walking=bool(walk))
            self.problem = ""
        studio.walk = walk
        self._match = settings.pop("match_color", self._match)
        if "target_fps" in settings:
            self._rate = settings.pop("target_fps")
            self._hold()
        for name in (*CROSSING, "freeze"):
            if name in settings:
                setattr(studio, ATTRIBUTES.get(name, name), settings.pop(name))
        if "mask" in settings:
            drawn = settings.pop("mask")
            self.masked = drawn is not None
            studio.lay_mask(None if drawn is None else DrawnMask(drawn))
        studio.change(**settings)

    def _name_of(self, model: str) -> Style:
        # A style that failed gave way to one before it, which may be forgotten here.
        return self._asked.get(model, self._catalogue.first)

    def leave(self) -> None:
        """Let go of the seat, which knows this picture."""
        self._seat = None

    def sit(self, seat: Seat[Any]) -> None:
        """Have the rate that is asked for held at this seat of the painter."""
        self._seat = seat
        self._hold()

    def _hold(self) -> None:
        if self._seat is not None:
            # The server's own rate is one to aim at; a camera may give more.
            own = self._rate == self._painter.target
            self._painter.hold(self._seat, None if own else self._rate)

    def _recoloured(self, style: Styles, size: str) -> Statistics | None:
        colours = self._colours
        return None if colours is None else self._matching.vector(style, size, colours)

    def _model_of(self, style: Style, *, walking: bool) -> str:
        """Return the bank's name of a style, and remember that of the page.

        In a walk a built-in style is its painting. Raises `UsageError` and `StyleError`.
        """
        model, studio = self._catalogue.model_of(style), self._studio
        if walking:
            check_space(self._catalogue.size)
            if any(not self._catalogue.mixes(name) for name in names_in(style)):
                raise UsageError("A walk starts from a painting, and this style has none.")
            model = str(as_mixture(model))
        kept = (studio.look.title, studio.shown.title)
        # Replaced, not changed: the painter's thread may be reading.
        self._asked = {name: self._name_of(name) for name in kept} | {model: style}
        return model

    def settings(self) -> dict[str, Any]:
        """Return what was last asked for, as the page names it."""
        look = self._studio.look
        return {
            "style": as_json(self._name_of(look.title)),
            **{name: getattr(look, name) for name in PLAIN},
            **{name: getattr(self._studio, name) for name in CROSSING},
            "freeze": self._studio.frozen,
            "walk": self._studio.walk,
            "match_color": self._colours is not None if self._match is None else self._match,
            "target_fps": self._rate,
            "mask": self.masked,
        }

    @property
    def shown(self) -> str:
        """Name of the style in the last painted frame, or the names of those in the blend."""
        return "+".join(names_in(self._name_of(self._studio.shown.title)))

    def tell(self, error: Exception) -> None:
        """Make an error the `problem`, without the folder of the pictures."""
        self.problem = describe(error).replace(f"{self._catalogue.folder}{os.sep}", "")

    def note_latency(self, seconds: float) -> None:
        """Take in the time that one frame took."""
        with self._lock:
            self._latencies.append(seconds)

    def latencies(self) -> list[float]:
        """Return the last measured times, in seconds, ascending."""
        with self._lock:
            return sorted(self._latencies)

    @property
    def latency(self) -> float | None:
        """Median of the last measured times in seconds; None before the first."""
        times = self.latencies()
        return median(times) if times else None

    def __call__(self, image: Image) -> tuple[Image, bool]:
        """Paint (H, W, 3) uint8 RGB; return a picture of bounded size, and whether it is painted.

        Until the model is ready the camera's own picture comes back, so that opening a model
        never holds up the painter. Raises what the engine raises.
        """
        self._shape = steady_shape(image.shape[0], image.shape[1], self._shape)
        image = resize(image, *self._shape)
        studio, match, self._match = self._studio, self._match, None
        if match is not None:
            self._colours = Colours.of(image) if match else None
        studio.change(height=self._painter.rung.height(self._shape[0]))
        studio.coherent = self._painter.rung.coherent
        if not self._ready():
            self.warming = True
            mirrored = np.ascontiguousarray(image[:, ::-1]) if studio.look.mirror else image
            return mirrored, False
        painted = studio(image)
        self._begun, self.warming = True, studio.look.model_name != studio.shown.model_name
        if studio.problem is not None:
            self.tell(studio.problem)
            studio.problem = None
        return painted, studio.shown.strength > 0

    def _ready(self) -> bool:
        """Return True if the next frame's model is warm for this size; ask for it if not."""
        look = self._studio.shown if self._begun else self._studio.look
        shape = look.working_size(*self._shape)
        try:
            if self._bank.ready(*look.model_name, shape):
                return True
        except RtstyleError as error:
            self.tell(error)
            return False
        self._bank.prepare([look.model_name], shape, owner=self)
        return False


def steady_shape(rows: int, columns: int, before: tuple[int, int]) -> tuple[int, int]:
    """Return the even size at which frames of this size are painted.

    Browsers send smaller frames while a connection is slow. Those are scaled up to the size
    `before`, if the aspect is the same: a new size would cost a new start of the model and of
    the encoder. Raises `UsageError` for pictures that no camera gives.
    """
    if min(rows, columns) < 16 or max(rows, columns) > MAX_SIDE:
        raise UsageError(f"A picture of {columns}x{rows} is not painted.")
    factor = min(1.0, (MAX_PIXELS / (rows * columns)) ** 0.5)
    new = 2 * max(8, round(rows * factor / 2)), 2 * max(8, round(columns * factor / 2))
    if before[0] >= new[0] and abs(columns / rows - before[1] / before[0]) < 0.05:
        return before
    return new


def describe(error: Exception) -> str:
    """Return an error in words that may go out: no paths, no internals of what was unforeseen."""
    if isinstance(error, RtstyleError):
        return " ".join(part for part in (error.what, error.todo) if part)[:300]
    return f"Painting failed ({type(error).__name__})."
