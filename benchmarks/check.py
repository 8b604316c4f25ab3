"""What `guard check` costs: CPU time for each file and memory, in directories of any size.

Run as `python -m benchmarks.check`. The policies are copies of combined.yaml, right or with one
mistake; one file alone is what starting costs, and what others are compared with.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.processes import ROOT, Cost, Spread, cost_of, machine

SIZES = (10, 100, 1000)
FORMS = ("text", "json", "github", "sarif", "junit")
POLICY = ROOT / "policies/combined.yaml"
HEAD = """\
| files | form | CPU, s | CPU for each more file, ms | peak memory, MiB | memory / one file |
|---|---|---|---|---|---|"""


@dataclass(frozen=True, slots=True)
class Row:
    """A directory in one form.

    Seconds of CPU in all; seconds of CPU for each file after the first; peak memory in MiB and as
    ratio to that of one file, in the same turn.
    """

    files: int
    words: str
    cpu: Spread
    each: Spread
    peak: Spread
    ratio: Spread


def fill(folder: Path, files: int, *, broken: bool) -> Path:
    """Write so many policies into a new directory and return it."""
    text = POLICY.read_text()
    wrong = text.replace("signals:", "singals:", 1)
    assert wrong != text
    folder.mkdir()
    for number in range(files):
        (folder / f"policy-{number:04}.yaml").write_text(wrong if broken else text)
    return folder


def measure(turns: int, sizes: Sequence[int] = SIZES, forms: Sequence[str] = FORMS) -> list[Row]:
    """Check every directory once a turn, after one turn that does not count.

    Right policies are told as text; the largest directory with mistakes in every form.
    """
    guard = [sys.executable, "-m", "deploy_guard", "check"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GUARD_")}
    with TemporaryDirectory() as name:
        right = {n: fill(Path(name, f"{n}"), n, broken=False) for n in (1, *sizes)}
        broken = fill(Path(name, "broken"), max(sizes), broken=True)
        runs = {(n, "text"): (n, [*guard, str(folder)], 0) for n, folder in right.items()}
        for form in forms:
            words = f"{form}, a mistake in each"
            runs[max(sizes), words] = (max(sizes), [*guard, str(broken), "-o", form], 3)
        costs: dict[tuple[int, str], list[Cost]] = {key: [] for key in runs}
        for turn in range(turns + 1):
            for key, (_, command, code) in runs.items():
                cost = cost_of(command, environ, code=code)
                if turn > 0:
                    costs[key].append(cost)
    one = costs[1, "text"]
    return [_row(files, words, found, one) for (files, words), found in costs.items() if files > 1]


def _row(files: int, words: str, costs: Sequence[Cost], one: Sequence[Cost]) -> Row:
    pairs = list(zip(costs, one, strict=True))
    return Row(
        files,
        words,
        cpu=Spread.of([cost.cpu for cost in costs]),
        each=Spread.of([(cost.cpu - first.cpu) / (files - 1) for cost, first in pairs]),
        peak=Spread.of([cost.peak for cost in costs]),
        ratio=Spread.of([cost.peak / first.peak for cost, first in pairs]),
    )


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out, as Markdown; quartiles are in brackets."""
    lines = [HEAD]
    for row in rows:
        cells = [
            f"{row.files:,}",
            row.words,
            _spread(row.cpu, 1, 2),
            _spread(row.each, 1000, 2),
            _spread(row.peak, 1, 0),
            _spread(row.ratio, 1, 2),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(found: Spread, scale: float, digits: int) -> str:
    median, low, high = (f"{n * scale:.{digits}f}" for n in (found.median, found.low, found.high))
    return f"{median} ({low}–{high})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args(arguments)
    print(machine())
    print(f"{options.turns} turns, medians with quartiles\n")
    print(table(measure(options.turns)))


if __name__ == "__main__":
    main()
