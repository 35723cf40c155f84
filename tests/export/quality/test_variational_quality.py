"""Figures of sampled styles, on pictures and spaces whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rtstyle.styles.latent import WIDTH  # noqa: E402
from rtstyle_export.networks.encoder import STYLE_LAYERS  # noqa: E402
from rtstyle_export.networks.variational import VariationalStyle  # noqa: E402
from rtstyle_export.quality.variational import (  # noqa: E402
    Look,
    apart,
    monotone,
    neighbours,
    space_of,
    spread,
    style_of,
    through_codes,
    unevenness,
)


def look(value: float) -> Look:
    """A picture whose Gram matrices and means are all one value."""
    one = torch.full((1, 1), value)
    return Look(
        dict.fromkeys(STYLE_LAYERS, one[None]),
        {layer: (one, torch.zeros(1, 1)) for layer in STYLE_LAYERS},
        torch.zeros(1, 1),
    )


def test_distances_by_hand() -> None:
    assert style_of(look(3.0), look(2.0)) == pytest.approx(0.25)
    # Relative to either: 1 / 4 and 1 / 9.
    assert apart(look(3.0), look(2.0)) == pytest.approx((1 / 4 + 1 / 9) / 2)
    looks = [look(1.0), look(1.0), look(2.0)]
    assert spread(looks) == pytest.approx(2 / 3 * (1 / 4 + 1) / 2)


def test_equal_steps_are_even() -> None:
    # Each step multiplies by the same: the same relative distance.
    assert unevenness([look(2.0**k) for k in range(5)]) == pytest.approx(0, abs=1e-6)
    assert unevenness([look(1.0), look(1.0), look(2.0)]) == pytest.approx(1.0)


def test_a_path_that_turns_back_is_not_monotone() -> None:
    ends = look(1.0), look(2.0)
    assert monotone([look(x) for x in (1.0, 1.3, 1.7, 2.0)], *ends)
    assert not monotone([look(x) for x in (1.0, 1.7, 1.3, 2.0)], *ends)
    assert not monotone([look(x) for x in (1.0, 1.5, 2.6)], *ends)


class TestSpaces:
    def style(self) -> VariationalStyle:
        torch.manual_seed(0)
        return VariationalStyle(6, latent=3, hidden=8).eval()

    def test_a_neighbour_without_noise_is_the_vector(self) -> None:
        vector = torch.randn(6)
        found = neighbours(self.style(), vector, 0.5, torch.zeros(2, 3))
        torch.testing.assert_close(found, vector.expand(2, 6))

    def test_neighbours_are_those_that_are_painted(self) -> None:
        style, vector, noise = self.style(), torch.randn(6), torch.randn(1, 3)
        found = neighbours(style, vector, 0.7, noise)[0].numpy()
        with torch.no_grad():
            mean, log_variance = style.encode(vector[None])
            code = mean + WIDTH * 0.7 * (0.5 * log_variance).exp() * noise
            wanted = vector + (style.decode(code) - style.decode(mean))[0]
        np.testing.assert_allclose(found, wanted, atol=1e-5)

    def test_a_path_by_codes_keeps_its_ends(self) -> None:
        first, last = torch.randn(2, 6)
        path = through_codes(self.style(), first, last, torch.tensor([0.0, 0.5, 1.0]))
        torch.testing.assert_close(path[0], first)
        torch.testing.assert_close(path[2], last)

    def test_what_a_space_explains(self) -> None:
        style, vectors = self.style(), torch.randn(50, 6)
        style.measure(vectors)
        with torch.no_grad():
            # Whatever the code, the mean of all: nothing is explained.
            style.decoder[-1].weight.zero_()
            style.decoder[-1].bias.zero_()
        found = space_of(style, vectors)
        assert found.explained == pytest.approx(0, abs=1e-4)
        assert found.kl.shape == (3,)
        assert 0 <= found.active <= 3
