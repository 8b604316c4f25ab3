"""Readings of cases are those that the real signals give for the same service."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy_guard.model import (
    Counts,
    Gauge,
    Latencies,
    NoData,
    NoDataReason,
    Pod,
    Reading,
    Sample,
    Value,
    Workload,
)
from deploy_guard.policy.models import HttpSignal, Metrics, PodsSignal, Policy, PrometheusSignal
from deploy_guard.policy_tests.inputs import SignalInput
from deploy_guard.policy_tests.models import Case, Setting
from deploy_guard.policy_tests.notation import parse_part
from deploy_guard.policy_tests.polls import ProbeReadings
from deploy_guard.policy_tests.readings import MetricReadings, Story
from deploy_guard.policy_tests.scene import inputs
from deploy_guard.policy_tests.world import DEPLOYED_AT, OLD_AGE, OnePod, PodFault, World
from deploy_guard.signals import workload_variables
from deploy_guard.signals.http import HttpProbeSignal
from deploy_guard.signals.pod_pages import PodPages
from deploy_guard.signals.pods import PodMetricsSignal
from deploy_guard.signals.prometheus import PrometheusMetricsSignal
from deploy_guard.signals.prometheus_api import PromSeries, Result

from .cases import POLICY, WELL, policy

RATE, PODS = 40.0, 4
SHARES = {"before": 0.005, "old": 0.02, "new": 0.2}
Totals = Callable[[OnePod, float, str], float]


@dataclass
class ServiceInMemory:
    """Answers queries from what the pods of a world would have counted: exact totals."""

    world: World
    shown: str  # the label that the totals are told apart by, besides the pod
    timeout: float = 10.0
    clock: float | None = None

    def instant(self, query: str, *, at: float, seconds: float) -> Result:
        """Return the totals of the pods that serve at a moment."""
        if "timestamp" in query:
            return Result(())
        moment = at - DEPLOYED_AT
        return Result(tuple(self._series(query, [moment])))

    def range(self, query: str, *, start: float, end: float, step: float, seconds: float) -> Result:
        """Return the totals of the old pods before the deploy."""
        steps = round((end - start) / step)
        moments = [start - DEPLOYED_AT + k * step for k in range(steps + 1)]
        return Result(tuple(self._series(query, moments)))

    def _series(self, query: str, moments: list[float]) -> list[PromSeries]:
        found = []
        for pod in self.world.all_pods:
            for labels, part in self._parts(query):
                # the last look into the past is one at those who have served until then
                late = 1e-6 if len(moments) > 1 else 0.0
                points = tuple(
                    (DEPLOYED_AT + m, _total(pod, m, part))
                    for m in moments
                    if pod.since(m - late) is not None
                )
                if points:
                    found.append(PromSeries({"pod": pod.name, **labels}, points))
        return found

    def _parts(self, query: str) -> list[tuple[Mapping[str, str], str]]:
        if self.shown == "le":
            return [({"le": "0.5"}, "quick"), ({"le": "+Inf"}, "requests")]
        return [({}, "failed" if "failed" in query else "requests")]


def _total(pod: OnePod, moment: float, part: str) -> float:
    """Return what a pod has counted: each pod serves a quarter of the requests all the time."""
    rate = RATE / PODS
    began = max(pod.stretches[0][0], -OLD_AGE)
    requests = rate * (moment - began)
    if part == "requests":
        return requests
    if pod.new:
        failed = requests * SHARES["new"]
    else:
        before = min(moment, 0.0) - began
        failed = rate * (before * SHARES["before"] + max(0.0, moment) * SHARES["old"])
    return failed if part == "failed" else requests - failed


def _shares() -> dict[str, str]:
    return {group: f"{share * 100}%" for group, share in SHARES.items()}


def _pairs(
    folder: Path, name: str, *, rollout: float, interval: float
) -> list[tuple[float, list[Reading], list[Reading]]]:
    """Return for each moment the real signal's readings, and those of the case."""
    world = World(PODS, rollout, 600.0)
    shop = policy(folder)
    spec = next(s for s in shop.signals if s.name == name)
    assert isinstance(spec, PrometheusSignal)
    shop = shop.model_copy(update={"watch": shop.watch.model_copy(update={"interval": interval})})
    key = "slow" if name == "latency" else "errors"
    given = SignalInput.model_validate({"requests": f"{RATE}/s", key: _shares()})
    case = MetricReadings(spec, shop, given, Story(world, interval, 3600.0))
    service = ServiceInMemory(world, "le" if name == "latency" else "")
    real = PrometheusMetricsSignal(
        spec,
        interval=interval,
        baseline=3600.0,
        warm_up=shop.watch.warm_up,
        api=service,
        variables=workload_variables,
    )
    found = []
    for k in range(int(150 / interval)):
        moment = k * interval
        look = world.latest(moment)
        history = list(case.baseline()) if case.history_is_read(moment) else []
        mine: list[Reading] = [*history, *case.read(moment)]
        found.append((moment, real.read(look, DEPLOYED_AT + moment), mine))
    return found


@pytest.mark.parametrize("name", ["errors", "latency"])
@pytest.mark.parametrize(("rollout", "interval"), [(30, 15), (60, 10), (0, 15), (100, 7)])
def test_samples_are_those_of_the_real_signal(
    tmp_path: Path, name: str, rollout: float, interval: float
) -> None:
    """History, old pods, new pods and young pods are counted as from a real Prometheus."""
    for moment, real, mine in _pairs(tmp_path, name, rollout=rollout, interval=interval):
        assert len(real) == len(mine), (moment, real[-1], mine[-1])
        for theirs, ours in zip(real, mine, strict=True):
            assert isinstance(theirs, Sample) and isinstance(ours, Sample)
            assert ours.at == pytest.approx(theirs.at)
            assert ours.seconds == pytest.approx(theirs.seconds)
            for group in ("candidate", "control", "warming"):
                _agree(getattr(theirs, group), getattr(ours, group), (moment, group))


def _agree(real: Value | None, mine: Value | None, where: object) -> None:
    """Compare exact amounts with whole counts: at most one apart."""
    assert type(real) is type(mine), (where, real, mine)
    if isinstance(real, Counts) and isinstance(mine, Counts):
        assert mine.requests == pytest.approx(real.requests, abs=1.5), where
        assert mine.errors == pytest.approx(real.errors, abs=1.5), where
        assert mine.requests == int(mine.requests) and mine.errors == int(mine.errors)
    elif isinstance(real, Latencies) and isinstance(mine, Latencies):
        assert mine.bounds == real.bounds
        assert mine.at_most == pytest.approx(real.at_most, abs=2.5), where


def _readings(
    folder: Path,
    name: str,
    given: Mapping[str, object] | None,
    *,
    text: str = POLICY,
    world: World | None = None,
    baseline: float = 3600.0,
    gaps: tuple[tuple[float, float, NoDataReason], ...] = (),
    interval: float = 15.0,
) -> list[list[Reading]]:
    """Return what each reading of a signal brings, without the history."""
    shop: Policy = policy(folder, text)
    spec = next(s for s in shop.signals if s.name == name)
    assert isinstance(spec, Metrics)
    world = world or World(PODS, 30.0, 600.0)
    one = None if given is None else SignalInput.model_validate(given)
    case = MetricReadings(spec, shop, one, Story(world, interval, baseline, gaps))
    found = []
    for k in range(40):
        case.history_is_read(k * interval)
        found.append(case.read(k * interval))
    return found


def _candidate(readings: list[Reading]) -> Value | None:
    sample = readings[0]
    return sample.candidate if isinstance(sample, Sample) else None


def test_nothing_is_lost_by_rounding(tmp_path: Path) -> None:
    """Three requests in a minute over four pods are as many after ten minutes, whatever polls."""
    found = _readings(tmp_path, "errors", {"requests": "3/m", "errors": "50%"})
    values = [_candidate(one) for one in found]
    counts = [v for v in values if isinstance(v, Counts)]
    assert sum(c.requests for c in counts) == pytest.approx(3 * 9.75 - 0.75, abs=1)
    assert sum(c.errors for c in counts) == pytest.approx(
        sum(c.requests for c in counts) / 2, abs=1
    )
    assert all(c.errors <= c.requests for c in counts)


def test_a_counter_that_falls_began_anew(tmp_path: Path) -> None:
    """As in promtool's notation: after a fall the new total is what was counted since."""
    given = {"requests": "0+600x2 300+600x38", "errors": "0+0x40"}
    world = World(PODS, 0.0, 600.0)
    found = [_candidate(one) for one in _readings(tmp_path, "errors", given, world=world)]
    assert [v.requests for v in found[:5] if isinstance(v, Counts)] == [0, 600, 600, 300, 600]


def test_gaps_and_the_end_of_a_series_have_no_data(tmp_path: Path) -> None:
    """`_` is no series, `stale` is stale, NaN no number; after its end a series is stale."""
    found = _readings(tmp_path, "queue", {"value": "10 _ stale NaN 20x2"})
    said = [one[0].reason if isinstance(one[0], NoData) else one[0].candidate for one in found[:9]]
    stale = NoDataReason.STALE
    assert said == [
        Gauge(10),
        NoDataReason.EMPTY,
        stale,
        NoDataReason.NOT_A_NUMBER,
        *[Gauge(20)] * 3,
        stale,
        stale,
    ]


def test_a_gap_in_a_counter_is_counted_afterwards(tmp_path: Path) -> None:
    """What was counted while nothing could be read belongs to the next reading, and its length."""
    world = World(PODS, 0.0, 600.0)
    given = {"requests": "0 600 _ _ 2400+600x36", "errors": "0%"}
    found = _readings(tmp_path, "errors", given, world=world)
    after = found[4][0]
    assert isinstance(after, Sample) and isinstance(after.candidate, Counts)
    assert (after.seconds, after.candidate.requests) == (45.0, 1800.0)


def test_without_history_old_pods_begin_with_the_second_reading(tmp_path: Path) -> None:
    """Three failed readings, and the time before the deploy is lost: old counters have a past."""
    gaps = ((0.0, 40.0, NoDataReason.UNREACHABLE),)
    world = World(PODS, 120.0, 600.0)
    found = _readings(tmp_path, "errors", WELL["errors"], gaps=gaps, world=world)
    assert all(isinstance(one[0], NoData) for one in found[:3])
    first, second = found[3][0], found[4][0]
    assert isinstance(first, Sample) and first.control is None
    assert isinstance(second, Sample) and isinstance(second.control, Counts)
    assert second.control.requests > 0


def test_a_query_without_pods_is_the_candidates_after_the_deploy(tmp_path: Path) -> None:
    """Where pods are not told apart, all is the candidate's from the deploy on; none is young."""
    text = POLICY.replace("sum by (pod) (", "sum(")
    given = {"requests": "40/s", "errors": {"before": "0%", "new": "100%"}}
    found = _readings(tmp_path, "errors", given, text=text, world=World(PODS, 60.0, 600.0))
    for one in found:
        assert isinstance(one[0], Sample) and one[0].control is None and one[0].warming is None
    amounts = [v for v in map(_candidate, found) if isinstance(v, Counts)]
    assert [v.requests for v in amounts[:4]] == [0, 600, 600, 600]
    assert 0 < amounts[2].errors < 600 == amounts[8].errors


def test_a_query_of_the_candidate_has_no_control(tmp_path: Path) -> None:
    """A query that names only the candidate's pods has no past, and no data until one serves."""
    text = POLICY.replace('pod=~"{{ pods }}"', 'pod=~"{{ candidate_pods }}"')
    found = _readings(tmp_path, "errors", WELL["errors"], text=text)
    assert isinstance(found[0][0], NoData) and found[0][0].reason is NoDataReason.NO_PODS
    assert all(isinstance(one[0], Sample) and one[0].control is None for one in found[1:])


PODS_POLICY = """\
version: 1
signals:
  - name: errors
    provider: pods
    port: 8080
    ratio: {errors: 'all_total{code="500"}', requests: all_total}
"""


def test_pods_pages_have_no_history(tmp_path: Path) -> None:
    """The provider `pods` sees old pods from the second reading on, new ones from their begin."""
    found = _readings(tmp_path, "errors", WELL["errors"], text=PODS_POLICY)
    assert found[0] == []
    second = found[1][0]
    assert isinstance(second, Sample)
    assert isinstance(second.control, Counts) and isinstance(second.candidate, Counts)
    assert second.candidate.requests == 75  # one of four pods for seven and a half seconds


def test_requests_follow_the_pods_that_serve(tmp_path: Path) -> None:
    """Pods that are left take over the requests of one that is in trouble."""
    fault = PodFault("unready", 60.0, math.inf, 2, new=True, old=False)
    world = World(PODS, 0.0, 600.0, (fault,))
    found = _readings(tmp_path, "errors", {"requests": "40/s", "errors": "0%"}, world=world)
    counts = [v for v in map(_candidate, found) if isinstance(v, Counts)]
    assert counts[3].requests == 600 and counts[10].requests == 600


def test_looks_show_the_pods_that_serve() -> None:
    """The pods of a look are ready exactly when the world says that they serve."""
    world = World(PODS, 40.0, 600.0)
    for moment in (0.0, 5.0, 10.0, 25.0, 40.0, 300.0):
        look: Workload = world.latest(moment)
        ready = {pod.name for pod in look.pods if pod.ready}
        assert ready == {p.name for p in world.all_pods if p.since(moment) is not None}


@pytest.mark.parametrize("rollout", [30.0, 70.0])
def test_samples_are_those_of_real_pages(tmp_path: Path, rollout: float) -> None:
    """What is read from the pods' own pages is counted as the provider `pods` counts it."""
    world = World(PODS, rollout, 600.0)
    shop = policy(tmp_path, PODS_POLICY)
    spec = shop.signals[0]
    assert isinstance(spec, PodsSignal)
    now = 0.0
    of_name = {pod.name: pod for pod in world.all_pods}

    def page(_namespace: str, pod: Pod, _seconds: float) -> str:
        failed = _total(of_name[pod.name], now, "failed")
        good = _total(of_name[pod.name], now, "requests") - failed
        return f'all_total{{code="200"}} {good}\nall_total{{code="500"}} {failed}\n'

    real = PodMetricsSignal(spec, interval=5, warm_up=30, pages=PodPages(page, seconds=5))
    given = SignalInput.model_validate({"requests": f"{RATE}/s", "errors": _shares()})
    case = MetricReadings(spec, shop, given, Story(world, 5.0, 3600.0))
    for k in range(30):
        now = k * 5.0
        theirs, ours = real.read(world.latest(now), DEPLOYED_AT + now), case.read(now)
        assert len(theirs) == len(ours), (now, theirs, ours)
        for one, mine in zip(theirs, ours, strict=True):
            assert isinstance(one, Sample) and isinstance(mine, Sample)
            assert (mine.at, mine.seconds) == (one.at, one.seconds)
            for group in ("candidate", "control", "warming"):
                _agree(getattr(one, group), getattr(mine, group), (now, group))


def test_keys_of_a_case_are_beside_those_of_the_defaults() -> None:
    """A case replaces single keys of a signal; of `slow` and `buckets` only one is left."""
    defaults = Setting.model_validate({"signals": WELL})
    one = Case.model_validate(
        {
            "name": "x",
            "expect": "healthy",
            "signals": {"errors": {"errors": "9%"}, "latency": {"buckets": {"0.5": "90%"}}},
        }
    )
    found = inputs(one, defaults)
    assert found["errors"].requests == defaults.signals["errors"].requests
    assert found["errors"].errors == parse_part("9%")
    assert found["latency"].slow is None and found["latency"].buckets == {"0.5": 0.9}
    assert found["queue"] is defaults.signals["queue"]


@dataclass
class Api:
    """An API on a socket; `status` is what it answers now."""

    status: int = 200
    url: str = ""


@pytest.fixture
def api() -> Iterator[Api]:
    """Serve an API whose answer the test changes."""
    state = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(state.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "world",
    [
        World(PODS, 40.0, 600.0),
        World(PODS, 0.0, 600.0),
        World(2, 40.0, 600.0, (PodFault("unready", 5.0, 50.0, 2, new=True, old=True),)),
    ],
)
def test_probes_speak_of_whom_the_real_ones_do(tmp_path: Path, world: World, api: Api) -> None:
    """An answer is the candidate's, or the old pods', exactly when the real probe says so."""
    shop = policy(tmp_path, POLICY.replace("http://payments", api.url))
    spec = shop.signals[-1]
    assert isinstance(spec, HttpSignal)
    given = SignalInput.model_validate({"answers": {"before": "ok", "new": {"60s": "503"}}})
    case = ProbeReadings(spec, given, world, ())
    real = HttpProbeSignal(spec, interval=15, variables=workload_variables, environ={})
    with closing(real):
        for k in range(12):
            moment = k * 7.0
            api.status = 200 if moment < 60 else 503
            (theirs,) = real.read(world.latest(moment), DEPLOYED_AT + moment)
            (ours,) = case.read(moment)
            assert isinstance(theirs, Sample) and isinstance(ours, Sample)
            assert (ours.at, ours.seconds) == (theirs.at, theirs.seconds)
            for group in ("candidate", "control"):
                one, mine = getattr(theirs, group), getattr(ours, group)
                assert (one is None) == (mine is None), moment
                assert one is None or one.ok == mine.ok
