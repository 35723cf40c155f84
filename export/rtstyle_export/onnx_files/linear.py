"""Networks with linear transforms (Li et al. 2018) in the forms that are exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtstyle_export.networks.encoder import Encoder
from rtstyle_export.networks.linear import FAST_LAYER, FastLinear, LinearPair, PaperLinear
from rtstyle_export.onnx_files.adain import AXES, FoldedContentNet, encoder_hash, to_picture
from rtstyle_export.onnx_files.ranges import add_ranges, measure_ranges
from rtstyle_export.onnx_files.storage import store_small, write_model
from rtstyle_export.onnx_files.writer import VGG_CREDIT, from_picture, label, trace


class LinearStyleNet(nn.Module):
    """A painting to its numbers: (N, H, W, 3) uint8 RGB, sides from 32, to (N, M) float32.

    Of `fast` these are T_s alone.
    """

    def __init__(self, encoder: Encoder, pair: LinearPair) -> None:
        super().__init__()
        self.encoder, self.pair = encoder, pair

    def forward(self, painting: Tensor) -> tuple[Tensor, ...]:
        """Return the numbers, as the one of a tuple."""
        x = from_picture(painting)
        features = self.encoder(x)
        if isinstance(self.pair.net, FastLinear):
            return (self.pair.net.transform.of_painting(features[FAST_LAYER]),)
        return (self.pair.vector(x, features),)


class LinearContentNet(nn.Module):
    """Paints (N, H, W, 3) uint8 with `statistics` (N or 1, M) and `strength` (N or 1,) float32."""

    def __init__(self, net: PaperLinear | FastLinear) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Return the painted picture, uint8."""
        return to_picture(self.net(from_picture(image), statistics, strength))


def content_form(net: PaperLinear | FastLinear) -> nn.Module:
    """Return the network as it is exported: that of `fast` in its cheapest form."""
    form = FoldedContentNet(net) if isinstance(net, FastLinear) else LinearContentNet(net)
    return form.eval()


def write_linear(
    part: str,
    net: nn.Module,
    path: Path,
    *,
    size: str,
    numbers: int,
    training: dict[str, Any],
    feeds: Sequence[Mapping[str, NDArray[Any]]] = (),
) -> str:
    """Write `style` or `content` as ONNX to `path`; return the SHA-256 of the file.

    `numbers` is the length M of the statistics. With `feeds`, the file can run in int8, too.
    """
    picture = torch.arange(64 * 64 * 3).view(1, 64, 64, 3).to(torch.uint8)
    if isinstance(net, LinearStyleNet):
        example: tuple[Tensor, ...] = (picture,)
        names, outputs = ["painting"], ["statistics"]
    else:
        example = (picture, torch.zeros(1, numbers), torch.ones(1))
        names, outputs = ["image", "statistics", "strength"], ["stylized"]
    model = trace(net, example, names, outputs, AXES)
    store_small(model)
    label(
        model, f"Linear transform, size {size}: {part}.", training, name="any", part=part,
        size=size, credit=VGG_CREDIT,
        encoder=encoder_hash(net.encoder) if isinstance(net, LinearStyleNet) else "",
    )  # fmt: skip
    add_ranges(model, measure_ranges(model, feeds))
    return write_model(model, path)
