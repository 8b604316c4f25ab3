"""The toy service: it behaves as its environment says, over real sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.load import Load
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.embedded.service import PaymentsApi, ToyHost, ToyService

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def host() -> Iterator[ToyHost]:
    host = ToyHost()
    yield host
    host.close()


@pytest.fixture
def payments(host: ToyHost) -> PaymentsApi:
    return PaymentsApi(host)


def get(service: ToyService, path: str = "/") -> requests.Response:
    """Send one request on a connection of its own."""
    return requests.get(
        f"http://127.0.0.1:{service.port}{path}", headers={"Connection": "close"}, timeout=10
    )


def samples(service: ToyService) -> Samples:
    """Return all samples of the service's metrics, read by Prometheus' own parser."""
    families = text_string_to_metric_families(get(service, "/metrics").text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples of that name that have the labels."""
    wanted = set(labels.items())
    return sum(v for (n, own), v in found.items() if n == name and wanted <= set(own))


def wait_until(condition: object, *, timeout: float = 20.0) -> None:
    """Wait until the callable is true."""
    end = time.monotonic() + timeout
    assert callable(condition)
    while not condition():
        assert time.monotonic() < end, "the condition did not hold in time"
        time.sleep(0.02)


def test_answers_are_counted_by_code_method_and_path(host: ToyHost) -> None:
    """Each answer raises one counter and one histogram; health checks and scrapes do not."""
    service = host.open("pod", {"LATENCY_MS": "1"})
    for _ in range(3):
        assert get(service).status_code == 200
    assert get(service, "/healthz").text == "ok\n"
    assert get(service, "/nowhere").status_code == 404
    found = samples(service)
    assert total(found, "http_requests_total", code="200", method="GET", path="/") == 3
    assert total(found, "http_requests_total") == 4
    assert total(found, "http_request_duration_seconds_count", path="/") == 3
    assert total(found, "http_request_duration_seconds_bucket", le="+Inf") == 3


def test_latency_is_what_the_environment_says(host: ToyHost) -> None:
    """LATENCY_MS is the time of one request, give or take a fifth."""
    service = host.open("pod", {"LATENCY_MS": "60"})
    began = time.monotonic()
    get(service)
    assert time.monotonic() - began >= 0.048
    found = samples(service)
    assert total(found, "http_request_duration_seconds_bucket", le="0.025") == 0


@pytest.mark.parametrize(("ratio", "code"), [("1", 500), ("0", 200)])
def test_error_ratio_decides_the_code(host: ToyHost, ratio: str, code: int) -> None:
    """ERROR_RATIO 1 makes every request fail, 0 none."""
    service = host.open("pod", {"ERROR_RATIO": ratio, "LATENCY_MS": "0"})
    assert {get(service).status_code for _ in range(5)} == {code}


def test_the_same_seed_makes_the_same_errors() -> None:
    """SEED and the order in which services are opened decide which requests fail."""

    def codes() -> list[int]:
        host = ToyHost()
        try:
            service = host.open("pod", {"ERROR_RATIO": "0.5", "LATENCY_MS": "0", "SEED": "7"})
            return [get(service).status_code for _ in range(20)]
        finally:
            host.close()

    first = codes()
    assert first == codes()
    assert {200, 500} == set(first)


def test_a_warming_service_says_so_on_its_health_path(host: ToyHost) -> None:
    """During WARMUP_SECONDS /healthz answers 503, afterwards 200."""
    service = host.open("pod", {"WARMUP_SECONDS": "0.3"})
    assert get(service, "/healthz").status_code == 503
    wait_until(lambda: get(service, "/healthz").status_code == 200)


def test_payments_are_really_called(host: ToyHost, payments: PaymentsApi) -> None:
    """With the right PAYMENTS_URL each request makes one call, counted with its code and time."""
    service = host.open("pod", {"PAYMENTS_URL": payments.url, "LATENCY_MS": "1"})
    assert get(service).status_code == 200
    found = samples(service)
    assert total(found, "api_client_requests_total", integration="payments", code="200") == 1
    assert total(found, "api_client_request_duration_seconds_count", integration="payments") == 1


@pytest.mark.parametrize(
    ("path", "code"), [("/v1/charge", "404"), ("/v2/charges", "404"), ("", "404")]
)
def test_a_wrong_payments_url_is_an_error_loop(
    host: ToyHost, payments: PaymentsApi, path: str, code: str
) -> None:
    """A wrong path: 502 after three calls, and the payment is tried again for ever."""
    service = host.open("pod", {"PAYMENTS_URL": payments.base_url + path})
    assert get(service).status_code == 502
    assert total(samples(service), "api_client_requests_total", code=code) == 3
    wait_until(lambda: total(samples(service), "api_client_requests_total", code=code) > 3)
    assert total(samples(service), "open_payments") == 1


def test_a_wrong_key_is_refused(host: ToyHost, payments: PaymentsApi) -> None:
    """When the payments API asks for a key, a call without it is answered 401."""
    payments.key = "sesame"
    wrong = host.open("wrong", {"PAYMENTS_URL": payments.url})
    right = host.open("right", {"PAYMENTS_URL": payments.url, "PAYMENTS_KEY": "sesame"})
    assert get(wrong).status_code == 502
    assert total(samples(wrong), "api_client_requests_total", code="401") == 3
    assert get(right).status_code == 200


def test_an_address_where_nobody_listens_is_an_error(host: ToyHost) -> None:
    """A refused connection counts with code error."""
    gone = PaymentsApi(host)
    url = gone.url
    gone.close()
    service = host.open("pod", {"PAYMENTS_URL": url})
    assert get(service).status_code == 502
    assert total(samples(service), "api_client_requests_total", code="error") == 3


def test_failed_payments_go_through_when_the_api_recovers(
    host: ToyHost, payments: PaymentsApi
) -> None:
    """A shared outage ends: what was kept is paid, new requests succeed."""
    payments.fail = True
    service = host.open("pod", {"PAYMENTS_URL": payments.url})
    assert get(service).status_code == 502
    payments.fail = False
    wait_until(lambda: total(samples(service), "open_payments") == 0)
    assert get(service).status_code == 200


def test_the_error_loop_cascades(host: ToyHost, payments: PaymentsApi) -> None:
    """Under load a wrong URL fills the queue: latency grows and requests are refused."""
    service = host.open("pod", {"PAYMENTS_URL": payments.base_url + "/wrong", "QUEUE": "10"})
    load = Load(host, lambda: [("127.0.0.1", service.port)], rate=40)

    def slow() -> float:
        found = samples(service)
        quick = total(found, "http_request_duration_seconds_bucket", le="0.5")
        return total(found, "http_request_duration_seconds_count") - quick

    wait_until(lambda: load.counts["503"] >= 5 and slow() >= 5)
    load.close()
    assert total(samples(service), "http_requests_total", code="200") == 0


def test_load_is_spread_over_the_ready_pods_of_a_deployment() -> None:
    """Requests come at the asked rate and reach every pod alike."""
    with EmbeddedCluster(start_up=0.02) as cluster:
        cluster.apply(toy_deployment("shop", "load", env={"LATENCY_MS": "1"}, replicas=3))
        cluster.wait_complete("load", "shop")
        began = time.monotonic()
        with cluster.load("load", "shop", rate=100) as load:
            wait_until(lambda: load.counts["200"] >= 60)
        assert time.monotonic() - began > 0.4
        assert set(load.counts) == {"200"}
        served = []
        for host, port in cluster.addresses("load", "shop"):
            text = requests.get(f"http://{host}:{port}/metrics", timeout=10).text
            families = list(text_string_to_metric_families(text))
            served.append(sum(s.value for f in families for s in f.samples if s.name == COUNTER))
    assert len(served) == 3
    assert max(served) - min(served) <= 2


COUNTER = "http_requests_total"


def test_a_rollout_loses_no_request() -> None:
    """Pods that end answer what they have; a healthy rollout is invisible to users."""
    with EmbeddedCluster(start_up=0.05) as cluster:
        cluster.apply(toy_deployment("shop", "load", replicas=2))
        cluster.wait_complete("load", "shop")
        with cluster.load("load", "shop", rate=100) as load:
            cluster.apply(toy_deployment("shop", "load", image="shop:2.0", replicas=2))
            cluster.wait_complete("load", "shop")
            seen = load.counts["200"]
            wait_until(lambda: load.counts["200"] >= seen + 20)
        assert set(load.counts) == {"200"}
