"""The whole of a backtest: a source of trials, folded and counted, an interrupt on the way.

Decides the order of things and what an interrupt leaves. The sources are told apart here; how
each reads is decided in its own file.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy_guard import text
from deploy_guard.backtest.csv_source import CsvHistory
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.backtest.ordinary import draw
from deploy_guard.backtest.record_source import find_records, read_records
from deploy_guard.backtest.result import Result, conclude, frequency
from deploy_guard.backtest.sweep import settings
from deploy_guard.backtest.work import Folded, Work, spread
from deploy_guard.errors import UsageError
from deploy_guard.model import Verdict
from deploy_guard.outputs.format import stamp
from deploy_guard.policy.models import Policy

ORDINARY = 100  # pseudo-deploys

Told = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of a backtest besides its source.

    `ordinary` pseudo-deploys are drawn with `seed`; `deploys_per_month` None: from history, else
    assumed; `max_false_rollbacks` is the most a month that the user accepts, None: not asked.
    `processes` None: one for each CPU where that pays.
    """

    sweep: bool = False
    seed: int = 0
    ordinary: int = ORDINARY
    max_false_rollbacks: float | None = None
    deploys_per_month: float | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Trials, and what is known of them before they are read.

    `seconds` is the time in which all real deploys are known, None where some may be unknown.
    `notes` and `recorded` may grow while the trials are read.
    """

    words: str
    policy: Policy
    deploys: Sequence[Deploy]
    trials: Iterable[Trial]
    count: int
    seconds: float | None = None
    notes: list[str] = field(default_factory=list)
    recorded: dict[str, Verdict | None] = field(default_factory=dict)


def backtest(source: Source, options: Options, *, tell: Told = silent) -> Result:
    """Fold all trials and return what was found; an interrupt ends it early with what there is.

    Raises GuardError where a source cannot be read.
    """
    policy = source.policy
    tried = settings(policy.watch.sensitivity) if options.sweep else ()
    work = Work(policy, tried, options.seed)
    found: list[Folded] = []
    interrupted = False
    folded = spread(work, source.trials, total=source.count, processes=options.processes)
    try:
        for each in folded:
            found.append(each)
            tell("judged", len(found), source.count)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        folded.close()
        if isinstance(source.trials, Generator):
            source.trials.close()  # what reads ahead stops
    return conclude(
        found,
        work,
        source=source.words,
        asked=source.count,
        frequency=frequency(
            source.deploys, given=options.deploys_per_month, seconds=source.seconds
        ),
        limit=options.max_false_rollbacks,
        recorded=source.recorded,
        notes=source.notes,
        interrupted=interrupted,
    )


def records_source(folder: Path, policy: Policy) -> Source:
    """Return every record below a directory; damaged ones are noted. Raises UsageError."""
    files = find_records(folder)
    notes: list[str] = []
    recorded: dict[str, Verdict | None] = {}
    trials = read_records(files, policy, folder=folder, verdicts=recorded, warn=notes.append)
    words = f"{text.plural(len(files), 'record')} in {folder}"
    return Source(words, policy, (), trials, len(files), notes=notes, recorded=recorded)


def csv_source(
    lines: Iterable[str], name: str, policy: Policy, deploys: Sequence[Deploy], options: Options
) -> Source:
    """Return the deploys of a CSV file and ordinary days between them.

    Raises TableError for lines that cannot be read, and UsageError for a file that has nothing
    for the policy, or for none of the deploys.
    """
    history = CsvHistory(lines, name, policy)
    watch = policy.watch
    inside = [d for d in deploys if history.first <= d.at < history.last]
    notes = []
    if outside := len(deploys) - len(inside):
        notes.append(f"{text.plural(outside, 'deploy')} of the list are not in the time of {name}")
    drawn = draw(
        history.policy,
        history.survey(),
        count=options.ordinary,
        start=history.first + watch.baseline,
        end=history.last - watch.duration,
        seed=options.seed,
        avoid=inside,
    )
    notes += too_few(policy, len(drawn), options.ordinary)
    chosen = [*inside, *drawn]
    if not chosen:
        raise UsageError(
            f"{name} has no deploy to judge: it is from {stamp(history.first)} to "
            f"{stamp(history.last)}",
            help="name one with --at TIME, or shorten watch.baseline and watch.for of the policy",
        )
    words = f"{name}, {stamp(history.first)} to {stamp(history.last)}"
    return Source(words, history.policy, inside, history.trials(chosen), len(chosen), None, notes)


def too_few(policy: Policy, found: int, wanted: int) -> list[str]:
    """Say why there are fewer ordinary days than wanted, if there are."""
    if found >= wanted:
        return []
    watch = policy.watch
    return [
        f"{found:,} of {text.plural(wanted, 'ordinary day')} found room: each needs data, and no "
        f"deploy, {text.seconds(watch.baseline)} before and {text.seconds(watch.duration)} after"
    ]
