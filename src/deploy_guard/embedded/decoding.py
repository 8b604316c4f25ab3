"""Read request bodies: JSON or YAML, the right kind, the right types.

Decides the 400, 415 and 422 answers to bodies that Kubernetes' decoder refuses, and the warnings
about unknown fields and about fields that stand twice.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from deploy_guard.embedded.protobuf import MEDIA_TYPE, UnreadableError, read_protobuf
from deploy_guard.embedded.resources import Resource
from deploy_guard.embedded.schema import MistypedError, drop_unknown
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


class _Doubled(dict[str, Any]):
    """An object in which some members stood twice."""

    doubled: tuple[str, ...] = ()


def _members(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = [name for name, _ in pairs]
    result = _Doubled(found)
    result.doubled = tuple(name for name in found if names.count(name) > 1)
    return result


def duplicates(value: Any, path: str = "") -> list[str]:
    """Return the paths of the members that stood twice in a parsed body."""
    found: list[str] = []
    if isinstance(value, _Doubled):
        found += [f"{path}.{name}".lstrip(".") for name in value.doubled]
    if isinstance(value, dict):
        for name, item in value.items():
            found += duplicates(item, f"{path}.{name}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            found += duplicates(item, f"{path}[{i}]")
    return [one.lstrip(".") for one in found]


def go_json(body: bytes) -> Any:
    """Parse JSON. Raises ValueError with the text of Go's parser."""
    text = body.decode("utf-8", "replace")
    if not text.strip():
        raise ValueError("unexpected end of JSON input")
    try:
        return json.loads(text, object_pairs_hook=_members)
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
    elif media == MEDIA_TYPE:
        found = _protobuf(body)
    else:
        raise unsupported_media(UNKNOWN_FORMAT)
    if not isinstance(found, dict):
        shown = body[:30].decode("utf-8", "replace")
        text = "json: cannot unmarshal into Go value of type struct"
        raise _unrecognized(resource, f"couldn't get version/kind; json parse error: {text}", shown)
    _check_kind(resource, found)
    return found


def _protobuf(body: bytes) -> Object:
    try:
        return read_protobuf(body)
    except UnreadableError as error:
        raise unsupported_media(str(error)) from None


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


def check_types(resource: Resource, obj: Object, validation: FieldValidation) -> None:
    """Check a posted object; drop what its type does not have. Raises ApiError (400)."""
    validation.doubled = duplicates(obj)
    try:
        unknown = drop_unknown(resource, obj)
        _check_special(resource, obj)
    except MistypedError as error:
        raise _unhandled(resource, str(error)) from None
    told = validation.tell(unknown)
    if told:
        raise _unhandled(resource, told)


def check_patched_types(
    resource: Resource, obj: Object, validation: FieldValidation, shown: str
) -> None:
    """Check a patched object; drop what its type does not have.

    Raises ApiError (422) that quotes what was `shown`: the object, or the patch.
    """
    try:
        unknown = drop_unknown(resource, obj)
        _check_special(resource, obj)
        told = validation.tell(unknown)
    except MistypedError as error:
        told = str(error)
        shown = json.dumps(obj, separators=(",", ":"))
    if told:
        message = f"Invalid value: {json.dumps(shown)}: {told}"
        raise invalid("", "", [Cause("patch", "FieldValueInvalid", message)]) from None


@dataclass(slots=True)
class FieldValidation:
    """What is to be done about unknown fields: Ignore, Warn or Strict, and what was found."""

    mode: str
    doubled: list[str] = field(default_factory=list)  # fields that stood twice in the body
    warnings: list[str] = field(default_factory=list)

    def tell(self, unknown: list[str]) -> str:
        """Keep a warning for each unknown field, or return the text of the error."""
        problems = [f'duplicate field "{path}"' for path in self.doubled]
        problems += [f'unknown field "{path}"' for path in unknown]
        if self.mode == "Strict" and problems:
            return f"strict decoding error: {', '.join(problems)}"
        if self.mode != "Ignore":
            self.warnings = problems
        return ""


def go_text(value: Any) -> str:
    """Return a value as Go's %v prints it, which is how some messages quote a patch."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(go_text, value))}]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unhandled(resource: Resource, text: str) -> ApiError:
    return bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a '
        f"{resource.kind}: {text}"
    )


def _check_special(resource: Resource, obj: Object) -> None:
    """Check the values that only look like text: base64 and times with microseconds."""
    if resource.kind == "Secret":
        for text in (obj.get("data") or {}).values():
            if not is_base64(text):
                raise MistypedError("illegal base64 data at input byte 0")
    if resource.kind == "Lease":
        for name in ("acquireTime", "renewTime"):
            _micro_time((obj.get("spec") or {}).get(name))


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
