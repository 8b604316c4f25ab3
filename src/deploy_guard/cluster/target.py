"""What the user means by TARGET, in kubectl's forms, and where it lives in the API.

Decides the kind and the paths. Does not ask the cluster whether it exists.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from deploy_guard.errors import UsageError
from deploy_guard.model import Target

KINDS = {
    "deployment": "deployment",
    "deployments": "deployment",
    "deploy": "deployment",
    "deployment.apps": "deployment",
    "deployments.apps": "deployment",
    "deployment.v1.apps": "deployment",
    "deployments.v1.apps": "deployment",
    "statefulset": "statefulset",
    "statefulsets": "statefulset",
    "sts": "statefulset",
    "statefulset.apps": "statefulset",
    "statefulsets.apps": "statefulset",
    "daemonset": "daemonset",
    "daemonsets": "daemonset",
    "ds": "daemonset",
    "daemonset.apps": "daemonset",
    "daemonsets.apps": "daemonset",
}
APPS = ("deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions")
ARGO_ROLLOUTS = ("rollout", "rollouts", "ro", "rollout.argoproj.io", "rollouts.argoproj.io")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def parse_target(text: str, *, namespace: str) -> Target:
    """Read ``deployment/NAME`` or a short form of it.

    Raises UsageError for another form, an unknown kind and an impossible name.
    """
    kind, slash, name = text.strip().partition("/")
    if not slash or not name or not kind:
        raise UsageError(
            f"target {text!r} is not of the form KIND/NAME", help=f"try {_example(text)}"
        )
    known = KINDS.get(kind.lower())
    if kind.lower() in ARGO_ROLLOUTS:
        raise UsageError(
            f"target {text!r} is an Argo Rollout, which rolls back by itself",
            help=f"kubectl argo rollouts undo {name}",
        )
    if known is None:
        close = get_close_matches(kind.lower(), KINDS, n=1)
        raise UsageError(
            f"target kind {kind!r} is not known",
            help=f"did you mean {close[0]}/{name}?"
            if close
            else f"expected deployment/{name}, deploy/{name} or deployment.apps/{name}",
        )
    if len(name) > 253 or NAME.fullmatch(name) is None:
        raise UsageError(
            f"target name {name!r} cannot be a name in Kubernetes",
            help="a name has lower case letters, digits, '-' and '.', and no further '/'",
        )
    return Target(known, namespace, name)


def workload_path(target: Target) -> str:
    """Return the API path of the workload itself."""
    return f"{collection_path(target, workloads_of(target))}/{target.name}"


def collection_path(target: Target, resource: str) -> str:
    """Return the API path of all `resource` (apps or core) in the target's namespace."""
    root = "/apis/apps/v1" if resource in APPS else "/api/v1"
    return f"{root}/namespaces/{target.namespace}/{resource}"


def kind_of(target: Target) -> str:
    """Return the kind as objects spell it, such as ``Deployment``."""
    spelt = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}
    return spelt[target.kind]


def workloads_of(target: Target) -> str:
    """Return the resource that workloads of the target's kind are, such as ``deployments``."""
    return f"{target.kind}s"


def revisions_of(target: Target) -> str:
    """Return the resource that keeps the history of the target's kind."""
    return "replicasets" if target.kind == "deployment" else "controllerrevisions"


def _example(text: str) -> str:
    words = text.replace("/", " ").split()
    kind = KINDS.get(words[0].lower(), "") if words else ""
    name = words[-1] if words and not (kind and len(words) == 1) else "NAME"
    return f"{kind or 'deployment'}/{name}"
