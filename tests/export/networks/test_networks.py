"""The networks against the paper's tables and against their own promises."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from rtstyle_export.networks.johnson import (  # noqa: E402
    SIZES,
    PaperNet,
    PaperSpec,
    build_network,
)
from rtstyle_export.networks.layers import (  # noqa: E402
    ConditionalConv2d,
    ConditionalInstanceNorm2d,
    select_style,
    upsample_nearest,
)
from rtstyle_export.networks.realtime import (  # noqa: E402
    FoldedRealTimeNet,
    RealTimeNet,
    RealTimeSpec,
    fold_unshuffle,
    fold_upsample,
    interleave,
)
from rtstyle_export.onnx_files.writer import PictureNet  # noqa: E402


def randomize(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give norms and biases values other than their start, so that mix-ups show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return net.eval()


def count_macs(net: nn.Module, image: torch.Tensor) -> float:
    """Multiply-accumulates of all convolutions, per pixel of one picture (three values)."""
    total = 0

    def hook(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            per_output = layer.weight[0].numel()
        else:
            per_output = layer.weight.shape[-1]
        total += output.numel() * per_output

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | ConditionalConv2d):
            layer.register_forward_hook(hook)
    with torch.no_grad():
        net(image)
    return 3 * total / image.numel()


def test_paper_activations_have_the_sizes_of_the_table() -> None:
    net = PaperNet(PaperSpec(norm="batch", upsampling="fractional", padding="border")).eval()
    sizes: list[int] = []
    stages = [net.norm1, net.norm2, net.norm3, *net.blocks, net.up1, net.up2]
    for stage in stages:
        stage.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[-1]))
    with torch.no_grad():
        out = net(torch.zeros(1, 3, 256, 256))
    assert sizes == [336, 168, 84, 80, 76, 72, 68, 64, 128, 256]
    assert out.shape == (1, 3, 256, 256)


def test_paper_blocks_crop_the_identity() -> None:
    net = randomize(PaperNet(PaperSpec(padding="border")))
    block = net.blocks[0]
    x = torch.randn(1, 128, 20, 22)
    style = torch.zeros(1, dtype=torch.int64)
    plain = block.norm2(block.conv2(F.relu(block.norm1(block.conv1(x), style))), style)
    torch.testing.assert_close(block(x, style), plain + x[:, :, 2:-2, 2:-2])


def test_paper_size_has_the_parameters_and_cost_named_in_the_issue() -> None:
    net = build_network("paper")
    parameters = sum(p.numel() for p in net.parameters())
    assert parameters == pytest.approx(1.68e6, rel=0.01)
    assert count_macs(net, torch.zeros(1, 3, 256, 256)) == pytest.approx(153.8e3, rel=0.01)


@pytest.mark.parametrize(("size", "limit"), [("fast", 7e3), ("balanced", 22e3)])
def test_real_time_sizes_keep_their_budget(size: str, limit: float) -> None:
    net = FoldedRealTimeNet(build_network(size).eval())
    assert count_macs(net, torch.zeros(1, 480, 480, 3, dtype=torch.uint8)) <= limit


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("upsampling", ["nearest", "fractional"])
@pytest.mark.parametrize("padding", ["border", "inside"])
def test_every_paper_option_paints_and_learns(norm: str, upsampling: str, padding: str) -> None:
    net = PaperNet(PaperSpec(norm, upsampling, padding)).train()
    image = torch.rand(2, 3, 48, 44) * 2 - 1
    out = net(image)
    assert out.shape == image.shape
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(16, 16), (17, 16), (37, 51), (1, 3)])
def test_any_picture_keeps_its_size(size: str, shape: tuple[int, int]) -> None:
    net = build_network(size).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 3, *shape)).shape == (1, 3, *shape)


def test_unknown_size_is_refused() -> None:
    with pytest.raises(ValueError, match="fast, balanced, paper"):
        build_network("huge")


def test_batch_norm_serves_one_style_only() -> None:
    with pytest.raises(ValueError, match="one style"):
        PaperNet(PaperSpec(norm="batch"), styles=2)


def test_folded_upsampling_equals_upsampling_then_convolution() -> None:
    conv = nn.Conv2d(5, 7, 3)
    x = torch.randn(2, 5, 6, 9)
    wanted = conv(upsample_nearest(x))
    even, odd = (rows(x).permute(0, 2, 3, 1) for rows in fold_upsample(conv.weight, conv.bias))
    folded = interleave(even, odd).permute(0, 3, 1, 2)
    torch.testing.assert_close(folded, wanted, atol=1e-5, rtol=1e-5)


def test_folded_unshuffle_equals_unshuffle_then_convolution() -> None:
    conv = nn.Conv2d(12, 7, 3, bias=False)
    x = torch.randn(2, 3, 16, 22)
    wanted = conv(F.pixel_unshuffle(x, 2))
    folded = F.conv2d(x, fold_unshuffle(conv.weight), stride=2)
    torch.testing.assert_close(folded, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(16, 16), (33, 50), (64, 64)])
def test_exported_form_is_the_same_function(shape: tuple[int, int]) -> None:
    net = randomize(RealTimeNet(RealTimeSpec(stem=8, body=8, blocks=1, tail=8)))
    image = torch.randint(0, 256, (2, *shape, 3), dtype=torch.uint8)
    with torch.no_grad():
        folded, wanted = FoldedRealTimeNet(net)(image), PictureNet(net)(image)
    difference = (folded.int() - wanted.int()).abs()
    # Sums in another order may round a half to the other side.
    assert difference.max() <= 1
    assert (difference == 0).float().mean() > 0.999


def test_conditional_norm_is_instance_norm_with_each_styles_scale_and_shift() -> None:
    norm = randomize(ConditionalInstanceNorm2d(6, styles=3))
    x = torch.randn(4, 6, 7, 5)
    style = torch.tensor([2, 0, 1, 2])
    got = norm(x, style)
    for i, k in enumerate(style.tolist()):
        wanted = F.instance_norm(x[i : i + 1], weight=norm.weight[k], bias=norm.bias[k])
        torch.testing.assert_close(got[i : i + 1], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_one_style_taken_out_paints_as_in_the_joint_network(size: str) -> None:
    net = randomize(build_network(size, styles=3))
    image = torch.rand(1, 3, 40, 36) * 2 - 1
    with torch.no_grad():
        wanted = [net(image, torch.tensor([k])) for k in range(3)]
        assert not torch.allclose(wanted[0], wanted[1])
        # A batch of several styles takes another path through the convolution.
        joint = net(image.repeat(3, 1, 1, 1), torch.arange(3))
        torch.testing.assert_close(joint, torch.cat(wanted), atol=2e-5, rtol=1e-4)
        select_style(net, 1)
        torch.testing.assert_close(net(image), wanted[1], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_a_shifted_photo_gives_a_shifted_painting(size: str) -> None:
    net = randomize(build_network(size))
    flat = torch.zeros(1, 3, 160, 160)
    photo = flat.clone()
    photo[:, :, 72:88, 72:88] = 1
    moved = torch.roll(photo, (4, 8), dims=(2, 3))
    with torch.no_grad():
        a, b = net(photo), net(moved)
    middle = slice(64, 96)
    torch.testing.assert_close(
        b[:, :, 68:100, 72:104], a[:, :, middle, middle], atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_norm_gradients_do_not_depend_on_batch_or_layout(
    batch: int, layout: torch.memory_format
) -> None:
    norm = randomize(ConditionalInstanceNorm2d(4)).train()
    x = torch.randn(batch, 4, 6, 5)
    upstream = torch.randn(batch, 4, 6, 5)

    def gradient(form: torch.memory_format) -> torch.Tensor:
        leaf = x.clone().to(memory_format=form).requires_grad_(True)
        out = norm(leaf, torch.zeros(batch, dtype=torch.int64))
        out.backward(upstream.to(memory_format=form))
        assert leaf.grad is not None
        return leaf.grad

    double = x.double().requires_grad_(True)
    centred = double - double.mean((2, 3), keepdim=True)
    plain = centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
    plain = plain * norm.weight[0].detach().double()[:, None, None]
    plain.backward(upstream.double())
    assert double.grad is not None
    torch.testing.assert_close(gradient(layout).double(), double.grad, atol=1e-5, rtol=1e-4)
