"""The forms in which a check is told, besides JSON; each form has a file of its own.

Text and GitHub's commands are written as files are checked. The others keep what they print.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TextIO

from deploy_guard.check.reports import FileReport


def write(
    reports: Iterable[FileReport], form: str, *, environ: Mapping[str, str], stdout: TextIO
) -> Iterator[str]:
    """Yield the parts of the result, each without a newline at its end.

    `form` is text, github, sarif or junit; `stdout` is asked whether it shows colours.
    """
    if form == "text":
        from deploy_guard.check.as_text import text
        from deploy_guard.outputs.screen import coloured

        yield from text(reports, colour=coloured(stdout, environ))
        return
    from deploy_guard.check.repository import top

    root = top(environ)
    if form == "github":
        from deploy_guard.check.github import commands

        yield from commands(reports, root=root)
    elif form == "junit":
        from deploy_guard.check.junit import suite

        yield suite(reports, root=root)
    else:
        from deploy_guard.check.sarif import documentation, log

        yield json.dumps(log(reports, root=root, docs=documentation()))
