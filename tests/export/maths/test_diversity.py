"""The diversity loss: against its formula, and what its gradient does."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from rtstyle_export.maths.diversity import (  # noqa: E402
    CLOSEST,
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


def test_one_sample_has_no_entropy() -> None:
    with pytest.raises(ValueError, match="one sample"):
        diversity_loss(flat(0.5))
