"""The machines: Ray, what a task takes of them, and tasks handed out and gathered."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TypeAlias

from rtstyle.cluster.inputs import Input, send
from rtstyle.cluster.tasks import Failure, Tally
from rtstyle.errors import MissingExtraError, RtstyleError, UsageError
from rtstyle.signals import HANGUP, handled

MOST_THREADS = 4
"""CPU threads of a task at most: side by side, small tasks get more out of many cores."""
RETRIES = 5
"""How often a task whose machine or process was lost is tried again."""
WAITING = 4
"""Tasks handed to Ray for each that can run: enough to keep all busy, few enough to follow."""
POLL = 0.5
"""Seconds between two looks at how far the tasks are."""
ANYWHERE = ("auto", "cuda", "tensorrt", "webgpu", "openvino:gpu", "gpu")
"""Devices for which a task takes a GPU where the cluster has any."""


class LostError(RtstyleError):
    """A task that no machine brought to its end."""


class FailedError(RtstyleError):
    """A task that came to nothing; `kind` is that of its `Failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.kind = failure.kind


class StoppedError(Exception):
    """The user ended the run."""


@dataclass
class Request:
    """A task to be done: a function with its arguments, of which the first `Input` may be sent.

    `light` tasks decode and compare, and take one CPU. `done` is called with the result as soon as
    it is there. `frames` is how many will be painted.
    """

    work: Callable[..., Any]
    args: tuple[Any, ...]
    key: str = ""
    light: bool = False
    frames: int = 0
    done: Callable[[Any], None] = lambda _: None
    options: dict[str, Any] = field(default_factory=dict)


Plan: TypeAlias = Generator[Sequence[Request], list[Any], Any]
"""Asks for tasks, gets their results in the same order, and returns what came of all."""


@dataclass
class _Open:
    """A plan under way, with the results of the tasks that it waits for."""

    number: int
    plan: Plan
    results: list[Any] = field(default_factory=list)
    left: int = 0
    over: bool = False


@contextmanager
def connected(address: str) -> Iterator[Machines]:
    """Connect to a cluster: `auto` is the one of this machine, or one of this machine alone.

    Raises `MissingExtraError` without Ray, `UsageError` for an address where there is none.
    """
    # Nothing is told to anybody, and no accelerator is hidden from tasks without one.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            "--cluster needs Ray, which is not installed.",
            "It comes for Python 3.10 to 3.13.",
            "Install rtstyle[cluster].",
        ) from error
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
        self, plans: Iterable[Plan], watch: Callable[[dict[str, int]], None] = lambda _: None
    ) -> Iterator[tuple[int, Any]]:
        """Carry plans out; yield number and result of each, or its `RtstyleError`, as they end.

        `watch` is called now and then with the frames that running tasks have painted, by key.
        Raises `StoppedError` after Ctrl-C.
        """
        with _Round(self, plans, watch) as turns:
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

    def progress(self) -> dict[str, tuple[int, int, str]]:
        """Return frames, process and node of running tasks, by key."""
        import ray
        from ray.exceptions import RayError

        with suppress(RayError, TimeoutError):
            found: dict[str, tuple[int, int, str]] = ray.get(
                self.tally().read.remote(), timeout=5 * POLL
            )
            return found
        return {}


class _Round:
    """The tasks of some plans, each handed out as soon as there is room."""

    def __init__(
        self,
        machines: Machines,
        plans: Iterable[Plan],
        watch: Callable[[dict[str, int]], None],
    ) -> None:
        self._machines, self._watch = machines, watch
        self._plans = enumerate(plans)
        self._queue: deque[tuple[_Open, int, Request]] = deque()
        self._running: dict[Any, tuple[_Open, int, Request]] = {}
        self._ended: deque[tuple[int, Any]] = deque()
        self._more = self._stopped = False

    def __enter__(self) -> _Round:
        self._more = True
        self._handling = handled(self._on_signal)
        self._handling.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._handling.__exit__(None, None, None)
        self._cancel(list(self._running))

    def _on_signal(self, number: int, _stack: FrameType | None) -> None:
        if self._stopped and number != HANGUP:
            raise KeyboardInterrupt
        self._stopped = True

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        looked = time.monotonic()
        while True:
            self._fill()
            while self._ended:
                yield self._ended.popleft()
            if not self._running and not self._queue and not self._more:
                return
            self._gather()
            if self._stopped:
                raise StoppedError
            if time.monotonic() - looked >= POLL:
                looked = time.monotonic()
                found = self._machines.progress()
                going = {request.key for _, _, request in self._running.values()}
                self._watch({key: told[0] for key, told in found.items() if key in going})

    def _fill(self) -> None:
        """Begin plans, and hand out tasks, as long as there is room."""
        room = WAITING * self._machines.slots
        while self._more and len(self._running) + len(self._queue) < room:
            number, plan = next(self._plans, (0, None))
            if plan is None:
                self._more = False
            else:
                self._go_on(_Open(number, plan), None)
        while self._queue and len(self._running) < room:
            item = self._queue.popleft()
            if not item[0].over:
                self._running[self._machines.submit(item[2])] = item

    def _go_on(self, opened: _Open, given: list[Any] | RtstyleError | None) -> None:
        """Give a plan its results, and queue what it asks for next."""
        try:
            while True:
                if isinstance(given, RtstyleError):
                    requests = opened.plan.throw(given)
                else:
                    requests = opened.plan.send(given)  # type: ignore[arg-type]
                if requests:
                    break
                given = []
        except StopIteration as end:
            opened.over = True
            self._ended.append((opened.number, end.value))
        except (RtstyleError, OSError) as error:
            opened.over = True
            wrong = error if isinstance(error, RtstyleError) else LostError(str(error))
            self._ended.append((opened.number, wrong))
        else:
            opened.results, opened.left = [None] * len(requests), len(requests)
            # What is begun is finished first, so that outputs appear early.
            self._queue.extend((opened, place, r) for place, r in enumerate(requests))

    def _gather(self) -> None:
        """Wait a moment for results, and give them to their plans."""
        import ray

        if not self._running:
            return
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=POLL)
        for reference in ready:
            opened, place, request = self._running.pop(reference)
            if opened.over:
                continue
            result = fetched(reference)
            if isinstance(result, Failure) and result.kind == "absent":
                try:
                    if self._machines.send_inputs(request):
                        self._queue.appendleft((opened, place, request))
                        continue
                except RtstyleError as error:
                    result = Failure(str(error))
            if isinstance(result, Failure):
                self._drop(opened)
                self._go_on(opened, FailedError(result))
                continue
            request.done(result)
            opened.results[place] = result
            opened.left -= 1
            if not opened.left:
                self._go_on(opened, opened.results)

    def _drop(self, opened: _Open) -> None:
        """Give up the other tasks of a plan, one of which came to nothing."""
        self._queue = deque(item for item in self._queue if item[0] is not opened)
        mine = [ref for ref, item in self._running.items() if item[0] is opened]
        for reference in mine:
            del self._running[reference]
        self._cancel(mine)

    def _cancel(self, references: Iterable[Any]) -> None:
        import ray

        for reference in references:
            with suppress(Exception):
                ray.cancel(reference)


def fetched(reference: Any) -> Any:
    """Return the result of a task that has ended, or the `Failure` of one that was lost."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, ImportError) or "ModuleNotFoundError" in str(error):
            return Failure(
                "A machine of the cluster cannot import what a task needs: "
                f"{str(error).strip().splitlines()[-1]}. Install the same rtstyle on all of them, "
                "with the same extras."
            )
        raise
    except RayError as error:
        reason = " ".join(str(error).split())[:300]
        return Failure(
            f"A task was lost {RETRIES + 1} times: {reason} Perhaps it takes more memory than a "
            "machine has: choose a smaller --height."
        )
