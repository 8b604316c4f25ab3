"""Series of pods that took over another's name: of whom do they speak?

Prometheus goes on to answer with the last total of a pod that is gone, for a scrape or for minutes,
under the name that its successor has by then. Taken for the successor's, whose counters began at
zero, all that the old pod ever counted would be booked on the candidate. Decides from when on the
series of such a name count, and whether from zero. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deploy_guard.model import Workload
from deploy_guard.signals.counters import LAG
from deploy_guard.signals.measures import VALUE, Row
from deploy_guard.signals.pod_groups import PodGroups

PATIENCE = 60.0  # seconds that a ready pod may be without series: it must be found and scraped
_Key = tuple[str, tuple[tuple[str, str], ...]]  # role and labels
_Numbers = dict[_Key, float]  # of one name
Placed = Mapping[str, Iterable[Row]]  # by role, with places in `pod`


class Successors:
    """Leaves out what is not known to be the successor's.

    Its series have begun when a counter fell or is gone (a number: when it changed), or when the
    name had no series for a while. After `PATIENCE` they are believed to have, with a past. With
    `absent_says_nothing`, as of queries that name pods by revision, that time does not count.
    """

    def __init__(self, groups: PodGroups, *, absent_says_nothing: bool) -> None:
        self._groups = groups
        self._absent_says_nothing = absent_says_nothing
        self._last: dict[str, _Numbers] = {}  # by name
        self._places: dict[str, str] = {}  # of those numbers, by name
        self._changed_at: dict[str, float] = {}
        self._away: set[str] = set()  # names without series since
        self._unsure: set[str] = set()  # names that began anew while the cluster was not seen
        self._waiting: set[str] = set()  # places
        self._with_past: set[str] = set()  # places
        self._has_read = False

    def has_past(self, place: str) -> bool:
        """Tell whether the first total of a place is only a start."""
        return place in self._with_past

    def note_before(self, placed: Placed) -> None:
        """Take what was before the deploy, with the places of then."""
        for name, (place, numbers) in _by_name(placed).items():
            self._last[name], self._places[name] = numbers, place
        self._has_read = bool(self._last)

    def settled(self, placed: Placed, workload: Workload, now: float) -> dict[str, list[Row]]:
        """Return the rows that speak of the pods that have their names now."""
        if not self._groups.reuses_names:
            return {role: list(rows) for role, rows in placed.items()}
        found = _by_name(placed)
        late = {p.name for p in workload.pods if now - (p.ready_since or now) > PATIENCE}
        if not workload.blind:
            self._unsure.clear()
        for name, (place, numbers) in found.items():
            if self._last.get(name) is None:
                self._begin(place)
            elif self._go_on(name, place, numbers, now=now, late=name in late) and workload.blind:
                self._unsure.add(name)  # a restart, or a successor that nobody has seen
            self._last[name], self._places[name] = numbers, place
        self._away = set(self._last) - set(found)
        self._has_read = bool(self._last)
        left_out = {
            p for name, (p, _) in found.items() if p in self._waiting or name in self._unsure
        }
        return {r: [row for row in rows if row.pod not in left_out] for r, rows in placed.items()}

    def _begin(self, place: str) -> None:
        """Take the first numbers of a name: of a predecessor, unless it had none before."""
        unknown = self._absent_says_nothing or not self._has_read
        if unknown and self._groups.began_at_zero(place):
            self._with_past.add(place)

    def _go_on(self, name: str, place: str, numbers: _Numbers, *, now: float, late: bool) -> bool:
        """Take the next numbers of a name; tell whether they began anew."""
        before = self._last[name]
        if place != self._places[name]:
            began_before = self._groups.created_before(place, self._changed_at.get(name))
            if any(before.values()) and not began_before:
                self._waiting.add(place)
        back = name in self._away and not self._absent_says_nothing
        if began := back or _began_anew(before, numbers):
            self._changed_at[name] = now
            self._waiting.discard(place)
        elif late and place in self._waiting:
            self._waiting.discard(place)
            self._with_past.add(place)
        return began


def _by_name(placed: Placed) -> dict[str, tuple[str, _Numbers]]:
    """Return place and numbers of each pod that the rows name."""
    found: dict[str, tuple[str, _Numbers]] = {}
    for role, rows in placed.items():
        for row in rows:
            if name := row.labels.get("pod", ""):
                labels = tuple(sorted(row.labels.items()))
                _, numbers = found.setdefault(name, (row.pod, {}))
                numbers[role, labels] = numbers.get((role, labels), 0.0) + row.value
    return found


def _began_anew(before: _Numbers, numbers: _Numbers) -> bool:
    """Tell whether other numbers than the continuation of those before are here."""
    for key, last in before.items():
        value = numbers.get(key)
        if value is None or (value != last if key[0] == VALUE else last - value > LAG * last):
            return True
    return False
