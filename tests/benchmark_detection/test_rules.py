"""Our rules and their forerunners do what they are said to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.detection import rules
from benchmarks.detection.families import TUNING, healthy
from benchmarks.detection.faults import SHARED
from benchmarks.detection.outcome import Times
from benchmarks.detection.prototype import prototype
from benchmarks.detection.reference import negative_binomial, reference
from benchmarks.detection.regressions import WHOLE, Case
from benchmarks.detection.setting import Array, Control, Setting
from benchmarks.detection.traces import Traces
from scipy import stats

from deploy_guard.detect import Settings, moments, replay


def cell(case: Case, *, poll: int = 15, count: int = 200) -> Traces:
    """Return traces of a case."""
    return case.traces(case.setting(poll=poll, count=count, seed=4))


def median(times: Array) -> float:
    """Return the time within which half of the deploys were rolled back."""
    return Times.of(times, 0.0).quantile(0.5)


def test_guard_is_the_replay() -> None:
    """The rule called guard says what `detect.replay` says, deploy by deploy."""
    traces = cell(Case(0.001, 0.5, 100), count=3)
    said = rules.guard([traces])
    assert list(said.declared) == [replay(*traces.of_one(row)) for row in range(3)]
    assert said.suspected is not None and (said.suspected <= said.declared).all()


def test_several_signals_share_the_level() -> None:
    """Each is judged at its part of the level, and the first one that fires is heard."""
    good, bad = (cell(Case(0.001, worse, 100), count=3) for worse in (0.001, 0.05))
    settings = Settings(level=rules.LEVEL / 2)
    alone = [moments(*bad.of_one(row), settings=settings).declared for row in range(3)]
    assert list(rules.guard([good, bad]).declared) == alone


def test_guard_can_be_told_of_no_old_pods() -> None:
    """Without them it rolls back for a fault of the world, with them it does not."""
    outage = next(shared for shared in SHARED if shared.name == "outage 50 %")
    traces = outage.traces(Setting(100, 0.001, 15, 3), Control(WHOLE))
    assert np.isfinite(rules.alone([traces]).declared).all()
    assert np.isinf(rules.guard([traces]).declared).all()


def test_an_unknown_rule_is_an_error() -> None:
    """The message suggests a name."""
    with pytest.raises(ValueError, match="'Flager' is unknown: did you mean 'Flagger'"):
        rules.chosen(["Flager"])


def test_the_negative_binomial_is_scipys() -> None:
    """Its upper tail agrees where the counts are whole."""
    for x, mu, size in ((3, 1.5, 4.0), (40, 10.0, 0.7), (1, 1e-3, 50.0)):
        expected = stats.nbinom.sf(x - 1, size, size / (size + mu))
        found = negative_binomial(np.array([float(x)]), np.array([mu]), np.array([size]))
        assert found[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("worse", "rate", "expected"), [(0.01, 100, 57), (0.005, 100, 85), (0.5, 100, 23)]
)
def test_the_reference_is_as_quick_as_stated(worse: float, rate: float, expected: float) -> None:
    """Its medians at 15 s are those that it was published with."""
    traces = cell(Case(0.001, worse, rate))
    assert median(reference(traces)) == pytest.approx(expected, abs=5)


@pytest.mark.parametrize(
    ("worse", "rate", "poll", "expected"),
    [(0.01, 100, 2, 46), (0.005, 100, 2, 71), (0.5, 100, 2, 4), (0.01, 100, 15, 58)],
)
def test_the_prototype_is_as_quick_as_stated(
    worse: float, rate: float, poll: int, expected: float
) -> None:
    """Its medians are those that it was published with."""
    traces = cell(Case(0.001, worse, rate), poll=poll)
    assert median(prototype(traces)) == pytest.approx(expected, abs=5)


@pytest.mark.parametrize("rule", [reference, prototype])
def test_forerunners_leave_healthy_deploys_alone(rule: rules.Rule) -> None:
    """On independent errors, and after a usual warm-up, they hardly ever fire."""
    for family in (TUNING[0], TUNING[7]):
        traces = healthy(family, Setting(100, 0.001, 15, 200, seed=3))
        assert np.isfinite(rule(traces)).mean() <= 0.01  # type: ignore[operator]


def test_the_prototype_judges_each_deploy_for_itself() -> None:
    """Deploys that are judged together get what each would get alone."""
    traces = cell(Case(0.001, 0.005, 100), poll=2, count=6)
    single = [
        prototype(
            replace(
                traces,
                ends=traces.ends[[row]],
                base_requests=traces.base_requests[[row]],
                base_errors=traces.base_errors[[row]],
                requests=traces.requests[[row]],
                errors=traces.errors[[row]],
            )
        )[0]
        for row in range(6)
    ]
    assert list(prototype(traces)) == single


def test_the_prototype_asks_the_old_pods() -> None:
    """It rolls back a worse deploy beside healthy old pods, and no shared outage."""
    case = Case(0.001, 0.01, 100)
    setting = case.setting(poll=15, count=10, seed=1)
    assert np.isfinite(prototype(case.traces(setting, Control(WHOLE)))).all()
    outage = next(shared for shared in SHARED if shared.name == "outage 50 %")
    for life in (60, WHOLE):
        assert np.isinf(prototype(outage.traces(setting, Control(life)))).all()
