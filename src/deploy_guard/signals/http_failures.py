"""How a call over HTTP can fail, and how that is said.

Decides the reason and the words. Nothing that may be secret gets into them: no header values, no
user info, no query strings.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3

from deploy_guard.model import NoDataReason

if TYPE_CHECKING:
    from deploy_guard.policy.models import Tls


class CallFailed(Exception):
    """A call without an answer; the text is fit for everybody's eyes."""

    def __init__(self, reason: NoDataReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class NotConfigured(CallFailed):
    """A call that could not be made at all: guard's own side is at fault."""


def late(host: str, limit: float) -> CallFailed:
    """Return the failure of a call that took longer than `limit` seconds."""
    shown = round(limit, 1) or limit  # what is left of a shared timeout differs each time
    return CallFailed(NoDataReason.TIMEOUT, f"{host} gave no answer within {shown:g} s")


def explain(error: Exception, host: str, *, limit: float, tls: Tls | None) -> CallFailed:
    """Say in own words why a call failed: the libraries' texts quote whole URLs.

    `limit` is the timeout in seconds; `tls` names the files that may be at fault.
    """
    unreachable = NoDataReason.UNREACHABLE
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, (requests.Timeout, TimeoutError)):
            return late(host, limit)
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            text = f"the certificate of {host} is not trusted: {cause.verify_message}"
            return CallFailed(unreachable, text)
        if isinstance(cause, socket.gaierror):
            # Where guard runs, cluster names may not be known: that is not the deploy's fault.
            return NotConfigured(unreachable, f"the name of {host} cannot be resolved")
        if isinstance(cause, ConnectionRefusedError):
            return CallFailed(unreachable, f"{host} refuses connections")
    for cause in chain:
        if isinstance(cause, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema,
                              requests.exceptions.InvalidSchema)):  # fmt: skip
            return NotConfigured(NoDataReason.REJECTED, f"the URL of {host} is not valid")
        if isinstance(cause, ssl.SSLError):
            return _explain_tls(cause, host, tls)
        if isinstance(cause, urllib3.exceptions.DecodeError):
            text = f"the answer of {host} cannot be decoded"
            return CallFailed(NoDataReason.PROVIDER_ERROR, text)
        if isinstance(cause, urllib3.exceptions.ProxyError):
            return CallFailed(unreachable, f"the proxy for {host} cannot be reached")
    for cause in chain:
        if isinstance(cause, (ConnectionError, http.client.HTTPException)):
            return CallFailed(unreachable, f"{host} closed the connection without an answer")
        if isinstance(cause, OSError) and cause.strerror and cause.errno is not None:
            return CallFailed(unreachable, f"{host}: {cause.strerror.lower()}")
    return CallFailed(unreachable, f"{host} cannot be reached ({type(error).__name__})")


def _explain_tls(error: ssl.SSLError, host: str, tls: Tls | None) -> CallFailed:
    """Tell a handshake that failed from a certificate file of ours that cannot be used."""
    for key in ("ca", "cert"):
        path = getattr(tls, key, None)
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if path is not None and key == "ca":
                context.load_verify_locations(cafile=path)
            elif path is not None:
                context.load_cert_chain(path, getattr(tls, "key", None), password=str)
        except (OSError, ValueError):
            text = f"tls.{key}: {path} is not a usable certificate in PEM form"
            return NotConfigured(NoDataReason.UNREACHABLE, text)
    words = (error.reason or "handshake failed").replace("_", " ").lower()
    return CallFailed(NoDataReason.UNREACHABLE, f"TLS with {host} failed: {words}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that caused it; urllib3 hides causes in `reason` and `args`."""
    todo: list[Any] = [error]
    seen: set[int] = set()
    while todo:
        cause = todo.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        todo += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]


def is_url(url: str) -> bool:
    """Tell whether a text is an HTTP address with a host and a port that can be."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def public_host(url: str) -> str:
    """Return the host and port of a URL."""
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port}" if parts.port else (host or "(no host)")
    except ValueError:
        return "(no valid host)"


def public_url(url: str) -> str:
    """Return a URL without user info, query string and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    host = public_host(url) if parts.netloc else ""
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
