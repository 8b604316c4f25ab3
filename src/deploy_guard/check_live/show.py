"""What `guard check --target` found, as text for people: a table, then each signal, then the rest.

Decides the order, and what is said of a query. The columns are in `table`.
"""

from __future__ import annotations

from collections.abc import Iterator

from deploy_guard import text
from deploy_guard.check_live.firing_words import sentence
from deploy_guard.check_live.queries import QueryRun
from deploy_guard.check_live.report import LiveReport, SignalReport
from deploy_guard.check_live.table import Piece, table
from deploy_guard.outputs import format as fmt
from deploy_guard.policy.problems import render
from deploy_guard.watch.telling import rollout_words

WIDTH = 100  # where there is no terminal
ASSUMED = (
    "fires at: the least that is a regression before the end of a watch that begins now, when it "
    "lasts from the first request on, at the present traffic, with no old pod beside the new ones"
)
_STYLES = {
    "green": "32",
    "yellow": "33",
    "bold red": "31",
    "magenta": "35",
    "cyan": "36",
    "bold": "1",
    "dim": "2",
}


def show(report: LiveReport, *, colour: bool = False, width: int = WIDTH) -> str:
    """Return the report as text of at most `width` columns, without a newline at its end."""
    screen = _Screen(width, colour=colour)
    target = report.workload.target
    lines = screen.wrapped("", f"{report.policy} on {target} -n {target.namespace}, now:")
    lines += screen.wrapped("  ", f"rollout: {rollout_words(report.workload)}")
    lines += [line for told in report.found.lines for line in screen.wrapped("  ", told)]
    lines += [line for told in report.found.warnings for line in screen.wrapped("  ! ", told)]
    ready = sum(pod.ready for pod in report.workload.pods)
    rows = table(report.signals, pods=ready, width=width)
    lines += ["", *(screen.row(row) for row in rows)]
    if any(signal.firing is not None for signal in report.signals):
        lines += ["", *(screen.styled(line, "dim") for line in screen.wrapped("", ASSUMED))]
    for signal in report.signals:
        lines += ["", *_signal(signal, screen)]
    lines.append("")
    if report.problems:
        lines += [render(report.problems, colour=colour), ""]
    return "\n".join([*lines, *_called_out(report, screen), *_verdict(report, screen)])


class _Screen:
    """How wide a line may be, and whether it may have colours."""

    def __init__(self, width: int, *, colour: bool) -> None:
        self.width = width
        self._colour = colour

    def wrapped(self, first: str, told: str) -> list[str]:
        """Return other people's words as lines that no terminal obeys."""
        rest = " " * fmt.cells(first)
        return fmt.wrap(fmt.clean(told), width=self.width, first=first, rest=rest)

    def styled(self, words: str, style: str) -> str:
        """Return the words in a style, where there are colours."""
        code = _STYLES.get(style) if self._colour else None
        return f"\x1b[{code}m{words}\x1b[0m" if code else words

    def row(self, pieces: list[Piece]) -> str:
        """Return a row of a table as a line."""
        return "".join(self.styled(words, style) for words, style in pieces).rstrip()


def _signal(report: SignalReport, screen: _Screen) -> Iterator[str]:
    summary = report.summary
    mark = f"{fmt.SYMBOLS[summary.finding]} {summary.name}: {summary.finding}"
    for line in screen.wrapped("  ", mark + (", optional" if report.optional else "")):
        yield screen.styled(line, fmt.STYLES[summary.finding])
    if summary.text:
        yield from screen.wrapped("      ", summary.text)
    if summary.problem and summary.problem not in summary.text:
        yield from screen.wrapped("      ", summary.problem)
    if report.probe is not None:
        yield from screen.wrapped("      ", f"the API: {report.probe.detail}")
        if not report.probe.ok:
            yield from screen.wrapped(
                "      ", "a deploy that follows is not blamed for what fails now"
            )
    if report.firing is not None:
        yield from screen.wrapped("      ", sentence(report.firing))
    yield from _queries(report, screen)
    of_queries = [warning for run in report.queries for warning in run.warnings]
    recent = report.recent.warnings if report.recent is not None else ()
    for warning in dict.fromkeys([*report.warnings, *recent, *of_queries]):
        yield from screen.wrapped("      ! ", warning)
    if report.help:
        yield from screen.wrapped("      = help: ", report.help)


def _queries(report: SignalReport, screen: _Screen) -> Iterator[str]:
    for run in report.queries:
        yield from screen.wrapped("      ", f"{run.key}: {run.text}")
        if came := _came(run):
            yield from screen.wrapped("        = ", came)
    if report.pods is not None:
        yield f"        = read from {text.plural(report.pods, 'pod')}"


def _came(run: QueryRun) -> str:
    """Say what a query brought; nothing for what is no query of a server."""
    if run.series is None:
        return run.problem
    if not run.series:
        return "0 series"
    pods = f"of {text.plural(run.pods, 'pod')}" if run.pods else "none with a pod"
    return f"{run.series:,} series, {pods} of this workload"


def _called_out(report: LiveReport, screen: _Screen) -> Iterator[str]:
    for callout in report.callouts:
        lines = screen.wrapped("! ", callout.words)
        yield from (screen.styled(line, "yellow") for line in lines)
    for note in report.notes:
        yield from screen.wrapped("note: ", note)
    if report.callouts or report.notes:
        yield ""


def _verdict(report: LiveReport, screen: _Screen) -> list[str]:
    decision = report.decision
    word = "none" if decision.verdict is None else decision.verdict.value.replace("_", " ")
    lines = screen.wrapped("", f"if the watch ended now: {word}: {decision.reason}")
    if report.silent:
        names = ", ".join(report.silent)
        told = f"no data from {names}: a watch could not end healthy like this"
        lines += screen.wrapped("", told)
    return lines
