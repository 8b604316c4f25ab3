"""How long a rollback takes, from the decision on: until the patch is accepted, until all is back.

Run as `python -m benchmarks.rollback`. Guard's part is what `guard watch` does once it has decided
(`benchmarks.taking_back`); `kubectl rollout undo` takes back the same deploys in turns with it. The
embedded cluster runs in another process, if asked for at the end of a long wire.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import Host, Spread, machine
from benchmarks.startup import kubectl_version
from benchmarks.taking_back import in_words, steps, take_back
from benchmarks.undoing import Undone, undo

HOST = "benchmarks.rollback_host"
UNDO = "kubectl rollout undo"
GUARD, FAST = "guard", "guard, fast"
PATCH_HEAD = """\
| way | API server at, ms | requests | in a row | p50, ms | p90, ms | p99, ms |
|---|---|---|---|---|---|---|"""
RESTORE_HEAD = """\
| pods | ready after | surge / unavailable | new pods | guard, s | fast, s | kubectl, s \
| guard / kubectl | fast / kubectl |
|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to roll back: what the host needs for it, and the policy's `rollback`."""

    name: str
    host: tuple[str, ...] = ()
    rules: tuple[tuple[str, Any], ...] = ()


WAYS = (
    Way("guard"),
    Way("guard, 5 references", ("--config", "5")),
    Way("… and `restore_config`", ("--config", "5"), (("restore_config", True),)),
    Way("guard, `owner: suspend`", ("--argo",), (("owner", "suspend"),)),
)


@dataclass(frozen=True, slots=True)
class PatchRow:
    """One way at one distance: seconds until the patch was accepted, and the requests until then.

    `in_a_row` is the most usual number of steps that waited for each other, `words` what they were.
    """

    name: str
    round_trip: float
    seconds: tuple[float, ...]
    requests: int
    in_a_row: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A rollout that is taken back: `warm_up` is in seconds, `begins` is `full` or `half`."""

    pods: int
    warm_up: float
    surge: int | str = "25%"
    unavailable: int | str = "25%"
    begins: str = "full"

    @property
    def strategy(self) -> dict[str, Any]:
        """The Deployment's strategy."""
        rolling = {"maxSurge": self.surge, "maxUnavailable": self.unavailable}
        return {"type": "RollingUpdate", "rollingUpdate": rolling}


CASES = (
    Case(10, 1.0),
    Case(50, 1.0),
    Case(10, 5.0),
    Case(10, 1.0, 1, 0),
    Case(10, 1.0, begins="half"),
    Case(50, 1.0, begins="half"),
    Case(10, 1.0, 1, 0, begins="half"),
)
LONG_CASES = (Case(50, 5.0), Case(50, 1.0, 1, 0), Case(50, 1.0, 1, 0, begins="half"))


@dataclass(frozen=True, slots=True)
class RestoreRow:
    """One case: seconds from the decision until the rollout was complete, turn by turn."""

    case: Case
    seconds: Mapping[str, tuple[float, ...]]


def measure_patches(
    turns: int, round_trip: float, *, kubectl: str | None, ways: Sequence[Way] = WAYS
) -> Iterator[PatchRow]:
    """Take back `turns` deploys in each way, after one that does not count.

    `round_trip` is how far the API server is away, in seconds.
    """
    for way in ways:
        taken, undone = [], []
        with Host(*way.host, "--round-trip", f"{round_trip:g}", module=HOST) as host:
            kubeconfig = host.about["kubeconfig"]
            for _ in range(turns + 1):
                with _Deployed(host, "full"):
                    taken.append(take_back(kubeconfig, **dict(way.rules)))
                if way is ways[0] and kubectl is not None:
                    with _Deployed(host, "full"):
                        undone.append(undo(kubectl, kubeconfig))
        groups = [steps(patched.requests) for patched in taken[1:]]
        [(words, _)] = Counter(in_words(found) for found in groups).most_common(1)
        yield PatchRow(
            way.name,
            round_trip,
            tuple(patched.seconds for patched in taken[1:]),
            _usual([len(patched.requests) for patched in taken[1:]]),
            _usual([len(found) for found in groups]),
            words,
        )
        if undone:
            yield from _undo_rows(undone[1:], round_trip)


def _undo_rows(undone: Sequence[Undone], round_trip: float) -> Iterator[PatchRow]:
    sent = _usual([each.requests for each in undone])
    whole, asking = (each.seconds for each in undone), (each.asking for each in undone)
    yield PatchRow(UNDO, round_trip, tuple(whole), sent, sent)
    yield PatchRow("… without its start", round_trip, tuple(asking), sent, sent)


def measure_restores(
    turns: int, *, kubectl: str | None, cases: Sequence[Case] = CASES
) -> Iterator[RestoreRow]:
    """Take back `turns` deploys of each case in each way, in turns."""
    for case in cases:
        arguments = ["--replicas", str(case.pods), "--warm-up", f"{case.warm_up:g}"]
        arguments += ["--strategy", json.dumps(case.strategy)]
        with Host(*arguments, module=HOST) as host:
            ways = _restores(host.about["kubeconfig"], kubectl)
            found: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(turns):
                for name, way in ways.items():
                    with _Deployed(host, case.begins) as deployed:
                        decided_at = way()
                    found[name].append(deployed.back_at - decided_at)
        yield RestoreRow(case, {name: tuple(seconds) for name, seconds in found.items()})


def _restores(kubeconfig: str, kubectl: str | None) -> dict[str, Callable[[], float]]:
    """Return what rolls back in each way, and returns when it was decided."""
    ways = {
        GUARD: lambda: take_back(kubeconfig).decided_at,
        FAST: lambda: take_back(kubeconfig, fast=True).decided_at,
    }
    if kubectl is not None:
        ways[UNDO] = lambda: undo(kubectl, kubeconfig).began_at
    return ways


class _Deployed:
    """A candidate that is live when this is entered; when it is left, the first version is back."""

    def __init__(self, host: Host, begins: str) -> None:
        self._host = host
        self._begins = begins
        self.back_at = math.nan  # Unix seconds

    def __enter__(self) -> _Deployed:
        self._host.say(self._begins)
        self._host.answer()
        self._host.say("await")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.back_at = float(self._host.answer()["at"])


def patch_row(row: PatchRow) -> str:
    """Lay a row out, as Markdown."""
    cells = [row.name, f"{row.round_trip * 1000:g}", str(row.requests), str(row.in_a_row)]
    cells += [f"{percentile(row.seconds, share) * 1000:.0f}" for share in (0.5, 0.9, 0.99)]
    return f"| {' | '.join(cells)} |"


def restore_row(row: RestoreRow) -> str:
    """Lay a row out, as Markdown; quartiles are in brackets, the ratios are turn by turn."""
    case, undone = row.case, row.seconds.get(UNDO)
    cells = [
        str(case.pods),
        f"{case.warm_up:g} s",
        f"{case.surge} / {case.unavailable}",
        {"full": "all", "half": "half"}[case.begins],
        *(_spread(row.seconds.get(name)) for name in (GUARD, FAST, UNDO)),
    ]
    for name in (GUARD, FAST):
        pairs = list(zip(row.seconds[name], undone, strict=True)) if undone else []
        cells.append(_spread([a / b for a, b in pairs], 2))
    return f"| {' | '.join(cells)} |"


def percentile(numbers: Sequence[float], share: float) -> float:
    """Return the smallest number that at least `share` of all do not exceed (nearest rank)."""
    return sorted(numbers)[max(0, math.ceil(share * len(numbers)) - 1)]


def _usual(numbers: Sequence[int]) -> int:
    return Counter(numbers).most_common(1)[0][0]


def _spread(numbers: Sequence[float] | None, digits: int = 1) -> str:
    if not numbers:
        return "–"
    found = Spread.of(numbers)
    median, low, high = (f"{n:.{digits}f}" for n in (found.median, found.low, found.high))
    return f"{median} ({low}–{high})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollback")
    parser.add_argument("--turns", type=int, default=20, help="rollbacks until the patch")
    parser.add_argument("--round-trips", type=float, nargs="+", default=[0.0, 5.0], help="in ms")
    parser.add_argument("--restores", type=int, default=1, help="rollbacks until all is back")
    parser.add_argument("--long", action="store_true", help="further cases, of a minute each")
    options = parser.parse_args(arguments)
    kubectl = shutil.which("kubectl")
    print(machine())
    print(f"kubectl {kubectl_version(kubectl)}" if kubectl else "kubectl is not on the PATH")
    if options.turns:
        _print_patches(options.turns, options.round_trips, kubectl)
    if options.restores:
        cases = (*CASES, *LONG_CASES) if options.long else CASES
        print(
            f"\nfrom decision to all pods, {options.restores} turns\n\n{RESTORE_HEAD}", flush=True
        )
        for row in measure_restores(options.restores, kubectl=kubectl, cases=cases):
            print(restore_row(row), flush=True)


def _print_patches(turns: int, round_trips: Sequence[float], kubectl: str | None) -> None:
    print(f"\nfrom decision to accepted patch, {turns} turns\n\n{PATCH_HEAD}")
    words: dict[str, str] = {}
    for milliseconds in sorted(round_trips):
        for row in measure_patches(turns, milliseconds / 1000, kubectl=kubectl):
            print(patch_row(row), flush=True)
            words[row.name] = row.words
    print()
    for name, text in words.items():
        if text:
            print(f"{name}: {text}")


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"\n{time.monotonic() - began:.0f} s")
