"""The secrets and certificates of a call, found when they are needed.

Decides where they are looked up. Messages name the variable or the file, never the value.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from deploy_guard.model import NoDataReason
from deploy_guard.signals.http_failures import NotConfigured

if TYPE_CHECKING:
    from deploy_guard.policy.models import BasicAuth, SecretRef, Tls

_SCHEMES = ("Basic", "Bearer", "Token")
_SHORTEST = 4  # characters of a secret that is looked for in texts


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


def secrets_in(headers: Mapping[str, str], plain: Mapping[str, str | SecretRef]) -> frozenset[str]:
    """Return what must never be shown of the headers that `request_headers` resolved.

    `plain` has the headers as the policy gives them: those that are written out are no secrets.
    Very short values are left out: they would be found in every text.
    """
    found: set[str] = set()
    for name, value in headers.items():
        if name == "User-Agent" or isinstance(plain.get(name), str):
            continue
        found |= {value, *value.split()}  # a scheme and a token are one value
        with contextlib.suppress(ValueError):  # no base64, so no user and password
            pair = base64.b64decode(value.split()[-1], validate=True).decode()
            found.add(pair.partition(":")[2])
    found |= {json.dumps(value, ensure_ascii=False)[1:-1] for value in found}  # as JSON spells it
    return frozenset(value for value in found if len(value) >= _SHORTEST and value not in _SCHEMES)


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
