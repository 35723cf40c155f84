"""Photo files: read as sRGB with their alpha and EXIF, written whole or not at all.

Pictures are handed to the networks as sRGB, which is what the networks were trained on, and are
written as sRGB with an sRGB profile when the source had a profile. Converting back to the source's
profile would gain nothing: the painted colours are sRGB, and a printer's or a camera's profile
would clip them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtstyle.beside import replacing
from rtstyle.errors import SinkError, SourceError, UsageError
from rtstyle.feed import is_pipe, read_pipe
from rtstyle.frame import Image
from rtstyle.names import not_there

if TYPE_CHECKING:
    from PIL import Image as Pil

INPUT_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".jp2", ".avif")
)
"""What counts as a photo in a folder; single files are judged by their content."""

OUTPUT_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}

DEFAULT_QUALITY = 95
MOST_BYTES = 1 << 30
"""Bytes of a photo that comes through a pipe, at most."""

# Descriptive EXIF tags; the others describe the layout of the source file.
_KEPT_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
_KEPT_FOLDERS = (0x8769, 0x8825)
# Size of the picture in the source: no longer true once it was turned or scaled.
_DROPPED_EXIF = (0xA002, 0xA003)

_ORIENTATION = 274
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF orientation: what makes the photo upright, by its name in Pillow."""

_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo: `rgb` (H, W, 3) uint8 sRGB, `alpha` (H, W) uint8 or None, upright.

    `exif` holds the kept metadata without the orientation; `tagged` tells whether the source
    named its colour space. `notes` say what was lost while reading.
    """

    rgb: Image
    alpha: NDArray[np.uint8] | None = None
    exif: bytes = b""
    tagged: bool = False
    notes: tuple[str, ...] = ()


def read_picture(path: Path, kind: str = "photo") -> Picture:
    """Read a picture, which messages call a `kind`.

    Raises `SourceError` if it is missing, damaged, animated or too large.
    """
    from PIL import Image as Pil
    from PIL import UnidentifiedImageError

    if path.is_dir() or not path.exists():
        raise SourceError(f"There is no {kind} {path}.", "", not_there(path))
    try:
        with warnings.catch_warnings():
            # Large photos are welcome here; beyond twice Pillow's mark it raises an error.
            warnings.simplefilter("ignore", Pil.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            with Pil.open(read_pipe(path, MOST_BYTES, kind) if is_pipe(path) else path) as file:
                _refuse_animation(file, path)
                notes = _page_notes(file)
                file.load()
                return _decode(file, notes)
    except SourceError:
        raise
    except UnidentifiedImageError as error:
        raise SourceError(
            f"{path} is no {kind} that can be read.", "", "Use JPEG, PNG, WebP or TIFF."
        ) from error
    except Pil.DecompressionBombError as error:
        raise SourceError(f"{path} is too large.", "It has over 178 million pixels.") from error
    except Exception as error:
        # Pillow's decoders raise whatever a damaged file leads them to, even TypeError.
        why = str(error) or type(error).__name__
        raise SourceError(f"{path} cannot be read.", why, "The file may be damaged.") from error


def _refuse_animation(file: Pil.Image, path: Path) -> None:
    if file.format in _ANIMATED and getattr(file, "is_animated", False):
        # FFmpeg reads the others, but no animated WebP.
        first = "Convert it to GIF, APNG or MP4, then use" if file.format == "WEBP" else "Use"
        raise SourceError(f"{path} is animated.", "", f"{first} `rtstyle video` for it.")


def _page_notes(file: Pil.Image) -> tuple[str, ...]:
    # Phones put previews and depth maps behind the photo of an MPO file.
    pages = getattr(file, "n_frames", 1)
    return (
        (f"only the first of {pages} pages is painted",)
        if pages > 1 and file.format == "TIFF"
        else ()
    )


def _decode(file: Pil.Image, notes: tuple[str, ...]) -> Picture:
    profile = file.info.get("icc_profile", b"")
    exif = kept_exif(file)
    upright = _eight_bit(_turned(file))
    alpha = None
    if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        alpha = np.asarray(upright.getchannel("A"))
        # A layer that hides nothing is no alpha.
        alpha = None if bool((alpha == 255).all()) else alpha
    rgb, note = _to_srgb(upright, profile)
    pixels = np.array(rgb)
    if alpha is not None:
        hide_transparent(pixels, alpha)
    return Picture(pixels, alpha, exif, bool(profile), (*notes, *note))


def _turned(file: Pil.Image) -> Pil.Image:
    """Return the photo as its EXIF orientation says, as it is if that cannot be read.

    Pillow's own `exif_transpose` writes the other tags anew, and fails if one of them is broken.
    """
    from PIL import Image as Pil

    try:
        turn = _TURNS.get(int(file.getexif().get(_ORIENTATION, 1)))
    except Exception:
        # Broken EXIF is common, and no reason to lose the photo.
        return file
    return file if turn is None else file.transpose(Pil.Transpose[turn])


def _eight_bit(image: Pil.Image) -> Pil.Image:
    """Return deep greyscale as 8 bits; Pillow reads other deep pictures as 8 bits itself."""
    from PIL import Image as Pil

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode == "F" or int(values.min()) < 0 or int(values.max()) > 65535:
        raise ValueError("its values are not 8 or 16 bits of grey or colour")
    return Pil.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _to_srgb(image: Pil.Image, profile: bytes) -> tuple[Pil.Image, tuple[str, ...]]:
    """Return `image` as sRGB in mode RGB, and a note if its profile could not be used."""
    from PIL import ImageCms

    if image.mode not in ("RGB", "CMYK", "L", "LAB"):
        image = image.convert("RGB")
    if not profile:
        return image.convert("RGB"), ()
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, _srgb(), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        return image.convert("RGB"), (f"the colour profile was ignored: {error}",)
    return converted if converted is not None else image.convert("RGB"), ()


@lru_cache(maxsize=1)
def _srgb() -> Any:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def hide_transparent(rgb: Image, alpha: NDArray[np.uint8]) -> None:
    """Give the wholly transparent pixels of `rgb` the mean visible colour, in place.

    They often hold leftovers, which would enter the network's statistics.
    """
    hidden = alpha == 0
    if hidden.any() and not hidden.all():
        rgb[hidden] = np.rint(rgb[~hidden].mean(axis=0)).astype(np.uint8)


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


def check_quality(quality: int) -> None:
    """Raise `UsageError` unless `quality` is 1 to 100."""
    if not 1 <= quality <= 100:
        raise UsageError(f"A quality of {quality} is out of range.", "", "Use 1 to 100.")


def write_picture(picture: Picture, path: Path, quality: int = DEFAULT_QUALITY) -> tuple[str, ...]:
    """Write a photo in the format of the file's extension, by a temporary file beside it.

    `quality` is 1 to 100, for JPEG and WebP. JPEG has no alpha: it is laid over white. Returns
    notes on what was lost. Raises
    `UsageError` for an extension or a quality that does not exist, `SinkError` if writing fails;
    an existing file is then left as it was.
    """
    kind = output_format(path)
    check_quality(quality)
    image = _to_pil(picture, kind)
    options = _save_options(picture, kind, quality)
    try:
        with replacing(path) as partial:
            return _save(image, partial, kind, options)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
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
