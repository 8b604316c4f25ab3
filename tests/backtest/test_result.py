"""What is counted, how it is told, and which exit code it has."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from decide.building import policy, ratio
from deploy_guard.backtest.as_json import document
from deploy_guard.backtest.judging import Judged
from deploy_guard.backtest.model import Deploy
from deploy_guard.backtest.progress import Progress
from deploy_guard.backtest.result import Frequency, Result, frequency, promise
from deploy_guard.backtest.show import show
from deploy_guard.backtest.statistics import rate
from deploy_guard.errors import ExitCode
from deploy_guard.model import Verdict

DAY = 86400.0


def judged(
    number: int, verdict: Verdict | None, *, ordinary: bool = False, bad: bool | None = None
) -> Judged:
    """Return one deploy's verdict."""
    deploy = Deploy(1.7e9 + number * DAY, f"v{number}", ordinary=ordinary, bad=bad)
    seconds = 60.0 * number if verdict is Verdict.REGRESSED else None
    return Judged(deploy, verdict, "errors: errors 5 of 9", seconds, "errors", "errors: too little")


def result(*found: Judged, **more: Any) -> Result:
    """Return what was found of these deploys at 20 a month."""
    return Result(
        policy(ratio()),
        "days",
        tuple(j for j in found if not j.deploy.ordinary),
        tuple(j for j in found if j.deploy.ordinary),
        len(found),
        Frequency(20, "assumed"),
        **more,
    )


def days(count: int, alarms: int = 0) -> list[Judged]:
    """Return ordinary days, the first ones false alarms."""
    return [
        judged(i, Verdict.REGRESSED if i < alarms else Verdict.HEALTHY, ordinary=True)
        for i in range(count)
    ]


def test_only_days_with_data_are_counted() -> None:
    """No data and no verdict are no evidence of anything; an open verdict is one of no alarm."""
    silent = [judged(9, Verdict.NO_DATA, ordinary=True), judged(9, None, ordinary=True)]
    open_one = judged(9, Verdict.INCONCLUSIVE, ordinary=True)
    found = result(*days(10, 2), open_one, *silent)
    assert (found.false.count, found.false.of) == (2, 11)
    assert found.month is not None
    assert found.month.estimate == pytest.approx(20 * 2 / 11)
    assert dict(found.silent) == {"errors: too little": 3}


def test_known_deploys_are_counted_by_what_is_known() -> None:
    """Bad ones are caught, good ones wronged, others neither; the median is of all regressions."""
    found = result(
        judged(1, Verdict.REGRESSED, bad=True),
        judged(2, Verdict.HEALTHY, bad=True),
        judged(3, Verdict.REGRESSED, bad=False),
        judged(4, Verdict.REGRESSED),
        judged(5, Verdict.NO_DATA, bad=True),
    )
    assert (found.caught.count, found.caught.of) == (1, 2)
    assert (found.wronged.count, found.wronged.of) == (1, 1)
    assert found.seconds == 180


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (result(*days(3)), ExitCode.OK),
        (result(*days(3, 3)), ExitCode.OK),
        (result(), ExitCode.INCONCLUSIVE),
        (result(judged(1, Verdict.NO_DATA)), ExitCode.INCONCLUSIVE),
        (result(*days(10, 1), limit=2.0), ExitCode.OK),
        (result(*days(10, 1), limit=1.9), ExitCode.INVALID_POLICY),
        (result(judged(1, Verdict.HEALTHY), limit=1.0), ExitCode.INCONCLUSIVE),
        (result(*days(3), interrupted=True), ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_says_what_was_found(found: Result, code: ExitCode) -> None:
    """0 when it was tried, 12 when nothing could be judged, 3 above the limit, 130 interrupted."""
    assert found.exit_code is code
    assert document(found)["exit_code"] == code


def test_the_promise_is_compared_with_the_interval() -> None:
    """More, no more, or neither proven nor contradicted: and how many days a proof takes."""
    assert promise(rate(20, 100), 0.01).endswith("this is more")
    assert promise(rate(0, 1000), 0.01).endswith("this is no more")
    assert "do not contradict" in promise(rate(1, 100), 0.01)
    assert "368 days" in promise(rate(0, 100), 0.01)
    assert promise(rate(0, 0), 0.01) == ""


def test_deploys_a_month_are_given_counted_or_assumed() -> None:
    """What the user says comes first, then what the cluster knows of, then one each working day."""
    real = [Deploy(1.0, "a"), Deploy(2.0, "b"), Deploy(3.0, "c", ordinary=True)]
    assert frequency(real, given=5, seconds=DAY).deploys == 5
    assert frequency(real, given=None, seconds=15 * DAY).deploys == pytest.approx(4)
    assert frequency(real, given=None, seconds=None).deploys == 20
    assert frequency([], given=None, seconds=DAY).deploys == 20


def test_the_document_is_json_even_where_nothing_was_judged() -> None:
    """NaN and infinity are null: every reader of JSON can read it."""
    text = json.dumps(document(result()), allow_nan=False)
    assert json.loads(text)["false_rollbacks"]["share"] is None
    assert json.loads(text)["false_rollbacks"]["per_month"] is None


def test_an_interrupted_backtest_says_how_far_it_came() -> None:
    """The numbers are of what was judged, and nobody takes them for all."""
    found = result(*days(3), interrupted=True)
    assert "interrupted: 3 of 3 deploys were judged" in show(found)


def test_a_record_shows_both_verdicts() -> None:
    """What the recorded watch said stands beside what this policy says."""
    found = result(
        judged(1, Verdict.REGRESSED),
        judged(2, Verdict.HEALTHY),
        recorded={"v1": Verdict.HEALTHY, "v2": Verdict.HEALTHY},
    )
    text = show(found)
    assert "regressed after 1 m; the recorded watch: healthy" in text
    assert "the same verdict as the recorded watch in 1 of 2 records" in text
    assert document(found)["deploys"][0]["recorded_verdict"] == "healthy"


def test_bad_deploys_that_could_not_be_judged_are_not_hidden() -> None:
    """The share is of those that were judged; how many were not stands beside it."""
    found = result(judged(1, Verdict.REGRESSED, bad=True), judged(2, Verdict.NO_DATA, bad=True))
    assert "1 of 1 known to be bad" in show(found)
    assert "; 1 more could not be judged" in show(found, width=200)


def test_many_false_alarms_are_not_all_told() -> None:
    """Ten of them with their reasons, and how many more."""
    text = show(result(*days(30, 30)))
    assert text.count("✗ regressed") == 10
    assert "… and 20 more" in text


def test_texts_of_others_are_harmless() -> None:
    """A label cannot write to the terminal."""
    evil = Judged(Deploy(1.7e9, "v\x1b[31m1"), Verdict.HEALTHY, "")
    assert "\x1b" not in show(result(evil))


def test_lines_fit_the_page() -> None:
    """Whatever a reason says, no line but a table's is longer than the page is wide."""
    long = Judged(Deploy(1.7e9, "v1"), Verdict.REGRESSED, "errors: " + "many words " * 50, 60.0)
    assert max(map(len, show(result(long, *days(5))).splitlines())) <= 100
    assert max(map(len, show(result(long, *days(5)), width=60).splitlines())) <= 60


def test_progress_is_told_now_and_then() -> None:
    """Where there is no terminal a line each ten seconds, without anything that moves a cursor."""
    now = 0.0
    stream = io.StringIO()
    with Progress(stream, environ={}, clock=lambda: now) as progress:
        for done in range(1, 31):
            now += 1.0
            progress("judged", done, 30)
    assert stream.getvalue() == "judged 10 of 30\njudged 20 of 30\njudged 30 of 30\n"
