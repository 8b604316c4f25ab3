"""An explanation as text for people: header, timeline, decision, charts, what was done.

Decides the layout for a width. Every text of the record passes `format.clean`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from deploy_guard import text
from deploy_guard.explanation import words
from deploy_guard.explanation.agreement import agreement, verdict_words
from deploy_guard.explanation.charting import charts
from deploy_guard.explanation.model import Explanation, SecondLook
from deploy_guard.explanation.table import table
from deploy_guard.explanation.timeline import Row, timeline
from deploy_guard.model import Evidence, Finding, Verdict
from deploy_guard.outputs import format as fmt
from deploy_guard.policy.models import Signal

WIDTH = 100  # where lines have no end of their own
_KIND = 10
_MOODS = {Verdict.HEALTHY: "green", Verdict.REGRESSED: "bold red"}
_COLOURS = {
    "bold": "1",
    "dim": "2",
    "green": "32",
    "yellow": "33",
    "bold red": "1;31",
    "magenta": "35",
    "cyan": "36",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line, and its style: a key of the colours, or nothing."""

    text: str
    style: str = ""


def show(
    found: Explanation,
    *,
    width: int = WIDTH,
    colour: bool = False,
    everything: bool = False,
    with_charts: bool = True,
) -> str:
    """Return the explanation as text, without a newline at its end."""
    drawn = []
    for line in lines(found, width=width, everything=everything, with_charts=with_charts):
        code = _COLOURS.get(line.style) if colour else None
        drawn.append(line.text if code is None else f"\x1b[{code}m{line.text}\x1b[0m")
    return "\n".join(drawn)


def lines(found: Explanation, *, width: int, everything: bool, with_charts: bool) -> Iterator[Line]:
    """Yield the lines of an explanation."""
    page = _Page(found, width)
    yield from page.header()
    yield Line("")
    yield Line(
        f"Step by step (UTC, time since the deploy, every {text.seconds(found.every)})", "bold"
    )
    for row in timeline(found, everything=everything):
        yield from page.row(row)
    yield Line("")
    yield from page.decision()
    if with_charts:
        yield from page.charts()
    yield Line("")
    yield from page.done()
    if found.other is not None:
        yield Line("")
        yield from (Line(*row) for row in table(found, width=width))


@dataclass(frozen=True, slots=True)
class _Page:
    found: Explanation
    width: int

    def wrapped(self, content: str, *, first: str, style: str = "") -> Iterator[Line]:
        """Break a text that may be other people's into lines below its beginning."""
        rest = " " * fmt.cells(first)
        for line in fmt.wrap(fmt.clean(content), width=self.width, first=first, rest=rest):
            yield Line(line, style)

    def time(self, at: float) -> str:
        """Return a moment: the time of day, and how long after the deploy."""
        return f"{fmt.clock(at)}  {fmt.offset(at - self.found.header.deployed_at)}"

    def signal(self, name: str) -> Signal | None:
        """Return a signal of the recorded policy."""
        return next((s for s in self.found.header.policy.signals if s.name == name), None)

    def header(self) -> Iterator[Line]:
        """Say what was watched, by whom, and how it ended."""
        found, header = self.found, self.found.header
        decision = found.replay.decision
        style = _MOODS.get(decision.verdict, "yellow") if decision.verdict else "yellow"
        head = f"{header.target} -n {header.target.namespace}: {verdict_words(decision.verdict)}"
        yield from self.wrapped(head, first="", style=style)
        watch = header.policy.watch
        signals = text.plural(len(header.policy.signals), "signal")
        policy = f"{header.policy.name or 'without a name'}: {signals}, for "
        policy += f"{text.seconds(watch.duration)} every {text.seconds(watch.interval)}"
        policy += f", sensitivity {text.percent(watch.sensitivity)}"
        watched = f"{fmt.stamp(header.started_at)} to {fmt.clock(found.parts.until)}"
        watched += f" ({text.seconds(max(0.0, found.parts.until - header.started_at))})"
        rows = [
            ("candidate", fmt.revision(header.candidate)),
            ("policy", policy),
            ("deployed", fmt.stamp(header.deployed_at)),
            ("watched", watched + (", dry run" if header.dry_run else "")),
            ("written by", f"guard {header.guard}"),
            ("record", f"{found.file}, {text.plural(found.entries, 'entry').replace('ys', 'ies')}"),
            ("replay", agreement(found).text),
        ]
        for label, value in rows:
            yield from self.wrapped(value, first=f"  {label:<{_KIND}} ")
        if found.torn:
            torn = "the last line was cut off, as by a killed guard: it is left out"
            yield from self.wrapped(torn, first=f"  {'torn':<{_KIND}} ", style="yellow")

    def row(self, row: Row) -> Iterator[Line]:
        """Tell a moment of the timeline."""
        if row.event is not None:
            kind = fmt.clean(row.event.kind, longest=20)
            first = f"{self.time(row.at)}  {kind:<{_KIND}} "
            style = "bold" if kind in ("verdict", "rollback", "recovery") else ""
            yield from self.wrapped(row.event.text, first=first, style=style)
        elif row.step is not None:
            second = " after the rollback" if row.step.second else ""
            if not row.told:
                until = "" if row.until in (None, row.at) else f" until {self.time(row.until or 0)}"
                yield Line(f"{self.time(row.at)}  nothing changed{second}{until}", "dim")
                return
            rollout = f": {row.step.rollout}" if not row.step.second else second
            yield from self.wrapped(
                f"signals{rollout}", first=f"{self.time(row.at)}  ", style="dim"
            )
            for evidence in row.told:
                yield from self.evidence(evidence)

    def evidence(self, evidence: Evidence) -> Iterator[Line]:
        """Tell how a signal stands: finding, values, counts, chance, how near to firing."""
        signal = self.signal(evidence.signal)
        name = fmt.clean(evidence.signal, longest=63)
        first = f"    {fmt.SYMBOLS[evidence.finding]} {name}: "
        told = [str(evidence.finding), words.values(evidence)]
        if evidence.finding in (Finding.LITTLE, Finding.NO_DATA):
            told.append(evidence.text)
        else:
            told += [] if words.counts(evidence) else [evidence.text]
            told.append(words.meaning(evidence, signal))
        style = fmt.STYLES[evidence.finding] if evidence.finding is not Finding.GOOD else ""
        joined = "; ".join(part for part in told if part)
        for line in fmt.wrap(fmt.clean(joined), width=self.width, first=first, rest=" " * 8):
            yield Line(line, style)

    def decision(self) -> Iterator[Line]:
        """Tell the moment of the decision, with the whole reasoning."""
        decision, header = self.found.replay.decision, self.found.header
        if decision.verdict is None:
            yield Line("No decision", "bold")
            last = f"at the end of the record, {self.time(self.found.parts.until)}:"
            yield from self.wrapped(last, first="  ")
        else:
            after = text.seconds(max(0.0, decision.at - header.deployed_at))
            yield Line("The decision", "bold")
            head = f"{verdict_words(decision.verdict)}, {fmt.clock(decision.at)}, {after} after "
            yield from self.wrapped(f"{head}the deploy", first="  ")
            yield from self.wrapped(decision.reason, first="  because ")
        for evidence in decision.evidence:
            yield from self.reasoning(evidence)

    def reasoning(self, evidence: Evidence) -> Iterator[Line]:
        """Spell out all that one signal's finding rests on."""
        name, signal = fmt.clean(evidence.signal, longest=63), self.signal(evidence.signal)
        style = fmt.STYLES[evidence.finding]
        yield Line(f"  {fmt.SYMBOLS[evidence.finding]} {name}: {evidence.finding}", style)
        optional = "optional: its data may lack" if signal is not None and signal.optional else ""
        polls = evidence.samples + evidence.no_data
        read = f"read in {evidence.samples} of {text.plural(polls, 'poll')}" if polls else ""
        chance = words.chance(evidence)
        for told in (
            evidence.text,
            " ".join(p for p in (words.counts(evidence), words.reference(evidence)) if p),
            "; ".join(p for p in (chance, words.nearness(evidence, signal)) if p),
            "; ".join(p for p in (read, optional) if p),
        ):
            if told:
                yield from self.wrapped(told, first="      ")

    def charts(self) -> Iterator[Line]:
        """Draw every signal."""
        for name, picture in charts(self.found, width=self.width):
            *rows, legend = picture.splitlines()
            yield Line("")
            yield Line(f"  {fmt.clean(name, longest=63)}", "bold")
            for row in rows:
                yield Line(f"  {row}".rstrip())
            line = " "
            for part in legend.strip().split("   "):
                if fmt.cells(line) + 3 + fmt.cells(part) > self.width and line.strip():
                    yield Line(line, "dim")
                    line = " "
                line += f"   {part}"
            yield Line(line, "dim")

    def done(self) -> Iterator[Line]:
        """Tell what was done about the verdict, and what the signals said afterwards."""
        yield Line("What was done", "bold")
        outcome = self.found.outcome
        if outcome is None:
            yield from self.wrapped("not known: there is no outcome.json beside it", first="  ")
        else:
            for told in _done_words(outcome):
                yield from self.wrapped(told, first="  ")
        if self.found.second is not None:
            yield from self.recovery(self.found.second)

    def recovery(self, second: SecondLook) -> Iterator[Line]:
        """Tell what was concluded after the rollback, and from what."""
        verdict = "nothing yet" if second.recovery is None else second.recovery.replace("_", " ")
        lasted = text.seconds(max(0.0, second.at - second.began))
        words = f"the signals were looked at again for {lasted}: {verdict}"
        if second.accused:
            words += f" (accused: {', '.join(second.accused)})"
        yield from self.wrapped(words, first="  ")
        for evidence in second.evidence:
            name = fmt.clean(evidence.signal, longest=63)
            first = f"    {fmt.SYMBOLS[evidence.finding]} {name}: "
            yield from self.wrapped(f"{evidence.finding}; {evidence.text}", first=first)


def _done_words(outcome: dict[str, object]) -> Iterator[str]:
    action = str(outcome.get("action", "")).replace("_", " ")
    told = "nothing" if action == "none" else action
    yield f"{told} (exit code {outcome.get('exit_code')}): {outcome.get('reason', '')}"
    durations = outcome.get("durations")
    if isinstance(durations, dict):
        names = {
            "to_detect": "detected {} after the deploy",
            "to_roll_back": "rolled back {} later",
            "to_restore": "serving again after {}",
        }
        seconds = {key: durations.get(key) for key in names}
        times = [
            names[key].format(text.seconds(float(value)))
            for key, value in seconds.items()
            if isinstance(value, int | float) and math.isfinite(value)
        ]
        if times:
            yield ", ".join(times)
    target = outcome.get("target_revision")
    if isinstance(target, dict) and action == "rolled back":
        yield f"to revision {target.get('revision')}"
    if isinstance(outcome.get("recovered"), str):
        yield f"recovery, as recorded: {str(outcome['recovered']).replace('_', ' ')}"
