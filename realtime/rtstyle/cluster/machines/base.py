"""Machines that do tasks: what a task takes of them, and how plans are carried out on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rtstyle.cluster.inputs import Input
from rtstyle.cluster.plans import Plan, Request
from rtstyle.cluster.rounds import Round
from rtstyle.cluster.tally import Tally, Told
from rtstyle.errors import RtstyleError

MOST_THREADS = 4
"""CPU threads of a task at most: side by side, small tasks get more out of many cores."""
ANYWHERE = ("auto", "cuda", "tensorrt", "webgpu", "openvino:gpu", "gpu")
"""Devices for which a task takes a GPU where the cluster has any."""


class Machines(ABC):
    """Hands out the tasks of plans and gathers their results.

    `cores` are the CPUs of each machine. A handle stands for a task that was handed out.
    """

    def __init__(self, cores: Sequence[int], gpus: float = 0) -> None:
        self.count, self.gpus = len(cores), gpus
        self.threads = min(MOST_THREADS, *cores)
        self.cores = sum(cores)
        self.device = "cpu"
        self._sent: dict[Any, Input] = {}

    def take(self, device: str) -> None:
        """Choose what tasks take: a GPU each where there are some and `device` may be one."""
        self.device = device

    @property
    def on_gpu(self) -> bool:
        """Whether tasks take GPUs."""
        return bool(self.gpus) and self.device in ANYWHERE

    @property
    def shown(self) -> str:
        """How many machines there are, as it is told."""
        return f"{self.count} machines" if self.count > 1 else "this machine"

    @property
    def slots(self) -> int:
        """How many painting tasks run at once."""
        return max(1, int(self.gpus) if self.on_gpu else self.cores // self.threads)

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

    @abstractmethod
    def tally(self) -> Tally:
        """Return what tasks report to."""

    @abstractmethod
    def progress(self) -> dict[str, Told]:
        """Return what tasks have told, by key."""

    @abstractmethod
    def share(self, value: Any) -> Any:
        """Put a value where every machine fetches it once."""

    @abstractmethod
    def submit(self, request: Request) -> Any:
        """Hand a task out, and return its handle."""

    @abstractmethod
    def wait(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Wait for a task to end, so many seconds at most; return handles of those that have."""

    @abstractmethod
    def result(self, handle: Any) -> Any:
        """Return the result of a task that has ended, or the `Failure` of one that was lost."""

    @abstractmethod
    def cancel(self, handle: Any) -> None:
        """Give a task up."""

    @abstractmethod
    def send(self, given: Input) -> Input:
        """Return a file of the caller's that a machine does not see, as a task can read it."""

    def send_inputs(self, request: Request) -> bool:
        """Send the files of a task that a machine does not see; return True if any was new.

        A file that is gone is noted as lost: only that one fails, not all of its task.
        """
        wanted = [
            value for arg in request.args
            for value in (arg if isinstance(arg, list) else [arg])
            if isinstance(value, Input) and not value.remote and value.name not in self._sent
        ]  # fmt: skip
        for value in wanted:
            self._sent[value.name] = self.send(value)
        return bool(wanted)

    def sent_form(self, value: Any) -> Any:
        """Return an argument of a task with its inputs as they were sent."""
        if isinstance(value, list):
            return [self.sent_form(each) for each in value]
        return self._sent.get(value.name, value) if isinstance(value, Input) else value

    def forget(self, name: Any) -> None:
        """Let go of a file that was sent."""
        self._sent.pop(name, None)
