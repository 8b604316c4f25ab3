"""The tests beside a drafted policy: what it is to do, at the traffic that was measured.

Decides which cases every policy has: nothing changes, each signal goes bad, nobody calls, no data.
"""

from __future__ import annotations

from deploy_guard.drafting.compose import Draft, Usual
from deploy_guard.drafting.write import comment
from deploy_guard.policy.scalars import format_percent

BAD = 0.6  # share of requests that fail, or are slow, in a case that is to be caught


def cases_of(draft: Draft, *, name: str) -> str | None:
    """Return the text of ``NAME.test.yaml``, None where that was not measured."""
    known = {usual.name: usual for signal in draft.signals if (usual := signal.usual) is not None}
    needed = [usual for usual in known.values() if not usual.optional]
    if not needed or len(known) < len(draft.signals):
        return None
    length = dict(draft.watch)["for"].value
    lines = [
        *comment(f"What {name}.yaml does, case by case, at the traffic that guard init measured."),
        "version: 1",
        "",
        "defaults:",
        "  signals:",
    ]
    for usual in known.values():
        share = format_percent(round(usual.share, 5))
        lines.append(f"    {usual.name}: {{requests: {_rate(usual)}, {usual.key}: {share}}}")
    lines += ["", "cases:"]
    if all(usual.enough for usual in needed):
        lines += ["  - name: a deploy that changes nothing", "    expect: healthy", ""]
    for usual in [one for one in needed if one.enough]:
        amounts = f"{{before: {format_percent(round(usual.share, 5))}, new: {format_percent(BAD)}}}"
        lines += [
            f"  - name: {usual.name} goes bad",
            f"    signals: {{{usual.name}: {{{usual.key}: {amounts}}}}}",
            f"    expect: regressed by {length} ({usual.name})",
            "",
        ]
    nobody = ", ".join(f"{one.name}: {{requests: 0/h, {one.key}: 0%}}" for one in known.values())
    away = ", ".join(f"{{signal: {one.name}, what: no data}}" for one in known.values())
    lines += [
        "  - name: nobody calls",
        f"    signals: {{{nobody}}}",
        "    expect: inconclusive",
        "",
        "  - name: there are no metrics",
        f"    faults: [{away}]",
        "    expect: no data",
    ]
    return "\n".join(lines) + "\n"


def _rate(usual: Usual) -> str:
    """Return a rate as tests write it, in whole numbers."""
    for seconds, unit in ((1.0, "s"), (60.0, "m")):
        number = usual.rate * seconds
        if number >= 10:
            return f"{round(number)}/{unit}"
    return f"{max(1, round(usual.rate * 3600))}/h"
