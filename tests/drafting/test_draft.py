"""The whole draft of a live workload with a history in Prometheus, and what it says of itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy_guard.cluster.client import Cluster
from deploy_guard.drafting import Drafted, draft
from deploy_guard.drafting.compose import LADDER
from deploy_guard.model import Target
from deploy_guard.policy.load import load_file
from deploy_guard.policy_tests.suite import run
from drafting.conftest import Checkout
from drafting.shop_history import History
from prometheus_server import PrometheusServer, needs_prometheus

pytestmark = needs_prometheus
Fill = Callable[[History, str], None]
DAY = 86_400
RATE = 5.0  # requests a second of each pod


def lay_out(text: str) -> str:
    """Return the comments of a policy on one line."""
    return re.sub(r"\n *# ?", " ", text)


def calm(history: History, pod: str) -> None:
    """A pod that fails one request of a thousand, as regularly as a clock."""
    own = {"namespace": "shop", "pod": pod}
    history.counter("http_requests_total", {**own, "code": "200"}, RATE * 0.999)
    history.counter("http_requests_total", {**own, "code": "500"}, RATE * 0.001)
    history.histogram("http_request_duration_seconds", own, RATE)


def stormy(history: History, pod: str) -> None:
    """A pod that fails half of its requests for twelve minutes, every 97 minutes."""
    own = {"namespace": "shop", "pod": pod}
    begin, failed = history.now - history.span, 0.0
    bad: list[tuple[int, float]] = []
    for at in history.moments():
        failed += RATE * history.step * (0.5 if (at - begin) % 5820 < 720 else 0.0005)
        bad.append((at, failed))
    good = [(at, RATE * (at - begin) - failed) for at, failed in bad]
    history.series("http_requests_total", {**own, "code": "200"}, good)
    history.series("http_requests_total", {**own, "code": "500"}, bad)


def crowded(history: History, pod: str) -> None:
    """A pod that calls ten thousand APIs, five of them often."""
    own = {"namespace": "shop", "pod": pod}
    for number in range(10_000):
        rate = 2.0 if number < 5 else 0.0001
        labels = {**own, "integration": f"tenant-{number}.example", "code": "200"}
        history.counter("api_client_requests_total", labels, rate)


def server_with(
    checkout: Checkout, folder: Path, fill: Fill, span: int, step: int = 60
) -> PrometheusServer:
    """Return a server with the history of the workload's pods."""
    history = History(int(time.time()), span, step)
    for pod in checkout.pods[:1] if fill is crowded else checkout.pods:
        fill(history, pod)
    return PrometheusServer(folder, history=history.text())


@pytest.fixture(scope="module")
def calm_server(
    checkout: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    """A day of a calm workload."""
    folder = tmp_path_factory.mktemp("calm")
    with server_with(checkout, folder, calm, span=DAY) as server:
        yield server


def drafted(
    checkout: Checkout,
    server: PrometheusServer,
    days: float = 1,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Drafted:
    """Draft for the workload."""
    with Cluster.connect(kubeconfig=str(checkout.kubeconfig)) as cluster:
        return draft(
            cluster,
            Target("deployment", "shop", "checkout"),
            prometheus_url=server.url,
            environ={},
            days=days,
            progress=progress,
        )


def test_a_calm_service_is_promised_few_false_alarms(
    checkout: Checkout, calm_server: PrometheusServer
) -> None:
    """None of the pseudo-deploys is rolled back, as the head of the file says; progress is told."""
    told: list[tuple[str, int, int]] = []
    found = drafted(checkout, calm_server, progress=lambda *far: told.append(far))
    assert found.alarms is not None
    assert found.alarms.false is not None
    assert found.alarms.false.count == 0
    read = [(done, of) for what, done, of in told if what == "read"]
    assert read == [(number, len(read)) for number in range(1, len(read) + 1)]
    assert len(read) == len([one for one in told if one[0] == "judged"]) >= 30
    assert found.alarms.false.of >= 30
    head = lay_out(found.text.partition("version:")[0])
    assert "from what Prometheus had of the last day; " in head
    assert "Expected false rollbacks: 0 of " in head
    assert "pseudo-deploys on ordinary days, at most " in head
    assert found.loaded.problems == ()
    assert found.notes == ()
    assert found.policy.watch.sensitivity == LADDER[0].sensitivity


def test_every_choice_has_its_reason_beside_it(
    checkout: Checkout, calm_server: PrometheusServer
) -> None:
    """Times and limits have a comment with the numbers that they are from."""
    text = drafted(checkout, calm_server).text
    for reason, value in (
        (r"10 requests a second come in: enough of them to show health in 45 s\.", "for: 10m"),
        (r"Samples arrive every 1 m\.", "interval: 1m"),
        (r"0\.1 % failed.*; 3 times that, but no less than 1 %\.", "limit: 1%"),
        (r"p99 was 2\d\d ms; .* took longer than this.*", r"limit: {share: 99%, below: 500ms}"),
        (r"So many show that the limit is kept; .*", "min_requests: 300"),
    ):
        assert re.search(rf"# .*{reason}\n +{value}\n", text), text


def test_the_command_tells_the_rate_and_tries_the_draft(
    checkout: Checkout,
    calm_server: PrometheusServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The sentence and the verdict of now are on stderr; the written file is the draft."""
    url = ("--prometheus-url", calm_server.url)
    assert checkout.init(tmp_path, *url, "--days", "1", "-o", "p.yaml") == 0
    told = capsys.readouterr()
    assert "expected false rollbacks: 0 of " in told.err
    assert "it would say now: " in told.err
    assert told.out == "p.yaml is written: http-errors, http-latency\n"
    assert load_file(tmp_path / "p.yaml").prometheus is not None


def test_the_tests_beside_the_policy_pass(
    checkout: Checkout,
    calm_server: PrometheusServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each case does what it says, at the traffic that was measured."""
    url = ("--prometheus-url", calm_server.url)
    assert checkout.init(tmp_path, *url, "--days", "1", "-o", "p.yaml", "--tests") == 0
    assert "p.test.yaml is written: try guard test p.test.yaml" in capsys.readouterr().out
    results = run([tmp_path / "p.test.yaml"])
    (file,) = results.files
    assert file.problems == ()
    assert [case.problem for case in file.cases] == [None] * 5
    assert checkout.init(tmp_path, *url, "-o", "q.yaml", "--tests", name="nowhere") == 1
    (tmp_path / "r.test.yaml").touch()
    assert checkout.init(tmp_path, *url, "-o", "r.yaml", "--tests", name="nowhere") == 2
    assert checkout.init(tmp_path, *url, "-o", "-", "--tests", name="nowhere") == 2


def test_a_service_that_looks_bad_by_itself_gets_a_looser_policy_and_is_told(
    checkout: Checkout, tmp_path: Path
) -> None:
    """How often the defaults would have been wrong is said, and the looser keys have a reason."""
    with server_with(checkout, tmp_path / "stormy", stormy, span=2 * DAY, step=15) as server:
        found = drafted(checkout, server, days=2)
    (note,) = found.notes
    assert re.fullmatch(r"with the defaults it would have been \d+: so it was loosened", note)
    assert found.alarms is not None
    assert not found.alarms.cries_wolf
    assert found.policy.watch.late_regressions == "none"
    assert "So it was loosened" in lay_out(found.text) or "so it was loosened." in found.text
    assert "there are outages on ordinary days" in lay_out(found.text).lower()


def test_a_service_that_no_setting_helps_is_told(checkout: Checkout, tmp_path: Path) -> None:
    """Samples a minute apart leave no time to hear the old pods: what can be done is said."""
    with server_with(checkout, tmp_path / "stormy", stormy, span=2 * DAY) as server:
        found = drafted(checkout, server, days=2)
    assert found.alarms is not None
    assert found.alarms.cries_wolf
    assert "looser settings do not help" in lay_out(found.text)
    assert "rollback.enabled: false" in found.notes[-1]


def test_a_short_history_promises_nothing(checkout: Checkout, tmp_path: Path) -> None:
    """With an hour of samples the limits are measured, and the rate is not known."""
    with server_with(checkout, tmp_path / "short", calm, span=3600) as server:
        found = drafted(checkout, server)
    assert found.alarms is not None
    assert found.alarms.false is None
    assert "Expected false rollbacks: not known, a history of 55 m is too short" in lay_out(
        found.text
    )
    assert "0.1 % failed" in found.text


def test_ten_thousand_integrations_give_five_signals(checkout: Checkout, tmp_path: Path) -> None:
    """The busiest have a signal, the number of the rest is told, with some names."""
    with server_with(checkout, tmp_path / "crowded", crowded, span=3600, step=300) as server:
        found = drafted(checkout, server)
    names = sorted(signal.name for signal in found.policy.signals)
    assert names == [f"tenant-{number}-example-errors" for number in range(5)]
    assert "9,995 more integrations have no signal" in lay_out(found.text)
    assert len(found.text) < 10_000
