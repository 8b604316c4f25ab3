"""What holds before the deploy, on old pods and on new ones: amounts of a test file, filled in.

Decides what is meant where a group is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from deploy_guard.policy.scalars import parse_duration
from deploy_guard.policy_tests.flows import OverTime
from deploy_guard.policy_tests.inputs import GROUPS, BucketsByGroup, SignalInput
from deploy_guard.policy_tests.notation import Amount, parse_bound


class Resolved(NamedTuple):
    """What holds before the deploy (None: nobody knows), on old pods, on new pods."""

    before: Amount | None
    old: OverTime
    new: OverTime


_NOTHING = Amount("rate", (0.0,))


def resolved(value: object) -> Resolved:
    """Return what holds where, from a value for all or from values by group."""
    if value is None:
        return Resolved(None, _NOTHING, _NOTHING)
    if isinstance(value, Amount | dict):
        return Resolved(_steady(value), value, value)
    before, old, new = (getattr(value, key) for key in ("before", "old", "new"))
    if before is None:
        before = _steady(new if old is None else old)
    old = next(one for one in (old, before, new) if one is not None)
    return Resolved(before, old, old if new is None else new)


def _steady(value: OverTime | None) -> Amount | None:
    """Return what an amount is at the deploy; None for a series: it says nothing of before."""
    if isinstance(value, Amount):
        return None if value.series else value
    first = min(value or {}, key=parse_duration, default=None)
    return None if value is None or first is None or parse_duration(first) > 0 else value[first]


def rates(value: object) -> Iterator[float]:
    """Yield every rate, per second, that stands in a value for all or by group."""
    if isinstance(value, Amount):
        yield from [number(value)] if value.kind == "rate" else []
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from rates(one)
    else:
        for group in GROUPS:
            yield from rates(getattr(value, group, None)) if value is not None else ()


def counted(value: object) -> bool:
    """Whether a series stands in a value: its rates are not known beforehand."""
    if isinstance(value, Amount):
        return value.series
    if isinstance(value, Mapping):
        return any(map(counted, value.values()))
    return value is not None and any(counted(getattr(value, group, None)) for group in GROUPS)


Table = Mapping[float, float]


def by_bound(given: SignalInput) -> tuple[Table, Table, Table]:
    """Return the shares at most so slow by bound: before, on old pods, on new pods."""
    value = given.buckets
    if isinstance(value, dict):
        value = BucketsByGroup(before=value)
    before, old, new = (getattr(value, key, None) for key in ("before", "old", "new"))
    first, old = before or old or new, old or before or new
    return _table(first or {}), _table(old or {}), _table(new or old or {})


def _table(shares: Mapping[str, float]) -> Table:
    return dict(sorted((parse_bound(bound), share) for bound, share in shares.items()))


def slower(table: Table, bound: float) -> Amount:
    """Return the share of requests above a bound."""
    return Amount("share", (max(0.0, 1.0 - table.get(bound, 1.0)),))


def number(amount: Amount) -> float:
    """Return a steady amount's number."""
    value = amount.values[0]
    return value if isinstance(value, float) else 0.0


def rate_of(amount: Amount | None, requests: float) -> float:
    """Return the rate that a steady amount is of so many requests per second."""
    if amount is None:
        return 0.0
    return number(amount) * (requests if amount.kind == "share" else 1.0)
