"""Runs inputs through one target in this process, which may well crash: python -m fuzz.child."""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import shutil
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from rtstyle.bench.memory import peak_memory

LIMIT = 60.0
"""Seconds that one input may take."""
MEMORY = 4 << 30
"""Bytes of memory that the process may write to."""


class Runner:
    """Counts what became of the inputs. The present one lies in the file `current`."""

    def __init__(self, target: Any, work: Path, seconds: float) -> None:
        self.target, self.work = target, work
        self.ends = time.monotonic() + seconds
        self.count = {"inputs": 0, "refused": 0}
        self.slowest = 0.0

    def take(self, data: bytes) -> None:
        """Run one input. Raises what no input may cause."""
        from rtstyle.errors import RtstyleError

        (self.work / "current").write_bytes(data)
        folder = self.work / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        began = time.monotonic()
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        try:
            self.target.run(data, folder)
        except RtstyleError as error:
            self.count["refused"] += 1
            if not str(error).strip() or "\n" in str(error):
                raise AssertionError(f"a refusal of no line or several: {error}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
            self.count["inputs"] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    def search(self, inputs: Any, most: int, seed: int) -> None:
        """Run inputs that Hypothesis makes until one fails, time is up, or there were `most`."""
        import hypothesis
        from hypothesis import HealthCheck, Phase

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=most,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @hypothesis.given(inputs)
        def attempt(data: bytes) -> None:
            if time.monotonic() < self.ends:
                self.take(data)

        attempt()


def limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("work", type=Path)
    parser.add_argument("--most", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=Path, action="append", default=[])
    options = parser.parse_args()
    os.environ["RTSTYLE_CACHE"] = str(options.work / "cache")
    os.environ["RTSTYLE_STYLES"] = str(options.work.parent / "styles")
    faulthandler.enable()
    warnings.simplefilter("ignore")
    limit_memory()
    from fuzz.targets import TARGETS

    sound = options.work / "sound"
    sound.mkdir(parents=True, exist_ok=True)
    runner = Runner(TARGETS[options.target], options.work, options.seconds)
    failure = ""
    try:
        for file in options.file:
            runner.take(file.read_bytes())
        if not options.file:
            runner.search(runner.target.inputs(sound), options.most, options.seed)
    except BaseException:
        failure = traceback.format_exc()
    facts = {
        **runner.count,
        "slowest": runner.slowest,
        "peak": peak_memory() >> 20,
        "failure": failure,
    }
    (options.work / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    sys.stdout.flush()
    # Threads of a library must not hold the process.
    os._exit(1 if failure else 0)


if __name__ == "__main__":
    main()
