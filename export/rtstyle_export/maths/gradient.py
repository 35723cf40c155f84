"""The gradient of a function as a network of forward operators only, which ONNX can hold.

PyTorch's backward operators have no counterpart in ONNX. `with_gradient` records what autograd
does and writes each of them by operators that have one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F


def with_gradient(
    function: Callable[..., tuple[Tensor, ...]], example: tuple[Tensor, ...]
) -> nn.Module:
    """Return a module that gives what `function` gives, and the gradient of its first result.

    `function` maps tensors to scalars; the gradient is that with respect to the first of them. The
    shapes of `example` are fixed in the module. Raises `KeyError` for an operator whose backward
    is not written below, or not in this form.
    """

    def both(first: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        first = first.detach().requires_grad_(True)
        found = function(first, *rest)
        return *(value.detach() for value in found), *torch.autograd.grad(found[0], first)

    made = make_fx(both, decomposition_table=_TABLE)(*example)
    left = {node.name for node in made.graph.nodes if "backward" in str(node.target)}
    if left:
        raise KeyError(f"There is no forward form of {', '.join(sorted(left))}.")
    for node in made.graph.nodes:
        if node.target is _aten._to_copy.default:
            # The exporter knows casts by this name only.
            node.op, node.target, node.args = (
                "call_method",
                "to",
                (*node.args, *node.kwargs.values()),
            )
            node.kwargs = {}
    made.recompile()
    return cast(nn.Module, made).eval()


def _convolution(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    _bias_sizes: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Sequence[int],
    groups: int,
    _wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    if transposed:
        raise KeyError("There is no forward form of transposed convolutions.")
    # What the strides skipped at the far edges comes back as output padding.
    reached = [
        (gradient.shape[2 + i] - 1) * stride[i]
        - 2 * padding[i]
        + dilation[i] * (weight.shape[2 + i] - 1)
        + 1
        for i in (0, 1)
    ]
    rest = [x.shape[2 + i] - reached[i] for i in (0, 1)]
    back = F.conv_transpose2d(
        gradient,
        weight,
        None,
        cast(Any, stride),
        cast(Any, padding),
        cast(Any, rest),
        groups,
        cast(Any, dilation),
    )
    return back, None, None


def _max_pool(gradient: Tensor, x: Tensor, kernel: Sequence[int], *_: Any) -> Tensor:
    """Of pooling by 2, which ignores an odd last row; equal maxima share the gradient."""
    if list(kernel) != [2, 2]:
        raise KeyError(f"There is no forward form of max_pool2d by {kernel}.")
    height, width = (2 * size for size in gradient.shape[-2:])
    largest = x[..., :height, :width] == _upsampled(F.max_pool2d(x, 2))
    share = torch.where(largest, 1.0, 0.0)
    found = share * _upsampled(gradient / (4 * F.avg_pool2d(share, 2)))
    return F.pad(found, (0, x.shape[-1] - width, 0, x.shape[-2] - height))


def _reflection(gradient: Tensor, x: Tensor, padding: Sequence[int]) -> Tensor:
    """What was mirrored outwards comes back beside the edge."""
    left, right, top, bottom = padding
    return _unfold(_unfold(gradient, -2, top, bottom, x.shape[-2]), -1, left, right, x.shape[-1])


def _unfold(gradient: Tensor, dim: int, before: int, after: int, size: int) -> Tensor:
    found = gradient.narrow(dim, before, size)
    if before:
        mirrored = gradient.narrow(dim, 0, before).flip(dim)
        found = found + _placed(mirrored, dim, 1, size)
    if after:
        mirrored = gradient.narrow(dim, before + size, after).flip(dim)
        found = found + _placed(mirrored, dim, size - 1 - after, size)
    return found


def _placed(x: Tensor, dim: int, start: int, size: int) -> Tensor:
    """Put `x` at `start` into zeros that are `size` long in dimension `dim`."""
    later = (-1 - dim) % x.dim()
    return F.pad(x, (*[0] * (2 * later), start, size - start - x.shape[dim]))


def _relu(gradient: Tensor, x: Tensor, threshold: float) -> Tensor:
    return torch.where(x > threshold, gradient, gradient.new_zeros(()))


def _upsampled(x: Tensor, *_: Any) -> Tensor:
    n, c, h, w = x.shape
    repeated = x.reshape(n, c, h, 1, w, 1).expand(n, c, h, 2, w, 2)
    return repeated.reshape(n, c, 2 * h, 2 * w)


def _upsampling(gradient: Tensor, _out: Any, size: Sequence[int], *_: Any) -> Tensor:
    n, c, h, w = size
    return gradient.reshape(n, c, h, 2, w, 2).sum(dim=(3, 5))


def _slice(
    gradient: Tensor, sizes: Sequence[int], dim: int, start: int, _end: int, step: int
) -> Tensor:
    if step != 1:
        raise KeyError(f"There is no forward form of slices with the step {step}.")
    start = start + sizes[dim] if start < 0 else start
    return _placed(gradient, dim, start, sizes[dim])


def _view(x: Tensor, shape: Sequence[int]) -> Tensor:
    return x.reshape(list(shape))


_aten = torch.ops.aten
_TABLE: dict[Any, Callable[..., Any]] = {
    _aten.convolution_backward.default: _convolution,
    _aten.max_pool2d_with_indices_backward.default: _max_pool,
    _aten.reflection_pad2d_backward.default: _reflection,
    _aten.threshold_backward.default: _relu,
    _aten.upsample_nearest2d_backward.default: _upsampling,
    _aten.upsample_nearest2d.default: _upsampled,
    _aten.upsample_nearest2d.vec: _upsampled,
    _aten.slice_backward.default: _slice,
    _aten._unsafe_view.default: _view,
}
