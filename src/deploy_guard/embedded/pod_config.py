"""What a container gets from ConfigMaps and Secrets, and what the kubelet says when one is gone.

Decides a container's environment. Source: kubernetes/pkg/kubelet/kubelet_pods.go
(makeEnvironmentVariables) and pkg/volume/{configmap,secret}.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from deploy_guard.embedded.store import Object, Store

REFERENCE = re.compile(r"\$(\$|\(([^()]+)\))")
SOURCES = (
    ("configMapKeyRef", "configmaps", "configmap", "ConfigMap"),
    ("secretKeyRef", "secrets", "secret", "Secret"),
)


class MissingConfigError(Exception):
    """A ConfigMap, a Secret or a key in one is not there; the text is the kubelet's."""


def container_environment(store: Store, pod: Object, container: Object) -> dict[str, str]:
    """Return the environment of a container. Raises MissingConfigError."""
    namespace = pod["metadata"]["namespace"]
    environment: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        for field, resource, word in (
            ("configMapRef", "configmaps", "configmap"),
            ("secretRef", "secrets", "secret"),
        ):
            if field in source:
                data = _data(store, resource, word, namespace, source[field]) or {}
                environment.update({prefix + key: value for key, value in data.items()})
    for entry in container.get("env") or []:
        value = _value(store, pod, entry)
        if value is not None:
            environment[entry["name"]] = _expand(value, environment)
    return environment


def missing_volume(store: Store, pod: Object) -> str | None:
    """Return what is wrong with the first volume that cannot be mounted, or None."""
    namespace = pod["metadata"]["namespace"]
    for volume in pod["spec"].get("volumes") or []:
        if volume["name"].startswith("kube-api-access-"):
            continue
        try:
            for resource, word, reference in _volume_sources(volume):
                data = _data(store, resource, word, namespace, reference)
                _check_items(data, word, reference)
        except MissingConfigError as error:
            return f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
    return None


def _volume_sources(volume: Object) -> Iterator[tuple[str, str, Object]]:
    for source in [volume, *((volume.get("projected") or {}).get("sources") or [])]:
        if "configMap" in source:
            yield "configmaps", "configmap", source["configMap"]
        if "secret" in source:
            secret = source["secret"]
            name = secret.get("secretName") or secret.get("name", "")
            yield "secrets", "secret", {**secret, "name": name}


def _check_items(data: dict[str, str] | None, word: str, reference: Object) -> None:
    for item in reference.get("items") or []:
        if data is not None and item["key"] not in data and not reference.get("optional"):
            kind = "config" if word == "configmap" else "secret"
            prefix = "configmap " if word == "configmap" else ""
            raise MissingConfigError(f"{prefix}references non-existent {kind} key: {item['key']}")


def _data(
    store: Store, resource: str, word: str, namespace: str, reference: Object
) -> dict[str, str] | None:
    """Return the contents, None where an optional object is absent."""
    found = store.find(resource, namespace, reference["name"])
    if found is None:
        if reference.get("optional"):
            return None
        raise MissingConfigError(f'{word} "{reference["name"]}" not found')
    data = dict(found.get("data") or {})
    if resource == "secrets":
        data = {key: base64.b64decode(v).decode(errors="replace") for key, v in data.items()}
    return data


def _value(store: Store, pod: Object, entry: Object) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return str(entry.get("value", ""))
    namespace = pod["metadata"]["namespace"]
    for field, resource, word, kind in SOURCES:
        if field in source:
            reference = source[field]
            data = _data(store, resource, word, namespace, reference)
            if data is not None and reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            place = f"{kind} {namespace}/{reference['name']}"
            raise MissingConfigError(f"couldn't find key {reference['key']} in {place}")
    return _field(pod, source.get("fieldRef"))


def _field(pod: Object, reference: Object | None) -> str:
    at: Any = pod
    for part in (reference or {}).get("fieldPath", "").split("."):
        at = at.get(part) if isinstance(at, dict) else None
    return str(at) if isinstance(at, str | int) else ""


def _expand(value: str, environment: dict[str, str]) -> str:
    """Replace $(NAME) by variables that are known; $$ stands for $."""

    def one(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else environment.get(match[2], match[0])

    return REFERENCE.sub(one, value)
