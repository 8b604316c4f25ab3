"""From what was chosen and measured to the parts of a policy, each with its comment. Pure.

Decides names, limits, and which signal may be silent. How it is laid out is `write`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deploy_guard.drafting import thresholds
from deploy_guard.drafting.choose import Chosen, Ratio, Slow
from deploy_guard.drafting.measure import Traffic
from deploy_guard.drafting.thresholds import Choice
from deploy_guard.policy.scalars import format_duration, format_percent, parse_duration

_LONGEST_NAME = 63
_OUT_COMPARE = (2.0, 0.01)  # as in the shipped policy of API integrations


_Key = tuple[str, str | dict[str, str], str]  # its name, its value, and the comment above it
_UNLIMITED = "a limit would be passed on ordinary days, so only the comparison counts"


@dataclass(frozen=True, slots=True)
class Strictness:
    """What a policy that cries wolf can be loosened by; the first is the default."""

    sensitivity: float = 0.01
    ratio: float = 1.5
    difference: float = 0.0005
    headroom: float = thresholds.HEADROOM
    least: float = thresholds.LEAST_LIMIT
    slower: float = thresholds.SLOWER
    attributable: bool = True  # what nobody can hold against the deploy counts, too


LADDER = (
    Strictness(),
    Strictness(sensitivity=0.001),
    Strictness(sensitivity=0.001, ratio=2.0, difference=0.01, headroom=5.0),
    Strictness(sensitivity=0.001, ratio=2.0, difference=0.01, headroom=5.0, attributable=False),
)


@dataclass(frozen=True, slots=True)
class Usual:
    """What a signal usually reads, for its tests: requests a second, and the share that is bad.

    `key` is how tests call that share: ``errors`` or ``slow``. `enough`: so many requests come in a
    watch that it can be told healthy, and bad.
    """

    name: str
    key: str
    rate: float
    share: float
    enough: bool
    optional: bool = False


@dataclass(frozen=True, slots=True)
class SignalDraft:
    """One signal: keys and values in the order of writing, each with the comment above it.

    A value that is a mapping is written as a block of texts; one that is a text as it is.
    """

    about: str
    keys: tuple[_Key, ...]
    usual: Usual | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the signals' numbers come from: the keys `provider` and, of pages, port and path.

    `history`: the numbers are of many moments, not of one pod up to now.
    """

    keys: tuple[tuple[str, str], ...]
    history: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything that a policy file says."""

    watch: tuple[tuple[str, Choice], ...]
    kubernetes: Choice | None
    signals: tuple[SignalDraft, ...]
    remarks: tuple[str, ...]


@dataclass
class _Names:
    """Gives each signal its own name."""

    taken: set[str] = field(default_factory=set)

    def give(self, wanted: str, ending: str) -> str:
        """Return a name made of small letters, digits and dashes, unique."""
        stem = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-") or "calls"
        for number in range(1, 1000):
            tail = ending if number == 1 else f"{ending}-{number}"
            name = f"{stem[: _LONGEST_NAME - len(tail) - 1].strip('-')}-{tail}"
            if name not in self.taken:
                break
        self.taken.add(name)
        return name


def compose(
    chosen: Chosen,
    origin: Origin,
    *,
    starts: Sequence[float],
    scraped: float | None,
    strict: Strictness = LADDER[0],
    more: Sequence[SignalDraft] = (),
) -> Draft:
    """Return the parts of a policy; `more` are further signals, at its end.

    `starts` are the seconds that pods took from their creation until they were ready, `scraped`
    the seconds between two samples.
    """
    if not origin.history:
        strict = replace(strict, least=thresholds.LOOSE_LIMIT, slower=thresholds.MUCH_SLOWER)
    own = [ratio for ratio in chosen.ratios if not ratio.family.outgoing]
    needed = [(_needed(one, strict), one.traffic) for one in own if one.traffic.mean > 0]
    needed += [(_needed_slow(one, strict), one.traffic) for one in chosen.slow if one.bounds]
    length = thresholds.watch_time(needed, history=origin.history)
    seconds = parse_duration(length.value)
    names = _Names()
    signals = [_ratio(ratio, origin, names, seconds, strict) for ratio in chosen.ratios]
    latencies = [_slow(slow, origin, names, seconds, strict) for slow in chosen.slow]
    watch = [
        ("for", length),
        ("interval", thresholds.interval(scraped, pages=("provider", "pods") in origin.keys)),
        ("warm_up", thresholds.warm_up(starts)),
    ]
    if strict.sensitivity != LADDER[0].sensitivity:
        why = "stricter than the default of 1 %: ordinary days looked like regressions with it"
        watch.append(("sensitivity", Choice(format_percent(strict.sensitivity), why)))
    if not strict.attributable:
        why = (
            "there are outages on ordinary days: only what is seen while old pods still serve is "
            "held against a deploy"
        )
        watch.append(("late_regressions", Choice("none", why)))
    return Draft(
        tuple(watch),
        thresholds.unready(starts, watch=seconds),
        (*signals[: len(own)], *latencies, *signals[len(own) :], *more),
        tuple(chosen.remarks),
    )


def _needed(ratio: Ratio, strict: Strictness) -> int:
    return thresholds.enough_requests(_limit(ratio, strict).limit)


def _limit(ratio: Ratio, strict: Strictness) -> thresholds.ErrorLimit:
    if not strict.attributable:
        return thresholds.ErrorLimit(None, _UNLIMITED)
    least = max(strict.least, thresholds.LOOSE_LIMIT if ratio.family.outgoing else 0.0)
    return thresholds.error_limit(ratio.failed, least=least, headroom=strict.headroom)


def _slow_limit(slow: Slow, strict: Strictness) -> thresholds.SlowLimit:
    if not strict.attributable:
        return thresholds.SlowLimit(None, thresholds.SHARES[0], _UNLIMITED)
    return thresholds.slow_limit(slow.bounds, slower=strict.slower, headroom=strict.headroom)


def _needed_slow(slow: Slow, strict: Strictness) -> int:
    limit = _slow_limit(slow, strict)
    return thresholds.enough_requests(1 - limit.share if limit.bound else None)


def _ratio(
    ratio: Ratio, origin: Origin, names: _Names, seconds: float, strict: Strictness
) -> SignalDraft:
    """Return a signal of failed requests."""
    outgoing = ratio.family.outgoing
    limit, needed = _limit(ratio, strict), _needed(ratio, strict)
    if outgoing:
        name, what = names.give(ratio.peer, "errors"), f"Calls to {ratio.peer} fail."
    elif ratio.family.group == "grpc":
        name, what = names.give("grpc", "errors"), "Callers get server errors over gRPC."
    else:
        name, what = names.give("http", "errors"), "Users get server errors."
    keys = _head(name, what, origin)
    optional = outgoing and needed > _in_quiet_hours(ratio.traffic, seconds)
    if optional:
        why = "In quiet hours too few calls go out to insist on them for the verdict healthy."
        keys.append(("optional", "true", why))
    queries = {"errors": ratio.errors.query(), "requests": ratio.requests.query()}
    keys.append(("ratio", queries, _shared_pods(ratio.requests.scope.tells_pods)))
    if limit.limit is not None:
        keys.append(("limit", format_percent(limit.limit), _sentence(limit.why)))
    keys += _compare(strict, outgoing=outgoing, unlimited="" if limit.limit else limit.why)
    keys.append(_min_requests(needed, ratio.traffic, seconds))
    about = _about(ratio.family.title, ratio.traffic, origin, out=outgoing)
    usual = None
    if ratio.failed is not None:
        enough = ratio.traffic.mean * seconds > 2 * needed
        usual = Usual(name, "errors", ratio.traffic.mean, ratio.failed.overall, enough, optional)
    return SignalDraft(about, tuple(keys), usual)


def _slow(
    slow: Slow, origin: Origin, names: _Names, seconds: float, strict: Strictness
) -> SignalDraft:
    """Return a signal of slow requests: a latency, or a ratio where bounds are not in seconds."""
    limit = _slow_limit(slow, strict)
    what = "Users wait longer for their answers."
    if slow.family.group == "grpc":
        what = "Callers wait longer for their answers over gRPC."
    counted = slow.family.per_second != 1.0
    name = names.give(slow.family.group, "slow" if counted else "latency")
    keys = _head(name, what, origin)
    apart = _shared_pods(slow.buckets.scope.tells_pods)
    if counted:
        label = limit.bound.label if limit.bound else _middle(slow)
        every = slow.buckets.where('le="+Inf"').query()
        quick = slow.buckets.where(_bound(label)).query()
        why = (
            "The bounds of this histogram are in milliseconds, latencies are in seconds: so the "
            f"requests that took longer than {float(label):g} ms are counted. {apart}"
        )
        keys.append(("ratio", {"errors": f"{every} - {quick}", "requests": every}, why.strip()))
        if limit.bound is not None:
            allowed = format_percent(round(1 - limit.share, 6))
            keys.append(("limit", allowed, _sentence(limit.why)))
    else:
        keys.append(("latency", slow.buckets.query("le"), apart))
        if limit.bound is not None:
            share, below = format_percent(limit.share), _duration(limit.bound.seconds)
            keys.append(("limit", f"{{share: {share}, below: {below}}}", _sentence(limit.why)))
    keys += _compare(strict, outgoing=False, unlimited="" if limit.bound else limit.why)
    keys.append(_min_requests(_needed_slow(slow, strict), slow.traffic, seconds))
    usual, needed = None, _needed_slow(slow, strict)
    if limit.bound is not None:
        enough = slow.traffic.mean * seconds > 2 * needed
        key = "errors" if counted else "slow"
        usual = Usual(name, key, slow.traffic.mean, limit.bound.slower.overall, enough)
    about = _about(slow.family.title, slow.traffic, origin, out=False)
    return SignalDraft(about, tuple(keys), usual)


def _duration(seconds: float) -> str:
    """Write a bound exactly: 2.5 ms are not 2 ms."""
    milliseconds = seconds * 1000
    if abs(milliseconds - round(milliseconds)) < 1e-9:
        return format_duration(seconds)
    return f"{milliseconds:.6f}".rstrip("0").rstrip(".") + "ms"


def _bound(label: str) -> str:
    """Return the condition of a bound; servers differ in how they write whole numbers."""
    whole = label.removesuffix(".0")
    return f'le=~"{whole}([.]0)?"' if whole.isdecimal() else f'le="{label}"'


def _middle(slow: Slow) -> str:
    """Return the label of a bound that about one request of twenty exceeds, or the largest."""
    if not slow.bounds:
        return "1000"
    return min(slow.bounds, key=lambda bound: abs(bound.slower.overall - 0.05)).label


def _head(name: str, what: str, origin: Origin) -> list[_Key]:
    keys: list[_Key] = [("name", name, "")]
    keys.append(("description", what, ""))
    keys += [(key, value, "") for key, value in origin.keys]
    return keys


def _shared_pods(tells_pods: bool) -> str:
    if tells_pods:
        return ""
    return (
        "These numbers do not tell old pods from new ones: all that is counted after the deploy is "
        "held against it."
    )


def _compare(strict: Strictness, *, outgoing: bool, unlimited: str) -> list[_Key]:
    """Return the key `compare`, nothing where a limit stands beside the default.

    `unlimited` says why there is no limit.
    """
    default = LADDER[0]
    ratio, difference = strict.ratio, strict.difference
    if outgoing:
        ratio, difference = max(ratio, _OUT_COMPARE[0]), max(difference, _OUT_COMPARE[1])
    if (ratio, difference) == (default.ratio, default.difference) and not unlimited:
        return []
    value = f"{{ratio: {ratio:g}, difference: {format_percent(difference)}}}"
    return [("compare", value, _sentence(unlimited) if unlimited else "")]


def _in_quiet_hours(traffic: Traffic, seconds: float) -> float:
    return traffic.quiet * seconds / thresholds.SPARE


def _min_requests(needed: int, traffic: Traffic, seconds: float) -> _Key:
    found = thresholds.reachable(needed, traffic, seconds=seconds)
    why = "So many show that the limit is kept; with fewer the verdict is inconclusive."
    if found < needed:
        why = (
            f"{needed} would prove more, but do not come within the watch in quiet hours. With "
            "fewer than this the verdict is inconclusive."
        )
    return ("min_requests", str(found), why)


def _about(title: str, traffic: Traffic, origin: Origin, *, out: bool) -> str:
    where = "go out" if out else "come in"
    if traffic.mean <= 0:
        return f"{title}. No requests were seen: without any the verdict is inconclusive."
    quiet = thresholds.rate_words(traffic.quiet) if traffic.quiet > 0 else "none"
    rate = thresholds.rate_words(traffic.mean)
    quiet = f", in quiet hours {quiet}" if origin.history else ""
    return f"{title[:1].upper()}{title[1:]}: {rate} {where}{quiet}."


def _sentence(words: str) -> str:
    return _upper(words) + "."


def _upper(words: str) -> str:
    """Return the words with a capital letter, unless they begin with the name of a quantile."""
    if not words or (words[0] == "p" and words[1:2].isdigit()):
        return words
    return words[0].upper() + words[1:]
