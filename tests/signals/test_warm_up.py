"""Which part of the candidate's counts is of pods in their warm-up, pod by pod."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from deploy_guard.model import Container, Counts, Latencies, NoDataReason, Pod, Reading, Sample
from deploy_guard.policy.models import PodsSignal, Policy
from deploy_guard.signals import open_signals
from deploy_guard.signals.base import Signal
from deploy_guard.signals.http_client import HttpClient
from deploy_guard.signals.pod_pages import PodFailed, PodPages
from deploy_guard.signals.pods import PodMetricsSignal
from deploy_guard.signals.warm_up import WarmUp
from signals.web_server import Reply, Request, WebServer
from signals.workloads import DEPLOYED, NEW, NEW_POD, OLD, OLD_POD, OTHER_NEW_POD, pod, workload

WARM_UP = 30.0
FIRST = pod(NEW_POD, created=DEPLOYED, ready_since=DEPLOYED)
LATE = pod(OTHER_NEW_POD, created=DEPLOYED + 50, ready_since=DEPLOYED + 55)
RATIO = {"errors": 'http_requests_total{code="500"}', "requests": "http_requests_total"}
OPEN = math.inf
Totals = dict[str, tuple[float, float]]  # by pod: requests and errors so far, or quick and all


def warming(readings: list[Reading]) -> Any:
    (found,) = readings
    assert isinstance(found, Sample)
    return found.warming


# --- the age of a pod -------------------------------------------------------------------------


def was_young(*looks: tuple[float, Pod], seconds: float = WARM_UP) -> bool:
    """Show and read one pod at each of these seconds after the deploy; return the last answer."""
    warm_up, young = WarmUp(seconds), set[str]()
    for at, seen in looks:
        warm_up.update(workload(seen))
        young = warm_up.advance([NEW_POD], DEPLOYED + at)
    return NEW_POD in young


@pytest.mark.parametrize(
    ("before", "young"), [(34.0, True), (35.0, False)], ids=["in time", "a second later"]
)
def test_an_interval_counts_by_its_beginning(before: float, young: bool) -> None:
    """What began in the warm-up is the warm-up's to its end."""
    seen = pod(NEW_POD, ready_since=DEPLOYED + 5)
    assert was_young((before, seen), (before + 60, seen)) is young


def test_a_pod_that_is_not_ready_is_as_old_as_it_is() -> None:
    """Without readiness there is the creation."""
    seen = pod(NEW_POD, created=DEPLOYED + 10, ready=False, ready_since=None)
    assert was_young((39, seen), (60, seen))
    assert not was_young((40, seen), (60, seen))


def test_a_pod_that_starts_slowly_is_young_once_it_is_ready() -> None:
    """Minutes of starting are no warm-up: there was no traffic."""
    starting = pod(NEW_POD, created=DEPLOYED, ready=False, ready_since=None)
    ready = replace(starting, ready=True, ready_since=DEPLOYED + 110)
    assert not was_young((90, starting), (105, starting))
    assert was_young((90, starting), (105, starting), (120, ready))
    assert not was_young((90, starting), (145, ready), (160, ready))


def test_a_pod_of_unknown_age_is_young() -> None:
    """A pod that no look has shown may be brand-new, however often it is read."""
    warm_up = WarmUp(WARM_UP)
    for at in (15, 300, 600):
        warm_up.update(workload())
        assert warm_up.advance([NEW_POD], DEPLOYED + at) == {NEW_POD}


def test_a_pod_that_is_gone_keeps_its_age() -> None:
    """The last requests of a pod that left the cluster are as old as it was."""
    warm_up = WarmUp(WARM_UP)
    warm_up.update(workload(FIRST))
    warm_up.advance([NEW_POD], DEPLOYED + 60)
    warm_up.update(workload())
    assert warm_up.advance([NEW_POD], DEPLOYED + 75) == set()


def test_a_restart_begins_anew_once_the_pod_is_ready() -> None:
    """A new process has a warm-up of its own."""
    calm = replace(FIRST, containers=(Container("app", restarts=0),))
    down = replace(calm, ready=False, ready_since=None, containers=(Container("app", restarts=1),))
    back = replace(down, ready=True, ready_since=DEPLOYED + 100)
    assert was_young((60, calm), (90, down), (105, back), (120, back))
    assert not was_young((60, calm), (90, down), (105, back), (130, back), (145, back))


def test_readiness_that_comes_and_goes_keeps_nobody_young() -> None:
    """A pod that fails under its load is not excused as new each time it is ready again."""
    away = replace(FIRST, ready=False, ready_since=None)
    again = replace(FIRST, ready_since=DEPLOYED + 100)
    assert not was_young((60, FIRST), (90, away), (105, again), (120, again))


def test_without_a_warm_up_nobody_is_young() -> None:
    """`warm_up: 0s` leaves nothing out, not even a pod of unknown age."""
    assert not was_young((15, LATE), seconds=0)
    assert WarmUp(0).advance([NEW_POD], DEPLOYED) == set()


def test_a_pod_with_a_past_that_is_first_read_after_the_deploy_is_not_young() -> None:
    """After a rollback old pods serve the target revision; their numbers begin with it."""
    warm_up = WarmUp(WARM_UP)
    warm_up.update(workload(pod(OLD_POD), candidate=OLD))
    assert warm_up.advance([OLD_POD], DEPLOYED + 15) == set()


# --- pods ---------------------------------------------------------------------------------------


class Pods:
    """Pods whose pages come from a real server, each by its name; one not there fails."""

    def __init__(self, web: WebServer, client: HttpClient) -> None:
        self.pages: dict[str, str] = {}
        self._url = web.url
        self._client = client
        web.answer = self._answer

    def read(self, _namespace: str, pod: Pod, seconds: float) -> str:
        answer = self._client.call("GET", f"{self._url}/{pod.name}", seconds=seconds)
        if answer.status != 200:
            raise PodFailed(NoDataReason.UNREACHABLE, "gone")
        return answer.text

    def serve(self, totals: Totals) -> None:
        self.pages = {
            name: f'http_requests_total{{code="200"}} {requests - errors}\n'
            f'http_requests_total{{code="500"}} {errors}\n'
            for name, (requests, errors) in totals.items()
        }

    def signal(self, **measure: Any) -> PodMetricsSignal:
        spec = PodsSignal.model_validate(
            {"provider": "pods", "name": "a", "port": 80, **(measure or {"ratio": RATIO})}
        )
        pages = PodPages(self.read, seconds=5)
        return PodMetricsSignal(spec, interval=15, warm_up=WARM_UP, pages=pages)

    def _answer(self, request: Request) -> Reply:
        page = self.pages.get(request.path.removeprefix("/"))
        return Reply(404) if page is None else Reply(body=page)


@pytest.fixture
def pods(web: WebServer) -> Iterator[Pods]:
    client = HttpClient(environ={}, timeout=5.0, proxies=False)
    yield Pods(web, client)
    client.close()


def test_a_pod_matures_between_two_polls(pods: Pods) -> None:
    """All that a pod served is warm-up, until an interval begins that it is old enough for."""
    signal, look, found = pods.signal(), workload(FIRST), []
    for at, totals in ((15, (10.0, 5.0)), (29, (20.0, 7.0)), (31, (30.0, 8.0)), (46, (50.0, 8.0))):
        pods.serve({NEW_POD: totals})
        found.append(warming(signal.read(look, DEPLOYED + at)))
    assert found == [Counts(10, 5), Counts(10, 2), Counts(10, 1), Counts(0, 0)]


def test_a_pod_that_starts_late_has_its_own_warm_up(pods: Pods) -> None:
    """In a slow rollout only the newest pods' requests are set apart, as part of the whole."""
    signal = pods.signal()
    pods.serve({NEW_POD: (100, 0)})
    signal.read(workload(FIRST), DEPLOYED + 45)
    pods.serve({NEW_POD: (140, 1), OTHER_NEW_POD: (7, 3)})
    (found,) = signal.read(workload(FIRST, LATE), DEPLOYED + 60)
    assert isinstance(found, Sample)
    assert (found.candidate, found.warming) == (Counts(47, 4), Counts(7, 3))
    pods.serve({NEW_POD: (150, 1), OTHER_NEW_POD: (9, 3)})
    assert warming(signal.read(workload(FIRST, LATE), DEPLOYED + 90)) == Counts(2, 0)
    pods.serve({NEW_POD: (160, 1), OTHER_NEW_POD: (30, 4)})
    assert warming(signal.read(workload(FIRST, LATE), DEPLOYED + 105)) == Counts(0, 0)


def test_what_a_silent_pod_served_in_its_warm_up_is_warm_up(pods: Pods) -> None:
    """A pod too busy to answer while it warms up tells all of it later: that began when young."""
    signal, look = pods.signal(), workload(FIRST, LATE)
    pods.serve({NEW_POD: (100, 0)})
    for at in (60, 75, 90, 105):
        signal.read(look, DEPLOYED + at)
    pods.serve({NEW_POD: (110, 0), OTHER_NEW_POD: (50, 20)})
    assert warming(signal.read(look, DEPLOYED + 120)) == Counts(50, 20)
    pods.serve({NEW_POD: (120, 0), OTHER_NEW_POD: (60, 20)})
    assert warming(signal.read(look, DEPLOYED + 135)) == Counts(0, 0)


def test_old_pods_have_no_warm_up(pods: Pods) -> None:
    """Without a candidate there is nothing to set apart, however new an old pod is."""
    signal, scaled = pods.signal(), pod(OLD_POD, created=DEPLOYED + 1, ready_since=DEPLOYED + 2)
    pods.serve({OLD_POD: (10, 0)})
    (found,) = signal.read(workload(scaled), DEPLOYED + 15)
    assert isinstance(found, Sample)
    assert (found.control, found.warming) == (Counts(10, 0), None)


def histogram(quick: float, medium: float, count: float) -> str:
    bounds = {"0.1": quick, "0.5": medium, "+Inf": count}
    return "".join(f'lat_bucket{{le="{le}"}} {n}\n' for le, n in bounds.items())


def test_latencies_of_young_pods_have_the_bounds_of_the_whole(pods: Pods) -> None:
    """A histogram is split bucket by bucket; nobody young is an empty one of the same bounds."""
    signal = pods.signal(latency="lat_bucket")
    pods.pages = {NEW_POD: histogram(1, 2, 3)}
    signal.read(workload(FIRST), DEPLOYED + 45)
    pods.pages = {
        NEW_POD: histogram(11, 12, 13),
        OTHER_NEW_POD: histogram(0, 1, 5) + 'lat_bucket{le="2"} 4\n',
    }
    (found,) = signal.read(workload(FIRST, LATE), DEPLOYED + 60)
    assert isinstance(found, Sample)
    assert found.candidate == Latencies((0.1, 0.5, OPEN), (10, 11, 15))
    assert found.warming == Latencies((0.1, 0.5, OPEN), (0, 1, 5))
    signal.read(workload(FIRST, LATE), DEPLOYED + 90)
    empty = warming(signal.read(workload(FIRST, LATE), DEPLOYED + 105))
    assert empty.count == 0 and empty.bounds[-1] == OPEN


def test_a_plain_number_has_no_parts(pods: Pods) -> None:
    """The mean over pods cannot be split by age."""
    pods.pages = {NEW_POD: "q 3\n"}
    readings = pods.signal(value="q", above=5).read(workload(FIRST), DEPLOYED + 15)
    assert warming(readings) is None


# --- prometheus -----------------------------------------------------------------------------------


class NoCluster:
    """A cluster that nobody may ask."""

    def pod_get(
        self, namespace: str, pod: str, port: int | str, path: str, *, timeout: float
    ) -> str:
        raise AssertionError("only Prometheus is read")


class Prometheus:
    """A server of the API whose totals a test sets; it keeps the label pod, but of ""."""

    def __init__(self, web: WebServer) -> None:
        self.totals: Totals = {}
        self._url = web.url
        web.answer = self._answer

    def signal(self, query: str = "x", *, warm_up: str = "30s") -> Signal:
        ratio = {"errors": f"errors({query})", "requests": query}
        spec = {"name": "a", "provider": "prometheus", "ratio": ratio, "limit": "5%"}
        document = {
            "version": 1,
            "watch": {"warm_up": warm_up},
            "prometheus": {"url": self._url},
            "signals": [spec],
        }
        return open_signals(Policy.model_validate(document), cluster=NoCluster(), environ={})[1]

    def _answer(self, request: Request) -> Reply:
        if "query_range" in request.path:
            return self._reply("matrix", [])
        errors = parse_qs(request.body)["query"][0].startswith("errors")
        values = {
            name: failed if errors else asked for name, (asked, failed) in self.totals.items()
        }
        return self._reply(
            "vector",
            [
                {"metric": {"pod": name} if name else {}, "value": [DEPLOYED, str(value)]}
                for name, value in values.items()
            ],
        )

    @staticmethod
    def _reply(kind: str, result: list[Any]) -> Reply:
        data = {"resultType": kind, "result": result}
        return Reply(body=json.dumps({"status": "success", "data": data}))


@pytest.fixture
def prom(web: WebServer) -> Prometheus:
    return Prometheus(web)


def test_series_by_pod_are_set_apart_by_age(prom: Prometheus) -> None:
    """With the label pod, a late pod's share is known until it is old enough."""
    signal, look, found = prom.signal(), workload(FIRST, LATE, pod(OLD_POD)), []
    for at, late in ((60, (7.0, 3.0)), (75, (9.0, 4.0)), (90, (19.0, 4.0)), (105, (30.0, 4.0))):
        prom.totals = {NEW_POD: (at * 10, at), OTHER_NEW_POD: late, OLD_POD: (900 + at, at)}
        found.append(signal.read(look, DEPLOYED + at)[-1])
    parts = [sample.warming for sample in found if isinstance(sample, Sample)]
    assert parts == [Counts(607, 63), Counts(2, 1), Counts(10, 0), Counts(0, 0)]


def test_a_series_of_a_pod_that_was_never_seen_is_young(prom: Prometheus) -> None:
    """Metrics can be quicker than the look at the cluster: such a pod is new."""
    signal, look = prom.signal(), workload(FIRST)
    prom.totals = {NEW_POD: (10, 0)}
    signal.read(look, DEPLOYED + 45)
    prom.totals = {NEW_POD: (20, 0), f"web-{NEW}-xxxxx": (4, 1)}
    assert warming(signal.read(look, DEPLOYED + 60)) == Counts(4, 1)


@pytest.mark.parametrize(
    ("query", "label"),
    [("x", ""), ("x", "ingress-5d5d5d-abcde"), ("x{{ candidate_hash }}", ""),
     ("x{{ candidate_hash }}", "ingress-5d5d5d-abcde")],
    ids=["a sum", "an ingress", "a sum of candidates", "an ingress of candidates"],
)  # fmt: skip
def test_what_does_not_tell_pods_apart_has_no_part(
    prom: Prometheus, query: str, label: str
) -> None:
    """A sum, or another workload's pods, leave the time since the deploy as the only measure."""
    signal = prom.signal(query)
    prom.totals = {label: (10, 0)}
    signal.read(workload(FIRST), DEPLOYED + 15)
    prom.totals = {label: (30, 1)}
    (found,) = signal.read(workload(FIRST), DEPLOYED + 30)
    assert isinstance(found, Sample)
    assert (found.candidate, found.warming) == (Counts(20, 1), None)


def test_candidates_by_name_are_told_apart_as_well(prom: Prometheus) -> None:
    """A query of the candidate's pods that keeps their label has their ages."""
    signal = prom.signal("x{{ candidate_pods }}")
    prom.totals = {NEW_POD: (10, 0)}
    assert warming(signal.read(workload(FIRST), DEPLOYED + 15)) == Counts(10, 0)


def test_the_warm_up_is_the_policys(prom: Prometheus) -> None:
    """A longer warm-up in the policy keeps pods young for longer, none at all never."""
    found = []
    for seconds in ("0s", "5m"):
        signal = prom.signal(warm_up=seconds)
        for total in (10.0, 30.0):
            prom.totals = {NEW_POD: (total, 0)}
            readings = signal.read(workload(FIRST), DEPLOYED + 100 + total)
        found.append(warming(readings))
    assert found == [Counts(0, 0), Counts(20, 0)]
