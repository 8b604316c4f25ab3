"""OpenAPI: as much of it as kubectl needs before it creates or applies something.

Decides nothing about types: the documents list the paths and say that the server takes
``fieldValidation``, so that kubectl leaves validation to the server.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.embedded.resources import GROUP_VERSIONS, RESOURCES, Resource

Object = dict[str, Any]


def answer(path: str, accept: str) -> tuple[Object, str] | None:  # noqa: ARG001
    """Return the document at an OpenAPI path and its media type, None if there is none."""
    if path == "/openapi/v3":
        roots = [_root(group, version) for group, version in GROUP_VERSIONS]
        links = {root: {"serverRelativeURL": f"/openapi/v3/{root}?hash=1"} for root in roots}
        return {"paths": links}, "application/json"
    for group, version in GROUP_VERSIONS:
        if path == f"/openapi/v3/{_root(group, version)}":
            return _document(group, version), "application/json"
    return None


def _root(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _document(group: str, version: str) -> Object:
    paths = {}
    for resource in RESOURCES:
        if (resource.group, resource.version) == (group, version) and "patch" in resource.verbs:
            where = "namespaces/{namespace}/" if resource.namespaced else ""
            path = f"/{_root(group, version)}/{where}{resource.plural}"
            paths[f"{path}/{{name}}"] = {"patch": _operation(resource)}
    info = {"title": "Kubernetes", "version": "v1.36.2"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}


def _operation(resource: Resource) -> Object:
    kind = {"group": resource.group, "kind": resource.kind, "version": resource.version}
    parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    return {
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": kind,
        "parameters": [parameter],
        "responses": {"200": {"description": "OK"}},
    }
