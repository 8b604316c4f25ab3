"""Discovery: versions, groups and resources, in the old form and in the aggregated one.

Decides what a client learns about the API from the table of `resources`.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.embedded.resources import Catalogue, Resource

Object = dict[str, Any]

VERSION: Object = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2+deploy-guard.embedded",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "embedded",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
SUBRESOURCE_KINDS = {
    "proxy": ("PodProxyOptions", "", ("create", "delete", "get", "patch", "update")),
    "scale": ("Scale", "autoscaling", ("get", "patch", "update")),
    "token": ("TokenRequest", "authentication.k8s.io", ("create",)),
}


def answer(path: str, accept: str, address: str, catalogue: Catalogue) -> tuple[Object, str] | None:
    """Return the document at a discovery path and its media type, None if there is none."""
    path = path.rstrip("/")
    if path == "/version":
        return VERSION, "application/json"
    if path in ("/api", "/apis") and "as=APIGroupDiscoveryList" in accept and "v=v2" in accept:
        return _aggregated(catalogue, core=path == "/api"), AGGREGATED
    document = _document(path, address, catalogue)
    return None if document is None else (document, "application/json")


def _document(path: str, address: str, catalogue: Catalogue) -> Object | None:
    groups = catalogue.groups
    if path == "":
        return {"paths": _paths(catalogue)}
    if path == "/api":
        servers = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": servers}
    if path == "/apis":
        listed = [_group(catalogue, group) for group in groups]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    if path == "/api/v1":
        found = _resources(catalogue, "", "v1")
        return {"kind": "APIResourceList", "groupVersion": "v1", "resources": found}
    parts = path.split("/")
    if len(parts) == 3 and parts[1] == "apis" and parts[2] in groups:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(catalogue, parts[2])}
    known = catalogue.group_versions
    if len(parts) == 4 and parts[1] == "apis" and (parts[2], parts[3]) in known:
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{parts[2]}/{parts[3]}",
            "resources": _resources(catalogue, parts[2], parts[3]),
        }
    return None


def _paths(catalogue: Catalogue) -> list[str]:
    named = [f"/apis/{group}" for group in catalogue.groups]
    named += [f"/apis/{group}/{version}" for group, version in catalogue.group_versions if group]
    fixed = ("/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version")
    return sorted([*named, *fixed])


def _group(catalogue: Catalogue, group: str) -> Object:
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version}
        for version in catalogue.versions(group)
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _resources(catalogue: Catalogue, group: str, version: str) -> list[Object]:
    found: list[Object] = []
    for resource in catalogue.of(group, version):
        entry: Object = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(resource.verbs),
        }
        if resource.short:
            entry["shortNames"] = list(resource.short)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        found.append(entry)
        found += [_subresource(resource, name) for name in resource.subresources]
    return sorted(found, key=lambda entry: str(entry["name"]))


def _subresource(resource: Resource, name: str) -> Object:
    default = (resource.kind, resource.group, ("get", "patch", "update"))
    kind, group, verbs = SUBRESOURCE_KINDS.get(name, default)
    entry: Object = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": list(verbs),
    }
    if group != resource.group:
        entry["group"], entry["version"] = group, "v1"
    return entry


def _aggregated(catalogue: Catalogue, *, core: bool) -> Object:
    groups = [""] if core else catalogue.groups
    items = []
    for group in groups:
        versions = [
            {
                "version": version,
                "resources": [_discovered(resource) for resource in catalogue.of(group, version)],
                "freshness": "Current",
            }
            for version in catalogue.versions(group)
        ]
        items.append({"metadata": {"name": group} if group else {}, "versions": versions})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _discovered(resource: Resource) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [_discovered_part(resource, s) for s in resource.subresources]
    return entry


def _discovered_part(resource: Resource, name: str) -> Object:
    part = _subresource(resource, name)
    kind = {
        "group": part.get("group", ""),
        "version": part.get("version", ""),
        "kind": part["kind"],
    }
    return {"subresource": name, "responseKind": kind, "verbs": part["verbs"]}
