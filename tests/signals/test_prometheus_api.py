"""The HTTP API: credentials, and each way in which a server fails to give numbers."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from deploy_guard.model import Counts, NoData, NoDataReason, Reading, Sample
from deploy_guard.policy.models import PrometheusConnection, PrometheusSignal
from deploy_guard.signals import workload_variables
from deploy_guard.signals.prometheus import PrometheusMetricsSignal
from deploy_guard.signals.prometheus_api import PrometheusApi
from signals.conftest import Certificates
from signals.web_server import Reply, Request, WebServer
from signals.workloads import DEPLOYED, NEW_POD, pod, workload

LOOK = workload(pod(NEW_POD))
SECRET = "s3cr3t-value"


def success(kind: str, result: Any, **more: Any) -> Reply:
    data = {"resultType": kind, "result": result}
    return Reply(body=json.dumps({"status": "success", "data": data, **more}))


def error(status: int, kind: str, text: str) -> Reply:
    return Reply(status, json.dumps({"status": "error", "errorType": kind, "error": text}))


def one(value: str = "4") -> Reply:
    return success("vector", [{"metric": {}, "value": [DEPLOYED, value]}])


def by_kind(request: Request, instant: Reply) -> Reply:
    """Answer range queries with nothing and instant ones with `instant`."""
    if "query_range" in request.path:
        return success("matrix", [])
    return instant


def read(url: str, *, environ: dict[str, str] | None = None, **connection: Any) -> list[Reading]:
    spec = PrometheusSignal.model_validate(
        {"provider": "prometheus", "name": "queue", "value": "queue_depth", "above": 5}
    )
    settings = PrometheusConnection.model_validate({"url": url, "timeout": "10s", **connection})
    api = PrometheusApi(settings, environ=environ or {})
    signal = PrometheusMetricsSignal(
        spec, interval=15, baseline=600, warm_up=30, api=api, variables=workload_variables
    )
    try:
        return signal.read(LOOK, DEPLOYED + 60)
    finally:
        api.close()


def no_data(url: str, **connection: Any) -> NoData:
    (reading,) = read(url, **connection)
    assert isinstance(reading, NoData)
    return reading


def reads(url: str, **connection: Any) -> bool:
    return all(isinstance(reading, Sample) for reading in read(url, **connection))


@pytest.fixture
def prom(web: WebServer) -> WebServer:
    """A server that answers every instant query with one number."""
    web.answer = lambda request: by_kind(request, one())
    return web


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        (Reply(401), NoDataReason.UNAUTHORIZED, "answers 401: the credentials"),
        (Reply(403), NoDataReason.UNAUTHORIZED, "answers 403: the credentials"),
        (Reply(302, headers={"location": f"https://sso.example/login?t={SECRET}"}),
         NoDataReason.REJECTED, "redirects to https://sso.example/login;"),
        (error(400, "bad_data", "parse error: unexpected end of input"),
         NoDataReason.REJECTED, "bad_data: parse error: unexpected end of input"),
        (Reply(404, "404 page not found"), NoDataReason.REJECTED, "check the URL's path"),
        (error(422, "execution", "many-to-many matching"), NoDataReason.REJECTED, "many-to-many"),
        (Reply(429), NoDataReason.PROVIDER_ERROR, "too many requests"),
        (error(503, "timeout", "query timed out"), NoDataReason.TIMEOUT, "query timed out"),
        (error(500, "internal", "expanding series"), NoDataReason.PROVIDER_ERROR, "expanding"),
        (Reply(502, "<html>", "text/html"), NoDataReason.PROVIDER_ERROR, "answers 502"),
        (Reply(200, "<html>", "text/html"), NoDataReason.PROVIDER_ERROR, "is it a login page?"),
        (Reply(200, ""), NoDataReason.PROVIDER_ERROR, "where JSON is expected"),
        (Reply(200, "[]"), NoDataReason.PROVIDER_ERROR, "where JSON is expected"),
        (Reply(200, '{"status": "success"}'), NoDataReason.PROVIDER_ERROR, "without data"),
        (error(200, "bad_data", "no"), NoDataReason.REJECTED, "bad_data: no"),
        (error(200, "unavailable", "no"), NoDataReason.PROVIDER_ERROR, "unavailable: no"),
        (success("vector", [{"metric": {}}]), NoDataReason.PROVIDER_ERROR, "unknown form"),
        (success("tensor", []), NoDataReason.PROVIDER_ERROR, "unknown form"),
        (success("vector", []), NoDataReason.EMPTY, "no result"),
        (one("NaN"), NoDataReason.NOT_A_NUMBER, "NaN"),
        (one("+Inf"), NoDataReason.NOT_A_NUMBER, "Inf"),
        (success("string", [DEPLOYED, "hello"]), NoDataReason.NOT_A_NUMBER, "a text"),
        (success("matrix", []), NoDataReason.REJECTED, "range vector"),
        (success("vector", [{"metric": {}, "histogram": [DEPLOYED, {}]}]),
         NoDataReason.REJECTED, "native histograms"),
        (success("vector", [{"metric": {"a": n}, "value": [0, "1"]} for n in "12"]),
         NoDataReason.SEVERAL_SERIES, "2 series"),
        (Reply(drop=True), NoDataReason.UNREACHABLE, "closed the connection"),
    ],
    ids=[
        "no credentials", "forbidden", "redirect to login", "syntax error", "wrong path",
        "execution error", "too many requests", "query timeout", "internal error",
        "bad gateway", "login page", "empty body", "list for an object", "no data key",
        "error in a 200", "other error in a 200", "series without value", "unknown type",
        "no series", "NaN", "Inf", "string", "range vector", "native histogram",
        "several series", "connection dropped",
    ],
)  # fmt: skip
def test_each_failure_has_its_reason(
    web: WebServer, reply: Reply, reason: NoDataReason, words: str
) -> None:
    """Whatever is not one number is no data, with a reason and the server's own words."""
    web.answer = lambda request: by_kind(request, reply)
    found = no_data(web.url)
    assert found.reason is reason, found.detail
    assert words in found.detail
    assert SECRET not in found.detail


def test_a_refused_connection_is_unreachable() -> None:
    """Nobody listens: the host and port are told."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        found = no_data(f"http://user:{SECRET}@127.0.0.1:{reserved.getsockname()[1]}/x?k={SECRET}")
    assert found.reason is NoDataReason.UNREACHABLE
    assert found.detail.endswith("refuses connections") and SECRET not in found.detail


def test_an_unknown_host_is_unreachable() -> None:
    """A name that cannot be resolved is told."""
    found = no_data("http://prometheus.invalid:9090", timeout="20s")
    assert found.reason is NoDataReason.UNREACHABLE
    assert found.detail == "the name of prometheus.invalid:9090 cannot be resolved"


@pytest.mark.parametrize("reply", [Reply(hang=True), Reply(trickle=True)], ids=["hang", "trickle"])
def test_the_timeout_bounds_a_whole_reading(web: WebServer, reply: Reply) -> None:
    """However slowly a server answers, a reading ends when its time is over."""
    web.answer = lambda request: by_kind(request, reply)
    began = time.monotonic()
    assert no_data(web.url, timeout="300ms").reason is NoDataReason.TIMEOUT
    assert time.monotonic() - began < 5


def test_queries_are_posted_below_the_path_of_the_url(prom: WebServer) -> None:
    """A base URL may have a path; the query and its moment go in the body."""
    assert reads(prom.url + "/prom/")
    request = prom.requests[1]  # after the baseline
    assert (request.method, request.path) == ("POST", "/prom/api/v1/query")
    assert "query=queue_depth" in request.body and f"time={DEPLOYED + 60:.3f}" in request.body


def test_a_server_that_takes_no_post_is_asked_by_get(web: WebServer) -> None:
    """After one 405, queries go in the URL."""
    web.answer = lambda r: Reply(405) if r.method == "POST" else by_kind(r, one())
    assert reads(web.url)
    assert [request.method for request in web.requests] == ["POST", "GET", "GET", "GET"]


def test_a_bearer_token_is_read_anew_for_every_query(prom: WebServer, tmp_path: Path) -> None:
    """Tokens in files are renewed by their issuer while guard watches."""
    file = tmp_path / "token"
    for token in ("one", "two"):
        file.write_text(token + "\n")
        assert reads(prom.url, bearer={"file": str(file)})
        assert prom.requests[-1].headers["authorization"] == f"Bearer {token}"


def test_basic_auth_and_headers_are_sent(prom: WebServer) -> None:
    """User, password and tenant reach the server; the secret comes from the environment."""
    basic = {"username": "guard", "password": {"env": "PASSWORD"}}
    headers = {"X-Scope-OrgID": "shop"}
    assert reads(prom.url, environ={"PASSWORD": "pw"}, basic=basic, headers=headers)
    sent = prom.requests[-1].headers
    assert (sent["authorization"], sent["x-scope-orgid"]) == ("Basic Z3VhcmQ6cHc=", "shop")


@pytest.mark.parametrize(
    "credentials",
    [
        {"bearer": {"env": "TOKEN"}},
        {"basic": {"username": "guard", "password": {"env": "TOKEN"}}},
        {"headers": {"X-Token": {"env": "TOKEN"}}},
    ],
    ids=["bearer", "basic", "header"],
)
def test_a_server_that_sends_a_secret_back_does_not_get_it_told(
    credentials: dict[str, Any], web: WebServer
) -> None:
    """Errors and warnings that quote the request's headers are shown without our credentials."""

    def words(request: Request) -> str:
        sent = request.headers.get("x-token") or request.headers["authorization"]
        if sent.startswith("Basic "):
            sent += " is " + base64.b64decode(sent.split()[1]).decode()
        return f"bad request: {sent}"

    url, environ = web.url, {"TOKEN": SECRET}
    web.answer = lambda request: error(400, "bad_data", words(request))
    (found,) = read(url, environ=environ, **credentials)
    assert isinstance(found, NoData)
    assert "bad request: " in found.detail and "***" in found.detail
    hidden = (SECRET, base64.b64encode(f"guard:{SECRET}".encode()).decode())
    assert not any(secret in found.detail for secret in hidden)
    web.answer = lambda request: success("vector", [], warnings=[words(request)])
    settings = PrometheusConnection.model_validate({"url": url, **credentials})
    api = PrometheusApi(settings, environ=environ)
    (warning,) = api.instant("x", at=DEPLOYED, seconds=10).warnings
    api.close()
    assert "***" in warning and not any(secret in warning for secret in hidden)


def test_the_url_may_be_a_secret(prom: WebServer) -> None:
    """A base URL with user and password can come from the environment."""
    url = prom.url.replace("://", "://guard:pw@")
    assert reads({"env": "PROMETHEUS"}, environ={"PROMETHEUS": url})  # type: ignore[arg-type]
    assert prom.requests[-1].headers["authorization"] == "Basic Z3VhcmQ6cHc="


def test_a_secret_that_is_missing_is_told_by_its_name(prom: WebServer) -> None:
    """Without the variable nothing is sent."""
    found = no_data(prom.url, bearer={"env": "PROM_TOKEN"})
    assert found.reason is NoDataReason.UNAUTHORIZED
    assert found.detail == "the environment variable PROM_TOKEN is not set"
    assert prom.requests == []


def test_own_authority_and_client_certificate(
    tls_web: WebServer, certificates: Certificates
) -> None:
    """Both sides of mutual TLS come from the policy's files; without them nothing is read."""
    tls_web.answer = lambda request: by_kind(request, one())
    certificates.server.verify_mode = ssl.CERT_REQUIRED
    client = {"cert": certificates.cert, "key": certificates.key}
    assert reads(tls_web.url, tls={"ca": certificates.ca, **client})
    assert no_data(tls_web.url, tls={"ca": certificates.ca}).reason is NoDataReason.UNREACHABLE
    untrusted = no_data(tls_web.url, tls=client)
    assert "is not trusted" in untrusted.detail


def test_a_baseline_that_cannot_be_read_is_told_and_tried_again(web: WebServer) -> None:
    """A failed range query is no data beside the first sample; it is tried three times in all."""
    spec = PrometheusSignal.model_validate(
        {"provider": "prometheus", "name": "queue", "value": "queue_depth", "above": 5}
    )
    connection = PrometheusConnection.model_validate({"url": web.url})
    api = PrometheusApi(connection, environ={})
    signal = PrometheusMetricsSignal(
        spec, interval=15, baseline=600, warm_up=30, api=api, variables=workload_variables
    )
    web.answer = lambda r: Reply(500) if "query_range" in r.path else one()
    kinds = []
    for n in range(4):
        readings = signal.read(LOOK, DEPLOYED + 60 + n)
        kinds.append([type(reading) for reading in readings])
    api.close()
    assert kinds == [[NoData, Sample]] * 3 + [[Sample]]


def test_a_sum_without_a_baseline_has_no_increment_at_first(web: WebServer) -> None:
    """The total of a sum over pods has a past, however new the candidate's pods are."""
    totals = iter(["1000", "1000", "60", "1010", "1010", "75"])  # errors, requests, their time
    web.answer = lambda r: by_kind(r, one(next(totals)) if "query_range" not in r.path else one())
    ratio = {"errors": "sum(http_errors_total)", "requests": "sum(http_requests_total)"}
    spec = PrometheusSignal.model_validate(
        {"provider": "prometheus", "name": "errors", "ratio": ratio, "limit": "5%"}
    )
    api = PrometheusApi(PrometheusConnection.model_validate({"url": web.url}), environ={})
    signal = PrometheusMetricsSignal(
        spec, interval=15, baseline=600, warm_up=30, api=api, variables=workload_variables
    )
    first, second = signal.read(LOOK, DEPLOYED + 60), signal.read(LOOK, DEPLOYED + 75)
    api.close()
    assert first == []
    (found,) = second
    assert isinstance(found, Sample)
    assert (found.candidate, found.seconds) == (Counts(10, 10), 15)


def test_warnings_of_the_server_are_kept(web: WebServer) -> None:
    """A partial answer of a Thanos says so; the signal hands it on."""
    spec = PrometheusSignal.model_validate(
        {"provider": "prometheus", "name": "queue", "value": "queue_depth", "above": 5}
    )
    connection = PrometheusConnection.model_validate({"url": web.url})
    api = PrometheusApi(connection, environ={})
    signal = PrometheusMetricsSignal(
        spec, interval=15, baseline=600, warm_up=30, api=api, variables=workload_variables
    )
    reply = success(
        "vector", [{"metric": {}, "value": [0, "1"]}], warnings=["a store is down"], infos=["odd"]
    )
    web.answer = lambda request: by_kind(request, reply)
    signal.read(LOOK, DEPLOYED + 60)
    api.close()
    assert "a store is down" in signal.warnings and "odd" in signal.warnings


def test_no_more_points_are_asked_for_than_servers_give(prom: WebServer) -> None:
    """A long baseline has a longer step, so that no server refuses it."""
    from urllib.parse import parse_qs

    spec = PrometheusSignal.model_validate(
        {"provider": "prometheus", "name": "queue", "value": "queue_depth", "above": 5}
    )
    api = PrometheusApi(PrometheusConnection.model_validate({"url": prom.url}), environ={})
    day = 86400.0
    signal = PrometheusMetricsSignal(
        spec, interval=1, baseline=30 * day, warm_up=30, api=api, variables=workload_variables
    )
    signal.read(LOOK, DEPLOYED + 60)
    api.close()
    form = {key: values[0] for key, values in parse_qs(prom.requests[0].body).items()}
    points = (float(form["end"]) - float(form["start"])) / float(form["step"])
    assert points <= 11_000 and float(form["end"]) == DEPLOYED
