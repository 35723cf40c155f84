"""SOAP for many small parameters at once, without a word to the host: a step fits a CUDA graph.

The mathematics is that of `soap` (Vyas et al. 2024, algorithm 3). Parameters of one shape are
stacked, so that a step takes a few kernels for each shape and not for each parameter, and the
bases are renewed by `renew`, apart from `step`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from rtstyle_export.maths.soap import modes

FIRST, SECOND, MEMORY, EPS = 0.95, 0.98, 0.97, 1e-8
LARGEST = 600
"""Dimensions of more entries keep their own basis."""


class SoapGroup:
    """Parameters of one shape (O, I, k), stacked to (P, O, I, k), or vectors joined to one (1, n).

    Vectors and matrices of norms take Adam, which is SOAP in their own basis.
    """

    def __init__(self, parameters: Sequence[Parameter], rotated: bool) -> None:
        self.parameters = list(parameters)
        self.rotated = rotated
        like = self.stacked([p.detach() for p in self.parameters])
        self.mean, self.square = torch.zeros_like(like), torch.zeros_like(like)
        sizes = like.shape[1:] if rotated else ()
        self.covariances = [
            like.new_zeros(like.shape[0], n, n) if 1 < n <= LARGEST else None for n in sizes
        ]
        self.bases = [None if c is None else torch.zeros_like(c) for c in self.covariances]

    def stacked(self, values: Sequence[Tensor]) -> Tensor:
        """Join values of the parameters' shapes to one tensor."""
        if self.rotated:
            return torch.stack([modes(value.contiguous()) for value in values]).float()
        return torch.cat([value.flatten() for value in values])[None].float()

    def gradient(self) -> Tensor:
        """Return the gradients of all parameters as one tensor."""
        return self.stacked([_grad(p) for p in self.parameters])

    def apply(self, change: Tensor) -> None:
        """Add a stacked change to the parameters."""
        if self.rotated:
            parts = [part.reshape(p.shape) for part, p in zip(change, self.parameters, strict=True)]
        else:
            sizes = [p.numel() for p in self.parameters]
            pieces = torch.split(change[0], sizes)
            parts = [part.reshape(p.shape) for part, p in zip(pieces, self.parameters, strict=True)]
        torch._foreach_add_(list[Tensor](self.parameters), parts)

    def observe(self, gradient: Tensor, memory: float) -> None:
        """Take a gradient into the covariances."""
        for dim, covariance in enumerate(self.covariances):
            if covariance is not None:
                flat = gradient.movedim(dim + 1, 1).flatten(2)
                covariance.lerp_(flat @ flat.transpose(1, 2), 1 - memory)

    def rotate(self, x: Tensor, *, back: bool = False) -> Tensor:
        """Express each dimension of (P, ...) in its basis, whose columns are vectors; or undo."""
        for dim, basis in enumerate(self.bases):
            if basis is not None:
                moved = x.movedim(dim + 1, 1)
                turned = (basis if back else basis.transpose(1, 2)) @ moved.flatten(2)
                x = turned.view(moved.shape).movedim(1, dim + 1)
        return x

    def tensors(self) -> dict[str, Any]:
        """Return all that a checkpoint keeps."""
        kept = {"mean": self.mean, "square": self.square}
        for kind, values in (("covariance", self.covariances), ("basis", self.bases)):
            kept |= {f"{kind}.{n}": value for n, value in enumerate(values) if value is not None}
        return kept


class GroupedSoap:
    """SOAP over groups. `lr` is a tensor: set it before a step.

    Call `begin` once after the first backward pass, which only measures, then `step` after each,
    and `renew` every eight steps or so.
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        shapes: dict[tuple[int, ...], list[Parameter]] = {}
        plain: list[Parameter] = []
        for parameter in parameters:
            if parameter.dim() == 4 and parameter.numel() >= 256:
                shapes.setdefault(tuple(parameter.shape), []).append(parameter)
            else:
                plain.append(parameter)
        self.groups = [SoapGroup(group, rotated=True) for group in shapes.values()]
        if plain:
            self.groups.append(SoapGroup(plain, rotated=False))
        device = self.groups[0].mean.device
        self.lr = torch.zeros((), device=device)
        self.count = torch.zeros((), device=device)
        self.begun = False
        self._host = ThreadPoolExecutor(1, "rtstyle-soap")
        self._pending: Future[list[tuple[SoapGroup, int, Tensor, Tensor]]] | None = None

    @torch.no_grad()
    def begin(self) -> None:
        """Take the bases from the first gradients."""
        for group in self.groups:
            if group.rotated:
                group.observe(group.gradient(), 0.0)
                for basis, covariance in zip(group.bases, group.covariances, strict=True):
                    if basis is not None and covariance is not None:
                        # In float32 LAPACK gives up on the zero eigenvalues of a first gradient.
                        vectors = torch.linalg.eigh(covariance.double().cpu())[1]
                        basis.copy_(vectors.flip(2))
        self.begun = True

    @torch.no_grad()
    def restart(self) -> None:
        """Forget the moments, but not the bases: for another start with like gradients."""
        self.count.zero_()
        self._pending = None
        for group in self.groups:
            group.mean.zero_()
            group.square.zero_()

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their gradients."""
        self.count += 1
        first, second = 1 - FIRST**self.count, 1 - SECOND**self.count
        for group in self.groups:
            gradient = group.gradient()
            group.observe(gradient, MEMORY)
            group.mean.lerp_(gradient, 1 - FIRST)
            turned = group.rotate(gradient)
            group.square.mul_(SECOND).addcmul_(turned, turned, value=1 - SECOND)
            mean = group.rotate(group.mean) / first
            change = mean / ((group.square / second).sqrt() + EPS)
            group.apply(group.rotate(change, back=True) * -self.lr)

    @torch.no_grad()
    def renew(self) -> None:
        """Take a power iteration towards the eigenvectors, the largest first.

        With a GPU the host orthonormalises meanwhile, and the bases change at the next call:
        Householder's reflections of small matrices are slow there, and Cholesky's way fails on
        covariances as nearly singular as these.
        """
        if self._pending is not None:
            self._take_over(self._pending.result())
            self._pending = None
        images = []
        for group in self.groups:
            for dim, basis in enumerate(group.bases):
                covariance = group.covariances[dim] if basis is not None else None
                if basis is None or covariance is None:
                    continue
                image = covariance @ basis
                order = (basis * image).sum(1).argsort(dim=1, descending=True)
                index = order[:, None, :].expand_as(image)
                images.append((group, dim, order, image.gather(2, index)))
        if self.lr.device.type == "cpu":
            self._take_over([(g, d, o, orthogonal(image)) for g, d, o, image in images])
            return
        copies = [(g, d, o, image.cpu()) for g, d, o, image in images]
        self._pending = self._host.submit(
            lambda: [(g, d, o, orthogonal(image)) for g, d, o, image in copies]
        )

    def _take_over(self, found: list[tuple[SoapGroup, int, Tensor, Tensor]]) -> None:
        for group, dim, order, basis in found:
            old = group.bases[dim]
            if old is None or not bool(torch.isfinite(basis).all()):
                continue
            old.copy_(basis)
            moved = group.square.movedim(dim + 1, 1)
            shape = (len(order), -1, *[1] * (moved.dim() - 2))
            moved = moved.gather(1, order.view(shape).expand_as(moved))
            group.square.copy_(moved.movedim(1, dim + 1))

    def state_dict(self) -> dict[str, Any]:
        """Return all that a checkpoint keeps."""
        groups = [{k: v.cpu() for k, v in group.tensors().items()} for group in self.groups]
        return {"count": float(self.count), "begun": self.begun, "groups": groups}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo `state_dict`."""
        self.count.fill_(state["count"])
        self.begun = bool(state["begun"])
        for group, kept in zip(self.groups, state["groups"], strict=True):
            for name, value in group.tensors().items():
                value.copy_(kept[name])


def orthogonal(image: Tensor) -> Tensor:
    """Orthonormalise the columns of (P, n, n) from the first to the last."""
    found: Tensor = torch.linalg.qr(image)[0]
    return found


def _grad(parameter: Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
