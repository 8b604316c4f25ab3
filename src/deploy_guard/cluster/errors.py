"""What can go wrong between guard and the Kubernetes API: one class per cause.

Decides which class an answer becomes and which part of the server's words may be shown. Does not
decide what is tried again (`retry`). The server's Status is kept as code, reason and a message
without values: a 422 can quote the whole live object, Secret data included.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy_guard.errors import GuardError

GROUPED = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/.))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
TEST_FAILED = "the server rejected our request due to an error in our request"
DENIED = re.compile(r'cannot (\w+) resource "([^"]+)"')  # RBAC; admission words it otherwise
QUOTED = re.compile(r'Invalid value: (?:"(?:[^"\\]|\\.)*"|[^"{\[\s:][^:{\[]*)')
LONGEST = 300  # characters of a server's message that are kept


@dataclass(frozen=True, slots=True)
class Call:
    """One request in Kubernetes' words: the verb and the object it is about."""

    verb: str
    resource: str
    name: str = ""
    namespace: str = ""
    group: str = ""

    @classmethod
    def of(cls, verb: str, path: str) -> Call:
        """Read resource, name and namespace from an API path; other paths stand for themselves."""
        match = GROUPED.match(path)
        if match is None:
            return cls(verb, path)
        sub = match["sub"]
        resource = f"{match['resource']}/{sub}" if sub else match["resource"]
        if verb == "get" and not match["name"]:
            verb = "list"
        return cls(
            verb, resource, match["name"] or "", match["namespace"] or "", match["group"] or ""
        )

    @property
    def what(self) -> str:
        """The object, such as ``deployments.apps "web" in namespace "shop"``."""
        resource, _, sub = self.resource.partition("/")
        text = f"{resource}.{self.group}" if self.group else resource
        text += f"/{sub}" if sub else ""
        text += f' "{self.name}"' if self.name else ""
        return text + (f' in namespace "{self.namespace}"' if self.namespace else "")


class ApiError(GuardError):
    """A request that the API server refused or could not be asked.

    `code` is the HTTP status (0 without an answer), `reason` and `detail` the server's, `fields`
    the fields that its validation names, `retry_after` seconds if the server named them.
    """

    def __init__(
        self,
        call: Call,
        detail: str,
        *,
        code: int = 0,
        reason: str = "",
        retry_after: float | None = None,
        fields: tuple[str, ...] = (),
        help: str = "",
    ) -> None:
        super().__init__(f"{call.what}: cannot {call.verb}: {detail}", help=help)
        self.call = call
        self.detail = detail
        self.code = code
        self.reason = reason
        self.retry_after = retry_after
        self.fields = fields


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):
    """403: a right is missing, or an admission rule said no (`missing_right` tells which)."""

    missing_right = ""


class NotFound(ApiError):
    """404: the object, its namespace or its kind does not exist."""


class Conflict(ApiError):
    """409: somebody else changed or made the object first."""


class Gone(ApiError):
    """410: the version asked for is no longer kept; list again."""


class Invalid(ApiError):
    """422: validation, a policy, or a JSON Patch operation refused the object."""

    @property
    def test_failed(self) -> bool:
        """Whether this is a failed JSON Patch operation; the server does not say which one.

        Recorded: no causes and this very message, unlike an answer of validation or admission.
        """
        return not self.fields and self.detail == TEST_FAILED


class TooManyRequests(ApiError):
    """429: the server is overloaded, nothing was done."""


class ServerError(ApiError):
    """5xx: the server, or something that it depends on such as a webhook, failed."""


class NotKubernetes(ApiError):
    """Something answered that does not speak the Kubernetes API, such as a login page."""


class Stale(ApiError):
    """A read that is older than what was seen before: a replica that lags behind answered."""


class Unreachable(ApiError):
    """No connection, or it broke; whether a write was done is not known."""


class Untrusted(Unreachable):
    """The server's certificate is not trusted; nothing was sent."""


class Timeout(Unreachable):
    """No answer in time; whether a write was done is not known."""


CLASSES: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def from_answer(call: Call, code: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Make the error of an answer; the body may be a Status, plain text or a page."""
    if not 400 <= code < 600:
        return _not_kubernetes(call, code, headers)
    status = _status(body)
    if status is not None:
        return from_status(call, {"code": code} | status, headers)
    content = headers.get("content-type", "").partition(";")[0]
    if content == "text/html":
        return _not_kubernetes(call, code, headers)
    text = safe(body[: 4 * LONGEST].decode("utf-8", "replace")) if content == "text/plain" else ""
    return from_status(call, {"code": code, "message": text}, headers)


def from_status(call: Call, status: Mapping[str, Any], headers: Mapping[str, str]) -> ApiError:
    """Make the error of a Status object; `headers` may hold Retry-After."""
    code = int(status.get("code") or 500)
    details = status.get("details") or {}
    fields = tuple(str(c["field"]) for c in details.get("causes") or () if c.get("field"))
    kind = CLASSES.get(code, ServerError if code >= 500 else ApiError)
    detail = safe(str(status.get("message") or "")) or f"status {code}, with no explanation"
    error = kind(
        call,
        detail,
        code=code,
        reason=str(status.get("reason") or ""),
        retry_after=_seconds(headers.get("retry-after") or details.get("retryAfterSeconds")),
        fields=fields,
    )
    _help(error)
    return error


def safe(message: str) -> str:
    """Return the part of a server's message that holds no values of objects, in one line.

    Validation quotes the value that it refuses, and a decoding error the whole live object, so
    every quoted value, and all after the first brace, is left out.
    """
    message = QUOTED.sub("Invalid value", message)
    message = re.sub(r"Invalid value: \".*|(?:\bmap)?[{\[].*", "…", message, flags=re.S)
    message = " ".join(message.split())
    return message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"


def _status(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("kind") == "Status" else None


def _seconds(value: object) -> float | None:
    try:
        seconds = float(str(value)) if value is not None else None
    except ValueError:
        return None  # the HTTP-date form; Kubernetes does not send it
    return max(0.0, seconds) if seconds is not None and math.isfinite(seconds) else None


def _not_kubernetes(call: Call, code: int, headers: Mapping[str, str]) -> NotKubernetes:
    content = headers.get("content-type", "no content type").partition(";")[0]
    return NotKubernetes(
        call,
        f"the answer (status {code}, {content}) is not from a Kubernetes API",
        code=code,
        help="check the server's address in the kubeconfig, and any proxy on the way",
    )


def _help(error: ApiError) -> None:
    """Say what to do, in the one line that goes with the error."""
    call = error.call
    if isinstance(error, Unauthorized):
        error.help = "the credentials are missing, wrong or expired: log in again"
    elif isinstance(error, Forbidden):
        if match := DENIED.search(error.detail):
            group = f' of API group "{call.group}"' if call.group else ""
            where = f' in namespace "{call.namespace}"' if call.namespace else ""
            error.missing_right = f'"{match[1]}" on "{match[2]}"{group}{where}'
            error.help = f"the account needs {error.missing_right}; docs/rollback.md has a Role"
        else:
            error.help = "an admission rule of the cluster said no; its owner knows why"
    elif isinstance(error, NotFound):
        error.help = "check the name, the namespace (-n) and the context"
    elif isinstance(error, ServerError) and "webhook" in error.detail:
        error.help = "an admission webhook of the cluster does not answer; its owner knows why"
