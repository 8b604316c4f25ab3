"""ConfigMaps and Secrets as values, and which of them a workload's configuration consists of.

Decides what counts as content and what is never kept. Contents do not show themselves: no `repr`
and so no log and no error has them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy_guard.cluster.references import CONFIG_MAP, SECRET, Use, mentions, names
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import collection_path
from deploy_guard.model import Target

PLURALS = {CONFIG_MAP: "configmaps", SECRET: "secrets"}
CONTENT = (Use.ENV, Use.FILES, Use.FIXED_FILES)
OF_THE_CLUSTER = (
    "kube-root-ca.crt",
    "openshift-service-ca.crt",
)  # renewed by it, in every namespace
TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 - a type, not a token
BIGGEST = 1024 * 1024  # bytes of data in one object (Kubernetes' MaxSecretSize)


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """One ConfigMap or Secret that a template refers to; `optional` if every mention says so."""

    kind: str
    name: str
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Contents:
    """All that an object holds, as the API writes it; binary values are base64."""

    text: Mapping[str, str] = field(repr=False)
    binary: Mapping[str, str] = field(repr=False)  # a Secret's data
    type: str = ""  # of a Secret

    @property
    def size(self) -> int:
        """The bytes of all values as the server counts them: base64 decoded."""
        plain = sum(len(key) + len(value.encode()) for key, value in self.text.items())
        return plain + sum(
            len(key) + len(value.rstrip("=")) * 3 // 4 for key, value in self.binary.items()
        )

    def differing(self, other: Contents) -> tuple[str, ...]:
        """Return the keys whose values differ, sorted."""
        found = set()
        for one, two in ((self.text, other.text), (self.binary, other.binary)):
            found |= {key for key in {*one, *two} if one.get(key) != two.get(key)}
        return tuple(sorted(found))


def sources(template: Json) -> tuple[Source, ...]:
    """Return the ConfigMaps and Secrets whose contents the pods of a template read, each once."""
    found = names((m for m in mentions(template) if m.use in CONTENT), CONFIG_MAP, SECRET)
    return tuple(
        Source(kind, name, optional)
        for (kind, name), optional in found.items()
        if not (kind == CONFIG_MAP and name in OF_THE_CLUSTER)
    )


def contents(obj: Json) -> Contents:
    """Return the contents of a ConfigMap or Secret as it was read."""
    data = obj.get("data") or {}
    if "type" in obj:  # every Secret has one, no ConfigMap has
        return Contents({}, data, str(obj["type"]))
    return Contents(data, obj.get("binaryData") or {})


def path_of(target: Target, kind: str, name: str = "") -> str:
    """Return the API path of one object, or of all of its kind in the target's namespace."""
    path = collection_path(target, PLURALS[kind])
    return f"{path}/{name}" if name else path
