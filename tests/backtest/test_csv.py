"""A CSV file as history: columns, intervals, pods, and every problem with its line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from decide.building import gauge, latency, policy, probe, ratio
from deploy_guard.backtest.csv_source import CsvHistory
from deploy_guard.backtest.judging import judge
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.backtest.table import TableError, moment
from deploy_guard.errors import UsageError
from deploy_guard.model import Counts, Gauge, Latencies, NoData, Reading, Sample, Verdict
from deploy_guard.policy.models import Policy

FIRST = 1_700_000_100
DEPLOY = Deploy(float(FIRST + 60 * 60), "v2")


def lines(*columns: str, rows: Sequence[Sequence[object]]) -> list[str]:
    """Return a file's lines."""
    return [",".join(map(str, row)) + "\n" for row in [columns, *rows]]


def history(found: list[str], rules: Policy | None = None) -> CsvHistory:
    """Read lines for a policy of one ratio."""
    return CsvHistory(found, "errors.csv", rules or policy(ratio(), baseline="30m"))


def minutes(
    count: int, *, requests: int = 600, errors: int = 1, step: int = 60
) -> list[tuple[int, int, int]]:
    """Return quiet minutes."""
    return [(FIRST + i * step, requests, errors) for i in range(count)]


def trial_of(found: CsvHistory, deploy: Deploy = DEPLOY) -> Trial:
    """Return the trial of one deploy."""
    [trial] = found.trials([deploy])
    return trial


def readings(trial: Trial, name: str = "errors") -> tuple[list[Sample], list[Reading]]:
    """Return the samples before the deploy, and what was read after it, of one signal."""
    mine = [e for e in trial.observations if isinstance(e, Sample | NoData) and e.signal == name]
    return (
        [e for e in mine if isinstance(e, Sample) and e.candidate is None],
        [e for e in mine if isinstance(e, NoData) or e.candidate is not None],
    )


def test_a_row_is_the_interval_that_ended_then() -> None:
    """Before the deploy rows are the baseline, after it the new pods', each 60 s long."""
    found = history(lines("time", "requests", "errors", rows=minutes(120)))
    before, after = readings(trial_of(found))
    assert [s.at for s in before] == [DEPLOY.at - 60 * i for i in reversed(range(30))]
    assert [s.at for s in after] == [DEPLOY.at + 60 * i for i in range(1, 11)]
    assert {s.seconds for s in (*before, *after) if isinstance(s, Sample)} == {60}
    assert all(isinstance(s, Sample) and s.candidate == Counts(600, 1) for s in after)
    assert all(s.control == Counts(600, 1) for s in before)


def test_rows_that_are_finer_than_the_interval_are_added_up() -> None:
    """Rows every 5 s are read every 15 s, as the policy says."""
    found = history(lines("time", "requests", "errors", rows=minutes(1500, step=5)))
    _, after = readings(trial_of(found))
    assert len(after) == 40
    assert all(isinstance(s, Sample) and s.candidate == Counts(1800, 3) for s in after)
    assert {s.seconds for s in after if isinstance(s, Sample)} == {15}


def test_a_row_that_began_before_the_deploy_is_not_the_new_pods() -> None:
    """A deploy in the middle of a minute: that minute is neither before nor after."""
    found = history(lines("time", "requests", "errors", rows=minutes(120)))
    middle = Deploy(DEPLOY.at + 30, "v2")
    before, after = readings(trial_of(found, middle))
    assert before[-1].at == middle.at
    first, second = after[:2]
    assert isinstance(first, NoData)
    assert isinstance(second, Sample)
    assert second.candidate == Counts(600, 1)


def test_rows_that_are_missing_are_no_data() -> None:
    """A hole in the file is told as no data, and its neighbours are not longer for it."""
    rows = [row for row in minutes(120) if not 63 <= (row[0] - FIRST) / 60 <= 65]
    _, after = readings(trial_of(history(lines("time", "requests", "errors", rows=rows))))
    assert [isinstance(s, NoData) for s in after[:7]] == [False] * 2 + [True] * 3 + [False] * 2
    assert {s.seconds for s in after if isinstance(s, Sample)} == {60}


def test_the_column_pods_tells_new_from_old() -> None:
    """At a deploy `new` rows are judged next to `old` ones; before it both are the baseline."""
    rows = [
        (FIRST + i * 60, pods, 300, errors)
        for i in range(120)
        for pods, errors in (("old", 1), *([("new", 9)] if i > 60 else []))
    ]
    found = history(lines("time", "pods", "requests", "errors", rows=rows))
    before, after = readings(trial_of(found))
    assert {s.control for s in before} == {Counts(300, 1)}
    assert {(s.candidate, s.control) for s in after if isinstance(s, Sample)} == {
        (Counts(300, 9), Counts(300, 1))
    }


def test_on_an_ordinary_day_all_pods_are_judged_together() -> None:
    """Nothing was deployed: old and new pods of a rollout that is over are one group."""
    rows = [(FIRST + i * 60, p, 300, 1) for i in range(120) for p in ("old", "new")]
    found = history(lines("time", "pods", "requests", "errors", rows=rows))
    _, after = readings(trial_of(found, Deploy(DEPLOY.at, "day", ordinary=True)))
    assert all(isinstance(s, Sample) and s.candidate == Counts(600, 2) for s in after)
    assert {s.seconds for s in after if isinstance(s, Sample)} == {60}


def test_buckets_and_values_are_read_for_the_signals_that_they_fit() -> None:
    """One file may have all three measures of a policy with one signal of each."""
    rules = policy(ratio(), latency(), gauge(), baseline="30m")
    rows = [(FIRST + i * 60, 10, 1, 5, 10, i) for i in range(120)]
    found = history(
        lines("time", "requests", "errors", "le_0.1", "le_inf", "value", rows=rows), rules
    )
    trial = trial_of(found)
    assert readings(trial, "errors")[1][0].candidate == Counts(10, 1)  # type: ignore[union-attr]
    slow = Latencies((0.1, math.inf), (5, 10))
    assert readings(trial, "latency")[1][0].candidate == slow  # type: ignore[union-attr]
    assert readings(trial, "queue")[1][0].candidate == Gauge(61)  # type: ignore[union-attr]
    assert found.missing == ()


def test_a_signal_column_names_the_signal() -> None:
    """Two ratios in one file; rows of signals that the policy does not have are passed over."""
    rules = policy(ratio("api"), ratio("web"), probe(), baseline="30m")
    rows = [
        (FIRST + i * 60, name, 600, errors)
        for i in range(120)
        for name, errors in (("api", 1), ("web", 2), ("other", 3))
    ]
    found = history(lines("time", "signal", "requests", "errors", rows=rows), rules)
    trial = trial_of(found)
    assert readings(trial, "web")[1][0].candidate == Counts(600, 2)  # type: ignore[union-attr]
    assert trial.missing == (("payments", "the CSV has no column for it"),)


def test_without_a_signal_column_two_signals_are_one_too_many() -> None:
    """Nobody knows which of two ratios a row is for: that is told, not guessed."""
    with pytest.raises(UsageError, match="'api' or 'web'") as told:
        history(
            lines("time", "requests", "errors", rows=minutes(3)), policy(ratio("api"), ratio("web"))
        )
    assert "signal" in told.value.help


def test_rows_that_are_rarer_than_the_interval_are_read_as_they_come() -> None:
    """A row every 5 minutes can be healthy and regressed: the interval is the file's."""
    rules = policy(ratio(), baseline="2h", **{"for": "1h"})
    at = FIRST + 300 * 40
    deploy = Deploy(float(at), "v2")
    quiet = minutes(80, requests=3000, errors=6, step=300)
    assert judge_one(quiet, rules, deploy) is Verdict.HEALTHY
    bad = [(t, r, 300 if t > at else e) for t, r, e in quiet]
    assert judge_one(bad, rules, deploy) is Verdict.REGRESSED


def judge_one(
    rows: Sequence[Sequence[object]], rules: Policy, deploy: Deploy = DEPLOY
) -> Verdict | None:
    """Return the verdict of a policy on rows."""
    found = history(lines("time", "requests", "errors", rows=rows), rules)
    return judge(found.policy, trial_of(found, deploy)).verdict


def test_a_file_that_ends_within_the_watch_gives_no_verdict_by_its_end() -> None:
    """What comes after the end of the file is not known: neither healthy nor anything else."""
    assert judge_one(minutes(66), policy(ratio(), baseline="30m")) is None


def test_times_are_rfc_3339_or_unix() -> None:
    """Both name the same moment; a time without zone, or in milliseconds, is told as such."""
    assert moment("2023-11-14T22:15:00Z") == moment("1700000100") == 1_700_000_100
    assert moment("2023-11-14T23:15:00+01:00") == 1_700_000_100
    with pytest.raises(ValueError, match="no time zone"):
        moment("2023-11-14T22:15:00")
    with pytest.raises(ValueError, match="milliseconds"):
        moment("1700000100000")
    with pytest.raises(ValueError, match="expected a time"):
        moment("yesterday")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1700000160,600", "2 cells where the header has 3"),
        ("noon,600,1", "expected a time"),
        ("nan,600,1", "expected a time"),
        ("1700000160,many,1", "expected a number that is not negative, not 'many'"),
        ("1700000160,600,-1", "not negative, not '-1'"),
        ("1700000160,inf,1", "not negative, not 'inf'"),
        ("1700000160,600,601", "more errors than requests"),
        ("1700000160,600,", "not negative, not ''"),
        ("1700000100,600,1", "the time of the row before"),
        ("1600000100,600,1", "in the order of time"),
        ('1700000160,"600,1', "not CSV"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_with_its_line(row: str, problem: str) -> None:
    """Every problem names file and line and what was expected."""
    found = [*lines("time", "requests", "errors", rows=minutes(1)), row + "\n"]
    with pytest.raises(TableError) as told:
        history(found)
    assert told.value.problems[0].startswith("errors.csv:3: ")
    assert problem in told.value.problems[0]


def test_all_problems_are_counted_and_the_first_ones_told() -> None:
    """A file with many bad rows tells twenty of them, and how many there are."""
    rows = [(FIRST + i, 1, 2) for i in range(100)]
    with pytest.raises(TableError, match="100 lines") as told:
        history(lines("time", "requests", "errors", rows=rows))
    assert len(told.value.problems) == 20


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("when,requests,errors", "no column 'time'"),
        ("time;requests;errors", "expected commas"),
        ("time,requests", "belong together"),
        ("time,requests,errors,requests", "a column twice"),
        ("time,reqests,errors", "did you mean 'requests'?"),
        ("time,le_0.1,le_0.5", "'le_inf' is missing"),
        ("time,le_fast,le_inf", "no bound in seconds"),
    ],
)
def test_a_header_that_cannot_be_right_is_told(header: str, problem: str) -> None:
    """What the columns have to be is told before any row."""
    with pytest.raises(TableError) as told:
        history([header + "\n"], policy(ratio(), latency()))
    assert any(problem in line for line in told.value.problems)


def test_a_byte_order_mark_is_no_part_of_a_name() -> None:
    """What a spreadsheet puts before the header does not hide the first column."""
    found = lines("time", "requests", "errors", rows=minutes(3))
    assert history(["\ufeff" + found[0], *found[1:]]).first == FIRST


def test_buckets_that_fall_are_refused() -> None:
    """Each bucket counts all that took at most so long."""
    with pytest.raises(TableError) as told:
        history(lines("time", "le_0.1", "le_inf", rows=[(FIRST, 5, 4)]), policy(latency()))
    assert "the buckets fall" in told.value.problems[0]


def test_a_file_without_anything_for_the_policy_is_refused() -> None:
    """Columns of other measures, and no rows at all, are told as such."""
    with pytest.raises(UsageError, match="no column for a signal"):
        history(lines("time", "value", rows=[(FIRST, 1)]))
    with pytest.raises(UsageError, match="no row"):
        history(lines("time", "requests", "errors", rows=[]))
