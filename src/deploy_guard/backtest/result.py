"""What a backtest found in all: false rollbacks, regressions caught, what stayed open.

Decides what is counted and the exit code. How it looks is decided in `show`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from deploy_guard import text
from deploy_guard.backtest.judging import Judged, why_silent
from deploy_guard.backtest.model import Deploy
from deploy_guard.backtest.statistics import PerMonth, Rate, median, needed, per_month, rate
from deploy_guard.backtest.sweep import Sweep, sweep
from deploy_guard.backtest.work import Folded, Work
from deploy_guard.errors import ExitCode
from deploy_guard.model import Verdict
from deploy_guard.policy.models import Policy

DAY = 86400.0  # seconds
MONTH = 30 * DAY
WORKING_DAYS = 20.0  # deploys a month where nobody says how many: one each working day


@dataclass(frozen=True, slots=True)
class Frequency:
    """How many deploys a month has, and where that is from, in words."""

    deploys: float
    origin: str


@dataclass(frozen=True, slots=True)
class Result:
    """All that a backtest found; times are Unix seconds.

    `asked` is how many deploys were to be judged; fewer were when history lacks some, or the
    backtest was interrupted. `recorded` has what the watch of a record said, by label. `limit` is
    the most false rollbacks a month that the user accepts, None where there is none.
    """

    policy: Policy
    source: str
    deploys: tuple[Judged, ...]
    ordinary: tuple[Judged, ...]
    asked: int
    frequency: Frequency
    sweep: Sweep | None = None
    limit: float | None = None
    recorded: Mapping[str, Verdict | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def judged(self) -> tuple[Judged, ...]:
        """All deploys with data up to a verdict, real and ordinary."""
        return tuple(j for j in (*self.deploys, *self.ordinary) if j.counts)

    @property
    def false(self) -> Rate:
        """How many ordinary days would have been rolled back, of those with data."""
        return _share(j.regressed for j in self.ordinary if j.counts)

    @property
    def month(self) -> PerMonth | None:
        """How many false rollbacks that makes in a month, None without an ordinary day."""
        return per_month(self.false, self.frequency.deploys)

    @property
    def caught(self) -> Rate:
        """How many of the deploys known to be bad would have been rolled back."""
        return _share(j.regressed for j in self.deploys if j.deploy.bad and j.counts)

    @property
    def wronged(self) -> Rate:
        """How many of the deploys known to be good would have been rolled back."""
        return _share(j.regressed for j in self.deploys if j.deploy.bad is False and j.counts)

    @property
    def seconds(self) -> float | None:
        """The median time in seconds until a regression of a real deploy was seen."""
        return median(j.seconds for j in self.deploys if j.seconds is not None)

    @property
    def silent(self) -> tuple[tuple[str, int], ...]:
        """Why deploys were judged neither healthy nor regressed, and how many."""
        return tuple(why_silent((*self.deploys, *self.ordinary)))

    @property
    def missing(self) -> tuple[tuple[str, str, int], ...]:
        """The signals that history does not have: the reason, and of how many deploys."""
        counts: dict[tuple[str, str], int] = {}
        for judged in (*self.deploys, *self.ordinary):
            for each in judged.missing:
                counts[each] = counts.get(each, 0) + 1
        return tuple((name, why, count) for (name, why), count in counts.items())

    @property
    def promise(self) -> str:
        """How the false rollbacks compare with what `watch.sensitivity` accepts, in words."""
        return promise(self.false, self.policy.watch.sensitivity)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: interrupted, nothing to judge, more false rollbacks than accepted."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if not self.judged or (self.limit is not None and self.month is None):
            return ExitCode.INCONCLUSIVE
        too_many = (
            self.limit is not None
            and self.month is not None
            and (self.month.estimate > self.limit + 1e-9)
        )
        return ExitCode.INVALID_POLICY if too_many else ExitCode.OK


def _share(hits: Iterable[bool]) -> Rate:
    found = list(hits)
    return rate(sum(found), len(found))


def promise(false: Rate, sensitivity: float) -> str:
    """Compare a share of false rollbacks with the accepted one, in words; empty without any."""
    if not false.of:
        return ""
    accepted = f"the policy accepts {text.percent(sensitivity)} (watch.sensitivity)"
    if false.low > sensitivity:
        return f"{accepted}: this is more"
    if false.high <= sensitivity:
        return f"{accepted}: this is no more"
    if false.count:
        return f"{accepted}: these days do not contradict it, and do not prove it"
    days = f"{needed(sensitivity):,}" if 0 < sensitivity < 1 else "more"
    return f"{accepted}: to show it takes {days} days without any"


def frequency(
    deploys: Sequence[Deploy], *, given: float | None, seconds: float | None
) -> Frequency:
    """Return the deploys a month: as given, as counted in so many seconds, or assumed.

    What was counted in less than a day says nothing of a month.
    """
    if given is not None:
        return Frequency(given, "--deploys-per-month")
    real = [d for d in deploys if not d.ordinary]
    if seconds is not None and seconds >= DAY and real:
        number = text.plural(len(real), "deploy")
        return Frequency(len(real) * MONTH / seconds, f"{number} in {text.seconds(seconds)}")
    return Frequency(WORKING_DAYS, "assumed; --deploys-per-month says it")


def conclude(
    found: Sequence[Folded],
    work: Work,
    *,
    source: str,
    asked: int,
    frequency: Frequency,
    limit: float | None = None,
    recorded: Mapping[str, Verdict | None] | None = None,
    notes: Sequence[str] = (),
    interrupted: bool = False,
) -> Result:
    """Put together what was folded, in the order of time."""
    ordered = sorted(found, key=lambda each: (each.judged.deploy.at, each.judged.deploy.label))
    judged = [each.judged for each in ordered]
    policy = work.policy
    trade_off = None
    if work.settings:
        trade_off = sweep(
            ordered,
            work.settings,
            own=policy.watch.sensitivity,
            length=policy.watch.duration,
            deploys=frequency.deploys,
            accepted=limit,
        )
    return Result(
        policy,
        source,
        tuple(j for j in judged if not j.deploy.ordinary),
        tuple(j for j in judged if j.deploy.ordinary),
        asked,
        frequency,
        trade_off,
        limit,
        recorded or {},
        tuple(notes),
        interrupted,
    )
