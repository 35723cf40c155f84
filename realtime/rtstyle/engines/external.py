"""Models that take weights from another file beside them: ONNX external data.

VGG-19 and its mirror are part of several of our files and lie in one each; the others name their
bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rtstyle.errors import EngineError

if TYPE_CHECKING:
    import onnx

# The key `location` of a tensor's external data, as protobuf writes it: no other models need ONNX.
_MARK = b"\x0a\x08location"


def embedded(model: bytes, folder: Path) -> bytes:
    """Return the ONNX model with all its weights inside, taking those it lacks from `folder`.

    Raises `EngineError` if they are not there.
    """
    if _MARK not in model:
        return model
    import onnx

    proto = onnx.load_from_string(model)
    donors: dict[str, bytes] = {}
    for tensor in proto.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _embed(tensor, folder, donors)
    whole: bytes = proto.SerializeToString()
    return whole


def _embed(tensor: onnx.TensorProto, folder: Path, donors: dict[str, bytes]) -> None:
    place = {entry.key: entry.value for entry in tensor.external_data}
    name, offset = place.get("location", ""), int(place.get("offset", 0))
    # A model must not reach out of its own folder.
    if not name or Path(name).name != name:
        raise EngineError(f"The model takes weights from {name!r}, which is no plain file name.")
    if name not in donors:
        try:
            donors[name] = (folder / name).read_bytes()
        except OSError as error:
            raise EngineError(
                f"The model lacks {folder / name}, which holds some of its weights.",
                str(error.strerror),
                "Keep both files in one folder.",
            ) from error
    end = offset + int(place["length"]) if "length" in place else len(donors[name])
    if end > len(donors[name]):
        raise EngineError(
            f"The model file {folder / name} is too short.", "", "Download or export it again."
        )
    tensor.raw_data = donors[name][offset:end]
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
