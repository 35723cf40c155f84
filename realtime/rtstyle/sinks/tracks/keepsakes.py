"""What a source holds beside picture, sound and text: tags, time code, attached files, data.

Kept where the container can; what cannot be is told in a note. Where a video was taken is private:
it is kept only if that is asked for.
"""

from __future__ import annotations

import io
import re
from fractions import Fraction
from typing import Any

import av
import av.error
from av.stream import Disposition

PRIVATE_METADATA = frozenset(
    ("encoder", "major_brand", "minor_version", "compatible_brands", "duration")
)
PLACE = re.compile(r"location|iso6709|gps|latitude|longitude|\bgeo|\bxyz\b", re.IGNORECASE)
"""Tags that say where a video was taken."""
APPLE = "com.apple.quicktime."
PLACE_LOST = "the place where it was taken is left out; --keep-location keeps it"
SAME_IN_MP4 = {
    "creationdate": "date",
    "location.iso6709": "location",
    "title": "title",
    "description": "description",
    "keywords": "keywords",
    "artist": "artist",
    "author": "artist",
    "album": "album",
    "comment": "comment",
    "copyright": "copyright",
}
"""Apple's tags that MP4 has under names of its own, in small letters and less `APPLE`."""
KEPT_ATTACHMENTS = ("matroska",)
TIME_CODE = re.compile(r"(\d{1,2}):(\d\d):(\d\d)([:;.])(\d\d)")


def needs_keys(metadata: dict[str, str], kind: str) -> bool:
    """Return True if tags can only be kept as QuickTime's keys (`use_metadata_tags`)."""
    return kind == "mov" and any(map(is_key, metadata))


def is_key(name: str) -> bool:
    """Return True for a tag of QuickTime's kind, a domain name backwards."""
    return name.lower().startswith("com.")


def name_in_mp4(name: str) -> str | None:
    """Return what MP4 calls a tag that QuickTime calls `name`, None if it has none."""
    return SAME_IN_MP4.get(name.lower().removeprefix(APPLE)) if is_key(name) else name


def kept_tags(metadata: dict[str, str], kind: str, keep_location: bool) -> dict[str, str]:
    """Return the tags that go into a container of a `kind`, by their names there."""
    kept = {k: v for k, v in metadata.items() if k.lower() not in PRIVATE_METADATA}
    if not keep_location:
        kept = {k: v for k, v in kept.items() if not PLACE.search(k)}
    if kind != "mp4":
        return kept
    # What has its name already comes first.
    ordered = sorted(kept, key=is_key)
    named: dict[str, str] = {}
    for key in ordered:
        name = name_in_mp4(key)
        if name is not None:
            named.setdefault(name, kept[key])
    return named


def tag_notes(metadata: dict[str, str], kind: str, keep_location: bool) -> list[str]:
    """Return what is said about the tags that are lost."""
    notes = []
    if not keep_location and any(map(PLACE.search, metadata)):
        notes.append(PLACE_LOST)
    if kind == "mp4":
        kept = kept_tags(metadata, "mov", keep_location)
        lost = [key.lower().removeprefix(APPLE) for key in kept if name_in_mp4(key) is None]
        if lost:
            notes.append(f"tags left out: {', '.join(lost)} (.mov and .mkv keep them)")
    return notes


def attach(output: Any, kind: str, streams: list[Any]) -> list[str]:
    """Attach the files of the source, such as fonts, and return what is said of those lost."""
    lost = []
    for stream in streams:
        data = stream.data
        if kind in KEPT_ATTACHMENTS and data:
            mimetype = stream.mimetype or "application/octet-stream"
            output.add_attachment(stream.name or f"attachment-{stream.index}", mimetype, data)
        else:
            lost.append(stream.name or f"stream {stream.index}")
    if not lost:
        return []
    return [f"attached files left out: {', '.join(lost)} (only .mkv can hold them)"]


def holds_data(stream: Any, kind: str) -> bool:
    """Return True if a container of this kind takes a stream of data, found out by a trial."""
    try:
        with av.open(io.BytesIO(), "w", format=kind) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError, RuntimeError):
        return False
    return True


def is_cover(stream: Any) -> bool:
    """Return True for the picture of a cover, which is not a video."""
    return bool(stream.disposition & Disposition.attached_pic)


def time_code_of(container: Any, stream: Any) -> str | None:
    """Return the time code of the first picture, as the file tells it."""
    for tags in (stream.metadata, container.metadata, *(s.metadata for s in container.streams)):
        for key, value in tags.items():
            if key.lower() == "timecode":
                return str(value)
    return None


def later(code: str, seconds: Fraction, rate: Fraction) -> str | None:
    """Return a time code `seconds` on at `rate` frames a second, None if it is none.

    Drop-frame codes, written with `;` or `.`, leave out two numbers (four at 60) in every minute
    but each tenth (SMPTE ST 12-1, section 5.2).
    """
    found = TIME_CODE.fullmatch(code.strip())
    if not found or rate <= 0:
        return None
    if not seconds:
        return code.strip()
    hours, minutes, secs, frames = (int(found[i]) for i in (1, 2, 3, 5))
    whole = max(1, round(rate))
    drop = round(whole / 15) if found[4] in ";." and whole % 30 == 0 else 0
    total_minutes = 60 * hours + minutes
    number = (60 * total_minutes + secs) * whole + frames
    number -= drop * (total_minutes - total_minutes // 10)
    number += round(seconds * rate)
    ten = 600 * whole - 9 * drop
    tens, rest = divmod(number, ten)
    number += 9 * drop * tens
    if drop and rest >= drop:
        number += drop * ((rest - drop) // (60 * whole - drop))
    frames, left = number % whole, number // whole
    hours, minutes, secs = left // 3600 % 24, left // 60 % 60, left % 60
    return f"{hours:02}:{minutes:02}:{secs:02}{found[4]}{frames:02}"
