"""What a rollback changes in the pod template, in words for the person who confirms it.

Decides what is shown: never a value that may be a secret. Values from Secrets are references in a
template; literal values are hidden where their name, or their own form, looks like a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.templates import pruned
from deploy_guard.redact import USER_IN_URL
from deploy_guard.rollback.planning import Plan

HIDDEN = "(hidden)"
ABSENT = "(none)"
SECRET_NAME = re.compile(
    r"pass|secret|token|key|cred|auth|private|cookie|session|salt|dsn|cert|conn.*str|webhook",
    re.IGNORECASE,
)
SECRET_FLAG = re.compile(
    r"(?<![\w.-])(-{1,2}[\w.-]*(?:pass|secret|token|key|cred|auth)[\w.-]*)([= ])\S+", re.I
)
REFERENCES = ("key", "secretName", "path", "mountPath", "topologyKey")  # names, not secrets
LONGEST = 200

NOT_RESTORED = (
    "the number of replicas, the strategy and the Deployment's own labels stay as they are",
    "the contents of ConfigMaps and Secrets stay as they are; references to them go back",
    "autoscalers, Services and other objects stay as they are",
    "databases and all that a newer version has written stay as they are",
)
NEXT_APPLY = (
    "the next kubectl apply, helm upgrade or GitOps sync of the same manifest deploys "
    "the condemned version again: revert it at its source"
)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: where, what is live now, what the rollback restores."""

    where: str
    before: str
    after: str


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


def masked(value: Any, name: str = "") -> Any:
    """Return a JSON value in which every string that may be a secret is hidden."""
    if isinstance(value, dict):
        if isinstance(value.get("value"), str) and "op" not in value:  # an environment variable
            return {**value, "value": masked(value["value"], str(value.get("name", "")))}
        return {key: masked(member, key) for key, member in value.items()}
    if isinstance(value, list):
        before = ["", *value]  # an argument may be the value of the flag before it
        return [
            HIDDEN if isinstance(flag, str) and SECRET_FLAG.fullmatch(f"{flag} x") else inner
            for flag, inner in zip(before, (masked(member, name) for member in value), strict=False)
        ]
    if not isinstance(value, str) or name in REFERENCES:
        return value
    return _text(name, value, longest=len(value) + len(HIDDEN) * 9)


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
            yield Change(f"{where} {field}", _text(field, old), _text(field, new))
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
        yield Change(where, _text(name, before), _text(name, after))


def _env(variables: Any) -> dict[str, Json]:
    return {str(v.get("name", "")): v for v in variables}


def _env_text(name: str, variable: Json | None) -> str:
    if variable is None:
        return ABSENT
    source = variable.get("valueFrom")
    if not source:
        return _text(name, variable.get("value", ""))
    for kind, word in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if kind in source:
            return f"from {word} {source[kind].get('name', '')}, key {source[kind].get('key', '')}"
    return "from " + _shown(source)


def _volume(volume: Json | None) -> str:
    if volume is None:
        return ABSENT
    return ", ".join(
        f"{kind} {_shown(value)}".strip() for kind, value in volume.items() if kind != "name"
    )


def _text(name: str, value: Any, *, longest: int = LONGEST) -> str:
    """Show a value, hidden if its name says that it is a secret."""
    if value is None:
        return ABSENT
    if isinstance(value, str) and value and name not in REFERENCES and SECRET_NAME.search(name):
        return HIDDEN
    return _shown(value, longest=longest)


def _shown(value: Any, *, longest: int = LONGEST) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{key}: {_text(key, member)}" for key, member in sorted(value.items()))
        text = f"{{{inner}}}"
    elif isinstance(value, list):
        text = " ".join(_shown(member) for member in value)
    else:
        text = str(value) if not isinstance(value, bool) else str(value).lower()
    text = USER_IN_URL.sub(f"{HIDDEN}@", text)
    text = SECRET_FLAG.sub(rf"\1\2{HIDDEN}", text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _by_name(template: Json, *path: str) -> dict[str, Json]:
    value: Any = template
    for key in path:
        value = (value or {}).get(key)
    return {str(member.get("name", "")): member for member in value or ()}


def _without_containers(template: Json) -> Json:
    spec = template.get("spec") or {}
    kept = {key: v for key, v in spec.items() if key not in ("containers", "initContainers")}
    return {**template, "spec": kept}
