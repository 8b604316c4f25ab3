"""Probes of an API integration: what a good answer is, and whose fault a bad one is."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from deploy_guard.model import NoData, NoDataReason, Probe, Sample, Workload
from deploy_guard.policy.models import HttpSignal
from deploy_guard.signals import workload_variables
from deploy_guard.signals.http import HttpProbeSignal
from signals.conftest import Certificates
from signals.web_server import Reply, WebServer
from signals.workloads import DEPLOYED, NEW_POD, OLD_POD, OTHER_NEW_POD, pod, workload

LOOK = workload(pod(NEW_POD))
SECRET = "s3cr3t-value"


def open_signal(
    url: str, environ: dict[str, str] | None = None, **settings: Any
) -> HttpProbeSignal:
    spec = HttpSignal.model_validate(
        {"provider": "http", "name": "payments", "url": url, **settings}
    )
    return HttpProbeSignal(spec, interval=5.0, variables=workload_variables, environ=environ or {})


def read(signal: HttpProbeSignal, look: Workload = LOOK, now: float = DEPLOYED + 60) -> Any:
    try:
        (reading,) = signal.read(look, now)
        return reading
    finally:
        signal.close()


def probe(url: str, environ: dict[str, str] | None = None, **settings: Any) -> Probe:
    reading = read(open_signal(url, environ, **settings))
    assert isinstance(reading, Sample) and isinstance(reading.candidate, Probe)
    return reading.candidate


def test_the_expected_answer_is_good(web: WebServer) -> None:
    """Status 200 is good unless the policy says otherwise, and the time it took is told."""
    found = probe(web.url)
    assert found.ok and found.seconds > 0
    assert found.detail.startswith("answered 200 in ")


def test_the_request_is_what_the_policy_says(web: WebServer) -> None:
    """Method, body, headers and template variables reach the API."""
    settings = {"method": "POST", "body": '{"a": 1}'}
    headers = {"X-Token": {"env": "TOKEN"}, "X-Plain": "plain"}
    url = web.url + "/{{ namespace }}/{{ name }}"
    assert probe(url, {"TOKEN": SECRET}, headers=headers, **settings).ok
    request = web.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/shop/web", '{"a": 1}')
    assert (request.headers["x-token"], request.headers["x-plain"]) == (SECRET, "plain")


def test_another_status_is_a_failure(web: WebServer) -> None:
    """What was expected and what came are both told."""
    web.answer = lambda _request: Reply(status=503)
    found = probe(web.url, expect={"status": [200, 204]})
    assert (found.ok, found.detail) == (False, "expected status 200 or 204, got 503")


def test_a_redirect_to_a_login_page_is_a_failure(web: WebServer) -> None:
    """Redirects are not followed; where they point is told without the query."""
    web.answer = lambda _request: Reply(
        status=302, headers={"location": f"https://u:p@login.example/in?token={SECRET}"}
    )
    found = probe(web.url)
    assert found.detail == "expected status 200, got 302 to https://login.example/in"
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    ("body", "path", "equals", "words"),
    [
        ('{"data": [{"state": "ready"}]}', "data.0.state", "ready", "answered"),
        ('{"state": "down"}', "state", "ready", 'expected state to be "ready", got "down"'),
        ('{"state": true}', "state", 1, "expected state to be 1, got true"),
        ('{"state": 1}', "state", True, "expected state to be true, got 1"),
        ('{"n": 1.0}', "n", 1, "answered"),
        ('{"state": null}', "state", "ready", "got null"),
        ("{}", "state", "ready", "expected state in the answer, it is not there"),
        ("[]", "0.state", "ready", "it is not there"),
        ("<html>", "state", "ready", "expected JSON, got application/json"),
        ("[" * 100_000, "state", "ready", "expected JSON"),
    ],
    ids=[
        "right", "wrong text", "true is not 1", "1 is not true", "1.0 is 1", "null", "no key",
        "no position", "no JSON", "too deep",
    ],
)  # fmt: skip
def test_a_value_in_the_answer(
    web: WebServer, body: str, path: str, equals: Any, words: str
) -> None:
    """The value at the path must be the expected one, of the same kind."""
    web.answer = lambda _request: Reply(body=body)
    found = probe(web.url, expect={"json": {"path": path, "equals": equals}})
    assert found.ok == (words == "answered")
    assert words in found.detail


def test_an_endless_answer_is_cut(web: WebServer) -> None:
    """Of a huge answer only so much is read as can be an answer."""
    web.answer = lambda _request: Reply(endless=True)
    found = probe(web.url, timeout="60s", expect={"json": {"path": "0", "equals": 1}})
    assert "larger than 1048576 bytes" in found.detail


def test_a_slow_answer_is_a_failure(web: WebServer) -> None:
    """An answer that takes longer than the policy allows is bad, however right it is."""

    def slowly(_request: object) -> Reply:
        time.sleep(0.05)
        return Reply()

    web.answer = slowly
    found = probe(web.url, expect={"latency": "10ms"})
    assert not found.ok and "expected an answer within 10 ms, took " in found.detail


@pytest.mark.parametrize("reply", [Reply(hang=True), Reply(trickle=True)], ids=["hang", "trickle"])
def test_no_answer_in_time_is_a_failure(web: WebServer, reply: Reply) -> None:
    """The timeout bounds the whole call, also when bytes keep trickling in."""
    web.answer = lambda _request: reply
    began = time.monotonic()
    found = probe(web.url, timeout="300ms")
    assert time.monotonic() - began < 5
    assert (found.ok, found.seconds) == (False, 0.3)
    assert "gave no answer within 0.3 s" in found.detail


def test_a_refused_connection_is_a_failure_and_not_missing_data() -> None:
    """That nobody listens is the answer."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        found = probe(f"http://127.0.0.1:{reserved.getsockname()[1]}/")
    assert not found.ok and found.detail.endswith("refuses connections")


def test_a_closed_connection_is_a_failure(web: WebServer) -> None:
    """A server that hangs up has not answered."""
    web.answer = lambda _request: Reply(drop=True)
    found = probe(web.url)
    assert not found.ok and "closed the connection" in found.detail


def test_a_name_that_cannot_be_resolved_is_no_data() -> None:
    """Names of the cluster are not known outside of it: guard could not ask, nobody is accused."""
    reading = read(open_signal("http://no-such.invalid/", timeout="20s"))
    assert isinstance(reading, NoData) and reading.reason is NoDataReason.UNREACHABLE
    assert reading.detail == "the name of no-such.invalid cannot be resolved"


def test_nothing_secret_is_ever_told(web: WebServer) -> None:
    """Details hold no header values, no user info, no query string, whatever fails."""
    for url in (web.url, "http://127.0.0.1:1"):
        secret_url = url.replace("://", f"://user:{SECRET}@") + f"/x?key={SECRET}"
        web.answer = lambda _request: Reply(status=500)
        headers = {"Authorization": {"env": "AUTH"}}
        signal = open_signal(secret_url, {"AUTH": SECRET}, headers=headers)
        assert SECRET not in repr(read(signal)) + repr(vars(signal)["_client"])


@pytest.mark.parametrize(
    "reply",
    [
        lambda told: Reply(body=json.dumps({"state": told})),
        lambda told: Reply(body=json.dumps({"state": {"headers": [told]}})),
        lambda told: Reply(content_type=told),
        lambda told: Reply(302, headers={"location": f"/login/{told}"}),
    ],
    ids=["value", "nested value", "media type", "redirect"],
)
@pytest.mark.parametrize("secret", [SECRET, 'with "quotes" and \\'], ids=["word", "quotes"])
def test_a_peer_that_sends_a_secret_back_does_not_get_it_told(
    reply: Any, secret: str, web: WebServer
) -> None:
    """An API that echoes its request does not put our credentials into reports."""
    web.answer = lambda request: reply(request.headers["x-token"])
    expect = {"json": {"path": "state", "equals": "ok"}}
    headers = {"X-Token": {"env": "TOKEN"}}
    found = probe(web.url, {"TOKEN": secret}, headers=headers, expect=expect)
    assert not found.ok and "***" in found.detail
    assert not any(word in found.detail for word in secret.split())


def test_what_is_no_secret_is_told(web: WebServer) -> None:
    """A header that is written out in the policy is shown when the answer has it."""
    web.answer = lambda request: Reply(body=json.dumps({"state": request.headers["x-plain"]}))
    expect = {"json": {"path": "state", "equals": "ok"}}
    found = probe(web.url, headers={"X-Plain": "written-out"}, expect=expect)
    assert found.detail == 'expected state to be "ok", got "written-out"'


@pytest.mark.parametrize("value", ["", f"{SECRET}\nX-Evil: 1", f"{SECRET}→"])
def test_a_header_that_cannot_be_sent_is_guards_own_fault(web: WebServer, value: str) -> None:
    """A variable that is missing or holds no header value is no data, without the value."""
    signal = open_signal(web.url, {"AUTH": value}, headers={"Authorization": {"env": "AUTH"}})
    reading = read(signal)
    assert isinstance(reading, NoData) and reading.reason is NoDataReason.UNAUTHORIZED
    assert SECRET not in reading.detail and "AUTH" in reading.detail.upper()
    assert web.requests == []


def test_a_secret_file_is_read_anew(web: WebServer, tmp_path: Path) -> None:
    """A token that is renewed on disk is used from then on."""
    file = tmp_path / "token"
    signal = open_signal(web.url, headers={"X-Token": {"file": str(file)}})
    missing = read(signal)
    assert isinstance(missing, NoData) and "token cannot be read" in missing.detail
    for token in ("one", "two"):
        file.write_text(f"{token}\n")
        read(signal)
    assert [request.headers["x-token"] for request in web.requests] == ["one", "two"]


def test_an_own_authority_is_trusted_when_named(
    tls_web: WebServer, certificates: Certificates
) -> None:
    """With its CA the server is trusted; without, the probe fails and says why."""
    assert probe(tls_web.url, tls={"ca": certificates.ca}).ok
    found = probe(tls_web.url)
    assert not found.ok and "is not trusted: " in found.detail
    assert probe(tls_web.url, tls={"verify": False}).ok


def test_a_client_certificate_is_shown(tls_web: WebServer, certificates: Certificates) -> None:
    """A server that asks for a certificate gets the policy's."""
    certificates.server.verify_mode = ssl.CERT_REQUIRED
    files = {"cert": certificates.cert, "key": certificates.key}
    assert probe(tls_web.url, tls={"ca": certificates.ca, **files}).ok
    assert not probe(tls_web.url, tls={"ca": certificates.ca}).ok


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "not PEM"])
def test_an_unusable_ca_file_is_guards_own_fault(
    tls_web: WebServer, tmp_path: Path, content: str | None
) -> None:
    """No data, for nobody was asked; the file and what is wrong with it are told."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    reading = read(open_signal(tls_web.url, tls={"ca": str(file)}))
    assert isinstance(reading, NoData) and "tls.ca: " in reading.detail


def test_a_certificate_that_ends_soon_is_a_failure(
    tls_web: WebServer, certificates: Certificates
) -> None:
    """The server's certificate must be valid for as long as the policy asks, at this moment."""
    settings = {"tls": {"ca": certificates.ca}}
    good = open_signal(tls_web.url, expect={"tls_valid_for": "14d"}, **settings)
    reading = read(good, now=time.time())
    assert isinstance(reading.candidate, Probe) and reading.candidate.ok
    late = open_signal(tls_web.url, expect={"tls_valid_for": "60d"}, **settings)
    reading = read(late, now=time.time())
    assert isinstance(reading.candidate, Probe) and not reading.candidate.ok
    assert reading.candidate.detail == (
        "expected a certificate valid for 60 days, it ends in 30 days"
    )


def test_a_certificate_is_expected_only_where_there_can_be_one(web: WebServer) -> None:
    """tls_valid_for over plain HTTP is a failure that says so."""
    found = probe(web.url, expect={"tls_valid_for": "14d"})
    assert not found.ok and "the connection has none" in found.detail


def test_until_a_new_pod_is_ready_the_probe_speaks_of_the_old_ones(web: WebServer) -> None:
    """A probe that fails before the candidate serves is not the deploy's fault."""
    signal = open_signal(web.url)
    starting = workload(pod(NEW_POD, ready=False), pod(OLD_POD))
    for look, of_candidate in (
        (starting, False),
        (starting, False),
        (workload(pod(NEW_POD), pod(OLD_POD)), True),
        (workload(pod(NEW_POD, ready=False), pod(OLD_POD)), True),
    ):
        reading = read(signal, look)
        assert isinstance(reading, Sample)
        assert (reading.candidate is not None, reading.control is None) == (of_candidate,) * 2


def test_with_no_ready_pod_left_the_probe_speaks_of_the_deploy(web: WebServer) -> None:
    """After the first look, a service without any ready pod is what the deploy made of it."""
    signal = open_signal(web.url)
    look = workload(pod(OTHER_NEW_POD, ready=False))
    first, second = read(signal, look), read(signal, look)
    assert first.candidate is None and second.candidate is not None


def test_before_the_deploy_the_probe_is_the_baseline(web: WebServer) -> None:
    """A probe from before the deploy is control, whoever is ready."""
    assert read(open_signal(web.url), now=DEPLOYED - 1).candidate is None


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "http://[::1", "http://host:port/"])
def test_an_address_that_cannot_be_is_guards_own_fault(url: str) -> None:
    """No data, for nobody could be asked."""
    reading = read(open_signal(url))
    assert isinstance(reading, NoData) and reading.reason is NoDataReason.REJECTED


def test_user_and_password_of_an_address_are_sent_decoded(web: WebServer) -> None:
    """What a URL has to write as %40 reaches the server as an at sign."""
    assert probe(web.url.replace("://", "://guard:p%40w@")).ok
    sent = web.requests[0].headers["authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"guard:p@w"
