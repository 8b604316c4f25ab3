"""A Prometheus that answers and takes in nothing: told by the times of its samples."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from deploy_guard.model import NoData, NoDataReason, Probe, Sample
from deploy_guard.policy.models import HttpSignal, PrometheusConnection, PrometheusSignal
from deploy_guard.signals import workload_variables
from deploy_guard.signals.http import HttpProbeSignal
from deploy_guard.signals.prometheus import PrometheusMetricsSignal
from deploy_guard.signals.prometheus_api import PrometheusApi
from deploy_guard.signals.prometheus_ingestion import Ingestion, question
from prometheus_server import PrometheusServer, needs_prometheus
from signals.web_server import Reply, WebServer
from signals.workloads import DEPLOYED, NEW_POD, OLD_POD, pod, workload


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('sum by (pod) (up{job="a"})', 'up{job="a"}'),
        ("sum by (pod) (http_requests_total)", "http_requests_total"),
        ("up", "up"),
        ('sum({__name__=~"a|b", code=~"5.."}) / 2', '{__name__=~"a|b", code=~"5.."}'),
        ('label_replace(up{a="}"}, "pod", "$1", "b", "(.*)")', 'up{a="}"}'),
        ('max(up{a="b"}[5m:1m] offset 1m)', 'up{a="b"}'),
        ("vector(1)", None),
        ("time() - 5", None),
    ],
)
def test_the_metric_behind_a_query(query: str, expected: str | None) -> None:
    """The times are asked of the first selector; a query without any has none to ask for."""
    assert question(query) == (expected and f"max by (pod) (timestamp({expected}))")


def test_patience_follows_the_scrapes() -> None:
    """Three intervals without a new sample are silence, whatever the interval and the offset."""
    for interval, offset in ((15.0, 0.0), (60.0, -300.0), (1.0, 45.0)):
        ingestion = Ingestion()
        for n in range(5):
            now = 1000 + n * interval
            assert ingestion.silence({"a": now + offset, "b": now + offset - 2}, now) is None
        last = {"a": now + offset, "b": now + offset - 2}
        assert ingestion.silence(last, now + 3 * interval) is None
        assert ingestion.silence(last, now + 3 * interval + 1) == 3 * interval + 1
        assert ingestion.silence({"a": now + offset + 1}, now + 4 * interval) is None


def test_patience_before_anything_moved() -> None:
    """What never moved is waited for as long as a slow scrape takes; a new pod is news."""
    ingestion = Ingestion()
    assert ingestion.silence({"a": 1.0}, 1000.0) is None
    assert ingestion.silence({"a": 1.0}, 1149.0) is None
    assert ingestion.silence({"a": 1.0, "b": 1.0}, 1160.0) is None
    assert ingestion.silence({"a": 1.0}, 1311.0) == 151


def opened(url: str) -> tuple[PrometheusApi, PrometheusMetricsSignal]:
    """Open a signal on requests that fail."""
    ratio = {
        "errors": 'sum by (pod) (http_requests_total{code=~"5.."})',
        "requests": "sum by (pod) (http_requests_total)",
    }
    spec = PrometheusSignal.model_validate(
        {"provider": "prometheus", "name": "errors", "ratio": ratio, "limit": "5%"}
    )
    api = PrometheusApi(PrometheusConnection.model_validate({"url": url}), environ={})
    signal = PrometheusMetricsSignal(
        spec, interval=10.0, baseline=60.0, warm_up=0.0, api=api, variables=workload_variables
    )
    return api, signal


@pytest.mark.prometheus
@needs_prometheus[1]
def test_samples_that_end_without_a_word(tmp_path: Path) -> None:
    """Zero increments soon become stale, long before Prometheus itself forgets the series."""
    lines = ["# TYPE http_requests counter"]
    for at in range(int(DEPLOYED) - 120, int(DEPLOYED) + 61, 10):
        served = at - int(DEPLOYED) + 120
        lines.append(f'http_requests_total{{pod="{NEW_POD}",code="200"}} {served} {at}')
    look = workload(pod(NEW_POD), pod(OLD_POD))
    with PrometheusServer(tmp_path, history="\n".join([*lines, "# EOF", ""])) as server:
        api, signal = opened(server.url)
        kinds = []
        for seconds in range(30, 131, 10):
            last = signal.read(look, DEPLOYED + seconds)[-1]
            kinds.append(last.reason if isinstance(last, NoData) else None)
        assert isinstance(last, NoData)
        api.close()
    assert kinds == [None] * 7 + [NoDataReason.STALE] * 4
    assert "no new sample for 1 m 10 s" in last.detail


@pytest.mark.parametrize("ahead", [-90, 120])
def test_a_clock_of_prometheus_that_is_wrong(ahead: int) -> None:
    """By how much the server's clock differs is told once, not at each reading anew."""
    moment = time.time()
    body = (
        '{"status":"success","data":{"resultType":"vector","result":'
        f'[{{"metric":{{"pod":"{NEW_POD}"}},"value":[0,"5"]}}]}}}}'
    )
    with WebServer(lambda _: Reply(200, body)) as web:
        api, signal = opened(web.url)
        said = set()
        for n in range(3):
            signal.read(workload(pod(NEW_POD)), moment - ahead + n * 0.01)
            said |= {w for w in signal.warnings if "clock" in w}
        api.close()
    (words,) = said
    assert ("ahead of" if ahead > 0 else "behind") in words


def test_a_probe_while_guard_itself_sees_nothing() -> None:
    """An API out of reach is a failed probe, but not while the cluster is out of reach too."""
    spec = HttpSignal.model_validate(
        {"provider": "http", "name": "payments", "url": "http://127.0.0.1:9/", "timeout": "2s"}
    )
    signal = HttpProbeSignal(spec, interval=1.0, variables=workload_variables, environ={})
    (seen,) = signal.read(workload(pod(NEW_POD)), DEPLOYED + 60)
    (unseen,) = signal.read(workload(pod(NEW_POD), blind="no connection"), DEPLOYED + 61)
    signal.close()
    assert isinstance(seen, Sample)
    assert isinstance(seen.candidate, Probe)
    assert not seen.candidate.ok
    assert isinstance(unseen, NoData)
    assert unseen.reason is NoDataReason.UNREACHABLE
    assert "the cluster cannot be seen either" in unseen.detail
