"""Trials: what a watch would have observed, from a real Prometheus and a real VictoriaMetrics."""

from __future__ import annotations

import gzip
import socket
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from backtest.service_history import BEGIN, HOUR, RELEASES, Release, history
from deploy_guard import decide
from deploy_guard.backtest.history import Plan
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.backtest.ordinary import ordinary_days
from deploy_guard.backtest.reading import plan, read_trials, with_series
from deploy_guard.errors import GuardError
from deploy_guard.model import (
    Counts,
    NoData,
    NoDataReason,
    Reading,
    Revision,
    Sample,
    Target,
    Verdict,
    Workload,
)
from deploy_guard.policy.models import Policy, PrometheusSignal
from deploy_guard.signals import workload_variables
from deploy_guard.signals.prometheus import PrometheusMetricsSignal
from deploy_guard.signals.prometheus_api import PrometheusApi
from prometheus_server import PrometheusServer, needs_prometheus
from signals.web_server import Reply, Request, WebServer
from victoria_server import AVAILABLE as VICTORIA
from victoria_server import VictoriaServer, needs_victoria

pytestmark = needs_prometheus
WEB = Target("deployment", "shop", "web")
BY_POD = {
    "errors": 'sum by (pod) (http_requests_total{pod=~"{{ pods }}", code=~"5.."})',
    "requests": 'sum by (pod) (http_requests_total{pod=~"{{ pods }}"})',
}
NEW_ONLY = {
    "errors": 'sum by (pod) (http_requests_total{pod=~"{{ candidate_pods }}", code=~"5.."})',
    "requests": 'sum by (pod) (http_requests_total{pod=~"web-{{ candidate_hash }}-.*"})',
}
NEW_SUM = {
    "errors": 'sum(http_requests_total{pod=~"{{ candidate_pods }}", code=~"5.."})',
    "requests": 'sum(http_requests_total{pod=~"{{ candidate_pods }}"})',
}
IN_ALL = {"errors": 'sum(sums_total{code=~"5.."})', "requests": "sum(sums_total)"}
BUCKETS = 'sum by (pod, le) (lat_bucket{pod=~"{{ pods }}"})'
SIGNALS: dict[str, dict[str, Any]] = {
    "errors": {"ratio": BY_POD},
    "errors-of-new": {"ratio": NEW_ONLY, "interval": "30s", "limit": "5%"},
    "errors-of-new-summed": {"ratio": NEW_SUM, "limit": "5%"},
    "errors-in-all": {"ratio": IN_ALL, "interval": "60s"},
    "slow": {"latency": BUCKETS},
    "slow-old": {"latency": 'lat_bucket{pod=~"{{ baseline_pods }}"}'},
    "busy": {"value": 'busy{pod=~"{{ pods }}"}', "above": 2},
    "code": {"ratio": {**BY_POD, "requests": 'http_requests_total{pod=~"{{ pods }}"}'}},
}


def policy(url: str, *names: str, **watch: Any) -> Policy:
    signals = [{"name": n, "provider": "prometheus", **SIGNALS[n]} for n in names or SIGNALS]
    return Policy.model_validate(
        {
            "version": 1,
            "prometheus": {"url": url, "timeout": "30s"},
            "watch": {"for": "10m", "interval": "15s", "baseline": "1h", **watch},
            "signals": signals,
        }
    )


def deploy(release: Release, *, bad: bool | None = None) -> Deploy:
    """Return a release as the cluster knows it."""
    revision = Revision(1, f"web-{release.hash}", "", release.hash, (), release.at)
    return Deploy(release.at, release.hash, revision=revision, bad=bad)


DEPLOYS = [deploy(RELEASES[1]), deploy(RELEASES[2], bad=True), deploy(RELEASES[3])]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A Prometheus with a day of the service."""
    with PrometheusServer(tmp_path_factory.mktemp("prometheus"), history=history()) as server:
        yield server


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A VictoriaMetrics with the same day."""
    with VictoriaServer(tmp_path_factory.mktemp("victoria"), history=history()) as server:
        yield server


def readings(trial: Trial, name: str) -> list[Reading]:
    return [o for o in trial.observations if isinstance(o, Sample | NoData) and o.signal == name]


def live(policy: Policy, spec: PrometheusSignal, trial: Trial) -> list[Reading]:
    """Read a signal as the watch does, from the server itself, on the trial's looks."""
    assert policy.prometheus is not None
    looks = [o for o in trial.observations if isinstance(o, Workload)]
    interval = spec.interval or policy.watch.interval
    found: list[Reading] = []
    with closing(PrometheusApi(policy.prometheus, environ={})) as api:
        signal = PrometheusMetricsSignal(
            spec,
            interval=interval,
            baseline=policy.watch.baseline,
            warm_up=policy.watch.warm_up,
            api=api,
            variables=workload_variables,
        )
        now = trial.started_at
        while trial.ends_at is not None and now < trial.ends_at:
            look = [look for look in looks if look.seen_at <= now][-1]
            found += signal.read(look, now)
            now += interval
    return found


def test_history_says_what_a_watch_would_have_read(prometheus: PrometheusServer) -> None:
    """Of every signal each reading is the one that the server itself gives for that moment."""
    asked = policy(prometheus.url)
    for trial in read_trials(asked, WEB, DEPLOYS, environ={}):
        for spec in asked.signals:
            assert isinstance(spec, PrometheusSignal)
            theirs = live(asked, spec, trial)
            assert len(theirs) >= 10, spec.name
            assert readings(trial, spec.name) == theirs, (trial.deploy.label, spec.name)


def test_a_hole_in_the_history_is_stale_and_then_empty_as_it_was(tmp_path: Path) -> None:
    """Where nothing was scraped any more, the same polls have no data, for the same reason."""
    release = RELEASES[1]
    hole = (release.at + 200, release.at + 2000)
    text = history(RELEASES[:2], end=BEGIN + 7 * HOUR, hole=hole)
    with PrometheusServer(tmp_path / "prometheus", history=text) as server:
        asked = policy(server.url, "errors")
        (trial,) = read_trials(asked, WEB, [deploy(release)], environ={})
        spec = asked.signals[0]
        assert isinstance(spec, PrometheusSignal)
        ours = readings(trial, "errors")
        assert ours == live(asked, spec, trial)
        reasons = [r.reason for r in ours if isinstance(r, NoData)]
        assert {NoDataReason.STALE, NoDataReason.EMPTY} == set(reasons)


@pytest.mark.victoria
@pytest.mark.skipif(not VICTORIA, reason="victoria-metrics is not on the PATH")
def test_victoria_metrics_says_the_same_of_the_new_pods(victoria: PrometheusServer) -> None:
    """Its ranges lose sight of a dead pod a little sooner; what lives is the same."""
    asked = policy(victoria.url, "errors", "errors-of-new", "slow", "errors-in-all")
    for trial in read_trials(asked, WEB, DEPLOYS, environ={}):
        for spec in asked.signals:
            assert isinstance(spec, PrometheusSignal)
            ours, theirs = readings(trial, spec.name), live(asked, spec, trial)
            assert [_of_new(r) for r in ours] == [_of_new(r) for r in theirs], spec.name
            assert [r for r in ours if r.at <= trial.started_at] == [
                r for r in theirs if r.at <= trial.started_at
            ]


def _of_new(reading: Reading) -> object:
    return replace(reading, control=None) if isinstance(reading, Sample) else reading


@pytest.mark.parametrize("name", ["prometheus", pytest.param("victoria", marks=needs_victoria)])
def test_the_bad_deploy_is_caught_and_the_others_are_not(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Folded as a watch folds, the trials give the verdicts that the history deserves."""
    server: PrometheusServer = request.getfixturevalue(name)
    asked = policy(server.url, "errors", "slow", "errors-in-all")
    found = {
        trial.deploy.label: _verdict(asked, trial)
        for trial in read_trials(asked, WEB, DEPLOYS, environ={})
    }
    assert found == {
        RELEASES[1].hash: Verdict.HEALTHY,
        RELEASES[2].hash: Verdict.REGRESSED,
        RELEASES[3].hash: Verdict.HEALTHY,
    }


def _verdict(policy: Policy, trial: Trial) -> Verdict | None:
    found = decide.replay(policy, trial.started_at, trial.observations, ends_at=trial.ends_at)
    return found.verdict


def test_without_a_cluster_the_new_pods_are_those_that_came(prometheus: PrometheusServer) -> None:
    """A time alone is enough: the trial is the same as of the revision that the cluster knows."""
    asked = policy(prometheus.url, "errors", "slow", "errors-of-new", "busy")
    times = [Deploy(release.at, release.hash) for release in RELEASES[1:]]
    known = read_trials(asked, WEB, DEPLOYS, environ={})
    told = read_trials(asked, WEB, times, environ={})
    for one, other in zip(known, told, strict=True):
        assert one.observations == other.observations


def test_what_names_new_pods_and_drops_them_needs_to_know_the_revision(
    prometheus: PrometheusServer,
) -> None:
    """Without the hash a sum over the new pods cannot be asked for; it is told, and left out."""
    asked = policy(prometheus.url, "errors", "errors-of-new-summed")
    (trial,) = read_trials(asked, WEB, [Deploy(RELEASES[1].at, "")], environ={})
    assert dict(trial.missing).keys() == {"errors-of-new-summed", "kubernetes"}
    assert readings(trial, "errors-of-new-summed") == []


def test_signals_without_a_history_are_told(prometheus: PrometheusServer) -> None:
    """Probes and pods' own pages are missing, with the reason; the others are read."""
    asked = policy(prometheus.url, "errors")
    probe = {"name": "payments", "provider": "http", "url": "http://payments/healthz"}
    document = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    document["signals"].append(probe)
    asked = Policy.model_validate(document)
    (trial,) = read_trials(asked, WEB, DEPLOYS[:1], environ={})
    assert "http" in dict(trial.missing)["payments"]
    assert len(readings(trial, "errors")) == 160


def ordinary(server: PrometheusServer, asked: Policy, *, count: int = 8) -> list[Deploy]:
    return ordinary_days(
        asked,
        WEB,
        count=count,
        start=BEGIN + 2 * HOUR,
        end=BEGIN + 23 * HOUR,
        environ={},
    )


def test_an_ordinary_day_counts_every_request_once(prometheus: PrometheusServer) -> None:
    """New and old pods together have what the real pods counted during the watch."""
    asked = policy(prometheus.url, "errors", "errors-of-new")
    days = ordinary(prometheus, asked)
    assert len(days) == 8
    for trial in read_trials(asked, WEB, days, environ={}):
        samples = [s for s in readings(trial, "errors") if isinstance(s, Sample)]
        watched = [s for s in samples if s.at > trial.started_at]
        assert {s.at for s in watched if s.candidate and s.control} != set()
        new, old = _sum([s.candidate for s in watched]), _sum([s.control for s in watched])
        last = watched[-1].at
        grown = _total(prometheus, last) - _total(prometheus, trial.started_at)
        assert new.requests + old.requests == grown
        assert old.requests < new.requests
        alone = [s for s in readings(trial, "errors-of-new") if isinstance(s, Sample)]
        assert _sum([s.candidate for s in alone]).requests <= new.requests


def _sum(values: Sequence[object]) -> Counts:
    total = Counts(0.0, 0.0)
    for value in values:
        if isinstance(value, Counts):
            total += value
    return total


def _total(server: PrometheusServer, at: float) -> float:
    return server.query("sum(http_requests_total)", at=at)[0][1]


@pytest.mark.parametrize("name", ["prometheus", pytest.param("victoria", marks=needs_victoria)])
def test_ordinary_days_look_like_healthy_rollouts(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Every signal, with or without pods in its results, is judged, and none cries wolf here."""
    server: PrometheusServer = request.getfixturevalue(name)
    names = [name for name in SIGNALS if name != "slow-old"]
    asked = policy(server.url, *names)
    for trial in read_trials(asked, WEB, ordinary(server, asked), environ={}):
        assert _verdict(asked, trial) is Verdict.HEALTHY
        for signal in names:
            of_new = [s for s in readings(trial, signal) if isinstance(s, Sample) and s.candidate]
            assert len(of_new) >= 9, signal


def test_the_load_is_what_the_plan_says(prometheus: PrometheusServer) -> None:
    """Each range query of the plan is sent once, and no other; the last progress is all of them."""
    asked = policy(prometheus.url, "errors", "slow")
    days = ordinary(prometheus, asked, count=20)
    made: Plan = plan(asked, WEB, [*DEPLOYS, *days])
    told: list[tuple[int, int]] = []
    before = _requests(prometheus)
    trials = read_trials(
        asked,
        WEB,
        [*DEPLOYS, *days],
        environ={},
        progress=lambda done, all_of_them: told.append((done, all_of_them)),
    )
    assert len(list(trials)) == 23
    assert _requests(prometheus) - before == len(made.queries)
    assert told == [(n, len(made.queries)) for n in range(1, len(made.queries) + 1)]
    assert len(made.queries) < 3 * 23  # windows that touch are asked for together


def _requests(server: PrometheusServer) -> int:
    """Return how many range queries the server has answered."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    wanted = ("prometheus_http_requests_total{", '"/api/v1/query_range"')
    return sum(int(float(line.split()[-1])) for line in lines if all(w in line for w in wanted))


def test_points_are_counted_with_the_series_that_there_are(prometheus: PrometheusServer) -> None:
    """The plan knows the number of series once it has asked for it."""
    asked = policy(prometheus.url, "slow")
    made = plan(asked, WEB, DEPLOYS)
    sized = with_series(made, asked, environ={})
    assert sized.queries == made.queries
    assert sized.points == 6 * made.points  # three pods, two buckets


def test_a_window_is_answered_by_the_cache_the_second_time(
    prometheus: PrometheusServer, tmp_path: Path
) -> None:
    """The same trials come without a question to the server; nothing secret is in the files."""
    asked = policy(prometheus.url, "errors", "slow")
    first = list(read_trials(asked, WEB, DEPLOYS, environ={}, cache=tmp_path / "kept"))
    before = _requests(prometheus)
    second = list(read_trials(asked, WEB, DEPLOYS, environ={}, cache=tmp_path / "kept"))
    assert _requests(prometheus) == before
    assert first == second
    files = list((tmp_path / "kept").iterdir())
    assert len(files) == len(plan(asked, WEB, DEPLOYS).queries)
    assert not any(prometheus.url in gzip.decompress(file.read_bytes()).decode() for file in files)


def test_a_wide_baseline_is_asked_for_coarsely(prometheus: PrometheusServer) -> None:
    """A baseline of hours costs some hundred points, and ends exactly with the deploy."""
    asked = policy(prometheus.url, "errors", baseline="5h", interval="10s")
    late = Deploy(RELEASES[2].at, "", revision=DEPLOYS[1].revision)
    made = plan(asked, WEB, [late])
    assert len(made.queries) == 4
    assert made.points < 2 * (400 + 61 + 2)
    (trial,) = read_trials(asked, WEB, [late], environ={})
    found = [s for s in readings(trial, "errors") if isinstance(s, Sample)]
    before = [s for s in found if s.candidate is None and s.at <= trial.started_at]
    assert len(before) > 300
    assert before[-1].at == trial.started_at
    grown = _total(prometheus, before[-1].at) - _total(prometheus, before[0].at)
    later = _sum([s.control for s in before if s.at > before[0].at])
    assert later.requests == pytest.approx(grown, rel=0.001)
    assert _verdict(asked, trial) is Verdict.REGRESSED


def test_a_server_that_is_away_ends_the_backtest_with_the_reason() -> None:
    """Nothing was judged: an error, not a hundred trials without data."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        asked = policy(f"http://127.0.0.1:{taken.getsockname()[1]}", "errors")
        with pytest.raises(GuardError, match="refuses connections"):
            list(read_trials(asked, WEB, DEPLOYS[:1], environ={}))


def test_one_window_that_cannot_be_read_costs_one_trial() -> None:
    """Its signal has no data, with the server's reason; the others are judged."""
    lost = DEPLOYS[1]

    def answer(request: Request) -> Reply:
        form = parse_qs(request.body)
        if float(form["start"][0]) <= lost.at <= float(form["end"][0]):
            return Reply(500, "a store is broken")
        return Reply(body='{"status": "success", "data": {"resultType": "matrix", "result": []}}')

    days = [DEPLOYS[0], lost, replace(DEPLOYS[2], at=lost.at + 8 * HOUR)]
    with WebServer(answer) as server:
        trials = list(read_trials(policy(server.url, "slow"), WEB, days, environ={}))
    reasons = [
        {r.reason for r in readings(trial, "slow") if isinstance(r, NoData)} for trial in trials
    ]
    assert reasons == [{NoDataReason.EMPTY}, {NoDataReason.PROVIDER_ERROR}, {NoDataReason.EMPTY}]
