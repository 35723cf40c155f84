"""SOAP: the algorithm of the paper, Adam where there is no basis, a state that resumes."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from rtstyle_export.maths.soap import Soap, modes, rotate  # noqa: E402

RATE, BETAS, MEMORY, EPS, EVERY = 0.01, (0.9, 0.99), 0.8, 1e-8, 3


def soap(parameter: Tensor, **options: object) -> Soap:
    settings = {"betas": BETAS, "memory": MEMORY, "eps": EPS, "every": EVERY, **options}
    return Soap([parameter], RATE, **settings)  # type: ignore[arg-type, list-item]


def gradients(*shape: int, count: int = 12) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)]


def follow(parameter: Tensor, optimizer: torch.optim.Optimizer, found: list[Tensor]) -> None:
    for gradient in found:
        parameter.grad = gradient.clone()
        optimizer.step()


def textbook(start: Tensor, found: list[Tensor]) -> Tensor:
    """Algorithm 3 of Vyas et al. 2024 for a matrix, in matrix products."""
    w, first = start.clone(), found[0]
    left, right = first @ first.T, first.T @ first
    ql, qr = torch.linalg.eigh(left)[1].flip(1), torch.linalg.eigh(right)[1].flip(1)
    mean, square = torch.zeros_like(w), torch.zeros_like(w)
    for t, g in enumerate(found[1:], 1):
        left = MEMORY * left + (1 - MEMORY) * g @ g.T
        right = MEMORY * right + (1 - MEMORY) * g.T @ g
        mean = BETAS[0] * mean + (1 - BETAS[0]) * g
        square = BETAS[1] * square + (1 - BETAS[1]) * (ql.T @ g @ qr) ** 2
        m = ql.T @ mean @ qr / (1 - BETAS[0] ** t)
        v = square / (1 - BETAS[1] ** t)
        w = w - RATE * ql @ (m / (v.sqrt() + EPS)) @ qr.T
        if t % EVERY == 0:
            order = (ql.T @ left @ ql).diagonal().argsort(descending=True)
            ql, square = torch.linalg.qr(left @ ql[:, order])[0], square[order]
            order = (qr.T @ right @ qr).diagonal().argsort(descending=True)
            qr, square = torch.linalg.qr(right @ qr[:, order])[0], square[:, order]
    return w


def test_a_matrix_moves_as_in_the_paper() -> None:
    found = gradients(5, 4)
    start = torch.ones(5, 4, dtype=torch.float64)
    parameter = torch.nn.Parameter(start.clone())
    follow(parameter, soap(parameter), found)
    torch.testing.assert_close(parameter.detach(), textbook(start, found))


def test_without_a_basis_it_is_adam_after_the_first_step() -> None:
    found = gradients(7)
    ours, theirs = (torch.nn.Parameter(torch.zeros(7, dtype=torch.float64)) for _ in range(2))
    follow(ours, soap(ours, largest=4), found)
    follow(theirs, torch.optim.Adam([theirs], RATE, BETAS, EPS), found[1:])
    torch.testing.assert_close(ours, theirs)


def test_a_rotation_of_the_problem_rotates_the_steps() -> None:
    """What Adam cannot do: it treats every coordinate apart."""
    found = gradients(4, 3, 3, 3)
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    straight = torch.nn.Parameter(torch.zeros(4, 3, 3, 3, dtype=torch.float64))
    turned = torch.nn.Parameter(torch.zeros(4, 3, 3, 3, dtype=torch.float64))
    follow(straight, soap(straight), found)
    follow(turned, soap(turned), [torch.einsum("ab,bxyz->axyz", turn, g) for g in found])
    expected = torch.einsum("ab,bxyz->axyz", turn, straight.detach())
    torch.testing.assert_close(turned.detach(), expected)


def test_bases_stay_orthonormal_even_without_gradients() -> None:
    parameter = torch.nn.Parameter(torch.zeros(6, 2, 3, 3))
    optimizer = soap(parameter)
    follow(parameter, optimizer, [torch.zeros(6, 2, 3, 3)] * 4)
    assert not parameter.any()
    follow(parameter, optimizer, [g.float() for g in gradients(6, 2, 3, 3)])
    for basis in optimizer.state[parameter]["bases"]:
        torch.testing.assert_close(basis.T @ basis, torch.eye(len(basis)), atol=1e-5, rtol=0)


def test_rotate_back_undoes_rotate() -> None:
    x = gradients(4, 3, 2, 2, count=1)[0]
    bases = [torch.linalg.qr(gradients(size, size, count=1)[0])[0] for size in (4, 3, 4)]
    turned = rotate(modes(x), bases)
    torch.testing.assert_close(rotate(turned, bases, back=True).reshape(x.shape), x)
    expected = torch.einsum("oik,oa,ib,kc->abc", modes(x), *bases)
    torch.testing.assert_close(turned, expected)


def test_the_state_resumes_to_the_same_steps() -> None:
    found = gradients(5, 4)
    whole = torch.nn.Parameter(torch.ones(5, 4, dtype=torch.float64))
    follow(whole, soap(whole), found)
    part = torch.nn.Parameter(torch.ones(5, 4, dtype=torch.float64))
    optimizer = soap(part)
    follow(part, optimizer, found[:7])
    resumed = soap(part)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    follow(part, resumed, found[7:])
    torch.testing.assert_close(part, whole)


def test_a_first_gradient_of_low_rank_gives_bases() -> None:
    """In float32 LAPACK fails to find the eigenvectors of this one's covariance."""
    generator = torch.Generator().manual_seed(57)
    gradient = torch.randn(256, 2, generator=generator) @ torch.randn(2, 600, generator=generator)
    gradient *= torch.rand(256, 1, generator=generator) < 0.6
    parameter = torch.nn.Parameter(torch.zeros(256, 600))
    optimizer = soap(parameter)
    follow(parameter, optimizer, [gradient, gradient])
    left, _ = optimizer.state[parameter]["bases"]
    torch.testing.assert_close(left.T @ left, torch.eye(256), atol=1e-5, rtol=0)
    assert parameter.isfinite().all()
