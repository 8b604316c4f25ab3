"""What the API server refuses about an object: the common mistakes, in Kubernetes' words.

Decides the causes of a 422 (kubernetes/pkg/apis/{apps,core,coordination}/validation). It covers
the fields that the embedded cluster acts on, not every field of every type.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from deploy_guard.embedded.resources import Resource
from deploy_guard.embedded.selectors import matches_label_selector
from deploy_guard.embedded.statuses import (
    Cause,
    bad_value,
    forbidden_field,
    required,
    too_long,
    unsupported,
)

Object = dict[str, Any]

ANNOTATION_BYTES = 256 * 1024
DATA_BYTES = 1024 * 1024
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
PERCENT = re.compile(r"[0-9]+%")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")

SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    r"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',"
    "  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
SELECTOR_TEXT = "`selector` does not match template `labels`"
IMMUTABLE = "field is immutable"


def validate(resource: Resource, obj: Object, before: Object | None) -> list[Cause]:
    """Return every cause why the object must be refused; `before` is what an update replaces."""
    causes = _metadata(obj["metadata"], before)
    check = CHECKS.get(resource.qualified)
    if check is not None:
        causes += check(obj, before)
    return causes


def _metadata(metadata: Object, before: Object | None) -> list[Cause]:
    causes = []
    if before is None and metadata.get("name") and not SUBDOMAIN.fullmatch(metadata["name"]):
        causes.append(bad_value("metadata.name", metadata["name"], SUBDOMAIN_TEXT))
    causes += _labels("metadata.labels", metadata.get("labels") or {})
    annotations = metadata.get("annotations") or {}
    causes += [
        bad_value("metadata.annotations", key, QUALIFIED_TEXT)
        for key in annotations
        if not QUALIFIED.fullmatch(key.rpartition("/")[2])
    ]
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATION_BYTES:
        causes.append(too_long("metadata.annotations", ANNOTATION_BYTES))
    if before is not None and metadata.get("uid") not in (None, "", before["metadata"]["uid"]):
        causes.append(bad_value("metadata.uid", metadata["uid"], IMMUTABLE))
    return causes


def _labels(field: str, labels: Object) -> list[Cause]:
    causes = [
        bad_value(field, key, QUALIFIED_TEXT)
        for key in labels
        if not QUALIFIED.fullmatch(key.rpartition("/")[2])
    ]
    return causes + [
        bad_value(field, value, LABEL_VALUE_TEXT)
        for value in labels.values()
        if not LABEL_VALUE.fullmatch(value)
    ]


def _not_negative(obj: Object, path: str) -> list[Cause]:
    at: Any = obj
    for part in path.split("."):
        at = at.get(part) if isinstance(at, dict) else None
    if isinstance(at, int) and at < 0:
        return [bad_value(path, at, "must be greater than or equal to 0")]
    return []


def _selector(obj: Object, before: Object | None) -> list[Cause]:
    spec = obj["spec"]
    selector = spec.get("selector") or {}
    labels = spec["template"]["metadata"].get("labels") or {}
    causes = [] if selector else [required("spec.selector")]
    if not selector or not matches_label_selector(selector, labels):
        causes.append(bad_value("spec.template.metadata.labels", labels, SELECTOR_TEXT))
    if before is not None and selector != before["spec"].get("selector"):
        causes.append(bad_value("spec.selector", selector, IMMUTABLE))
    return causes


def _workload(obj: Object, before: Object | None) -> list[Cause]:
    causes = _not_negative(obj, "spec.replicas")
    causes += _not_negative(obj, "spec.minReadySeconds")
    causes += _not_negative(obj, "spec.revisionHistoryLimit")
    causes += _selector(obj, before)
    template = obj["spec"]["template"]
    causes += _labels("spec.template.labels", template["metadata"].get("labels") or {})
    return causes + _pod_spec(template["spec"], "spec.template.spec")


def _deployment(obj: Object, before: Object | None) -> list[Cause]:
    causes = _workload(obj, before) + _strategy(obj["spec"]["strategy"])
    spec = obj["spec"]
    deadline, ready = spec["progressDeadlineSeconds"], spec.get("minReadySeconds", 0)
    causes += _not_negative(obj, "spec.progressDeadlineSeconds")
    if deadline <= ready:
        text = "must be greater than minReadySeconds"
        causes.append(bad_value("spec.progressDeadlineSeconds", deadline, text))
    return causes


def _strategy(strategy: Object) -> list[Cause]:
    if strategy["type"] == "Recreate":
        if strategy.get("rollingUpdate") is None:
            return []
        text = "may not be specified when strategy `type` is 'Recreate'"
        return [forbidden_field("spec.strategy.rollingUpdate", text)]
    if strategy["type"] != "RollingUpdate":
        return [unsupported("spec.strategy.type", strategy["type"], ("Recreate", "RollingUpdate"))]
    causes = []
    rolling = strategy["rollingUpdate"]
    for field in ("maxUnavailable", "maxSurge"):
        path, value = f"spec.strategy.rollingUpdate.{field}", rolling[field]
        if isinstance(value, str) and not PERCENT.fullmatch(value):
            text = "a valid percent string must be a numeric string followed by an ending '%'"
            shown = f"{text} (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            causes.append(bad_value(path, value, shown))
        elif isinstance(value, int) and value < 0:
            causes.append(bad_value(path, value, "must be greater than or equal to 0"))
    if all(rolling[field] in (0, "0%") for field in ("maxUnavailable", "maxSurge")):
        path = "spec.strategy.rollingUpdate.maxUnavailable"
        shown = rolling["maxUnavailable"]
        causes.append(bad_value(path, shown, "may not be 0 when `maxSurge` is 0"))
    return causes


def _pod_spec(spec: Object, path: str) -> list[Cause]:
    causes = []
    if not spec.get("containers"):
        causes.append(required(f"{path}.containers"))
    for field in ("initContainers", "containers"):
        names: set[str] = set()
        for i, container in enumerate(spec.get(field) or []):
            at = f"{path}.{field}[{i}]"
            causes += _container(container, at)
            if container.get("name") in names:
                shown = f'Duplicate value: "{container["name"]}"'
                causes.append(Cause(f"{at}.name", "FieldValueDuplicate", shown))
            names.add(container.get("name", ""))
    return causes


def _container(container: Object, path: str) -> list[Cause]:
    causes = []
    if not container.get("name"):
        causes.append(required(f"{path}.name"))
    if not container.get("image"):
        causes.append(required(f"{path}.image"))
    policy = container.get("imagePullPolicy")
    if policy not in PULL_POLICIES:
        causes.append(unsupported(f"{path}.imagePullPolicy", policy, PULL_POLICIES))
    for i, port in enumerate(container.get("ports") or []):
        number = port.get("containerPort")
        if not isinstance(number, int):
            causes.append(required(f"{path}.ports[{i}].containerPort"))
        elif not 0 < number < 65536:
            text = "must be between 1 and 65535, inclusive"
            causes.append(bad_value(f"{path}.ports[{i}].containerPort", number, text))
    return causes


def _pod(obj: Object, before: Object | None) -> list[Cause]:
    return _pod_spec(obj["spec"], "spec") if before is None else []


def _config_map(obj: Object, before: Object | None) -> list[Cause]:
    return _size(obj) + _frozen(obj, before)


def _secret(obj: Object, before: Object | None) -> list[Cause]:
    causes = _frozen(obj, before)
    if before is not None and obj.get("type") != before.get("type"):
        causes.append(bad_value("type", obj.get("type"), IMMUTABLE))
    return causes


def _size(obj: Object) -> list[Cause]:
    parts = [*(obj.get("data") or {}).values(), *(obj.get("binaryData") or {}).values()]
    if sum(len(str(part).encode()) for part in parts) > DATA_BYTES:
        return [too_long("[]", DATA_BYTES)]
    return []


def _frozen(obj: Object, before: Object | None) -> list[Cause]:
    if before is None or not before.get("immutable"):
        return []
    text = "field is immutable when `immutable` is set"
    causes = [] if obj.get("immutable") else [forbidden_field("immutable", text)]
    for field in ("data", "binaryData"):
        if obj.get(field) != before.get(field):
            causes.append(forbidden_field(field, text))
    return causes


def _lease(obj: Object, _: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = []
    duration = spec.get("leaseDurationSeconds")
    if isinstance(duration, int) and duration <= 0:
        text = "must be greater than 0"
        causes.append(bad_value("spec.leaseDurationSeconds", duration, text))
    transitions = spec.get("leaseTransitions")
    if isinstance(transitions, int) and transitions < 0:
        text = "must be greater than or equal to 0"
        causes.append(bad_value("spec.leaseTransitions", transitions, text))
    return causes


def _revision(obj: Object, before: Object | None) -> list[Cause]:
    causes, data = [], obj.get("data")
    if data is None:
        causes.append(required("data", "data is mandatory"))
    elif not isinstance(data, dict):
        causes.append(required("data", "data must be a valid JSON object"))
    if before is not None and data != before.get("data"):
        causes.append(bad_value("data", data, IMMUTABLE))
    return causes + _not_negative(obj, "revision")


def _role(obj: Object, _: Object | None) -> list[Cause]:
    causes = []
    for i, rule in enumerate(obj.get("rules") or []):
        at = f"rules[{i}]"
        if not rule.get("verbs"):
            causes.append(required(f"{at}.verbs", "verbs must contain at least one value"))
        if not rule.get("apiGroups"):
            text = "resource rules must supply at least one api group"
            causes.append(required(f"{at}.apiGroups", text))
        if not rule.get("resources"):
            text = "resource rules must supply at least one resource"
            causes.append(required(f"{at}.resources", text))
    return causes


def _role_binding(obj: Object, before: Object | None) -> list[Cause]:
    reference = obj.get("roleRef") or {}
    causes = []
    if reference.get("kind") not in ("Role", "ClusterRole"):
        kinds = ("ClusterRole", "Role")
        causes.append(unsupported("roleRef.kind", reference.get("kind", ""), kinds))
    if not reference.get("name"):
        causes.append(required("roleRef.name"))
    if before is not None and reference != before.get("roleRef"):
        causes.append(bad_value("roleRef", reference, "cannot change roleRef"))
    return causes


CHECKS: dict[str, Callable[[Object, Object | None], list[Cause]]] = {
    "configmaps": _config_map,
    "controllerrevisions.apps": _revision,
    "daemonsets.apps": _workload,
    "deployments.apps": _deployment,
    "leases.coordination.k8s.io": _lease,
    "pods": _pod,
    "replicasets.apps": _workload,
    "rolebindings.rbac.authorization.k8s.io": _role_binding,
    "roles.rbac.authorization.k8s.io": _role,
    "secrets": _secret,
    "statefulsets.apps": _workload,
}


def is_base64(text: str) -> bool:
    """Tell whether a Secret's value is base64."""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
