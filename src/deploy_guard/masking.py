"""What of a value may be shown to people: never what may be a secret.

Decides by the name of a value and by its own form; in texts of many lines by the names in each
line. What is a secret by its place (a Secret's data) is never handed in here.
"""

from __future__ import annotations

import re
from typing import Any

from deploy_guard.secret_names import find, hide, is_secret

HIDDEN = "(hidden)"
ABSENT = "(none)"
LONGEST = 200
UNCUT = 1 << 30
_NAMED = re.compile(r"^(?P<name>[^:=>]*[:=>]\s*)(?P<value>\S?)")
_FLAG = re.compile(r"-{1,2}[\w.-]+")
_KEY_BLOCK = re.compile(r"-----BEGIN [^-]*-----.*?(?:-----END [^-]*-----|\Z)", re.S)


def masked(value: Any, name: str = "") -> Any:
    """Return a JSON value in which every string that may be a secret is hidden."""
    if isinstance(value, dict):
        if isinstance(value.get("value"), str) and "op" not in value:  # an environment variable
            return {**value, "value": of_variable(str(value.get("name", "")), value["value"])}
        return {key: masked(member, key) for key, member in value.items()}
    if isinstance(value, list):
        before = ["", *value]  # an argument may be the value of the flag before it
        return [
            HIDDEN if isinstance(flag, str) and names_secret(flag) else inner
            for flag, inner in zip(before, (masked(member, name) for member in value), strict=False)
        ]
    if not isinstance(value, str):
        return value
    return text_of(name, value, longest=UNCUT)


def of_variable(name: str, value: str, *, longest: int = UNCUT) -> str:
    """Show the value of an environment variable or a header; its name is any word of a user's."""
    return HIDDEN if value and find(name) else shown(value, longest=longest)


def text_of(name: str, value: Any, *, longest: int = LONGEST) -> str:
    """Show a value, hidden if its name says that it is a secret."""
    if value is None:
        return ABSENT
    if isinstance(value, str) and value and is_secret(name):
        return HIDDEN
    return shown(value, longest=longest)


def shown(value: Any, *, longest: int = LONGEST) -> str:
    """Show a value in one line of at most `longest` characters, without passwords in it."""
    if isinstance(value, dict):
        inner = ", ".join(f"{key}: {text_of(key, member)}" for key, member in sorted(value.items()))
        return _cut(f"{{{inner}}}", longest)
    if isinstance(value, list):
        return _cut(" ".join(shown(member) for member in masked(value)), longest)
    text = str(value) if not isinstance(value, bool) else str(value).lower()
    if "\n" in text:
        return _cut("\n".join(masked_lines(text, longest=longest)), longest)
    return _cut(hide(text, HIDDEN), longest)


def names_secret(flag: str) -> bool:
    """Tell whether an argument is an option whose value, the next argument, may be a secret."""
    return _FLAG.fullmatch(flag) is not None and find(flag) is not None


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def masked_lines(text: str, *, longest: int = LONGEST) -> list[str]:
    """Return the lines of a text, each without what may be a secret.

    Where the name in a line is that of a secret, the rest of it is hidden, and so are the lines
    that stand deeper below it. Where the value is such a name (``name: PASSWORD``), or nothing
    follows the name, the next line is hidden, and the one before it.
    """
    text = _KEY_BLOCK.sub(lambda found: "\n".join([HIDDEN] * (found[0].count("\n") + 1)), text)
    raw = text.split("\n")
    hidden = [False] * (len(raw) + 1)
    lines = [_line(line, longest) for line in raw]
    depth: int | None = None  # of the latest line whose name is that of a secret
    for number, line in enumerate(raw):
        indent = len(line) - len(line.lstrip(" \t-"))
        if depth is not None and line.strip():
            hidden[number] |= indent > depth
            depth = depth if indent > depth else None
        found = find(line)
        if found is None:
            continue
        depth = indent if depth is None else depth
        named = _NAMED.match(line)
        as_value = named is not None and found.start() >= len(named["name"])
        if named is None or as_value or not named["value"] or line.endswith("\\"):
            hidden[number + 1] = True
        if as_value and number:
            hidden[number - 1] = True
    return [HIDDEN if hide else line for hide, line in zip(hidden, lines, strict=False)]


def _line(line: str, longest: int) -> str:
    """Hide what follows the first word in a line that may name a secret."""
    found = find(line)
    if found is None:
        return shown(line, longest=longest)
    named = _NAMED.match(line)
    if named is None or found.start() >= len(named["name"]):
        return f"{line[: found.end()].strip()} {HIDDEN}"
    return f"{named['name'].strip()} {HIDDEN}"
