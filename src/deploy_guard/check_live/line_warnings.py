"""What a cluster says against a policy, as warnings at its lines, for the log of a change.

Decides the place of each warning in the file. What is warned of is `callouts`' business, and what
the server refuses is an error of its own (`queries`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from deploy_guard.check_live.callouts import Callout, Kind
from deploy_guard.check_live.report import SignalReport
from deploy_guard.model import Finding
from deploy_guard.policy.problems import Problem, Severity

if TYPE_CHECKING:
    from deploy_guard.policy.merge import Places
    from deploy_guard.policy.models import Policy
    from deploy_guard.policy.yaml import Path

CODES: dict[Kind, str] = {
    "never_fires": "live-never-fires",
    "fires_now": "live-fires-now",
    "too_little": "live-too-little",
    "inconclusive": "live-inconclusive",
    "old_data": "live-old-data",
}
NO_DATA = "live-no-data"


def line_warnings(
    policy: Policy,
    callouts: Sequence[Callout],
    signals: Sequence[SignalReport],
    problems: Sequence[Problem],
    places: Places | None,
) -> tuple[Problem, ...]:
    """Return a warning for each call-out, and for each signal without data that has none.

    `problems` are the refused queries: then no data is no news.
    """
    found = [(CODES[c.kind], c.signal, c.words, "") for c in callouts]
    if not problems:
        found += _silent(signals, called={c.signal for c in callouts})
    return tuple(
        _problem(policy, code, _path(policy, signal), words, help=help, places=places)
        for code, signal, words, help in found
    )


def _silent(
    signals: Sequence[SignalReport], *, called: set[str]
) -> Iterator[tuple[str, str, str, str]]:
    for signal in signals:
        name, why = signal.summary.name, signal.summary.problem or signal.summary.text
        without = signal.summary.finding is Finding.NO_DATA and not signal.optional
        if without and name not in called:
            yield NO_DATA, name, f"{name}: no data: {why}", signal.help


def _path(policy: Policy, signal: str) -> Path:
    """Return the place of a signal; of the cluster's own signs, or of all, the nearest there is."""
    for number, spec in enumerate(policy.signals):
        if spec.name == signal:
            return ("signals", number, "name")
    return ("kubernetes",) if signal else ("signals",)


def _problem(
    policy: Policy, code: str, path: Path, words: str, *, help: str, places: Places | None
) -> Problem:
    if places is None:
        return Problem(code, words, policy.name, help=help, severity=Severity.WARNING)
    place = places.at if len(path) > 1 else places.key
    return places.illustrate(place(code, path, words, help=help, severity=Severity.WARNING))
