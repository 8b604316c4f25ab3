"""What the cluster itself says about a planned rollback before it is needed.

Decides which rights are asked for and which referenced objects must exist. Asks only; nothing is
written. A question that may not be asked is a warning, never a reason to refuse.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from functools import partial
from threading import Thread
from typing import Any

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Call
from deploy_guard.cluster.retry import may_pass
from deploy_guard.cluster.snapshot import Json
from deploy_guard.cluster.target import collection_path
from deploy_guard.model import Target
from deploy_guard.rollback.execution import rehearse
from deploy_guard.rollback.planning import Plan
from deploy_guard.rollback.problems import Problem, warning

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RIGHTS = (  # verb, group, resource, and whether a rollback is impossible without it
    ("get", "apps", "deployments", True),
    ("patch", "apps", "deployments", True),
    ("list", "apps", "replicasets", True),
    ("list", "apps", "deployments", False),
    ("watch", "apps", "deployments", False),
    ("watch", "apps", "replicasets", False),
    ("list", "", "pods", False),
    ("watch", "", "pods", False),
)
RESOURCES = {"ConfigMap": "configmaps", "Secret": "secrets", "ServiceAccount": "serviceaccounts"}


def check(cluster: Cluster, plan: Plan) -> Plan:
    """Return the plan with what the cluster says: rights, references, a rehearsal."""
    found = check_access(cluster, plan.target)
    if plan.operations and plan.blocking is None:
        found += check_references(cluster, plan)
        if not any(problem.blocks for problem in found):
            found += rehearse(cluster, plan)
    return plan.with_problems(found)


def check_access(cluster: Cluster, target: Target) -> tuple[Problem, ...]:
    """Name each right that the account lacks; a warning where only following needs it."""
    try:
        allowed = _at_once([partial(_allowed, cluster, target, right) for right in RIGHTS])
    except ApiError as error:
        text = f"the rights could not be checked: {error.detail}"
        return (warning("access-unknown", text, "a missing right shows only when it is used"),)
    problems: list[Problem] = []
    for (verb, group, resource, needed), granted in zip(RIGHTS, allowed, strict=True):
        if not granted:
            where = f"{resource}.{group}" if group else resource
            make = Problem if needed else warning
            text = f'the account lacks the right "{verb}" on {where} in {target.namespace}'
            help = "docs/rollback.md has a Role with all rights that are needed"
            problems.append(make("access", text, help))
    return tuple(problems)


def _at_once(questions: list[Callable[[], bool]]) -> list[bool]:
    """Ask in daemon threads, so that an interrupt does not wait for a silent server."""
    answers: queue.SimpleQueue[tuple[int, bool | ApiError]] = queue.SimpleQueue()

    def ask(index: int, question: Callable[[], bool]) -> None:
        try:
            answers.put((index, question()))
        except ApiError as error:
            answers.put((index, error))
        except Exception as error:  # a bug must not become an endless wait
            call = Call("create", "selfsubjectaccessreviews", group="authorization.k8s.io")
            answers.put((index, ApiError(call, f"a bug: {type(error).__name__}")))

    for index, question in enumerate(questions):
        Thread(target=ask, args=(index, question), daemon=True).start()
    found = dict(answers.get() for _ in questions)
    for answer in found.values():
        if isinstance(answer, ApiError):
            raise answer
    return [bool(found[index]) for index in range(len(questions))]


def _allowed(cluster: Cluster, target: Target, right: tuple[str, str, str, bool]) -> bool:
    verb, group, resource, _ = right
    attributes = {"namespace": target.namespace, "verb": verb, "resource": resource}
    attributes |= {"group": group} if group else {}
    attributes |= {"name": target.name} if resource == "deployments" else {}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return bool((cluster.review(REVIEWS, body).get("status") or {}).get("allowed"))


def check_references(cluster: Cluster, plan: Plan) -> tuple[Problem, ...]:
    """Name each ConfigMap, Secret and ServiceAccount of the old template that is gone.

    A reference that the template marks as optional is a warning. Contents are not looked at. A
    server that does not answer is asked once: a rollback must not wait for each in turn.
    """
    problems: list[Problem] = []
    unknown: list[str] = []
    silent = False
    for (kind, name), optional in references(plan.template or {}).items():
        if silent:
            unknown.append(f"{kind} {name}")
            continue
        path = f"{collection_path(plan.target, RESOURCES[kind])}/{name}"
        try:
            if cluster.exists(path):
                continue
            text = f'the old template needs {kind} "{name}", which does not exist any more'
            make = warning if optional else Problem
            problems.append(make("reference", text, "restore it before the rollback"))
        except ApiError as error:
            unknown.append(f"{kind} {name}")
            silent = may_pass(error)  # it was tried again for long enough
    if unknown:
        text = f"whether these still exist could not be checked: {', '.join(unknown)}"
        problems.append(warning("reference-unknown", text))
    return tuple(problems)


def references(template: Json) -> dict[tuple[str, str], bool]:
    """Return what a template refers to by (kind, name), and whether every mention is optional."""
    found: dict[tuple[str, str], bool] = {}
    for kind, name, optional in _mentions(template.get("spec") or {}):
        if name:
            found[kind, name] = found.get((kind, name), True) and optional
    return found


def _mentions(spec: Json) -> Iterator[tuple[str, str, bool]]:
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or ""
    if account and account != "default":
        yield "ServiceAccount", account, False
    for secret in spec.get("imagePullSecrets") or ():
        yield "Secret", secret.get("name", ""), True  # pulls may succeed without it
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        for source in container.get("envFrom") or ():
            yield from _reference(source.get("configMapRef"), "ConfigMap")
            yield from _reference(source.get("secretRef"), "Secret")
        for variable in container.get("env") or ():
            value = variable.get("valueFrom") or {}
            yield from _reference(value.get("configMapKeyRef"), "ConfigMap")
            yield from _reference(value.get("secretKeyRef"), "Secret")
    for volume in spec.get("volumes") or ():
        yield from _reference(volume.get("configMap"), "ConfigMap")
        yield from _reference(volume.get("secret"), "Secret", key="secretName")
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _reference(source.get("configMap"), "ConfigMap")
            yield from _reference(source.get("secret"), "Secret")


def _reference(value: Any, kind: str, *, key: str = "name") -> Iterator[tuple[str, str, bool]]:
    if isinstance(value, dict):
        yield kind, str(value.get(key, "")), bool(value.get("optional"))
