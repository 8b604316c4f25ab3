"""The trade-off over `watch.sensitivity`: false rollbacks against how soon regressions are seen.

Decides the settings, what is counted at each, and which one the data can speak for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy_guard import text
from deploy_guard.backtest.inject import Injection
from deploy_guard.backtest.statistics import PerMonth, Rate, median, needed, per_month, rate
from deploy_guard.backtest.work import Folded

SETTINGS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
ACCEPTED = 1.0  # false rollbacks a month, unless the user says how many
ALIKE = 0.1  # delays that differ by less than this share are no reason for a change


@dataclass(frozen=True, slots=True)
class Seen:
    """How one injected regression was seen: in how many trials, and the median time in seconds.

    The median counts the trials where it was never seen, and is None when those are half of them.
    """

    injection: Injection
    caught: Rate
    median: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One setting. `delay` is the mean time in seconds until an injected regression was seen.

    One that was never seen counts as the whole watch. None where nothing could be injected.
    `bad` are the deploys known to be bad that were caught.
    """

    sensitivity: float
    false: Rate
    month: PerMonth | None
    seen: tuple[Seen, ...]
    delay: float | None
    bad: Rate

    @property
    def promised(self) -> float:
        """How many false rollbacks a month the setting itself accepts."""
        return self.sensitivity * self.month.deploys if self.month is not None else 0.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """All settings, the policy's own among them, and what follows.

    `suggestion` is a setting, None where the data cannot speak for any; `why` says it in words.
    """

    rows: tuple[Row, ...]
    own: float
    accepted: float  # false rollbacks a month
    suggestion: float | None
    why: str


def settings(own: float) -> tuple[float, ...]:
    """Return the settings to try, in rising order, the policy's own among them."""
    return tuple(sorted({*SETTINGS, own}))


def sweep(
    found: Sequence[Folded],
    tried: Sequence[float],
    *,
    own: float,
    length: float,
    deploys: float,
    accepted: float | None = None,
) -> Sweep:
    """Count what each setting did; `length` is the watch's in seconds, `deploys` are a month's."""
    accepted = ACCEPTED if accepted is None else accepted
    rows = tuple(
        _row(found, index, setting, length=length, deploys=deploys)
        for index, setting in enumerate(tried)
    )
    suggestion, why = _suggestion(rows, own, accepted)
    return Sweep(rows, own, accepted, suggestion, why)


def _row(
    found: Sequence[Folded], index: int, setting: float, *, length: float, deploys: float
) -> Row:
    at = [each.settings[index] for each in found]
    ordinary = [each for each in at if each.judged.deploy.ordinary and each.judged.counts]
    false = rate(sum(each.judged.regressed for each in ordinary), len(ordinary))
    times: dict[Injection, list[float | None]] = {}
    for each in ordinary:
        for injection, seconds in each.seconds:
            times.setdefault(injection, []).append(seconds)
    waits = [length if s is None else min(s, length) for some in times.values() for s in some]
    known = [each.judged for each in at if each.judged.deploy.bad and each.judged.counts]
    return Row(
        setting,
        false,
        per_month(false, deploys),
        tuple(_seen(injection, some) for injection, some in times.items()),
        sum(waits) / len(waits) if waits else None,
        rate(sum(each.regressed for each in known), len(known)),
    )


def _seen(injection: Injection, times: list[float | None]) -> Seen:
    caught = sum(seconds is not None for seconds in times)
    return Seen(injection, rate(caught, len(times)), median(times))


def _suggestion(rows: Sequence[Row], own: float, accepted: float) -> tuple[float | None, str]:
    """Return the quickest setting that is within what is accepted, and why.

    Both by its upper estimate on these days and by its own promise: the days to come may be worse
    than those that were tried.
    """
    if rows[0].month is None:
        return None, "no suggestion: no ordinary day could be judged"
    proven = [row for row in rows if row.month is not None and row.month.high <= accepted]
    if not proven:
        return None, _cannot(rows, accepted)
    safe = [row for row in proven if row.promised <= accepted]
    if not safe:
        return None, (
            f"no suggestion: {text.percent(proven[0].sensitivity)} is within "
            f"{text.number(accepted)} a month on these days, but promises no more than "
            f"{text.number(proven[0].promised)} on others"
        )
    if all(row.delay is None for row in safe):
        return None, "no suggestion: no signal of the policy depends on watch.sensitivity"
    quickest = min(row.delay for row in safe if row.delay is not None)
    alike = [r for r in safe if r.delay is not None and r.delay <= quickest * (1 + ALIKE)]
    best = next((row for row in alike if row.sensitivity == own), alike[0])
    return best.sensitivity, _because(best, rows, own, accepted)


def _because(best: Row, rows: Sequence[Row], own: float, accepted: float) -> str:
    """Say what speaks for a setting, and what these days cannot tell."""
    mine = next(row for row in rows if row.sensitivity == own)
    word = "false rollback" if accepted == 1 else "false rollbacks"
    limit = f"at most {text.number(accepted)} {word} a month"
    words = (
        f"watch.sensitivity: {text.percent(best.sensitivity)}: the quickest with {limit}, both "
        f"on these days ({best.false.count} of {best.false.of:,}, up to {_upper(best)} a month "
        "with 95 % confidence) and by its own promise; the injected regressions are seen after "
        f"{text.seconds(best.delay)} on average"
    )
    if best is mine:
        words = f"keep {words}"
    else:
        words += f", at the policy's own {text.percent(own)} after {text.seconds(mine.delay)}"
        if mine.month is not None and mine.month.high > accepted:
            words += f" and with up to {_upper(mine)} false rollbacks a month"
    same = [row for row in rows if row.false.count == best.false.count]
    if len(same) > 1:
        span = f"{text.percent(same[0].sensitivity)} to {text.percent(same[-1].sensitivity)}"
        words += f". As to false rollbacks these days cannot tell {span} apart"
    return words


def _upper(row: Row) -> str:
    return text.number(float(f"{row.month.high:.2g}")) if row.month is not None else ""


def _cannot(rows: Sequence[Row], accepted: float) -> str:
    """Say why no setting can be suggested, and what it would take."""
    least = min((row for row in rows if row.month is not None), key=_estimate)
    assert least.month is not None  # noqa: S101 - for the type checker
    limit = f"{text.number(accepted)} a month"
    if least.month.estimate > accepted:
        return (
            f"no suggestion: every setting has more than {limit}, {text.percent(least.sensitivity)}"
            f" about {text.number(round(least.month.estimate, 2))}: look at what the signals say"
            " on the days it fired"
        )
    share = accepted / least.month.deploys
    needs = f"{needed(share):,}" if 0 < share < 1 else "more"
    false = least.false.count
    fired = f", and on {false} of these it rolled back" if false else ""
    return (
        f"no suggestion: {text.plural(least.false.of, 'ordinary day')} cannot show fewer than "
        f"{limit} at {text.number(least.month.deploys)} deploys a month (up to "
        f"{_upper(least)} at {text.percent(least.sensitivity)}): "
        f"it takes at least {needs} without a single false rollback{fired}"
    )


def _estimate(row: Row) -> float:
    return row.month.estimate if row.month is not None else float("inf")
