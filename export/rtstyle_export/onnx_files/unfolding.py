"""Turns the layers of exported networks back into those that are trained, in place.

Each function takes weight and bias, if any, of every convolution by its place in the file.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rtstyle_export.networks.realtime import unfold_unshuffle, unfold_upsample
from rtstyle_export.onnx_files.canvas import unfold_pairs


def unfold(layers: dict[str, list[Tensor]], gain: float, offset: float) -> None:
    """Undo the exported form of real-time networks; `gain` and `offset` are those of its end."""
    layers["stem"] = [unfold_unshuffle(layers["stem"][0]) * 127.5]
    for name, scale, shift in (("up", 1.0, 0.0), ("out", gain, offset)):
        rows = [layers.pop(f"{name}.{phase}") for phase in (0, 1)]
        kernel, bias = unfold_upsample(*(row[0] for row in rows)), rows[0][1]
        layers[name] = [kernel / scale, (bias[: len(kernel)] - shift) / scale]


def unfold_canvas(layers: dict[str, list[Tensor]]) -> None:
    """Undo `FoldedCanvasNet`."""
    layers["stem"] = [unfold_pairs(layers["stem"][0]) * 127.5]
    canvas = unfold_pairs(layers["stem_canvas"][0]) * 127.5
    layers["stem_canvas"] = [torch.cat([canvas, layers.pop("stem_trust")[0] * 255], 1)]
    layers["known"][0] *= 255
    ups = {place.split(".rows.")[0] for place in layers if ".rows." in place}
    parts = (
        *((name, f"{name}.rows", 1.0, 0.0, 1) for name in sorted(ups)),
        ("out", "out", 127.5, 127.5, 1),
        ("gate", "gate", 1.0, 0.0, 3),
    )
    for name, place, scale, shift, copies in parts:
        rows = [layers.pop(f"{place}.{phase}") for phase in (0, 1)]
        kernel, bias = unfold_upsample(*(row[0] for row in rows)), rows[0][1]
        kept = len(kernel) // copies
        layers[name] = [kernel[:kept] / scale, (bias[:kept] - shift) / (scale if shift else 1.0)]


def unfold_any_canvas(layers: dict[str, list[Tensor]]) -> None:
    """Undo `FoldedCanvasContentNet`."""
    layers["stem"] = [unfold_pairs(layers["stem"][0]) * 127.5]
    canvas = unfold_pairs(layers["stem_canvas"][0]) * 127.5
    layers["stem_canvas"] = [torch.cat([canvas, layers.pop("stem_trust")[0] * 255], 1)]
    layers["known"] = [layers["known"][0] * 255]
    for name in ("up", "out", "gate"):
        rows = [layers.pop(f"{name}.{phase}") for phase in (0, 1)]
        kernel = unfold_upsample(*(row[0] for row in rows))
        layers[name] = [kernel, rows[0][1][: len(kernel)]]
    count = len(layers["known"][0])
    layers["up_gate"] = [part[-count:] for part in layers["up"]]
    layers["up"] = [part[:-count] for part in layers["up"]]
    # Once for each colour.
    layers["gate"] = [part[:1] for part in layers["gate"]]
