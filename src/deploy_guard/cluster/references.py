"""What a pod template refers to by name: what has to exist for its pods to start.

Decides which fields of a template are references and how the pods read what they name. Does not
ask whether it exists. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deploy_guard.cluster.snapshot import Json

CONFIG_MAP, SECRET = "ConfigMap", "Secret"


class Use(StrEnum):
    """How pods use what is referred to."""

    ENV = "env"  # read at the start of a container: a change needs a restart
    FILES = "files"  # a volume, which the kubelet renews in running pods
    FIXED_FILES = "fixed files"  # a volume mounted by subPath, which is never renewed
    PULL = "pull"  # imagePullSecrets
    ACCOUNT = "account"
    CLAIM = "claim"  # a PersistentVolumeClaim
    PRIORITY = "priority"


@dataclass(frozen=True, slots=True)
class Mention:
    """One place of a template that names another object."""

    kind: str  # "ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim", "PriorityClass"
    name: str
    use: Use
    optional: bool = False
    key: str = ""  # the only key that is read; empty: all of them


def mentions(template: Json) -> tuple[Mention, ...]:
    """Return all references of a pod template, in the order of the template."""
    return tuple(m for m in _mentions(template.get("spec") or {}) if m.name)


def _mentions(spec: Json) -> Iterator[Mention]:
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or ""
    if account != "default":
        yield Mention("ServiceAccount", account, Use.ACCOUNT)
    yield Mention("PriorityClass", spec.get("priorityClassName", ""), Use.PRIORITY)
    for secret in spec.get("imagePullSecrets") or ():
        # pulls may succeed without it
        yield Mention(SECRET, secret.get("name", ""), Use.PULL, optional=True)
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    for container in containers:
        yield from _environment(container)
    fixed = {
        str(mount.get("name", ""))
        for container in containers
        for mount in container.get("volumeMounts") or ()
        if mount.get("subPath") or mount.get("subPathExpr")
    }
    for volume in spec.get("volumes") or ():
        use = Use.FIXED_FILES if volume.get("name") in fixed else Use.FILES
        yield from _volume(volume, use)


def _environment(container: Json) -> Iterator[Mention]:
    for source in container.get("envFrom") or ():
        yield from _reference(source.get("configMapRef"), CONFIG_MAP, Use.ENV)
        yield from _reference(source.get("secretRef"), SECRET, Use.ENV)
    for variable in container.get("env") or ():
        value = variable.get("valueFrom") or {}
        yield from _reference(value.get("configMapKeyRef"), CONFIG_MAP, Use.ENV)
        yield from _reference(value.get("secretKeyRef"), SECRET, Use.ENV)


def _volume(volume: Json, use: Use) -> Iterator[Mention]:
    yield from _reference(volume.get("configMap"), CONFIG_MAP, use)
    yield from _reference(volume.get("secret"), SECRET, use, name="secretName")
    claim = volume.get("persistentVolumeClaim") or {}
    yield Mention("PersistentVolumeClaim", claim.get("claimName", ""), Use.CLAIM)
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield from _reference(source.get("configMap"), CONFIG_MAP, use)
        yield from _reference(source.get("secret"), SECRET, use)


def _reference(value: Any, kind: str, use: Use, *, name: str = "name") -> Iterator[Mention]:
    """Yield what an env source or a volume names: one mention for each of its keys."""
    if isinstance(value, dict):
        keys = [item.get("key", "") for item in value.get("items") or ()]
        for key in keys or [value.get("key", "")]:
            named, optional = str(value.get(name, "")), bool(value.get("optional"))
            yield Mention(kind, named, use, optional, str(key))


def names(found: Iterable[Mention], *kinds: str) -> dict[tuple[str, str], bool]:
    """Return (kind, name) of what is mentioned, and whether every mention is optional."""
    every: dict[tuple[str, str], bool] = {}
    for mention in found:
        if not kinds or mention.kind in kinds:
            key = (mention.kind, mention.name)
            every[key] = every.get(key, True) and mention.optional
    return every
