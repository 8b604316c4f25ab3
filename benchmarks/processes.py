"""Run processes and say what they cost: wall time, CPU time, memory.

Decides how a cost is measured, and how several are summed up. What is run is decided elsewhere.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]  # where `python -m benchmarks.…` works


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process cost: seconds on the clock, seconds of CPU (its own and the kernel's).

    `peak` is the most memory that it had at once, in MiB.
    """

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some numbers, and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        """Sum up at least one number."""
        if len(numbers) < 2:
            return cls(numbers[0], numbers[0], numbers[0])
        low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
        return cls(median, low, high)


def cost_of(command: Sequence[str], environ: Mapping[str, str], *, code: int = 0) -> Cost:
    """Run a command to its end, silently, and return its cost with that of its children.

    Raises RuntimeError with what it said when its exit code is not `code`.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    with process.stdout as output:
        said = output.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        text = said.decode("utf-8", "replace").strip()
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}: {text}")
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # bytes there, KiB elsewhere
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


class Host:
    """A cluster in a process of its own (such as `benchmarks.host`), so that its work counts not.

    `about` is what it said of itself when it was ready.
    """

    def __init__(self, *arguments: str, module: str = "benchmarks.host") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self.answer()

    def release(self) -> None:
        """Deploy the next version and wait until it serves."""
        self.say("release")
        self.answer()

    def say(self, order: str) -> None:
        """Give an order, without waiting until it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the oldest order that has none yet."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the host of the benchmark ended: see what it said above")
        found: dict[str, Any] = json.loads(line)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()  # the host ends with its input
        self._process.wait(30)
        self._process.stdout.close()


def machine() -> str:
    """Describe the machine in general words."""
    cores = os.cpu_count() or 1
    return f"{platform.system()}, {cores} cores, Python {platform.python_version()}"
