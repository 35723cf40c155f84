"""Building blocks that several networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConditionalInstanceNorm2d(nn.Module):
    """Instance normalisation with one scale and shift per style.

    Dumoulin, Shlens and Kudlur 2017, "A Learned Representation For Artistic Style", section 2.2.
    With one style this is plain affine instance normalisation (Ulyanov et al. 2016).
    """

    def __init__(self, channels: int, styles: int = 1, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(styles, channels))
        self.bias = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Normalise (N, C, H, W) by each picture's own statistics; `style` is (N,) int64."""
        # Only without gradients: PyTorch 2.13 gets those of one channels_last picture wrong.
        if self.weight.shape[0] == 1 and not self.training:
            return F.instance_norm(x, weight=self.weight[0], bias=self.bias[0], eps=self.eps)
        # Statistics in fp32: a bright flat frame overflows half precision.
        var, mean = torch.var_mean(x.float(), dim=(2, 3), keepdim=True, correction=0)
        scale = self.weight.index_select(0, style)[:, :, None, None] * torch.rsqrt(var + self.eps)
        shift = self.bias.index_select(0, style)[:, :, None, None] - mean * scale
        return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))


class ConditionalConv2d(nn.Module):
    """A stride-1 convolution, by default zero padded to keep the size, with a kernel per style."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        styles: int = 1,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.padding = kernel // 2 if padding is None else padding
        self.in_turn = False
        """Whether batches hold the same number of pictures of each style, sorted by style."""
        reference = nn.Conv2d(in_channels, out_channels, kernel)
        # Three dimensions: as a stack of kernels it could not be moved to channels_last.
        self.weight = nn.Parameter(reference.weight.detach().flatten(1).repeat(styles, 1, 1))
        assert reference.bias is not None
        self.bias = nn.Parameter(reference.bias.detach().repeat(styles, 1))

    def kernels(self, style: Tensor | int) -> Tensor:
        """Kernels of one style, or of (N,) styles one after the other: (N O, I, k, k)."""
        chosen = self.weight[style]
        return chosen.reshape(-1, chosen.shape[-1] // self.kernel**2, self.kernel, self.kernel)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, out_channels, H, W) if padded; `style` is (N,) int64."""
        pad = self.padding
        if self.weight.shape[0] == 1:
            return F.conv2d(x, self.kernels(0), self.bias[0], padding=pad)
        if self.in_turn:
            # A few plain convolutions: on GPUs many small groups are slow.
            parts = x.chunk(self.weight.shape[0])
            done = [
                F.conv2d(part, self.kernels(k), self.bias[k], padding=pad)
                for k, part in enumerate(parts)
            ]
            return torch.cat(done)
        # One group per picture applies each picture's own kernel in a single call.
        n, c, h, w = x.shape
        weight = self.kernels(style)
        out = F.conv2d(
            x.reshape(1, n * c, h, w), weight, self.bias[style].flatten(), padding=pad, groups=n
        )
        return out.reshape(n, -1, *out.shape[-2:])


def select_style(module: nn.Module, index: int) -> None:
    """Keep only style `index` of every conditional layer inside `module`, in place."""
    for layer in module.modules():
        if isinstance(layer, ConditionalInstanceNorm2d | ConditionalConv2d):
            layer.weight = nn.Parameter(layer.weight.detach()[index : index + 1].clone())
            layer.bias = nn.Parameter(layer.bias.detach()[index : index + 1].clone())


def style_keys(module: nn.Module) -> set[str]:
    """Return the names of those parameters inside `module` that have one entry a style."""
    return {
        f"{name}.{kind}"
        for name, layer in module.named_modules()
        if isinstance(layer, ConditionalInstanceNorm2d | ConditionalConv2d)
        for kind in ("weight", "bias")
    }


def upsample_nearest(x: Tensor) -> Tensor:
    """Double the height and width of (N, C, H, W) by repetition."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
