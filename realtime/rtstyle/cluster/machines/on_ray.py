"""The machines of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rtstyle.cluster.inputs import Input, send
from rtstyle.cluster.machines.base import Machines
from rtstyle.cluster.plans import RETRIES, Request
from rtstyle.cluster.tally import Counts, Told
from rtstyle.cluster.tasks import Failure
from rtstyle.errors import UsageError

PATIENCE = 5.0
"""Seconds to wait for the tally: where it was lost with its machine, it comes back."""


@dataclass(frozen=True)
class SentTally:
    """Reports from a task on any machine to the actor that counts."""

    actor: Any

    def __call__(self, key: str, frames: int) -> None:
        """Note the frames of a task."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        # The actor may be lost with its machine, and comes back.
        with suppress(Exception):
            self.actor.report.remote(key, frames, os.getpid(), node)


class RayMachines(Machines):
    """A cluster that is connected. `ray` is the library."""

    def __init__(self, ray: Any) -> None:
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cores = [int(found["CPU"]) for found in alive if found.get("CPU", 0) >= 1]
        if not cores:
            raise UsageError("The cluster has no CPU to paint with.", "", "Start a worker.")
        super().__init__(cores, sum(found.get("GPU", 0) for found in alive))
        self.count = len(alive)
        self._ray = ray
        self._functions: dict[Any, Any] = {}
        self._tally: SentTally | None = None

    def tally(self) -> SentTally:
        """Return what tasks report to: an actor beside the caller."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if self._tally is None:
            here = self._ray.get_runtime_context().get_node_id()
            actor = self._ray.remote(Counts).options(
                num_cpus=0, max_restarts=-1,
                scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=True),
            )  # fmt: skip
            self._tally = SentTally(actor.remote())
        return self._tally

    def progress(self) -> dict[str, Told]:
        """Return what tasks have told, by key."""
        errors = (self._ray.exceptions.RayError, TimeoutError)
        with suppress(*errors):
            reply = self.tally().actor.read.remote()
            found: dict[str, Told] = self._ray.get(reply, timeout=PATIENCE)
            return found
        return {}

    def share(self, value: Any) -> Any:
        """Put a value where every machine fetches it once."""
        return self._ray.put(value)

    def submit(self, request: Request) -> Any:
        """Hand a task to Ray."""
        if request.work not in self._functions:
            self._functions[request.work] = self._ray.remote(request.work)
        taken: dict[str, Any] = {"num_cpus": 1 if request.light else self.threads}
        if self.on_gpu and not request.light:
            taken = {"num_cpus": 1, "num_gpus": 1}
        return self._functions[request.work].options(
            max_retries=RETRIES, retry_exceptions=False, **taken
        ).remote(*map(self.sent_form, request.args), **request.options)  # fmt: skip

    def wait(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Wait for a task to end, so many seconds at most; return handles of those that have."""
        ready: list[Any] = self._ray.wait(list(handles), num_returns=1, timeout=seconds)[0]
        return ready

    def result(self, handle: Any) -> Any:
        """Return the result of a task that has ended, or the `Failure` of one that was lost."""
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ImportError) or "ModuleNotFoundError" in str(error):
                return Failure(
                    "A machine of the cluster cannot import what a task needs: "
                    f"{str(error).strip().splitlines()[-1]}. Install the same rtstyle on all of "
                    "them, with the same extras."
                )
            raise
        except self._ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:300]
            return Failure(
                f"A task was lost {RETRIES + 1} times: {reason} Perhaps it takes more memory than "
                "a machine has: choose a smaller --height."
            )

    def cancel(self, handle: Any) -> None:
        """Give a task up."""
        with suppress(Exception):
            self._ray.cancel(handle)

    def send(self, given: Input) -> Input:
        """Put a file into Ray's object store."""
        return send(given)
