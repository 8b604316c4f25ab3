"""The benchmarks run and measure what they say; how quick anything is, no test asserts."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import check, rollback, startup, watch
from benchmarks.canned import BOUNDS, CannedMetrics
from benchmarks.processes import Spread, cost_of
from benchmarks.rollback import FAST, GUARD, UNDO, WAYS, Case
from benchmarks.taking_back import Request, in_words, steps
from benchmarks.undoing import LINE

ROOT = Path(__file__).parents[1]
KUBECTL = shutil.which("kubectl")


def test_a_watch_is_measured_in_virtual_time() -> None:
    """All ten signals are read at every poll, and every cost is there."""
    found = watch.measure(minutes=0.5, interval=10.0, pods=2)
    assert (found.signals, found.pods, found.polls) == (10, 2, 3)
    baselines = 7 * 40  # signals of Prometheus, and at least so many steps of each
    assert found.samples >= 3 * found.signals + baselines
    assert found.cpu > 0
    assert found.peak >= found.idle > 0
    assert found.record > 0
    row = watch.row(found)
    assert row.startswith("| every 10 s | ")
    assert row.count("|") == watch.HEAD.splitlines()[-1].count("|")


def test_the_growth_of_a_watch_is_measured_apart() -> None:
    """Tracing costs memory and time itself, so a traced run gives the growth and no peak."""
    found = watch.measure(minutes=0.5, interval=10.0, pods=1, traced=True)
    assert found.grown is not None
    assert found.peak == found.idle == 0


def test_the_way_to_the_patch_is_measured_and_counted() -> None:
    """The note in the lease and the checks go together; before and after that nothing waits."""
    [row] = rollback.measure_patches(2, 0.05, kubectl=None, ways=WAYS[:1])
    checks = "3 create selfsubjectaccessreviews, patch leases"
    assert row.words == f"{checks}; patch deployments"
    assert (row.requests, row.in_a_row) == (5, 2)
    assert all(seconds > 2 * 0.05 for seconds in row.seconds)
    text = rollback.patch_row(row)
    assert text.startswith("| guard | 50 | 5 | 2 | ")
    assert text.count("|") == rollback.PATCH_HEAD.splitlines()[-1].count("|")


@pytest.mark.parametrize(
    ("way", "requests"),
    [
        (WAYS[1], ["get configmaps", "get secrets"]),
        (WAYS[2], ["patch configmaps", "patch secrets"]),
        (WAYS[3], ["patch applications"]),
    ],
    ids=[way.name for way in WAYS[1:]],
)
def test_every_way_does_what_it_is_named_after(way: rollback.Way, requests: list[str]) -> None:
    """Configuration is looked at or restored, the owner suspended, all before the patch."""
    [row] = rollback.measure_patches(1, 0.0, kubectl=None, ways=[way])
    assert all(request in row.words for request in requests)


@pytest.mark.parametrize("case", [Case(4, 0.1), Case(4, 0.1, 1, 0, begins="half")])
def test_a_restore_is_measured_until_all_pods_are_back(case: Case) -> None:
    """Each way takes at least as long as a pod needs; without kubectl there are no ratios."""
    [row] = rollback.measure_restores(1, kubectl=None, cases=[case])
    assert set(row.seconds) == {GUARD, FAST}
    assert all(seconds >= 0.1 for [seconds] in row.seconds.values())
    text = rollback.restore_row(row)
    assert text.count("|") == rollback.RESTORE_HEAD.splitlines()[-1].count("|")
    assert text.endswith("| – | – | – |")


@pytest.mark.kubectl
@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on the PATH")
def test_an_undo_is_measured_beside_it() -> None:
    """What kubectl logs gives its requests and the time without its start."""
    found = list(rollback.measure_patches(1, 0.0, kubectl=KUBECTL, ways=WAYS[:1]))
    assert [row.name for row in found] == ["guard", UNDO, "… without its start"]
    whole, asking = found[1], found[2]
    assert whole.requests >= 3
    assert 0 < asking.seconds[0] < whole.seconds[0]
    [row] = rollback.measure_restores(1, kubectl=KUBECTL, cases=[Case(2, 0.0)])
    assert row.seconds[UNDO][0] > 0


@pytest.mark.parametrize(
    "line",
    [
        "I1124 00:31:46.928703     367 round_trippers.go:560] PATCH http://localhost/apis/apps/v1/"
        "namespaces/shop/deployments/web 200 OK in 14 milliseconds",
        'I1124 00:31:46.928703     367 round_trippers.go:632] "Response" verb="PATCH" '
        'url="http://localhost/web" status="200 OK" headers="" milliseconds=14',
    ],
)
def test_both_forms_of_the_log_are_read(line: str) -> None:
    """kubectl words its requests in another way since 1.33."""
    found = LINE.search(line)
    assert found is not None
    assert (found["at"], found["verb"]) == ("00:31:46.928703", "PATCH")
    assert (found["ms"] or found["new"]) == "14"


def test_requests_that_overlap_are_one_step() -> None:
    """A step begins when all that was sent before is answered."""
    sent = [Request("b", 0.1, 0.5), Request("a", 0.0, 0.2), Request("b", 0.3, 0.6)]
    groups = steps([*sent, Request("c", 0.6, 0.7)])
    assert groups == [["a", "b", "b"], ["c"]]
    assert in_words(groups) == "a, 2 b; c"


def test_a_percentile_is_a_number_that_was_measured() -> None:
    """Of ten numbers the ninth is the 90th percentile, and the largest the 99th."""
    numbers = [float(n) for n in range(10, 0, -1)]
    assert [rollback.percentile(numbers, share) for share in (0.5, 0.9, 0.99)] == [5.0, 9.0, 10.0]


@pytest.mark.kubectl
@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on the PATH")
def test_a_rollback_is_compared_with_kubectl() -> None:
    """Every command really runs, and has its ratio to undo."""
    rows = {row.name: row for row in startup.measure(1, kubectl=KUBECTL)}
    assert set(rows) == set(startup.commands(KUBECTL))
    for row in rows.values():
        assert row.wall.median > 0 and row.cpu.median > 0
        assert row.wall_ratio is not None and row.cpu_ratio is not None
    undo = rows[startup.UNDO]
    assert undo.wall_ratio == undo.cpu_ratio == Spread(1.0, 1.0, 1.0)


def test_without_kubectl_guard_alone_is_measured() -> None:
    """There is no ratio then, and the table says so."""
    rows = startup.measure(1, kubectl=None)
    assert startup.UNDO not in [row.name for row in rows]
    assert all(row.wall_ratio is None for row in rows)
    assert startup.table(rows).splitlines()[-1].endswith("| – | – |")


def test_a_command_that_fails_is_not_measured() -> None:
    """Its cost would be that of an error; what it said is told."""
    with pytest.raises(RuntimeError, match="exit 3: no"):
        cost_of([sys.executable, "-c", "print('no'); raise SystemExit(3)"], {})


def test_the_cost_of_a_command_has_its_cpu_time() -> None:
    """CPU time is the child's, and no more than fits on the clock for one thread."""
    cost = cost_of([sys.executable, "-c", "sum(range(2_000_000))"], {})
    assert 0 < cost.cpu <= cost.wall * 1.5


def test_a_spread_is_the_median_and_the_quartiles() -> None:
    """Half of the numbers lie between the quartiles."""
    assert Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(3.0, 2.0, 4.0)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


def test_the_canned_counters_grow_with_the_time_that_is_asked_for() -> None:
    """Old pods before, new ones after; buckets are cumulative and end with infinity."""
    with CannedMetrics(old=["old"], new=["new"], step=2.0) as metrics:
        ask = {"query": "sum by (pod) (x_total)", "time": str(metrics.began + 60)}
        [series] = metrics.instant(ask)["result"]
        assert (series["metric"], series["value"][1]) == ({"pod": "new"}, "1200")
        form = {"query": "sum by (pod, le) (x_bucket)", "step": "30"}
        form |= {"start": str(metrics.began - 60), "end": str(metrics.began)}
        buckets = metrics.ranged(form)["result"]
        assert len(buckets) == len(BOUNDS)
        assert math.isinf(float(buckets[-1]["metric"]["le"]))
        assert all(len(series["values"]) == 3 for series in buckets)
        first, second = metrics.page("new"), metrics.page("new")
        assert first != second


def test_a_check_is_measured_next_to_that_of_one_file() -> None:
    """Every size and form has its costs; those of each file are without the start."""
    rows = check.measure(1, sizes=(2, 3), forms=("json",))
    assert [(row.files, row.words) for row in rows] == [
        (2, "text"),
        (3, "text"),
        (3, "json, a mistake in each"),
    ]
    assert all(row.cpu.median > 0 and row.peak.median > 1 for row in rows)
    assert all(row.each.median < row.cpu.median and row.ratio.median > 0.5 for row in rows)
    assert check.table(rows).count("\n| ") == 3


@pytest.mark.parametrize("name", ["check", "rollback", "startup", "watch"])
def test_each_benchmark_is_a_command(name: str) -> None:
    """`python -m benchmarks.NAME --help` says what can be chosen."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"python -m benchmarks.{name}" in done.stdout
    assert f"python -m benchmarks.{name}" in (ROOT / "docs/benchmarks.md").read_text()
