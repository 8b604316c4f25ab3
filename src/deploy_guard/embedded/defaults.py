"""What the API server fills in and drops when it takes an object.

Decides the stored form: Kubernetes' defaults (kubernetes/pkg/apis/apps/v1/defaults.go and
pkg/apis/core/v1/defaults.go) and the members that its types omit when they are empty. The same
template must give the same stored template, since controllers compare them. Does not decide
what is allowed (`validation`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]

EMPTY_METADATA = ("labels", "annotations", "finalizers", "ownerReferences", "generateName")
OMITTED_IF_FALSE = frozenset(
    {"hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly", "paused"}
)
OMITTED_IF_EMPTY_TEXT = frozenset(
    {"value", "subPath", "workingDir", "nodeName", "hostname", "subdomain", "priorityClassName"}
)
OMITTED_IF_ZERO = frozenset({"minReadySeconds", "initialDelaySeconds", "hostPort"})


def set_defaults(obj: Object) -> None:
    """Bring a decoded object into the form in which it is stored, in place."""
    metadata = obj.setdefault("metadata", {})
    kept = obj.pop("data", None) if obj.get("kind") == "ControllerRevision" else None
    _drop_nulls(obj)
    if kept is not None:
        obj["data"] = kept  # a revision's data stays as it was sent
    for field in EMPTY_METADATA:
        if field in metadata and not metadata[field]:
            del metadata[field]
    metadata.pop("managedFields", None)
    metadata.pop("selfLink", None)
    default = DEFAULTS.get(obj.get("kind", ""))
    if default is not None:
        default(obj)


def _deployment(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _tidy(spec)
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    set_template_defaults(spec.setdefault("template", {}))
    obj.setdefault("status", {})


def _replica_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _tidy(spec)
    spec.setdefault("replicas", 1)
    set_template_defaults(spec.setdefault("template", {}))
    obj.setdefault("status", {"replicas": 0})


def _stateful_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _tidy(spec)
    spec.setdefault("replicas", 1)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    retention = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    spec.setdefault("persistentVolumeClaimRetentionPolicy", retention)
    set_template_defaults(spec.setdefault("template", {}))
    obj.setdefault("status", {"replicas": 0, "availableReplicas": 0})


def _daemon_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _tidy(spec)
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    set_template_defaults(spec.setdefault("template", {}))
    counts = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled")
    obj.setdefault("status", dict.fromkeys((*counts, "numberReady"), 0))


def _pod(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    set_pod_spec_defaults(spec)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    status = obj.setdefault("status", {})
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", "BestEffort")


def _secret(obj: Object) -> None:
    for key, text in (obj.pop("stringData", None) or {}).items():
        data = obj.setdefault("data", {})
        data[key] = base64.b64encode(str(text).encode()).decode()
    obj.setdefault("type", "Opaque")
    _config(obj)


def _revision(obj: Object) -> None:
    obj.setdefault("revision", 0)


def _config(obj: Object) -> None:
    for field in ("data", "binaryData"):
        if field in obj and not obj[field]:
            del obj[field]


def _service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    obj.setdefault("status", {"loadBalancer": {}})


def _namespace(obj: Object) -> None:
    name = obj["metadata"].get("name", "")
    obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")


def _claim(obj: Object) -> None:
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    obj.setdefault("status", {"phase": "Pending"})


def _quota(obj: Object) -> None:
    obj.setdefault("spec", {})
    obj.setdefault("status", {})


def _event(obj: Object) -> None:
    obj.setdefault("source", {})
    for field in ("firstTimestamp", "lastTimestamp", "eventTime"):
        obj.setdefault(field, None)
    for field in ("reportingComponent", "reportingInstance"):
        obj.setdefault(field, "")


def _role_binding(obj: Object) -> None:
    for subject in obj.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")
    if isinstance(obj.get("roleRef"), dict):
        obj["roleRef"].setdefault("apiGroup", "rbac.authorization.k8s.io")


DEFAULTS: dict[str, Callable[[Object], None]] = {
    "ConfigMap": _config,
    "ControllerRevision": _revision,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "Event": _event,
    "Namespace": _namespace,
    "PersistentVolumeClaim": _claim,
    "Pod": _pod,
    "ReplicaSet": _replica_set,
    "ResourceQuota": _quota,
    "RoleBinding": _role_binding,
    "Secret": _secret,
    "Service": _service,
    "StatefulSet": _stateful_set,
}


def set_template_defaults(template: Object) -> None:
    """Fill in a pod template, in place."""
    metadata = template.setdefault("metadata", {})
    for field in EMPTY_METADATA:
        if field in metadata and not metadata[field]:
            del metadata[field]
    set_pod_spec_defaults(template.setdefault("spec", {}))


def set_pod_spec_defaults(spec: Object) -> None:
    """Fill in a pod's spec, in place."""
    _tidy(spec)
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _container(container)
    for volume in spec.get("volumes") or []:
        _volume(volume)
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    if "serviceAccountName" in spec or "serviceAccount" in spec:
        spec.setdefault("serviceAccountName", spec.get("serviceAccount"))
        spec["serviceAccount"] = spec["serviceAccountName"]
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")


def _container(container: Object) -> None:
    _tidy(container)
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or []:
        field = (variable.get("valueFrom") or {}).get("fieldRef")
        if field is not None:
            field.setdefault("apiVersion", "v1")
    resources = container.setdefault("resources", {})
    if resources.get("limits"):
        requests = resources.setdefault("requests", {})
        for name, amount in resources["limits"].items():
            requests.setdefault(name, amount)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(probe), dict):
            _probe(container[probe])
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", _pull_policy(str(container.get("image", ""))))


def _pull_policy(image: str) -> str:
    """Return the default pull policy: Always for the tag latest and for no tag at all."""
    if "@" in image:
        return "IfNotPresent"
    _, found, tag = image.rsplit("/", 1)[-1].partition(":")
    return "IfNotPresent" if found and tag != "latest" else "Always"


def _probe(probe: Object) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    if isinstance(probe.get("httpGet"), dict):
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")


def _volume(volume: Object) -> None:
    for source in ("configMap", "secret", "projected", "downwardAPI"):
        if isinstance(volume.get(source), dict):
            volume[source].setdefault("defaultMode", 420)
    if isinstance(volume.get("hostPath"), dict):
        volume["hostPath"].setdefault("type", "")
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


def _drop_nulls(value: Any) -> None:
    """Remove members that are null: to Kubernetes' types they are absent."""
    if isinstance(value, dict):
        for key in [key for key, item in value.items() if item is None]:
            del value[key]
        for item in value.values():
            _drop_nulls(item)
    elif isinstance(value, list):
        for item in value:
            _drop_nulls(item)


def _tidy(value: Any) -> None:
    """Drop the members that Kubernetes' types omit when they hold their zero value."""
    if isinstance(value, list):
        for item in value:
            _tidy(item)
    if not isinstance(value, dict):
        return
    for key, item in list(value.items()):
        _tidy(item)
        if (
            item == []
            or (item is False and key in OMITTED_IF_FALSE)
            or (item == "" and key in OMITTED_IF_EMPTY_TEXT)
            or (item == 0 and item is not False and key in OMITTED_IF_ZERO)
        ):
            del value[key]
