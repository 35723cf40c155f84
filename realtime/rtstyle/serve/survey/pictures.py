"""Pictures as a survey shows them: of one size and kind, so that only paint tells them apart."""

from __future__ import annotations

import hashlib
import hmac
from io import BytesIO
from pathlib import Path

from PIL import Image as Pil

from rtstyle.frame import Image
from rtstyle.media.picture import read_picture
from rtstyle.serve.survey.design import REAL, Design, Question, Shown

LARGEST = 1280
"""Pixels of the long side of a picture that stands beside another."""
SQUARE = 640
"""Pixels of a side among four, or fewer if a picture has fewer."""
QUALITY = 92


class Wall:
    """The pictures of a survey under names that tell nothing.

    `salt` makes the names. Raises `SourceError` for a picture that cannot be read.
    """

    def __init__(self, design: Design, salt: str) -> None:
        self._design, self._salt = design, salt.encode()
        shown = design.pictures()
        sides = [min(size_of(design.path(one))) for one in shown]
        self._square = min([SQUARE, *sides])
        self._known = {self.name(kind, one): (kind, one) for kind in design.counts for one in shown}

    def name(self, kind: str, shown: Shown) -> str:
        """Return the name of a picture in questions of a kind."""
        text = f"{kind}\n{shown.method}\n{shown.name}".encode("utf-8", "surrogateescape")
        return hmac.new(self._salt, text, hashlib.sha256).hexdigest()[:32]

    def names(self, question: Question) -> list[str]:
        """Return the names of what a question shows, in order."""
        return [self.name(question.kind, one) for one in question.shown]

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def content(self, name: str) -> bytes:
        """Return a picture as JPEG: whole, or a square from its middle."""
        kind, shown = self._known[name]
        image = Pil.fromarray(read_picture(self._design.path(shown), "picture").rgb)
        image = square(image, self._square) if kind == REAL else fitted(image, LARGEST)
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
        return buffer.getvalue()


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height as the file says. Raises `SourceError`."""
    try:
        with Pil.open(path) as file:
            return file.size
    except Exception:
        # Kinds that Pillow does not know, and what is wrong with a file, the reader tells.
        rgb: Image = read_picture(path, "picture").rgb
        return int(rgb.shape[1]), int(rgb.shape[0])


def square(image: Pil.Image, side: int) -> Pil.Image:
    """Return the middle of a picture, scaled to `side` x `side`."""
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    return image.resize((side, side), Pil.Resampling.LANCZOS, box=box)


def fitted(image: Pil.Image, longest: int) -> Pil.Image:
    """Return a picture with its long side at most `longest`."""
    factor = min(1.0, longest / max(image.size))
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Pil.Resampling.LANCZOS) if factor < 1 else image
