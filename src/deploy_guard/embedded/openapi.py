"""OpenAPI: as much of it as kubectl needs before it creates or applies something.

Decides nothing about types: the documents list the paths and say that the server takes
``fieldValidation``, so that kubectl leaves validation to the server. Old versions of kubectl read
the version 2 document, as protobuf; they skip the validation of types that it does not name.
"""

from __future__ import annotations

from typing import Any

from deploy_guard.embedded.resources import Catalogue, Resource

Object = dict[str, Any]


V2_ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
V2_MEDIA_TYPE = V2_ASKED.replace("@", ".")  # clients refuse to parse an answer's @
V2_DOCUMENT = {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": {}}
# the same as a message openapi.v2.Document: swagger (1), info (2) of title (1) and version (2)
V2_INFO = b"\x0a\x0aKubernetes\x12\x07v1.36.2"
V2_MESSAGE = b"\x0a\x032.0\x12" + bytes([len(V2_INFO)]) + V2_INFO + b"\x42\x00"


def answer(path: str, accept: str, catalogue: Catalogue) -> tuple[Object | bytes, str] | None:
    """Return the document at an OpenAPI path and its media type, None if there is none."""
    if path == "/openapi/v2":
        is_message = V2_ASKED in accept
        return (V2_MESSAGE, V2_MEDIA_TYPE) if is_message else (V2_DOCUMENT, "application/json")
    if path == "/openapi/v3":
        roots = [_root(group, version) for group, version in catalogue.group_versions]
        links = {root: {"serverRelativeURL": f"/openapi/v3/{root}?hash=1"} for root in roots}
        return {"paths": links}, "application/json"
    for group, version in catalogue.group_versions:
        if path == f"/openapi/v3/{_root(group, version)}":
            return _document(catalogue, group, version), "application/json"
    return None


def _root(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _document(catalogue: Catalogue, group: str, version: str) -> Object:
    paths = {}
    for resource in catalogue.of(group, version):
        if "patch" in resource.verbs:
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
