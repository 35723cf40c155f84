"""Models that take weights from another file beside them: ONNX external data.

VGG-19 and its mirror are part of several of our files and lie in one each; the others name their
bytes. A model may be anybody's, so no engine is given one that still names a file: each reads such
files itself, by its own rules, from wherever the model says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from rtstyle.errors import EngineError, reason

if TYPE_CHECKING:
    import onnx

# Text stands in a protobuf file as it is, however its lengths are written, so a model without
# these words names no file, and takes no ONNX to look at: the key of a tensor's external data, and
# the operator that loads what a device compiled before.
_MARKS = (b"location", b"EPContext")

LARGEST = 2**31 - 1
"""Bytes that a model may have with all its weights: protobuf, and so ONNX, holds no more."""


def embedded(model: bytes, path: Path) -> bytes:
    """Return the ONNX model of the file `path` with all its weights inside.

    Raises `EngineError` if they are not in regular files of the model's own folder.
    """
    if not any(mark in model for mark in _MARKS):
        return model
    proto = _parsed(model)
    left = LARGEST
    for tensor in _external(proto):
        left -= _embed(tensor, path, left)
    _refuse_compiled(proto)
    # What this version of ONNX does not know cannot be looked at, and an engine may know it.
    proto.DiscardUnknownFields()
    whole: bytes = proto.SerializeToString()
    return whole


def check_whole(model: bytes) -> None:
    """Raise `EngineError` if an engine that loads `model` would read another file."""
    if not any(mark in model for mark in _MARKS):
        return
    proto = _parsed(model)
    if next(_external(proto), None) is not None:
        raise EngineError(
            "The model takes weights from another file.",
            "It was given without its folder.",
            "Give the file's name, and keep both in one folder.",
        )
    _refuse_compiled(proto)


def _parsed(model: bytes) -> onnx.ModelProto:
    import onnx

    try:
        return onnx.load_from_string(model)
    except Exception as error:
        raise EngineError(
            "The model file cannot be loaded.",
            str(error).partition("\n")[0][:200],
            "Download or export it again.",
        ) from error


def _messages(message: Any) -> Iterator[Any]:
    """Yield a protobuf message and all within: those of attributes, subgraphs and functions too."""
    import onnx

    yield message
    if isinstance(message, onnx.TensorProto):
        return  # Its fields would be copied, and they hold the weights.
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in (value,) if hasattr(value, "ListFields") else value:
                yield from _messages(child)


def _external(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor, wherever it stands, that is or says to be in another file."""
    import onnx

    for message in _messages(model):
        if isinstance(message, onnx.TensorProto) and (
            message.data_location == onnx.TensorProto.EXTERNAL or message.external_data
        ):
            yield message


def _refuse_compiled(model: onnx.ModelProto) -> None:
    import onnx

    for message in _messages(model):
        if isinstance(message, onnx.NodeProto) and message.op_type == "EPContext":
            raise EngineError(
                "The model loads what was compiled for one device from another file.",
                "It has an operator EPContext.",
                "Export it as plain ONNX.",
            )


def _embed(tensor: onnx.TensorProto, path: Path, most: int) -> int:
    """Put the bytes that `tensor` names into it; return how many. They may be `most`."""
    place = {entry.key: entry.value for entry in tensor.external_data}
    donor = _donor(place.get("location", ""), path)
    try:
        size = donor.stat().st_size
        offset = int(place.get("offset") or 0)
        length = int(place["length"]) if place.get("length") else size - offset
        if offset < 0 or length < 0 or offset + length > size:
            raise EngineError(
                f"The model file {donor} is too short.", "", "Download or export it again."
            )
        if length > most:
            raise EngineError(
                "The model is too large.", f"It may have {LARGEST >> 20} MiB with all its weights."
            )
        with donor.open("rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
    except OSError as error:
        raise _lacking(donor, reason(error)) from error
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    return length


def _donor(name: str, path: Path) -> Path:
    """Return the file `name` beside the model `path`, on no system another one."""
    plain = PurePosixPath(name).name == name == PureWindowsPath(name).name
    if not name or not plain or name == ".." or "\0" in name:
        raise EngineError(f"The model takes weights from {name!r}, which is not a plain file name.")
    donor = path.parent / name
    try:
        real = donor.resolve(strict=True)
        # A download may keep its files elsewhere, all in one folder, behind links.
        folders = (path.parent.resolve(), path.resolve().parent)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "Its link leads back to itself."
        raise _lacking(donor, why) from error
    if real.parent not in folders:
        raise EngineError(
            f"The model takes weights from {donor}, which is a link out of its folder.",
            "",
            "Put the file itself there.",
        )
    if not real.is_file():  # A pipe or a device may never end.
        raise _lacking(donor, "It is not a regular file.")
    return real


def _lacking(donor: Path, why: str) -> EngineError:
    return EngineError(
        f"The model lacks {donor}, which holds some of its weights.",
        why,
        "Keep both files in one folder.",
    )
