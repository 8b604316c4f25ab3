"""The command line and the output of a deploy command, as they may be kept.

Decides by names (`masking`) and by value: what is a secret in the command line or in the
environment is one in the output too. Best effort: a secret under an innocent name is not known.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from deploy_guard.masking import HIDDEN, SECRET_FLAG, SECRET_NAME, masked_lines, shown

_SHORTEST = 6  # characters of a value that is looked for in the output
_ASSIGNMENT = re.compile(r"(?P<name>[\w.\[\]/-]+)=(?P<value>[^,]*)")  # helm's a.b=c,d=e too


def redacted_command(words: Sequence[str]) -> str:
    """Return the command line as a shell would take it, without values of secret names."""
    before = ["", *words]
    return shlex.join(
        HIDDEN if _is_secret_flag(flag) else _word(word)
        for flag, word in zip(before, words, strict=False)
    ).replace(shlex.quote(HIDDEN), HIDDEN)


def redacted_lines(
    lines: Iterable[str], *, words: Sequence[str], environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Return lines of output without what is known, or looks, to be a secret."""
    text = "\n".join(lines)
    for value in sorted(_secrets(words, environ), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return tuple(masked_lines(text)) if text else ()


def _word(word: str) -> str:
    def hide(found: re.Match[str]) -> str:
        return f"{found['name']}={HIDDEN}" if SECRET_NAME.search(found["name"]) else found[0]

    return shown(_ASSIGNMENT.sub(hide, word), longest=len(word) + 20 * len(HIDDEN))


def _is_secret_flag(word: str) -> bool:
    return "=" not in word and SECRET_FLAG.fullmatch(f"{word} x") is not None


def _secrets(words: Sequence[str], environ: Mapping[str, str]) -> set[str]:
    """Return the values that have a secret's name, of the command line and of the environment."""
    found = {value for flag, value in pairwise(words) if _is_secret_flag(flag)}
    for word in words:
        for match in _ASSIGNMENT.finditer(word):
            if SECRET_NAME.search(match["name"]):
                found.add(match["value"])
    found |= {v for k, v in environ.items() if SECRET_NAME.search(k) and not _is_path(v)}
    return {value for value in found if len(value) >= _SHORTEST}


def _is_path(value: str) -> bool:
    """Tell whether a value is rather the place of a secret (SSH_AUTH_SOCK) than a secret."""
    return value.startswith("/")
