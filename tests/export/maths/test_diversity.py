"""The diversity loss: against its formula, and what its gradient does."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from rtstyle_export.maths.diversity import (  # noqa: E402
    CLOSEST,
    diversity_at_all_sizes,
    diversity_loss,
    mean_difference,
    pairwise_distances,
)


def flat(*levels: float) -> torch.Tensor:
    """Even pictures (N, 3, 4, 5) of these levels, whose distances are differences of levels."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, 3, 4, 5).clone()


def test_distances_are_root_mean_squares() -> None:
    apart = pairwise_distances(flat(0.0, 0.3, 1.0))
    assert torch.allclose(
        apart, torch.tensor([[CLOSEST, 0.3, 1.0], [0.3, CLOSEST, 0.7], [1.0, 0.7, CLOSEST]])
    )
    assert mean_difference(flat(0.0, 0.3, 1.0)) == pytest.approx((0.3 + 1.0 + 0.7) / 3)


def test_loss_is_minus_the_mean_log_of_the_distance_to_the_nearest() -> None:
    # Nearest of 0 is 0.3, of 0.3 it is 0, of 1 it is 0.3.
    wanted = -(math.log(0.3) + math.log(0.3) + math.log(0.7)) / 3
    assert float(diversity_loss(flat(0.0, 0.3, 1.0))) == pytest.approx(wanted, rel=1e-5)


def test_twice_as_far_apart_costs_the_logarithm_of_two_less() -> None:
    pictures = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    less = float(diversity_loss(pictures)) - float(diversity_loss(2 * pictures))
    assert less == pytest.approx(math.log(2), rel=1e-4)


def test_descent_moves_samples_apart() -> None:
    pictures = flat(0.4, 0.5).requires_grad_()
    diversity_loss(pictures).backward()
    assert pictures.grad is not None
    assert bool((pictures.grad[0] > 0).all())  # the lower one falls
    assert bool((pictures.grad[1] < 0).all())


def test_equal_samples_have_a_finite_loss_and_gradient() -> None:
    pictures = flat(0.5, 0.5).requires_grad_()
    loss = diversity_loss(pictures)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(-math.log(CLOSEST), rel=1e-5)
    assert pictures.grad is not None
    assert bool(torch.isfinite(pictures.grad).all())


def test_sizes_are_means_over_squares_and_weigh_alike() -> None:
    pictures = torch.rand((3, 3, 8, 12), generator=torch.Generator().manual_seed(0))
    means = pictures.reshape(3, 3, 2, 4, 3, 4).mean((3, 5))
    wanted = (diversity_loss(pictures) + diversity_loss(means)) / 2
    assert torch.allclose(diversity_at_all_sizes(pictures, (1, 4)), wanted)
    # Of pictures that are smaller than a square, what there is of it counts.
    whole = diversity_loss(pictures.reshape(3, 3, 1, 8, 12)[..., :8].mean((3, 4)))
    assert torch.allclose(diversity_at_all_sizes(pictures, (99,)), whole)


def test_large_shapes_count_more_than_by_pixels() -> None:
    rows = torch.arange(32) % 2 * 1.0
    fine = (rows[:, None] + rows[None]) % 2 - 0.5  # a chequered board, whose squares have one mean
    coarse = torch.cat([torch.full((32, 16), -0.5), torch.full((32, 16), 0.5)], 1)

    def steepness(shape: torch.Tensor, *, all_sizes: bool) -> float:
        """How fast the loss falls as a second sample gets more of a shape."""
        size = torch.tensor(0.1, requires_grad=True)
        noise = torch.rand((2, 1, 32, 32), generator=torch.Generator().manual_seed(1)) * 0.5
        moved = torch.stack([torch.zeros(32, 32), size * shape])[:, None]
        loss = (diversity_at_all_sizes if all_sizes else diversity_loss)(noise + moved)
        loss.backward()
        assert size.grad is not None
        return -float(size.grad)

    assert steepness(coarse, all_sizes=True) > 2 * steepness(coarse, all_sizes=False) > 0
    assert steepness(fine, all_sizes=True) < 0.5 * steepness(fine, all_sizes=False)


def test_one_sample_has_no_entropy() -> None:
    with pytest.raises(ValueError, match="one sample"):
        diversity_loss(flat(0.5))
