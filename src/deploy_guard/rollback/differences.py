"""What a rollback changes in the pod template, in words for the person who confirms it.

Decides which differences are told and in which order. What of a value is shown is `masking`'s to
say; values from Secrets are only references in a template.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.templates import pruned
from deploy_guard.masking import ABSENT, HIDDEN, LONGEST, masked, of_variable, shown, text_of
from deploy_guard.model import Change, Target
from deploy_guard.rollback.planning import Plan

__all__ = ["HIDDEN", "Change", "changes", "differences", "masked", "not_restored"]

NEXT_APPLY = (
    "the next kubectl apply, helm upgrade or GitOps sync of the same manifest deploys "
    "the condemned version again: revert it at its source"
)


def not_restored(target: Target) -> tuple[str, ...]:
    """Say what no rollback of a workload of this kind brings back."""
    own = {
        "deployment": "the number of replicas, the strategy and the Deployment's own labels",
        "statefulset": "the number of replicas, the update strategy with its partition, the "
        "StatefulSet's own labels and its volumeClaimTemplates",
        "daemonset": "the update strategy and the DaemonSet's own labels",
    }
    data = "databases and all that a newer version has written"
    if target.kind == "statefulset":
        data = "databases, the pods' volumes and all that a newer version has written"
    return (
        f"{own[target.kind]} stay as they are",
        "the contents of ConfigMaps and Secrets stay as they are; references to them go back",
        "autoscalers, Services and other objects stay as they are",
        f"{data} stay as they are",
    )


def changes(plan: Plan) -> list[Change]:
    """List what the rollback changes, images first, then containers' settings, then the rest."""
    if plan.template is None:
        return []
    return differences(plan.condemned, plan.template)


def differences(live: Json, target: Json) -> list[Change]:
    """List the differences of two templates, from `live` to `target`."""
    one, other = pruned(live), pruned(target)
    found = [*_containers(one, other, "initContainers"), *_containers(one, other, "containers")]
    rest_one, rest_other = _without_containers(one), _without_containers(other)
    found += _volumes(rest_one, rest_other)
    found += _generic("", rest_one, rest_other)
    images = [change for change in found if change.where.endswith(" image")]
    return images + [change for change in found if change not in images]


def _containers(one: Json, other: Json, kind: str) -> Iterator[Change]:
    before, after = _by_name(one, "spec", kind), _by_name(other, "spec", kind)
    for name in sorted({*before, *after}):
        where = f"container {name}"
        if name not in after or name not in before:
            yield Change(
                where,
                ABSENT if name not in before else f"image {before[name].get('image', '')}",
                ABSENT if name not in after else f"image {after[name].get('image', '')}",
            )
            continue
        yield from _container(where, dict(before[name]), dict(after[name]))


def _container(where: str, before: Json, after: Json) -> Iterator[Change]:
    env_before, env_after = _env(before.pop("env", ())), _env(after.pop("env", ()))
    for name in sorted({*env_before, *env_after}):
        if env_before.get(name) != env_after.get(name):
            yield Change(
                f"{where} env {name}",
                _env_text(name, env_before.get(name)),
                _env_text(name, env_after.get(name)),
            )
    for field in ("image", "command", "args", "envFrom"):
        old, new = before.pop(field, None), after.pop(field, None)
        if old != new:
            yield Change(f"{where} {field}", text_of(field, old), text_of(field, new))
    yield from _generic(where, before, after)


def _volumes(one: Json, other: Json) -> Iterator[Change]:
    before, after = _by_name(one, "spec", "volumes"), _by_name(other, "spec", "volumes")
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Change(f"volume {name}", _volume(before.get(name)), _volume(after.get(name)))
    for template in (one, other):
        (template.get("spec") or {}).pop("volumes", None)


def _generic(where: str, before: Any, after: Any) -> Iterator[Change]:
    """Walk two values down to where they differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _generic(f"{where} {key}".strip(), before.get(key), after.get(key))
    elif before != after:
        name = where.rpartition(" ")[2]
        yield Change(where, text_of(name, before), text_of(name, after))


def _env(variables: Any) -> dict[str, Json]:
    return {str(v.get("name", "")): v for v in variables}


def _env_text(name: str, variable: Json | None) -> str:
    if variable is None:
        return ABSENT
    source = variable.get("valueFrom")
    if not source:
        return of_variable(name, str(variable.get("value", "")), longest=LONGEST)
    for kind, word in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if kind in source:
            return f"from {word} {source[kind].get('name', '')}, key {source[kind].get('key', '')}"
    return "from " + shown(source)


def _volume(volume: Json | None) -> str:
    if volume is None:
        return ABSENT
    return ", ".join(
        f"{kind} {shown(value)}".strip() for kind, value in volume.items() if kind != "name"
    )


def _by_name(template: Json, *path: str) -> dict[str, Json]:
    value: Any = template
    for key in path:
        value = (value or {}).get(key)
    return {str(member.get("name", "")): member for member in value or ()}


def _without_containers(template: Json) -> Json:
    spec = template.get("spec") or {}
    kept = {key: v for key, v in spec.items() if key not in ("containers", "initContainers")}
    return {**template, "spec": kept}
