"""AdaIN against the formulas of Huang and Belongie 2017."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from rtstyle_export.maths.functional import adain, channel_statistics, statistics_distance  # noqa: E402
from rtstyle_export.maths.vgg import VGG, layer_names  # noqa: E402
from rtstyle_export.networks.adain import (  # noqa: E402
    COLOURS,
    STATISTICS,
    PaperAdain,
    PaperPair,
    by_layer,
    mix,
    painting_statistics,
    recolour,
    regional_recolour,
)
from rtstyle_export.networks.adain_fast import FastAdain, FastPair, StyleHead  # noqa: E402
from rtstyle_export.networks.encoder import STYLE_LAYERS, Encoder, mean_activations  # noqa: E402
from rtstyle_export.networks.layers import ConditionalInstanceNorm2d  # noqa: E402


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Random weights in the form of VGG-19."""
    generator = torch.Generator().manual_seed(0)
    widths, found, channels = (64, 128, 256, 512, 512), {}, 3
    for index, name in enumerate(layer_names("vgg19")):
        if name.startswith("conv"):
            width = widths[int(name[4]) - 1]
            scale = (2 / (9 * channels)) ** 0.5
            weight = torch.randn(width, channels, 3, 3, generator=generator) * scale
            found[f"features.{index}.weight"] = weight
            found[f"features.{index}.bias"] = torch.randn(width, generator=generator) * 0.1
            channels = width
    return found


def photo(size: int = 48, seed: int = 0, count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(-1, 1)


class TestFormula:
    def test_equation_8(self) -> None:
        x, y = torch.randn(2, 5, 7, 9) * 3 + 1, torch.randn(2, 5, 4, 6)
        mean, std = channel_statistics(y)
        painted = adain(x, mean, std)
        for n in range(2):
            for c in range(5):
                one = x[n, c]
                wanted = y[n, c].std(correction=0) * (one - one.mean()) / one.std(correction=0)
                assert torch.allclose(painted[n, c], wanted + y[n, c].mean(), atol=1e-3)

    def test_the_result_has_the_statistics_of_the_style(self) -> None:
        mean, std = torch.randn(1, 8), torch.rand(1, 8) + 0.1
        found = channel_statistics(adain(torch.randn(1, 8, 32, 32), mean, std))
        assert torch.allclose(found[0], mean, atol=1e-4)
        assert torch.allclose(found[1], std, atol=1e-3)

    def test_its_own_statistics_change_nothing(self) -> None:
        x = torch.randn(1, 8, 16, 16)
        assert torch.allclose(adain(x, *channel_statistics(x)), x, atol=1e-5)

    @pytest.mark.parametrize("value", [0.0, 1e4])
    def test_a_flat_picture_stays_finite_with_its_gradient(self, value: float) -> None:
        x = torch.full((1, 3, 8, 8), value, requires_grad=True)
        painted = adain(x, torch.ones(1, 3), torch.ones(1, 3))
        painted.sum().backward()
        assert torch.isfinite(painted).all()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
        assert torch.allclose(painted, torch.ones_like(painted), atol=1e-2)

    def test_distance(self) -> None:
        found = (torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
        other = (torch.tensor([[0.0, 2.0]]), torch.tensor([[3.0, 2.0]]))
        assert statistics_distance(found, other).tolist() == [2.5]
        assert statistics_distance(found, found).tolist() == [0.0]

    def test_mix_is_the_papers_alpha(self) -> None:
        a, b = torch.zeros(3, 2, 1, 1), torch.ones(3, 2, 1, 1)
        mixed = mix(a, b, torch.tensor([0.0, 0.25, 1.0]))
        assert mixed[:, 0, 0, 0].tolist() == [0.0, 0.25, 1.0]


class TestEncoder:
    def test_equals_vgg_inside_but_for_the_padding(self, state: dict[str, torch.Tensor]) -> None:
        picture = photo(96)
        found = Encoder(state)(picture)
        known = VGG("vgg19", STYLE_LAYERS, state)(picture)
        assert list(found) == list(STYLE_LAYERS)
        for layer, border in zip(STYLE_LAYERS, (1, 2, 3, 4), strict=True):
            inside = (..., slice(border, -border), slice(border, -border))
            assert found[layer].shape == known[layer].shape
            assert torch.allclose(found[layer][inside], known[layer][inside], rtol=1e-3, atol=1e-3)

    def test_normalised_means_are_one_and_nothing_else_changes(
        self, state: dict[str, torch.Tensor]
    ) -> None:
        photos = [photo(48, seed) for seed in range(3)]
        scales = mean_activations(Encoder(state), photos)
        plain, normal = Encoder(state), Encoder(state, scales)
        means = torch.stack([normal(p)["relu4_1"].mean(dim=(0, 2, 3)) for p in photos]).mean(0)
        fired = torch.stack([plain(p)["relu4_1"].amax(dim=(0, 2, 3)) for p in photos]).amax(0) > 0
        assert torch.allclose(means[fired], torch.ones_like(means[fired]), atol=0.02)
        again = normal(photos[0])["relu4_1"] * scales[-1].view(1, -1, 1, 1)
        assert torch.allclose(again, plain(photos[0])["relu4_1"], rtol=1e-3, atol=1e-2)

    def test_nothing_of_it_is_trained(self, state: dict[str, torch.Tensor]) -> None:
        net = PaperAdain(Encoder(state))
        trained = {name for name, value in net.named_parameters() if value.requires_grad}
        assert trained
        assert all(name.startswith(("decoder.", "skips.")) for name in trained)


class TestPaper:
    @pytest.mark.parametrize("size", [(16, 16), (40, 56), (33, 47)])
    def test_any_size(self, state: dict[str, torch.Tensor], size: tuple[int, int]) -> None:
        net = PaperAdain(Encoder(state)).eval()
        picture = photo(64)[:, :, : size[0], : size[1]]
        with torch.no_grad():
            painted = net(picture, net.statistics(photo(40, 1)), torch.ones(1))
        assert painted.shape == picture.shape

    def test_the_decoder_gets_the_paintings_statistics(
        self, state: dict[str, torch.Tensor]
    ) -> None:
        net = joined(PaperAdain(Encoder(state)))
        picture, statistics = photo(64), net.statistics(photo(64, 1))
        seen = net.encoder(picture)
        given: dict[str, torch.Tensor] = {}
        for layer, part in zip(reversed(STYLE_LAYERS), (net.decoder, *net.skips), strict=True):
            part.register_forward_pre_hook(lambda _m, x, layer=layer: given.update({layer: x[0]}))
        net(picture, statistics, torch.ones(1))
        wanted = by_layer(statistics[:, -STATISTICS:])
        for layer in STYLE_LAYERS:
            alive = channel_statistics(seen[layer])[1][0] > 1
            for found, known in zip(channel_statistics(given[layer]), wanted[layer], strict=True):
                assert torch.allclose(found[0][alive], known[0][alive], rtol=0.01, atol=0.1)
        net(picture, statistics, torch.zeros(1))
        assert all(torch.equal(given[layer], seen[layer]) for layer in STYLE_LAYERS)

    def test_without_skips_and_fitting_it_is_the_papers(
        self, state: dict[str, torch.Tensor]
    ) -> None:
        net = PaperAdain(Encoder(state))
        picture, statistics = photo(64), net.statistics(photo(64, 1))
        seen, one = net.encoder(picture), torch.ones(1)
        target = adain(seen["relu4_1"], *by_layer(statistics[:, -STATISTICS:])["relu4_1"])
        with torch.no_grad():
            wanted, found = net.decoder(target), net.decode(seen, statistics, one)
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-3)

    def test_each_number_counts_and_strength_zero_ignores_all(
        self, state: dict[str, torch.Tensor]
    ) -> None:
        net = joined(PaperAdain(Encoder(state)))
        numbers = net.statistics(photo(64, 1)).detach().requires_grad_(True)
        shares = []
        for strength in (1.0, 0.0):
            painted = net(photo(64), numbers, torch.tensor([strength]))
            (found,) = torch.autograd.grad(painted.square().mean(), numbers)
            shares.append(float((found != 0).float().mean()))
        # Filters that are dead here are fed by nothing.
        assert shares[0] > 0.6
        assert shares[1] == 0

    def test_regions_take_their_own_numbers(self, state: dict[str, torch.Tensor]) -> None:
        net = joined(PaperAdain(Encoder(state)))
        numbers = net.statistics(photo(64, 1))
        numbers[:, :-STATISTICS] = 0.2 * torch.randn(1, net.numbers - STATISTICS)
        both = torch.stack([numbers, net.statistics(photo(64, 2))], dim=1)
        weights = torch.zeros(1, 2, 64, 64)
        for k, strength in ((0, 1.0), (1, 1.0), (0, 0.4)):
            weights[:, k], weights[:, 1 - k] = 1, 0
            with torch.no_grad():
                found = net.regional(photo(64), both, torch.tensor([strength]), weights)
                wanted = net(photo(64), both[:, k], torch.tensor([strength]))
            assert torch.allclose(found, wanted, atol=0.03)


def joined(net: PaperAdain) -> PaperAdain:
    """Give a network skips that do something."""
    for skip in net.skips:
        torch.nn.init.eye_(skip.weight[:, :, 0, 0].detach()).mul_(0.3)
    return net.eval()


class TestFast:
    def test_budget(self) -> None:
        net = FastAdain()
        # Multiplications a pixel of each convolution, by its resolution.
        kmac = sum(
            conv.weight.numel() * share / 1000
            for conv, share in [
                (net.stem, 1 / 4), (net.down, 1 / 16), (net.up, 1 / 4), (net.out, 1.0),
                *((block, 1 / 16) for block in net.blocks),
            ]
        )  # fmt: skip
        assert kmac < 27.8
        assert sum(value.numel() for value in net.parameters()) < 660_000

    @pytest.mark.parametrize("size", [(16, 16), (33, 47)])
    def test_any_size_with_a_gradient_for_every_weight(self, size: tuple[int, int]) -> None:
        net = FastAdain().train()
        torch.nn.init.normal_(net.adapter.last.weight)
        head = StyleHead(sum(net.sizes))
        picture = photo(64)[:, :, : size[0], : size[1]].expand(2, -1, -1, -1)
        statistics = head(torch.rand(2, STATISTICS))
        painted = net(picture, statistics, torch.tensor([0.5, 1.0]))
        assert painted.shape == picture.shape
        painted.square().mean().backward()
        for part in (net, head):
            for name, value in part.named_parameters():
                assert value.grad is not None, name
                assert value.grad.abs().sum() > 0, name

    def test_strength_zero_ignores_the_painting(self) -> None:
        net, picture = FastAdain().eval(), photo(32)
        with torch.no_grad():
            results = [net(picture, torch.randn(1, net.numbers), torch.zeros(1)) for _ in range(2)]
        assert torch.equal(*results)

    def test_its_norm_is_conditional_instance_norm(self) -> None:
        from rtstyle_export.networks.adain_fast import ModulatedNorm

        reference = ConditionalInstanceNorm2d(4).eval()
        with torch.no_grad():
            reference.weight.normal_()
            reference.bias.normal_()
        x = torch.randn(1, 4, 9, 9)
        modulation = torch.cat([reference.weight - 1, reference.bias], dim=1)
        wanted = reference(x, torch.zeros(1, dtype=torch.int64))
        assert torch.allclose(ModulatedNorm(4)(x, modulation), wanted, atol=1e-5)

    def test_statistics_of_a_painting(self, state: dict[str, torch.Tensor]) -> None:
        pictures = photo(48, count=2)
        found = painting_statistics(pictures, Encoder(state)(pictures))
        assert found.shape == (2, STATISTICS)
        assert torch.isfinite(StyleHead(7)(found)).all()
        assert torch.equal(StyleHead(7)(found)[:, 7:], found[:, -COLOURS:])


class TestRecolour:
    def test_the_colours_are_the_paintings(self) -> None:
        picture, painting = photo(32, count=2), photo(32, 3, count=2) * 0.4 - 0.3
        colours = torch.cat(channel_statistics(painting), dim=1)
        found = torch.cat(channel_statistics(recolour(picture, colours, torch.ones(2))), dim=1)
        assert torch.allclose(found, colours, atol=0.01)

    def test_strength_goes_from_the_picture_to_the_painting(self) -> None:
        picture, colours = photo(16), torch.tensor([[0.5, 0.0, -0.5, 0.1, 0.2, 0.3]])
        none, half, all_ = (recolour(picture, colours, torch.tensor([s])) for s in (0.0, 0.5, 1.0))
        assert torch.equal(none, picture)
        assert torch.allclose(half, (picture + all_) / 2, atol=1e-6)

    def test_the_noise_of_a_flat_picture_stays_small(self) -> None:
        flat = 0.2 + 0.001 * torch.randn(1, 3, 16, 16)
        colours = torch.tensor([[0.5, 0.0, -0.5, 0.5, 0.5, 0.5]])
        found = recolour(flat, colours, torch.ones(1))
        assert (found - colours[:, :3, None, None]).abs().max() < 0.05

    def test_regions_take_their_own_colours(self) -> None:
        weights = torch.zeros(1, 2, 64, 64)
        weights[:, 0, :32], weights[:, 1, 32:] = 1, 1
        colours = torch.rand(1, 2, 6) * 0.5 + 0.1
        found = regional_recolour(photo(64), colours, torch.ones(1), weights)
        for k, part in enumerate((found[:, :, :32], found[:, :, 32:])):
            own = torch.cat(channel_statistics(part), dim=1)
            assert torch.allclose(own, colours[:, k], atol=0.03)

    @pytest.mark.parametrize("kind", ["paper", "fast"])
    def test_networks_end_with_it(self, state: dict[str, torch.Tensor], kind: str) -> None:
        pair = FastPair() if kind == "fast" else PaperPair(Encoder(state))
        painting = photo(64, 1) * 0.3 + 0.2
        statistics = painting_statistics(painting, Encoder(state)(painting))
        with torch.no_grad():
            found = pair.eval()(photo(64), statistics[:, None], torch.ones(1), torch.ones(1, 1))
            weights = torch.ones(1, 1, 64, 64)
            numbers = pair.head(statistics) if kind == "fast" else pair.net.from_all(statistics)
            same = pair.net.regional(photo(64), numbers[:, None], torch.ones(1), weights)
        wanted = channel_statistics(painting)
        # The variance of what an untrained network paints is small beside the floor under it.
        assert torch.allclose(channel_statistics(found)[0], wanted[0], atol=1e-3)
        assert torch.allclose(found, same, atol=0.02)
