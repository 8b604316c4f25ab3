"""From measured numbers to the limits and times of a policy, each with its reason. Pure.

Decides how much headroom a limit has, how many requests prove health, and how long to watch. The
reasons are the comments of the draft.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deploy_guard import text
from deploy_guard.drafting.measure import Bound, Share, Traffic, quantile
from deploy_guard.policy.scalars import format_duration

HEADROOM = 3.0  # times the worst of ordinary
LEAST_LIMIT = 0.01
LOOSE_LIMIT = 0.05  # for calls to other people's APIs, and where bad times are not known
MOST_LIMIT = 0.5
_STEPS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
SLOWER = 1.5  # times the present quantile
MUCH_SLOWER = 3.0  # the same where bad times are not known
SHARES = (0.99, 0.95, 0.9)
FEWEST, MOST = 30, 300  # requests that can show a candidate healthy
FEWEST_AT_ALL = 10
SHORTEST_WATCH, LONGEST_WATCH = 600.0, 1800.0
SPARE = 1.5  # times the time in which the requests come
SHORTEST_INTERVAL, LONGEST_INTERVAL, USUAL_INTERVAL = 5.0, 60.0, 15.0
WARM_UP, LONGEST_WARM_UP = 30.0, 120.0
UNREADY = 300.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A value as the policy writes it (empty: leave the key out), and why."""

    value: str
    why: str


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """A limit of failed requests, None where no limit would tell good from bad."""

    limit: float | None
    why: str


@dataclass(frozen=True, slots=True)
class SlowLimit:
    """The bound that a share of the requests stays below, None without such a bound."""

    bound: Bound | None
    share: float
    why: str


def error_limit(
    failed: Share | None, *, least: float = LEAST_LIMIT, headroom: float = HEADROOM
) -> ErrorLimit:
    """Return some times what is ordinary, rounded up, and never below the `least`."""
    if failed is None:
        return ErrorLimit(LOOSE_LIMIT, "nothing was seen to measure it by; 5 % is usual")
    seen = f"{_seen(failed)} failed{_in_bad_times(failed)}"
    wanted = headroom * failed.usual
    if wanted > MOST_LIMIT:
        return ErrorLimit(
            None, f"{seen}: no limit would tell good from bad, so only the comparison"
        )
    limit = _up(max(least, wanted))
    if wanted == 0:
        return ErrorLimit(limit, f"{seen}; {text.percent(least)} is the least")
    floor = f", but no less than {text.percent(least)}" if wanted < least else ", rounded up"
    return ErrorLimit(limit, f"{seen}; {headroom:g} times that{floor}")


def _up(value: float) -> float:
    return next(step for step in _STEPS if step >= value * (1 - 1e-9))


def slow_limit(
    bounds: Sequence[Bound], *, slower: float = SLOWER, headroom: float = HEADROOM
) -> SlowLimit:
    """Return the smallest bound that, even in bad times, few enough requests were slower than.

    Few enough is a part of what the share allows: of 99 % a third of a percent. If the histogram
    has such a bound, it is also `slower` times the present quantile.
    """
    for share in SHARES:
        fit = [bound for bound in bounds if bound.slower.usual <= (1 - share) / headroom]
        if not fit:
            continue
        now = quantile(bounds, share)
        far = [bound for bound in fit if now is not None and bound.seconds >= slower * now]
        bound = far[0] if far else fit[-1]
        quick = f"p{share * 100:g} was {text.seconds(now)}; " if now is not None else ""
        seen = f"{_seen(bound.slower)} took longer than this{_in_bad_times(bound.slower)}"
        return SlowLimit(bound, share, quick + seen)
    why = "too many are slower than the largest bound of the histogram"
    if not bounds:
        why = "nothing was seen to measure a limit by"
    return SlowLimit(None, SHARES[0], f"{why}: only the comparison")


def _seen(share: Share) -> str:
    return text.percent(share.overall) if share.overall > 0 else "none"


def _in_bad_times(share: Share) -> str:
    """Say the share of bad times, unless it reads like the one over all."""
    worst = text.percent(share.worst)
    differs = share.worst > share.overall and worst != text.percent(share.overall)
    return f", {worst} in bad times" if differs else ""


def enough_requests(limit: float | None) -> int:
    """Return how many requests show that a limit is kept.

    The rule of three: of so many requests one would have failed with a chance of 95 % if the
    share of failures were the limit.
    """
    wanted = math.ceil(3 / limit - 1e-9) if limit else 50
    return max(FEWEST, min(MOST, wanted))


def watch_time(needed: Sequence[tuple[int, Traffic]], *, history: bool = True) -> Choice:
    """Return how long to watch, by how fast requests come in quiet hours."""
    times = [SPARE * count / traffic.quiet for count, traffic in needed if traffic.quiet > 0]
    longest = max(times, default=0.0)
    wanted = min(LONGEST_WATCH, max(SHORTEST_WATCH, 60 * math.ceil(longest / 60)))
    if not needed:
        return Choice(format_duration(wanted), "the default")
    if not times:
        why = "there are hours without requests, in which no deploy can be shown healthy"
        return Choice(format_duration(wanted), why)
    rate = min(traffic.quiet for _, traffic in needed if traffic.quiet > 0)
    why = f"{'in quiet hours ' if history else ''}{rate_words(rate)} come in: "
    if longest > LONGEST_WATCH:
        why += "not enough in half an hour to show health at any time of the day"
    else:
        why += f"enough of them to show health in {text.seconds(max(longest, 1.0))}"
    return Choice(format_duration(wanted), why)


def reachable(needed: int, traffic: Traffic, *, seconds: float) -> int:
    """Return how many of the needed requests come in quiet hours, at least a few."""
    rate = traffic.quiet if traffic.quiet > 0 else traffic.mean
    if rate <= 0:
        return needed
    return max(FEWEST_AT_ALL, min(needed, math.floor(rate * seconds / SPARE)))


def interval(scraped: float | None, *, pages: bool = False) -> Choice:
    """Return how often to read: as often as there are new numbers."""
    if pages:
        return Choice(format_duration(SHORTEST_INTERVAL), "the pods themselves are asked")
    if scraped is None:
        return Choice(format_duration(USUAL_INTERVAL), "the default")
    chosen = min(LONGEST_INTERVAL, max(SHORTEST_INTERVAL, scraped))
    return Choice(format_duration(chosen), f"samples arrive every {text.seconds(scraped)}")


def warm_up(starts: Sequence[float]) -> Choice:
    """Return how long a new pod is left out of comparisons, by how long pods take to be ready."""
    if not starts:
        return Choice(format_duration(WARM_UP), "the default")
    usual = sorted(starts)[len(starts) // 2]
    ready = f"pods are ready {text.seconds(max(usual, 1.0))} after their creation"
    if usual <= WARM_UP:
        return Choice(format_duration(WARM_UP), f"{ready}; the default")
    chosen = min(LONGEST_WARM_UP, 15 * math.ceil(usual / 15))
    return Choice(format_duration(chosen), f"{ready}: slow starters are slow for a while")


def unready(starts: Sequence[float], *, watch: float) -> Choice | None:
    """Return how long a pod may be unready, where the default would be too short."""
    slowest = max(starts, default=0.0)
    if 2 * slowest <= UNREADY or watch <= UNREADY:
        return None
    chosen = min(watch, 60 * math.ceil(2 * slowest / 60))
    return Choice(format_duration(chosen), f"the slowest pod took {text.seconds(slowest)}")


def rate_words(rate: float) -> str:
    """Return ``12 requests a second``, ``3 requests a minute``, ``5 requests an hour``."""
    for seconds, unit in ((1.0, "a second"), (60.0, "a minute"), (3600.0, "an hour")):
        number = rate * seconds
        if number >= 1 or unit == "an hour":
            words = f"{number:,.0f}" if number >= 9.95 else f"{number:.2g}"
            return f"{words} {'request' if words == '1' else 'requests'} {unit}"
    raise AssertionError(rate)
