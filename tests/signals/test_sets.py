"""Signals of StatefulSets and DaemonSets: a pod's name does not tell its revision for ever."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from deploy_guard.model import (
    Container,
    Counts,
    Gauge,
    Health,
    NoData,
    Pod,
    Reading,
    Sample,
    Target,
    Value,
    Workload,
)
from deploy_guard.policy.models import (
    KubernetesSettings,
    PodsSignal,
    PrometheusConnection,
    PrometheusSignal,
)
from deploy_guard.signals import workload_variables
from deploy_guard.signals.kubernetes import KubernetesSignal
from deploy_guard.signals.pod_groups import UNKNOWN, PodGroups
from deploy_guard.signals.pod_pages import PodPages, through_api_server
from deploy_guard.signals.pods import PodMetricsSignal
from deploy_guard.signals.prometheus import PrometheusMetricsSignal
from deploy_guard.signals.prometheus_api import PrometheusApi
from signals.web_server import Reply, Request, WebServer
from signals.workloads import DEPLOYED, workload

DB, AGENT = Target("statefulset", "shop", "db"), Target("daemonset", "shop", "agent")
OLD, NEW = "db-6d4cf56db6", "db-5f9c7d8b49"
BY_POD = {
    "errors": 'sum by (pod) (x{pod=~"{{ pods }}", code=~"5.."})',
    "requests": 'sum by (pod) (x{pod=~"{{ pods }}"})',
}
Totals = dict[str, tuple[float, float]]  # requests and errors by pod


def old(name: str, **changes: Any) -> Pod:
    """Return a pod from before the deploy."""
    made = Pod(name, OLD, DEPLOYED - 3600, phase="Running", ready=True, ready_since=DEPLOYED - 3590)
    return replace(made, **changes)


def new(name: str, at: float = 10.0, **changes: Any) -> Pod:
    """Return a pod of the candidate, created so long after the deploy."""
    born = DEPLOYED + at
    made = Pod(name, NEW, born, phase="Running", ready=True, ready_since=born + 1)
    return replace(made, **changes)


def look(*pods: Pod, target: Target = DB, **changes: Any) -> Workload:
    return workload(*pods, target=target, candidate=NEW, **changes)


def sample(readings: list[Reading]) -> tuple[Value | None, Value | None]:
    """Return candidate and control of the one sample, both None without it."""
    found = [r for r in readings if isinstance(r, Sample) and r.at > DEPLOYED]
    assert len(found) <= 1
    assert not any(isinstance(r, NoData) for r in readings), readings
    return (found[0].candidate, found[0].control) if found else (None, None)


class Numbers:
    """Stands in the place of Prometheus: the totals that a test sets, now and before the deploy."""

    def __init__(self) -> None:
        self.now: Totals = {}
        self.past: Totals | None = None

    def __call__(self, request: Request) -> Reply:
        form = {key: some[0] for key, some in parse_qs(request.body).items()}
        part = "5.." in form["query"]
        named = re.search(r'pod=~"([^"]*)"', form["query"])
        ranged = "start" in form
        totals = (self.past or {}) if ranged else self.now
        found = {
            pod: values[part]
            for pod, values in totals.items()
            if named is None or re.fullmatch(named[1], pod)
        }
        series = [({"pod": pod}, value) for pod, value in found.items()]
        if "by (pod)" not in form["query"]:
            series = [({}, sum(found.values()))] if found else []
        at = float(form["end"] if ranged else form["time"])
        result: list[dict[str, Any]] = [
            {"metric": labels, **_points(at, value, ranged=ranged)} for labels, value in series
        ]
        data = {"resultType": "matrix" if ranged else "vector", "result": result}
        return Reply(body=json.dumps({"status": "success", "data": data}))


def _points(at: float, value: float, *, ranged: bool) -> dict[str, Any]:
    point = [at, str(value)]
    return {"values": [point]} if ranged else {"value": point}


class Prom:
    """A signal on a stand-in of Prometheus, read at seconds after the deploy."""

    def __init__(self, url: str, numbers: Numbers) -> None:
        self.url, self.numbers = url, numbers
        self.apis: list[PrometheusApi] = []
        self.signal = self.open(ratio=BY_POD)

    def open(self, **measure: Any) -> PrometheusMetricsSignal:
        """Open a signal on the server."""
        limits: dict[str, Any] = {"ratio": {"limit": "5%"}, "value": {"above": 5}}
        limit = limits[next(iter(measure))]
        known = {"provider": "prometheus", "name": "errors", **limit, **measure}
        spec = PrometheusSignal.model_validate(known)
        connection = PrometheusConnection.model_validate({"url": self.url, "timeout": "20s"})
        api = PrometheusApi(connection, environ={})
        self.apis.append(api)
        return PrometheusMetricsSignal(
            spec,
            interval=5.0,
            baseline=600.0,
            warm_up=0.0,
            api=api,
            variables=workload_variables,
        )

    def read(
        self, seconds: float, seen: Workload, **totals: tuple[float, float]
    ) -> tuple[Value | None, Value | None]:
        """Read with these totals; underscores in names of pods stand for dashes."""
        self.numbers.now = {name.replace("_", "-"): value for name, value in totals.items()}
        return sample(self.signal.read(seen, DEPLOYED + seconds))


@pytest.fixture
def prom() -> Iterator[Prom]:
    numbers = Numbers()
    with WebServer(numbers) as server:
        made = Prom(server.url, numbers)
        yield made
        for api in made.apis:
            api.close()


BEFORE = look(old("db-0"), old("db-1"))
AFTER = look(old("db-0"), new("db-1"))


def test_the_last_totals_of_a_replaced_pod_are_not_its_successors(prom: Prom) -> None:
    """While Prometheus still shows the old total under the name, nothing of it counts as new."""
    prom.read(1, BEFORE, db_0=(1000, 0), db_1=(1000, 300))
    assert prom.read(6, BEFORE, db_0=(1100, 0), db_1=(1100, 330)) == (None, Counts(200, 30))
    # db-1 is replaced; its series is still that of the old pod, with its very last requests
    assert prom.read(11, AFTER, db_0=(1200, 0), db_1=(1150, 350)) == (None, Counts(100, 0))
    assert prom.read(16, AFTER, db_0=(1300, 0), db_1=(1150, 350)) == (None, Counts(100, 0))
    # now the new pod is scraped: all of its counters is from after the deploy
    assert prom.read(21, AFTER, db_0=(1400, 0), db_1=(40, 8)) == (Counts(40, 8), Counts(100, 0))
    assert prom.read(26, AFTER, db_0=(1500, 0), db_1=(90, 9)) == (Counts(50, 1), Counts(100, 0))


def test_a_successor_that_was_away_first_counts_from_zero(prom: Prom) -> None:
    """Without series in between the next total is the new pod's, however high it is."""
    prom.read(1, BEFORE, db_0=(1000, 0), db_1=(10, 0))
    prom.read(6, AFTER, db_0=(1100, 0))
    found = prom.read(11, AFTER, db_0=(1200, 0), db_1=(60, 6))
    assert found == (Counts(60, 6), Counts(100, 0))


def test_a_successor_that_outgrew_the_old_total_is_left_out_and_then_starts(prom: Prom) -> None:
    """Nobody can tell whose a total is that never fell: after a minute it is a start."""
    prom.read(1, BEFORE, db_1=(10, 0))
    assert prom.read(16, AFTER, db_1=(60, 6)) == (None, None)
    assert prom.read(30, AFTER, db_1=(100, 7)) == (None, None)
    assert prom.read(80, AFTER, db_1=(200, 8)) == (None, None)
    assert prom.read(85, AFTER, db_1=(250, 9)) == (Counts(50, 1), None)


def test_a_pod_that_was_idle_has_nothing_that_could_be_taken_for_new(prom: Prom) -> None:
    """An old total of zero needs no fall."""
    prom.read(1, BEFORE, db_0=(5, 0), db_1=(0, 0))
    found = prom.read(16, AFTER, db_0=(6, 0), db_1=(60, 6))
    assert found == (Counts(60, 6), Counts(1, 0))


def test_pods_that_were_replaced_before_the_watch_began_start_from_what_is_seen(prom: Prom) -> None:
    """Without a past nobody knows whose the first total is; once it falls, all of it is new."""
    prom.read(11, AFTER, db_0=(1000, 0), db_1=(1000, 300))
    assert prom.read(16, AFTER, db_0=(1100, 0), db_1=(1000, 300)) == (
        Counts(0, 0),
        Counts(100, 0),
    )
    found = prom.read(21, AFTER, db_0=(1200, 0), db_1=(50, 5))
    assert found == (Counts(50, 5), Counts(100, 0))


def test_the_baseline_is_the_old_pods_though_their_names_are_the_new_ones_now(prom: Prom) -> None:
    """The past of a name that was taken over is control, and its last total is known from there."""
    prom.numbers.past = {"db-0": (900, 0), "db-1": (950, 290)}
    assert prom.read(16, AFTER, db_0=(1000, 0), db_1=(960, 295)) == (None, Counts(100, 0))
    found = prom.read(21, AFTER, db_0=(1100, 0), db_1=(50, 5))
    assert found == (Counts(50, 5), Counts(100, 0))


def test_after_the_rollback_the_third_pod_of_a_name_is_told_from_the_second(prom: Prom) -> None:
    """The condemned pod's errors are not the restored one's."""
    prom.read(1, look(old("db-0")), db_0=(1000, 0))
    condemned = look(new("db-0"))
    assert prom.read(16, condemned, db_0=(100, 80)) == (Counts(100, 80), None)
    third = replace(old("db-0"), created=DEPLOYED + 60, ready_since=DEPLOYED + 61)
    restored = replace(look(third), candidate=OLD, deployed_at=DEPLOYED + 50)
    assert prom.read(62, restored, db_0=(180, 150)) == (None, None)
    assert prom.read(67, restored, db_0=(30, 0)) == (Counts(30, 0), None)


def test_a_restart_of_the_same_pod_is_no_successor(prom: Prom) -> None:
    """A counter that falls without a new pod is that pod's own, as ever."""
    prom.read(1, BEFORE, db_0=(1000, 0), db_1=(1000, 0))
    assert prom.read(6, BEFORE, db_0=(30, 3), db_1=(1100, 0)) == (None, Counts(130, 3))


def test_while_the_cluster_is_not_seen_a_fall_is_nobodys(prom: Prom) -> None:
    """A restart, or a successor? What it counted is booked when the cluster is seen again."""
    prom.read(1, BEFORE, db_0=(1000, 0), db_1=(1000, 0))
    blind = replace(BEFORE, blind="pods: no answer")
    assert prom.read(12, blind, db_0=(1100, 0), db_1=(20, 10)) == (None, Counts(100, 0))
    assert prom.read(17, blind, db_0=(1200, 0), db_1=(40, 20)) == (None, Counts(100, 0))
    found = prom.read(22, AFTER, db_0=(1300, 0), db_1=(60, 30))
    assert found == (Counts(60, 30), Counts(100, 0))


def test_a_number_of_the_old_pod_is_not_the_new_ones(prom: Prom) -> None:
    """A value under a name that was taken over counts when it has changed."""
    prom.signal = prom.open(value='sum by (pod) (x{pod=~"{{ pods }}"})')
    prom.read(1, BEFORE, db_0=(1, 0), db_1=(9, 0))
    assert prom.read(11, AFTER, db_0=(1, 0), db_1=(9, 0)) == (None, Gauge(1.0))
    assert prom.read(16, AFTER, db_0=(1, 0), db_1=(2, 0)) == (Gauge(2.0), Gauge(1.0))


def test_queries_by_revision_follow_the_names_of_the_moment(prom: Prom) -> None:
    """A pod joins `candidate_pods` with a start: its name had another total before."""
    queries = {role: q.replace("pods }}", "candidate_pods }}") for role, q in BY_POD.items()}
    prom.signal = prom.open(ratio=queries)
    two = look(new("db-0", 20), new("db-1"))
    prom.read(11, AFTER, db_0=(1000, 0), db_1=(40, 0))
    assert prom.read(16, AFTER, db_0=(1100, 0), db_1=(90, 1)) == (Counts(50, 1), None)
    assert prom.read(21, two, db_0=(1150, 0), db_1=(190, 2)) == (Counts(100, 1), None)
    found = prom.read(26, two, db_0=(10, 5), db_1=(290, 3))
    assert found == (Counts(110, 6), None)


def test_a_sum_over_the_candidates_begins_anew_with_each_pod(prom: Prom) -> None:
    """A sum that gains the old total of a pod's name gains no requests."""
    queries = {role: q.replace("pods }}", "candidate_pods }}") for role, q in BY_POD.items()}
    prom.signal = prom.open(ratio={r: q.replace("sum by (pod)", "sum") for r, q in queries.items()})
    two = look(new("db-0", 20), new("db-1"))
    prom.read(11, AFTER, db_0=(1000, 90), db_1=(40, 0))
    assert prom.read(16, AFTER, db_0=(1100, 90), db_1=(90, 1)) == (Counts(50, 1), None)
    assert prom.read(21, two, db_0=(1150, 90), db_1=(190, 2)) == (None, None)
    assert prom.read(26, two, db_0=(1150, 90), db_1=(290, 3)) == (Counts(100, 1), None)


def pages(**totals: tuple[float, float]) -> dict[str, str]:
    """Return metrics pages; underscores in names of pods stand for dashes."""
    return {
        name.replace("_", "-"): "# TYPE x counter\n"
        f'x{{code="200"}} {requests - errors}\nx{{code="500"}} {errors}\n'
        for name, (requests, errors) in totals.items()
    }


class Cluster:
    """Serves the pages that a test sets."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}

    def pod_get(
        self, namespace: str, pod: str, port: int | str, path: str, *, timeout: float
    ) -> str:
        del namespace, port, path, timeout
        return self.pages[pod]


@pytest.mark.parametrize("total", [(40.0, 8.0), (5000.0, 1000.0)], ids=["less", "more"])
def test_a_pods_own_page_is_believed_at_once(total: tuple[float, float]) -> None:
    """A page comes from the pod that lives: under a new pod all of it counts, high or low."""
    cluster = Cluster()
    spec = PodsSignal.model_validate(
        {
            "provider": "pods",
            "name": "errors",
            "port": "http",
            "limit": "5%",
            "ratio": {"errors": 'x{code=~"5.."}', "requests": "x"},
        }
    )
    reader = through_api_server(cluster, port="http", path="/metrics")
    signal = PodMetricsSignal(spec, interval=5.0, warm_up=0.0, pages=PodPages(reader, seconds=5.0))
    cluster.pages = pages(db_0=(1000, 0), db_1=(1000, 300))
    signal.read(BEFORE, DEPLOYED + 1)
    cluster.pages = pages(db_0=(1100, 0), db_1=total)
    assert sample(signal.read(AFTER, DEPLOYED + 11)) == (Counts(*total), Counts(100, 0))


def test_restarts_and_readiness_are_each_pods_own() -> None:
    """Restarts of the pod before do not excuse those of its successor."""
    settings = KubernetesSettings.model_validate({"restarts": 2})
    signal = KubernetesSignal(settings, interval=1.0)
    worn = old("db-1", containers=(Container("db", ready=True, restarts=7),))
    signal.read(look(old("db-0"), worn), DEPLOYED + 1)
    bad = new("db-1", containers=(Container("db", ready=False, restarts=2),), ready=False)
    (reading,) = signal.read(look(old("db-0"), bad), DEPLOYED + 30)
    assert isinstance(reading, Sample) and isinstance(reading.candidate, Health)
    assert reading.candidate.restarts == 2
    assert [symptom.reason for symptom in reading.candidate.symptoms] == ["Restarts"]


@pytest.mark.parametrize(
    ("target", "name", "own"),
    [
        (DB, "db-7", True),
        (DB, "db-x7k2p", False),
        (DB, "db-admin-0", False),
        (DB, "other-0", False),
        (AGENT, "agent-x7k2p", True),
        (AGENT, "agent-6d4cf56db6-x7k2p", False),
        (AGENT, "agent-0", False),
        (AGENT, "agent-proxy-x7k2p", False),
    ],
)
def test_a_name_tells_the_workload_and_not_the_revision(
    target: Target, name: str, own: bool
) -> None:
    """A pod that no look has shown is of the workload or not; its revision is not known."""
    groups = PodGroups()
    groups.update(look(target=target), DEPLOYED + 60)
    assert groups.is_own(name) is own
    assert groups.template(name) == (UNKNOWN if own else None)


def test_a_pod_that_nobody_has_seen_counts_for_nobody(prom: Prom) -> None:
    """After the deploy a pod of an unknown revision is neither candidate nor control."""
    agents = look(old("agent-aaaaa"), new("agent-bbbbb"), target=AGENT)
    prom.read(11, agents, agent_aaaaa=(100, 0), agent_bbbbb=(10, 0))
    found = prom.read(16, agents, agent_aaaaa=(200, 0), agent_bbbbb=(60, 5), agent_zzzzz=(70, 70))
    assert found == (Counts(50, 5), Counts(100, 0))


@pytest.mark.parametrize(
    ("seen", "every", "candidates", "baseline"),
    [
        (AFTER, "db-[0-9]+", "(db-1)", "(db-0)"),
        (BEFORE, "db-[0-9]+", "-", "(db-0|db-1)"),
        (
            look(old("agent-aaaaa"), new("agent-bbbbb"), new("agent-ccccc"), target=AGENT),
            "agent-[a-z0-9]{5}",
            "(agent-bbbbb|agent-ccccc)",
            "(agent-aaaaa)",
        ),
    ],
    ids=["statefulset", "before", "daemonset"],
)
def test_the_template_variables_name_the_pods_of_the_moment(
    seen: Workload, every: str, candidates: str, baseline: str
) -> None:
    """`pods` matches all names that the kind can have; the groups are lists of names."""
    found = workload_variables(seen)
    assert (found["pods"], found["candidate_pods"]) == (every, candidates)
    assert found["baseline_pods"] == baseline
    assert found["candidate_hash"] == NEW
