from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from cluster.scripted import (
    QUICK,
    Behaviour,
    Handler,
    ScriptedServer,
    answer,
    connect,
    reset,
    silence,
    stream,
)
from deploy_guard.cluster import errors
from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.retry import NO_RETRIES, Retries

POD = "/api/v1/namespaces/shop/pods/p"
PODS = "/api/v1/namespaces/shop/pods"
FOUND = answer(200, {"kind": "Pod"})


def get(cluster: Cluster) -> dict[str, object]:
    return cluster.get(POD, timeout=5)


def test_json_goes_through_as_it_is(tmp_path: Path) -> None:
    """A field that no model knows is read and sent unchanged, with nothing added."""
    body = [{"op": "add", "path": "/x", "value": {"newerThanUs": None, "n": 12345678901234567890}}]
    server = ScriptedServer(answer(200, {"kind": "Pod", "newerThanUs": {"a": []}}))
    with server, connect(tmp_path, server.url) as cluster:
        assert cluster.get(POD) == {"kind": "Pod", "newerThanUs": {"a": []}}
        cluster.patch(POD, body)
    method, path, headers, sent = server.requests[1]
    assert (method, json.loads(sent)) == ("PATCH", body)
    assert headers["Content-Type"] == "application/json-patch+json"
    assert path == f"{POD}?fieldManager=deploy-guard"


def test_every_write_names_the_field_manager(tmp_path: Path) -> None:
    """Patches and creations are owned by deploy-guard; reads carry no such parameter."""
    server = ScriptedServer(FOUND)
    with server, connect(tmp_path, server.url) as cluster:
        cluster.get(POD, params={"a": "b c"})
        cluster.patch(POD, {}, content_type=MERGE_PATCH)
        cluster.create(PODS, {}, params={"x": "y"})
    assert [path for _, path, _, _ in server.requests] == [
        f"{POD}?a=b+c",
        f"{POD}?fieldManager=deploy-guard",
        f"{PODS}?fieldManager=deploy-guard&x=y",
    ]


def test_a_dry_run_is_a_property_of_the_cluster(tmp_path: Path) -> None:
    """Every write of a dry-run cluster carries dryRun=All; questions and reads do not."""
    server = ScriptedServer(FOUND)
    with server, connect(tmp_path, server.url) as cluster:
        dry = cluster.dry_run()
        dry.patch(POD, [])
        dry.create(PODS, {})
        dry.get(POD)
        dry.review("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {})
        assert dry.dry_run() is dry
    paths = [path for _, path, _, _ in server.requests]
    assert ["dryRun=All" in path for path in paths] == [True, True, False, False]


def test_a_token_is_sent_and_no_error_shows_it(tmp_path: Path) -> None:
    """The bearer token of the kubeconfig goes into the header and nowhere else."""
    server = ScriptedServer(answer(500, "broken"))
    user = {"token": "hunter2"}
    with (
        server,
        connect(tmp_path, server.url, user=user, retries=NO_RETRIES) as cluster,
        pytest.raises(errors.ServerError) as caught,
    ):
        get(cluster)
    assert server.requests[0][2]["authorization"] == "Bearer hunter2"
    assert "hunter2" not in f"{caught.value!r} {caught.value.help}"


@pytest.mark.parametrize(
    "failure",
    [
        answer(500, {"kind": "Status", "code": 500, "message": "etcd leader changed"}),
        answer(429, "Too many requests, please try again later.\n", retry_after="0"),
        answer(503, "service unavailable"),
        reset,
    ],
    ids=["500", "429", "503", "reset"],
)
def test_a_read_is_tried_again(tmp_path: Path, failure: Behaviour) -> None:
    """A read that fails in a way that passes is answered by a later attempt."""
    server = ScriptedServer(failure, failure, FOUND)
    with server, connect(tmp_path, server.url) as cluster:
        assert get(cluster) == {"kind": "Pod"}
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (answer(500, "broken"), errors.ServerError),
        (answer(429, "later", retry_after="0"), errors.TooManyRequests),
        (reset, errors.Unreachable),
    ],
    ids=["500", "429", "reset"],
)
def test_a_write_is_sent_once(
    tmp_path: Path, failure: Behaviour, kind: type[errors.ApiError]
) -> None:
    """A patch is never sent again by the client, whatever happened to it."""
    server = ScriptedServer(failure, FOUND)
    with server, connect(tmp_path, server.url) as cluster, pytest.raises(kind):
        cluster.patch(POD, [])
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 422])
def test_a_refusal_is_not_tried_again(tmp_path: Path, code: int) -> None:
    """What will be refused again is asked once."""
    server = ScriptedServer(answer(code, {"kind": "Status", "code": code, "message": "no"}))
    with (
        server,
        connect(tmp_path, server.url) as cluster,
        pytest.raises(errors.ApiError, match="no") as caught,
    ):
        get(cluster)
    assert caught.value.code == code
    assert len(server.requests) == 1


def test_retry_after_is_honoured_and_attempts_are_numbered(tmp_path: Path) -> None:
    """The server's Retry-After is the wait, and each new attempt is told with its number."""
    told: list[tuple[int, int, float]] = []
    retries = Retries(
        attempts=3,
        first_wait=9,
        tell=lambda attempt, error, wait: told.append((attempt, error.code, wait)),
    )
    server = ScriptedServer(answer(429, "later", retry_after="0.05"), FOUND)
    with server, connect(tmp_path, server.url, retries=retries) as cluster:
        began = time.monotonic()
        get(cluster)
        assert 0.05 <= time.monotonic() - began < 5
    assert told == [(2, 429, 0.05)]


def test_retries_end_in_time(tmp_path: Path) -> None:
    """A Retry-After beyond the time in all ends the attempts at once, with the server's error."""
    server = ScriptedServer(answer(429, "later", retry_after="3600"))
    with (
        server,
        connect(tmp_path, server.url, retries=QUICK) as cluster,
        pytest.raises(errors.TooManyRequests),
    ):
        get(cluster)
    assert len(server.requests) == 1


def test_retries_can_be_switched_off(tmp_path: Path) -> None:
    """Without retries, or with an impatient call, there is one attempt."""
    server = ScriptedServer(answer(503, "no"))
    with (
        server,
        connect(tmp_path, server.url, retries=NO_RETRIES) as cluster,
        pytest.raises(errors.ServerError),
    ):
        get(cluster)
    with server, connect(tmp_path, server.url, retries=QUICK) as cluster:
        pass
    assert len(server.requests) == 1


def test_silence_is_a_timeout(tmp_path: Path) -> None:
    """A server that takes the request and says nothing is given up after the timeout."""
    server = ScriptedServer(silence)
    with (
        server,
        connect(tmp_path, server.url, retries=NO_RETRIES) as cluster,
        pytest.raises(errors.Timeout, match="no answer in time"),
    ):
        cluster.get(POD, timeout=0.1)


def test_nobody_there(tmp_path: Path) -> None:
    """A closed port is reported with the system's reason and what to check."""
    with ScriptedServer(FOUND) as server:
        url = server.url
    with (
        connect(tmp_path, url, retries=NO_RETRIES) as cluster,
        pytest.raises(errors.Unreachable, match="connection refused") as caught,
    ):
        get(cluster)
    assert "kubeconfig" in caught.value.help


@pytest.mark.parametrize(
    "page",
    [
        answer(200, "<html>Sign in</html>", Content_Type="text/html"),
        answer(302, "", Location="https://login.example/"),
        answer(200, ["not", "an", "object"]),
    ],
    ids=["page", "redirect", "list"],
)
def test_something_else_answers(tmp_path: Path, page: Behaviour) -> None:
    """A login page, a redirect, JSON of another kind: not a Kubernetes API, and not followed."""
    server = ScriptedServer(page)
    with (
        server,
        connect(tmp_path, server.url) as cluster,
        pytest.raises(errors.NotKubernetes, match="not from a Kubernetes API"),
    ):
        get(cluster)
    assert len(server.requests) == 1


def test_a_pod_is_read_through_the_proxy(tmp_path: Path) -> None:
    """A page of a pod is read by the pod proxy, as text, with its status as error."""
    server = ScriptedServer(answer(200, "up 1\n"), answer(502, "dial tcp: refused"))
    with server, connect(tmp_path, server.url) as cluster:
        assert cluster.pod_get("shop", "p", 8080, "/metrics?x=1") == "up 1\n"
        with pytest.raises(errors.ServerError, match="pods/proxy"):
            cluster.pod_get("shop", "p", "http", "metrics")
    assert [path for _, path, _, _ in server.requests] == [
        f"{POD}:8080/proxy/metrics?x=1",
        f"{POD}:http/proxy/metrics",
    ]


def test_existence_is_asked_without_contents(tmp_path: Path) -> None:
    """Whether a Secret exists is asked for by its metadata, so its data is never sent."""
    server = ScriptedServer(FOUND, answer(404, {"kind": "Status", "code": 404, "message": "no"}))
    with server, connect(tmp_path, server.url) as cluster:
        assert cluster.exists("/api/v1/namespaces/shop/secrets/s")
        assert not cluster.exists("/api/v1/namespaces/shop/secrets/t")
    assert "PartialObjectMetadata" in server.requests[0][2]["Accept"]


def test_threads_share_a_client(tmp_path: Path) -> None:
    """Requests of many threads at once are all answered."""
    server = ScriptedServer(FOUND)
    answers: list[object] = []
    with server, connect(tmp_path, server.url) as cluster:
        threads = [threading.Thread(target=lambda: answers.append(get(cluster))) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [{"kind": "Pod"}] * 12


def test_events_of_a_watch(tmp_path: Path) -> None:
    """Events are parsed wherever the chunks break, and the server's end is the end."""
    first = {"type": "ADDED", "object": {"a": 1}}
    second = json.dumps({"type": "MODIFIED", "object": {"a": "ü"}}).encode() + b"\n"
    server = ScriptedServer(stream(first, second[:9], second[9:]))
    with (
        server,
        connect(tmp_path, server.url) as cluster,
        cluster.watch(PODS, {"resourceVersion": "7"}) as events,
    ):
        assert [event["object"]["a"] for event in events] == [1, "ü"]
    assert server.requests[0][1] == f"{PODS}?resourceVersion=7&watch=1"


def test_an_expired_watch(tmp_path: Path) -> None:
    """An ERROR event of code 410, on a stream with status 200, is the error Gone."""
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    server = ScriptedServer(stream({"type": "ERROR", "object": status}))
    with (
        server,
        connect(tmp_path, server.url) as cluster,
        cluster.watch(PODS, {}) as events,
        pytest.raises(errors.Gone, match="too old"),
    ):
        list(events)


def test_a_broken_stream(tmp_path: Path) -> None:
    """A stream that breaks, or holds what is no event, is an error and not an end."""
    server = ScriptedServer(stream(b"{nonsense}\n"))
    with (
        server,
        connect(tmp_path, server.url) as cluster,
        cluster.watch(PODS, {}) as events,
        pytest.raises(errors.NotKubernetes),
    ):
        list(events)


def test_a_silent_watch_is_broken_by_its_timeout(tmp_path: Path) -> None:
    """A watch that hangs without a byte ends after the silence it was given."""
    server = ScriptedServer(stream(hang=True))
    with (
        server,
        connect(tmp_path, server.url) as cluster,
        cluster.watch(PODS, {}, silence=0.1) as events,
        pytest.raises(errors.Timeout),
    ):
        list(events)


def test_a_blocked_watch_is_closed_from_another_thread(tmp_path: Path) -> None:
    """Closing a stream from another thread ends a read that waits for the next event."""
    server = ScriptedServer(stream({"type": "ADDED", "object": {}}, hang=True))
    with server, connect(tmp_path, server.url) as cluster:
        watch = cluster.watch(PODS, {})
        reading = threading.Event()
        seen: list[object] = []

        def read() -> None:
            for event in watch:
                seen.append(event)
                reading.set()

        thread = threading.Thread(target=read)
        thread.start()
        assert reading.wait(10)
        began = time.monotonic()
        watch.close()
        thread.join(10)
        assert time.monotonic() - began < 1
        assert len(seen) == 1


def drip(handler: Handler) -> None:
    """Answer drop by drop, for longer than anybody waits."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.closing.wait(0.02):
        handler.wfile.write(b" ")


def test_an_answer_that_drips_is_given_up(tmp_path: Path) -> None:
    """An answer that keeps coming without coming to its end does not hold anybody for ever."""
    server = ScriptedServer(drip)
    with (
        server,
        connect(tmp_path, server.url, retries=NO_RETRIES) as cluster,
        pytest.raises(errors.Timeout, match="not complete after"),
    ):
        cluster.get(POD, timeout=0.2)


def test_a_rehearsal_is_tried_again(tmp_path: Path) -> None:
    """A patch that stores nothing may be sent again, like a read."""
    server = ScriptedServer(answer(503, "no"), FOUND)
    with server, connect(tmp_path, server.url) as cluster:
        assert cluster.dry_run().patch(POD, []) == {"kind": "Pod"}
    assert ["dryRun=All" in path for _, path, _, _ in server.requests] == [True, True]


def test_connections_are_used_again(tmp_path: Path) -> None:
    """Requests one after the other share a connection."""
    addresses: list[object] = []

    def note(handler: Handler) -> None:
        addresses.append(handler.client_address)
        FOUND(handler)

    server = ScriptedServer(note)
    with server, connect(tmp_path, server.url) as cluster:
        for _ in range(3):
            get(cluster)
    assert len(set(addresses)) == 1


def test_a_deletion_names_the_object_that_was_read(tmp_path: Path) -> None:
    """A DELETE carries uid and version as preconditions; a dry run stands in its body."""
    server = ScriptedServer(FOUND)
    with server, connect(tmp_path, server.url) as cluster:
        cluster.delete(POD, uid="u", resource_version="7")
        cluster.dry_run().delete(POD, uid="u")
    sent = [(method, path, json.loads(body)) for method, path, _, body in server.requests]
    assert [(method, path) for method, path, _ in sent] == [
        ("DELETE", POD),
        ("DELETE", f"{POD}?dryRun=All"),
    ]
    assert sent[0][2]["preconditions"] == {"uid": "u", "resourceVersion": "7"}
    assert sent[1][2]["preconditions"] == {"uid": "u"}
    assert [body.get("dryRun") for _, _, body in sent] == [None, ["All"]]
