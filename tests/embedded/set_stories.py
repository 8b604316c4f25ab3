"""Tell the recorded stories of StatefulSets and DaemonSets again on the embedded cluster.

Every recorded request is sent when our workload is in the state in which the real one was. What
is compared: the answers, and what was written in between: the workload as a series of states,
its ControllerRevisions and the pods as series of objects. Hashes become the image's tag; uids,
versions, times and random names are left out.
"""

from __future__ import annotations

import copy
import http.client
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.store import FIRST_VERSION, Object
from embedded.recordings import Recording, Step, load

VOLATILE = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
RESOURCES = {
    "StatefulSet": "statefulsets.apps",
    "DaemonSet": "daemonsets.apps",
    "ControllerRevision": "controllerrevisions.apps",
    "Pod": "pods",
}
Change = tuple[int, str, Object]  # version, type of the event, object


@dataclass(frozen=True)
class SetStory:
    """A recording and the state in which it begins."""

    recording: str
    kind: str
    name: str
    before: Sequence[str] = ()  # images of the releases made before the first step


@dataclass
class Told:
    """What one side wrote and answered."""

    states: list[Any] = field(default_factory=list)  # of the workload, without loops
    revisions: list[Any] = field(default_factory=list)
    pods: list[Any] = field(default_factory=list)  # as they were made
    answers: list[Any] = field(default_factory=list)


class Plain:
    """Brings objects of one side into a form that both share."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self._tags: dict[str, str] = {}
        for obj in objects:
            template = ((obj.get("data") or {}).get("spec") or {}).get("template")
            if template:
                image = template["spec"]["containers"][0]["image"]
                tag = image.rpartition(":")[2]
                self._tags[obj["metadata"]["name"].rpartition("-")[2]] = f"<{tag}>"

    def object(self, obj: Any) -> Any:
        """Return a copy without what differs by nature; lists of objects in order of their names.

        A pod has no status here: the stand-in of the recordings is no kubelet.
        """
        plain = _stripped(copy.deepcopy(obj))
        text = json.dumps(plain)
        for hashed, tag in self._tags.items():
            text = text.replace(hashed, tag)
        text = re.sub(r"kube-api-access-[a-z0-9]{5}", "token", text)
        text = re.sub(r'"agent-[a-z0-9]{5}"', '"agent-random"', text)
        result = json.loads(text)
        if "items" in result:
            result["items"].sort(key=lambda item: item["metadata"]["name"])
        return result


def tell(changes: Sequence[Change], story: SetStory, plain: Plain) -> Told:
    """Turn objects in the order in which they were written into the compared series."""
    told = Told()
    for _, type_, obj in changes:
        if type_ == "DELETED":
            continue
        if obj["kind"] == story.kind and not _is_short(obj):
            _add_without_loop(told.states, plain.object(obj))
        elif obj["kind"] == "ControllerRevision":
            told.revisions.append(plain.object(obj))
        elif obj["kind"] == "Pod" and type_ == "ADDED":
            made = plain.object(obj)
            if made not in told.pods[-1:]:
                told.pods.append(made)
    return told


class SetTeller:
    """One story, told on both sides."""

    def __init__(self, story: SetStory) -> None:
        self._story = story
        self._recording: Recording = load(story.recording)
        self._written = _written(self._recording)
        self._plain = Plain(_all_objects(self._recording))
        self._steps = [step for step in self._recording.steps if step.events is None]

    def recorded(self) -> Told:
        """Return what the real control plane wrote and answered."""
        told = tell(self._written, self._story, self._plain)
        told.answers = [
            (step.label, step.status, self._plain.object(step.answer)) for step in self._steps
        ]
        return told

    def ours(self, cluster: EmbeddedCluster) -> Told:
        """Prepare the state, send the requests and return what the cluster wrote and answered."""
        namespace = f"rec-{self._story.recording.partition('-')[0]}"
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self._prepare(cluster, namespace)
        start = cluster.store.version
        answers = []
        for step in self._steps:
            self._wait_for(cluster, namespace, self._version(step))
            answers.append((step.label, *send(cluster.url, step)))
        self._wait_for(cluster, namespace, 2**63)
        plain = _ours(cluster)
        told = tell(_changes(cluster, start), self._story, plain)
        told.answers = [(label, code, plain.object(answer)) for label, code, answer in answers]
        return told

    def _prepare(self, cluster: EmbeddedCluster, namespace: str) -> None:
        story = self._story
        first = next(obj for _, _, obj in self._written if obj["kind"] == story.kind)
        for image in story.before:
            spec = copy.deepcopy(first["spec"])
            spec["template"]["spec"]["containers"][0]["image"] = image
            meta = {"name": story.name, "namespace": namespace}
            meta["labels"] = first["metadata"]["labels"]
            manifest = {"apiVersion": "apps/v1", "kind": story.kind, "metadata": meta}
            cluster.apply({**manifest, "spec": spec})
            cluster.wait_complete(namespace, story.name, kind=story.kind)

    def _wait_for(self, cluster: EmbeddedCluster, namespace: str, version: int) -> None:
        """Wait until our workload is as the real one was before that version."""
        story = self._story
        before = [o for v, _, o in self._written if v < version and o["kind"] == story.kind]
        if not before:
            return
        wanted = self._plain.object(before[-1])
        seen: list[Any] = []

        def reached() -> bool:
            found = cluster.store.get(RESOURCES[story.kind], namespace, story.name)
            seen[:] = [_ours(cluster).object(found)]
            return bool(seen[0] == wanted)

        try:
            cluster.wait_for(reached, timeout=20)
        except TimeoutError:
            assert seen[0] == wanted

    def _version(self, step: Step) -> int:
        """Return the version that the request made, or that came next if it made none."""
        version = (step.answer.get("metadata") or {}).get("resourceVersion") or 0
        seen = [
            int(event["object"]["metadata"]["resourceVersion"])
            for watch in self._recording.steps
            for event in watch.events or ()
            if watch.began_ms + event["at_ms"] < step.began_ms
        ]
        return max(int(version), max(seen, default=0) + 1)


def send(url: str, step: Step) -> tuple[int, Any]:
    """Send a recorded request; return the answer's code and body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        body = None if step.body is None else json.dumps(step.body)
        connection.request(step.method, step.path, body=body, headers=step.headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def _stripped(value: Any) -> Any:
    """Drop what differs by nature, and the volume that came from the recording's machine."""
    if isinstance(value, list):
        return [_stripped(item) for item in value if not _is_foreign(item)]
    if not isinstance(value, dict):
        return value
    if "containers" in (value.get("spec") or {}):
        value = {key: item for key, item in value.items() if key != "status"}
    return {key: _stripped(item) for key, item in value.items() if key not in VOLATILE}


def _is_foreign(value: Any) -> bool:
    source = value.get("configMap") if isinstance(value, dict) else None
    return isinstance(source, dict) and source.get("name") == "openshift-service-ca.crt"


def _is_short(obj: Object) -> bool:
    """Tell whether a DaemonSet has no pod between two of them: milliseconds, either may skip it."""
    status = obj["status"]
    return bool(
        status.get("observedGeneration", 0) > 1 and status.get("currentNumberScheduled") == 0
    )


def _add_without_loop(states: list[Any], state: Any) -> None:
    """Append a state; coming back to one that was there cuts what lay between.

    In the recordings a pod that was just made is deleted again, a few times over: the controller
    read an old state, and pods of the stand-in end at once. Ours reads no old states.
    """
    if state in states:
        del states[states.index(state) :]
    states.append(state)


def _all_objects(recording: Recording) -> Iterator[Object]:
    for step in recording.steps:
        for event in step.events or ():
            yield event["object"]
        if isinstance(step.answer, dict):
            yield step.answer
            yield from step.answer.get("items") or []


def _written(recording: Recording) -> list[Change]:
    """Return what the watches of a recording saw, in the order in which it was written."""
    found = [
        (int(event["object"]["metadata"]["resourceVersion"]), event["type"], event["object"])
        for step in recording.steps
        for event in step.events or ()
    ]
    return sorted(found, key=lambda item: item[0])


def _changes(cluster: EmbeddedCluster, start: int) -> list[Change]:
    found = [
        (change.version, change.type, change.object)
        for resource in RESOURCES.values()
        for change in cluster.store.changes(resource, start)[0]
    ]
    return sorted(found, key=lambda item: item[0])


def _ours(cluster: EmbeddedCluster) -> Plain:
    changes, _ = cluster.store.changes(RESOURCES["ControllerRevision"], FIRST_VERSION)
    return Plain([change.object for change in changes])
