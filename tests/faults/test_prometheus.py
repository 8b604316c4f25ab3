"""Faults of Prometheus × phases of a watch; a rollback itself does not ask Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import pytest

from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.model import Recovery, Target, Verdict
from deploy_guard.policy.models import Policy
from deploy_guard.watch.session import Watch
from faults import proxy as faults
from faults.cells import BAD, PHASES, Played, Trigger, report, together
from faults.proxy import Behaviour, FaultProxy
from prometheus_server import PrometheusServer, needs_prometheus
from watch.scraping import FIRST, NAME, SECOND, Scraper, Shop

pytestmark = needs_prometheus

SHORT = 1.5  # seconds
URL = "PROMETHEUS_URL"
GONE = "http://prometheus.shop.invalid:9090"


@dataclass
class Stage:
    """What a fault can act on: the proxy, and where guard looks up the address."""

    proxy: FaultProxy
    environ: dict[str, str]


Fault = Callable[[Stage], object]


@dataclass(frozen=True)
class World:
    """A cluster whose pods a real Prometheus scrapes."""

    embedded: EmbeddedCluster
    prometheus: PrometheusServer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all cells, each of which has a namespace of its own."""
    folder = tmp_path_factory.mktemp("prometheus")
    with (
        EmbeddedCluster(start_up=0.1) as embedded,
        PrometheusServer(folder, scrape_interval="500ms") as prometheus,
    ):
        scraper = Scraper(embedded, prometheus)
        yield World(embedded, prometheus)
        scraper.close()


def policy(seconds: float, verify: float) -> Policy:
    """Return a policy with short times: errors by PromQL, limit 20 %."""
    selector = 'http_requests_total{namespace="{{ namespace }}", pod=~"{{ pods }}"'
    signal = {
        "name": "errors",
        "provider": "prometheus",
        "ratio": {
            "errors": f'sum by (pod) ({selector}, code=~"5.."}})',
            "requests": f"sum by (pod) ({selector}}})",
        },
        "limit": "20%",
        "min_requests": 20,
    }
    return Policy.model_validate(
        {
            "version": 1,
            "name": "shop",
            "prometheus": {"url": {"env": URL}, "timeout": 0.7},
            "watch": {"for": seconds, "interval": 0.4, "baseline": 10.0, "warm_up": 0.0},
            "rollback": {"timeout": 20.0, "verify": verify},
            "signals": [signal],
        }
    )


def release(world: World, shop: Shop, env: dict[str, str]) -> None:
    """Deploy the second version, and wait until Prometheus has found its pods."""
    shop.release(SECOND, env)
    shop.complete()
    names = [pod["metadata"]["name"] for pod in world.embedded.pods(shop.namespace, NAME)]
    selector = f'http_requests_total{{pod=~"{"|".join(names)}"}}'
    world.prometheus.wait_for(f"count(count by (pod) ({selector})) == {len(names)}")


def play(
    world: World,
    folder: Path,
    fault: Fault,
    *,
    phase: str,
    bad: bool,
    seconds: float = 6.0,
    verify: float = 15.0,
) -> Played:
    """Deploy, watch by Prometheus, have the fault in a phase, and say how it ended."""
    folder.mkdir(parents=True)
    shop = Shop(world.embedded, world.prometheus, folder)
    shop.release()
    shop.complete()
    load = world.embedded.load(shop.namespace, NAME, 30)
    counter = f'http_requests_total{{namespace="{shop.namespace}"}}'
    world.prometheus.wait_for(f"sum(increase({counter}[5s])) > 20")
    with (
        FaultProxy(world.prometheus.url) as proxy,
        FaultProxy(world.embedded.url) as api,
        Cluster.connect(kubeconfig=str(shop.kubeconfig)) as cluster,
    ):
        cluster.api.configuration.host = api.url
        release(world, shop, BAD if bad else {})
        environ = {URL: proxy.url}
        kind, part = PHASES[phase]
        heard = Trigger(kind=kind, part=part, act=lambda: fault(Stage(proxy, environ)))
        target = Target("deployment", shop.namespace, NAME)
        outcome = Watch(
            cluster, target, policy(seconds, verify), output=heard, environ=environ
        ).run()
        took = time.time() - (heard.began or time.time())
        load.close()
        code, image = outcome.exit_code, shop.image()
        shop.close()
        return Played(code, outcome, "", heard, api.rollbacks(), image, took)


def answers(behaviour: Behaviour, seconds: float | None = SHORT) -> Fault:
    """Return a fault of all queries."""
    return lambda stage: stage.proxy.fail(behaviour, seconds=seconds, cut=True)


def later(seconds: float, act: Callable[[], object]) -> None:
    """Do something in a moment."""
    import threading

    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


def network_gone(stage: Stage) -> None:
    """Refuse connections for a moment."""
    stage.proxy.go_away()
    later(SHORT, stage.proxy.come_back)


def name_gone(stage: Stage) -> None:
    """Have the server's name resolve no more for a moment: by the system's own resolver."""
    known, stage.environ[URL] = stage.environ[URL], GONE
    later(SHORT, lambda: stage.environ.update({URL: known}))


FAULTS: dict[str, Fault] = {
    "429": answers(faults.status(429, retry_after="1")),
    "500": answers(faults.status(500)),
    "503": answers(faults.status(503)),
    "reset": answers(faults.reset),
    "hangs": answers(faults.hang),
    "drop by drop": answers(faults.drops),
    "expired credentials": answers(faults.expired),
    "network gone": network_gone,
    "name gone": name_gone,
}
SHORT_CELLS = {
    "good, watching": ("watching", False),
    "bad, from the start": ("pre-flight", True),
    "bad, verifying": ("verifying", True),
}


NAMES = list(FAULTS)


@pytest.mark.parametrize("names", [NAMES[:3], NAMES[3:6], NAMES[6:]], ids=", ".join)
def test_a_short_fault_changes_no_verdict(names: list[str], world: World, tmp_path: Path) -> None:
    """Good stays and bad is found when Prometheus is back; what could not be read is told."""

    def cell(name: str, key: str) -> Callable[[], Played]:
        (phase, bad), folder = SHORT_CELLS[key], tmp_path / name / key
        return lambda: play(world, folder, FAULTS[name], phase=phase, bad=bad)

    cells = {(name, key): cell(name, key) for name in names for key in SHORT_CELLS}
    played = together(cells)
    for (name, key), found in played.items():
        report(f"Prometheus: {name}", key, found)
        assert found.heard.began is not None, f"{name}: {found}"
        assert found.outcome is not None
        if key == "good, watching":
            assert (found.code, found.rollbacks, found.image) == (0, 0, SECOND), f"{key}: {found}"
            assert any("errors: " in text for text in found.told("no-data")), str(found)
            assert "errors: is read again" in found.told("no-data"), found
        else:
            assert (found.code, found.rollbacks, found.image) == (10, 1, FIRST), f"{key}: {found}"
            assert found.outcome.recovered is Recovery.RECOVERED, f"{key}: {found}"


@pytest.mark.parametrize("name", ["503", "hangs"])
def test_a_fault_that_stays_is_no_reason_to_act(name: str, world: World, tmp_path: Path) -> None:
    """Without Prometheus there is neither health nor guilt, and no recovery is claimed."""
    behaviour = {"503": faults.status(503), "hangs": faults.hang}[name]
    fault = answers(behaviour, seconds=None)
    cells = {
        "good": lambda: play(
            world, tmp_path / "g", fault, phase="watching", bad=False, seconds=4.0
        ),
        "bad": lambda: play(
            world, tmp_path / "b", fault, phase="pre-flight", bad=True, seconds=4.0
        ),
        "verifying": lambda: play(
            world, tmp_path / "v", fault, phase="verifying", bad=True, verify=2.0
        ),
    }
    played = together(cells)
    for key, found in played.items():
        report(f"Prometheus: {name}, stays", key, found)
    for key in ("good", "bad"):
        found = played[key]
        assert (found.code, found.rollbacks, found.image) == (12, 0, SECOND), f"{key}: {found}"
    bad = played["bad"].outcome
    assert bad is not None
    assert bad.verdict is Verdict.NO_DATA, played["bad"]
    found = played["verifying"]
    assert (found.code, found.rollbacks, found.image) == (10, 1, FIRST), found
    assert found.outcome is not None
    assert found.outcome.recovered is Recovery.UNKNOWN, found


def test_a_prometheus_that_takes_in_nothing_new(world: World, tmp_path: Path) -> None:
    """It answers every query, and still nothing can be said: never healthy on old numbers.

    That is told once of each signal, not again with each second that it lasts.
    """

    def freeze(stage: Stage) -> None:
        """Freeze it once new samples were seen: before, nobody knows how often there should be."""
        Timer(4.0, lambda: stage.proxy.fail(faults.as_of(time.time()))).start()

    found = play(world, tmp_path / "cell", freeze, phase="watching", bad=False, seconds=20.0)
    report("Prometheus: takes in nothing new", "good, watching", found)
    assert (found.code, found.rollbacks, found.image) == (12, 0, SECOND), str(found)
    stale = [text for text in found.told("no-data") if "stale: no new sample for" in text]
    assert len(stale) == len({text.partition(":")[0] for text in stale}) > 0, str(found)
