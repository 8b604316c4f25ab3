"""Rules of one signal: what it measures, and whether it can ever be bad, or good."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploy_guard.policy import connection_rules
from deploy_guard.policy.merge import Places
from deploy_guard.policy.models import (
    Compare,
    HttpSignal,
    LatencyLimit,
    Metrics,
    PodsSignal,
    Signal,
    Watch,
)
from deploy_guard.policy.problems import Problem, Severity, quoted
from deploy_guard.policy.promql import keeps_label, parse_selector, speed
from deploy_guard.policy.scalars import format_duration
from deploy_guard.policy.shape import keys
from deploy_guard.policy.template import Flaw, blank
from deploy_guard.policy.yaml import Path

MEASURES = ("ratio", "latency", "value")
_TOGETHER = {*MEASURES, "limit", "above", "below", "compare", "for"}
_BY_GROUP = re.compile(r"\{\{\s*(?:candidate|baseline)_")  # such a query speaks of one group only


def check(
    signal: Signal,
    path: Path,
    places: Places,
    *,
    watch: Watch | None,
    damaged: set[str],
) -> Iterator[Problem]:
    """Yield the problems of one signal.

    Without `watch` nothing is said of its length. `damaged` are keys that were wrong and taken
    out: nothing is said of what may be missing because of them.
    """
    if watch is not None and signal.interval is not None and signal.interval > watch.duration:
        message = f"'interval' is longer than the watch, {format_duration(watch.duration)}"
        yield places.at("never-fires", (*path, "interval"), message)
    if isinstance(signal, HttpSignal):
        yield from _address(signal, path, places)
        if not damaged:
            yield from _probe(signal, path, watch, places)
        return
    yield from _queries(signal, path, places)
    if not damaged.isdisjoint(_TOGETHER) or not damaged <= set(keys(type(signal))):
        return
    measures = [key for key in MEASURES if getattr(signal, key) is not None]
    if len(measures) != 1:
        yield _one_measure(signal, measures, path, places)
        return
    yield from _no_effect(signal, measures[0], path, places)
    yield from _limits(signal, measures[0], path, watch, places)


def queries(signal: Metrics) -> Iterator[tuple[Path, str]]:
    """Yield every query of a signal with its path in it."""
    if signal.ratio is not None:
        yield ("ratio", "errors"), signal.ratio.errors
        yield ("ratio", "requests"), signal.ratio.requests
    for key in ("latency", "value"):
        if (text := getattr(signal, key)) is not None:
            yield (key,), text


def _one_measure(signal: Metrics, measures: list[str], path: Path, places: Places) -> Problem:
    """Explain a signal that measures nothing, or several things."""
    if not measures:
        message = f"the signal '{signal.name}' measures nothing: expected one of {quoted(MEASURES)}"
        return places.at("no-measure", path, message)
    message = f"{quoted(measures).replace(' or ', ' and ')} in one signal: expected one of them"
    help = "make each its own signal"
    return places.key("several-measures", (*path, measures[-1]), message, help=help)


def _no_effect(signal: Metrics, measure: str, path: Path, places: Places) -> Iterator[Problem]:
    """Find keys that belong to another measure."""
    given = signal.model_fields_set
    if measure == "value":
        if signal.limit is not None:
            message = "a 'value' has no 'limit': expected 'above' or 'below'"
            yield places.key("wrong-limit", (*path, "limit"), message)
        if "compare" in given and signal.compare is not False:
            message = "a 'value' is not compared with the baseline: expected 'above' or 'below'"
            help = "a plain number says nothing of how sure it is; make it a ratio or a latency"
            yield places.key("wrong-limit", (*path, "compare"), message, help=help)
        if "min_requests" in given:
            yield _useless("min_requests", "a plain number", path, places)
        return
    for key in ("above", "below"):
        if key in given:
            limit = "5%" if measure == "ratio" else "{share: 99%, below: 500ms}"
            message = f"'{key}' is for a 'value': expected 'limit' for a {measure}"
            yield places.key("wrong-limit", (*path, key), message, help=f"write limit: {limit}")
    if "hold" in given:
        yield _useless("for", f"a {measure}: its evidence adds up request by request", path, places)


def _useless(key: str, what: str, path: Path, places: Places) -> Problem:
    """Warn of a key that changes nothing."""
    message = f"'{key}' has no effect on {what}"
    return places.key("no-effect", (*path, key), message, severity=Severity.WARNING)


def _limits(
    signal: Metrics, measure: str, path: Path, watch: Watch | None, places: Places
) -> Iterator[Problem]:
    """Find limits that can never be passed, or always are."""
    if measure == "value":
        yield from _value(signal, path, watch, places)
        return
    at, limit = (*path, "limit"), signal.limit
    if limit is None and signal.compare is False:
        message = "'compare' is false and there is no 'limit': this signal can never be bad"
        yield places.key("never-fires", (*path, "compare"), message, help="add a limit")
    elif isinstance(limit, LatencyLimit) and measure == "ratio":
        message = "the limit of a ratio is a percentage"
        yield places.key("wrong-limit", at, message, help="such as limit: 5%")
    elif isinstance(limit, float) and measure == "latency":
        message = "the limit of a latency is a share and a duration"
        help = "such as limit: {share: 99%, below: 500ms}"
        yield places.key("wrong-limit", at, message, help=help)
    elif isinstance(limit, float) and limit >= 1:
        message = "a limit of 100% can never be passed"
        yield places.at("never-fires", at, message)
    elif isinstance(limit, LatencyLimit) and limit.share <= 0:
        message = "a share of 0% is always quick enough: this limit can never be passed"
        yield places.at("never-fires", (*at, "share"), message)
    if isinstance(signal.compare, Compare) and signal.compare.difference >= 1:
        message = "a difference of 100% can never be passed"
        yield places.at("never-fires", (*path, "compare", "difference"), message)


def _value(signal: Metrics, path: Path, watch: Watch | None, places: Places) -> Iterator[Problem]:
    """Check the limits of a plain number."""
    if signal.above is None and signal.below is None and signal.limit is None:
        message = "a 'value' needs 'above' or 'below': without, it can never be bad"
        yield places.key("never-fires", (*path, "value"), message)
    elif signal.above is not None and signal.below is not None and signal.below > signal.above:
        message = "every number is above 'above' or below 'below': this signal is always bad"
        help = "the good numbers lie between: below is the smaller one"
        yield places.key("always-fires", (*path, "below"), message, help=help)
    if watch is not None and signal.hold > watch.duration:
        length = format_duration(watch.duration)
        message = f"'for' ({format_duration(signal.hold)}) is longer than the watch, {length}"
        help = "it can never be reached; write a shorter 'for'"
        yield places.at("never-fires", (*path, "for"), message, help=help)


def _queries(signal: Metrics, path: Path, places: Places) -> Iterator[Problem]:
    """Check queries as far as that goes without a server."""
    for key, text in queries(signal):
        at = (*path, *key)
        if isinstance(signal, PodsSignal):
            yield from _selector(text, at, places)
            continue
        found = speed(text) if key != ("value",) else None
        if found is not None:
            help = "guard takes the increments of the counters itself: leave out rate() and [5m]"
            flaw = Flaw(found.message, found.offset, found.length, help)
            yield places.flaw("not-a-counter", at, flaw)
        elif key == ("latency",) and not keeps_label(text, "le"):
            message = "'latency': the label 'le' is aggregated away: no buckets are left"
            yield places.at("no-buckets", at, message, help="write sum by (pod, le) (…)")
        elif not (key == ("value",) or keeps_label(text, "pod") or _BY_GROUP.search(text)):
            message = f"'{key[-1]}' does not keep the label 'pod': new and old pods look the same"
            help = "write sum by (pod) (…) to have them told apart"
            yield places.at("no-pods", at, message, help=help, severity=Severity.NOTE)


def _selector(text: str, path: Path, places: Places) -> Iterator[Problem]:
    """Check a selector for metrics pages: a name and labels, no functions, no variables."""
    if (at := text.find("{{")) >= 0:
        help = "a page has the metrics of its own pod only: leave the condition out"
        flaw = Flaw("a pod's own page knows no template variables", at, 2, help)
        yield places.flaw("bad-selector", path, flaw)
        return
    try:
        parse_selector(text)
    except ValueError as error:
        help = 'pods are read without PromQL: a metric and its labels, name{code=~"5.."}'
        yield places.at("bad-selector", path, f"'{path[-1]}': {error}", help=help)


def _address(signal: HttpSignal, path: Path, places: Places) -> Iterator[Problem]:
    """Check what a probe calls."""
    address = blank(signal.url)
    yield from connection_rules.url(address, (*path, "url"), places)
    yield from connection_rules.headers(signal.headers, (*path, "headers"), places)
    yield from connection_rules.tls(signal.tls, address, (*path, "tls"), places)


def _probe(
    signal: HttpSignal, path: Path, watch: Watch | None, places: Places
) -> Iterator[Problem]:
    """Check whether a probe can ever be good, and bad."""
    expect = signal.expect
    if expect.latency is not None and expect.latency >= signal.timeout:
        message = f"the call ends after {format_duration(signal.timeout)}, before it can be so slow"
        at = (*path, "expect", "latency")
        help = "the timeout is a failure, too; write a longer 'timeout', or leave 'latency' out"
        yield places.at("never-fires", at, message, help=help, severity=Severity.WARNING)
    if expect.json_ is not None and signal.method == "HEAD":
        message = "the answer to HEAD has no body: this can never be fulfilled"
        yield places.key("always-fires", (*path, "expect", "json"), message)
    if expect.tls_valid_for is not None and signal.url.startswith("http://"):
        message = "a URL that begins with http:// has no certificate"
        yield places.key("always-fires", (*path, "expect", "tls_valid_for"), message)
    if signal.body is not None and signal.method in {"GET", "HEAD"}:
        message = f"'body' is not sent with {signal.method}: expected method: POST or PUT"
        yield places.key("no-effect", (*path, "body"), message)
    if watch is not None:
        interval = signal.interval or watch.interval
        needed = signal.failures * interval
        if interval <= watch.duration < needed:
            length = format_duration(watch.duration)
            message = f"so many failures take {format_duration(needed)}, the watch ends at {length}"
            help = "fewer failures, a shorter interval, or a longer watch"
            yield places.at("never-fires", (*path, "failures"), message, help=help)
