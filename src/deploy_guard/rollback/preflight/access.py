"""May the account do it? Access reviews for the rights of each feature.

Decides how a missing right is told: it blocks if its feature was asked for, else it is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError
from deploy_guard.model import Target
from deploy_guard.problems import Problem, warning
from deploy_guard.rollback.preflight.asking import SECONDS, Asker
from deploy_guard.rollback.preflight.features import BASE, Feature, Right, role_of

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def check_access(
    cluster: Cluster,
    target: Target,
    features: Iterable[Feature] = BASE,
    *,
    seconds: float = SECONDS,
) -> tuple[Problem, ...]:
    """Name each right of the features that the account lacks, within `seconds` in all."""
    return ask_access(Asker(seconds), cluster, target, features)()


def ask_access(
    asker: Asker, cluster: Cluster, target: Target, features: Iterable[Feature]
) -> Callable[[], tuple[Problem, ...]]:
    """Begin to ask for all rights, each once; call what is returned for the problems."""
    wanted = [(feature, right.of(target)) for feature in features for right in feature.rights]
    answers = {
        right: asker.ask(lambda right=right: allowed(cluster, right))  # type: ignore[misc]
        for right in dict.fromkeys(right for _, right in wanted)
    }

    def collect() -> tuple[Problem, ...]:
        missing: dict[tuple[str, str], tuple[Feature, list[Right]]] = {}
        unknown: ApiError | None = None
        for feature, right in wanted:
            try:
                granted = answers[right].wait()
            except ApiError as error:
                unknown = error
                continue
            if not granted:
                lacking = missing.setdefault((feature.name, right.where), (feature, []))
                lacking[1].append(right)
        problems = [_missing(feature, rights) for feature, rights in missing.values()]
        if unknown is not None:
            text = f"the rights could not be checked: {unknown.detail}"
            help = "a missing right shows only when it is used"
            problems.append(warning("access-unknown", text, help))
        return tuple(problems)

    return collect


def allowed(cluster: Cluster, right: Right) -> bool:
    """Ask whether the account has the right. Raises ApiError."""
    resource, _, sub = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": sub,
        "namespace": right.namespace,
        "name": right.name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    return bool((cluster.review(REVIEWS, body).get("status") or {}).get("allowed"))


def _missing(feature: Feature, rights: list[Right]) -> Problem:
    verbs = ", ".join(f'"{right.verb}"' for right in rights)
    first = rights[0]
    text = (
        f"the account lacks the right {verbs} on {first.where} in {first.namespace}: "
        f"{feature.without}"
    )
    role = role_of(feature, first)
    help = f"docs/rollback.md has the Role under Rights: examples/manifests/{role}"
    return Problem("access", text, help) if feature.asked else warning("access", text, help)
