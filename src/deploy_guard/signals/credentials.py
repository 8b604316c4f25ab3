"""The secrets and certificates of a call, found when they are needed.

Decides where they are looked up. Messages name the variable or the file, never the value.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from deploy_guard.model import NoDataReason
from deploy_guard.signals.http_failures import NotConfigured

if TYPE_CHECKING:
    from deploy_guard.policy.models import BasicAuth, SecretRef, Tls


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


def request_headers(
    url: str,
    *,
    environ: Mapping[str, str],
    headers: Mapping[str, str | SecretRef],
    bearer: SecretRef | None,
    basic: BasicAuth | None,
) -> dict[str, str]:
    """Return all headers of a request, secrets resolved; raises NotConfigured.

    User and password in the URL become basic authentication, which `basic` and `bearer` replace.
    """
    found = {"User-Agent": "deploy-guard"}
    parts = urlsplit(url)
    if parts.username is not None:
        found["Authorization"] = _basic(unquote(parts.username), unquote(parts.password or ""))
    if basic is not None:
        password = resolve(basic.password, environ)
        found["Authorization"] = _basic(basic.username, password)
    if bearer is not None:
        found["Authorization"] = f"Bearer {resolve(bearer, environ)}"
    for name, value in headers.items():
        found[name] = value if isinstance(value, str) else resolve(value, environ)
    for name, value in found.items():
        if re.search(r"[\x00-\x1f\x7f]|[^\x00-\xff]", value):
            text = f"the value of header {name} has characters that a header cannot carry"
            raise NotConfigured(NoDataReason.UNAUTHORIZED, text)
    return found


def require_tls_files(tls: Tls | None) -> None:
    """Raise NotConfigured for a certificate file that cannot be read."""
    if tls is None:
        return
    for key in ("ca", "cert", "key"):
        path = getattr(tls, key)
        if path is None:
            continue
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            text = f"tls.{key}: {path} cannot be read ({error.strerror})"
            raise NotConfigured(NoDataReason.UNREACHABLE, text) from None


def _basic(username: str, password: str) -> str:
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return f"Basic {pair}"
