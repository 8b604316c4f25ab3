"""Rules of URLs, headers and certificates; secrets that are written out are found here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

from deploy_guard.policy.merge import Places
from deploy_guard.policy.models import PrometheusConnection, SecretRef, Tls
from deploy_guard.policy.problems import Problem, Severity
from deploy_guard.policy.secrets import has_credentials, is_secret_name
from deploy_guard.policy.yaml import Path

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BY_REFERENCE = "write {env: NAME} or {file: PATH}"


def prometheus(connection: PrometheusConnection, places: Places) -> Iterator[Problem]:
    """Check the connection to Prometheus."""
    path: Path = ("prometheus",)
    text = connection.url if isinstance(connection.url, str) else ""
    if isinstance(connection.url, str):
        yield from url(connection.url, (*path, "url"), places, base=True)
    yield from headers(connection.headers, (*path, "headers"), places)
    yield from tls(connection.tls, text, (*path, "tls"), places)
    if connection.bearer is not None and connection.basic is not None:
        message = "'bearer' and 'basic' contradict each other: a request has one Authorization"
        yield places.key("contradiction", (*path, "basic"), message, help="keep one of them")
    named = next((h for h in connection.headers if h.lower() == "authorization"), None)
    if named and (connection.bearer is not None or connection.basic is not None):
        message = "the header contradicts 'bearer' and 'basic': a request has one Authorization"
        at = (*path, "headers", named)
        yield places.key("contradiction", at, message, help="keep one of them")


def url(text: str, path: Path, places: Places, *, base: bool = False) -> Iterator[Problem]:
    """Check an absolute HTTP URL; a base has no query."""
    if has_credentials(text):
        yield places.at(
            "literal-secret",
            path,
            f"'{path[-1]}' carries a secret: expected a URL without user, password or key",
            help="give the URL, the user and the password, or a header by reference: {env: NAME}",
        )
        return
    fault = _fault(text, base=base)
    if fault:
        message, help = fault
        yield places.at("bad-url", path, f"'{path[-1]}' {message}", help=help)


def is_base_url(text: str) -> bool:
    """Whether a text is the URL of an HTTP API, without credentials and query."""
    return not has_credentials(text) and _fault(text, base=True) is None


def _fault(text: str, *, base: bool) -> tuple[str, str] | None:
    """Return what is wrong with a URL, and help."""
    parts = _split(text)
    http = parts is not None and parts.scheme in {"http", "https"}
    if parts is None or not http or not parts.hostname:
        bare = (
            "://" not in text and len(text) < 100 and re.fullmatch(r"[\w.-]+(:\d+)?(/\S*)?", text)
        )
        help = f"did you mean http://{text}?" if bare else "such as http://prometheus:9090"
        return "is not an HTTP URL", help
    if wrong := re.search(r"[\s{}<>\"\\^`]", text):
        what = "a blank" if wrong[0].isspace() else wrong[0]
        return f"has {what} in it: expected a URL without", ""
    if base and (parts.query or parts.fragment):
        return "has a query: expected the base URL of the API", ""
    if base and re.search(r"/api/v1(/|$)", parts.path):
        help = "leave out /api/v1 and what follows"
        return "has the path of the API: expected the base URL", help
    return None


def _split(text: str) -> SplitResult | None:
    """Return a URL's parts, or None when it is none."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return None
    return parts


def headers(given: Mapping[str, str | SecretRef], path: Path, places: Places) -> Iterator[Problem]:
    """Check names of headers, and that secret ones are references."""
    for name, value in given.items():
        at = (*path, name)
        if not _HEADER.fullmatch(name):
            yield places.key("bad-header", at, "this is not the name of an HTTP header")
        elif isinstance(value, SecretRef):
            continue
        elif is_secret_name(name):
            message = f"the header '{name[:60]}' is a secret: expected where it is found"
            yield places.key("literal-secret", at, message, help=_BY_REFERENCE)
        elif re.search(r"[\r\n]", value.strip()) or not value.isprintable():
            yield places.key("bad-header", at, f"the header '{name[:60]}' has more than one line")


def tls(given: Tls, address: str, path: Path, places: Places) -> Iterator[Problem]:
    """Check certificates against the URL that they are for, where it is known."""
    if not given.verify and given.ca is not None:
        message = "'ca' has no effect: 'verify' is false"
        yield places.key("no-effect", (*path, "ca"), message, severity=Severity.WARNING)
    if address.startswith("http://") and given.model_fields_set:
        message = "'tls' has no effect on a URL that begins with http://"
        yield places.key("no-effect", path, message, severity=Severity.WARNING)
