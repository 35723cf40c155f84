"""Formulas against the written ones, by loops and by hand."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rtstyle_export.maths import functional  # noqa: E402
from rtstyle_export.maths.stability import (  # noqa: E402
    Change,
    Perturbation,
    draw_change,
    inner,
    stability_loss,
)


def test_gram_matrix_is_the_papers_sum() -> None:
    features = torch.randn(2, 3, 4, 5)
    got = functional.gram_matrix(features)
    for n in range(2):
        for c in range(3):
            for d in range(3):
                total = sum(
                    float(features[n, c, y, x] * features[n, d, y, x])
                    for y in range(4)
                    for x in range(5)
                )
                assert got[n, c, d] == pytest.approx(total / (3 * 4 * 5), abs=1e-5)


def test_gram_matrix_stays_float32_for_half_precision() -> None:
    features = torch.full((1, 2, 64, 64), 300.0, dtype=torch.float16)
    gram = functional.gram_matrix(features)
    assert gram.dtype is torch.float32
    torch.testing.assert_close(gram, torch.full((1, 2, 2), 300.0**2 / 2))
    with torch.autocast("cpu", torch.bfloat16):
        assert functional.gram_matrix(features.bfloat16()).dtype is torch.float32


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradient_of_the_gram_matrix(layout: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 4, 5, generator=generator).to(memory_format=layout)
    weights = torch.randn(2, 3, 3, generator=generator)
    found = []
    for gram in (
        functional.gram_matrix,
        lambda x: x.flatten(2) @ x.flatten(2).transpose(1, 2) / (3 * 4 * 5),
    ):
        x = features.clone().requires_grad_()
        found += torch.autograd.grad((weights * gram(x)).sum(), x)
    torch.testing.assert_close(*found)
    assert found[0].is_contiguous(memory_format=torch.channels_last)


def test_distances_are_relative() -> None:
    target = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(
        functional.content_distance(target * 1.5, target), torch.tensor([0.25, 0.25])
    )
    gram = functional.gram_matrix(target)
    torch.testing.assert_close(functional.style_distance(2 * gram, gram), torch.ones(2))
    assert functional.style_distance(gram, torch.zeros_like(gram)).isfinite().all()


def test_total_variation_of_a_ramp() -> None:
    ramp = torch.arange(6.0).repeat(4, 1)[None, None] * 0.1
    torch.testing.assert_close(functional.total_variation(ramp), torch.tensor([0.01]))


def test_stripes_of_two_hues_are_told_from_edges_and_from_light_and_dark() -> None:
    across = torch.arange(96, dtype=torch.float32).expand(1, 1, 64, 96)
    none = torch.zeros_like(across)
    wave = 0.3 * torch.sin(across * (2 * np.pi / 6))
    hues = torch.cat([wave, -wave, none], 1)
    # Half a period apart slopes are opposite: the mean square of a sine, of both hues.
    slope = 0.3 * 2 * np.sin(2 * np.pi / 6)
    product = {lag: -np.cos(lag * 2 * np.pi / 6) for lag in (2, 3, 4)}
    red_green = float(functional.colour_waves(hues, (3,)))
    assert red_green == pytest.approx((2 * slope) ** 2 / 2 * product[3], rel=0.05)
    assert float(functional.colour_waves(hues)) > red_green
    turned = functional.colour_waves(hues.transpose(2, 3))
    torch.testing.assert_close(turned, functional.colour_waves(hues))
    assert float(functional.colour_waves(wave.repeat(1, 3, 1, 1))) == 0
    edge = (across > 40).float()
    assert float(functional.colour_waves(torch.cat([edge, none, none], 1))) == 0


def test_a_lattice_is_told_from_texture() -> None:
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(-1, 1, 150).repeat(1, 3, 140, 1)
    noise = torch.randn(1, 3, 140, 150, generator=generator) * 0.1
    grid = torch.zeros(1, 3, 140, 150)
    grid[..., 3::8] = 0.1
    # A line of eight: mean 1/8, so the mean square about it is 0.01 (1/8 - 1/64).
    assert float(functional.lattice(grid)) == pytest.approx(0.01 * (1 / 8 - 1 / 64), rel=0.05)
    assert float(functional.lattice(ramp)) < 1e-5
    # Means of 64 values each.
    assert float(functional.lattice(noise)) == pytest.approx(0.01 / 64, rel=0.2)
    assert float(functional.lattice(grid, 7)) < 0.1 * float(functional.lattice(grid))
    stack = torch.cat([grid, ramp])
    assert functional.lattice(stack)[0] == functional.lattice(grid)[0]


def test_out_of_range_counts_only_the_excess() -> None:
    image = torch.tensor([-1.5, -1.0, 0.0, 2.0]).view(1, 1, 2, 2)
    torch.testing.assert_close(functional.out_of_range(image), torch.tensor([(0.25 + 1.0) / 4]))


def identity_change(n: int) -> Change:
    theta = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).repeat(n, 1, 1)
    one, zero = torch.ones(n, 1, 1, 1), torch.zeros(n, 1, 1, 1)
    return Change(theta, one, zero, zero)


def test_no_change_leaves_a_photo_alone() -> None:
    photo = torch.rand(2, 3, 20, 24) * 2 - 1
    change = identity_change(2)
    torch.testing.assert_close(change.light(change.move(photo), None), photo, atol=1e-4, rtol=0)


def test_whole_pixel_shift_moves_pixels_exactly() -> None:
    photo = torch.rand(1, 3, 20, 24)
    change = identity_change(1)
    change.theta[:, 0, 2] = 3 * 2 / 24
    change.theta[:, 1, 2] = -2 * 2 / 20
    moved = change.move(photo)
    torch.testing.assert_close(moved[:, :, 2:, :-3], photo[:, :, :-2, 3:], atol=1e-4, rtol=0)


def test_drawn_changes_keep_their_limits_and_their_seed() -> None:
    limits = Perturbation()
    shape = torch.Size((64, 3, 128, 128))
    a = draw_change(shape, limits, torch.Generator().manual_seed(3))
    b = draw_change(shape, limits, torch.Generator().manual_seed(3))
    assert torch.equal(a.theta, b.theta)
    pixels = a.theta[:, :, 2] * 64
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-4, rtol=0)
    assert pixels.abs().max() <= limits.shift
    assert (a.theta[:, 0, 0] - 1).abs().max() <= limits.scale
    unscaled = (a.theta[:, 0, 0] == 1).float().mean()
    assert 0.2 < unscaled < 0.8
    assert (a.gain - 1).abs().max() <= limits.gain
    assert 0 <= a.noise.min() <= a.noise.max() <= limits.noise


def test_brightness_follows_the_formula() -> None:
    photo = torch.zeros(1, 3, 4, 4)
    change = identity_change(1)
    bright = Change(change.theta, change.gain * 1.1, change.offset + 0.02, change.noise)
    torch.testing.assert_close(
        bright.light(photo, None), torch.full_like(photo, 1.1 - 1 + 0.04), atol=1e-6, rtol=0
    )


def test_an_equivariant_painter_is_stable_and_another_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1
    change = identity_change(2)
    change.theta[:, 0, 2] = 2 * 2 / 32
    moved = change.move(photo)
    stable = stability_loss(-photo, -moved, change, margin=4)
    assert stable.max() < 1e-8
    columns = torch.linspace(-1, 1, 32).view(1, 1, 1, 32)
    unstable = stability_loss(photo * columns, moved * columns, change, margin=4)
    assert unstable.min() > 1e-4


def test_inner_cuts_the_margin() -> None:
    image = torch.arange(36.0).view(1, 1, 6, 6)
    assert np.array_equal(inner(image, 2)[0, 0].numpy(), [[14, 15], [20, 21]])
    assert inner(image, 0) is image
