"""What a piece of evidence means, in plain words: counts, chance, threshold, how near to firing.

Decides no finding: it spells out the numbers that a judge left in its evidence.
"""

from __future__ import annotations

import math

from deploy_guard import text
from deploy_guard.model import Evidence, Finding
from deploy_guard.policy.models import HttpSignal, Metrics, Signal

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
NOTHING_UNUSUAL = 0.05  # a p-value above this is what chance gives
FAR, CLOSE = 0.25, 0.75  # parts of the evidence that is needed
_NEAR = ((FAR, "far from firing"), (CLOSE, "on its way to firing"), (1.0, "close to firing"))


def odds(p_value: float) -> str:
    """Return ``once in 33``, ``once in 12,000``, ``once in 10⁷``."""
    if not p_value > 1e-300:
        return f"less than once in 10{'300'.translate(_SUPERSCRIPTS)}"
    times = 1 / min(1.0, p_value)
    if times >= 1e6:
        return f"once in 10{str(math.floor(math.log10(times))).translate(_SUPERSCRIPTS)}"
    if times < 10:
        return f"once in {times:.2g}"
    digits = max(0, math.floor(math.log10(times)) - 1)
    return f"once in {round(times / 10**digits) * 10**digits:,}"


def values(evidence: Evidence) -> str:
    """Return the current value, what was before, and the limit: ``5.2 %, 0.1 % before``."""
    if evidence.rule == "cluster":
        return ""
    told = [(evidence.current, "now"), (evidence.baseline, "before")]
    return ", ".join(
        f"{text.quantity(number, evidence.unit)} {what}"
        for number, what in told
        if number is not None and math.isfinite(number)
    )


def counts(evidence: Evidence) -> str:
    """Say how many requests failed or were slow, and how many were expected; empty without any."""
    numbers = evidence.numbers
    seen, bad = numbers.get("requests", 0.0), numbers.get("errors", 0.0)
    if seen <= 0:
        return ""
    what = "failed"
    if "bound" in numbers:
        what = f"took more than {text.seconds(numbers['bound'])}"
    words = f"{text.count(bad)} of {text.count(seen)} requests {what}"
    expected = _expected(evidence)
    if expected is None:
        return words
    allowed = evidence.rule == "limit"
    return f"{words}, {text.count(expected)} {'allowed' if allowed else 'expected'}"


def _expected(evidence: Evidence) -> float | None:
    """Return how many were expected, None while nothing is: all so far is the warm-up."""
    expected = evidence.numbers.get("expected")
    return None if evidence.rule == "limit" and expected == 0 else expected


def reference(evidence: Evidence) -> str:
    """Say what the count that `counts` ends with comes from; empty where nothing is expected."""
    numbers = evidence.numbers
    seen, expected = numbers.get("requests", 0.0), _expected(evidence)
    if seen <= 0 or expected is None:
        return ""
    ratio = expected / seen
    if evidence.rule == "limit":
        return f"by the limit of {text.percent(ratio)}"
    known, bad = numbers.get("baseline_requests", 0.0), numbers.get("baseline_errors", 0.0)
    if known > 0 and math.isclose(ratio, bad / known, rel_tol=1e-6, abs_tol=1e-12):
        before = f"{text.count(bad)} of {text.count(known)} requests"
        return f"at the {text.percent(ratio)} of before the deploy ({before})"
    return f"at the {text.percent(ratio)} of the old pods at the same time"


def chance(evidence: Evidence) -> str:
    """Say how often so many would come by chance, and which rarity is acted on."""
    p_value, level = evidence.numbers.get("p_value"), evidence.numbers.get("level", 0.0)
    if p_value is None or evidence.numbers.get("requests", 0.0) <= 0:
        return ""
    if p_value > NOTHING_UNUSUAL:
        unusual = evidence.rule == "limit" or _expected(evidence) is None
        words = "" if unusual else "no more than chance gives"
    else:
        even = "even at the limit " if evidence.rule == "limit" else ""
        words = f"{even}so many or more would come by chance {odds(p_value)}"
    if level > 0:
        return f"{words}; the threshold is {odds(level)}".removeprefix("; ")
    if evidence.finding is Finding.BAD:
        outage = "so large a share, poll after poll, is an outage: it needs no other proof"
        return f"{words}; {outage}".removeprefix("; ")
    return words


def nearness(evidence: Evidence, signal: Signal | None) -> str:
    """Say how near a signal is to firing, in plain words; empty where nothing can be said."""
    if evidence.finding is Finding.BAD:
        return "fires"
    if evidence.finding is Finding.SHARED:
        return "would fire, but it is not the deploy"
    if evidence.finding is Finding.NO_DATA:
        return ""
    if isinstance(signal, HttpSignal):
        return _of_probe(evidence, signal)
    if evidence.rule == "cluster" or signal is None:
        return ""
    if signal.value is not None:
        return _of_value(evidence, signal)
    return _of_counts(evidence)


def _of_probe(evidence: Evidence, signal: HttpSignal) -> str:
    row = evidence.numbers.get("failures_in_a_row", 0.0)
    if row <= 0:
        return "far from firing" if evidence.samples else ""
    return f"{text.count(row)} of the {signal.failures} failures in a row that fire"


def _of_value(evidence: Evidence, signal: Metrics) -> str:
    value = evidence.current
    if value is None or evidence.finding is Finding.LITTLE:
        return ""
    if evidence.finding is Finding.SUSPECT:
        return f"fires when it lasts for {text.seconds(signal.hold)}"
    limits = [("above", signal.above), ("below", signal.below)]
    words = [f"{which} {text.number(limit)}" for which, limit in limits if limit is not None]
    return f"fires {' or '.join(words)} for {text.seconds(signal.hold)}"


def _of_counts(evidence: Evidence) -> str:
    numbers = evidence.numbers
    expected = _expected(evidence)
    if numbers.get("requests", 0.0) <= 0 or expected is None:
        return ""
    p_value, level = numbers.get("p_value", 1.0), numbers.get("level", 0.0)
    if level > 0 and p_value <= level:
        return f"beyond the threshold: {evidence.text.rsplit('; ', 1)[-1]}"
    if level > 0:
        share = math.log(max(p_value, 1e-300)) / math.log(level)
        return next((words for most, words in _NEAR if share < most), _NEAR[-1][1])
    if evidence.rule == "limit" and expected > 0:
        share = numbers.get("errors", 0.0) / expected
        if share <= 1:
            return f"at {text.percent(share)} of its limit"
        little = evidence.finding is Finding.GOOD
        return f"above its limit, {'by no more than chance gives' if little else 'not proven yet'}"
    return ""


def meaning(evidence: Evidence, signal: Signal | None) -> str:
    """Return counts, chance and nearness in one line; empty where there is nothing to add."""
    parts = (counts(evidence), chance(evidence), nearness(evidence, signal))
    return "; ".join(part for part in parts if part)
