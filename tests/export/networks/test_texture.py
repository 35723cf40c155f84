"""Texture networks: the paper's table, and what the generator does with photo and noise."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from rtstyle.engines.noise import STRIDE, noise_size  # noqa: E402
from rtstyle_export.networks.johnson import BatchNorm2d  # noqa: E402
from rtstyle_export.networks.layers import ConditionalInstanceNorm2d  # noqa: E402
from rtstyle_export.networks.texture import (  # noqa: E402
    PHOTO,
    PURE,
    TextureNet,
    TextureSpec,
    noise_at,
    pad_edges,
)


def noise(spec: TextureSpec, height: int, width: int, count: int = 1, seed: int = 0) -> Tensor:
    shape = (count, *spec.noise_shape(height, width))
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def photo(height: int, width: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 3, height, width), generator=generator) * 2 - 1


def kernels(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(m.weight.shape) for m in module.modules() if isinstance(m, nn.Conv2d)]


def block(c_in: int, c_out: int) -> list[tuple[int, ...]]:
    return [(c_out, c_in, 3, 3), (c_out, c_out, 3, 3), (c_out, c_out, 1, 1)]


class TestTable:
    """Figure 2 and section 3.3 of Ulyanov et al. 2016."""

    def test_pure_texture(self) -> None:
        net = TextureNet(PURE)
        # Five scales of three channels of noise, each read by a block of 8 channels.
        assert kernels(net.read) == block(3, 8) * 5
        # Joined from coarse to fine: 16, 24, 32 and 40 channels.
        assert kernels(net.blocks) == block(16, 16) + block(24, 24) + block(32, 32) + block(40, 40)
        assert net.out.weight.shape == (1, 3, 40)
        # "Around 65 thousand": of figure 2's widths it is 70,064 in the convolutions before the
        # last, 3 * 9 * 8 + 9 * 64 + 64 for each scale and 19 * C * C for each C that is joined.
        count = sum(m.weight.numel() for m in net.modules() if isinstance(m, nn.Conv2d))
        assert count == 5 * 856 + 19 * (16**2 + 24**2 + 32**2 + 40**2)

    def test_photos_have_six_scales_and_are_read_beside_the_noise(self) -> None:
        net = TextureNet(PHOTO)
        assert kernels(net.read) == block(6, 8) * 6
        assert kernels(net.blocks) == [k for c in (16, 24, 32, 40, 48) for k in block(c, c)]
        assert net.out.weight.shape == (1, 3, 48)

    @pytest.mark.parametrize(
        ("norm", "kind"), [("instance", ConditionalInstanceNorm2d), ("batch", BatchNorm2d)]
    )
    def test_every_convolution_but_the_last_and_both_sides_of_a_join_have_a_norm(
        self, norm: str, kind: type[nn.Module]
    ) -> None:
        net = TextureNet(replace(PURE, norm=norm))  # type: ignore[arg-type]
        found = sum(isinstance(m, kind) for m in net.modules())
        assert found == 3 * (5 + 4) + 2 * 4

    def test_coarse_features_are_normalised_doubled_and_joined(self) -> None:
        net = TextureNet(PURE)
        style = torch.zeros(1, dtype=torch.int64)
        coarse, fine = torch.rand(1, 8, 4, 6), torch.rand(1, 8, 8, 12)
        joined = net.joins[0](coarse, fine, style)
        assert joined.shape == (1, 16, 8, 12)
        wanted = F.instance_norm(F.interpolate(coarse, scale_factor=2.0, mode="nearest"))
        assert torch.allclose(joined[:, :8], wanted, atol=1e-5)
        assert torch.allclose(joined[:, 8:], F.instance_norm(fine), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 33), (31, 70), (64, 32)])
def test_photos_of_any_size(size: tuple[int, int]) -> None:
    net = TextureNet().eval()
    with torch.no_grad():
        assert net(photo(*size), noise(PHOTO, *size)).shape == (1, 3, *size)


def test_sides_of_the_noise_are_those_that_engines_draw() -> None:
    assert PHOTO.stride == STRIDE
    assert STRIDE % PURE.stride == 0
    for size in ((1, 1), (32, 33), (480, 641)):
        assert PHOTO.noise_shape(*size)[1:] == noise_size(size)


def test_scales_read_disjoint_values_of_the_noise() -> None:
    z = torch.arange(2.0 * 64 * 64).reshape(1, 2, 64, 64)
    seen = [noise_at(z, scale, 1) for scale in range(6)]
    assert [tuple(part.shape[2:]) for part in seen] == [(64 >> k, 64 >> k) for k in range(6)]
    values = torch.cat([part.flatten() for part in seen])
    assert len(values.unique()) == len(values)


def test_other_noise_gives_another_picture_and_the_same_the_same() -> None:
    net = TextureNet().eval()
    with torch.no_grad():
        first, again, other = (
            net(photo(40, 40), noise(PHOTO, 40, 40, seed=seed)) for seed in (0, 0, 1)
        )
    assert torch.equal(first, again)
    assert float((first - other).abs().mean()) > 1e-3


def test_every_scale_of_the_noise_counts() -> None:
    net = TextureNet().eval()
    z, x = noise(PHOTO, 64, 64), photo(64, 64)
    with torch.no_grad():
        first = net(x, z)
        for scale in range(PHOTO.scales):
            changed = z.clone()
            noise_at(changed, scale, PHOTO.noise).zero_()
            assert float((net(x, changed) - first).abs().max()) > 1e-4, scale


def test_pure_texture_lies_on_a_torus() -> None:
    net = TextureNet(PURE).eval()
    z = noise(PURE, 64, 96)
    with torch.no_grad():
        made, moved = net(None, z), net(None, z.roll((16, 48), (2, 3)))
    assert torch.allclose(moved, made.roll((16, 48), (2, 3)), atol=1e-4)


@pytest.mark.parametrize(("circular", "mode"), [(True, "circular"), (False, "replicate")])
@pytest.mark.parametrize("training", [True, False])
def test_edges(*, circular: bool, mode: str, training: bool) -> None:
    x = torch.rand(2, 3, 5, 4)
    found = pad_edges(x, circular=circular, training=training)
    assert torch.equal(found, F.pad(x, (1, 1, 1, 1), mode))


def test_styles_of_one_network_differ_and_batch_norm_has_one() -> None:
    net = TextureNet(styles=2).eval()
    with torch.no_grad():
        net.out.weight[1].neg_()
        x, z = photo(32, 32), noise(PHOTO, 32, 32)
        first, second = (net(x, z, torch.tensor([k])) for k in (0, 1))
    assert not torch.allclose(first, second)
    with pytest.raises(ValueError, match="batch norm"):
        TextureNet(replace(PHOTO, norm="batch"), styles=2)
