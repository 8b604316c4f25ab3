"""PromQL against a real Prometheus: baseline, increments, pods told apart, no data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest

from deploy_guard.model import (
    Counts,
    Gauge,
    Latencies,
    NoData,
    NoDataReason,
    Reading,
    Sample,
    Value,
)
from deploy_guard.policy.models import PrometheusConnection, PrometheusSignal
from deploy_guard.signals import workload_variables
from deploy_guard.signals.prometheus import PrometheusMetricsSignal
from deploy_guard.signals.prometheus_api import PrometheusApi
from prometheus_server import PrometheusServer, needs_prometheus
from signals.prom_history import RESTART, STEP, history
from signals.web_server import Reply, WebServer
from signals.workloads import DEPLOYED, NEW, NEW_POD, OLD, OLD_POD, pod, workload

pytestmark = needs_prometheus

BY_POD = {
    "errors": 'sum by (pod) (http_requests_total{pod=~"{{ pods }}", code=~"5.."})',
    "requests": 'sum by (pod) (http_requests_total{pod=~"{{ pods }}"})',
}
LOOK = workload(pod(NEW_POD), pod(OLD_POD))
INFINITY = float("inf")


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A Prometheus that holds the history around a deploy, behind a path prefix."""
    with PrometheusServer(
        tmp_path_factory.mktemp("prometheus"), history=history(), prefix="/prom"
    ) as server:
        yield server


@pytest.fixture
def opened() -> Iterator[list[PrometheusApi]]:
    """The connections of a test, closed at its end."""
    apis: list[PrometheusApi] = []
    yield apis
    for api in apis:
        api.close()


class Opener:
    """Opens signals on one server."""

    def __init__(self, url: str, opened: list[PrometheusApi]) -> None:
        self._url = url
        self._opened = opened

    def __call__(self, *, baseline: float = 600.0, **measure: Any) -> PrometheusMetricsSignal:
        measure = measure or {"ratio": BY_POD}
        limits: dict[str, Any] = {"ratio": {"limit": "5%"}, "latency": {}, "value": {"above": 5}}
        spec = PrometheusSignal.model_validate(
            {"provider": "prometheus", "name": "errors", **limits[next(iter(measure))], **measure}
        )
        connection = PrometheusConnection.model_validate({"url": self._url, "timeout": "20s"})
        api = PrometheusApi(connection, environ={})
        self._opened.append(api)
        return PrometheusMetricsSignal(
            spec,
            interval=STEP,
            baseline=baseline,
            warm_up=30.0,
            api=api,
            variables=workload_variables,
        )


@pytest.fixture
def open_signal(past: PrometheusServer, opened: list[PrometheusApi]) -> Opener:
    return Opener(past.url, opened)


def samples(readings: list[Reading]) -> list[Sample]:
    found = [reading for reading in readings if isinstance(reading, Sample)]
    assert len(found) == len(readings), readings
    return found


def before(readings: list[Reading]) -> list[Sample]:
    return [s for s in samples(readings) if s.at <= DEPLOYED]


def after(readings: list[Reading]) -> Sample:
    (found,) = [s for s in samples(readings) if s.at > DEPLOYED]
    return found


def total(values: list[Value | None]) -> Counts:
    counts = [value for value in values if isinstance(value, Counts)]
    assert len(counts) == len(values)
    return reduce(lambda a, b: a + b, counts)


def no_data(readings: list[Reading]) -> NoData:
    reading = readings[-1]
    assert isinstance(reading, NoData)
    return reading


def test_the_baseline_is_every_step_before_the_deploy(open_signal: Opener) -> None:
    """One sample of control a step, oldest first, ending at the deploy; a restart loses nothing."""
    assert DEPLOYED - 600 < RESTART < DEPLOYED
    found = before(open_signal().read(LOOK, DEPLOYED + 60))
    assert [s.at for s in found] == [DEPLOYED - 600 + STEP * n for n in range(1, 41)]
    assert {s.seconds for s in found} == {STEP}
    assert all(s.candidate is None for s in found)
    assert total([s.control for s in found]) == Counts(400, 40)


def test_the_first_reading_goes_from_the_deploy_until_now(open_signal: Opener) -> None:
    """The candidate has all since its birth, the old pods what they served meanwhile."""
    found = after(open_signal().read(LOOK, DEPLOYED + 60))
    assert found.candidate == Counts(80, 5)
    assert found.control == Counts(40, 4)
    assert found.seconds == 60


def test_each_further_reading_has_the_increments_since_the_last(open_signal: Opener) -> None:
    """Nothing is counted twice, whatever the time between readings."""
    signal = open_signal()
    signal.read(LOOK, DEPLOYED + 60)
    for seconds in (15, 45):
        now = DEPLOYED + 60 + seconds
        found = after(signal.read(LOOK, now))
        signal.read(LOOK, DEPLOYED + 60 + seconds)
        assert found.candidate is not None
    assert after(signal.read(LOOK, DEPLOYED + 135)).candidate == Counts(40, 10)


def test_the_first_errors_of_a_pod_count(open_signal: Opener) -> None:
    """A pod without an error counter has zero errors, and its first ones count from zero."""
    signal = open_signal()
    assert after(signal.read(LOOK, DEPLOYED + 45)).candidate == Counts(60, 0)
    assert after(signal.read(LOOK, DEPLOYED + 60)).candidate == Counts(20, 5)


def test_the_warm_up_of_the_candidate_is_set_apart(open_signal: Opener) -> None:
    """The new pod is young until an interval begins that it is old enough for."""
    signal = open_signal()
    found = [after(signal.read(LOOK, DEPLOYED + at)).warming for at in (30, 45, 60)]
    assert found == [Counts(40, 0), Counts(20, 0), Counts(0, 0)]


def test_no_requests_are_a_sample_of_zero(open_signal: Opener) -> None:
    """An interval without traffic is data about traffic."""
    signal = open_signal()
    signal.read(LOOK, DEPLOYED + 60)
    assert after(signal.read(LOOK, DEPLOYED + 61)).candidate == Counts(0, 0)


def test_after_a_rollback_the_groups_change_places(open_signal: Opener) -> None:
    """The same counters go on under the target revision's name."""
    signal = open_signal()
    signal.read(LOOK, DEPLOYED + 60)
    back = replace(LOOK, candidate=OLD, deployed_at=DEPLOYED + 61)
    found = after(signal.read(back, DEPLOYED + 75))
    assert (found.candidate, found.control) == (Counts(10, 1), Counts(20, 5))


def test_a_pod_that_is_gone_is_told_apart_by_its_name(open_signal: Opener) -> None:
    """Series of pods that no look at the cluster ever saw still belong to their revision."""
    found = after(open_signal().read(workload(pod(NEW_POD)), DEPLOYED + 60))
    assert (found.candidate, found.control) == (Counts(80, 5), Counts(40, 4))


def test_before_the_deploy_there_is_only_control(open_signal: Opener) -> None:
    """A reading ahead of the deploy adds to the baseline."""
    look = workload(pod(OLD_POD), candidate=NEW)
    signal = open_signal()
    signal.read(look, DEPLOYED - 60)
    (found,) = samples(signal.read(look, DEPLOYED - 30))
    assert (found.candidate, found.control) == (None, Counts(20, 2))


def test_without_the_label_pod_the_whole_is_the_candidate(open_signal: Opener) -> None:
    """What does not tell pods apart is the control until the deploy, and the candidate since."""
    query = 'sum(ingress_requests_total{s="web"})'
    signal = open_signal(ratio={"errors": f"{query} * 0", "requests": query})
    readings = signal.read(LOOK, DEPLOYED + 60)
    assert total([s.control for s in before(readings)]) == Counts(4200, 0)
    assert after(readings).candidate == Counts(420, 0)
    assert after(readings).control is None
    assert signal.warnings == ("the label pod is not kept: old and new pods are not told apart",)


def test_pods_of_an_ingress_tell_nothing_apart(open_signal: Opener) -> None:
    """A label pod that never names a pod of the workload is no better than none."""
    query = 'ingress_requests_total{s="web"}'
    readings = open_signal(ratio={"errors": f"{query} * 0", "requests": query}).read(
        LOOK, DEPLOYED + 60
    )
    assert after(readings).candidate == Counts(420, 0)


def test_a_sum_over_pods_that_fell_is_left_out(open_signal: Opener) -> None:
    """When a pod's share leaves a sum, nobody knows how much the others grew."""
    falls = f"sum(http_requests_total) - 200 * (time() >= bool {DEPLOYED + 75:.0f})"
    signal = open_signal(ratio={"errors": "sum(http_requests_total) * 0", "requests": falls})
    signal.read(LOOK, DEPLOYED + 60)
    assert signal.read(LOOK, DEPLOYED + 75) == []
    assert after(signal.read(LOOK, DEPLOYED + 90)).candidate == Counts(30, 0)


def test_queries_of_candidate_pods_give_only_the_candidate(open_signal: Opener) -> None:
    """A query with candidate_pods has no baseline; its sum began with the candidate."""
    requests = 'sum(http_requests_total{pod=~"{{ candidate_pods }}"})'
    errors = 'sum(http_requests_total{pod=~"{{ candidate_pods }}", code=~"5.."})'
    signal = open_signal(ratio={"errors": errors, "requests": requests})
    (found,) = samples(signal.read(LOOK, DEPLOYED + 60))
    assert (found.candidate, found.control) == (Counts(80, 5), None)
    back = replace(LOOK, candidate=OLD, deployed_at=DEPLOYED + 61)
    assert signal.read(back, DEPLOYED + 75) == []  # an old pod's total is no increment
    (found,) = samples(signal.read(back, DEPLOYED + 90))
    assert found.candidate == Counts(10, 1)


@pytest.mark.parametrize(("baseline", "seconds"), [(600.0, 15.0), (1500.0, 30.0)])
def test_a_long_baseline_is_read_in_steps_of_half_a_minute(
    open_signal: Opener, baseline: float, seconds: float
) -> None:
    """More points would cost memory and tell no more; a short one is read at every interval."""
    query = "sum by (pod) (http_requests_total)"
    signal = open_signal(baseline=baseline, ratio={"errors": f"{query} * 0", "requests": query})
    found = before(signal.read(LOOK, DEPLOYED + 60))
    assert {sample.seconds for sample in found} == {seconds}
    assert sum(sample.seconds for sample in found) == baseline


def test_a_gap_is_one_long_step(open_signal: Opener) -> None:
    """What happened while nothing was scraped is counted once, over the time it took."""
    query = "sum by (pod) (gappy_total)"
    signal = open_signal(baseline=1500.0, ratio={"errors": f"{query} * 0", "requests": query})
    found = before(signal.read(LOOK, DEPLOYED + 60))
    assert total([s.control for s in found]) == Counts(1500, 0)
    assert sum(s.seconds for s in found) == 1500
    assert max(s.seconds for s in found) == 330  # 600 s less what Prometheus looks back, in steps


def test_pods_of_other_workloads_are_left_out(open_signal: Opener) -> None:
    """A query that catches a neighbour's pods does not count them, and says so."""
    signal = open_signal(ratio={"errors": "foreign_total * 0", "requests": "foreign_total"})
    signal.read(LOOK, DEPLOYED + 45)
    assert after(signal.read(LOOK, DEPLOYED + 60)).control == Counts(15, 0)
    assert signal.warnings == ("left out: series of 1 pods of other workloads",)


def test_latency_comes_from_the_buckets(open_signal: Opener) -> None:
    """Buckets by pod become cumulative counts, before the deploy and after it."""
    readings = open_signal(latency="sum by (pod, le) (lat_bucket)").read(LOOK, DEPLOYED + 60)
    assert after(readings).candidate == Latencies((0.1, 0.5, INFINITY), (40, 80, 80))
    assert after(readings).control == Latencies((0.1, 0.5, INFINITY), (20, 40, 40))
    assert before(readings)[0].control == Latencies((0.1, 0.5, INFINITY), (5, 10, 10))


def test_a_value_is_the_mean_over_pods(open_signal: Opener) -> None:
    """A plain number is taken as it is, per group of pods."""
    readings = open_signal(value="queue_depth").read(LOOK, DEPLOYED + 60)
    assert (after(readings).candidate, after(readings).control) == (Gauge(9), Gauge(3))
    assert {s.control for s in before(readings)} == {Gauge(3)}


def test_a_scalar_is_a_value(open_signal: Opener) -> None:
    """A query may give a scalar."""
    readings = open_signal(value="scalar(sum(queue_depth))").read(LOOK, DEPLOYED + 60)
    assert after(readings).candidate == Gauge(12)


@pytest.mark.parametrize(
    ("measure", "reason", "words"),
    [
        ({"value": "no_such_metric"}, NoDataReason.EMPTY, "no result"),
        ({"value": "sum by (code) (http_requests_total)"}, NoDataReason.SEVERAL_SERIES, "2 series"),
        ({"value": "no_number"}, NoDataReason.NOT_A_NUMBER, "NaN"),
        ({"value": '"text"'}, NoDataReason.NOT_A_NUMBER, "text"),
        ({"value": "queue_depth[1m]"}, NoDataReason.REJECTED, "range vector"),
        ({"value": "queue_depth +"}, NoDataReason.REJECTED, "bad_data"),
        ({"value": "label_replace(queue_depth, 'pod', 'x', '', '')"},
         NoDataReason.REJECTED, "execution"),
        ({"latency": "sum by (pod) (lat_bucket)"}, NoDataReason.REJECTED, "le is missing"),
        ({"ratio": {"errors": "no_number", "requests": "queue_depth"}},
         NoDataReason.NOT_A_NUMBER, "a counter cannot be nan"),
    ],
    ids=[
        "no series", "several series", "NaN", "text", "range vector", "syntax", "execution",
        "no le", "NaN counter",
    ],
)  # fmt: skip
def test_what_is_no_number_is_no_data(
    open_signal: Opener, measure: dict[str, Any], reason: NoDataReason, words: str
) -> None:
    """Each thing that a query can return instead of a number has its own reason."""
    signal = open_signal(**measure)
    found = no_data(signal.read(LOOK, DEPLOYED + 60))
    assert found.reason is reason, found
    assert words in found.detail


def test_a_candidate_that_is_not_scraped_any_more_is_stale(open_signal: Opener) -> None:
    """When only the old pods' series go on, the candidate has no data, not zero errors."""
    signal = open_signal(ratio={"errors": "lost_total * 0", "requests": "lost_total"})
    assert after(signal.read(LOOK, DEPLOYED + 60)).candidate is not None
    control, problem = signal.read(LOOK, DEPLOYED + 450)
    assert isinstance(control, Sample) and control.candidate is None
    assert isinstance(problem, NoData) and problem.reason is NoDataReason.STALE


def test_a_live_server_is_read_until_its_scrapes_fail(
    tmp_path_factory: pytest.TempPathFactory, opened: list[PrometheusApi]
) -> None:
    """Requests that are really scraped are counted; when the pod is gone there is no data."""
    count = [3.0]
    look = workload(pod(NEW_POD), deployed_at=time.time() - 1)
    look = replace(look, pods=(replace(look.pods[0], created=time.time(), ready_since=None),))
    with WebServer(
        lambda _: Reply(body=f"http_requests_total {count[0]}\n", content_type="text/plain")
    ) as web:
        labels = {f"127.0.0.1:{web.port}": {"pod": NEW_POD}}
        folder = tmp_path_factory.mktemp("live")
        with PrometheusServer(folder, targets=labels, scrape_interval="200ms") as server:
            signal = Opener(server.url, opened)()
            server.wait_for("http_requests_total")
            assert after_any(signal.read(look, time.time())) == Counts(3, 0)
            count[0] = 5.0
            server.wait_for("http_requests_total == 5")
            assert after_any(signal.read(look, time.time())) == Counts(2, 0)
            web.close()
            server.wait_for("up == 0")
            assert no_data(signal.read(look, time.time())).reason is NoDataReason.EMPTY


def after_any(readings: list[Reading]) -> Value | None:
    return samples(readings)[-1].candidate
