"""A probe, where there are no metrics at all: the page that the kubelet asks, by way of a Service.

Decides which page that is. A probe is only drafted if the page answers where guard runs now: one
that nobody can reach says nothing of a deploy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.drafting.compose import SignalDraft
from deploy_guard.signals.http_client import HttpClient
from deploy_guard.signals.http_failures import CallFailed

SECONDS = 3.0  # for the call


def probe(
    snapshot: Snapshot,
    services: Sequence[Mapping[str, Any]] | None,
    *,
    environ: Mapping[str, str],
) -> SignalDraft | str:
    """Return a signal that asks the workload's readiness page, or why there is none.

    `services` are those that lead to its pods, None where the account may not see them.
    """
    found = _page(snapshot)
    if found is None:
        return "no container has a readiness probe over HTTP, which could be asked"
    if services is None:
        return (
            "the Services that lead to the readiness probe cannot be listed: is the right missing?"
        )
    number, name, path = found
    for service in services:
        for port in service["spec"].get("ports") or ():
            if port.get("targetPort", port["port"]) in (number, name):
                where = (str(service["metadata"]["name"]), int(port["port"]))
                return _tried(snapshot, where, path, environ)
    return "no Service leads to the port of the readiness probe"


def _page(snapshot: Snapshot) -> tuple[int, str, str] | None:
    """Return the port's number and name, and the path, of the first readiness probe over HTTP."""
    template = (snapshot.workload or {}).get("spec", {}).get("template", {})
    for container in template.get("spec", {}).get("containers") or ():
        page = (container.get("readinessProbe") or {}).get("httpGet") or {}
        if not page or page.get("scheme", "HTTP") != "HTTP":
            continue
        for port in container.get("ports") or ():
            if page.get("port") in (port["containerPort"], port.get("name")):
                path = str(page.get("path") or "/")
                return int(port["containerPort"]), str(port.get("name") or ""), path
    return None


def _tried(
    snapshot: Snapshot, where: tuple[str, int], path: str, environ: Mapping[str, str]
) -> SignalDraft | str:
    """Ask the page once."""
    service, port = where
    url = f"http://{service}.{snapshot.target.namespace}.svc:{port}{path}"
    if "{{" in url:
        return "the path of the readiness probe cannot be written into a policy"
    client = HttpClient(environ=environ, timeout=SECONDS)
    try:
        status = client.call("GET", url, seconds=SECONDS).status
    except CallFailed as error:
        return f"{url} cannot be asked from here: {error.detail}"
    finally:
        client.close()
    if status != 200:
        return f"{url} answers {status} now, expected 200"
    keys: tuple[tuple[str, str | dict[str, str], str], ...] = (
        ("name", "readiness-page", ""),
        ("description", "The page that tells whether the service is ready does not.", ""),
        ("provider", "http", ""),
        ("url", url, "The page of the readiness probe; it answered 200 where guard init ran."),
        ("failures", "3", "In a row: one lost packet is no reason for a rollback."),
        ("timeout", "5s", ""),
    )
    return SignalDraft("There are no metrics: this sees only an outage of all pods.", keys)
