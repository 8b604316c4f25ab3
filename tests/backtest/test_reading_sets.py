"""Trials of StatefulSets and DaemonSets, whose pods do not tell their revision by name."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest

from deploy_guard import decide
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.backtest.reading import read_trials
from deploy_guard.model import NoData, Reading, Sample, Target, Verdict, Workload
from deploy_guard.policy.models import Policy, PrometheusSignal
from deploy_guard.signals import workload_variables
from deploy_guard.signals.prometheus import PrometheusMetricsSignal
from deploy_guard.signals.prometheus_api import PrometheusApi
from prometheus_server import PrometheusServer, needs_prometheus

pytestmark = needs_prometheus
BEGIN = 1_735_689_600  # 2025-01-01
GOOD, BAD = BEGIN + 7200, BEGIN + 14_400  # two deploys, the second of which fails
END = BEGIN + 18_000
KINDS = {"statefulset": "db", "daemonset": "agent"}


def _names(kind: str, place: int, number: int) -> str:
    """Return the name of a pod of a place: a StatefulSet's is the same in each revision."""
    return f"db-{place}" if kind == "statefulset" else f"agent-{'bcd'[number]}{place}fgh"


def history() -> str:
    """Return five hours of three pods of each kind, scraped every 30 s, each replaced twice."""
    chance = random.Random(5)
    lines = ["# TYPE calls counter"]
    for kind in KINDS:
        for place in range(3):
            changes = [BEGIN - 3600, GOOD + 20 + 20 * place, BAD + 20 + 20 * place, END + 60]
            for number, (first, last) in enumerate(pairwise(changes)):
                lines += _pod(chance, _names(kind, place, number), first, last, bad=number == 2)
    return "\n".join([*lines, "# EOF", ""])


def _pod(chance: random.Random, name: str, first: int, last: int, *, bad: bool) -> Iterator[str]:
    total = failed = 0
    for at in range(BEGIN - BEGIN % 30, END + 1, 30):
        if not first <= at < last - 10:
            continue
        count = chance.randint(80, 120)
        total += count
        failed += sum(chance.random() < (0.3 if bad else 0.01) for _ in range(count))
        yield f'calls_total{{pod="{name}",code="200"}} {total - failed} {at}'
        yield f'calls_total{{pod="{name}",code="500"}} {failed} {at}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A Prometheus with that history."""
    with PrometheusServer(tmp_path_factory.mktemp("prometheus"), history=history()) as server:
        yield server


def policy(url: str) -> Policy:
    def ratio(pods: str) -> dict[str, Any]:
        return {
            "errors": f'sum by (pod) (calls_total{{pod=~"{pods}", code=~"5.."}})',
            "requests": f'sum by (pod) (calls_total{{pod=~"{pods}"}})',
        }

    signals: list[dict[str, Any]] = [
        {"name": "all", "ratio": ratio("{{ pods }}")},
        {"name": "new", "ratio": ratio("{{ candidate_pods }}"), "limit": "5%"},
    ]
    return Policy.model_validate(
        {
            "version": 1,
            "prometheus": {"url": url, "timeout": "30s"},
            "watch": {"for": "10m", "interval": "15s", "baseline": "1h"},
            "signals": [{"provider": "prometheus", **signal} for signal in signals],
        }
    )


def target(kind: str) -> Target:
    return Target(kind, "shop", KINDS[kind])


def readings(trial: Trial, name: str) -> list[Reading]:
    return [o for o in trial.observations if isinstance(o, Sample | NoData) and o.signal == name]


def verdict(policy: Policy, trial: Trial) -> Verdict | None:
    found = decide.replay(policy, trial.started_at, trial.observations, ends_at=trial.ends_at)
    return found.verdict


@pytest.mark.parametrize("kind", KINDS)
def test_deploys_of_sets_are_judged(server: PrometheusServer, kind: str) -> None:
    """The new pods are told from the old ones by falls and births alone."""
    asked = policy(server.url)
    trials = read_trials(
        asked, target(kind), [Deploy(GOOD, "good"), Deploy(BAD, "bad")], environ={}
    )
    found = {trial.deploy.label: verdict(asked, trial) for trial in trials}
    assert found == {"good": Verdict.HEALTHY, "bad": Verdict.REGRESSED}


@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_days_of_sets_are_healthy(server: PrometheusServer, kind: str) -> None:
    """Also where a pod's successor has its name, the same pods are as good as themselves."""
    asked = policy(server.url)
    days = [Deploy(BEGIN + seconds, "", ordinary=True) for seconds in (5400, 12_600)]
    for trial in read_trials(asked, target(kind), days, environ={}):
        assert verdict(asked, trial) is Verdict.HEALTHY
        for name in ("all", "new"):
            judged = [s for s in readings(trial, name) if isinstance(s, Sample) and s.candidate]
            assert len(judged) > 30


@pytest.mark.parametrize("kind", KINDS)
def test_a_watch_that_sees_these_pods_reads_the_same(server: PrometheusServer, kind: str) -> None:
    """From the server itself, on the trial's own looks, the same samples come."""
    asked = policy(server.url)
    assert asked.prometheus is not None
    (trial,) = read_trials(asked, target(kind), [Deploy(BAD, "bad")], environ={})
    looks = [o for o in trial.observations if isinstance(o, Workload)]
    for spec in asked.signals:
        assert isinstance(spec, PrometheusSignal)
        with closing(PrometheusApi(asked.prometheus, environ={})) as api:
            signal = PrometheusMetricsSignal(
                spec,
                interval=15.0,
                baseline=3600.0,
                warm_up=30.0,
                api=api,
                variables=workload_variables,
            )
            found: list[Reading] = []
            for poll in range(40):
                now = trial.started_at + 15 * poll
                look = [look for look in looks if look.seen_at <= now][-1]
                found += signal.read(look, now)
        ours = readings(trial, spec.name)
        assert [r for r in ours if isinstance(r, Sample)] == [
            r for r in found if isinstance(r, Sample)
        ]
