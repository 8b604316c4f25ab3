"""What the name of a secret looks like, and where its value stands in a text: one list for all.

Decides by names and by forms, never by what a value looks like. Errs on the side of hiding. There
are two strengths: CERTAIN is for what is refused and for prose, where a word too much would hide
what helps; ANY is for the names of values, where hiding a harmless one costs little.
"""

from __future__ import annotations

import re

WORDS = r"authori[sz]ation|token|passw(?:or)?d|secret|api[-_]?key|cookie|credential|bearer"
_KEYS = (
    "access|account|admin|app|application|auth|encryption|functions?|licen[cs]e|master|private"
    "|service|shared|signing|subscription"
)
CERTAIN = rf"{WORDS}|session|(?:^|[-_])auth(?:$|[-_])|(?:{_KEYS})[-_]?key"
ANY = (
    rf"{WORDS}|pass|pwd|key|cred|auth|private|session|salt|dsn|cert|conn[\w. -]{{0,40}}str"
    r"|webhook|jwt|signature|hmac|mnemonic|cipher|docker(?:cfg|config)|kubeconfig|id_rsa|netrc"
    r"|(?<![a-z])(?:pw|psw|otp|totp|sig|sas|pin|pem)(?![a-z])"
)

# Fields of Kubernetes and of policies whose values are names and numbers that one needs to see.
REFERENCES = frozenset({"key", "secretName", "topologyKey", "tokenExpirationSeconds"})

_CERTAIN = re.compile(CERTAIN, re.IGNORECASE)
_ANY = re.compile(ANY, re.IGNORECASE)
USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")  # the user and password of a URL
_SCHEME = r"(?:(?:Bearer|Basic|Token|Digest)\s+)?"
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,&;'"{}\[\]][^\s,&;'"]*)"""
_REST = r"[\w.\[\]/-]{0,64}"  # what may follow in a name; bounded, so that no text takes long


def _forms(names: str, colon: str) -> tuple[re.Pattern[str], ...]:
    """Return the forms of NAME=value and NAME: value; all before the value is kept."""
    name = rf"(?:{names}){_REST}\\?[\"']?"
    return (
        re.compile(rf"({name}\s{{0,3}}=\s{{0,3}}){_VALUE}", re.IGNORECASE),
        re.compile(rf"({name}\s{{0,3}}{colon}{_SCHEME}){_VALUE}", re.IGNORECASE),
    )


_BEARER = re.compile(r"\b(Bearer\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
_FLAG = re.compile(
    rf"(?<![\w.-])(-{{1,2}}[\w.-]{{0,64}}?(?:{ANY}){_REST}\s{{1,9}})(?!-){_VALUE}", re.IGNORECASE
)
# keycloak:24 is an image and auth:8080 a server, so there must be a blank or a quote
_FIELD = r":(?:\s{1,9}|(?=\\?[\"']))"
_ANY_FORMS = (*_forms(ANY, _FIELD), *_forms(r"passw(?:or)?d", ":"), _FLAG, _BEARER)
_PROSE_FORMS = (*_forms(WORDS, r":\s{0,9}"), _BEARER)


def is_certain(name: str) -> bool:
    """Whether what has this name is a secret: a policy may not have it written out."""
    return _CERTAIN.search(name) is not None


def is_secret(name: str) -> bool:
    """Whether what has this name may be a secret: its value is not shown."""
    return name not in REFERENCES and find(name) is not None


def find(text: str) -> re.Match[str] | None:
    """Return the first place in a text that may be the name of a secret."""
    return _ANY.search(text)


def hide(text: str, blank: str) -> str:
    """Blank the value behind every name that may be a secret's: for values and command lines."""
    return _hidden(text, blank, _ANY_FORMS)


def hide_in_prose(text: str, blank: str) -> str:
    """Blank the value behind every name that is a secret's: for sentences of others."""
    return _hidden(text, blank, _PROSE_FORMS)


def _hidden(text: str, blank: str, forms: tuple[re.Pattern[str], ...]) -> str:
    text = USER_IN_URL.sub(f"{blank}@", text)
    for form in forms:
        text = form.sub(lambda found: found[1] + blank, text)
    return text
