"""A running picture's controls, served on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.desks import NotingDesk

from rtstyle.remote.server import Address, ControlServer


@pytest.fixture
def desk() -> NotingDesk:
    return NotingDesk()


@pytest.fixture
def server(desk: NotingDesk) -> Iterator[ControlServer]:
    with ControlServer(desk.board, Address(port=0)) as server:
        yield server
