"""The command line and the output of a deploy command, as they may be kept.

Decides by names, as `masking` does, and by value: what is a secret in the command line or in the
environment is one in the output too. Best effort: a secret under an innocent name is not known.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from deploy_guard.masking import HIDDEN, masked_lines, names_secret
from deploy_guard.secret_names import ANY, find

_SHORTEST = 6  # characters of a value that is looked for in the output
_NAME = rf"[\w.\[\]/-]*(?:{ANY})[\w.\[\]/-]*"
_VALUE = r"""(?P<value>'[^']*'|"[^"]*"|[^\s,&;'"]+)"""
_SPANS = (
    re.compile(
        rf"(?P<before>(?:{_NAME})\s*:\s+(?:[Bb]earer\s+|[Bb]asic\s+)?){_VALUE}", re.IGNORECASE
    ),
    re.compile(rf"(?P<before>(?:{_NAME})=){_VALUE}", re.IGNORECASE),
    re.compile(rf"(?P<before>(?<![\w.-])--?(?:{_NAME})\s+)(?!-){_VALUE}", re.IGNORECASE),
    re.compile(r"(?P<before>://(?:[^/@:\s]*:)?)(?P<value>[^/@\s]+)(?=@)"),
)


def redacted_command(words: Sequence[str], *, environ: Mapping[str, str]) -> str:
    """Return the command line as a shell would take it, without secret values."""
    hidden, _ = _without_secrets(words)
    hidden = [_without(word, _of_environment(environ)) for word in hidden]
    return shlex.join(hidden).replace(shlex.quote(HIDDEN), HIDDEN)


def redacted_lines(
    lines: Iterable[str], *, words: Sequence[str], environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Return lines of output without what is known, or looks, to be a secret."""
    _, secrets = _without_secrets(words)
    text = _without("\n".join(lines), secrets | _of_environment(environ))
    return tuple(masked_lines(text)) if text else ()


def _of_environment(environ: Mapping[str, str]) -> set[str]:
    """Return the values of variables with a secret's name.

    Paths stand under such names too (SSH_AUTH_SOCK); they are the place of a secret.
    """
    return {v for k, v in environ.items() if find(k) and not v.startswith("/")}


def _without(text: str, secrets: Iterable[str]) -> str:
    """Hide every occurrence; a short value would hide what has nothing to do with it."""
    for value in sorted(secrets, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, HIDDEN)
    return text


def _without_secrets(words: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return the words with secret values hidden, and these values."""
    hidden = []
    secrets: set[str] = set()

    def hide(found: re.Match[str]) -> str:
        secrets.add(found["value"].strip("'\""))
        return found["before"] + HIDDEN

    for before, word in zip(["", *words], words, strict=False):
        if names_secret(before):
            secrets.add(word)
            hidden.append(HIDDEN)
            continue
        text = word
        for span in _SPANS:
            text = span.sub(hide, text)
        hidden.append(text)
    return hidden, secrets - {HIDDEN}
