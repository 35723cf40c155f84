"""The machines: Ray, what a task takes of them, and how it is handed to them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rtstyle.cluster.inputs import Input, send
from rtstyle.cluster.plans import RETRIES, Plan, Request
from rtstyle.cluster.rounds import Round
from rtstyle.cluster.tasks import Tally, Told
from rtstyle.errors import MissingExtraError, RtstyleError, UsageError

MOST_THREADS = 4
"""CPU threads of a task at most: side by side, small tasks get more out of many cores."""
PATIENCE = 5.0
"""Seconds to wait for the tally: where it was lost with its machine, it comes back."""
ANYWHERE = ("auto", "cuda", "tensorrt", "webgpu", "openvino:gpu", "gpu")
"""Devices for which a task takes a GPU where the cluster has any."""


@contextmanager
def connected(address: str) -> Iterator[Machines]:
    """Connect to a cluster: `auto` is the one of this machine, or one of this machine alone.

    Raises `MissingExtraError` without Ray, `UsageError` for an address where there is none.
    """
    # Nothing is told to anybody, and no accelerator is hidden from tasks without one.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Under `uv run` Ray would have each worker make an environment from this project: machines have
    # rtstyle installed, and through a client the workers wait for ever.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    # Workers of a cluster that is started here are as important as this process: by default they
    # let all others go first, and hardly run where the machine has other work.
    os.environ.setdefault("RAY_worker_niceness", "0")
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
    if address != "auto" and not address.startswith("ray://"):
        raise UsageError(
            f"--cluster {address} is not a cluster.", "", "Use auto, or ray://HOST:10001."
        )
    there = ray.is_initialized()
    if not there:
        try:
            ray.init(
                None if address == "auto" else address,
                log_to_driver=False, logging_level=logging.ERROR, configure_logging=False,
            )  # fmt: skip
        except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"There is no cluster at {address} that answers.",
                str(error).strip().splitlines()[0] if str(error).strip() else "",
                "Start one: ray start --head (see realtime/README.md).",
            ) from error
    try:
        yield Machines()
    finally:
        if not there:
            ray.shutdown()


class Machines:
    """A cluster that is connected: hands out the tasks of plans and gathers their results."""

    def __init__(self) -> None:
        import ray

        nodes: Any = ray.nodes()  # type: ignore[no-untyped-call]
        alive = [node["Resources"] for node in nodes if node["Alive"]]
        cores = [int(found["CPU"]) for found in alive if found.get("CPU", 0) >= 1]
        if not cores:
            raise UsageError("The cluster has no CPU to paint with.", "", "Start a worker.")
        self.count = len(alive)
        self.gpus = sum(found.get("GPU", 0) for found in alive)
        self.threads = min(MOST_THREADS, *cores)
        self.cores = sum(cores)
        self.device = "cpu"
        self._functions: dict[Any, Any] = {}
        self._sent: dict[Any, Input] = {}
        self._tally: Any = None

    def take(self, device: str) -> None:
        """Choose what tasks take: a GPU each where there are some and `device` may be one."""
        self.device = device

    @property
    def on_gpu(self) -> bool:
        """Whether tasks take GPUs."""
        return bool(self.gpus) and self.device in ANYWHERE

    @property
    def slots(self) -> int:
        """How many painting tasks run at once."""
        return max(1, int(self.gpus) if self.on_gpu else self.cores // self.threads)

    def tally(self) -> Any:
        """Return the actor that tasks report to, beside the caller."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if self._tally is None:
            here = ray.get_runtime_context().get_node_id()
            self._tally = ray.remote(Tally).options(
                num_cpus=0, max_restarts=-1,
                scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=True),
            ).remote()  # fmt: skip
        return self._tally

    def share(self, value: Any) -> Any:
        """Put a value where every machine fetches it once."""
        import ray

        return ray.put(value)

    def call(self, request: Request) -> Any:
        """Do one task and return its result. Raises `FailedError` or `LostError`."""

        def one() -> Plan:
            return (yield [request])[0]

        ((_, result),) = self.run([one()])
        if isinstance(result, RtstyleError):
            raise result
        return result

    def run(
        self, plans: Iterable[Plan], watch: Callable[[dict[str, Told]], None] = lambda _: None
    ) -> Iterator[tuple[int, Any]]:
        """Carry plans out; yield number and result of each, or its `RtstyleError`, as they end.

        `watch` is called now and then with what running tasks have told, by key.
        Raises `StoppedError` after Ctrl-C.
        """
        with Round(self, plans, watch) as turns:
            yield from turns

    def submit(self, request: Request) -> Any:
        """Hand a task to Ray."""
        import ray

        if request.work not in self._functions:
            self._functions[request.work] = ray.remote(request.work)
        taken: dict[str, Any] = {"num_cpus": 1 if request.light else self.threads}
        if self.on_gpu and not request.light:
            taken = {"num_cpus": 1, "num_gpus": 1}
        return self._functions[request.work].options(
            max_retries=RETRIES, retry_exceptions=False, **taken
        ).remote(*map(self._sent_form, request.args), **request.options)  # fmt: skip

    def _sent_form(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._sent_form(each) for each in value]
        return self._sent.get(value.name, value) if isinstance(value, Input) else value

    def send_inputs(self, request: Request) -> bool:
        """Send the files of a task that a machine does not see; return False if they were sent."""
        wanted = [
            value for arg in request.args
            for value in (arg if isinstance(arg, list) else [arg])
            if isinstance(value, Input) and not value.remote and value.name not in self._sent
        ]  # fmt: skip
        for value in wanted:
            self._sent[value.name] = send(value)
        return bool(wanted)

    def forget(self, name: Any) -> None:
        """Let go of a file that was sent."""
        self._sent.pop(name, None)

    def progress(self) -> dict[str, Told]:
        """Return what tasks have told, by key."""
        import ray
        from ray.exceptions import RayError

        with suppress(RayError, TimeoutError):
            found: dict[str, Told] = ray.get(self.tally().read.remote(), timeout=PATIENCE)
            return found
        return {}
