"""Replay a recording against the embedded API server and compare the answers.

What must differ is translated or hidden: uids, resourceVersions, times, generated names. What the
Deployment controller wrote between two recorded requests (status, revision) is written to the store
from the recording, since no controller runs here.
"""

from __future__ import annotations

import copy
import http.client
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from deploy_guard.embedded.access import ADMIN, RoleAuthorizer, service_account
from deploy_guard.embedded.requests import parse_target
from deploy_guard.embedded.resources import RESOURCES
from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.store import Store
from embedded.recordings import Recording, Step, load

Object = dict[str, Any]
STORE_NAMES = {(r.api_version, r.kind): r.store_name for r in reversed(RESOURCES)}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
AGE = re.compile(r"(\d+[smhd])+")
COMPARED_HEADERS = ("content-type", "warning", "retry-after")
ADMIN_TOKEN = "admin-token"
REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True)
class Scenario:
    """How one recording is replayed, and where the server is known to differ."""

    recording: str
    seeds: Callable[[Recording], list[Object]]
    accounts: Mapping[str, str] = field(default_factory=dict)  # recorded sender -> account
    skipped: Mapping[str, str] = field(default_factory=dict)  # step -> why it is not sent
    skipped_if: tuple[Callable[[Step], bool], str] | None = None
    status_only: Mapping[str, str] = field(default_factory=dict)  # step -> why the body differs
    other_headers: Mapping[str, str] = field(default_factory=dict)  # step -> why they differ
    compact_before: tuple[str, ...] = ()  # steps before which history is dropped
    done_before: Mapping[str, Callable[[Store], None]] = field(default_factory=dict)
    current: Mapping[str, str] = field(default_factory=dict)  # step -> version that was current
    bodies: Mapping[str, Any] = field(default_factory=dict)  # bodies that the file shortens

    def reason_to_skip(self, step: Step) -> str | None:
        """Return why a step is not replayed, None if it is."""
        if self.skipped_if is not None and self.skipped_if[0](step):
            return self.skipped_if[1]
        return self.skipped.get(step.label)

    @property
    def namespace(self) -> str:
        """The namespace that the recording used."""
        return f"rec-{self.recording.partition('-')[0]}"


@dataclass
class Outcome:
    """What was answered to one step, both times, ready to be compared."""

    status: int
    headers: dict[str, Any]
    body: Any
    wanted_status: int
    wanted_headers: dict[str, Any]
    wanted_body: Any


class Replay:
    """One run of a scenario against a server of its own."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._recording = load(scenario.recording)
        self._store = Store()
        self._ours: dict[str, str] = {}  # recorded uid, version, name or token -> ours
        self._tokens = {"": ADMIN_TOKEN}
        self._watches: list[tuple[Step, _WatchReader]] = []
        self._outcomes: dict[str, Outcome] = {}
        tokens = {ADMIN_TOKEN: ADMIN}
        for sender, account in scenario.accounts.items():
            self._tokens[sender] = f"token-of-{sender}"
            tokens[f"token-of-{sender}"] = service_account(scenario.namespace, account)
        self._server = ApiServer(
            self._store, bookmark_seconds=60, authorizer=RoleAuthorizer(self._store, tokens)
        )

    def run(self) -> dict[str, Outcome]:
        """Send every step; return the outcomes by the steps' labels."""
        seeds = self._scenario.seeds(self._recording)
        names = {"default", "kube-system"}
        for obj in [_namespace(self._scenario.namespace), *seeds]:
            if obj["kind"] != "Namespace" or obj["metadata"]["name"] not in names:
                self._put(obj)
        with self._server:
            for step in self._recording.steps:
                if step.label in self._scenario.compact_before:
                    self._store.forget_history()
                if self._scenario.reason_to_skip(step) is None:
                    self._catch_up(step)
                    self._set_stage(step)
                    self._send(step)
            for step, watch in self._watches:
                self._outcomes[step.label] = self._watched(step, watch)
        return self._outcomes

    def _send(self, step: Step) -> None:
        if step.events is not None:
            path = re.sub(r"timeoutSeconds=\d+", _shorter, self._translate(step.path))
            watch = _WatchReader(self._server.url, path, self._headers(step))
            self._watches.append((step, watch))
            return
        body = _encode(self._scenario.bodies.get(step.label, step.body))
        connection = _connect(self._server.url)
        connection.request(
            step.method,
            self._translate(step.path),
            body=None if body is None else self._translate(body).encode(),
            headers=self._headers(step),
        )
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        found = json.loads(text) if is_json else text
        if answer.status == step.status:
            self._learn(step.answer, found)
        self._outcomes[step.label] = Outcome(
            answer.status,
            _told(answer.headers),
            hidden(found),
            step.status,
            {name: step.answer_headers.get(name) for name in COMPARED_HEADERS},
            self._wanted(step.answer),
        )

    def _watched(self, step: Step, watch: _WatchReader) -> Outcome:
        assert step.events is not None
        events = watch.events(len(step.events), closed_by_server=step.ended_by == "server")
        wanted = [{"type": e["type"], "object": e["object"]} for e in step.events]
        for theirs, ours in zip(wanted, events, strict=False):
            self._learn(theirs["object"], ours["object"])
        return Outcome(watch.status, {}, hidden(events), step.status, {}, self._wanted(wanted))

    def _headers(self, step: Step) -> dict[str, str]:
        token = self._tokens.get(step.sender)
        headers = {name: value for name, value in step.headers.items() if value}
        if step.sender == "anonymous":
            return headers
        return {**headers, "Authorization": f"Bearer {token or 'not-valid'}"}

    def _put(self, obj: Object) -> None:
        """Put a recorded object into the store, with the recorded uid and generation."""
        obj = copy.deepcopy(obj)
        version = obj["metadata"].pop("resourceVersion", "")
        stored = self._store.create(STORE_NAMES[obj["apiVersion"], obj["kind"]], obj)
        self._ours[version] = stored["metadata"]["resourceVersion"]

    def _catch_up(self, step: Step) -> None:
        """Write what controllers had written by the time of this step."""
        body = step.answer
        if not isinstance(body, dict) or step.status not in (200, 201) or step.method == "POST":
            return
        kind = str(body.get("kind", ""))
        if kind == "Deployment" and step.events is None:
            self._adopt(body)

    def _set_stage(self, step: Step) -> None:
        """Do what the table says happened just before this step."""
        if step.label in self._scenario.done_before:
            self._scenario.done_before[step.label](self._store)
        if step.label in self._scenario.current:
            target = parse_target(step.path)
            assert target is not None
            store_name = f"{target.plural}.{target.group}".rstrip(".")
            current = self._store.get(store_name, target.namespace, target.name)
            self._ours[self._scenario.current[step.label]] = current["metadata"]["resourceVersion"]

    def _adopt(self, theirs: Object) -> None:
        """Write the status and the revision that the Deployment controller had written."""
        theirs = json.loads(self._translate(json.dumps(theirs)))
        metadata = theirs["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        if self._store.find("deployments.apps", namespace, name) is None:
            return

        def change(obj: Object) -> None:
            obj["status"] = theirs.get("status", {})
            if REVISION in metadata.get("annotations", {}):
                annotations = obj["metadata"].setdefault("annotations", {})
                annotations[REVISION] = metadata["annotations"][REVISION]

        self._store.update("deployments.apps", namespace, name, change, status=True)

    def _learn(self, theirs: Any, ours: Any) -> None:
        """Remember which of our uids, versions and names stand for the recorded ones."""
        if isinstance(theirs, dict) and isinstance(ours, dict):
            learned = ["uid", "resourceVersion", "continue", "token"]
            learned += ["name"] if "generateName" in theirs else []
            for key in learned:
                if isinstance(theirs.get(key), str) and isinstance(ours.get(key), str):
                    self._ours[theirs[key]] = ours[key]
            for key in theirs.keys() & ours.keys():
                self._learn(theirs[key], ours[key])
        elif isinstance(theirs, list) and isinstance(ours, list):
            for left, right in zip(theirs, ours, strict=False):
                self._learn(left, right)

    def _translate(self, text: str) -> str:
        for theirs in sorted(self._ours, key=len, reverse=True):
            ours = self._ours[theirs]
            if theirs and theirs != ours:
                text = re.sub(rf"(?<![\w-]){re.escape(theirs)}(?![\w-])", ours, text)
        return text

    def _wanted(self, body: Any) -> Any:
        wanted = json.loads(self._translate(json.dumps(body)))
        if isinstance(wanted, dict) and self._renamed(body):
            wanted["items"].sort(key=lambda item: str(item["metadata"]["name"]))
        return hidden(wanted)

    def _renamed(self, body: Any) -> bool:
        """Tell whether a list holds objects whose generated names are others here."""
        items = body.get("items", []) if isinstance(body, dict) else []
        return any("generateName" in item.get("metadata", {}) for item in items)


def hidden(value: Any, key: str = "") -> Any:
    """Replace what differs from run to run by its kind."""
    if isinstance(value, dict):
        return {k: hidden(v, k) for k, v in value.items() if k != "managedFields"}
    if isinstance(value, list):
        shown = [hidden(item, key) for item in value]
        # Kubernetes repeats some causes; we say each one once
        return _unique(shown) if key == "causes" else shown
    if not isinstance(value, str):
        return value
    if key in ("resourceVersion", "continue", "token", "description"):
        return f"<{key}>"
    # the object that some messages quote has managedFields, which the embedded server leaves out
    value = re.sub(r'Invalid value: "\{.*\}"', 'Invalid value: "<object>"', value)
    if key == "cells" and AGE.fullmatch(value):
        return "<age>"
    value = TIME.sub("<time>", value)
    value = re.sub(r"(resource version: \d+) \(\d+\)", r"\1 (<n>)", value)
    value = re.sub(r"current: \d+", "current: <n>", value)
    return re.sub(r"in record \(\d+\)", "in record (<version>)", value)


def _told(headers: Message) -> dict[str, Any]:
    """Return the headers of an answer that are compared; one that came twice as a list."""
    found = {name: headers.get_all(name) for name in COMPARED_HEADERS}
    return {
        name: values[0] if values and len(values) == 1 else values for name, values in found.items()
    }


def _unique(items: list[Any]) -> list[Any]:
    return [item for i, item in enumerate(items) if item not in items[:i]]


def _shorter(match: re.Match[str]) -> str:
    # the longest stream stays as it is: requests follow while it is open, and then a bookmark
    return match.group() if match.group() == "timeoutSeconds=6" else "timeoutSeconds=1"


def _encode(body: Any) -> str | None:
    if body is None or isinstance(body, str):
        return body
    return json.dumps(body)


def _namespace(name: str) -> Object:
    return {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)


class _WatchReader:
    """Reads a watch stream in a thread of its own."""

    def __init__(self, url: str, path: str, headers: dict[str, str]) -> None:
        self._connection = _connect(url)
        self._connection.request("GET", path, headers=headers)
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self._events: list[Object] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def events(self, count: int, *, closed_by_server: bool) -> list[Object]:
        """Return the events: of the whole stream, or when there are `count` of them."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ended or (not closed_by_server and len(self._events) >= count), 20
            )
        if self._connection.sock is not None:
            self._connection.sock.shutdown(2)
        self._thread.join()
        self._answer.close()
        self._connection.close()
        return self._events

    def _read(self) -> None:
        try:
            while line := self._answer.readline():
                with self._changed:
                    self._events.append(json.loads(line))
                    self._changed.notify_all()
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the reader closed the stream
        with self._changed:
            self._ended = True
            self._changed.notify_all()
