"""What makes a signal fire, in words: a sentence, and the short form of a wide column."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from deploy_guard import text

if TYPE_CHECKING:
    from deploy_guard.check_live.firing import Firing


def rate(requests: float) -> str:
    """Return ``40 requests/s`` or, where that is less than one, ``12 requests/min``."""
    if requests >= 1:
        return f"{text.number(round(requests, 1 if requests < 10 else 0))} requests/s"
    return f"{text.number(float(f'{requests * 60:.2g}'))} requests/min"


def brief(found: Firing) -> str:
    """Return what makes a signal fire, and how soon, for a wide column of a table."""
    if not found.edges or found.measure == "calls":
        return found.short
    took = ", ".join(text.seconds(edge.seconds) for edge in found.edges)
    if found.measure == "value":
        return f"{found.short}, for {took}"
    quickest = "" if len(found.examples) == 0 else f", {text.percent(found.examples[-1][0])} in "
    more = f"{quickest}{text.seconds(found.examples[-1][1])}" if quickest else ""
    return f"{found.short} in {took}{more}"


def sentence(found: Firing) -> str:
    """Return in words what makes a signal fire, and how soon."""
    if not found.edges:
        return f"cannot fire: {found.never}"
    return "fires " + "; ".join([*_edges(found), *_more(found)])


def _edges(found: Firing) -> Iterable[str]:
    for edge in found.edges:
        took = text.seconds(edge.seconds)
        if found.measure == "calls":
            calls = text.plural(int(edge.at), "failing call")
            yield f"after {calls} in a row, {took} after the first"
        elif found.measure == "value":
            which = "above" if edge.above else "below"
            yield f"{which} {text.number(edge.at)}, after {took}{_known(found, text.number)}"
        else:
            share = text.percent(edge.at) + ("" if edge.at >= 1 else " or more")
            slow = "" if found.bound is None else f" take longer than {text.seconds(found.bound)},"
            when = f"when {share}{slow}" if slow else f"at {share}"
            within = f"within {text.seconds(found.within)} at {rate(found.rate or 0.0)}"
            yield f"{when} {within}{_known(found, text.percent)}"


def _known(found: Firing, show: Callable[[float | None], str]) -> str:
    told = [("now", found.now), ("baseline", found.before)]
    known = ", ".join(f"{word} {show(number)}" for word, number in told if number is not None)
    return f" ({known})" if known else ""


def _more(found: Firing) -> Iterable[str]:
    if found.examples:
        told = [f"{text.percent(s)} in {text.seconds(took)}" for s, took in found.examples]
        yield f"sooner at more: {', '.join(told)}"
