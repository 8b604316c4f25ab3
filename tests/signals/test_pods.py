"""Metrics of the pods themselves: which are read, and what it means when some do not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from deploy_guard.errors import GuardError
from deploy_guard.model import (
    Counts,
    Gauge,
    Latencies,
    NoData,
    NoDataReason,
    Reading,
    Sample,
    Workload,
)
from deploy_guard.policy.models import PodsSignal
from deploy_guard.signals.http_client import HttpClient
from deploy_guard.signals.pod_pages import (
    PodFailed,
    PodPages,
    PodReader,
    straight,
    through_api_server,
)
from deploy_guard.signals.pods import PodMetricsSignal
from signals.web_server import Reply, Request, WebServer
from signals.workloads import (
    DEPLOYED,
    NEW_POD,
    OLD,
    OLD_POD,
    OTHER_NEW_POD,
    OTHER_OLD_POD,
    pod,
    workload,
)

RATIO = {
    "errors": 'http_requests_total{code=~"5.."}',
    "requests": "http_requests_total",
}
BOTH = workload(pod(NEW_POD), pod(OLD_POD))


class Refused(GuardError):
    """What the cluster's client raises for an answer with a status."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"pods/proxy: cannot get: {detail}")
        self.code = code
        self.detail = detail


class FakeCluster:
    """Pods with pages that a test sets; an exception in place of a page is raised."""

    def __init__(self, **pages: str | Exception) -> None:
        self.pages: dict[str, str | Exception] = pages
        self.asked: list[tuple[str, str, int | str, str]] = []

    def pod_get(
        self, namespace: str, pod: str, port: int | str, path: str, *, timeout: float
    ) -> str:
        self.asked.append((namespace, pod, port, path))
        page = self.pages[pod]
        if isinstance(page, Exception):
            raise page
        return page


def page(ok: float, failed: float | None = None) -> str:
    lines = ["# TYPE http_requests_total counter", f'http_requests_total{{code="200"}} {ok}']
    if failed is not None:
        lines.append(f'http_requests_total{{code="500"}} {failed}')
    return "\n".join(lines) + "\n"


def open_signal(cluster: PodReader, *, seconds: float = 5.0, **measure: Any) -> PodMetricsSignal:
    measure = measure or {"ratio": RATIO, "limit": "5%"}
    spec = PodsSignal.model_validate(
        {"provider": "pods", "name": "errors", "port": "http", **measure}
    )
    reader = through_api_server(cluster, port=spec.port, path=spec.path)
    return PodMetricsSignal(
        spec, interval=2.0, warm_up=30.0, pages=PodPages(reader, seconds=seconds)
    )


def no_data(readings: list[Reading]) -> NoData:
    reading = readings[-1]
    assert isinstance(reading, NoData)
    return reading


def sample(readings: list[Reading]) -> Sample:
    (reading,) = readings
    assert isinstance(reading, Sample)
    return reading


def test_new_pods_count_from_their_birth_and_old_ones_from_the_first_look() -> None:
    """The candidate's first sample is all it ever served; an old pod needs two looks."""
    cluster = FakeCluster(**{NEW_POD: page(8, 2), OLD_POD: page(1000, 3)})
    signal = open_signal(cluster)
    first = sample(signal.read(BOTH, DEPLOYED + 10))
    assert (first.candidate, first.control, first.seconds) == (Counts(10, 2), None, 10)
    cluster.pages = {NEW_POD: page(18, 2), OLD_POD: page(1020, 4)}
    second = sample(signal.read(BOTH, DEPLOYED + 12))
    assert (second.candidate, second.control) == (Counts(10, 0), Counts(21, 1))
    assert second.seconds == 2
    assert ("shop", NEW_POD, "http", "/metrics") in cluster.asked


def test_before_the_deploy_all_pods_are_control() -> None:
    """What the old pods serve while guard waits for the deploy is the baseline."""
    cluster = FakeCluster(**{OLD_POD: page(10, 1)})
    signal = open_signal(cluster)
    before = workload(pod(OLD_POD), candidate=OLD, deployed_at=DEPLOYED + 100)
    assert signal.read(before, DEPLOYED) == []
    cluster.pages = {OLD_POD: page(15, 1)}
    reading = sample(signal.read(before, DEPLOYED + 2))
    assert (reading.candidate, reading.control) == (None, Counts(5, 0))


def test_a_pod_without_traffic_gives_zero_requests() -> None:
    """No traffic is a fact, not missing data."""
    signal = open_signal(FakeCluster(**{NEW_POD: page(0)}))
    assert sample(signal.read(workload(pod(NEW_POD)), DEPLOYED + 5)).candidate == Counts(0, 0)


def test_a_metric_that_is_declared_and_has_no_series_counts_zero() -> None:
    """A labelled counter has no series before its first request, only its TYPE line."""
    signal = open_signal(FakeCluster(**{NEW_POD: "# TYPE http_requests_total counter\n"}))
    assert sample(signal.read(workload(pod(NEW_POD)), DEPLOYED + 5)).candidate == Counts(0, 0)


def test_a_histogram_that_is_declared_and_has_no_series_counts_from_zero() -> None:
    """A labelled histogram before its first request is no missing data; the first ones count."""
    cluster = FakeCluster(**{NEW_POD: "# TYPE lat histogram\n"})
    signal = open_signal(cluster, latency="lat_bucket", limit={"below": "500ms"})
    assert signal.read(workload(pod(NEW_POD)), DEPLOYED + 5) == []
    cluster.pages = {NEW_POD: 'lat_bucket{le="0.5"} 3\nlat_bucket{le="+Inf"} 4\n'}
    found = sample(signal.read(workload(pod(NEW_POD)), DEPLOYED + 7))
    assert found.candidate == Latencies((0.5, float("inf")), (3, 4))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('# TYPE lat histogram\nlat_bucket{path="/b",le="+Inf"} 4\n', "lat_bucket that matches"),
        ("# TYPE lat summary\n", "has no lat_bucket"),
        ("# TYPE other histogram\n", "has no lat_bucket"),
    ],
    ids=["other labels", "summary", "other metric"],
)
def test_a_histogram_that_is_not_there_is_a_missing_metric(text: str, words: str) -> None:
    """Buckets of other labels, or none that could ever come, are no data with the reason."""
    signal = open_signal(
        FakeCluster(**{NEW_POD: text}), latency='lat_bucket{path="/a"}', limit={"below": "500ms"}
    )
    found = no_data(signal.read(workload(pod(NEW_POD)), DEPLOYED + 5))
    assert found.reason is NoDataReason.MISSING_METRIC
    assert words in found.detail


def test_a_gauge_that_is_only_declared_is_a_missing_metric() -> None:
    """A plain number that is not there has no value: not zero."""
    signal = open_signal(FakeCluster(**{NEW_POD: "# TYPE q gauge\n"}), value="q", above=5)
    found = no_data(signal.read(workload(pod(NEW_POD)), DEPLOYED + 5))
    assert found.reason is NoDataReason.MISSING_METRIC


def test_a_restarted_container_counts_anew() -> None:
    """A counter that fell began at zero."""
    cluster = FakeCluster(**{NEW_POD: page(100, 50)})
    signal = open_signal(cluster)
    signal.read(workload(pod(NEW_POD)), DEPLOYED + 5)
    cluster.pages = {NEW_POD: page(3, 1)}
    assert sample(signal.read(workload(pod(NEW_POD)), DEPLOYED + 7)).candidate == Counts(4, 1)


def test_after_a_rollback_the_groups_change_places() -> None:
    """The same counters go on under the target revision's name; nothing is counted again."""
    cluster = FakeCluster(**{NEW_POD: page(8, 2), OLD_POD: page(1000, 3)})
    signal = open_signal(cluster)
    signal.read(BOTH, DEPLOYED + 10)
    back = replace(BOTH, candidate=OLD, deployed_at=DEPLOYED + 11)
    cluster.pages = {NEW_POD: page(9, 4), OLD_POD: page(1005, 3)}
    reading = sample(signal.read(back, DEPLOYED + 12))
    assert (reading.candidate, reading.control) == (Counts(5, 0), Counts(3, 2))


def test_one_pod_that_fails_does_not_hide_the_others() -> None:
    """Those that answer give the sample; the warning says how many did not, and why."""
    look = workload(pod(NEW_POD), pod(OTHER_NEW_POD))
    cluster = FakeCluster(**{NEW_POD: page(10)})
    cluster.pages[OTHER_NEW_POD] = Refused(503, "dial tcp: refused")
    signal = open_signal(cluster)
    assert sample(signal.read(look, DEPLOYED + 5)).candidate == Counts(10, 0)
    assert signal.warnings == (
        f"1 of 2 candidate pods could not be read: pod {OTHER_NEW_POD}: dial tcp: refused",
    )


FLOOD = "".join(f'http_requests_total{{path="/{n}"}} 1\n' for n in range(20_001))


@pytest.mark.parametrize(
    ("failure", "reason", "words"),
    [
        (Refused(403, "forbidden"), NoDataReason.UNAUTHORIZED, "status 403 from :http/metrics"),
        (Refused(404, "not found"), NoDataReason.REJECTED, "status 404"),
        (Refused(500, "boom"), NoDataReason.PROVIDER_ERROR, "status 500"),
        (Refused(503, "connection refused"), NoDataReason.UNREACHABLE, "connection refused"),
        (Refused(0, "no route to host"), NoDataReason.UNREACHABLE, "no route to host"),
        ("<html>hello</html>", NoDataReason.MISSING_METRIC, "has no http_requests_total"),
        ("http_requests_total{ 4", NoDataReason.PROVIDER_ERROR, "no metrics page"),
        ("up 1\n", NoDataReason.MISSING_METRIC, "has no http_requests_total"),
        ("http_requests_total NaN\n", NoDataReason.NOT_A_NUMBER, "nan"),
        ("http_requests_total -5\n", NoDataReason.NOT_A_NUMBER, "a counter cannot be -5"),
        ("http_requests_total 1e300\n", NoDataReason.NOT_A_NUMBER, "a counter cannot be 1e+300"),
        (FLOOD, NoDataReason.PROVIDER_ERROR, "http_requests_total has 20,001 series"),
    ],
    ids=[
        "forbidden", "wrong path", "server error", "port closed", "no connection", "html",
        "broken page", "other metrics", "not a number", "negative",
        "beyond counting", "flood of labels",
    ],
)  # fmt: skip
def test_candidates_that_cannot_be_read_are_no_data_with_the_reason(
    failure: Any, reason: NoDataReason, words: str
) -> None:
    """When no candidate pod can be read, the reason of most of them is told."""
    signal = open_signal(FakeCluster(**{NEW_POD: failure}))
    found = no_data(signal.read(workload(pod(NEW_POD)), DEPLOYED + 30))
    assert found.reason is reason
    assert words in found.detail


def test_the_control_is_kept_when_the_candidate_cannot_be_read() -> None:
    """Old pods that answer give their sample beside the reason why the new ones do not."""
    cluster = FakeCluster(**{NEW_POD: page(1), OLD_POD: page(10)})
    signal = open_signal(cluster)
    signal.read(BOTH, DEPLOYED + 5)
    cluster.pages = {NEW_POD: Refused(500, "boom"), OLD_POD: page(12)}
    control, problem = signal.read(BOTH, DEPLOYED + 7)
    assert isinstance(control, Sample) and isinstance(problem, NoData)
    assert (control.candidate, control.control) == (None, Counts(2, 0))


def test_pods_that_start_are_no_pods_yet() -> None:
    """A refused connection of a pod that was never ready is how pods start."""
    look = workload(pod(NEW_POD, ready=False))
    signal = open_signal(FakeCluster(**{NEW_POD: Refused(503, "refused")}))
    assert no_data(signal.read(look, DEPLOYED + 5)).reason is NoDataReason.NO_PODS


def test_without_running_pods_there_is_nothing_to_read() -> None:
    """Pods that wait for a node are not called."""
    cluster = FakeCluster()
    found = open_signal(cluster).read(workload(pod(NEW_POD, phase="Pending")), DEPLOYED + 5)
    assert no_data(found).reason is NoDataReason.NO_PODS
    assert cluster.asked == []


def test_a_pod_on_its_way_out_counts_while_it_answers() -> None:
    """The last requests of a terminating pod count; its silence is no problem."""
    cluster = FakeCluster(**{NEW_POD: page(5), OLD_POD: page(100)})
    signal = open_signal(cluster)
    signal.read(BOTH, DEPLOYED + 5)
    leaving = workload(pod(NEW_POD), pod(OLD_POD, terminating=True))
    cluster.pages = {NEW_POD: page(6), OLD_POD: page(107)}
    assert sample(signal.read(leaving, DEPLOYED + 7)).control == Counts(7, 0)
    cluster.pages = {NEW_POD: page(7), OLD_POD: Refused(503, "gone")}
    assert sample(signal.read(leaving, DEPLOYED + 9)).control is None
    assert signal.warnings == ()


def test_latency_comes_from_the_buckets() -> None:
    """A histogram becomes cumulative counts by bound, summed over series and pods."""
    text = "".join(
        f'lat_bucket{{path="{path}",le="{le}"}} {n}\n'
        for path in ("/a", "/b")
        for le, n in (("0.1", 1), ("0.5", 3), ("+Inf", 4))
    )
    look = workload(pod(NEW_POD), pod(OTHER_NEW_POD))
    cluster = FakeCluster(**{NEW_POD: text, OTHER_NEW_POD: text})
    signal = open_signal(cluster, latency="lat_bucket", limit={"below": "500ms"})
    expected = Latencies((0.1, 0.5, float("inf")), (4, 12, 16))
    assert sample(signal.read(look, DEPLOYED + 5)).candidate == expected


def test_a_value_is_summed_in_a_pod_and_averaged_over_pods() -> None:
    """A page cannot aggregate: its series are added up, and pods are compared by their mean."""
    look = workload(pod(NEW_POD), pod(OTHER_NEW_POD), pod(OLD_POD))
    cluster = FakeCluster(
        **{NEW_POD: 'q{a="1"} 2\nq{a="2"} 4\n', OTHER_NEW_POD: "q 10\n", OLD_POD: "q 1\n"}
    )
    reading = sample(open_signal(cluster, value="q", above=5).read(look, DEPLOYED + 5))
    assert (reading.candidate, reading.control) == (Gauge(8), Gauge(1))


def test_a_value_that_is_no_number_is_no_data() -> None:
    """NaN is not a value."""
    signal = open_signal(FakeCluster(**{NEW_POD: "q NaN\n"}), value="q", above=5)
    found = no_data(signal.read(workload(pod(NEW_POD)), DEPLOYED + 5))
    assert found.reason is NoDataReason.NOT_A_NUMBER


def test_openmetrics_pages_with_exemplars_are_read() -> None:
    """A page in the OpenMetrics format is understood as well."""
    text = (
        "# TYPE http_requests counter\n"
        'http_requests_total{code="500"} 3 # {trace_id="x"} 1.0\n# EOF\n'
    )
    signal = open_signal(FakeCluster(**{NEW_POD: text}))
    assert sample(signal.read(workload(pod(NEW_POD)), DEPLOYED + 5)).candidate == Counts(3, 3)


def test_signals_on_one_page_share_what_was_read() -> None:
    """Two signals that read at the same moment ask each pod once."""
    cluster = FakeCluster(**{NEW_POD: page(10, 1) + "q 1\n"})
    pages = PodPages(through_api_server(cluster, port=80, path="/metrics"), seconds=5)
    for measure in ({"ratio": RATIO, "limit": "5%"}, {"value": "q", "above": 5}):
        spec = PodsSignal.model_validate({"provider": "pods", "name": "a", "port": 80, **measure})
        PodMetricsSignal(spec, interval=2.0, warm_up=30.0, pages=pages).read(
            workload(pod(NEW_POD)), DEPLOYED + 5
        )
    assert len(cluster.asked) == 1


@pytest.fixture
def server() -> Iterator[WebServer]:
    """A pod on 127.0.0.1 whose page a test sets."""
    with WebServer(lambda _request: Reply(body=page(6, 2))) as running:
        yield running


def by_ip(server: WebServer, look: Workload, *, seconds: float = 5.0) -> list[Reading]:
    client = HttpClient(environ={}, timeout=5.0, proxies=False)
    spec = PodsSignal.model_validate(
        {
            "provider": "pods", "name": "errors", "port": server.port, "via": "ip",
            "ratio": RATIO, "limit": "5%",
        }
    )  # fmt: skip
    pages = PodPages(straight(client, port=server.port, path="/metrics"), seconds=seconds)
    readings = PodMetricsSignal(spec, interval=2.0, warm_up=30.0, pages=pages).read(
        look, DEPLOYED + 5
    )
    client.close()
    return readings


def test_pods_are_read_straight_from_their_ip(server: WebServer) -> None:
    """With via: ip, the page comes from the pod's own address."""
    assert sample(by_ip(server, workload(pod(NEW_POD)))).candidate == Counts(8, 2)
    assert [request.path for request in server.requests] == ["/metrics"]


def test_a_pod_that_hangs_is_a_timeout(server: WebServer) -> None:
    """A page that does not come within the time for all pods is no data."""
    server.answer = lambda _request: Reply(hang=True)
    found = no_data(by_ip(server, workload(pod(NEW_POD)), seconds=0.4))
    assert found.reason is NoDataReason.TIMEOUT


def test_a_pod_that_answers_with_an_error_is_no_data(server: WebServer) -> None:
    """The status of the page is told."""
    server.answer = lambda _request: Reply(status=404)
    found = no_data(by_ip(server, workload(pod(NEW_POD))))
    assert found.reason is NoDataReason.REJECTED
    assert "expected status 200" in found.detail and "got 404" in found.detail


def test_many_pods_are_read_at_once_and_told_apart() -> None:
    """More pods than workers are all read within one call."""
    names = [OTHER_OLD_POD[:-5] + f"{n:05d}" for n in range(30)]
    cluster = FakeCluster(**{name: page(1) for name in names})
    signal = open_signal(cluster)
    look = workload(*(pod(name) for name in names))
    signal.read(look, DEPLOYED + 5)
    cluster.pages = {name: page(3) for name in names}
    assert sample(signal.read(look, DEPLOYED + 7)).control == Counts(60, 0)


def test_requests_of_the_server_are_what_it_was_asked(server: WebServer) -> None:
    """Guard says who it is and follows no environment of the user's shell to a pod."""
    by_ip(server, workload(pod(NEW_POD)))
    request: Request = server.requests[0]
    assert request.headers["user-agent"] == "deploy-guard"
    assert "authorization" not in request.headers


def test_only_a_line_feed_ends_a_line() -> None:
    """A label may have Unicode's line breaks, and a page may have Windows' line ends."""
    text = 'http_requests_total{path="/a\u2028b\x85c",code="200"} 3\r\nother 1\r\n'
    signal = open_signal(FakeCluster(**{NEW_POD: text}))
    assert sample(signal.read(workload(pod(NEW_POD)), DEPLOYED + 5)).candidate == Counts(3, 0)


def test_a_page_that_failed_is_let_go(server: WebServer) -> None:
    """Why a page could not be read is kept until the next reading; the page itself is not."""
    server.answer = lambda _request: Reply(status=500, body=page(1))
    client = HttpClient(environ={}, timeout=5.0, proxies=False)
    pages = PodPages(straight(client, port=server.port, path="/metrics"), seconds=5.0)
    (found,) = pages.read(workload(pod(NEW_POD)), DEPLOYED + 5).values()
    client.close()
    assert isinstance(found, PodFailed) and found.__traceback__ is None


def test_a_hash_sign_in_a_label_is_no_exemplar() -> None:
    """Only what follows the value of an OpenMetrics sample is an exemplar."""
    text = 'http_requests_total{path="/a # b",code="200"} 3 # {t="x"} 1.0\n# EOF\n'
    signal = open_signal(FakeCluster(**{NEW_POD: text}))
    assert sample(signal.read(workload(pod(NEW_POD)), DEPLOYED + 5)).candidate == Counts(3, 0)


def test_pods_are_read_at_the_same_time() -> None:
    """Two pods that each wait for the other to be asked are both read."""
    together = threading.Barrier(2, timeout=30)

    class Meeting(FakeCluster):
        def pod_get(
            self, namespace: str, pod: str, port: int | str, path: str, *, timeout: float
        ) -> str:
            together.wait()
            return page(2)

    look = workload(pod(NEW_POD), pod(OTHER_NEW_POD))
    found = open_signal(Meeting()).read(look, DEPLOYED + 5)
    assert sample(found).candidate == Counts(4, 0)


def test_the_silence_of_a_candidate_on_its_way_out_is_no_problem() -> None:
    """A new pod that is scaled away is neither a failure nor worth a warning."""
    look = workload(pod(NEW_POD), pod(OTHER_NEW_POD, terminating=True))
    cluster = FakeCluster(**{NEW_POD: page(1)})
    cluster.pages[OTHER_NEW_POD] = Refused(503, "gone")
    signal = open_signal(cluster)
    assert sample(signal.read(look, DEPLOYED + 5)).candidate == Counts(1, 0)
    assert signal.warnings == ()
