"""The form in which an object or a list goes to the client: whole, metadata only, as a table.

Decides by the Accept header: JSON or YAML, and the ``as=`` parameter. Protobuf is not spoken: a
client that prefers it gets JSON if it takes that too, else 406.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from deploy_guard.embedded import tables
from deploy_guard.embedded.resources import Resource
from deploy_guard.embedded.statuses import not_acceptable

Object = dict[str, Any]

META = "meta.k8s.io/v1"
JSON = "application/json"
YAML = "application/yaml"
WILDCARDS = ("*/*", "application/*", "")
TEXT_TAG = "tag:yaml.org,2002:str"
TARGETS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True, slots=True)
class Form:
    """What the client wants: the media type and the target kind ("" for the object itself)."""

    media: str = JSON
    target: str = ""


def negotiate(accept: str) -> Form:
    """Return the first form in the Accept header that can be served. Raises ApiError (406)."""
    for choice in accept.split(","):
        media, *parts = [part.strip() for part in choice.split(";")]
        parameters = dict(part.split("=", 1) for part in parts if "=" in part)
        target = parameters.get("as", "")
        if target and (target not in TARGETS or parameters.get("v", "v1") != "v1"):
            continue
        if media in (JSON, *WILDCARDS):
            return Form(JSON, target)
        if media == YAML:
            return Form(YAML, target)
    raise not_acceptable()


class _Dumper(yaml.SafeDumper):
    """Quotes as Kubernetes does: text that would read as something else in double quotes."""


def _text_node(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    tag: str = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    style = None if tag == TEXT_TAG else '"'
    return dumper.represent_scalar(TEXT_TAG, text, style=style)


_Dumper.add_representer(str, _text_node)


def to_yaml(body: Any) -> str:
    """Return a body as the server writes YAML: keys in order of the alphabet."""
    text: str = yaml.dump(body, Dumper=_Dumper, default_flow_style=False, allow_unicode=True)
    return text


def show_object(resource: Resource, obj: Object, form: Form) -> Object:
    """Return one object in the form asked for."""
    if form.target == "Table":
        version = obj["metadata"].get("resourceVersion", "")
        return _table(resource, [obj], {"resourceVersion": version})
    if form.target:
        return _partial(obj)
    return obj


def show_list(resource: Resource, items: list[Object], metadata: Object, form: Form) -> Object:
    """Return a list in the form asked for; the items of a plain list carry no kind."""
    if form.target == "Table":
        return _table(resource, items, metadata)
    kind, api_version = f"{resource.kind}List", resource.api_version
    if form.target:
        kind, api_version = "PartialObjectMetadataList", META
        items = [_partial(obj) for obj in items]
    else:
        hidden = ("kind", "apiVersion")
        items = [{k: v for k, v in obj.items() if k not in hidden} for obj in items]
    return {"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}


def event_shower(resource: Resource, form: Form) -> Callable[[str, Object], Object]:
    """Return a function that brings the objects of one watch stream into the form asked for.

    In a stream of tables only the first one describes the columns.
    """
    described = False

    def show(type_: str, obj: Object) -> Object:
        nonlocal described
        if type_ == "ERROR" or not form.target:
            return obj
        if form.target != "Table":
            return _partial(obj)
        if type_ == "BOOKMARK":
            table = {**_table(resource, [], obj["metadata"])}
        else:
            table = show_object(resource, obj, form)
        if described:
            table["columnDefinitions"] = []
        described = True
        return table

    return show


def _table(resource: Resource, items: list[Object], metadata: Object) -> Object:
    return {
        "kind": "Table",
        "apiVersion": META,
        "metadata": metadata,
        "columnDefinitions": tables.definitions(resource),
        "rows": [tables.row(resource, obj, _partial(obj)) for obj in items],
    }


def _partial(obj: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": obj["metadata"]}
