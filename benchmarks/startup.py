"""What a rollback by hand costs: `guard rollback` next to `kubectl rollout undo`.

Run as `python -m benchmarks.startup`. Both send their patch to the same embedded cluster, which
runs in another process, in turns, each after a fresh deploy of its own. `--no-wait`, because undo
does not wait either.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host import NAME
from benchmarks.processes import Cost, Host, Spread, cost_of, machine

UNDO = "kubectl rollout undo"
TARGET = f"deployment/{NAME}"


@dataclass(frozen=True, slots=True)
class Row:
    """One command: its costs, and the ratio of each to that of undo in the same turn.

    Without kubectl there are no ratios.
    """

    name: str
    wall: Spread
    cpu: Spread
    wall_ratio: Spread | None
    cpu_ratio: Spread | None


def commands(kubectl: str | None) -> dict[str, tuple[list[str], bool]]:
    """Return each command by its name, and whether it needs a fresh deploy."""
    script = Path(sys.executable).with_name("guard")
    guard = [str(script)] if script.exists() else [sys.executable, "-m", "deploy_guard"]
    found = {
        "python -c pass": ([sys.executable, "-c", "pass"], False),
        "guard --help": ([*guard, "--help"], False),
        "guard history": ([*guard, "history", TARGET], False),
        "guard rollback -y --no-wait": ([*guard, "rollback", TARGET, "-y", "--no-wait"], True),
    }
    if kubectl is not None:
        found[UNDO] = ([kubectl, "rollout", "undo", TARGET], True)
    return found


def measure(turns: int, *, kubectl: str | None) -> list[Row]:
    """Run every command once a turn, after one turn that does not count."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands(kubectl)}
    with Host() as host:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GUARD_")}
        environ["KUBECONFIG"] = host.about["kubeconfig"]
        for turn in range(turns + 1):
            for name, (command, deploys) in commands(kubectl).items():
                if deploys:
                    host.release()
                cost = cost_of(command, environ)
                if turn > 0:
                    costs[name].append(cost)
    return [_row(name, found, costs.get(UNDO)) for name, found in costs.items()]


def _row(name: str, costs: Sequence[Cost], undo: Sequence[Cost] | None) -> Row:
    pairs = list(zip(costs, undo, strict=True)) if undo else []
    return Row(
        name,
        wall=Spread.of([cost.wall for cost in costs]),
        cpu=Spread.of([cost.cpu for cost in costs]),
        wall_ratio=Spread.of([a.wall / b.wall for a, b in pairs]) if pairs else None,
        cpu_ratio=Spread.of([a.cpu / b.cpu for a, b in pairs]) if pairs else None,
    )


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out, as Markdown; quartiles are in brackets."""
    lines = [
        "| command | wall, ms | CPU, ms | wall / undo | CPU / undo |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            _spread(row.wall, 1000, 0),
            _spread(row.cpu, 1000, 0),
            _spread(row.wall_ratio, 1, 2),
            _spread(row.cpu_ratio, 1, 2),
        ]
        lines.append(f"| `{row.name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(found: Spread | None, scale: float, digits: int) -> str:
    if found is None:
        return "–"
    median, low, high = (f"{n * scale:.{digits}f}" for n in (found.median, found.low, found.high))
    return f"{median} ({low}–{high})"


def kubectl_version(kubectl: str) -> str:
    """Return kubectl's own version."""
    done = subprocess.run(
        [kubectl, "version", "--client", "-o", "json"], capture_output=True, check=True
    )
    return str(json.loads(done.stdout)["clientVersion"]["gitVersion"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup")
    parser.add_argument("--turns", type=int, default=15)
    options = parser.parse_args(arguments)
    kubectl = shutil.which("kubectl")
    print(machine())
    if kubectl is None:
        print("kubectl is not on the PATH: guard alone is measured, without ratios")
    else:
        print(f"kubectl {kubectl_version(kubectl)}")
    print(f"{options.turns} turns, medians with quartiles\n")
    print(table(measure(options.turns, kubectl=kubectl)))


if __name__ == "__main__":
    main()
