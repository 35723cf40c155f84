"""Fast 3x3 convolutions on the CPU for frozen networks, by Winograd's F(4x4, 3x3).

A 4x4 block of outputs takes 36 multiplications per channel pair instead of 144
(A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016). The loss
network of style transfer is frozen, so its weights are transformed once and kept.

The arithmetic is in ``winograd.cpp``, which is compiled on first use for this very processor
and kept in the user's cache directory. Where that is impossible (no compiler, no AVX2, not
float32 on the CPU) everything here still works, by ``torch.nn.functional.conv2d``.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from rtstyle_export.maths.winograd_build import _native, available, unavailable_reason

__all__ = [
    "WinogradConv3x3",
    "accelerate",
    "available",
    "conv3x3",
    "pack_weights",
    "unavailable_reason",
]


PANEL = 16
"""Output channels of one packed weight panel; channel counts must be multiples of it."""

MIN_TILES = 8
"""Below this many 4x4 tiles, reading the larger transformed weights costs more than it saves."""


# G of Lavin & Gray, section 4.3: the weight transform of F(4, 3).
_WEIGHT_TRANSFORM = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)


# Not typed in every version of PyTorch.
_jit: Any = torch.jit


def pack_weights(weight: Tensor) -> Tensor:
    """Transform 3x3 weights for :func:`conv3x3` (Lavin & Gray 2016, U = G g G^T).

    Args:
        weight: [cout, cin, 3, 3], any real dtype; cout a multiple of 16.

    Returns:
        [36, cout / 16, cin, 16], float32, computed in float64.

    Raises:
        ValueError: for another shape.
    """
    if weight.dim() != 4 or weight.shape[2:] != (3, 3) or weight.shape[0] % PANEL:
        raise ValueError(
            f"weight must be [a multiple of {PANEL}, cin, 3, 3], not {list(weight.shape)}"
        )
    cout, cin = weight.shape[:2]
    g = torch.tensor(_WEIGHT_TRANSFORM, dtype=torch.float64)
    exact = weight.detach().to(device="cpu", dtype=torch.float64)
    # One matrix product with G (x) G, rounded early: 512x512 channels would take 75 MB in float64.
    points = (exact.reshape(cout * cin, 9) @ torch.kron(g, g).T).float()
    return points.reshape(cout // PANEL, PANEL, cin, 36).permute(3, 0, 2, 1).contiguous()


def conv3x3(
    x: Tensor,
    packed: Tensor,
    bias: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Convolve with 3x3 weights, stride 1 and zero padding 1, by the native code. No autograd.

    Args:
        x: [n, cin, h, w], float32 on the CPU; cin a multiple of 8. Any strides, but channels
            last avoids a copy.
        packed: [36, cout / 16, cin, 16], float32, from :func:`pack_weights`.
        bias: [cout], float32, or None.
        mask: like x, or None. x counts as 0 where mask <= 0: with the output of a ReLU as mask
            and its gradient as x, this is the backward pass of the ReLU.
        relu: clamp the result at 0.

    Returns:
        [n, cout, h, w], float32, channels last.

    Raises:
        ValueError: for other shapes, dtypes or devices.
        RuntimeError: when the native code is not available.
        MemoryError: when there is no memory for the transformed tiles.
    """
    reason = unavailable_reason()
    if reason:
        raise RuntimeError(f"no native Winograd convolution: {reason}")
    if x.dim() != 4 or packed.dim() != 4 or not x.numel():
        raise ValueError(f"bad shapes: x {list(x.shape)}, packed {list(packed.shape)}")
    n, cin, h, w = x.shape
    cout = packed.shape[1] * PANEL
    if cin % 8 or packed.shape != (36, cout // PANEL, cin, PANEL) or not packed.is_contiguous():
        raise ValueError(f"packed weights {list(packed.shape)} do not fit x {list(x.shape)}")
    if bias is not None and bias.shape != (cout,):
        raise ValueError(f"bias must be [{cout}], not {list(bias.shape)}")
    if mask is not None and mask.shape != x.shape:
        raise ValueError(f"mask must be {list(x.shape)}, not {list(mask.shape)}")
    for tensor in (x, packed, bias, mask):
        if tensor is not None and (tensor.dtype != torch.float32 or tensor.device.type != "cpu"):
            raise ValueError(f"need float32 on the CPU, not {tensor.dtype} on {tensor.device}")

    x = x.contiguous(memory_format=torch.channels_last)
    if mask is not None:
        mask = mask.contiguous(memory_format=torch.channels_last)
    if bias is not None:
        bias = bias.contiguous()
    y = torch.empty((n, cout, h, w), dtype=torch.float32, memory_format=torch.channels_last)
    status: int = _native()[0](
        x.data_ptr(),
        None if mask is None else mask.data_ptr(),
        packed.data_ptr(),
        None if bias is None else bias.data_ptr(),
        y.data_ptr(),
        *(n, h, w, cin, cout),
        int(relu),
        torch.get_num_threads(),
        *(0, -1),  # let the native code choose how to block
    )
    if status == 2:
        raise MemoryError("no memory for the transformed tiles of a Winograd convolution")
    if status:
        raise ValueError(f"the native code refused x {list(x.shape)} with {cout} outputs")
    return y


class _Convolve(torch.autograd.Function):
    """conv3x3 of a frozen layer, differentiable once with respect to x."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, layer: WinogradConv3x3) -> Tensor:
        y = conv3x3(x.detach(), layer.packed_forward(), layer.bias, relu=layer.relu)
        ctx.layer = layer  # type: ignore[attr-defined]
        if layer.relu:
            ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        mask = ctx.saved_tensors[0] if ctx.layer.relu else None
        return conv3x3(grad, ctx.layer.packed_backward(), mask=mask), None


def _eligible(conv: nn.Module) -> bool:
    """Say whether a module is a frozen convolution that WinogradConv3x3 can stand for."""
    return (
        isinstance(conv, nn.Conv2d)
        and conv.kernel_size == (3, 3)
        and conv.stride == (1, 1)
        and conv.padding == (1, 1)
        and conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and not any(p.requires_grad for p in conv.parameters())
    )


_convolve: Any = _Convolve.apply


class WinogradConv3x3(nn.Module):
    """A frozen 3x3 convolution, with its bias and optionally a ReLU, faster on the CPU.

    Maps [n, cin, h, w] to [n, cout, h, w]. Gradients flow to the input only, and once. Calls
    that the native code does not serve (another dtype or device, autocast, tracing, channel
    counts that are not multiples of 16, very small images) are computed by ``F.conv2d``.

    The transformed weights are 4 times the size of the weights, once for each direction used;
    they are made on first use and are not in the state dict, and neither are the weights.

    Attributes:
        weight: [cout, cin, 3, 3], buffer. Changing its values after the first call has no effect.
        bias: [cout], buffer, or None.
        relu: whether the output is clamped at 0.
        min_tiles: the least number of 4x4 output tiles for which the native code is used.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, relu: bool = False) -> None:
        """Take over the weights of `conv`, without copying them.

        Raises:
            ValueError: unless `conv` is 3x3 with stride 1, zero padding 1 and no groups, and
                none of its parameters requires a gradient.
        """
        super().__init__()
        if not _eligible(conv):
            raise ValueError(f"not a frozen 3x3 convolution with stride 1 and padding 1: {conv}")
        self.register_buffer("weight", conv.weight.detach(), persistent=False)
        bias = None if conv.bias is None else conv.bias.detach()
        self.register_buffer("bias", bias, persistent=False)
        self.relu = relu
        self.min_tiles = MIN_TILES
        self._forward: Tensor | None = None
        self._backward: Tensor | None = None

    def packed_forward(self) -> Tensor:
        """Return the weights packed for the forward pass: [36, cout / 16, cin, 16], float32."""
        if self._forward is None:
            self._forward = pack_weights(self.weight)
        return self._forward

    def packed_backward(self) -> Tensor:
        """Return the weights packed for the gradient of x: [36, cin / 16, cout, 16], float32."""
        if self._backward is None:
            # The adjoint of a correlation: kernels turned by 180 degrees, in and out swapped.
            self._backward = pack_weights(self.weight.flip(2, 3).transpose(0, 1))
        return self._backward

    def serves(self, x: Tensor) -> bool:
        """Say whether the native code would be used for x, [n, cin, h, w]."""
        cout, cin = self.weight.shape[:2]
        if x.dim() != 4 or x.shape[1] != cin or cin % PANEL or cout % PANEL:
            return False
        tiles = x.shape[0] * -(-x.shape[2] // 4) * -(-x.shape[3] // 4)
        return (
            tiles >= max(self.min_tiles, 1)
            and all(t.dtype == torch.float32 for t in (x, self.weight))
            and all(t.device.type == "cpu" for t in (x, self.weight))
            and not torch.is_autocast_enabled("cpu")
            and not _jit.is_tracing()
            and not torch.compiler.is_compiling()
            and available()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x, [n, cin, h, w]; the result is float32 and channels last when native."""
        if self.serves(x):
            result: Tensor = _convolve(x, self)
            return result
        y = F.conv2d(x, self.weight, self.bias, padding=1)
        return F.relu(y) if self.relu else y

    def extra_repr(self) -> str:
        """Describe the layer as ``print`` shows it."""
        cout, cin = self.weight.shape[:2]
        return f"{cin}, {cout}, relu={self.relu}"


def accelerate(module: nn.Module) -> nn.Module:
    """Return a copy of a sequential network with its frozen 3x3 convolutions made faster.

    Names and indexes stay valid: a Conv2d followed by a ReLU becomes a WinogradConv3x3 with
    ReLU followed by an Identity, so the activation *after* the ReLU is found where it was. (At
    the index of the Conv2d it is now the same activation, no longer the one before the ReLU.)
    Other modules are shared with the original, which is left as it is.

    Args:
        module: an ``nn.Sequential``. Convolutions that cannot be replaced are kept: those with
            gradients, other sizes, or channel counts that are not multiples of 16.

    Raises:
        TypeError: for another kind of module.
    """
    if not isinstance(module, nn.Sequential):
        raise TypeError(f"accelerate takes an nn.Sequential, not {type(module).__name__}")
    children = list(module.named_children())
    made: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (name, child) in enumerate(children):
        if name in made:
            continue  # a ReLU that its convolution has taken over
        if (
            not isinstance(child, nn.Conv2d)
            or not _eligible(child)
            or child.in_channels % PANEL
            or child.out_channels % PANEL
        ):
            made[name] = child
            continue
        after = children[index + 1] if index + 1 < len(children) else None
        fused = after is not None and isinstance(after[1], nn.ReLU)
        made[name] = WinogradConv3x3(child, relu=fused)
        if after is not None and fused:
            made[after[0]] = nn.Identity()
    result = nn.Sequential(made)
    result.train(module.training)
    return result
