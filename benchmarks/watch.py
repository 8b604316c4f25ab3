"""What a watch of 30 minutes costs: CPU, memory and disk, with 10 signals over 50 pods.

Run as `python -m benchmarks.watch`. The watch is the real one (`watch.session`): its readers over
real sockets, its fold, its recorder, its output as in a pipeline. Virtual are the clock, so that
half an hour takes a minute, and the other side: a cluster and metrics in another process
(`benchmarks.host`). Not measured: what the cluster tells of changes, and a live view on a terminal.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.host import NAME, NAMESPACE
from benchmarks.processes import ROOT, Host, machine
from deploy_guard.cluster.client import Cluster
from deploy_guard.model import NoData, Reading, Target
from deploy_guard.outputs.lines import LineOutput
from deploy_guard.policy.models import Policy
from deploy_guard.signals import open_signals
from deploy_guard.signals.base import Signal
from deploy_guard.signals.fan_out import gather
from deploy_guard.watch.scene import BREATH
from deploy_guard.watch.session import Watch

HEAD = """\
| polls | readings | CPU, s | of one core | peak above idle, MiB | growth, KiB | record, MiB |
|---|---|---|---|---|---|---|"""
KIB = 1024 if sys.platform != "darwin" else 1  # unit of ru_maxrss, in bytes


@dataclass(frozen=True, slots=True)
class Result:
    """The cost of one watch: seconds, bytes, counts.

    `idle` is the peak of memory before the first reading, `peak` that of the whole process; both
    are 0 when the allocations are traced, which costs memory itself. `grown` is how much the
    traced allocations grew from the middle of the watch to its end, None untraced.
    """

    minutes: float
    interval: float
    pods: int
    signals: int
    polls: int
    samples: int
    cpu: float
    idle: int
    peak: int
    record: int
    grown: int | None = None


def policy(minutes: float, interval: float, metrics: str) -> Policy:
    """Return a policy of ten signals, as a large service would have them."""
    pods = 'pod=~"{{ pods }}"'
    signals: list[dict[str, Any]] = []
    for number in range(4):
        errors = f'sum by (pod) (http_{number}_total{{{pods}, code=~"5.."}})'
        requests = f"sum by (pod) (http_{number}_total{{{pods}}})"
        ratio = {"errors": errors, "requests": requests}
        signals.append({"provider": "prometheus", "ratio": ratio, "limit": "5%"})
    for number in range(2):
        buckets = f"sum by (pod, le) (http_{number}_seconds_bucket{{{pods}}})"
        limit = {"share": "99%", "below": "500ms"}
        signals.append({"provider": "prometheus", "latency": buckets, "limit": limit})
    signals.append({"provider": "prometheus", "value": "max(queue_depth)", "above": 100})
    errors, requests = 'http_requests_total{code=~"5.."}', "http_requests_total"
    ratio = {"errors": errors, "requests": requests}
    own = {"provider": "pods", "port": 8080}
    signals.append({**own, "ratio": ratio, "limit": "5%"})
    signals.append({**own, "latency": "http_request_duration_seconds_bucket"})
    signals.append({"provider": "http", "url": f"{metrics}/health"})
    named = [{"name": f"signal-{number}", **signal} for number, signal in enumerate(signals)]
    return Policy.model_validate(
        {
            "version": 1,
            "watch": {"for": f"{minutes:g}m", "interval": f"{interval:g}s"},
            "prometheus": {"url": metrics},
            "signals": named,
        }
    )


class Clock:
    """Virtual time: it stands still until it is set."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the virtual time, in Unix seconds."""
        return self.now


def run(about: dict[str, Any], *, minutes: float, interval: float, traced: bool) -> Result:
    """Run one watch in virtual time, in this process."""
    chosen = policy(minutes, interval, about["metrics"])
    clock = Clock(about["began"])
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(os.devnull).open("w") as nowhere,
        Cluster.connect(kubeconfig=about["kubeconfig"]) as cluster,
        Cluster.connect(kubeconfig=about["pods_kubeconfig"]) as pods,
    ):
        watch = Watch(
            cluster,
            Target("deployment", NAMESPACE, NAME),
            chosen,
            output=LineOutput(nowhere),
            environ={},
            report=Path(folder, "record"),
            clock=clock,
        )
        try:
            return _measured(watch, clock, pods, Path(folder), interval=interval, traced=traced)
        finally:
            watch.scene.follower.stop()
            assert watch.scene.recorder is not None
            watch.scene.recorder.close()


def _measured(
    watch: Watch, clock: Clock, pods: Cluster, folder: Path, *, interval: float, traced: bool
) -> Result:
    """Prepare the watch, then do in virtual time what its loop and its poller do."""
    watch._begin()
    scene = watch.scene
    signals = open_signals(watch.policy, cluster=pods, environ={})
    seconds = watch.policy.watch.duration
    began, idle, half, samples = clock.now, _peak(), 0, 0
    if traced:
        tracemalloc.start()
    cpu = process_time()
    due = {signal.name: 0.0 for signal in signals}
    watch._fold(scene.look())
    for breath in range(math.floor(seconds / BREATH)):
        clock.now = began + breath * BREATH
        now_due = [signal for signal in signals if breath * BREATH >= due[signal.name]]
        for signal in now_due:
            due[signal.name] += signal.interval
        for readings in _read(now_due, watch, clock).values():
            for reading in readings:
                decision = watch._fold(reading)
                assert decision.verdict is None, decision.reason
                samples += 1
        scene.show(watch._state)
        if traced and breath * BREATH == seconds // 2:
            half = _traced()
    cpu = process_time() - cpu
    return Result(
        minutes=seconds / 60,
        interval=interval,
        pods=len(scene.look().pods),
        signals=len(watch.policy.signals),
        polls=math.ceil(seconds / interval),
        samples=samples,
        cpu=cpu,
        idle=0 if traced else idle,
        peak=0 if traced else _peak(),
        record=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        grown=_traced() - half if traced else None,
    )


def _read(signals: list[Signal], watch: Watch, clock: Clock) -> dict[str, list[Reading]]:
    """Read signals at the same time, each in a thread of its own, as the poller does."""

    def job(signal: Signal) -> Callable[[], list[Reading]]:
        return lambda: signal.read(watch.scene.look(), clock.now)

    found: dict[str, list[Reading]] = {}
    jobs = {signal.name: job(signal) for signal in signals}
    for name, readings in gather(jobs, workers=len(jobs), seconds=60.0).items():
        if isinstance(readings, Exception):
            raise readings
        assert not any(isinstance(reading, NoData) for reading in readings), readings
        found[name] = readings
    return found


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def measure(*, minutes: float, interval: float, pods: int, traced: bool = False) -> Result:
    """Run one watch in a process of its own, against a host of its own, and return its cost."""
    with Host("--pods", str(pods), "--step", f"{interval:g}") as host:
        job = {"about": host.about, "minutes": minutes, "interval": interval, "traced": traced}
        command = [sys.executable, "-m", "benchmarks.watch", "--job", json.dumps(job)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return Result(**json.loads(done.stdout))


def row(found: Result) -> str:
    """Lay a result out, as a row of the table in Markdown."""
    grown = "–" if found.grown is None else f"{found.grown / 2**10:.0f}"
    cells = [
        f"every {found.interval:g} s",
        f"{found.samples:,}",
        f"{found.cpu:.1f}",
        f"{found.cpu / (found.minutes * 60):.1%}",
        f"{(found.peak - found.idle) / 2**20:.0f} (idle {found.idle / 2**20:.0f})",
        grown,
        f"{found.record / 2**20:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or run the one watch that a parent process asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watch")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--pods", type=int, default=50)
    parser.add_argument("--intervals", type=float, nargs="+", default=[15.0, 2.0])
    parser.add_argument(
        "--growth", action="store_true", help="trace allocations as well, in a slow run of its own"
    )
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.job:
        print(json.dumps(asdict(run(**json.loads(options.job)))))
        return
    print(machine())
    print(f"{options.minutes:g} virtual minutes, {options.pods} pods\n")
    print(HEAD)
    for interval in options.intervals:
        found = measure(minutes=options.minutes, interval=interval, pods=options.pods)
        if options.growth:
            traced = measure(
                minutes=options.minutes, interval=interval, pods=options.pods, traced=True
            )
            found = replace(found, grown=traced.grown)
        print(row(found), flush=True)


if __name__ == "__main__":
    main()
