"""Formulas of variational style transfer, against values by hand and against integrals."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from rtstyle_export.maths.variational import (  # noqa: E402
    disentanglement_loss,
    fixpoint_triplet_loss,
    kl_divergence,
    kl_weight,
    share_disentangled,
    squared_distance,
)
from rtstyle_export.networks.variational import (  # noqa: E402
    VariationalStyle,
    active_dimensions,
    sample,
)


def test_the_standard_normal_has_no_divergence() -> None:
    found = kl_divergence(torch.zeros(3, 5), torch.zeros(3, 5))
    assert torch.equal(found, torch.zeros(3, 5))


def test_the_divergence_is_the_integral() -> None:
    """Of q log(q / p), by sums over a fine grid."""
    mean, log_variance = torch.tensor([[0.7]]).double(), torch.tensor([[-0.9]]).double()
    x = torch.linspace(-8, 8, 20001, dtype=torch.float64)
    q = torch.distributions.Normal(0.7, float((0.5 * log_variance).exp()))
    p = torch.distributions.Normal(0.0, 1.0)
    wanted = torch.trapezoid(q.log_prob(x).exp() * (q.log_prob(x) - p.log_prob(x)), x)
    assert float(kl_divergence(mean, log_variance)) == pytest.approx(float(wanted), rel=1e-6)


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (10, 0.0), (15, 0.5), (20, 1.0), (99, 1.0)])
def test_the_weight_of_the_divergence_warms_up(step: int, share: float) -> None:
    assert kl_weight(step, 10, 10) == share


def test_a_warm_up_of_no_steps_is_over_at_once() -> None:
    assert kl_weight(0, 0, 0) == 0.0
    assert kl_weight(1, 0, 0) == 1.0


def test_the_disentanglement_loss_by_hand() -> None:
    style = torch.zeros(2, 2)
    first = torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    second = torch.tensor([[3.0, 2.0], [1.0, 4.0]])
    # 2^2 - 3^2 is below 0; 4^2 - 1^2 is not.
    assert disentanglement_loss(first, second, style).tolist() == [0.0, 15.0]
    assert share_disentangled(first, second, style) == 0.5


def test_the_triplet_loss_by_hand() -> None:
    painted, own = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 3.0]])
    other = torch.tensor([[5.0, 1.0]])
    assert squared_distance(painted, other).tolist() == [16.0]
    assert fixpoint_triplet_loss(painted, own, other, margin=1.0).tolist() == [0.0]
    assert fixpoint_triplet_loss(painted, own, other, margin=14.0).tolist() == [2.0]
    # The other way round it costs the difference and the margin.
    assert fixpoint_triplet_loss(painted, other, own, margin=1.0).tolist() == [13.0]


def test_samples_have_the_mean_and_the_deviation_of_their_gaussian() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(40_000, 1, generator=generator)
    found = sample(torch.tensor([[2.0]]), torch.tensor([[2 * -1.2]]), noise)
    assert float(found.mean()) == pytest.approx(2.0, abs=0.01)
    assert float(found.std()) == pytest.approx(float(torch.tensor(-1.2).exp()), rel=0.02)


def test_dimensions_that_every_painting_shares_are_not_active() -> None:
    means = torch.tensor([[1.0, 5.0, 0.0], [-1.0, 5.0, 0.1]])
    assert active_dimensions(means).tolist() == [True, False, False]


class TestNetwork:
    def test_its_shapes(self) -> None:
        style = VariationalStyle(20, latent=6, hidden=16)
        mean, log_variance = style.encode(torch.randn(3, 20))
        assert mean.shape == log_variance.shape == (3, 6)
        assert style.decode(mean).shape == (3, 20)

    def test_vectors_are_normalised_by_those_of_paintings(self) -> None:
        vectors = torch.randn(500, 20, generator=torch.Generator().manual_seed(1)) * 3 + 2
        vectors[:, 4] = 7.0
        style = VariationalStyle(20)
        style.measure(vectors)
        found = style.normalised(vectors)
        assert torch.allclose(found.mean(dim=0), torch.zeros(20), atol=1e-5)
        others = [k for k in range(20) if k != 4]
        assert torch.allclose(found[:, others].std(0, correction=0), torch.ones(19), atol=1e-4)
        # What never varies is not divided by nothing.
        assert torch.isfinite(found).all()

    def test_no_variance_is_lost(self) -> None:
        style = VariationalStyle(4, latent=2, hidden=4)
        with torch.no_grad():
            style.encoder[-1].bias.fill_(500.0)
        log_variance = style.encode(torch.zeros(1, 4))[1]
        assert torch.isfinite(log_variance.exp()).all()
