"""Servers and certificates for the tests of signals."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from signals.web_server import Reply, WebServer


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of an own authority and of a client certificate; the server's ends in 30 days."""

    ca: str
    cert: str
    key: str
    server: ssl.SSLContext


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A server that answers 200 with an empty JSON object until a test says otherwise."""
    with WebServer(lambda _request: Reply(body="{}")) as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that no machine trusts, with certificates of both sides."""
    folder: Path = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    client = authority.issue_cert("guard@example.org")
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    client.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ends = datetime.now(UTC) + timedelta(days=30)
    authority.issue_cert("127.0.0.1", not_after=ends).configure_cert(context)
    authority.configure_trust(context)
    ca, cert, key = (str(folder / name) for name in ("ca.pem", "client.pem", "client.key"))
    return Certificates(ca, cert, key, context)


@pytest.fixture
def tls_web(certificates: Certificates) -> Iterator[WebServer]:
    """The same server over TLS."""
    certificates.server.verify_mode = ssl.CERT_NONE
    with WebServer(lambda _request: Reply(body="{}"), context=certificates.server) as server:
        yield server
