"""One HTTP call: credentials, certificates, a deadline for the whole call, a bound on its size.

Decides how a call can fail and how that is said. Nothing that may be secret gets into a message:
no header values, no user info, no query strings. Nothing is retried, because a poll comes soon
again; redirects are never followed, because a login page answers 200.
"""

from __future__ import annotations

import base64
import http.client
import http.cookiejar
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from deploy_guard.model import NoDataReason
from deploy_guard.signals.fan_out import within

if TYPE_CHECKING:
    from deploy_guard.policy.models import BasicAuth, SecretRef, Tls

LARGEST_ANSWER = 1 << 20  # bytes
_CHUNK = 1 << 14


class CallFailed(Exception):
    """A call without an answer; the text is fit for everybody's eyes."""

    def __init__(self, reason: NoDataReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class NotConfigured(CallFailed):
    """A call that could not be made at all: guard's own side is at fault."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names are lower case, `seconds` last until the body was read."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool  # the body is longer than the bound
    seconds: float
    certificate_ends: float | None = None  # Unix seconds

    @property
    def text(self) -> str:
        """The body as text, whatever its bytes."""
        return self.body.decode("utf-8", "replace")

    @property
    def location(self) -> str:
        """Where a redirect points to, without what may be secret."""
        return public_url(self.headers.get("location", ""))


class HttpClient:
    """Makes calls with one set of credentials, resolved anew for every call.

    `timeout` (seconds) bounds a whole call, name resolution and body included.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        timeout: float,
        tls: Tls | None = None,
        headers: Mapping[str, str | SecretRef] | None = None,
        bearer: SecretRef | None = None,
        basic: BasicAuth | None = None,
        largest: int = LARGEST_ANSWER,
        proxies: bool = True,
    ) -> None:
        self._environ = environ
        self._timeout = timeout
        self._tls = tls
        self._headers = dict(headers or {})
        self._bearer = bearer
        self._basic = basic
        self._largest = largest
        self._session = requests.Session()
        self._session.trust_env = proxies
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self._session.mount("https://", _CertificateAdapter())
        if tls is not None and not tls.verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def __repr__(self) -> str:
        return f"HttpClient(timeout={self._timeout:g})"

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()

    def call(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        body: str | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """Make one call and return the answer, whatever its status.

        `seconds` shortens the client's timeout for this call.
        Raises NotConfigured when a secret or certificate file is missing, else CallFailed.
        """
        host = public_host(url)
        limit = min(self._timeout, seconds) if seconds is not None else self._timeout
        headers = self._resolve_headers(url)
        self._require_tls_files()
        gone = threading.Event()
        data: Any = form if form is not None else (body.encode() if body is not None else None)
        request = requests.Request(
            method, _without_user_info(url), params=query, data=data, headers=None,
            auth=_Headers(headers),
        )  # fmt: skip
        try:
            return within(limit, lambda: self._exchange(request, limit, gone))
        except TimeoutError:
            raise _late(host, limit) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._explain(error, host, limit) from None
        except (http.client.HTTPException, ValueError) as error:
            text = f"{host} broke the protocol ({type(error).__name__})"
            raise CallFailed(NoDataReason.PROVIDER_ERROR, text) from None
        finally:
            gone.set()

    def _exchange(self, request: requests.Request, limit: float, gone: threading.Event) -> Answer:
        began = time.monotonic()
        session = self._session
        prepared = session.prepare_request(request)
        verify: bool | str = True
        cert: tuple[str, str] | str | None = None
        if self._tls is not None:
            verify = (self._tls.ca or True) if self._tls.verify else False
            if self._tls.cert:
                cert = (self._tls.cert, self._tls.key) if self._tls.key else self._tls.cert
        settings = session.merge_environment_settings(prepared.url, {}, True, verify, cert)
        if verify is not True:
            settings["verify"] = verify  # the policy's word stands above REQUESTS_CA_BUNDLE
        timeout = (limit, limit)
        with session.send(prepared, timeout=timeout, allow_redirects=False, **settings) as reply:
            ends = getattr(reply.raw.connection, "certificate_ends", None)
            body = b""
            for piece in _pieces(reply.raw):
                body += piece
                if len(body) > self._largest or gone.is_set():
                    break
            cut = len(body) > self._largest
            seconds = time.monotonic() - began
            headers = {name.lower(): value for name, value in reply.headers.items()}
            return Answer(
                reply.status_code, headers, body[: self._largest], cut, seconds, ends
            )  # fmt: skip

    def _resolve_headers(self, url: str) -> dict[str, str]:
        found = {"User-Agent": "deploy-guard"}
        parts = urlsplit(url)
        if parts.username is not None:
            found["Authorization"] = _basic(parts.username, parts.password or "")
        if self._basic is not None:
            password = resolve(self._basic.password, self._environ)
            found["Authorization"] = _basic(self._basic.username, password)
        if self._bearer is not None:
            found["Authorization"] = f"Bearer {resolve(self._bearer, self._environ)}"
        for name, value in self._headers.items():
            found[name] = value if isinstance(value, str) else resolve(value, self._environ)
        for name, value in found.items():
            if re.search(r"[\x00-\x1f\x7f]|[^\x00-\xff]", value):
                text = f"the value of header {name} has characters that a header cannot carry"
                raise NotConfigured(NoDataReason.UNAUTHORIZED, text)
        return found

    def _require_tls_files(self) -> None:
        if self._tls is None:
            return
        for key in ("ca", "cert", "key"):
            path = getattr(self._tls, key)
            if path is None:
                continue
            try:
                with Path(path).open("rb"):
                    pass
            except OSError as error:
                text = f"tls.{key}: {path} cannot be read ({error.strerror})"
                raise NotConfigured(NoDataReason.UNREACHABLE, text) from None

    def _explain(self, error: Exception, host: str, limit: float) -> CallFailed:
        """Say in own words why a call failed: the libraries' texts quote whole URLs."""
        unreachable = NoDataReason.UNREACHABLE
        chain = list(_chain(error))
        for cause in chain:
            if isinstance(cause, (requests.Timeout, TimeoutError)):
                return _late(host, limit)
        for cause in chain:
            if isinstance(cause, ssl.SSLCertVerificationError):
                text = f"the certificate of {host} is not trusted: {cause.verify_message}"
                return CallFailed(unreachable, text)
            if isinstance(cause, socket.gaierror):
                return CallFailed(unreachable, f"the name of {host} cannot be resolved")
            if isinstance(cause, ConnectionRefusedError):
                return CallFailed(unreachable, f"{host} refuses connections")
        for cause in chain:
            if isinstance(cause, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema,
                                  requests.exceptions.InvalidSchema)):  # fmt: skip
                return NotConfigured(NoDataReason.REJECTED, f"the URL of {host} is not valid")
            if isinstance(cause, ssl.SSLError):
                return self._explain_tls(cause, host)
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

    def _explain_tls(self, error: ssl.SSLError, host: str) -> CallFailed:
        """Tell a handshake that failed from a certificate file of ours that cannot be used."""
        tls = self._tls
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


class _Headers(AuthBase):
    """Sets our headers last; with an auth of our own, requests leaves ~/.netrc alone."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


class _CertificateConnection(HTTPSConnection):
    """Notes when the server's certificate ends."""

    certificate_ends: float | None = None

    def connect(self) -> None:
        super().connect()
        certificate = self.sock.getpeercert() if isinstance(self.sock, ssl.SSLSocket) else None
        if certificate and "notAfter" in certificate:
            self.certificate_ends = float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


class _CertificatePool(HTTPSConnectionPool):
    ConnectionCls = _CertificateConnection


class _CertificateAdapter(HTTPAdapter):
    """Connects by `_CertificateConnection`, with and without a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


_POOLS = {"http": HTTPConnectionPool, "https": _CertificatePool}


def resolve(secret: SecretRef, environ: Mapping[str, str]) -> str:
    """Return the secret that a reference names; a file is read anew, blanks around it are cut.

    Raises NotConfigured, which names the variable or file and never the value.
    """
    if secret.env is not None:
        value = environ.get(secret.env, "")
        if not value:
            text = f"the environment variable {secret.env} is not set"
            raise NotConfigured(NoDataReason.UNAUTHORIZED, text)
        return value
    if secret.file is None:
        text = "the secret names neither an environment variable nor a file"
        raise NotConfigured(NoDataReason.UNAUTHORIZED, text)
    try:
        value = Path(secret.file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not text"
        text = f"the secret file {secret.file} cannot be read ({why})"
        raise NotConfigured(NoDataReason.UNAUTHORIZED, text) from None
    if not value:
        text = f"the secret file {secret.file} is empty"
        raise NotConfigured(NoDataReason.UNAUTHORIZED, text)
    return value


def _late(host: str, limit: float) -> CallFailed:
    return CallFailed(NoDataReason.TIMEOUT, f"{host} gave no answer within {limit:g} s")


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


def _without_user_info(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _basic(username: str, password: str) -> str:
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return f"Basic {pair}"


def _pieces(raw: Any) -> Iterator[bytes]:
    """Yield the body as it arrives, so that a trickle can be given up between two pieces."""
    read = getattr(raw, "read1", raw.read)
    while piece := read(_CHUNK, decode_content=True):
        yield piece


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
