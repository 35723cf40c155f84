"""Photo files: read as sRGB with their alpha and EXIF, written whole or not at all.

Pictures are handed to the networks as sRGB, which is what the networks were trained on, and are
written as sRGB with an sRGB profile when the source had a profile. Converting back to the source's
profile would gain nothing: the painted colours are sRGB, and a printer's or a camera's profile
would clip them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtstyle.errors import SinkError, SourceError, UsageError, reason
from rtstyle.files.names import not_there
from rtstyle.files.temporary import replacing
from rtstyle.frame import Image
from rtstyle.media.feed import is_pipe, read_pipe
from rtstyle.media.limits import DEFAULT_QUALITY, check_quality
from rtstyle.media.picture_file import (
    HEIF_SUFFIXES,
    JPEG_SUFFIXES,
    check_levels,
    decode,
    hide_transparent,
    is_transparent,
    opened,
    unreadable,
)

if TYPE_CHECKING:
    from PIL import Image as Pil

INPUT_SUFFIXES = frozenset(
    (
        *(*JPEG_SUFFIXES, *HEIF_SUFFIXES, ".avif", ".bmp", ".gif", ".jp2", ".mpo", ".png"),
        *(".ppm", ".tif", ".tiff", ".webp"),
    )
)
"""What counts as a photo in a folder; single files are judged by their content."""

OUTPUT_FORMATS = {
    ".png": "PNG",
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}

MOST_BYTES = 1 << 30
"""Bytes of a photo that comes through a pipe, at most."""

# Descriptive EXIF tags; the others describe the layout of the source file.
_KEPT_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
_KEPT_FOLDERS = (0x8769, 0x8825)
_DROPPED_EXIF = (0xA002, 0xA003)  # Size of the picture, no longer true once it was turned.

_ORIENTATION = 274
_TURNS = {
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (1, True),
    6: (3, False),
    7: (3, True),
    8: (1, False),
}
"""EXIF orientation: the quarter turns to the left, after mirroring, that make it upright."""

STRIP = 256
"""Rows that are converted at once, so that no second picture lies beside the first."""

_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo: `rgb` (H, W, 3) uint8 sRGB, `alpha` (H, W) uint8 or None, upright.

    `exif` holds the kept metadata without the orientation; `tagged` says whether the source
    named its colour space. `notes` say what was lost while reading.
    """

    rgb: Image
    alpha: NDArray[np.uint8] | None = None
    exif: bytes = b""
    tagged: bool = False
    notes: tuple[str, ...] = ()


def read_picture(
    path: Path, kind: str = "photo", *, whole: bool = False, upright: bool = True
) -> Picture:
    """Read a picture, which messages call a `kind`.

    A file that is cut off has a note of what is missing. Without `upright` it stays as it lies in
    its file, and its orientation stays in its EXIF. Raises `SourceError` if it is missing,
    damaged, animated, too large or a raw file, less than half there, or, with `whole`, cut off.
    """
    if path.is_dir() or not path.exists():
        raise SourceError(f"There is no {kind} {path}.", "", not_there(path))
    try:
        # The decoder's memory is free again before anything is turned.
        picture, turn = _read(path, kind, whole)
    except SourceError:
        raise
    except Exception as error:
        # Pillow's decoders raise whatever a damaged file leads them to, even TypeError.
        raise unreadable(path, error) from error
    if turn is None:
        return picture
    return _turned(picture, turn) if upright else replace(picture, exif=_lying(picture, turn))


def _read(path: Path, kind: str, whole: bool) -> tuple[Picture, tuple[int, bool] | None]:
    """Return a photo as it lies in its file, and what makes it upright."""
    piped = read_pipe(path, MOST_BYTES, kind) if is_pipe(path) else None
    with opened(path, kind, piped) as file:
        _refuse_animation(file, path)
        notes = _page_notes(file)
        image, missing = decode(path, file, whole, piped)
        check_levels(path, image)
        return _to_picture(image, (*notes, *((missing,) if missing else ()))), _turn_of(image)


def _refuse_animation(file: Pil.Image, path: Path) -> None:
    if file.format in _ANIMATED and getattr(file, "is_animated", False):
        raise SourceError(f"{path} is animated.", "", "Use `rtstyle video` for it.")


def _page_notes(file: Pil.Image) -> tuple[str, ...]:
    # Phones put previews and depth maps behind the photo of an MPO file.
    pages = getattr(file, "n_frames", 1)
    return (
        (f"only the first of {pages} pages is painted",)
        if pages > 1 and file.format == "TIFF"
        else ()
    )


def _to_picture(image: Pil.Image, notes: tuple[str, ...]) -> Picture:
    """Return a decoded picture as it lies in its file, converted strip by strip."""
    profile = image.info.get("icc_profile", b"")
    to_srgb, note = _conversion(image, profile)
    transparent = is_transparent(image)
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if transparent else None
    for top in range(0, height, STRIP):
        strip = _eight_bit(image.crop((0, top, width, min(height, top + STRIP))))
        # Pillow's crop keeps the colour that is transparent, but not the one of a palette.
        strip.info.update({k: v for k, v in image.info.items() if k == "transparency"})
        rows = slice(top, top + strip.height)
        if alpha is not None:
            strip = strip.convert("RGBA")
            alpha[rows] = np.asarray(strip.getchannel("A"))
        rgb[rows] = np.asarray(to_srgb(strip))
    # A layer that hides nothing is not transparency.
    if alpha is not None and bool((alpha == 255).all()):
        alpha = None
    if alpha is not None and not alpha.any():
        # As programs write TGA that have no use for its fourth byte.
        alpha, notes = None, (*notes, "its alpha hides everything and is left out")
    if alpha is not None:
        hide_transparent(rgb, alpha)
    return Picture(rgb, alpha, kept_exif(image), bool(profile), (*notes, *note))


def _turn_of(file: Pil.Image) -> tuple[int, bool] | None:
    """Return what makes the photo upright; None if it is, or if that cannot be read.

    Pillow's own `exif_transpose` writes the other tags anew, and fails if one of them is broken.
    """
    try:
        return _TURNS.get(int(file.getexif().get(_ORIENTATION, 1)))
    except Exception:
        # Broken EXIF is common, and no reason to lose the photo.
        return None


def _turned(picture: Picture, turn: tuple[int, bool]) -> Picture:
    quarters, mirrored = turn

    def upright(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if mirrored:
            array = array[:, ::-1]
        return np.ascontiguousarray(np.rot90(array, quarters))

    alpha = None if picture.alpha is None else upright(picture.alpha)
    return replace(picture, rgb=upright(picture.rgb), alpha=alpha)


def _lying(picture: Picture, turn: tuple[int, bool]) -> bytes:
    """Return the EXIF of a picture with the orientation that makes it upright."""
    from PIL import Image as Pil

    exif = Pil.Exif()
    exif.load(picture.exif)
    exif[_ORIENTATION] = next(number for number, known in _TURNS.items() if known == turn)
    return exif.tobytes()


def _eight_bit(image: Pil.Image) -> Pil.Image:
    """Return deep greyscale as 8 bits; Pillow reads other deep pictures as 8 bits itself."""
    from PIL import Image as Pil

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    return Pil.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _conversion(
    image: Pil.Image, profile: bytes
) -> tuple[Callable[[Pil.Image], Pil.Image], tuple[str, ...]]:
    """Return what turns strips of `image` into sRGB, and a note if its profile cannot be used."""
    from PIL import ImageCms

    if not profile:
        return _plain, ()
    grey = image.mode.startswith("I") or image.mode == "L"
    mode = image.mode if image.mode in ("CMYK", "LAB") else "L" if grey else "RGB"
    mode = "RGB" if is_transparent(image) else mode
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        return _plain, (f"the colour profile was ignored: {error}",)

    def convert(strip: Pil.Image) -> Pil.Image:
        return ImageCms.applyTransform(strip.convert(mode), transform) or _plain(strip)

    return convert, ()


def _plain(strip: Pil.Image) -> Pil.Image:
    return strip.convert("RGB")


@lru_cache(maxsize=1)
def _srgb() -> Any:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def kept_exif(file: Pil.Image) -> bytes:
    """Return the descriptive EXIF tags of a photo without its orientation, or nothing."""
    from PIL import Image as Pil

    kept = Pil.Exif()
    try:
        found = file.getexif()
        for tag in _KEPT_TAGS:
            if tag in found:
                kept[tag] = found[tag]
        for number in _KEPT_FOLDERS:
            folder = {k: v for k, v in found.get_ifd(number).items() if k not in _DROPPED_EXIF}
            if folder:
                kept.get_ifd(number).update(folder)
                kept[number] = 0
        return kept.tobytes() if len(kept) else b""
    except Exception:
        # Broken EXIF is common, and no reason to lose the photo.
        return b""


def output_format(path: Path) -> str:
    """Return Pillow's name of the format for an output file. Raises `UsageError`."""
    try:
        return OUTPUT_FORMATS[path.suffix.lower()]
    except KeyError:
        names = ", ".join(OUTPUT_FORMATS)
        raise UsageError(
            f"Photos cannot be written as {path.name!r}.", "", f"Use {names}."
        ) from None


def write_picture(picture: Picture, path: Path, quality: int = DEFAULT_QUALITY) -> tuple[str, ...]:
    """Write a photo in the format of the file's extension, by a temporary file beside it.

    `quality` is 1 to 100, for JPEG and WebP. JPEG has no alpha: it is laid over white. Returns
    notes on what was lost. Raises `UsageError` for an extension or a quality that does not exist,
    `SinkError` if writing fails; an existing file is then left as it was.
    """
    kind = output_format(path)
    check_quality(quality)
    image = _to_pil(picture, kind)
    options = _save_options(picture, kind, quality)
    try:
        with replacing(path) as partial:
            return _save(image, partial, kind, options)
    except (OSError, ValueError) as error:
        why = reason(error)
        raise SinkError(
            f"{path} cannot be written.", why, "Check the folder and its space."
        ) from error


def _save(image: Pil.Image, path: Path, kind: str, options: dict[str, Any]) -> tuple[str, ...]:
    """Encode a photo into `path`; return a note if its EXIF had to be left out."""
    try:
        image.save(path, format=kind, **options)
    except OSError:
        raise
    except Exception as error:
        # Pillow reads EXIF again to write TIFF, and raises whatever broken tags lead it to.
        if "exif" not in options:
            raise
        image.save(path, format=kind, **{k: v for k, v in options.items() if k != "exif"})
        return (f"the EXIF was left out: it is broken ({type(error).__name__}: {error})",)
    return ()


def _to_pil(picture: Picture, kind: str) -> Pil.Image:
    from PIL import Image as Pil

    image = Pil.fromarray(picture.rgb)
    if picture.alpha is None:
        return image
    if kind == "JPEG":
        white = Pil.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=Pil.fromarray(picture.alpha))
        return white
    image.putalpha(Pil.fromarray(picture.alpha))
    return image


def _save_options(picture: Picture, kind: str, quality: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if picture.exif:
        options["exif"] = picture.exif
    if picture.tagged:
        options["icc_profile"] = _srgb().tobytes()
    if kind in ("JPEG", "WEBP"):
        options["quality"] = quality
    if kind == "JPEG":
        # Painted edges are saturated; halved chroma would smear them.
        options["subsampling"] = 0 if quality >= 90 else 2
    if kind == "TIFF" and not picture.exif:
        # libtiff, which compresses, takes no folders of EXIF: it refuses the whole picture.
        options["compression"] = "tiff_adobe_deflate"
    return options
