"""`--cluster`: from an address to machines."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rtstyle.cluster.machines.here import Here, suffices
from rtstyle.cluster.machines.on_ray import RayMachines
from rtstyle.engines.devices import cpu_count
from rtstyle.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from rtstyle.cluster.machines.base import Machines

ENVIRONMENT = {
    # Nothing is told to anybody, and no accelerator is hidden from tasks without one.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Under `uv run` Ray would have each worker make an environment from this project: machines have
    # rtstyle installed, and through a client the workers wait for ever.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Workers of a cluster that is started here are as important as this process: by default they
    # let all others go first, and hardly run where the machine has other work.
    "RAY_worker_niceness": "0",
    # They come with the tasks: a process for each core before any is known costs a second of CPU
    # each.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}
QUIET: dict[str, Any] = {
    "log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False,
    "include_dashboard": False,
}  # fmt: skip


@contextmanager
def connected(address: str) -> Iterator[Machines]:
    """Connect to a cluster: `auto` is the one that this machine is in, or this machine alone.

    Alone, a machine that does one task at a time does it in this process, without Ray (whose start
    takes some ten seconds of CPU); RAY_ADDRESS=local starts Ray nevertheless. Raises
    `MissingExtraError` without Ray, `UsageError` for an address where there is no cluster.
    """
    if address != "auto" and not address.startswith("ray://"):
        raise UsageError(
            f"--cluster {address} is not a cluster.", "", "Use auto, or ray://HOST:10001."
        )
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            "--cluster needs Ray, which is not installed.",
            "It comes for Python 3.10 to 3.13.",
            "Install rtstyle[cluster].",
        ) from error
    # It warns of what is as it should be, in the middle of the bar.
    logging.getLogger("ray").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield RayMachines(ray)
    elif not is_there(ray, address) and suffices(cpu_count()):
        with Here(cpu_count()) as here:
            yield here
    else:
        try:
            if not ray.is_initialized():
                init(ray, "local")
            yield RayMachines(ray)
        finally:
            ray.shutdown()


def is_there(ray: Any, address: str) -> bool:
    """Connect to a cluster, and return True; return False if `auto` finds none."""
    try:
        init(ray, address)
    except UsageError:
        if address != "auto" or os.environ.get("RAY_ADDRESS"):
            raise
        return False
    return True


def init(ray: Any, address: str) -> None:
    """Connect to a cluster, or start one here if the address is local. Raises `UsageError`."""
    try:
        ray.init(address, **QUIET)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"There is no cluster at {address} that answers.",
            str(error).strip().splitlines()[0] if str(error).strip() else "",
            "Start one: ray start --head (see realtime/README.md).",
        ) from error
