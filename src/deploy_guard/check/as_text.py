"""A check as text for people: each problem with its line, then whether the file is valid.

Each problem begins with ``file:line:column: severity: message``, which editors know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deploy_guard.check.reports import FileReport, Report, Tally, Told, many
from deploy_guard.policy.problems import Severity, render, visible

_GREEN = "32"
_RED = "31"


def show(report: Report, *, colour: bool = False) -> str:
    """Return a whole report as text, without a newline at its end."""
    return "\n".join(text(report.files, colour=colour))


def text(reports: Iterable[FileReport], *, colour: bool = False) -> Iterator[str]:
    """Yield the text of each file as it comes, and a summary at the end.

    A mistake in a file that several policies extend is shown with the first of them.
    """
    tally, told = Tally(), Told()
    for report in tally.counted(reports):
        if fresh := told.new(report):
            blank = "\n" if tally.files > 1 else ""
            yield f"{blank}{render(fresh, colour=colour)}\n"
        above = len(report.problems) > len(fresh)
        yield _line(report, colour=colour) + (", shown above" if above else "")
    yield f"\n{tally.summary}"


def _line(file: FileReport, *, colour: bool) -> str:
    """Say of one file whether it is valid."""
    if file.policy is None:
        mark, words = "✗", f"invalid: {many(file.count(Severity.ERROR), 'error')}"
    else:
        mark, words = "✓", f"valid: {many(len(file.policy.signals), 'signal')}"
        words = "valid, to be extended" if file.abstract else words
    if colour:
        mark = f"\x1b[{_GREEN if file.policy else _RED}m{mark}\x1b[0m"
    return f"{mark} {visible(file.path)}  {words}"
