"""Where everything stands in the live view: rows of styled pieces for a width and a height.

Pure: no terminal, no clock, no library. Does not decide how the rows reach the terminal (`live`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploy_guard import text
from deploy_guard.model import Event, Outcome, Phase, Progress, Rollout
from deploy_guard.outputs import format as fmt
from deploy_guard.outputs import words
from deploy_guard.outputs.signal_table import signal_rows

Row = list[tuple[str, str]]
"""Pieces of one line, each a text and its style."""

_LABEL = 9
_SHORTEST_BAR = 8
_EVENT_STYLES = {
    "warning": "yellow",
    "verdict": "bold",
    "rollback": "bold",
    "recovery": "bold",
    "story": "bold cyan",
}
_MOODS = {"good": "bold green", "warning": "bold yellow", "bad": "bold red"}


@dataclass(frozen=True, slots=True)
class View:
    """What the live view shows: the last progress, when its phase began, and how it ended."""

    progress: Progress
    phase_began: float
    outcome: Outcome | None = None


def frame(view: View, *, width: int, height: int) -> list[Row]:
    """Return the live view in at most `height` rows of at most `width` columns."""
    head = [_header(view, width), *_revisions(view.progress, width), *_rollout(view, width)]
    foot = [] if view.outcome is not None else [[], _time_left(view, width)]
    signals = view.outcome.signals if view.outcome is not None else ()
    room = height - len(head) - len(foot) - 1
    table = signal_rows(signals or view.progress.signals, width=width, height=room)
    return [*head, *([[]] if table else []), *table, *foot][:height]


def _header(view: View, width: int) -> Row:
    progress = view.progress
    state, style = str(progress.phase), "bold cyan"
    if view.outcome is not None:
        state, style = words.ending(view.outcome), _MOODS[words.mood(view.outcome)]
    mark: Row = [(" DRY RUN ", "reverse yellow"), (" ", "")] if progress.dry_run else []
    used = sum(fmt.cells(each) for each, _ in mark)
    name = ""
    if progress.workload is not None:
        target = progress.workload.target
        name = fmt.clean(f"{target} -n {target.namespace}", longest=300)
    elif view.outcome is not None:
        name = fmt.clean(f"{view.outcome.target} -n {view.outcome.target.namespace}", longest=300)
    state = fmt.fit(state, width - used)
    space = max(0, width - used - fmt.cells(state) - 2)
    return [*mark, (fmt.pad(name, space), "bold"), ("  ", ""), (state, style)]


def _revisions(progress: Progress, width: int) -> list[Row]:
    rows: list[Row] = []
    for label, known in (("new", progress.candidate), ("back to", progress.target_revision)):
        name = fmt.revision(known) if known is not None else "not known yet"
        rows.append([(f"{label:<{_LABEL}}", "dim"), (fmt.fit(name, width - _LABEL), "")])
    return rows


def _rollout(view: View, width: int) -> list[Row]:
    if view.progress.workload is None:
        return [[(f"{'rollout':<{_LABEL}}", "dim"), ("not read yet", "")]]
    seen = view.progress.workload.rollout
    state = fmt.rollout(seen)
    room = width - _LABEL - fmt.cells(state) - 2
    rows: list[Row] = [[(f"{'rollout':<{_LABEL}}", "dim")]]
    style = "green" if seen.complete else "cyan"
    if room >= _SHORTEST_BAR:
        rows[0] += [*bar(_serving(seen), min(room, 40), style), (f"  {state}", "")]
    else:
        rows[0] += bar(_serving(seen), min(width - _LABEL, 40), style)
        rows.append([(" " * _LABEL + fmt.fit(state, width - _LABEL), "")])
    if problem := fmt.rollout_problem(seen):
        rows.append([(fmt.fit(" " * _LABEL + f"! {problem}", width), "bold red")])
    return rows


def _serving(seen: Rollout) -> float:
    """Return the share of wanted pods that are new and available, at least."""
    if seen.complete:
        return 1.0
    new = min(seen.updated, max(0, seen.available - seen.old))
    return min(1.0, new / seen.desired) if seen.desired and seen.observed else 0.0


def _time_left(view: View, width: int) -> Row:
    progress = view.progress
    if progress.phase is Phase.DONE:
        return []
    whole = max(0.0, progress.ends_at - view.phase_began)
    gone = min(whole, max(0.0, progress.at - view.phase_began))
    left = f"{text.seconds(float(round(whole - gone)))} left of {text.seconds(float(round(whole)))}"
    room = min(width - _LABEL - fmt.cells(left) - 2, 40)
    share = gone / whole if whole else 1.0
    return [(f"{'time':<{_LABEL}}", "dim"), *bar(share, max(0, room), "cyan"), (f"  {left}", "")]


def bar(share: float, width: int, style: str) -> Row:
    """Draw a share of 1 as a bar; full only when it is all."""
    filled = width if share >= 1 else min(max(0, width - 1), int(share * width))
    return [("━" * filled, style), ("─" * (width - filled), "dim")]


def event_rows(event: Event, *, start: float, width: int) -> list[Row]:
    """Return an event as it stays in the scrollback: time, kind, text, wrapped at blanks."""
    since = fmt.offset(event.at - start)
    stamp = f"{fmt.clock(event.at)[:-1]}  {since}  " if width >= 70 else f"{since}  "
    kind = "" if event.kind == "story" else f"{fmt.clean(event.kind, longest=20):<10} "
    begin = " " * fmt.cells(stamp + kind)
    lines = fmt.wrap(fmt.clean(event.text), width=width, first=begin, rest=begin)
    style = _EVENT_STYLES.get(event.kind, "")
    first: Row = [(stamp, "dim"), (kind, style or "bold"), (lines[0][len(begin) :], style)]
    return [first, *([(each, style)] for each in lines[1:])]


def with_progress(view: View | None, progress: Progress) -> View:
    """Return the view after new progress; a new phase begins at its first sight."""
    if view is None:
        return View(progress, min(progress.started_at, progress.at))
    if view.progress.phase is not progress.phase:
        return View(progress, progress.at)
    return replace(view, progress=progress)
