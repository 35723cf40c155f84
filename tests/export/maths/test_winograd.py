"""Tests of the native Winograd convolution against PyTorch's in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtstyle_export.maths import winograd_build
from rtstyle_export.maths.winograd import WinogradConv3x3, accelerate, conv3x3, pack_weights

TOLERANCE = 1e-4

native = pytest.mark.skipif(
    not winograd_build.available(), reason=f"no native code: {winograd_build.unavailable_reason()}"
)


def _conv(cin: int, cout: int, *, bias: bool = True, seed: int = 0) -> nn.Conv2d:
    torch.manual_seed(seed)
    return nn.Conv2d(cin, cout, 3, padding=1, bias=bias).requires_grad_(False)


def _error(got: Tensor, want: Tensor) -> float:
    got, want = got.detach().double(), want.detach().double()
    return float((got - want).abs().max() / want.abs().max())


def _exact(conv: nn.Conv2d, x: Tensor, relu: bool) -> Tensor:
    bias = None if conv.bias is None else conv.bias.double()
    y = F.conv2d(x.double(), conv.weight.double(), bias, padding=1)
    return F.relu(y) if relu else y


def _layer(conv: nn.Conv2d, relu: bool) -> WinogradConv3x3:
    layer = WinogradConv3x3(conv, relu=relu)
    layer.min_tiles = 1  # the smallest shapes must go through the native code too
    return layer


@native
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    ("n", "cin", "cout", "h", "w"),
    [
        (1, 16, 16, 1, 1),
        (3, 16, 32, 5, 3),
        (1, 64, 64, 17, 23),
        (3, 32, 48, 17, 23),
        (2, 64, 128, 8, 12),
        (3, 288, 16, 9, 2),
        (1, 512, 512, 6, 7),
        (1, 272, 272, 31, 40),
        (4, 256, 256, 21, 20),
    ],
)
def test_forward_and_backward(n: int, cin: int, cout: int, h: int, w: int, relu: bool) -> None:
    conv = _conv(cin, cout)
    layer = _layer(conv, relu)
    x = torch.randn(n, cin, h, w, requires_grad=True)
    assert layer.serves(x)
    y = layer(x)
    want = _exact(conv, x.detach(), relu)
    assert y.shape == want.shape
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert _error(y, want) <= TOLERANCE

    grad = torch.randn(n, cout, h, w)
    (got,) = torch.autograd.grad(y, x, grad)
    # The mask of the layer itself: rounding may put a value near 0 on the other side of it.
    gate = (y > 0).double() if relu else torch.ones_like(want)
    exact = F.conv_transpose2d(grad.double() * gate, conv.weight.double(), padding=1)
    assert _error(got, exact) <= TOLERANCE


@native
def test_backward_agrees_with_autograd() -> None:
    conv = _conv(32, 32)
    x = torch.randn(2, 32, 13, 18)
    x.requires_grad_()
    (got,) = torch.autograd.grad((_layer(conv, True)(x) ** 2).sum(), x)
    (want,) = torch.autograd.grad((F.relu(conv(x)) ** 2).sum(), x)
    assert _error(got, want) <= TOLERANCE


@native
def test_magnitudes_of_a_loss_network() -> None:
    conv = _conv(256, 256)
    x = F.relu(torch.randn(2, 256, 16, 16)) * 2000
    assert _error(_layer(conv, True)(x), _exact(conv, x, True)) <= TOLERANCE


@native
def test_strides_bias_and_modes() -> None:
    conv = _conv(16, 32, bias=False)
    layer = _layer(conv, False)
    x = torch.randn(2, 12, 20, 32).permute(0, 3, 2, 1)[:, ::2, 1:, 2:]
    want = _exact(conv, x, False)
    with torch.no_grad():
        assert _error(layer(x), want) <= TOLERANCE
        assert not layer(x).requires_grad
    with torch.inference_mode():
        assert _error(layer(x), want) <= TOLERANCE
    leaf = x.clone().requires_grad_()
    layer(leaf).sum().backward()  # the gradient is an expanded scalar, with strides of 0
    ones = F.conv_transpose2d(torch.ones_like(want), conv.weight.double(), padding=1)
    assert leaf.grad is not None
    assert _error(leaf.grad, ones) <= TOLERANCE


@native
def test_nan_and_thread_counts() -> None:
    conv = _conv(32, 64)
    layer = _layer(conv, True)
    x = torch.randn(3, 32, 19, 11)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(layer(x))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0], other) for other in results[1:])
    x[1, 3, 5, 5] = float("nan")
    y = layer(x)
    assert y[1, :, 5, 5].isnan().all()
    assert not y[0].isnan().any()


@native
def test_bad_arguments() -> None:
    packed = pack_weights(torch.zeros(16, 16, 3, 3))
    with pytest.raises(ValueError, match="do not fit"):
        conv3x3(torch.zeros(1, 32, 4, 4), packed)
    with pytest.raises(ValueError, match="float32"):
        conv3x3(torch.zeros(1, 16, 4, 4, dtype=torch.float64), packed)
    with pytest.raises(ValueError, match="bias"):
        conv3x3(torch.zeros(1, 16, 4, 4), packed, torch.zeros(3))
    with pytest.raises(ValueError, match="mask"):
        conv3x3(torch.zeros(1, 16, 4, 4), packed, mask=torch.zeros(1, 16, 4, 5))


def test_pack_weights_shape() -> None:
    assert pack_weights(torch.zeros(32, 3, 3, 3)).shape == (36, 2, 3, 16)
    with pytest.raises(ValueError, match="weight must be"):
        pack_weights(torch.zeros(8, 16, 3, 3))


def test_switch_turns_native_code_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(winograd_build.SWITCH, "0")
    assert not winograd_build.available()
    assert winograd_build.SWITCH in winograd_build.unavailable_reason()
    conv = _conv(16, 16)
    x = torch.randn(2, 16, 12, 12, requires_grad=True)
    layer = _layer(conv, True)
    assert not layer.serves(x)
    y = layer(x)
    assert torch.equal(y, F.relu(conv(x)))
    y.sum().backward()
    assert x.grad is not None
    with pytest.raises(RuntimeError, match=winograd_build.SWITCH):
        conv3x3(x, layer.packed_forward())


def test_missing_compiler_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    function, reason = winograd_build._native.__wrapped__()
    assert function is None
    assert "compiler" in reason


def test_fallback_for_other_inputs() -> None:
    layer = WinogradConv3x3(_conv(3, 64), relu=True)
    x = torch.randn(1, 3, 32, 32)
    assert not layer.serves(x)
    assert layer(x).shape == (1, 64, 32, 32)
    double = WinogradConv3x3(_conv(16, 16).double())
    assert double(torch.randn(1, 16, 32, 32, dtype=torch.float64)).dtype == torch.float64


def test_only_frozen_plain_convolutions() -> None:
    with pytest.raises(ValueError, match="frozen"):
        WinogradConv3x3(nn.Conv2d(16, 16, 3, padding=1))
    with pytest.raises(ValueError, match="frozen"):
        WinogradConv3x3(nn.Conv2d(16, 16, 3, padding=1, stride=2).requires_grad_(False))


def test_accelerate_keeps_indexes() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
    ).requires_grad_(False)
    fast = accelerate(net)
    assert isinstance(fast, nn.Sequential)
    assert len(fast) == len(net)
    kinds = [nn.Conv2d, nn.ReLU, WinogradConv3x3, nn.Identity, nn.MaxPool2d, WinogradConv3x3]
    assert [type(m) for m in fast] == kinds
    assert isinstance(net[2], nn.Conv2d)

    def activations(layers: nn.Sequential, x: Tensor) -> list[Tensor]:
        out = []
        for layer in layers:
            x = layer(x)
            out.append(x)
        return out

    a = torch.randn(2, 3, 30, 34, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    want, got = activations(net, a), activations(fast, b)
    for index in (1, 3, 4, 5):
        assert _error(got[index], want[index]) <= TOLERANCE
    (want_grad,) = torch.autograd.grad(want[5].square().sum(), a)
    (got_grad,) = torch.autograd.grad(got[5].square().sum(), b)
    assert _error(got_grad, want_grad) <= TOLERANCE


def test_accelerate_leaves_trainable_layers() -> None:
    net = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
    assert isinstance(accelerate(net), nn.Sequential)
    assert [type(m) for m in accelerate(net).children()] == [nn.Conv2d, nn.ReLU]
    with pytest.raises(TypeError, match="Sequential"):
        accelerate(nn.ReLU())
