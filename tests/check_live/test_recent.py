"""The numbers up to now and their age, from a real Prometheus and a real VictoriaMetrics."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from check_live.shop import result
from deploy_guard.check_live.recent import AWAY, Recent, read_recent
from deploy_guard.model import (
    Counts,
    Gauge,
    Latencies,
    NoData,
    NoDataReason,
    Pod,
    Reading,
    Rollout,
    Sample,
    Target,
    Workload,
)
from deploy_guard.policy.models import Policy
from prometheus_server import PrometheusServer, needs_prometheus
from signals.web_server import Reply, Request, WebServer
from victoria_server import VictoriaServer, needs_victoria

NOW = float(int(time.time()) - 2 * 86400)  # two days ago: the past is read on purpose
PODS = ("web-5d-a", "web-5d-b", "web-5d-c")
SHOP = 'namespace="shop"'
STEP = 15


def clock() -> float:
    """Return the moment at which the history ends."""
    return NOW


def workload() -> Workload:
    """Return three pods that were deployed a day ago."""
    pods = tuple(
        Pod(name, "5d", NOW - 86400, phase="Running", ready=True, ready_since=NOW - 86390)
        for name in PODS
    )
    rollout = Rollout(3, 3, 3, 3, observed=True, complete=True)
    return Workload(Target("deployment", "shop", "web"), "5d", NOW - 86400, NOW, pods, rollout)


def history() -> str:
    """Return an hour: 20 requests a second over all pods, a tenth failing in the last 10 min.

    Pod c has no new sample for 4 minutes, `queue_depth` ended 40 minutes ago.
    """
    lines: dict[str, list[str]] = {"http_requests": [], "seconds": [], "queue_depth": []}
    for pod in PODS:
        requests = errors = 0
        labels = f'{SHOP},pod="{pod}"'
        for back in range(3600, 0, -STEP):
            at = NOW - back
            requests += 100
            errors += 10 if back <= 600 else 0
            if pod == PODS[2] and back < 240:
                continue
            for code, number in (("200", requests - errors), ("500", errors)):
                row = f'http_requests_total{{{labels},code="{code}"}} {number} {at:.0f}'
                lines["http_requests"].append(row)
            for le, share in (("0.5", 0.98), ("+Inf", 1.0)):
                number = int(requests * share)
                row = f'seconds_bucket{{{labels},le="{le}"}} {number} {at:.0f}'
                lines["seconds"].append(row)
            if back > 2400:
                lines["queue_depth"].append(f"queue_depth{{{labels}}} 7 {at:.0f}")
    kinds = {"http_requests": "counter", "seconds": "histogram", "queue_depth": "gauge"}
    found = []
    for name, rows in lines.items():
        found += [f"# TYPE {name} {kinds[name]}", *sorted(rows, key=_series)]
    return "\n".join(found) + "\n"


def _series(row: str) -> tuple[str, float]:
    name, _, at = row.split(" ")
    return name, float(at)


SIGNALS = [
    {
        "name": "errors",
        "provider": "prometheus",
        "ratio": {
            "errors": 'sum by (pod) (http_requests_total{pod=~"{{ pods }}", code=~"5.."})',
            "requests": 'sum by (pod) (http_requests_total{pod=~"{{ pods }}"})',
        },
    },
    {
        "name": "new-errors",
        "provider": "prometheus",
        "ratio": {
            "errors": 'sum(http_requests_total{pod=~"{{ candidate_pods }}", code=~"5.."})',
            "requests": 'sum(http_requests_total{pod=~"{{ candidate_pods }}"})',
        },
    },
    {
        "name": "latency",
        "provider": "prometheus",
        "latency": 'sum by (pod, le) (seconds_bucket{pod=~"{{ pods }}"})',
    },
    {"name": "queue", "provider": "prometheus", "value": "max(queue_depth)", "above": "10"},
    {"name": "never", "provider": "prometheus", "value": "max(no_such_thing)", "above": "10"},
]


def policy(url: str) -> Policy:
    """Return a policy that asks this server."""
    return Policy.model_validate(
        {
            "version": "1",
            "watch": {"interval": "15s", "baseline": "50m"},
            "prometheus": {"url": url},
            "signals": SIGNALS,
        }
    )


def ask(url: str) -> dict[str, Recent]:
    """Return what is known at the end of the history."""
    return read_recent(policy(url), workload(), {}, environ={}, clock=clock)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(PrometheusServer, marks=needs_prometheus, id="prometheus"),
        pytest.param(VictoriaServer, marks=needs_victoria, id="victoria"),
    ],
)
def known(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Recent]:
    """What a server of each kind knows at the end of the history."""
    with request.param(tmp_path_factory.mktemp("server") / "data", history=history()) as server:
        return ask(server.url)


def test_the_present_is_that_of_the_last_minutes(known: dict[str, Recent]) -> None:
    """A tenth fails now although an hour has far less; two pods of three still count."""
    numbers = known["errors"].numbers
    assert isinstance(numbers.now, Counts)
    assert numbers.now.ratio == pytest.approx(0.1)
    assert numbers.seconds == pytest.approx(300, abs=30)
    assert numbers.rate == pytest.approx(15, abs=3)


def test_the_baseline_ends_now(known: dict[str, Recent]) -> None:
    """All that lives is control for a deploy that begins now, for all of `baseline`."""
    before = known["errors"].numbers.before
    assert NOW - 3000 <= before[0].at < NOW - 2900
    assert NOW - 60 < before[-1].at <= NOW
    assert all(s.candidate is None and isinstance(s.control, Counts) for s in before)


def test_a_query_of_new_pods_only_has_no_past(known: dict[str, Recent]) -> None:
    """What names only the candidate's pods is nobody's baseline."""
    assert known["new-errors"].numbers.before == ()


def test_a_histogram_has_a_rate_too(known: dict[str, Recent]) -> None:
    """Its observations are requests."""
    numbers = known["latency"].numbers
    assert isinstance(numbers.now, Latencies)
    assert numbers.now.slower_than(0.5).ratio == pytest.approx(0.02, abs=0.002)
    assert numbers.rate == pytest.approx(15, abs=3)


def test_the_age_is_that_of_the_newest_sample(known: dict[str, Recent]) -> None:
    """The newest is one step old; a pod that stands still is told of, with its age."""
    recent = known["errors"]
    assert recent.age == pytest.approx(STEP, abs=2)
    assert not recent.gone
    assert recent.old == "1 of 3 pods have no new sample for 4 m or more"
    assert recent.warnings == (recent.old,)


def test_a_series_that_has_ended_is_told_with_its_age(known: dict[str, Recent]) -> None:
    """The query finds nothing now; within an hour there was something."""
    recent = known["queue"]
    assert recent.gone
    assert recent.age == pytest.approx(2400, abs=75)
    assert recent.warnings[0].startswith(("the series ended 39 m", "the series ended 40 m"))
    assert recent.numbers.now is None


def test_a_series_that_never_was(known: dict[str, Recent]) -> None:
    """Nothing in the last hour either."""
    recent = known["never"]
    assert (recent.age, recent.gone) == (None, True)
    assert recent.warnings == ("no such series in the last 1 h either",)


@pytest.mark.parametrize("ahead", [-120.0, 120.0])
def test_the_age_is_told_by_the_servers_clock(ahead: float) -> None:
    """A sample of 5 s ago is 5 s old, whichever way the clock here is wrong."""
    server_now = time.time()

    def answer(request: Request) -> Reply:
        if "query_range" in request.path:
            return result("matrix")
        newest = {"metric": {"pod": PODS[0]}, "value": [server_now, str(server_now - 5)]}
        body = json.dumps(
            {"status": "success", "data": {"resultType": "vector", "result": [newest]}}
        )
        return Reply(body=body, headers={"Date": formatdate(server_now, usegmt=True)})

    with WebServer(answer) as server:
        found = read_recent(
            policy(server.url), workload(), {}, environ={}, clock=lambda: server_now - ahead
        )
    assert found["errors"].age == pytest.approx(5, abs=1.5)
    assert not found["errors"].old


def test_a_server_that_is_away_leaves_what_the_check_has_read() -> None:
    """The numbers of the check itself are kept, and the failure is told."""
    seen = Sample("errors", NOW, 60.0, candidate=Counts(600, 6))
    found = read_recent(
        policy("http://127.0.0.1:1"), workload(), {"errors": [seen]}, environ={}, clock=clock
    )
    recent = found["errors"]
    assert recent.numbers.now == Counts(600, 6)
    assert recent.numbers.rate == 10
    assert recent.age is None
    assert recent.warnings[0].startswith("the time up to now could not be read: ")


@pytest.mark.parametrize("reason", AWAY)
def test_a_server_that_did_not_answer_is_not_waited_for_again(reason: NoDataReason) -> None:
    """It would keep whoever runs the check waiting for nothing: one that hangs, each time."""
    asked: list[str] = []

    def answer(request: Request) -> Reply:
        asked.append(request.path)
        return result("matrix")

    failure = NoData("errors", NOW, reason, "away")
    with WebServer(answer) as server:
        rules = policy(server.url)
        readings: dict[str, list[Reading]] = {spec.name: [failure] for spec in rules.signals}
        found = read_recent(rules, workload(), readings, environ={}, clock=clock)
    assert asked == []
    assert [recent.age for recent in found.values()] == [None] * len(found)


@needs_prometheus[0]
@needs_prometheus[1]
def test_a_pod_of_a_set_that_was_just_replaced_brings_no_jump(tmp_path: Path) -> None:
    """Until it is scraped, the newest sample is its predecessor's: nothing was counted since."""
    sets = replace(
        workload(),
        target=Target("statefulset", "shop", "web"),
        pods=tuple(replace(pod, name=f"web-{i}") for i, pod in enumerate(workload().pods)),
        deployed_at=NOW - 3,
    )
    sets = replace(sets, pods=tuple(replace(pod, created=NOW - 3) for pod in sets.pods))
    text = history()
    for number, pod in enumerate(PODS):
        text = text.replace(pod, f"web-{number}")
    with PrometheusServer(tmp_path / "data", history=text) as server:
        numbers = read_recent(policy(server.url), sets, {}, environ={}, clock=clock)["errors"]
    assert numbers.numbers.rate == pytest.approx(15, abs=3)


def test_pods_and_apis_are_read_at_the_source() -> None:
    """What has no server is as new as can be: now."""
    rules = Policy.model_validate(
        {
            "version": "1",
            "signals": [
                {"name": "q", "provider": "pods", "port": "1", "value": "q", "above": "9"},
            ],
        }
    )
    seen = Sample("q", NOW, 0.0, candidate=Gauge(3.0))
    recent = read_recent(rules, workload(), {"q": [seen]}, environ={}, clock=clock)["q"]
    assert (recent.age, recent.at_source, recent.numbers.now) == (0.0, True, Gauge(3.0))
