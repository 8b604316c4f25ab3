"""The trail that guard leaves: who ran it, and Events on the workload.

Decides how a person or a CI job is named and what an Event looks like. Does not decide when one is
written. Nothing here can fail a rollback: what cannot be written is a warning.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from deploy_guard.cluster.client import MANAGER, Cluster
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.target import collection_path, kind_of
from deploy_guard.model import Target
from deploy_guard.outputs.format import clean, stamp
from deploy_guard.problems import Problem, warning
from deploy_guard.redact import redacted

Json = dict[str, Any]
Reason = Literal[
    "RegressionDetected",
    "RollbackStarted",
    "RollbackCompleted",
    "RollbackFailed",
    "RollbackRefused",
    "RolloutHeld",
    "RolloutResumed",
    "ConfigurationRestored",
    "OwnerSuspended",
]

LONGEST_WHO = 200  # characters
LONGEST_TEXT = 1024  # bytes: more is refused by events.k8s.io, though not by core/v1
LONGEST_NAME = 253  # of an object in Kubernetes
PATIENCE = 5.0  # seconds for an Event: nothing waits long for it
SELF_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

# The address of the running job, from variables that CI services set; the first that is complete.
CI_JOBS = (
    "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
    "{CI_JOB_URL}",  # GitLab
    "{CIRCLE_BUILD_URL}",
    "{BUILDKITE_BUILD_URL}#{BUILDKITE_JOB_ID}",
    "{BUILDKITE_BUILD_URL}",
    "{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}"  # Azure Pipelines
    "/_build/results?buildId={BUILD_BUILDID}",
    "{BITBUCKET_GIT_HTTP_ORIGIN}/pipelines/results/{BITBUCKET_BUILD_NUMBER}",
    "{TRAVIS_JOB_WEB_URL}",
    "{DRONE_BUILD_LINK}",
    "{CI_PIPELINE_URL}",  # Woodpecker
    "{BUILD_URL}",  # Jenkins
)


def who(environ: Mapping[str, str]) -> str:
    """Return who runs guard: the address of the CI job, else ``user@host``; one line, bounded."""
    given = {name: value for name, value in environ.items() if value.strip()}
    for form in CI_JOBS:
        try:
            url = form.format_map(given)
        except KeyError:
            continue
        if url.startswith(("https://", "http://")):
            return _bounded(quote(_without_secrets(url), safe=":/?#[]@!$&'()*+,;=%~"))
    return _bounded(f"{_user(given)}@{socket.gethostname()}")


def cluster_user(cluster: Cluster) -> str:
    """Return as whom the API server knows the credentials; "" if it does not tell."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = cluster.review(SELF_REVIEW, body)
    except ApiError:
        return ""
    user = (answer.get("status") or {}).get("userInfo") or {}
    return _bounded(str(user.get("username") or ""))


def write_event(
    cluster: Cluster,
    target: Target,
    workload: Json,
    *,
    reason: Reason,
    text: str,
    type: Literal["Normal", "Warning"],
    at: float,
) -> Problem | None:
    """Write a core/v1 Event about the workload; return a warning if that is not possible.

    It is sent once and waited for at most 5 s. `at` is in Unix seconds. kubectl shows it in
    `describe` and `events`: both select by kind, name and uid of the involved object.
    """
    when = stamp(at)
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": _event_name(target), "namespace": target.namespace},
        "involvedObject": {
            "apiVersion": "apps/v1",
            "kind": kind_of(target),
            "namespace": target.namespace,
            "name": target.name,
            "uid": workload["metadata"]["uid"],
            "resourceVersion": workload["metadata"]["resourceVersion"],
        },
        "type": type,
        "reason": reason,
        "message": _cut(_without_secrets(clean(text, longest=2 * LONGEST_TEXT)), LONGEST_TEXT),
        "source": {"component": MANAGER},
        "firstTimestamp": when,
        "lastTimestamp": when,
        "count": 1,
        "reportingComponent": MANAGER,
        "reportingInstance": socket.gethostname()[:128],
    }
    try:
        cluster.create(collection_path(target, "events"), event, timeout=PATIENCE)
    except ApiError as error:
        return warning(
            "event-not-written",
            f"the Event {reason} could not be written: {error.message}",
            error.help or "kubectl describe will not show what guard did",
        )
    return None


def _event_name(target: Target) -> str:
    """Return a name as controllers make them, that no other Event has."""
    suffix = f".{secrets.token_hex(8)}"
    return target.name[: LONGEST_NAME - len(suffix)].rstrip("-.") + suffix


def _user(environ: Mapping[str, str]) -> str:
    for name in ("SUDO_USER", "LOGNAME", "USER", "USERNAME"):
        if name in environ:
            return environ[name].strip()
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):  # no such file, or a container with any uid
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown"


def _without_secrets(text: str) -> str:
    """Blank users, passwords and secret parameters of the URLs in a text."""
    return str(redacted({"url": text})["url"])


def _bounded(text: str) -> str:
    return clean(text, longest=LONGEST_WHO)[: 2 * LONGEST_WHO]


def _cut(text: str, longest: int) -> str:
    """Cut a text to so many bytes of UTF-8, with an ellipsis where something was cut."""
    data = text.encode("utf-8", "replace")
    if len(data) <= longest:
        return data.decode()
    return data[: longest - len("…".encode())].decode("utf-8", "ignore") + "…"
