"""Painting like any picture: statistics of a painting, and models that take them.

Huang and Belongie 2017. A painting is encoded once, by the `style` file of a size, into a small
vector; the `content` file paints pictures with it. Vectors are kept on disk under a hash of the
painting's bytes and of the network, so that a second run starts at once. What the `style` file
tells at one glance is rough; `rtstyle.styles.fit` fits it to the painting in some seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.engines import EngineOptions
from rtstyle.engines.base import read_model
from rtstyle.engines.devices import cache_folder, cpu_count
from rtstyle.errors import EngineError, SourceError, StyleError, UsageError, reason
from rtstyle.files.cache import one_at_a_time, read_vector, write_vector
from rtstyle.frame import Image
from rtstyle.media.color import Colours, match_colors
from rtstyle.media.picture import read_picture
from rtstyle.styles import fit, latent, manifest
from rtstyle.styles.recipe import SCALES, check_range
from rtstyle.styles.sizes import plain_size
from rtstyle.styles.spec import is_random

Statistics: TypeAlias = NDArray[np.float32]
"""What the networks take of a painting: (M,) numbers, M by size."""


STYLE_SIDE = 256
"""Rows or columns, whichever is less, at which a painting is encoded: as in training."""
LONGEST = 4
"""A painting's long side counts for at most this many of its short sides."""
SHORTEST = 32
EVENNESS = 0.75
"""Exponent of weights in a blend. On 40 pairs of unseen paintings, statistics mixed as 1 : 3 look
like 0.19 : 0.81 (shares of the root of the style distance), with it like 0.25 : 0.75."""


def encode(
    name: str,
    size: str,
    scale: float = 1.0,
    colours: Colours | None = None,
    *,
    rough: bool = False,
    threads: int = 0,
    stopped: Callable[[], bool] = lambda: False,
) -> Statistics:
    """Return the statistics of a picture file or of a built-in painting; see `resolve`.

    Fitting stops once `stopped` says so, with what is `rough`; `threads` 0 means every core.
    Raises `StyleError` if it cannot be read, `UsageError` for a scale out of range.
    """
    check_range("A style scale", scale, SCALES)
    if size != (plain := plain_size(size)):
        matrix = _matrix(name, size, scale, colours)
        if plain == "paper":
            return matrix
        # In the small network the transform comes on top of AdaIN.
        rest = encode(name, plain, scale, colours, rough=rough, threads=threads, stopped=stopped)
        return np.concatenate([matrix, rest])
    if name in manifest.load_manifest().styles:
        if scale != 1.0 or colours is not None:
            raise UsageError(
                f"The painting of {name} ships at scale 1 and in its own colours only.",
                "",
                "Name a picture file.",
            )
        return built_in(name, size)
    if is_random(name):
        if scale != 1.0 or colours is not None:
            raise UsageError(
                "A random style has a scale and colours of its own.", "", "Name a picture file."
            )
        return latent.random_vector(name, size)
    painting = _painting(name, scale, colours)
    fitted = fit.available(size)
    if (known := painting.vector(size, fitted)) is not None:
        return known
    glance = painting.glance(size)
    if rough or not fitted:
        return glance
    with one_at_a_time(painting.lock(), stopped):
        # Another process may have fitted it meanwhile.
        if (known := painting.vector(size, True)) is not None:
            return known
        pixels, title = painting.pixels(), Path(name).name
        found = fit.refine(glance, pixels, size, name=title, threads=threads, stopped=stopped)
        return glance if found is None else painting.keep(size, True, found)


def _matrix(name: str, size: str, scale: float, colours: Colours | None) -> Statistics:
    """Return what a linear transform takes of a picture file.

    Raises `UsageError` for what is none: only numbers of AdaIN are kept of other styles.
    """
    if name in manifest.load_manifest().styles or is_random(name):
        raise UsageError(
            f"A linear transform has no numbers of {name}.",
            "They are made of a picture file.",
            "Name a picture file, or leave --transform out.",
        )
    return _painting(name, scale, colours).glance(size)


def is_rough(name: str, size: str, scale: float = 1.0, colours: Colours | None = None) -> bool:
    """Return True if `encode` would give a better vector without `rough`, after some seconds."""
    if size != plain_size(size) and plain_size(size) == "paper":
        return False
    size = plain_size(size)
    if name in manifest.load_manifest().styles or is_random(name) or not fit.available(size):
        return False
    return _painting(name, scale, colours).vector(size, True) is None


@dataclass(frozen=True, slots=True)
class _Painting:
    """A picture file of some content, at a scale and perhaps in other colours; and its vectors."""

    name: str
    digest: str
    scale: float
    colours: Colours | None

    def pixels(self) -> Image:
        """Return (H, W, 3) uint8 as it is encoded."""
        painting = read_painting(Path(self.name))
        if self.colours is not None:
            painting = match_colors(painting, self.colours)
        return prepare(painting, self.scale)

    def vector(self, size: str, fitted: bool) -> Statistics | None:
        """Return what was kept of it, in memory or on the disk."""
        key = self._key(size, fitted)
        if key not in _VECTORS and (known := read_vector(_place(key), key)) is not None:
            _VECTORS[key] = known
        return _VECTORS.get(key)

    def glance(self, size: str) -> Statistics:
        """Return what the `style` file says of it."""
        known = self.vector(size, False)
        return self.keep(size, False, encode_image(self.pixels(), size)) if known is None else known

    def keep(self, size: str, fitted: bool, vector: Statistics) -> Statistics:
        """Keep a vector, and return it."""
        key = self._key(size, fitted)
        _VECTORS[key] = vector
        for oldest in list(_VECTORS)[:-REMEMBERED]:
            _VECTORS.pop(oldest, None)
        if np.isfinite(vector).all():
            write_vector(_place(key), key, vector)
        return vector

    def lock(self) -> Path:
        """Return the lock file of this painting, and of some others: there are 16."""
        return cache_folder() / "paintings" / f"{self.digest[0]}.lock"

    def _key(self, size: str, fitted: bool) -> str:
        network = manifest.listed_any(fit.PART if fitted else "style", size)
        title = f"{network.sha256} {network.size} {self.scale:f} {self.colours or ''}"
        return hashlib.sha256(f"{title} {self.digest}".encode()).hexdigest()[:32]


def keep_fitted(
    name: str, size: str, scale: float, colours: Colours | None, vector: Statistics
) -> None:
    """Keep the vector of a picture file that was fitted elsewhere. Raises `StyleError`."""
    _painting(name, scale, colours).keep(size, True, vector)


def fitted_vectors(path: Path) -> list[dict[str, Any]]:
    """Return the vectors of a picture file for every network, fitted now, as JSON.

    Raises as `encode`.
    """
    found = []
    for size in manifest.load_manifest().any:
        part = fit.PART if fit.available(size) else "style"
        numbers = [round(float(number), 6) for number in encode(str(path), size)]
        network = manifest.listed_any(part, size).sha256
        found.append({"size": size, "network": network, "numbers": numbers})
    return found


def keep_vectors(path: Path, vectors: object) -> None:
    """Keep the vectors that came with a picture file, so that it need not be fitted here.

    Those of other networks, or that are no vectors, are left out.
    """
    painting = _painting(str(path), 1.0, None)
    known = manifest.load_manifest().any
    for one in vectors if isinstance(vectors, list) else []:
        if not isinstance(one, dict) or one.get("size") not in known:
            continue
        size, fitted = one["size"], fit.available(one["size"])
        if one.get("network") != manifest.listed_any(fit.PART if fitted else "style", size).sha256:
            continue
        try:
            numbers = np.array(one.get("numbers"), np.float32)
        except (TypeError, ValueError, OverflowError):
            continue
        if numbers.shape == (length_of(size),) and np.isfinite(numbers).all():
            painting.keep(size, fitted, numbers)


def length_of(size: str) -> int:
    """Return how many numbers a vector of a size has, 0 where no painting ships for it."""
    for name in manifest.shipped_manifest().styles:
        with suppress(StyleError):
            return len(built_in(name, size))
    return 0


REMEMBERED = 256
"""Vectors kept in memory: 3 kB each of `fast`, 19 kB of `paper`."""
_VECTORS: dict[str, Statistics] = {}
"""By `_Painting._key`, the oldest first."""


def _painting(name: str, scale: float, colours: Colours | None) -> _Painting:
    try:
        stat = Path(name).stat()
        digest = _digest(name, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise StyleError(f"The picture {name} cannot be read.", reason(error)) from error
    return _Painting(name, digest, scale, colours)


@lru_cache(maxsize=256)
def _digest(name: str, _changed: int, _bytes: int) -> str:
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def _place(key: str) -> Path:
    return cache_folder() / "paintings" / f"{key}.vector"


def encode_image(painting: Image, size: str) -> Statistics:
    """Return the statistics of an (H, W, 3) uint8 RGB painting, which `prepare` has scaled."""
    return run_encoder(manifest.find_any("style", size).path, size, painting)


def run_encoder(model: Path, size: str, painting: Image) -> Statistics:
    """Run a `style` file on an (H, W, 3) uint8 RGB painting. Raises `EngineError`.

    One file may serve two sizes: it then has an output named after the other.
    """
    from rtstyle.engines.onnxrt import open_session, run_session

    session = open_session(read_model(model), EngineOptions(threads=cpu_count()))
    try:
        names = {port.name for port in session.get_outputs()}
        output = size if size in names else "statistics"
        found = run_session(session, [output], {"painting": painting[None]})[0]
    except Exception as error:
        raise EngineError("The painting cannot be encoded.", str(error)) from error
    if not np.isfinite(found).all():
        raise EngineError("The painting cannot be encoded.", "Its statistics are not finite.")
    return np.array(found[0], np.float32)


def read_painting(path: Path) -> Image:
    """Read a picture of any kind as (H, W, 3) uint8 sRGB. Raises `StyleError`."""
    try:
        return read_picture(path, "picture", whole=True).rgb
    except SourceError as error:
        animated = error.what.endswith("is animated.")
        todo = "Use a still picture as a style." if animated else error.todo
        raise StyleError(error.what, error.why, todo) from error


def prepare(painting: Image, scale: float = 1.0) -> Image:
    """Scale an (H, W, 3) painting to a short side of `STYLE_SIDE` x `scale` pixels.

    Strips longer than `LONGEST` short sides are scaled to that length, and no side is below
    `SHORTEST`.
    """
    side = STYLE_SIDE * scale
    height, width = painting.shape[:2]
    factor = min(side / min(height, width), LONGEST * side / max(height, width))
    rows, columns = (max(SHORTEST, round(n * factor)) for n in (height, width))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(painting, (columns, rows), interpolation=method), np.uint8)


def built_in(name: str, size: str) -> Statistics:
    """Return the shipped statistics of a built-in painting. Raises `StyleError`."""
    file = manifest.load_manifest().paintings
    known = {} if file is None else _read_paintings(file.path, file.sha256)
    found = known.get(f"{manifest.any_size(size)}/{name}")
    if found is None:
        raise StyleError(
            f"The painting of {name} is not there for size {size!r}.", "", "Name a picture file."
        )
    return found


@lru_cache(maxsize=4)
def _read_paintings(path: Path, sha256: str) -> Mapping[str, Statistics]:
    """Read the shipped statistics, by size/name. Raises `StyleError` for an altered file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StyleError(f"{path} cannot be read.", reason(error)) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise StyleError(f"{path} is refused.", "Its sha256 differs.", "Reinstall rtstyle.")
    with np.load(BytesIO(content)) as found:
        return {key: np.asarray(found[key], np.float32) for key in found.files}
