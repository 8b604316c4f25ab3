"""The final screen as Markdown, for the summary page of a CI job and for reports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from deploy_guard.model import Evidence, Outcome
from deploy_guard.outputs import format as fmt
from deploy_guard.outputs import words
from deploy_guard.outputs.deploy_words import unwatched

_MARKS = {"good": "✅", "warning": "⚠️", "bad": "❌"}
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~&!])")


def markdown(outcome: Outcome) -> str:
    """Return the outcome as Markdown; other people's texts are escaped."""
    blocks = [f"### {_MARKS[words.mood(outcome)]} {_escape(words.headline(outcome))}"]
    blocks.append(_escape(words.watched(outcome)))
    blocks += [_escape(outcome.reason)] if outcome.reason else []
    blocks += [f"> **{_escape(warning)}**" for warning in words.warnings(outcome)]
    if not unwatched(outcome):
        blocks += _watch(outcome)
    steps = [f"{n}. {_escape(step)}" for n, step in enumerate(outcome.next_steps, start=1)]
    blocks += ["**Next**\n\n" + "\n".join(steps)] if steps else []
    return "\n\n".join(blocks) + "\n"


def _watch(outcome: Outcome) -> list[str]:
    """Return what only a watch has: findings, times, what runs now."""
    blocks = []
    found = words.findings(outcome)
    if found:
        head = ["| signal | finding | now | before | limit | why |", "|---|---|---|---|---|---|"]
        blocks.append("\n".join(head + [_row(evidence) for evidence in found]))
    told = words.deployed_changes(outcome) if words.tells_changes(outcome) else []
    if told:
        blocks.append("**The deploy changed**\n\n" + "\n".join(f"- {_escape(t)}" for t in told))
    rows = [f"| {word} | {at} | {since} |" for word, at, since in words.times(outcome)]
    blocks.append("\n".join(["| when (UTC) | | |", "|---|---|---|", *rows]))
    now = f"**Runs now:** {_escape(words.running(outcome))}"
    state = words.recovery(outcome)
    blocks.append(now + (f"  \n**Signals:** {_escape(state)}" if state else ""))
    return blocks


def append_step_summary(outcome: Outcome, environ: Mapping[str, str]) -> str:
    """Append the Markdown to the file that GitHub Actions names, if it names one.

    Returns what went wrong, or nothing: a summary page never changes the exit code.
    """
    path = environ.get("GITHUB_STEP_SUMMARY", "")
    if not path:
        return ""
    try:
        with Path(path).open("a", encoding="utf-8", errors="replace") as file:
            file.write(markdown(outcome) + "\n")
    except OSError as error:
        return f"the job's summary page could not be written: {error.strerror}"
    return ""


def _row(evidence: Evidence) -> str:
    columns = [
        _escape(evidence.signal),
        f"{fmt.SYMBOLS[evidence.finding]} {evidence.finding.value}",
        *(
            _escape(fmt.value(number, evidence.unit))
            for number in (evidence.current, evidence.baseline, evidence.limit)
        ),
        _escape(evidence.text),
    ]
    return "| " + " | ".join(columns) + " |"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", fmt.clean(text))
