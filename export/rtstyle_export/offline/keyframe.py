"""Keyframes by optimisation: each begins with the last one, moved along."""

from __future__ import annotations

from dataclasses import replace

import torch

from rtstyle.frame import Image
from rtstyle.jobs.slow.keyframes import Known
from rtstyle.jobs.slow.still import Paintings
from rtstyle_export.data import to_tensor
from rtstyle_export.offline.job import Settings, choose_device
from rtstyle_export.offline.network import load_network
from rtstyle_export.offline.pyramid import Plan, levels, paint
from rtstyle_export.offline.subject import Subject


class GatysPainter:
    """A `rtstyle.jobs.slow.keyframes.Painter`.

    What is known has the coarse levels, so they are left out.
    """

    def __init__(
        self, paintings: Paintings, scale: float, plan: Plan, settings: Settings, share: float = 1.0
    ) -> None:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.share = share
        self._paintings, self._scale, self._plan = paintings, scale, plan
        self._network = load_network(
            plan.spec.layers, settings.vgg_weights, pooling=plan.spec.pooling,
            device=choose_device(settings.device), precision=settings.precision,
        )  # fmt: skip

    def __call__(self, photo: Image, known: Known | None) -> Image:
        """Paint (H, W, 3) uint8 RGB, beginning with the photo and what is known laid over it."""
        size = photo.shape[0], photo.shape[1]
        subject = Subject(photo, [self._paintings], None, self._scale)
        if known is None:
            return paint(self._network, subject, size, self._plan).image
        count = len(levels(*size, self._plan.coarsest))
        method = replace(
            self._plan.method, closures=max(1, self._plan.method.closures >> (count - 1))
        )
        last = replace(self._plan, method=method, coarsest=max(size))
        begin = to_tensor(known(photo)).to(self._network.mean.device)
        return paint(self._network, subject, size, last, start=begin).image
