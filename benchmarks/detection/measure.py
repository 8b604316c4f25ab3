"""Measure cells: over processes, with what an earlier run had finished.

Decides how the work is divided; the numbers do not depend on it.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from benchmarks.detection.cells import Cell
from benchmarks.detection.outcome import Found, Outcome, Times
from benchmarks.detection.rules import OURS, Said

PRESENTATION = {"__main__", "bars", "plot", "report", "tables", "time_bars"}
Results = dict[tuple[str, str], Outcome]  # by the block's key and the rule's name


def outcomes(cell: Cell) -> dict[str, Outcome]:
    """Draw a cell and ask its rules."""
    drawn = cell.draw(cell.setting)
    traces = drawn if isinstance(drawn, Sequence) else [drawn]
    since = cell.truth.since
    return {rule.name: _outcome(rule.judge(traces, cell.truth), since) for rule in cell.rules}


def _outcome(said: Said, since: float) -> Outcome:
    parts = (said.declared, said.suspected, said.shared)
    return Outcome(*(Times() if part is None else Times.of(part, since) for part in parts))


class Cache:
    """Results on disk, one JSON line for a rule in a block: an interrupted run goes on later.

    A line counts only while the code that it came from is the same.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else folder / "results.jsonl"
        self._known: Results = {}
        self._versions = {True: _version(ours=True), False: _version(ours=False)}
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._read(self._file)

    def _read(self, file: Path) -> None:
        if not file.exists():
            return
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                key, rule, version, *parts = json.loads(line)
            except ValueError:
                continue  # the run was interrupted while it wrote this line
            if version == self._versions[rule in OURS]:
                times = [Times(count, early, tuple(seconds)) for count, early, seconds in parts]
                self._known[key, rule] = Outcome(*times)

    def get(self, block: Cell) -> dict[str, Outcome]:
        """Return what is known of a block."""
        known = ((rule.name, self._known.get((block.key, rule.name))) for rule in block.rules)
        return {name: outcome for name, outcome in known if outcome is not None}

    def put(self, block: Cell, found: dict[str, Outcome]) -> None:
        """Keep what was found."""
        if self._file is None:
            return
        with self._file.open("a", encoding="utf-8") as file:
            for rule, one in found.items():
                parts = [
                    [t.count, t.early, t.seconds] for t in (one.declared, one.suspected, one.shared)
                ]
                line = json.dumps([block.key, rule, self._versions[rule in OURS], *parts])
                file.write(line + "\n")


def _version(*, ours: bool) -> str:
    """Return a digest of the code that results come from; the detector's only for our own rules."""
    own = f"{__name__.rpartition('.')[0]}."
    wanted = (own, "deploy_guard.") if ours else (own,)
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        presentation = name.startswith(own) and name.removeprefix(own) in PRESENTATION
        if name.startswith(wanted) and file and not presentation:
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16]


def measure(
    cells: Sequence[Cell],
    *,
    jobs: int = 1,
    cache: Cache | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> list[Found]:
    """Measure all cells and return the outcomes in the cells' order, whatever `jobs` is."""
    cache = cache or Cache(None)
    blocks = [block for cell in cells for block in cell.blocks()]
    results: dict[str, dict[str, Outcome]] = {block.key: cache.get(block) for block in blocks}
    todo = []
    for block in blocks:
        names = tuple(r.name for r in block.rules if r.name not in results[block.key])
        if names:
            todo.append(replace(block, names=names))
    progress = _Progress(todo, say)
    for block, found in _run(todo, jobs):
        cache.put(block, found)
        results[block.key].update(found)
        progress.done(block)
    return [_gathered(cell, name.name, results) for cell in cells for name in cell.rules]


def _gathered(cell: Cell, rule: str, results: dict[str, dict[str, Outcome]]) -> Found:
    blocks = [results[block.key][rule] for block in cell.blocks()]
    return Found(cell, rule, sum(blocks[1:], blocks[0]))


def _run(todo: Sequence[Cell], jobs: int) -> Iterator[tuple[Cell, dict[str, Outcome]]]:
    """Measure blocks in any order, the largest first so that no process is left with one."""
    ordered = sorted(todo, key=lambda block: -block.work)
    if jobs <= 1 or len(todo) <= 1:
        yield from ((block, outcomes(block)) for block in ordered)
        return
    # The parent alone hears of Ctrl-C, and keeps what the others had begun.
    pool = ProcessPoolExecutor(
        min(jobs, len(todo)),
        mp_context=get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    with pool:
        running = {pool.submit(outcomes, block): block for block in ordered}
        try:
            for future in as_completed(running):
                yield running.pop(future), future.result()
        finally:
            pool.shutdown(cancel_futures=True)


class _Progress:
    """Say now and then how far it is, and how long it will take."""

    def __init__(self, todo: Sequence[Cell], say: Callable[[str], None]) -> None:
        self._say, self._all, self._done = say, len(todo), 0
        self._work, self._finished = sum(block.work for block in todo), 0.0
        self._begun = self._said = time.monotonic()

    def done(self, block: Cell) -> None:
        self._done += 1
        self._finished += block.work
        now = time.monotonic()
        if now - self._said < 5 and self._done < self._all:
            return
        self._said = now
        left = (now - self._begun) * (self._work - self._finished) / self._finished
        self._say(f"{self._done} of {self._all} blocks, about {_duration(left)} left")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
