"""The text of a file that belongs to a policy, with every scalar marked that may be a secret.

Decides what can be read as text, and how much of it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path as FilePath
from typing import BinaryIO

from deploy_guard.policy import yaml
from deploy_guard.policy.problems import Problem
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.secrets import is_secret_name
from deploy_guard.policy.source import Source
from deploy_guard.policy.yaml import Path

MAX_BYTES = 1 << 20
SUFFIXES = (".yaml", ".yml")  # how names of policy files end
STDIN = "-"
STDIN_NAME = "<stdin>"  # what standard input is called in problems


def read_source(
    file: str, stdin: BinaryIO | None = None, stdin_name: str = STDIN_NAME
) -> Source | Problem:
    """Return the text of a file, or why it cannot be read as text. Reads no more than a bound.

    ``-`` is standard input, which problems call `stdin_name`.
    """
    name = stdin_name if file == STDIN else file
    if not file:
        help = "a variable that is not set?"
        return Problem("unreadable", "the name of the file is empty", "''", help=help)
    try:
        if file == STDIN:
            data = _standard_input(stdin).read(MAX_BYTES + 1)
        else:
            with FilePath(file).open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Problem("unreadable", f"the file cannot be read: {reason.lower()}", name)
    if len(data) > MAX_BYTES:
        help = "split it into several files; -p may be given several times"
        return Problem("too-large", "the file is larger than 1 MiB", name, help=help)
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return Source(name, data.decode())
    except UnicodeDecodeError as error:
        before = Source(name, data[: error.start].decode())
        byte = f"0x{data[error.start]:02x}"
        line, column = before.spot(len(before.text))
        message = f"the file is not UTF-8 text: byte {byte}"
        utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        help = "it looks like UTF-16; save it as UTF-8" if utf_16 else "save it as UTF-8"
        return Problem("binary", message, name, line, column, help=help)


def _standard_input(stdin: BinaryIO | None) -> BinaryIO:
    """Return standard input; raises ValueError when the process has none."""
    if stdin is None and sys.stdin is None:
        raise ValueError("standard input is closed")
    return stdin or sys.stdin.buffer


def hide_secrets(source: Source, root: yaml.Node) -> None:
    """Mark every scalar that may be a secret, so that no problem shows it."""
    for path, node in yaml.walk(root):
        if isinstance(node.value, Scalar) and may_be_secret(path, node.value):
            source.hidden.append((node.start, node.end))


def may_be_secret(path: Path, text: str) -> bool:
    """Whether the value at a path may be a secret, by the names that lead to it."""
    names = [str(step) for step in path]
    if not names or names[-1] == "file":
        return False
    if names[-1] == "env":
        return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", text) is None
    if names[0] == "values" and is_secret_name("".join(names[1:2])):
        return True  # it is refused, but it stands there
    known = {"url", "timeout", "ca", "cert", "key", "verify", "username"}
    if names[0] == "prometheus" and names[-1] not in known:
        return True
    secret = {"headers", "bearer", "basic", "password"}
    return is_secret_name(names[-1]) or not secret.isdisjoint(names)
