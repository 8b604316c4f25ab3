"""Tell a recorded story again on the embedded cluster, with its controllers, and compare.

The requests that change something are sent as recorded; each waits until the cluster is in the
state in which the real one was when it got that request. What was written in between is then
compared: Deployments as a series of distinct states, ReplicaSets as a series of sizes, events
as a set. Names with hashes become ``<deployment>-<image tag>``; times, uids and versions are
left out.
"""

from __future__ import annotations

import copy
import http.client
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.store import FIRST_VERSION, Object
from embedded.recordings import Recording, Step, load

PREFIX = "deployment.kubernetes.io/"
REVISION = PREFIX + "revision"
COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
RESOURCES = {"Deployment": "deployments.apps", "ReplicaSet": "replicasets.apps", "Event": "events"}

State = tuple[Any, ...]
Sizes = dict[str, int]


@dataclass(frozen=True)
class Story:
    """A recording and the state in which it begins."""

    recording: str
    before: Sequence[str] = ("registry.example/web:1.0",)  # releases made before the first step
    deployment: str = "web"
    spec: Mapping[str, Any] = field(default_factory=dict)  # instead of the recorded spec's fields
    alone: bool = True  # False: the recording is about other Deployments, too
    short: str = ""  # pattern of states that last so short that either side may skip them
    exact_sizes: bool = True  # False: several pods get ready at once, the steps are a race
    start_up: float = 0.25  # seconds
    until: int | None = None  # the number of requests that are told again


@dataclass
class Told:
    """What one side wrote: the series that are compared."""

    states: list[State] = field(default_factory=list)  # of the Deployment
    counts: list[State] = field(default_factory=list)  # of the Deployment, by generation
    sizes: dict[str, list[int]] = field(default_factory=dict)  # by ReplicaSet
    annotations: dict[str, list[Mapping[str, str]]] = field(default_factory=dict)
    events: set[State] = field(default_factory=set)
    points: list[Sizes] = field(default_factory=list)  # the sizes before each request
    statuses: list[int] = field(default_factory=list)  # the answers' codes


class Names:
    """Translates the names of ReplicaSets and pods into ones that both sides share.

    Where no ReplicaSet was watched, a name in a Deployment's condition is the one of the
    release before (`last`) or, once the condition changed, of the Deployment's template.
    """

    def __init__(self, last: str = "") -> None:
        self._known: dict[str, str] = {}
        self._last = last.rpartition(":")[2]

    def learn(self, obj: Object) -> None:
        """Remember a ReplicaSet by its owner and image."""
        if obj.get("kind") == "ReplicaSet":
            owner = obj["metadata"]["name"].rpartition("-")[0]
            self._known[obj["metadata"]["name"]] = f"{owner}-{_tag(obj)}"
        elif obj.get("kind") == "Deployment":
            name, tag = obj["metadata"]["name"], _tag(obj)
            for found in re.findall(
                rf'"({name}-[a-z0-9]{{6,10}})"', json.dumps(obj["status"]).replace("\\", "")
            ):
                self._known.setdefault(found, f"{name}-{self._last or tag}")
            self._last = tag

    def plain(self, text: str) -> str:
        """Replace every known name in a text; what follows a ReplicaSet's name is a pod's."""
        for name, short in self._known.items():
            text = re.sub(rf"{re.escape(name)}-[a-z0-9]{{5}}\b", f"{short}-pod", text)
            text = text.replace(name, short)
        return text


def tell(changes: Sequence[tuple[str, Object]], story: Story, names: Names) -> Told:
    """Turn objects in the order in which they were written into the compared series."""
    deployment = story.deployment
    told = Told()
    for type_, obj in changes:
        kind = obj["kind"]
        if kind == "Deployment" and obj["metadata"]["name"] == deployment:
            _append(told.states, state_of(obj, names, type_))
            _append(told.counts, counts_of(obj))
        elif kind == "ReplicaSet" and type_ != "DELETED" and _is_of(obj, deployment):
            name = names.plain(obj["metadata"]["name"])
            _append(told.sizes.setdefault(name, []), obj["spec"]["replicas"])
            _append(told.annotations.setdefault(name, []), _own_annotations(obj))
        elif kind == "Event" and obj["apiVersion"] == "v1":
            about = names.plain(obj["involvedObject"]["name"])
            if obj["involvedObject"]["kind"] != "Pod" and about.startswith(deployment):
                message = obj["message"].removeprefix("(combined from similar events): ")
                told.events.add((obj["type"], obj["reason"], about, names.plain(message)))
    return told


def _tag(obj: Object) -> str:
    image: str = obj["spec"]["template"]["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2]


def _is_of(replica_set: Object, deployment: str) -> bool:
    return str(replica_set["metadata"]["name"]).startswith(f"{deployment}-")


def _append(series: list[Any], item: Any) -> None:
    if not series or series[-1] != item:
        series.append(item)


def state_of(deployment: Object, names: Names, type_: str = "") -> State:
    """Return what a reader sees of a rollout but for the counts."""
    meta, status = deployment["metadata"], deployment.get("status") or {}
    conditions = sorted(
        (c["type"], c["status"], c["reason"], names.plain(c["message"]))
        for c in status.get("conditions") or []
    )
    return (
        "DELETED" if type_ == "DELETED" else "",
        (meta.get("annotations") or {}).get(REVISION),
        meta["generation"],
        status.get("observedGeneration", 0),
        bool(meta.get("deletionTimestamp")),
        *conditions,
    )


def counts_of(deployment: Object) -> State:
    """Return the generation that was observed and its counts."""
    status = deployment.get("status") or {}
    return (status.get("observedGeneration", 0), *(status.get(field, 0) for field in COUNTS))


def _own_annotations(obj: Object) -> dict[str, str]:
    annotations = obj["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key.startswith(PREFIX)}


class Teller:
    """One story, told on both sides."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._recording: Recording = load(story.recording)
        self._written = _written(self._recording)
        self._times = _times(self._recording)
        self._names = Names(story.before[-1] if story.before else "")
        for kind in ("ReplicaSet", "Deployment"):
            for _, _, obj in self._written:
                if obj["kind"] == kind:
                    self._names.learn(obj)
        self._steps = [s for s in self._recording.steps if self._is_told(s)][: story.until]

    def recorded(self) -> Told:
        """Return what the real control plane wrote."""
        end = self._end()
        kept = [(t, o) for v, t, o in self._written if end is None or v < end]
        told = tell(kept, self._story, self._names)
        told.points = [self._sizes_before(s) for s in self._steps if s.status < 400]
        told.statuses = [step.status for step in self._steps]
        return told

    def ours(self, cluster: EmbeddedCluster) -> Told:
        """Prepare the state, send the requests and return what the cluster wrote."""
        namespace = f"rec-{self._story.recording.partition('-')[0]}"
        self._prepare(cluster, namespace)
        start = cluster.store.version
        points, statuses = [], []
        for step in self._steps:
            if step.status < 400:
                points.append(self._wait_for(cluster, namespace, self._version(step)))
            statuses.append(send(cluster.url, step, self._story.spec))
        self._wait_for(cluster, namespace, self._end())
        told = tell(_changes(cluster, start), self._story, _names(cluster))
        told.points, told.statuses = points, statuses
        return told

    def _prepare(self, cluster: EmbeddedCluster, namespace: str) -> None:
        if not self._story.before:
            cluster.apply(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            )
        first = next(obj for _, _, obj in self._written if self._is_about(obj))
        for image in self._story.before:
            spec = {**copy.deepcopy(first["spec"]), **self._story.spec}
            spec.pop("paused", None)
            spec["template"]["spec"]["containers"][0]["image"] = image
            labels = first["metadata"].get("labels") or {}
            meta = {"name": self._story.deployment, "namespace": namespace, "labels": labels}
            manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}
            cluster.apply({**manifest, "spec": spec})
            cluster.wait_complete(namespace, self._story.deployment)

    def _wait_for(self, cluster: EmbeddedCluster, namespace: str, version: int | None) -> Sizes:
        """Wait until our cluster is where the real one was before that version."""
        before = [(t, o) for v, t, o in self._written if version is None or v < version]
        names = self._names
        wanted: State | None = None
        for type_, obj in before:
            if self._is_about(obj):
                wanted = state_of(obj, names, type_)
                if self._story.exact_sizes and type_ != "DELETED":
                    wanted = (*wanted, counts_of(obj)[1:3])
        sizes = _sizes(before, names, self._story)
        seen: list[Any] = []

        def reached() -> bool:
            seen[:] = [*_seen(cluster, namespace, self._story)]
            if any(seen[1].get(name) != size for name, size in sizes.items()):
                return False
            return wanted is None or seen[0] == (None if wanted[0] == "DELETED" else wanted)

        try:
            cluster.wait_for(reached, timeout=20)
        except TimeoutError:
            raise AssertionError(f"waited for {wanted}, {sizes}\nbut it is {seen}") from None
        return {name: seen[1][name] for name in sizes}

    def _sizes_before(self, step: Step) -> Sizes:
        version = self._version(step)
        before = [(t, o) for v, t, o in self._written if v < version]
        return _sizes(before, self._names, self._story)

    def _end(self) -> int | None:
        left = [s for s in self._recording.steps if self._is_told(s)][len(self._steps) :]
        return self._version(left[0]) if left else None

    def _version(self, step: Step) -> int:
        """Return the version that the request made, or that came next if it made none."""
        answer = step.answer if isinstance(step.answer, dict) else {}
        version = (answer.get("metadata") or {}).get("resourceVersion")
        if version:
            seen = [v for v, at in self._times if at < step.began_ms]
            return max(int(version), max(seen, default=0) + 1)
        return min((v for v, at in self._times if at >= step.began_ms), default=2**63)

    def _is_told(self, step: Step) -> bool:
        if step.method not in ("POST", "PATCH", "PUT", "DELETE") or "dryRun" in step.path:
            return False
        body = step.body if isinstance(step.body, dict) else {}
        name = (body.get("metadata") or {}).get("name") if step.method == "POST" else None
        return self._story.alone or self._story.deployment in (name, *step.path.split("/"))

    def _is_about(self, obj: Object) -> bool:
        who = (obj["kind"], obj["metadata"]["name"])
        return who == ("Deployment", self._story.deployment)


def _names(cluster: EmbeddedCluster) -> Names:
    names = Names()
    for change in cluster.store.changes("replicasets.apps", FIRST_VERSION)[0]:
        names.learn(change.object)
    return names


def _seen(cluster: EmbeddedCluster, namespace: str, story: Story) -> tuple[Any, Sizes]:
    names = _names(cluster)
    sets = cluster.store.list_all("replicasets.apps", namespace)[0]
    found = cluster.store.find("deployments.apps", namespace, story.deployment)
    state = None
    if found is not None:
        counts = (counts_of(found)[1:3],) if story.exact_sizes else ()
        state = (*state_of(found, names), *counts)
    return state, _sizes([("", obj) for obj in sets], names, story)


def _sizes(changes: Sequence[tuple[str, Object]], names: Names, story: Story) -> Sizes:
    sizes = {}
    for type_, obj in changes:
        if obj["kind"] == "ReplicaSet" and _is_of(obj, story.deployment):
            name = names.plain(obj["metadata"]["name"])
            sizes[name] = obj["spec"]["replicas"]
            if type_ == "DELETED":
                del sizes[name]
    return sizes


def _written(recording: Recording) -> list[tuple[int, str, Object]]:
    """Return what the watches of a recording saw, in the order in which it was written."""
    found: dict[tuple[str, int], tuple[int, str, Object]] = {}
    for step in recording.steps:
        for event in step.events or ():
            obj = event["object"]
            if event["type"] in ("ADDED", "MODIFIED", "DELETED") and obj["kind"] != "Pod":
                version = int(obj["metadata"]["resourceVersion"])
                found[(obj["kind"] + obj["apiVersion"], version)] = (version, event["type"], obj)
    return sorted(found.values(), key=lambda item: item[0])


def _times(recording: Recording) -> list[tuple[int, float]]:
    return [
        (int(event["object"]["metadata"]["resourceVersion"]), step.began_ms + event["at_ms"])
        for step in recording.steps
        for event in step.events or ()
    ]


def _changes(cluster: EmbeddedCluster, start: int) -> list[tuple[str, Object]]:
    found = []
    for resource in RESOURCES.values():
        changes, _ = cluster.store.changes(resource, start)
        found += [(change.version, change.type, change.object) for change in changes]
    return [(type_, obj) for _, type_, obj in sorted(found, key=lambda item: item[0])]


def send(url: str, step: Step, spec: Mapping[str, Any] | None = None) -> int:
    """Send a recorded request and return the answer's code; `spec` changes what a POST creates."""
    body = copy.deepcopy(step.body)
    if step.method == "PUT" and isinstance(body, dict):  # these name the recorded object
        for member in ("uid", "resourceVersion"):
            body["metadata"].pop(member, None)
    if step.method == "POST" and isinstance(body, dict) and body.get("kind") == "Deployment":
        body["spec"].update(spec or {})
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(
            step.method,
            step.path,
            body=body if isinstance(body, str) or body is None else json.dumps(body),
            headers=step.headers,
        )
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
