"""Discovery describes the resources as the recorded Kubernetes 1.36 does."""

from __future__ import annotations

from typing import Any

import pytest

from embedded.http_client import ApiClient
from embedded.recordings import load

Object = dict[str, Any]

LISTS = ["/api/v1", "/apis/apps/v1", "/apis/coordination.k8s.io/v1", "/apis/events.k8s.io/v1"]
LISTS += ["/apis/authorization.k8s.io/v1", "/apis/authentication.k8s.io/v1"]
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def recorded(path: str, accept: str = "application/json") -> Object:
    """Return the recorded document."""
    for step in load("01-discovery").steps:
        if step.path == path and step.headers.get("accept") == accept:
            answer: Object = step.answer
            return answer
    raise LookupError(path)


@pytest.mark.parametrize("path", LISTS)
def test_resource_list(api: ApiClient, path: str) -> None:
    """Every entry of a resource list is as in the recorded list, apart from the storage hash."""
    theirs = {entry["name"]: entry for entry in recorded(path)["resources"]}
    ours = api.get(path)
    for entry in ours["resources"]:
        wanted = {k: v for k, v in theirs[entry["name"]].items() if k != "storageVersionHash"}
        assert entry == wanted
    assert len(ours["resources"]) > 0


def test_aggregated_discovery(api: ApiClient) -> None:
    """The aggregated form describes the core group as recorded."""
    answer = api.call("GET", "/api", Accept=AGGREGATED)
    assert answer.headers["Content-Type"] == AGGREGATED
    theirs = recorded("/api", AGGREGATED)["items"][0]["versions"][0]["resources"]
    known = {entry["resource"]: entry for entry in theirs}
    for entry in answer.body["items"][0]["versions"][0]["resources"]:
        wanted = dict(known[entry["resource"]])
        subresources = {part["subresource"]: part for part in wanted.pop("subresources", [])}
        for part in entry.pop("subresources", []):
            assert part == subresources[part["subresource"]]
        assert entry == wanted


@pytest.mark.parametrize("path", ["/api", "/apis", "/apis/apps", "/version", "/"])
def test_other_documents_have_the_recorded_shape(api: ApiClient, path: str) -> None:
    """The documents above the resources have the members that clients read."""
    assert api.get(path).keys() == recorded(path).keys()


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_health(api: ApiClient, path: str) -> None:
    """The health paths say ok as plain text."""
    answer = api.call("GET", path)
    assert (answer.status, answer.body) == (200, "ok")
