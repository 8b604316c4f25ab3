"""The sweep: what is counted at each setting, and that nothing is suggested beyond the data."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from deploy_guard.backtest.inject import Injection, Kind
from deploy_guard.backtest.judging import Judged
from deploy_guard.backtest.model import Deploy
from deploy_guard.backtest.sweep import Sweep, settings, sweep
from deploy_guard.backtest.work import At, Folded
from deploy_guard.model import Verdict

FAIL = Injection(Kind.ERRORS, 0.05)
TRIED = (0.001, 0.01, 0.1)


def day(alarms: Sequence[bool], seconds: Sequence[float | None], number: int = 0) -> Folded:
    """Return an ordinary day: at each setting whether it fires, and when the regression is seen."""
    deploy = Deploy(float(number), f"day {number}", ordinary=True)
    found = []
    for alarm, after in zip(alarms, seconds, strict=True):
        judged = Judged(deploy, Verdict.REGRESSED if alarm else Verdict.HEALTHY, "", None)
        found.append(At(judged, () if alarm else ((FAIL, after),)))
    return Folded(found[1].judged, tuple(found))


def swept(days: Sequence[Folded], *, deploys: float = 20, accepted: float | None = None) -> Sweep:
    """Sweep with 1 % as the policy's own setting and a watch of ten minutes."""
    return sweep(days, TRIED, own=0.01, length=600, deploys=deploys, accepted=accepted)


def quiet(count: int, *seconds: float | None) -> list[Folded]:
    """Return days on which nothing fires."""
    return [day([False] * 3, seconds or (300, 200, 100), n) for n in range(count)]


def test_the_policys_own_setting_is_among_those_that_are_tried() -> None:
    """An own one is put in its place; a usual one is not tried twice."""
    assert 0.03 in settings(0.03)
    assert list(settings(0.03)) == sorted(settings(0.03))
    assert len(settings(0.01)) == len(settings(0.03)) - 1


def test_each_setting_counts_its_alarms_and_times() -> None:
    """False rollbacks, the share caught, the median, and the mean with misses as whole watches."""
    days = [
        day([False, False, True], [None, 200, 0], 1),
        day([False, True, True], [400, 0, 0], 2),
        day([False, False, False], [None, 100, 50], 3),
    ]
    found = swept(days)
    assert [(r.false.count, r.false.of) for r in found.rows] == [(0, 3), (1, 3), (2, 3)]
    first, second, third = (row.seen[0] for row in found.rows)
    assert (first.caught.count, first.caught.of, first.median) == (1, 3, None)
    assert (second.caught.count, second.caught.of, second.median) == (2, 2, 200)
    assert (third.caught.count, third.caught.of, third.median) == (1, 1, 50)
    assert [row.delay for row in found.rows] == pytest.approx([(600 + 400 + 600) / 3, 150, 50])


def test_days_without_data_are_no_evidence() -> None:
    """A day that could not be read counts neither as quiet nor as an alarm."""
    silent = Judged(Deploy(9.0, "", ordinary=True), Verdict.NO_DATA, "")
    found = swept([*quiet(2), Folded(silent, (At(silent), At(silent), At(silent)))])
    assert {row.false.of for row in found.rows} == {2}


def test_known_bad_deploys_are_counted_apart() -> None:
    """They are no ordinary days, and tell what each setting would have caught."""
    deploy = Deploy(1.0, "v3", bad=True)
    at = tuple(
        At(Judged(deploy, verdict, "", None))
        for verdict in (Verdict.HEALTHY, Verdict.REGRESSED, Verdict.REGRESSED)
    )
    found = swept([*quiet(3), Folded(at[1].judged, at)])
    assert [(r.bad.count, r.bad.of) for r in found.rows] == [(0, 1), (1, 1), (1, 1)]
    assert {row.false.of for row in found.rows} == {3}


def test_few_days_suggest_nothing() -> None:
    """Ten quiet days cannot show that it is less than one a month; how many could is told."""
    found = swept(quiet(10))
    assert found.suggestion is None
    assert "10 ordinary days cannot show" in found.why
    assert "at least 72" in found.why


def test_the_quickest_setting_that_the_data_support_is_suggested() -> None:
    """100 quiet days at 5 deploys a month: 10 % is quicker, and within one a month."""
    found = swept(quiet(100), deploys=5)
    assert found.suggestion == 0.1
    assert "cannot tell 0.1 % to 10 % apart" in found.why


def test_a_setting_that_fires_too_often_is_not_suggested() -> None:
    """10 % fires on five of 100 days: up to more than one a month."""
    days = [*quiet(95), *(day([False, False, True], [300, 200, 0], 100 + n) for n in range(5))]
    found = swept(days, deploys=10)
    assert found.suggestion == 0.01
    assert found.why.startswith("keep")


def test_a_setting_that_promises_too_little_is_not_suggested() -> None:
    """10 % of 20 deploys are two a month: quiet days of the past do not make it less."""
    assert swept(quiet(400)).suggestion == 0.01


def test_a_gain_that_is_small_is_no_reason_for_a_change() -> None:
    """Where another setting is a few seconds quicker, the policy's own stays."""
    found = swept(quiet(100, 110, 104, 100), deploys=5)
    assert found.suggestion == 0.01


def test_a_noisy_signal_is_told_as_such() -> None:
    """Where every setting fires too often, the answer is not a setting."""
    found = swept([day([True] * 3, [0, 0, 0], n) for n in range(50)])
    assert found.suggestion is None
    assert "every setting has more than 1 a month" in found.why


def test_what_the_user_accepts_is_the_measure() -> None:
    """Ten a month are accepted: 10 % promises two, and 100 days show no more than ten."""
    assert swept(quiet(100), accepted=10).suggestion == 0.1


def test_without_an_injected_regression_there_is_nothing_to_be_quick_about() -> None:
    """A policy of plain numbers does not depend on the sensitivity."""
    judged = Judged(Deploy(1.0, "", ordinary=True), Verdict.HEALTHY, "")
    found = swept([Folded(judged, (At(judged),) * 3)] * 100)
    assert found.suggestion is None
    assert "depends on watch.sensitivity" in found.why


def test_without_an_ordinary_day_there_is_no_suggestion() -> None:
    """Nothing was judged: that is told."""
    assert "no ordinary day" in swept([]).why
