"""Which text of a policy could be a secret, so that no problem ever shows one.

Decides by names (of keys and headers) and by forms (credentials in URLs, bearer tokens). Errs on
the side of hiding: a shown line may lose a harmless word.
"""

from __future__ import annotations

import re

from deploy_guard.secret_names import WORDS, is_certain

_KEY_IN_QUERY = re.compile(
    r"[?&](?:[\w.-]{0,40}[_.-])?(?:token|secret|password|passwd|api-?key|key|sig|signature)=[^&\s]",
    re.IGNORECASE,
)
_BLANK = "***"

_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(://)[^/@\s\"']+@"), rf"\1{_BLANK}@"),
    (
        re.compile(rf"([?&][\w.-]{{0,40}}(?:{WORDS}|key|sig)[\w.-]{{0,40}}=)[^&\s\"']+", re.I),
        rf"\1{_BLANK}",
    ),
    (re.compile(r"\b((?:Bearer|Basic|Token)\s+)[\w.~+/=-]{6,}", re.I), rf"\1{_BLANK}"),
    (
        re.compile(
            rf"((?:{WORDS}|basic)[\w.-]{{0,40}}[\"']?\s{{0,9}}:\s*)"
            r"(?!\{)(?:\"[^\"]*\"?|'[^']*'?|[^\s,{}][^,{}]*)",
            re.I,
        ),
        rf"\1{_BLANK}",
    ),
)


def is_secret_name(name: str) -> bool:
    """Whether a key or header of this name usually holds a secret."""
    return is_certain(name)


def hide(text: str) -> str:
    """Blank everything in a text that looks like a secret."""
    for form, blank in _FORMS:
        text = form.sub(blank, text)
    return text


def has_credentials(url: str) -> bool:
    """Whether a URL carries a user, a password, or a key in its query."""
    return _FORMS[0][0].search(url) is not None or _KEY_IN_QUERY.search(url) is not None
