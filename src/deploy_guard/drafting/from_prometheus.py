"""What a Prometheus has for a workload, and how its numbers were in the days before.

Decides which questions are asked, over which time and how finely: every query is bounded, and a
history of an hour is read more finely than one of a week. Reads only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from deploy_guard.drafting import known
from deploy_guard.drafting.known import CONVENTIONS, FAMILIES, Family
from deploy_guard.drafting.sources import Peer, Peers, Pick, Rates, Scope, Sighting, equals
from deploy_guard.errors import GuardError
from deploy_guard.model import NoDataReason
from deploy_guard.policy.template import render
from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.prometheus_api import PrometheusApi

LONGEST = 20.0  # seconds for one query
RECENT = 3600.0  # seconds: a metric that was there so lately is there
FEWEST = 12  # moments that make a history
A_DAY = 86_400.0
_PEER_WINDOW = 3600
_SAMPLES = 300.0  # seconds of which every sample's time is asked
_HELP: dict[NoDataReason, str] = {
    NoDataReason.UNAUTHORIZED: "set $PROMETHEUS_TOKEN to a bearer token",
    NoDataReason.UNREACHABLE: "check the address; kubectl port-forward makes one of the cluster's "
    "reachable",
}


@dataclass(frozen=True, slots=True)
class Grid:
    """Over which time rates are read: so many seconds, at steps, each over a window."""

    span: float
    step: float
    window: int


class PrometheusSource:
    """Asks one Prometheus about one workload.

    `variables` are those of the workload's queries, `names` the names by which proxies may know
    it (its own, and those of its Services). `now` is in Unix seconds. `since` is the first moment
    that has numbers, once any were asked for.
    """

    def __init__(
        self,
        api: PrometheusApi,
        variables: Mapping[str, str],
        *,
        names: Sequence[str],
        now: float,
        days: float,
    ) -> None:
        self.problems: list[str] = []
        self.grid: Grid | None = None
        self.since: float | None = None  # the first moment that has numbers
        self._api, self._variables, self._names = api, variables, names
        self._now, self._days = now, days

    @property
    def seconds(self) -> float:
        """The window of the rates."""
        return float(self.grid.window) if self.grid else 300.0

    def metrics(self) -> list[Sighting]:
        """Ask which names there are, by every convention; raises GuardError when it cannot."""
        found: list[Sighting] = []
        try:
            for namespace, pod in CONVENTIONS:
                scope = _scope(namespace, pod)
                if any(pod == one.scope.pod for one in found):
                    continue  # the same label without a namespace
                if names := self._metric_names(scope):
                    found.append(Sighting(scope, names, FAMILIES))
            return [*found, *self._fronts()]
        except CallFailed as error:
            text = f"Prometheus cannot be asked: {error.detail}"
            raise GuardError(text, help=_HELP.get(error.reason, "check --prometheus-url")) from None

    def _metric_names(self, scope: Scope) -> frozenset[str]:
        inside = ", ".join(scope.conditions)
        match = "{" + render(inside, self._variables) + "}"
        return frozenset(self._values_of("__name__", match))

    def _fronts(self) -> list[Sighting]:
        """Return the proxies that know the workload by the name of a Service, or its own."""
        found: list[Sighting] = []
        for namespace, service in (("exported_namespace", "exported_service"),
                                   ("namespace", "service")):  # fmt: skip
            for name in self._names:
                own = equals(service, name)
                if name == self._variables["name"]:
                    own = f'{service}="{{{{ name }}}}"'
                scope = Scope((f'{namespace}="{{{{ namespace }}}}"', own))
                found += self._front(known.INGRESS, scope)
        mesh = Scope(
            (
                'destination_workload_namespace="{{ namespace }}"',
                'destination_workload="{{ name }}"',
            )
        )
        found += self._front(known.MESH, mesh)
        clusters = self._values_of("envoy_cluster_name", known.GATEWAY.counters[0])
        own_clusters = [c for c in clusters if self._is_own(c)][:3]
        if own_clusters:
            text = "|".join(re.sub(r"([.|])", r"[\1]", cluster) for cluster in own_clusters)
            found += self._front(known.GATEWAY, Scope((f'envoy_cluster_name=~"{text}"',)))
        return found

    def _is_own(self, cluster: str) -> bool:
        """Tell whether an Envoy cluster is the workload's: a part of its name is its name."""
        if re.fullmatch(r"[\w.:/@|-]+", cluster) is None:
            return False
        parts = re.split(r"[|/_.:@]", cluster)
        return not parts[0].startswith("inbound") and any(name in parts for name in self._names)

    def _front(self, family: Family, scope: Scope) -> list[Sighting]:
        wanted = [*family.counters, f"{family.histogram}_bucket"]
        inside = ", ".join((f'__name__=~"{"|".join(wanted)}"', *scope.conditions))
        match = "{" + render(inside, self._variables) + "}"
        names = frozenset(self._values_of("__name__", match))
        return [Sighting(scope, names, (family,))] if names else []

    def _values_of(self, label: str, match: str) -> tuple[str, ...]:
        start = self._now - RECENT
        return self._api.label_values(
            label, match=match, start=start, end=self._now, seconds=LONGEST
        )

    def labels(self, pick: Pick) -> frozenset[str]:
        """Ask for the labels of the series of the last hour."""
        try:
            start = self._now - RECENT
            names = self._api.label_names(
                match=self._text(pick), start=start, end=self._now, seconds=LONGEST
            )
        except CallFailed as error:
            self._note(pick, error)
            return frozenset()
        return frozenset(names)

    def values(self, pick: Pick, label: str) -> tuple[str, ...]:
        """Ask for the values of a label in the last hour."""
        try:
            return self._values_of(label, self._text(pick))
        except CallFailed as error:
            self._note(pick, error)
            return ()

    def rates(self, pick: Pick) -> Rates:
        """Ask for the sum of the rates of all series, at every moment of the grid."""
        return self._ranges(pick, "").get("", {})

    def buckets(self, pick: Pick) -> Mapping[str, Rates]:
        """Ask for the rates by bucket."""
        return self._ranges(pick, "le")

    def _ranges(self, pick: Pick, by: str) -> dict[str, Rates]:
        grids = [self.grid] if self.grid else _grids(self._days * A_DAY)
        best: dict[str, Rates] = {}
        for grid in grids:
            end = self._now
            query = f"sum by ({by}) (rate({self._text(pick)}[{grid.window}s]))"
            try:
                result = self._api.range(
                    query, start=end - grid.span, end=end, step=grid.step, seconds=LONGEST
                )
            except CallFailed as error:
                self._note(pick, error)
                return best
            found = {one.labels.get(by, ""): dict(one.points) for one in result.series}
            moments = [moment for rates in found.values() for moment in rates]
            self.since = min([*moments, self.since or self._now]) if moments else self.since
            if len(max(found.values(), key=len, default={})) >= FEWEST:
                self.grid = grid
                return dict(found)
            best = best or dict(found)
        return best

    def peers(self, pick: Pick, label: str, most: int) -> Peers:
        """Ask for the busiest values of a label in the last hour; the server sorts them."""
        text = self._text(pick)
        span = min(_PEER_WINDOW, int(self.grid.span)) if self.grid else _PEER_WINDOW
        try:
            top = self._api.instant(
                f"topk({most}, sum by ({label}) (rate({text}[{span}s])))",
                at=self._now,
                seconds=LONGEST,
            )
            count = self._api.instant(
                f"count(count by ({label}) ({text}))", at=self._now, seconds=LONGEST
            )
        except CallFailed as error:
            self._note(pick, error)
            return Peers((), 0)
        found = [Peer(one.labels.get(label, ""), one.points[0][1]) for one in top.series]
        found.sort(key=lambda peer: (-peer.rate, peer.name))
        return Peers(tuple(found), int(count.series[0].points[0][1]) if count.series else 0)

    def interval(self, pick: Pick) -> float | None:
        """Ask when the samples of the last minutes are from; pods are scraped one by one."""
        by = f"by ({pick.scope.pod}) " if pick.scope.pod else ""
        try:
            result = self._api.range(
                f"max {by}(timestamp({self._text(pick)}))",
                start=self._now - _SAMPLES,
                end=self._now,
                step=1.0,
                seconds=LONGEST,
            )
        except CallFailed as error:
            self._note(pick, error)
            return None
        steps: list[float] = []
        for one in result.series:
            moments = sorted({at for _, at in one.points})
            steps += [later - at for at, later in pairwise(moments)]
        return _usual(sorted(steps)[len(steps) // 2]) if steps else None

    def _text(self, pick: Pick) -> str:
        return render(pick.selector, self._variables)

    def _note(self, pick: Pick, error: CallFailed) -> None:
        text = f"{pick.metric} could not be asked for: {error.detail}"
        if text not in self.problems:
            self.problems.append(text)


def _scope(namespace: str, pod: str) -> Scope:
    own = f'{pod}=~"{{{{ pods }}}}"'
    return Scope((f'{namespace}="{{{{ namespace }}}}"', own) if namespace else (own,), pod)


def _grids(span: float) -> list[Grid]:
    """Return what to read, until there is enough: all days by the hour, or less more finely."""
    step = max(3600.0, span / 200)
    later = [Grid(6 * 3600.0, 300.0, 300), Grid(3600.0, 60.0, 120), Grid(300.0, 5.0, 30)]
    return [Grid(span, step, 300), *(grid for grid in later if grid.span < span)]


def _usual(seconds: float) -> float:
    """Return the interval that people would have written."""
    usual = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300)
    return float(min(usual, key=lambda one: abs(one - seconds)))
