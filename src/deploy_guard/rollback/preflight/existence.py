"""Is everything still there that the old template refers to?

Decides which objects must exist, with which keys, and how a missing one is told. Contents are read
only where the template names a key; of a Secret nothing but the names of its keys is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Forbidden, NotFound
from deploy_guard.cluster.references import Mention, Use, mentions
from deploy_guard.cluster.target import collection_path
from deploy_guard.model import Target
from deploy_guard.problems import Problem, harm, note, warning
from deploy_guard.rollback.planning import Plan
from deploy_guard.rollback.preflight.asking import Asker

RESOURCES = {
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "ServiceAccount": "serviceaccounts",
    "PersistentVolumeClaim": "persistentvolumeclaims",
}
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
CLASS = "class-unknown"  # the kind of note of a PriorityClass that may not be read
BUILT_IN = ("system-cluster-critical", "system-node-critical")
HELP = "its pods would not start: restore it first, then roll back"


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one object: which of the wanted keys it lacks, why no pod can use it."""

    exists: bool = True
    missing: tuple[str, ...] = ()
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object that a template refers to, with every place that does."""

    kind: str
    name: str
    mentions: tuple[Mention, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are named."""
        return tuple(dict.fromkeys(m.key for m in self.mentions if m.key))

    def path(self, target: Target) -> str:
        """Return the API path."""
        if self.kind == "PriorityClass":
            return f"{CLASSES}/{self.name}"
        return f"{collection_path(target, RESOURCES[self.kind])}/{self.name}"


def ask_existence(asker: Asker, cluster: Cluster, plan: Plan) -> Callable[[], tuple[Problem, ...]]:
    """Begin to look for each object; call what is returned for the problems."""
    asked = [
        (one, asker.ask(lambda one=one: _look(cluster, plan.target, one)))  # type: ignore[misc]
        for one in wanted(plan)
    ]

    def collect() -> tuple[Problem, ...]:
        problems: list[Problem] = []
        unknown: dict[str, list[Wanted]] = {}
        for one, answer in asked:
            try:
                problems += _judge(one, answer.wait())
            except ApiError as error:
                unknown.setdefault(_why(one, error), []).append(one)
        problems += [_unknown(why, these) for why, these in unknown.items()]
        return tuple(problems)

    return collect


def wanted(plan: Plan) -> tuple[Wanted, ...]:
    """Return what the plan's template refers to, each object once."""
    found: dict[tuple[str, str], list[Mention]] = {}
    for mention in mentions(plan.template or {}):
        if mention.name not in BUILT_IN:
            found.setdefault((mention.kind, mention.name), []).append(mention)
    return tuple(Wanted(kind, name, tuple(places)) for (kind, name), places in found.items())


def _look(cluster: Cluster, target: Target, one: Wanted) -> Found:
    path = one.path(target)
    if one.kind == "PersistentVolumeClaim":
        return _claim(cluster, path)
    if not one.keys:
        return Found(cluster.exists(path))
    try:
        content = cluster.get(path)
    except NotFound:
        return Found(exists=False)
    present = {*(content.get("data") or ()), *(content.get("binaryData") or ())}
    return Found(missing=tuple(key for key in one.keys if key not in present))


def _claim(cluster: Cluster, path: str) -> Found:
    try:
        claim = cluster.get(path)
    except NotFound:
        return Found(exists=False)
    if "deletionTimestamp" in claim["metadata"]:
        return Found(unfit="is being deleted")
    lost = (claim.get("status") or {}).get("phase") == "Lost"
    return Found(unfit="has lost its volume" if lost else "")


def _judge(one: Wanted, found: Found) -> list[Problem]:
    if not found.exists:
        return [_gone(one)]
    if found.unfit:
        text = f'the old template needs {one.kind} "{one.name}", which {found.unfit}'
        return [harm("reference", text, "its pods would not start: repair it first")]
    return [_without_key(one, key) for key in found.missing]


def _gone(one: Wanted) -> Problem:
    what = f'{one.kind} "{one.name}"'
    if any(not mention.optional for mention in one.mentions):
        text = f"the old template needs {what}, which does not exist any more"
        return harm("reference", text, HELP)
    if any(mention.use is Use.PULL for mention in one.mentions):
        text = f"the old template pulls its images with {what}, which does not exist any more"
        return warning("reference", text, "pulls may fail: create it before the rollback")
    text = f"the old template names {what} as optional, and it does not exist any more"
    return note("reference", text, "its pods start without it")


def _without_key(one: Wanted, key: str) -> Problem:
    what = f'key "{key}" of {one.kind} "{one.name}"'
    if any(mention.key == key and not mention.optional for mention in one.mentions):
        text = f"the old template needs {what}, which does not exist any more"
        return harm("reference", text, HELP)
    text = f"the old template names {what} as optional, and it does not exist any more"
    return note("reference", text, "its pods start without it")


def _why(one: Wanted, error: ApiError) -> str:
    if isinstance(error, Forbidden) and error.missing_right:
        group = ".scheduling.k8s.io" if one.kind == "PriorityClass" else ""
        resource = RESOURCES.get(one.kind, "priorityclasses")
        return f'the account lacks the right "get" on {resource}{group}'
    return error.detail


def _unknown(why: str, these: list[Wanted]) -> Problem:
    names = ", ".join(f"{one.kind} {one.name}" for one in these)
    text = f"whether these still exist could not be checked: {names} ({why})"
    if all(one.kind == "PriorityClass" for one in these):  # no Role can grant it
        return note(CLASS, text, "a dry run of a pod would tell: role-pods.yaml")
    return warning("reference-unknown", text, "look yourself before you roll back")
