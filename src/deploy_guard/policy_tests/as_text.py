"""Tests as text for people: one line a case; of a failed one all that explains it.

Decides the layout. What failed is decided by `suite`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from deploy_guard import text
from deploy_guard.model import KUBERNETES, Evidence, Finding
from deploy_guard.outputs.charts import Line, Mark, chart
from deploy_guard.policy.problems import render, visible
from deploy_guard.policy_tests.expecting import expected, happened, moment
from deploy_guard.policy_tests.running import values_of
from deploy_guard.policy_tests.suite import CaseResult, FileResult, Results

_INDENT = "      "
_BEFORE = 120.0  # seconds before the deploy that a chart shows
_LONGEST_NAME = 72
_TONES = {Finding.BAD: "31", Finding.SUSPECT: "33", Finding.GOOD: "32"}


def lines(results: Results, *, colour: bool = False, width: int = 100) -> Iterator[str]:
    """Yield the parts of the result, each without a newline at its end."""
    for file in results.files:
        yield from _file(file, colour=colour, width=width)
    yield summary(results)


def summary(results: Results) -> str:
    """Return the last line: how many cases, and how they ended."""
    invalid = sum(bool(file.problems) and not file.cases for file in results.files)
    passed = len(results.cases) - results.failed
    words = (
        f"{text.plural(len(results.cases), 'case')} in {text.plural(len(results.files), 'file')}"
    )
    words += f": {passed} passed, {results.failed or 'none'} failed"
    if invalid:
        words += f", {text.plural(invalid, 'file')} invalid"
    if results.left_out:
        words += f", {results.left_out} not chosen"
    return f"{words} ({text.seconds(results.seconds)})"


def _file(file: FileResult, *, colour: bool, width: int) -> Iterator[str]:
    yield visible(file.path)
    if file.problems:
        yield render(file.problems, colour=colour)
    names = [visible(case.case.name) for case in file.cases]
    margin = min(_LONGEST_NAME, max((len(name) for name in names), default=0))
    for name, case in zip(names, file.cases, strict=True):
        mark = _paint("✓", "32", colour) if case.problem is None else _paint("✗", "31", colour)
        yield f"  {mark} {name:<{margin}}  {happened(case.ran)}"
        if case.problem is not None:
            yield from _explained(case, colour=colour, width=width)
    if not file.cases or file.cases[-1].problem is None:
        yield ""


def _explained(case: CaseResult, *, colour: bool, width: int) -> Iterator[str]:
    """Yield what was expected, what happened, what each signal said, and a chart."""
    assert case.problem is not None  # noqa: S101 - it failed
    ran = case.ran
    rows = [
        ("at", visible(case.problem.place)),
        ("expected", expected(case.case.expect)),
        ("got", f"{happened(ran)}: {ran.decision.reason}"),
    ]
    for name, words in rows:
        yield from _wrapped(f"{_INDENT}{name + ':':<10}", words, width)
    names = max(len(e.signal) for e in ran.decision.evidence)
    findings = max(len(e.finding) for e in ran.decision.evidence)
    for one in ran.decision.evidence:
        first, *others = _wrapped(" " * (len(_INDENT) + names + findings + 4), one.text, width)
        finding = _paint(f"{one.finding!s:<{findings}}", _TONES.get(one.finding, "36"), colour)
        yield f"{_INDENT}{one.signal:<{names}}  {finding}  {first.strip()}"
        yield from others
    if drawn := _chart(case, width=min(72, width - len(_INDENT) - 12)):
        yield ""
        yield from (f"{_INDENT}{line}" for line in drawn.splitlines())
    yield ""


def _chart(case: CaseResult, *, width: int) -> str:
    """Draw the signal that is accused, or that was expected to be."""
    ran = case.ran
    shown = _of_interest(case)
    unit = shown.unit
    new, old = values_of(ran, shown.signal)
    marks = [Mark("verdict", ran.at)]
    wanted = case.case.expect
    marks += [Mark("expected by", wanted.by)] if wanted.by is not None else []
    marks += [Mark("expected after", wanted.after)] if wanted.after is not None else []
    title = f"{shown.signal}\n"
    drawn = chart(
        [Line("new pods", new), Line("old pods", [p for p in old if p[0] >= -_BEFORE])],
        width=max(30, width),
        height=8,
        x=moment,
        y=lambda value: text.quantity(value, unit),
        marks=marks,
        limit=shown.limit,
    )
    return title + drawn if drawn else ""


def _of_interest(case: CaseResult) -> Evidence:
    """Return the evidence that explains most: of what was expected, accused, or not good."""
    evidence = case.ran.decision.evidence
    by_name = {one.signal: one for one in evidence}
    if (wanted := case.case.expect.signal) in by_name and wanted is not None:
        return by_name[wanted]
    order = (Finding.BAD, Finding.SHARED, Finding.SUSPECT, Finding.LITTLE, Finding.NO_DATA)
    for finding in order:
        for one in evidence:
            if one.finding is finding:
                return one
    changed = [n for n in case.case.signals if n in by_name]
    others = [one.signal for one in evidence if one.signal != KUBERNETES]
    return by_name[(changed or others or [evidence[0].signal])[0]]


def _wrapped(head: str, words: str, width: int) -> list[str]:
    """Return words in lines of a width, the first after a head, the others below it."""
    found = textwrap.wrap(
        visible(words),
        max(width, len(head) + 30),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return found or [head]


def _paint(words: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{words}\x1b[0m" if colour else words
