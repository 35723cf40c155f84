"""The network for any style that sees a canvas: its layers, its exported form, older weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rtstyle_export.networks.adain_fast import CanvasAdain, FastAdain, FastPair, fitting  # noqa: E402  # noqa: E402
from rtstyle_export.networks.realtime import RealTimeSpec  # noqa: E402
from rtstyle_export.onnx_files.adain_canvas import (  # noqa: E402
    CanvasContentNet,
    FoldedCanvasContentNet,
)
from rtstyle_export.onnx_files.ranges import over  # noqa: E402

SMALL = RealTimeSpec(stem=4, body=8, blocks=1, tail=4, border=16)
ONE = torch.ones(1)


def net_of() -> CanvasAdain:
    torch.manual_seed(5)
    net = CanvasAdain(SMALL, adapted=6).eval().requires_grad_(False)
    net.adapter.last.weight.normal_()
    return net


def inputs(height: int, width: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    photo, canvas = torch.rand(2, 1, 3, height, width, generator=generator) * 2 - 1
    return photo, canvas, torch.ones(1, 1, -(-height // 2), -(-width // 2))


@pytest.mark.parametrize("size", [(16, 16), (48, 70), (61, 33)])
def test_pictures_of_any_size_keep_it(size: tuple[int, int]) -> None:
    net = net_of()
    painted, gate = net.paint_over(*inputs(*size), torch.randn(1, net.numbers), ONE)
    assert painted.shape == (1, 3, *size)
    assert gate.shape == (1, 1, *size)


def test_on_an_empty_canvas_it_paints_as_it_does_without_one() -> None:
    net, numbers = net_of(), torch.randn(1, net_of().numbers) * 0.3
    photo, canvas, trust = inputs(40, 48)
    painted, gate = net.paint_over(
        photo, torch.zeros_like(canvas), torch.zeros_like(trust), numbers, ONE
    )
    assert float(gate.max()) < 0.0015
    wanted = net(photo, numbers, ONE)
    assert float((painted - wanted).abs().max()) < 0.0015 * float(wanted.abs().max()) + 1e-5


def test_what_is_trusted_shows_and_what_is_not_is_painted() -> None:
    net, numbers = net_of(), torch.randn(1, net_of().numbers) * 0.3
    photo, canvas, trust = inputs(64, 96)
    trust[..., :24] = 0
    canvas[..., :48] = 0
    _, gate = net.paint_over(photo, canvas, trust, numbers, ONE)
    assert float(gate[..., 60:].mean()) > 20 * float(gate[..., :36].mean())


@pytest.mark.parametrize("size", [(37, 50), (40, 48)])
def test_the_folded_form_is_the_same_function(size: tuple[int, int]) -> None:
    net = net_of()
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (1, *size, 3), dtype=np.uint8)
    given = {k: torch.from_numpy(v) for k, v in over(image[:, ::-1]).items()}
    numbers = torch.randn(1, net.numbers) * 0.3
    for strength in (0.0, 0.4, 1.0):
        words = (torch.from_numpy(image), given["canvas"], given["trust"], numbers)
        wanted = CanvasContentNet(net)(*words, torch.tensor([strength]))
        found = FoldedCanvasContentNet(net)(*words, torch.tensor([strength]))
        assert (wanted.int() - found.int()).abs().max() <= 1


def test_an_adapter_changes_nothing_before_it_is_trained() -> None:
    torch.manual_seed(2)
    with_one, without = FastAdain(SMALL, adapted=6).eval(), FastAdain(SMALL, adapted=0).eval()
    without.load_state_dict(with_one.state_dict(), strict=False)
    numbers, photo = torch.randn(1, without.numbers), inputs(32, 32)[0]
    assert torch.equal(with_one(photo, numbers, ONE), without(photo, numbers, ONE))


class TestOlderWeights:
    def test_a_network_without_a_canvas_or_adapter_is_started_from(self) -> None:
        old = FastPair(FastAdain(SMALL, adapted=0)).eval()
        new = FastPair(CanvasAdain(SMALL, adapted=6)).eval()
        new.load_state_dict(fitting(old.state_dict(), new.state_dict()))
        numbers, photo = torch.randn(1, old.net.numbers), inputs(32, 32)[0]
        assert torch.equal(new.net(photo, numbers, ONE), old.net(photo, numbers, ONE))

    def test_what_a_canvas_needs_is_left_out_for_a_network_that_sees_none(self) -> None:
        old = FastPair(CanvasAdain(SMALL, adapted=6)).eval()
        new = FastPair(FastAdain(SMALL, adapted=6)).eval()
        new.load_state_dict(fitting(old.state_dict(), new.state_dict()))
        numbers, photo = torch.randn(1, old.net.numbers), inputs(32, 32)[0]
        assert torch.equal(new.net(photo, numbers, ONE), old.net(photo, numbers, ONE))

    def test_weights_of_something_else_do_not_fit(self) -> None:
        new = FastPair(FastAdain(SMALL, adapted=6))
        with pytest.raises(RuntimeError):
            new.load_state_dict(fitting({"net.other.weight": ONE}, new.state_dict()))
