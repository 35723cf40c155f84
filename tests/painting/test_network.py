"""A network that is ready to paint: pictures of any size, other models on one engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.pictures import noise

from rtstyle.errors import EngineError
from rtstyle.painting.network import MIN_SIDE, WRAP, Network, extended
from rtstyle.styles.model import resolve

CPU = "onnxruntime:cpu"


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (33, 20)])
@pytest.mark.parametrize("wrap", [False, True])
def test_pictures_of_any_size_keep_it(shape: tuple[int, int], wrap: bool) -> None:
    image = noise(*shape)
    with Network.open(resolve("invert", "fast"), CPU) as network:
        assert (network.regions, network.applies_strength, network.sees_canvas) == (1, False, False)
        np.testing.assert_array_equal(network.paint(image, wrap=wrap), 255 - image)


def test_other_numbers_are_painted_by_the_same_engine() -> None:
    image = noise(40, 60)
    with Network.open(resolve("mosaic:1", "fast"), CPU) as network:
        assert network.applies_strength
        statistics = network.model.statistics
        assert statistics is not None
        model = replace(network.model, statistics=statistics + np.float32(40))
        other = network.given(model)
        assert other.engine is network.engine
        assert (other.paint(image) != network.paint(image)).any()
        with Network.open(model, CPU) as alone:
            np.testing.assert_array_equal(other.paint(image), alone.paint(image))
    with pytest.raises(EngineError, match="closed"):
        other.paint(image)


def test_strength_is_of_features_where_the_network_takes_it() -> None:
    image = noise(40, 60)
    with Network.open(resolve("mosaic:1", "fast"), CPU) as network:
        assert (network.paint(image, 0.3) != network.paint(image, 1.0)).any()
    with Network.open(resolve("invert", "fast"), CPU) as network:
        np.testing.assert_array_equal(network.paint(image, 0.3), 255 - image)


def test_small_pictures_are_extended_and_spheres_wrapped() -> None:
    image = noise(3, 40)
    np.testing.assert_array_equal(extended(image, False)[3:], np.repeat(image[2:], MIN_SIDE - 3, 0))
    wrapped = extended(image, True)
    assert wrapped.shape == (MIN_SIDE, 40 + 2 * WRAP, 3)
    np.testing.assert_array_equal(wrapped[:3, WRAP - 40 : WRAP], image)
    weights = extended(np.moveaxis(image, 2, 0), True, 1)
    np.testing.assert_array_equal(weights, np.moveaxis(wrapped, 2, 0))
