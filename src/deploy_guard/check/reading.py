"""Which files a check reads, each on its own and once; one at a time, so that none is kept.

Decides what paths stand for and what is no policy at all. The rules of policies are the policy's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from deploy_guard.check.reports import FileReport, Report
from deploy_guard.policy.problems import Problem

if TYPE_CHECKING:
    from deploy_guard.policy.values import Values

_STREAMS = ("/dev/", "/proc/")  # a shell's <(command) is a pipe that somebody writes into


def check(
    paths: Sequence[Path | str],
    *,
    prometheus_given: bool = False,
    stdin: BinaryIO | None = None,
    stdin_name: str = "",
    values: Values | None = None,
) -> Report:
    """Check policy files, each on its own, and keep all of them; see `each`."""
    found = each(
        paths,
        prometheus_given=prometheus_given,
        stdin=stdin,
        stdin_name=stdin_name,
        values=values,
    )
    return Report(tuple(found))


def each(
    paths: Sequence[Path | str],
    *,
    prometheus_given: bool = False,
    stdin: BinaryIO | None = None,
    stdin_name: str = "",
    values: Values | None = None,
) -> Iterator[FileReport]:
    """Yield policy files one by one as they are checked; a directory stands for those below it.

    ``-`` is standard input: the text of `stdin_name` if that is given, instead of what is on disk.
    `prometheus_given`: the connection comes from the command line. A file with several names in
    `paths` is checked once. `values` that none of the files declares come at the end.
    """
    from deploy_guard.policy.load import STDIN, STDIN_NAME, inspect

    seen: set[str] = set()
    declared: set[str] | None = set()
    for found in _found(map(str, paths)):
        file = found if isinstance(found, str) else found.file
        path = stdin_name if file == STDIN and stdin_name else file
        place = _place(path)
        if place in seen:
            continue
        seen.add(place)
        problem = _why_no_policy(path, piped=file == STDIN) if isinstance(found, str) else found
        if problem is not None:
            yield FileReport(path, None, (problem,))
            continue
        loaded = inspect(
            [file],
            prometheus_given=prometheus_given,
            stdin=stdin,
            stdin_name=stdin_name or STDIN_NAME,
            values=values,
            abstract_too=True,
        )
        if loaded.declared is None:
            declared = None  # nobody knows what an unreadable file declares
        elif declared is not None:
            declared |= loaded.declared
        report = (path, loaded.policy, loaded.problems, loaded.places)
        yield FileReport(*report, abstract=loaded.abstract)
    if values is not None and declared is not None:
        for problem in values.undeclared(declared):
            yield FileReport(problem.file, None, (problem,), of_values=True)


def _found(paths: Iterator[str]) -> Iterator[str | Problem]:
    """Yield the files that paths stand for, and a problem for what cannot be looked into."""
    from deploy_guard.policy.load import STDIN, find_below, unlisted

    for path in paths:
        if path in {STDIN, ""} or not os.path.isdir(path):  # noqa: PTH112 (never raises)
            yield path
            continue
        errors: list[OSError] = []
        files = find_below(path, onerror=errors.append)
        yield from map(unlisted, errors)
        yield from files
        if not files and not errors:
            yield _without_policy(path)


def _without_policy(directory: str) -> Problem:
    """Return the problem of a directory in which there is nothing to check."""
    from deploy_guard.policy.load import OF_TESTS

    if any(name.endswith(OF_TESTS) for *_, names in os.walk(directory) for name in names):
        message = "the directory has only tests of policies: expected policies"
        return Problem("no-policy", message, directory, help=f"run them: guard test {directory}")
    message = "the directory has no policy: expected files that end in .yaml or .yml"
    return Problem("no-policy", message, directory)


def _why_no_policy(path: str, *, piped: bool) -> Problem | None:
    """Return what is wrong with a path that cannot be a policy, before anything is read."""
    from deploy_guard.policy.load import OF_TESTS, OF_VALUES, SUFFIXES

    if path.endswith(OF_TESTS):
        message = "this is a test of a policy: expected a policy"
        return Problem("policy-test", message, path, help=f"run it: guard test {path}")
    if path.endswith(OF_VALUES):
        message = "this is a file of values: expected a policy"
        return Problem("values-file", message, path, help=f"guard check POLICY --values {path}")
    try:
        if not piped and stat.S_ISLNK(os.lstat(path).st_mode):
            link = f"the file is a link to '{Path(path).readlink()}', which"
            if not Path(path).exists():
                return Problem("unreadable", f"{link} does not exist", path)
            # a link in somebody's change must not show what else is on the machine that checks it
            if path.endswith(SUFFIXES) and not os.path.realpath(path).endswith(SUFFIXES):
                message = f"{link} is no policy file: expected a name that ends in .yaml or .yml"
                return Problem("unreadable", message, path)
        if not piped and Path(path).is_fifo() and not path.startswith(_STREAMS):
            help = "put - for it, and its text on standard input"
            return Problem("unreadable", "the file is a pipe: expected a text", path, help=help)
    except (OSError, ValueError):
        return None  # reading it tells
    return None


def _place(path: str) -> str:
    """Return one name for all spellings of a path; a link is a file of its own."""
    if path in {"", "-"}:
        return path
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 (keeps links)
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118
