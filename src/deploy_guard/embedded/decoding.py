"""Read request bodies: JSON or YAML, the right kind, the right types.

Decides the 400, 415 and 422 answers to bodies that Kubernetes' decoder refuses. Only the types
of the fields that the embedded cluster acts on are checked; unknown fields are kept.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from deploy_guard.embedded.resources import Resource
from deploy_guard.embedded.statuses import (
    ApiError,
    Cause,
    bad_request,
    invalid,
    unsupported_media,
)
from deploy_guard.embedded.validation import is_base64

Object = dict[str, Any]

UNKNOWN_FORMAT = (
    "the body of the request was in an unknown format - accepted media types include: "
    "application/json, application/yaml, application/vnd.kubernetes.protobuf"
)
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
MICRO_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"
INTEGERS = ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")


class MistypedError(Exception):
    """A value of a type that the field cannot hold, in the words of Go's JSON decoder."""


def go_json(body: bytes) -> Any:
    """Parse JSON. Raises ValueError with the text of Go's parser."""
    text = body.decode("utf-8", "replace")
    if not text.strip():
        raise ValueError("unexpected end of JSON input")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = error.pos
        if at >= len(text.rstrip()) or "Unterminated" in error.msg:
            raise ValueError("unexpected end of JSON input") from None
        shown = text[at]
        raise ValueError(f"invalid character '{shown}' looking for beginning of value") from None


def read_object(resource: Resource, body: bytes, content_type: str) -> Object:
    """Return the object in a POST or PUT body. Raises ApiError (400, 415)."""
    media = content_type.partition(";")[0].strip().lower()
    if media in ("application/yaml", "application/x-yaml", "text/yaml"):
        found = _yaml(resource, body)
    elif media in ("", "application/json"):
        found = _json(resource, body)
    else:
        raise unsupported_media(UNKNOWN_FORMAT)
    if not isinstance(found, dict):
        shown = body[:30].decode("utf-8", "replace")
        text = "json: cannot unmarshal into Go value of type struct"
        raise _unrecognized(resource, f"couldn't get version/kind; json parse error: {text}", shown)
    _check_kind(resource, found)
    return found


def _json(resource: Resource, body: bytes) -> Any:
    try:
        return go_json(body)
    except ValueError as error:
        text = body.decode("utf-8", "replace")
        shown = f"{text[:30]} ..." if len(text) > 30 else text or "<empty>"
        told = f"couldn't get version/kind; json parse error: {error}"
        raise _unrecognized(resource, told, shown) from None


def _yaml(resource: Resource, body: bytes) -> Any:
    try:
        # dates must stay text, as in JSON: BaseLoader would turn numbers into text as well
        return json.loads(json.dumps(yaml.safe_load(body), default=_date_text))
    except (yaml.YAMLError, TypeError) as error:
        raise _unrecognized(resource, f"error converting YAML to JSON: {error}", "") from None


def _date_text(value: Any) -> str:
    text: str = value.isoformat()
    return text.replace("+00:00", "Z")


def _unrecognized(resource: Resource, told: str, shown: str) -> ApiError:
    return bad_request(
        f"the object provided is unrecognized (must be of type {resource.kind}): {told} ({shown})"
    )


def _check_kind(resource: Resource, obj: Object) -> None:
    version = obj.get("apiVersion") or resource.api_version
    kind = obj.get("kind") or resource.kind
    obj["apiVersion"], obj["kind"] = version, kind
    if kind != resource.kind:
        package = resource.group.partition(".")[0] or "core"
        raise bad_request(
            f'{kind} in version "{version.rpartition("/")[2]}" cannot be handled as a '
            f"{resource.kind}: converting (v1.{kind}) to ({package}.{resource.kind}): "
            "unknown conversion"
        )
    if version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({resource.api_version})"
        )
    metadata = obj.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        text = "json: cannot unmarshal into Go struct field .metadata of type v1.ObjectMeta"
        raise _unhandled(resource, text)


def check_types(resource: Resource, obj: Object) -> None:
    """Check the types of a posted object. Raises ApiError (400)."""
    try:
        find_mistyped(resource, obj)
    except MistypedError as error:
        raise _unhandled(resource, str(error)) from None


def check_patched_types(resource: Resource, obj: Object, shown: object) -> None:
    """Check the types of a patched object. Raises ApiError (422) that quotes what was shown."""
    try:
        find_mistyped(resource, obj)
    except MistypedError as error:
        quoted = json.dumps(json.dumps(shown, separators=(",", ":")))
        message = f"Invalid value: {quoted}: {error}"
        raise invalid("", "", [Cause("patch", "FieldValueInvalid", message)]) from None


def _unhandled(resource: Resource, text: str) -> ApiError:
    return bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a '
        f"{resource.kind}: {text}"
    )


def find_mistyped(resource: Resource, obj: Object) -> None:
    """Raise MistypedError for the first value of a wrong type."""
    kind = resource.kind
    metadata = obj.get("metadata") or {}
    for field in ("labels", "annotations"):
        _texts(metadata.get(field), f"ObjectMeta.metadata.{field}")
    spec = obj.get("spec")
    if kind in ("ConfigMap", "Secret"):
        _texts(obj.get("data"), f"{kind}.data")
    if kind == "Secret" and any(not is_base64(text) for text in (obj.get("data") or {}).values()):
        raise MistypedError("illegal base64 data at input byte 0")
    if spec is not None and not isinstance(spec, dict):
        raise MistypedError(_mistyped(spec, f"{kind}.spec", f"v1.{kind}Spec"))
    for field in INTEGERS:
        value = (spec or {}).get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise MistypedError(_mistyped(value, f"{kind}Spec.spec.{field}", "int32"))
    if kind == "Lease":
        for field in ("acquireTime", "renewTime"):
            _micro_time((spec or {}).get(field))


def _texts(values: Any, where: str) -> None:
    if values is None:
        return
    if not isinstance(values, dict):
        raise MistypedError(_mistyped(values, where, "map[string]string"))
    for value in values.values():
        if value is not None and not isinstance(value, str):
            raise MistypedError(_mistyped(value, where, "string"))


def _mistyped(value: object, where: str, wanted: str) -> str:
    names = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
    found = names.get(type(value), "object")
    return f"json: cannot unmarshal {found} into Go struct field {where} of type {wanted}"


def _micro_time(text: Any) -> None:
    """Check a time as Go's time.Parse does with the layout of MicroTime."""
    if text is None:
        return
    told = f'parsing time "{text}" as "{MICRO_LAYOUT}": cannot parse'
    whole = MICRO_TIME.match(str(text))
    if whole is None:
        raise MistypedError(f'{told} "{text}" as "2006"')
    rest = str(text)[whole.end() :]
    if not re.match(r"\.\d{6}", rest):
        raise MistypedError(f'{told} "{rest}" as ".000000"')
    if not re.fullmatch(r"Z|[+-]\d\d:\d\d", rest[7:]):
        raise MistypedError(f'{told} "{rest[7:]}" as "Z07:00"')
