"""One HTTP call: credentials, certificates, a deadline for the whole call, a bound on its size.

Decides what is sent and when to give up. Nothing is retried, because a poll comes soon again;
redirects are never followed, because a login page answers 200. How failures are said is in
`http_failures`, where secrets come from in `credentials`.
"""

from __future__ import annotations

import http.client
import http.cookiejar
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from deploy_guard.model import NoDataReason
from deploy_guard.signals.credentials import request_headers, require_tls_files, secrets_in
from deploy_guard.signals.fan_out import within
from deploy_guard.signals.http_failures import (
    CallFailed,
    NotConfigured,
    explain,
    is_url,
    late,
    public_host,
    public_url,
)

if TYPE_CHECKING:
    from deploy_guard.policy.models import BasicAuth, SecretRef, Tls

LARGEST_ANSWER = 1 << 20  # bytes
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names are lower case, `seconds` last until the body was read."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool  # the body is longer than the bound
    seconds: float
    certificate_ends: float | None = None  # Unix seconds
    secrets: frozenset[str] = field(default=frozenset(), repr=False)  # that were sent

    @property
    def text(self) -> str:
        """The body as text, whatever its bytes."""
        return self.body.decode("utf-8", "replace")

    @property
    def location(self) -> str:
        """Where a redirect points to, without what may be secret."""
        return self.hide(public_url(self.headers.get("location", "")))

    @property
    def kind(self) -> str:
        """The media type; empty when the peer gives none."""
        return self.hide(self.headers.get("content-type", "").partition(";")[0])

    def hide(self, text: str) -> str:
        """Blank the secrets that were sent, for a peer may send them back."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


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
        if not is_url(url):
            raise NotConfigured(NoDataReason.REJECTED, f"the URL of {host} is not valid")
        limit = min(self._timeout, seconds) if seconds is not None else self._timeout
        headers = request_headers(
            url,
            environ=self._environ,
            headers=self._headers,
            bearer=self._bearer,
            basic=self._basic,
        )
        require_tls_files(self._tls)
        gone = threading.Event()
        data: Any = form if form is not None else (body.encode() if body is not None else None)
        request = requests.Request(
            method, _without_user_info(url), params=query, data=data, headers=None,
            auth=_Headers(headers),
        )  # fmt: skip
        try:
            answer = within(limit, lambda: self._exchange(request, limit, gone))
            return replace(answer, secrets=secrets_in(headers, self._headers))
        except TimeoutError:
            raise late(host, limit) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise explain(error, host, limit=limit, tls=self._tls) from None
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
        timeout = (limit, limit)
        with session.send(prepared, timeout=timeout, allow_redirects=False, **settings) as reply:
            ends = getattr(reply.raw.connection, "certificate_ends", None)
            body = bytearray()
            for piece in _pieces(reply.raw):
                body += piece
                if len(body) > self._largest or gone.is_set():
                    break
            cut = len(body) > self._largest
            seconds = time.monotonic() - began
            headers = {name.lower(): value for name, value in reply.headers.items()}
            return Answer(
                reply.status_code, headers, bytes(body[: self._largest]), cut, seconds, ends
            )  # fmt: skip


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


def _without_user_info(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _pieces(raw: Any) -> Iterator[bytes]:
    """Yield the body as it arrives, so that a trickle can be given up between two pieces."""
    while piece := raw.read1(_CHUNK, decode_content=True):
        yield piece
