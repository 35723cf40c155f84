"""Gradients as forward operators, against autograd."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from rtstyle_export.maths.gradient import with_gradient  # noqa: E402
from rtstyle_export.networks.layers import upsample_nearest  # noqa: E402

GENERATOR = torch.Generator().manual_seed(0)
KERNELS = torch.randn(4, 3, 3, 3, generator=GENERATOR)


def picture(height: int, width: int) -> torch.Tensor:
    return torch.randn(1, 3, height, width, generator=GENERATOR)


FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "convolution": lambda x: F.conv2d(x, KERNELS),
    "strided": lambda x: F.conv2d(x, KERNELS, stride=2),
    "padded": lambda x: F.conv2d(x, KERNELS, padding=1, dilation=2),
    "max pooling": lambda x: F.max_pool2d(x, 2),
    "reflection": lambda x: F.pad(x, (1, 2, 3, 1), "reflect"),
    "relu": F.relu,
    "upsampling": upsample_nearest,
    "cropping": lambda x: x[:, :, 1:-2, -4:],
    "norm": lambda x: (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True),
}


@pytest.mark.parametrize("size", [(8, 8), (9, 12)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_is_that_of_autograd(name: str, size: tuple[int, int]) -> None:
    function = FUNCTIONS[name]

    def objective(x: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = (function(x) * scale).pow(3).sum()
        return total, total * 2

    given = (picture(*size), torch.rand(1, generator=GENERATOR) + 0.5)
    made = with_gradient(objective, given)
    targets = {str(node.target) for node in made.graph.nodes}  # type: ignore[union-attr]
    assert not any("backward" in target for target in targets)
    # Other values than those it was recorded with.
    other = (picture(*size), torch.rand(1, generator=GENERATOR) + 0.5)
    x = other[0].clone().requires_grad_(True)
    total, twice = objective(x, other[1])
    total.backward()
    found = made(*other)
    assert torch.allclose(found[0], total)
    assert torch.allclose(found[1], twice)
    assert x.grad is not None
    assert torch.allclose(found[2], x.grad, rtol=1e-4, atol=1e-4)


def test_equal_maxima_share_the_gradient() -> None:
    made = with_gradient(lambda x: (F.max_pool2d(x, 2).sum(),), (torch.rand(1, 1, 4, 4),))
    _, gradient = made(torch.ones(1, 1, 4, 4))
    assert torch.allclose(gradient, torch.full((1, 1, 4, 4), 0.25))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("avg_pool2d", lambda x: F.avg_pool2d(x, 2)),
        ("max_pool2d", lambda x: F.max_pool2d(x, 3)),
        ("step", lambda x: x[:, :, ::2]),
        ("transposed", lambda x: F.conv_transpose2d(x, KERNELS[:1, :1])),
    ],
)
def test_what_has_no_forward_form_is_told(
    name: str, function: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    with pytest.raises(KeyError, match=name):
        with_gradient(lambda x: (function(x).sum(),), (torch.rand(1, 1, 6, 6),))
