"""The contents of the ConfigMaps and Secrets that the target reads: did the command change them?

Decides by digests, which are kept in memory alone; no content is kept or shown. Also decides how
running pods get to see a change, which depends on how they read the object.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, NotFound
from deploy_guard.cluster.references import CONFIG_MAP, SECRET, Use, mentions
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import collection_path
from deploy_guard.model import Target

_RESOURCES = {CONFIG_MAP: "configmaps", SECRET: "secrets"}
_ABSENT = ""
_SEEN = {
    Use.ENV: "as environment: running pods keep the old values until they are restarted",
    Use.FIXED_FILES: "as files by subPath: running pods keep the old ones until they are restarted",
    Use.FILES: "as files: running pods get the new ones within a minute or two",
    Use.PULL: "to pull images",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """Digests by (kind, name), empty for what does not exist; `unseen` could not be read."""

    digests: dict[tuple[str, str], str]
    unseen: tuple[str, ...] = ()


def read_contents(cluster: Cluster, target: Target, template: Json | None) -> Contents:
    """Read what the template refers to; what may not be read is named, each is asked for once."""
    digests: dict[tuple[str, str], str] = {}
    unseen = []
    for kind, name in _references(template):
        path = f"{collection_path(target, _RESOURCES[kind])}/{name}"
        try:
            digests[kind, name] = _digest(cluster.get(path, patient=False))
        except NotFound:
            digests[kind, name] = _ABSENT
        except ApiError:
            unseen.append(f"{kind} {name}")
    return Contents(digests, tuple(unseen))


def changed_contents(before: Contents, after: Contents) -> tuple[tuple[str, str], ...]:
    """Return kind and name of what has other contents now, where both were seen."""
    both = before.digests.keys() & after.digests.keys()
    return tuple(sorted(key for key in both if before.digests[key] != after.digests[key]))


def how_pods_see(template: Json, key: tuple[str, str]) -> str:
    """Say how the pods of a template read an object, the way that needs a restart first."""
    uses = {mention.use for mention in mentions(template) if (mention.kind, mention.name) == key}
    found = next((words for use, words in _SEEN.items() if use in uses), "")
    return f"{key[0]} {key[1]} is read {found}" if found else f"{key[0]} {key[1]} is read"


def needs_restart(template: Json, keys: tuple[tuple[str, str], ...]) -> bool:
    """Tell whether running pods see one of these changes only after a restart."""
    return any(
        mention.use in (Use.ENV, Use.FIXED_FILES) and (mention.kind, mention.name) in keys
        for mention in mentions(template)
    )


def _references(template: Json | None) -> list[tuple[str, str]]:
    found = mentions(template) if template is not None else ()
    return sorted({(m.kind, m.name) for m in found if m.kind in _RESOURCES})


def _digest(obj: Json) -> str:
    contents = [obj.get("data") or {}, obj.get("binaryData") or {}]
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
