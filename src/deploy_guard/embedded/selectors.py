"""Label and field selectors: parsing, matching and the texts about wrong ones.

Decides whether an object is selected. Grammar: kubernetes/apimachinery/pkg/labels/selector.go
and pkg/fields/selector.go; which fields exist: each resource's strategy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy_guard.embedded.resources import EVENT_GROUP, Resource
from deploy_guard.embedded.statuses import bad_request

Object = dict[str, Any]
Test = Callable[[Object], bool]

TOKEN = re.compile(r"\s*(!=|==|=|!|\(|\)|,|[^\s!=(),]+)")
METADATA_FIELDS = ("metadata.name", "metadata.namespace")
INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "secrets": ("type",),
    "namespaces": ("status.phase",),
    "replicasets.apps": ("status.replicas",),
    "events": (
        *(f"involvedObject.{part}" for part in INVOLVED),
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects a list, watch or deletecollection is about."""

    tests: tuple[Test, ...] = ()
    name: str | None = None  # the only name that fits, where the field selector says one

    def matches(self, obj: Object) -> bool:
        """Tell whether the object is selected."""
        return all(test(obj) for test in self.tests)


def select(resource: Resource, labels: str, fields: str) -> Selection:
    """Parse both selectors of a request. Raises ApiError (400)."""
    tests: list[Test] = []
    if labels:
        tests.append(label_test(labels))
    name = None
    for path, equal, value in _field_terms(fields):
        tests.append(_field_test(resource, path, equal, value))
        if path == "metadata.name" and equal:
            name = value
    return Selection(tuple(tests), name)


def label_test(text: str) -> Test:
    """Parse a label selector. Raises ApiError (400) with Kubernetes' text."""
    requirements = _Parser(text).requirements()

    def matches(obj: Object) -> bool:
        labels = obj.get("metadata", {}).get("labels") or {}
        return all(requirement(labels) for requirement in requirements)

    return matches


def matches_label_selector(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether labels fit a LabelSelector object (matchLabels and matchExpressions)."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for term in selector.get("matchExpressions") or []:
        test = _requirement(term["key"], term["operator"].lower(), set(term.get("values") or []))
        if not test(labels):
            return False
    return True


class _Parser:
    """A label selector's tokens, read from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens = TOKEN.findall(text)
        self._at = 0

    def requirements(self) -> list[Callable[[Mapping[str, str]], bool]]:
        found = [self._one()]
        while self._peek() == ",":
            self._next()
            found.append(self._one())
        if self._peek():
            raise _unparsable(self._peek(), "',' or 'end of string'")
        return found

    def _one(self) -> Callable[[Mapping[str, str]], bool]:
        if self._peek() == "!":
            self._next()
            return _requirement(self._identifier(), "doesnotexist", set())
        key = self._identifier()
        operator = self._peek()
        if operator in ("", ","):
            return _requirement(key, "exists", set())
        self._next()
        if operator in ("=", "=="):
            return _requirement(key, "in", {self._value()})
        if operator == "!=":
            return _requirement(key, "notin", {self._value()})
        if operator in ("in", "notin"):
            return _requirement(key, operator, self._values())
        raise _unparsable(operator, "in, notin, =, ==, !=, gt, lt")

    def _identifier(self) -> str:
        token = self._next()
        if token in ("", "=", "==", "!=", "!", "(", ")", ","):
            raise _unparsable(token, "identifier")
        return token

    def _value(self) -> str:
        return "" if self._peek() in ("", ",") else self._identifier()

    def _values(self) -> set[str]:
        if self._next() != "(":
            raise _unparsable(self._tokens[self._at - 1], "'('")
        values = {self._value()}
        while self._peek() == ",":
            self._next()
            values.add(self._value())
        if self._next() != ")":
            raise _unparsable(self._tokens[self._at - 1], "',', ')' or identifier")
        return values

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token


def _requirement(key: str, operator: str, values: set[str]) -> Callable[[Mapping[str, str]], bool]:
    tests: dict[str, Callable[[Mapping[str, str]], bool]] = {
        "in": lambda labels: labels.get(key) in values,
        "notin": lambda labels: labels.get(key) not in values,
        "exists": lambda labels: key in labels,
        "doesnotexist": lambda labels: key not in labels,
    }
    return tests[operator]


def _unparsable(found: str, expected: str) -> Exception:
    return bad_request(f"unable to parse requirement: found '{found}', expected: {expected}")


def _field_terms(text: str) -> list[tuple[str, bool, str]]:
    terms = []
    for term in filter(None, text.split(",")):
        path, operator, value = _split_term(term)
        if not operator:
            raise bad_request(
                f"invalid field selector: {term}; can't understand '{term}'"
                if not path
                else f"invalid selector: '{text}'; can't understand '{term}'"
            )
        terms.append((path, operator != "!=", value))
    return terms


def _split_term(term: str) -> tuple[str, str, str]:
    for operator in ("!=", "==", "="):
        path, found, value = term.partition(operator)
        if found:
            return path, operator, value
    return term, "", ""


def _field_test(resource: Resource, path: str, equal: bool, value: str) -> Test:
    stored = path
    if resource.group == EVENT_GROUP and path.startswith("regarding."):
        stored = path.replace("regarding.", "involvedObject.", 1)
    known = FIELDS.get(resource.store_name, ())
    if stored not in (*METADATA_FIELDS, *known):
        if known:
            raise bad_request(f"field label not supported: {path}")
        raise bad_request(
            f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'
        )
    return lambda obj: (_field(obj, stored) == value) is equal


def _field(obj: Object, path: str) -> str:
    if path == "source":
        return str((obj.get("source") or {}).get("component", ""))
    at: Any = obj
    for part in path.split("."):
        at = at.get(part) if isinstance(at, dict) else None
    return "" if at is None else str(at).lower() if isinstance(at, bool) else str(at)
