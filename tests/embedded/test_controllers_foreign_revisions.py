"""A client's ControllerRevision with a StatefulSet's labels, as in the recording 13-snapshots."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from deploy_guard.embedded.cluster import EmbeddedCluster
from embedded.recordings import Step, load
from embedded.set_stories import Plain

RECORDING = load("13-snapshots")
NAMESPACE = "rec-13"
FIRST = 62  # the step in which the foreign revision is made


def send(url: str, step: Step) -> tuple[int, Any]:
    """Send a recorded request, a text byte for byte; return the answer's code and body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        body = step.body if isinstance(step.body, str | None) else json.dumps(step.body)
        connection.request(step.method, step.path, body=body, headers=step.headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def answer_of(cluster: EmbeddedCluster, step: Step) -> tuple[int, Any]:
    """Send a request and return its answer without what differs by nature."""
    code, body = send(cluster.url, step)
    return code, _plain(cluster, body)


def _plain(cluster: EmbeddedCluster, body: Any) -> Any:
    names = cluster.store.changes("controllerrevisions.apps", 1000)[0]
    return Plain([c.object for c in names]).object(body)


def recorded(step: Step) -> tuple[int, Any]:
    """Return the recorded answer in the same form."""
    items = [item for s in RECORDING.steps[FIRST:] for item in (s.answer.get("items") or [])]
    return step.status, Plain(items).object(step.answer)


def test_a_foreign_revision_stops_or_bends_the_stateful_set() -> None:
    """With blanks in its data it stops the set; compact, it is adopted and taken for the update."""
    with EmbeddedCluster(start_up=0.05, service=False) as cluster:
        meta = {"name": NAMESPACE}
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        for step in RECORDING.steps[FIRST:]:
            if step.method == "GET":
                wait_for_answer(cluster, step)
            else:
                assert answer_of(cluster, step) == recorded(step), step.label
            if step.method == "DELETE":  # the set goes on by itself, 5 s later in the recording
                cluster.wait_complete(NAMESPACE, "db", kind="StatefulSet")


def wait_for_answer(cluster: EmbeddedCluster, step: Step) -> None:
    """Wait until the cluster answers as recorded."""
    wanted = recorded(step)
    try:
        cluster.wait_for(lambda: answer_of(cluster, step) == wanted, timeout=10)
    except TimeoutError:
        assert answer_of(cluster, step) == wanted, step.label
