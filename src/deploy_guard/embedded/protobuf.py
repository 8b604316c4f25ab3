"""Read the request bodies that newer kubectl versions send as protobuf.

Decides how such a body reads as JSON. Only what `kubectl create` and `kubectl auth` send is
known; any other field is an error, never dropped. Answers are always JSON. Field numbers:
kubernetes/api, ``generated.proto`` of each group.

Notation of a field: ``s`` text, ``i`` integer, ``b`` boolean, ``y`` bytes (base64 in JSON), ``t``
time, ``[x`` list of x, ``{x`` map to x, else the name of a message.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
Fields = dict[int, str]  # field number -> "name notation"

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
OMITTED_IF_ZERO = ("generation", "hostPort", "minReadySeconds")
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

MESSAGES: dict[str, Fields] = {
    "ConfigMap": {1: "metadata Meta", 2: "data {s", 3: "binaryData {y", 4: "immutable b"},
    "Container": {
        1: "name s",
        2: "image s",
        3: "command [s",
        4: "args [s",
        5: "workingDir s",
        6: "ports [Port",
        7: "env [Env",
        8: "resources Resources",
        13: "terminationMessagePath s",
        14: "imagePullPolicy s",
        16: "stdin b",
        17: "stdinOnce b",
        18: "tty b",
        20: "terminationMessagePolicy s",
    },
    "DeleteOptions": {
        1: "gracePeriodSeconds i",
        2: "preconditions Preconditions",
        3: "orphanDependents b",
        4: "propagationPolicy s",
        5: "dryRun [s",
    },
    "Deployment": {1: "metadata Meta", 2: "spec DeploymentSpec", 3: "status Nothing"},
    "DeploymentSpec": {
        1: "replicas i",
        2: "selector Selector",
        3: "template Template",
        4: "strategy Strategy",
        5: "minReadySeconds i",
        6: "revisionHistoryLimit i",
        7: "paused b",
        9: "progressDeadlineSeconds i",
    },
    "Env": {1: "name s", 2: "value s"},
    "Finalizers": {1: "finalizers [s"},
    "Hard": {1: "hard {Quantity", 2: "scopes [s"},
    "Meta": {
        1: "name s",
        2: "generateName s",
        3: "namespace s",
        4: "selfLink s",
        5: "uid s",
        6: "resourceVersion s",
        7: "generation i",
        8: "creationTimestamp t",
        9: "deletionTimestamp t",
        10: "deletionGracePeriodSeconds i",
        11: "labels {s",
        12: "annotations {s",
        14: "finalizers [s",
    },
    "Named": {1: "name s"},
    "Namespace": {1: "metadata Meta", 2: "spec Finalizers", 3: "status Nothing"},
    "Nothing": {},
    "PathAttributes": {1: "path s", 2: "verb s"},
    "PodSpec": {
        2: "containers [Container",
        3: "restartPolicy s",
        4: "terminationGracePeriodSeconds i",
        6: "dnsPolicy s",
        8: "serviceAccountName s",
        9: "serviceAccount s",
        10: "nodeName s",
        11: "hostNetwork b",
        12: "hostPID b",
        13: "hostIPC b",
        16: "hostname s",
        17: "subdomain s",
        19: "schedulerName s",
        24: "priorityClassName s",
    },
    "Port": {1: "name s", 2: "hostPort i", 3: "containerPort i", 4: "protocol s", 5: "hostIP s"},
    "Preconditions": {1: "uid s", 2: "resourceVersion s"},
    "Quantity": {1: "string s"},
    "ResourceAttributes": {
        1: "namespace s",
        2: "verb s",
        3: "group s",
        4: "version s",
        5: "resource s",
        6: "subresource s",
        7: "name s",
    },
    "ResourceQuota": {1: "metadata Meta", 2: "spec Hard", 3: "status Nothing"},
    "Resources": {1: "limits {Quantity", 2: "requests {Quantity"},
    "Role": {1: "metadata Meta", 2: "rules [Rule"},
    "RoleBinding": {1: "metadata Meta", 2: "subjects [Subject", 3: "roleRef RoleRef"},
    "RoleRef": {1: "apiGroup s", 2: "kind s", 3: "name s"},
    "Rule": {
        1: "verbs [s",
        2: "apiGroups [s",
        3: "resources [s",
        4: "resourceNames [s",
        5: "nonResourceURLs [s",
    },
    "Secret": {
        1: "metadata Meta",
        2: "data {y",
        3: "type s",
        4: "stringData {s",
        5: "immutable b",
    },
    "Selector": {1: "matchLabels {s", 2: "matchExpressions [Term"},
    "SelfSubjectAccessReview": {1: "metadata Meta", 2: "spec Asked", 3: "status Nothing"},
    "Asked": {
        1: "resourceAttributes ResourceAttributes",
        2: "nonResourceAttributes PathAttributes",
    },
    "SelfSubjectReview": {1: "metadata Meta", 2: "status Nothing"},
    "SelfSubjectRulesReview": {1: "metadata Meta", 2: "spec WhereAsked", 3: "status Nothing"},
    "WhereAsked": {1: "namespace s"},
    "ServiceAccount": {1: "metadata Meta", 2: "secrets [Nothing", 3: "imagePullSecrets [Named"},
    "Strategy": {1: "type s"},
    "Subject": {1: "kind s", 2: "apiGroup s", 3: "name s", 4: "namespace s"},
    "Template": {1: "metadata Meta", 2: "spec PodSpec"},
    "Term": {1: "key s", 2: "operator s", 3: "values [s"},
    "TokenRequest": {1: "metadata Meta", 2: "spec TokenSpec", 3: "status Nothing"},
    "TokenSpec": {1: "audiences [s", 4: "expirationSeconds i"},
}


class UnreadableError(Exception):
    """A protobuf body that is broken, or holds a field that is not in the table."""


def read_protobuf(body: bytes) -> Object:
    """Return the object in a body of Kubernetes' protobuf form. Raises UnreadableError."""
    if not body.startswith(MAGIC):
        raise UnreadableError("the protobuf body does not begin with k8s")
    envelope = _members(body[len(MAGIC) :])
    about = _members(envelope.get(1, b""))
    version, kind = about.get(1, b"").decode(), about.get(2, b"").decode()
    if kind not in MESSAGES:
        raise UnreadableError(f"{kind} cannot be read as protobuf here, only as JSON or YAML")
    found = _message(envelope.get(2, b""), kind)
    return {"kind": kind, "apiVersion": version, **found}


def _message(data: bytes, name: str) -> Object:
    result: Object = {}
    if name == "Nothing":
        return result
    for number, raw in _fields(data):
        if number not in MESSAGES[name]:
            text = f"{name} has a field ({number}) that cannot be read as protobuf here"
            raise UnreadableError(f"{text}, only as JSON or YAML")
        field, notation = MESSAGES[name][number].split()
        if notation[0] == "[":
            result.setdefault(field, []).append(_value(raw, notation[1:]))
        elif notation[0] == "{" and isinstance(raw, bytes):
            entry = _members(raw)
            key = entry.get(1, b"").decode()
            result.setdefault(field, {})[key] = _value(entry.get(2, b""), notation[1:])
        else:
            value = _value(raw, notation)
            is_zero = value == 0 and field in OMITTED_IF_ZERO
            if value not in ("", None) and not is_zero:  # Go writes empty text and zeros as well
                result[field] = value
    return result


def _members(data: bytes) -> dict[int, bytes]:
    return {number: raw for number, raw in _fields(data) if isinstance(raw, bytes)}


def _value(raw: int | bytes, notation: str) -> Any:
    if isinstance(raw, int):
        signed = raw - (1 << 64) if raw >> 63 else raw
        return bool(raw) if notation == "b" else signed
    if notation == "s":
        return raw.decode()
    if notation == "y":
        return base64.b64encode(raw).decode()
    if notation == "t":
        return None  # the server sets all times of an object that it reads this way
    if notation == "Quantity":
        return _message(raw, notation).get("string", "0")
    return _message(raw, notation)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == BYTES:
            size, at = _varint(data, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise UnreadableError("the protobuf body is broken")
        if at + size > len(data):
            raise UnreadableError("the protobuf body is cut off")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return value, at
    raise UnreadableError("the protobuf body is cut off")
