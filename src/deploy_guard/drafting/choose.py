"""Which of the known metrics become signals, and what is left out and why.

Decides between metrics that measure the same requests: one that tells old pods from new ones
stands before one that does not, then the order of `known`. Asks a source, whichever it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from deploy_guard.drafting import measure
from deploy_guard.drafting.known import ROUTES, ROUTINE, SERVER_FAULT, Family
from deploy_guard.drafting.measure import Bound, Share, Traffic
from deploy_guard.drafting.sources import Peers, Pick, Sighting, Source, equals

MOST_PEERS = 5
MOST_TOLD = 10  # names of integrations that are left out
LEAST_CALLS = 20 / 3600  # a second: of fewer calls nothing can be said within a watch
_PEER = re.compile(r"[ -~]{1,120}")  # what can be written into a query and be read by people
_STATUS = re.compile(r"[1-5]([0-9]{2}|[xX]{2})")
_SEGMENT = re.compile(rf"/?{ROUTINE.removeprefix('/?')}")


@dataclass(frozen=True, slots=True)
class Option:
    """A family whose metrics the workload has, and how they are tied to it."""

    sighting: Sighting
    family: Family
    order: int

    @property
    def counters(self) -> tuple[str, ...]:
        """The names of the counters that there are, the best first."""
        return tuple(c for c in self.family.counters if c in self.sighting.names)

    @property
    def counter(self) -> str:
        """The name of the best counter; empty when there is none."""
        return next(iter(self.counters), "")

    @property
    def bucket(self) -> str:
        """The name of the histogram's buckets; empty when there are none."""
        name = f"{self.family.histogram}_bucket"
        return name if self.family.histogram and name in self.sighting.names else ""

    def pick(self, metric: str) -> Pick:
        """Return the series of one of its metrics."""
        return Pick(metric, self.sighting.scope, self.family.fixed)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Failed requests of all requests, with what was measured; `peer` is who is called."""

    family: Family
    requests: Pick
    errors: Pick
    traffic: Traffic
    failed: Share | None
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Slow:
    """A histogram of durations, with the bounds that were measured."""

    family: Family
    buckets: Pick
    traffic: Traffic
    bounds: tuple[Bound, ...]


@dataclass
class Chosen:
    """What becomes a signal, and what is said about the rest."""

    ratios: list[Ratio] = field(default_factory=list)
    slow: list[Slow] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def choose(source: Source) -> Chosen:
    """Ask a source what there is, and choose. Raises GuardError when it cannot be asked."""
    options = _options(source.metrics())
    chosen = Chosen()
    for group in ("http", "grpc"):
        own = [option for option in options if option.family.group == group]
        _incoming(source, own, chosen)
    for group in ("http-out", "grpc-out"):
        own = [option for option in options if option.family.group == group and option.counter]
        _outgoing(source, own, chosen)
    return chosen


def _options(sightings: Sequence[Sighting]) -> list[Option]:
    found = [
        Option(sighting, family, order)
        for order, (sighting, family) in enumerate(
            (sighting, family) for sighting in sightings for family in sighting.families
        )
    ]
    found = [one for one in found if one.counter or one.bucket or _is_native(one)]
    return sorted(found, key=lambda one: (not one.sighting.scope.tells_pods, one.order))


def _is_native(option: Option) -> bool:
    return bool(option.family.histogram) and option.family.histogram in option.sighting.names


def _incoming(source: Source, options: Sequence[Option], chosen: Chosen) -> None:
    """Choose one ratio of failures and one histogram of a group."""
    ratios: list[tuple[Option, Ratio]] = []
    for option in options:
        if not option.counter or any(ratio.traffic.mean > 0 for _, ratio in ratios):
            continue
        ratio = _ratio(source, option, chosen)
        ratios += [] if ratio is None else [(option, ratio)]
    best = max(ratios, key=lambda pair: pair[1].traffic.mean > 0, default=None)
    used = set()
    if best is not None:
        chosen.ratios.append(best[1])
        used.add(best[1].requests.metric)
    slow = _histogram(source, options, best[0] if best else None, chosen)
    if slow is not None:
        chosen.slow.append(slow)
        used |= {slow.buckets.metric, f"{slow.family.histogram}_count"}
    _tell_rest(options, used, chosen)


def _tell_rest(options: Sequence[Option], used: set[str], chosen: Chosen) -> None:
    """Say which metrics count the same requests once more."""
    families = {ratio.family.title for ratio in chosen.ratios} | {
        slow.family.title for slow in chosen.slow
    }
    for option in options:
        name = option.counter or option.bucket
        if name and name not in used and used and option.family.title not in families:
            how = "" if option.sighting.scope.tells_pods else ", without telling pods apart"
            chosen.remarks.append(
                f"{name} ({option.family.title}) counts the same requests once more{how}"
            )


def _ratio(source: Source, option: Option, chosen: Chosen) -> Ratio | None:
    """Measure the failures of a family; None when no label tells them."""
    silent = ""
    for counter in option.counters:
        whole = option.pick(counter)
        labels = source.labels(whole)
        failed = _failed(source, whole, option.family, labels)
        if failed is not None:
            whole = _without_routine(source, whole, labels, chosen)
            return _measured(source, option.family, whole, whole.where(failed))
        silent = silent or (counter if labels else "")
    if silent:
        known = ", ".join(label for label, _ in option.family.failed)
        text = f"{silent} has no label that tells failed requests: expected one of {known}"
        if SERVER_FAULT in option.family.failed[0][1]:
            text += ", with statuses such as 200 or 5xx"
        chosen.remarks += [] if text in chosen.remarks else [text]
    return None


def _failed(source: Source, pick: Pick, family: Family, labels: frozenset[str]) -> str | None:
    """Return the condition that picks failed requests, by the first label that fits.

    One whose values are no HTTP statuses, such as ``success``, would never show a server's fault.
    """
    for label, condition in family.failed:
        if label not in labels:
            continue
        by_status = condition == label + SERVER_FAULT
        values = [value for value in source.values(pick, label) if value] if by_status else []
        if not values or any(_STATUS.fullmatch(value) for value in values):
            return condition
    return None


def _measured(source: Source, family: Family, whole: Pick, errors: Pick, peer: str = "") -> Ratio:
    rates = source.rates(whole)
    traffic = measure.traffic(rates)
    failed = None
    if traffic.mean > 0:
        failed = measure.share(source.rates(errors), rates, seconds=source.seconds)
    return Ratio(family, whole, errors, traffic, failed, peer)


def _without_routine(source: Source, pick: Pick, labels: frozenset[str], chosen: Chosen) -> Pick:
    """Leave out requests of the kubelet and of scrapers, where a label names the route."""
    for label in ROUTES:
        if label not in labels:
            continue
        values = source.values(pick, label)
        routine = {match[1] for value in values if (match := _SEGMENT.fullmatch(value))}
        if not routine or all(_SEGMENT.fullmatch(value) for value in values if value):
            continue
        words = "|".join(sorted(routine))
        text = f"requests of the paths {words} are left out: they are probes and scrapes"
        if text not in chosen.remarks:
            chosen.remarks.append(text)
        return pick.where(f'{label}!~"/?({words})(/.*)?"')
    return pick


def _histogram(
    source: Source, options: Sequence[Option], best: Option | None, chosen: Chosen
) -> Slow | None:
    """Choose the buckets of a group: of the same family as the failures, in seconds if there are.

    A histogram in other units cannot be read from a pod's page, where nothing can be subtracted.
    """
    for option in options:
        if not option.bucket and (_is_native(option) or option is best):
            chosen.remarks.append(_no_buckets(source, option))
    usable = [option for option in options if option.bucket]
    for option in [one for one in usable if one.sighting.scope.page and _foreign(one)]:
        usable.remove(option)
        chosen.remarks.append(f"{option.bucket} is in milliseconds: not judged without Prometheus")
    usable.sort(key=lambda one: (not one.sighting.scope.tells_pods, _foreign(one), one is not best))
    for option in usable:
        pick = option.pick(option.bucket)
        pick = _without_routine(source, pick, source.labels(pick), chosen)
        buckets = source.buckets(pick)
        found = measure.bounds(buckets, per_second=option.family.per_second, seconds=source.seconds)
        whole = max(buckets.values(), key=lambda rates: sum(rates.values()), default={})
        if found or option is usable[-1]:
            return Slow(option.family, pick, measure.traffic(whole), tuple(found))
    return None


def _foreign(option: Option) -> bool:
    return option.family.per_second != 1.0


def _no_buckets(source: Source, option: Option) -> str:
    name = option.family.histogram
    if _is_native(option) and "quantile" not in source.labels(option.pick(name)):
        return (
            f"{name} is a native histogram, which is not read; have Prometheus scrape the classic "
            "one too (always_scrape_classic_histograms) to have latency judged"
        )
    if not name:
        return f"{option.counter} has no histogram beside it: latency is not judged"
    advice = f"; {option.family.advice}" if option.family.advice else ""
    return f"{name} has no buckets: latency is not judged{advice}"


def _outgoing(source: Source, options: Sequence[Option], chosen: Chosen) -> None:
    """Choose the busiest integrations of the first family that has busy ones."""
    used = False
    for option in options:
        if used:
            chosen.remarks.append(
                f"{option.counter} ({option.family.title}) counts calls to others as well"
            )
            continue
        used = _integrations(source, option, chosen)


def _integrations(source: Source, option: Option, chosen: Chosen) -> bool:
    """Add one ratio for each busy integration; tell whether there is one."""
    whole = option.pick(option.counter)
    labels = source.labels(whole)
    label = next((label for label in option.family.peers if label in labels), None)
    failed = _failed(source, whole, option.family, labels)
    if label is None or failed is None:
        who = label is None
        wanted = option.family.peers if who else [name for name, _ in option.family.failed]
        missing = "who is called" if who else "failed calls"
        text = f"{option.counter} has no label that tells {missing}: expected one of "
        chosen.remarks += [text + ", ".join(wanted)] if labels else []
        return False
    peers = source.peers(whole, label, MOST_PEERS + MOST_TOLD)
    taken: list[str] = []
    for peer in peers.busiest:
        ok = peer.name and _PEER.fullmatch(peer.name) and "{{" not in peer.name
        if not ok or peer.rate < LEAST_CALLS or len(taken) == MOST_PEERS:
            continue
        own = whole.where(equals(label, peer.name))
        ratio = _measured(source, option.family, own, own.where(failed), peer.name)
        if ratio.failed is not None and ratio.failed.overall > 0.5:
            chosen.remarks.append(
                f"calls to {peer.name} fail more often than not, by {failed}: left out"
            )
            continue
        taken.append(peer.name)
        chosen.ratios.append(ratio)
    chosen.remarks += _others(peers, taken, option.counter)
    return bool(taken)


def _others(peers: Peers, taken: Sequence[str], counter: str) -> Iterator[str]:
    """Say which integrations have no signal."""
    rest = [peer.name for peer in peers.busiest if peer.name and peer.name not in taken]
    more = peers.count - len(taken)
    if more <= 0:
        return
    named = ", ".join(_short(name) for name in rest[:MOST_TOLD])
    if more > len(rest[:MOST_TOLD]):
        named = f"{named}, …" if named else ""
    integrations = "integration has" if more == 1 else "integrations have"
    yield (
        f"{more:,} more {integrations} no signal, by {counter}: too few calls, or not among the "
        f"{MOST_PEERS} busiest" + (f" ({named})" if named else "")
    )


def _short(name: str) -> str:
    return name if len(name) <= 60 else name[:59] + "…"
