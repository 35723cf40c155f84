"""Parity of exported files on small pictures: on whole ones it takes most of the time of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rtstyle import samples
from rtstyle.frame import Image

whole_frames = samples.sample_frames


@pytest.fixture(autouse=True)
def _small_parity_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parts of the bundled clip in place of eight frames; what imports them itself has all."""

    def parts(count: int = 8) -> Iterator[Image]:
        return (frame[100:220, 200:360].copy() for frame in whole_frames(min(count, 2)))

    monkeypatch.setattr(samples, "sample_frames", parts)
