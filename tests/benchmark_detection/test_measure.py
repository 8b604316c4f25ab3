"""Measuring gives the same numbers however the work is divided, and goes on after a break."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks.detection import rules
from benchmarks.detection.cells import PARTS, Plan, planned
from benchmarks.detection.measure import Cache, measure
from benchmarks.detection.outcome import Times, wilson
from benchmarks.detection.traces import Traces
from scipy import stats

ROOT = Path(__file__).parents[2]
TINY = Plan((10,), (10,), {60: 2}, {60: 2})
QUICK = rules.chosen(["Flagger", "oracle"])


def test_one_process_or_two_find_the_same() -> None:
    """The outcomes and their order do not depend on the number of processes."""
    todo = planned(TINY, ["regressions"], QUICK)
    assert measure(todo, jobs=1) == measure(todo, jobs=2)


def test_blocks_add_up_to_the_cell() -> None:
    """A cell of many deploys is drawn in pieces, all of them different, and none is lost."""
    plan = Plan((10,), (10,), {60: 250}, {60: 250})
    cell = planned(plan, ["healthy"], QUICK)[0]
    blocks = list(cell.blocks())
    assert [block.setting.count for block in blocks] == [100, 100, 50]
    first, second = (block.draw(block.setting) for block in blocks[:2])
    assert isinstance(first, Traces) and isinstance(second, Traces)
    assert not np.array_equal(first.base_errors, second.base_errors)
    assert measure([cell])[0].outcome.declared.count == 250


def test_each_cell_has_a_key_of_its_own() -> None:
    """No two cells of the whole plan have the same key, so that none takes another's results."""
    keys = [cell.key for cell in planned(TINY, list(PARTS), rules.RULES)]
    assert len(set(keys)) == len(keys)


def test_finished_cells_are_not_measured_again(tmp_path: Path) -> None:
    """A second run reads what the first has written, and gives the same."""
    todo = planned(TINY, ["regressions"], QUICK)
    first = measure(todo, cache=Cache(tmp_path))
    lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(first)
    said: list[str] = []
    assert measure(todo, cache=Cache(tmp_path), say=said.append) == first
    assert said == []
    assert len((tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()) == len(lines)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    """Half a line at the end, and lines of other code, are measured again; the others are not."""
    todo = planned(TINY, ["regressions"], QUICK)[:4]
    whole = measure(todo, cache=Cache(tmp_path))
    file = tmp_path / "results.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    foreign = json.loads(lines[1])
    foreign[2] = "another version"
    kept = [lines[0], json.dumps(foreign), *lines[2:-1], lines[-1][:40]]
    file.write_text("\n".join(kept), encoding="utf-8")
    said: list[str] = []
    assert measure(todo, cache=Cache(tmp_path), say=said.append) == whole
    assert said and " of 2 blocks" in said[-1]
    assert measure(todo, cache=Cache(tmp_path)) == whole


def test_what_fires_too_early_is_false() -> None:
    """Times count from the beginning; earlier ones are kept apart from quantiles and misses."""
    times = Times.of(np.array([100.0, 650.0, 700.0, np.inf]), 600.0)
    assert (times.count, times.early, times.seconds) == (4, 1, (50.0, 100.0))
    assert times.fired == 3 and times.share == 0.75
    assert times.quantile(0.5) == 100.0
    assert times.quantile(0.95) == math.inf
    assert times.missed == pytest.approx(1 / 3)
    assert times.within(60) == 2


@pytest.mark.parametrize(("fired", "deploys"), [(0, 20), (3, 400), (50, 50)])
def test_wilsons_interval_is_scipys(fired: int, deploys: int) -> None:
    """The interval of a share agrees with `scipy.stats`."""
    expected = stats.binomtest(fired, deploys).proportion_ci(0.95, method="wilson")
    assert wilson(fired, deploys) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_quantile_is_numpys() -> None:
    """The smallest time that so many reached, as the inverted distribution function has it."""
    values = np.random.default_rng(1).uniform(0, 1800, 37)
    times = Times.of(values, 0.0)
    for share in (0.5, 0.95):
        assert times.quantile(share) == np.quantile(values, share, method="inverted_cdf")


def test_an_interruption_keeps_what_was_finished(tmp_path: Path) -> None:
    """Ctrl-C ends all processes, says that the cache goes on, and leaves whole lines in it."""
    file = tmp_path / "results.jsonl"
    command = ["-m", "benchmarks.detection", "--short", "--part", "shared", "--polls", "15"]
    command += ["--jobs", "2", "--cache", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not (file.exists() and file.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.endswith(f"interrupted: the same --cache {tmp_path} goes on\n")
    assert "Traceback" not in said
    for line in file.read_text(encoding="utf-8").splitlines():
        assert len(json.loads(line)) == 6
