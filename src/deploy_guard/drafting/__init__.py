"""`guard init`: a policy from nothing, from what the workload's metrics show.

Decides where the numbers come from (Prometheus, else the pods' own pages, else only the cluster's
signs) and when a draft has to be loosened. Reads only, the cluster as well as Prometheus.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deploy_guard import text
from deploy_guard.drafting import nearby
from deploy_guard.drafting.choose import Chosen, choose
from deploy_guard.drafting.compose import LADDER, Draft, Origin, SignalDraft, Strictness, compose
from deploy_guard.drafting.write import write
from deploy_guard.errors import GuardError
from deploy_guard.model import Pod

if TYPE_CHECKING:
    from deploy_guard.cluster.client import Cluster
    from deploy_guard.cluster.snapshot import Snapshot
    from deploy_guard.drafting.alarms import Alarms, History
    from deploy_guard.drafting.from_pods import PageSource, Place
    from deploy_guard.drafting.from_prometheus import PrometheusSource
    from deploy_guard.model import Target
    from deploy_guard.policy.load import Loaded
    from deploy_guard.policy.models import Policy, PrometheusConnection

TOKEN = "PROMETHEUS_TOKEN"  # noqa: S105 - the name of a variable
TIMEOUT = 30.0  # seconds for one query
A_DAY = 86_400.0
_SLOWEST_START = 3600.0  # seconds: a pod that became ready later was not starting

Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Drafted:
    """A policy's text, the policy that it is, and what to know about it."""

    text: str
    loaded: Loaded
    notes: tuple[str, ...]
    alarms: Alarms | None = None

    @property
    def policy(self) -> Policy:
        """The policy of the text."""
        assert self.loaded.policy is not None  # noqa: S101 - `draft` has seen to it
        return self.loaded.policy


@dataclass(frozen=True, slots=True)
class _Found:
    """What the metrics of a workload gave, and where they are from in words."""

    chosen: Chosen
    origin: Origin
    words: str
    prometheus: tuple[tuple[str, str], ...] = ()
    scraped: float | None = None
    since: float | None = None  # the first moment of the history
    notes: tuple[str, ...] = ()
    more: tuple[SignalDraft, ...] = ()


def draft(
    cluster: Cluster,
    target: Target,
    *,
    prometheus_url: str | None,
    environ: Mapping[str, str],
    days: float = 7.0,
    file: str = "draft",
    tell: Tell = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> Drafted:
    """Return a policy for a workload; `tell` hears what is waited for.

    `file` is how the draft is called in problems with it.

    Raises GuardError when the cluster or Prometheus cannot be asked.
    """
    from deploy_guard.cluster.snapshot import take

    snapshot = take(cluster, target)
    found = None
    notes: tuple[str, ...] = ()
    if prometheus_url is not None:
        connection = _connection(prometheus_url, environ)
        tell(f"asking Prometheus what it has of {target}")
        found = _from_prometheus(
            cluster, snapshot, connection, environ=environ, days=days, now=clock()
        )
        if not (found.chosen.ratios or found.chosen.slow):
            nothing = "Prometheus has no metric of these pods that is known here"
            notes = (nothing, *found.chosen.remarks)
            found = None
    else:
        notes = _suggestion(cluster, target)
    if found is None:
        tell("reading a pod's own metrics page")
        found = _from_pods(cluster, snapshot, notes, clock())
        if not (found.chosen.ratios or found.chosen.slow):
            found = _with_probe(cluster, snapshot, found, environ)
    drafter = _Drafter(snapshot, found, environ=environ, file=file, clock=clock, tell=tell)
    return drafter.draft()


def _connection(url: str, environ: Mapping[str, str]) -> PrometheusConnection:
    from deploy_guard.policy.models import PrometheusConnection, SecretRef

    bearer = SecretRef(env=TOKEN) if environ.get(TOKEN) else None
    return PrometheusConnection(url=url, bearer=bearer, timeout=TIMEOUT)


def _suggestion(cluster: Cluster, target: Target) -> tuple[str, ...]:
    found = nearby.find_prometheus(cluster, target)
    if found is None:
        return ("no Prometheus was named: --prometheus-url or $GUARD_PROMETHEUS_URL says where",)
    return (
        f"service/{found.name} in {found.namespace} looks like a Prometheus; to draft from it: "
        f"{found.command}, and --prometheus-url {found.url}",
    )


def _from_prometheus(
    cluster: Cluster,
    snapshot: Snapshot,
    connection: PrometheusConnection,
    *,
    environ: Mapping[str, str],
    days: float,
    now: float,
) -> _Found:
    """Ask Prometheus; raises GuardError when it cannot be asked at all."""
    from deploy_guard.drafting.from_prometheus import PrometheusSource
    from deploy_guard.policy.template import variables
    from deploy_guard.signals.prometheus_api import PrometheusApi

    target = snapshot.target
    services = nearby.services_of(cluster, target, _pod_labels(snapshot))
    names = dict.fromkeys((target.name, *(s["metadata"]["name"] for s in services)))
    known = variables(
        namespace=target.namespace, name=target.name, candidate_hash="", kind=target.kind
    )
    api = PrometheusApi(connection, environ=environ)
    try:
        source = PrometheusSource(api, known, names=tuple(names), now=now, days=days)
        chosen = choose(source)
        scraped = _interval(source, chosen)
    finally:
        api.close()
    chosen.remarks += source.problems
    url = connection.url if isinstance(connection.url, str) else ""
    keys = [("url", url)]
    if connection.bearer is not None:
        keys.append(("bearer", f"{{env: {TOKEN}}}"))
    seconds = now - source.since if source.since else 0.0
    whole = seconds > 0.9 * days * A_DAY and days >= 2
    span = f"{days:g} days" if whole else text.seconds(seconds)
    return _Found(
        chosen,
        Origin((("provider", "prometheus"),), history=True),
        f"what Prometheus had of the last {span}" if source.since else "what Prometheus had",
        tuple(keys),
        scraped,
        source.since,
    )


def _interval(source: PrometheusSource, chosen: Chosen) -> float | None:
    picks = [ratio.requests for ratio in chosen.ratios] + [slow.buckets for slow in chosen.slow]
    return source.interval(picks[0]) if picks else None


def _pod_labels(snapshot: Snapshot) -> dict[str, str]:
    template = (snapshot.workload or {}).get("spec", {}).get("template", {})
    return dict(template.get("metadata", {}).get("labels") or {})


def _from_pods(cluster: Cluster, snapshot: Snapshot, notes: tuple[str, ...], now: float) -> _Found:
    """Read the page of the pod that is ready for longest; without any, say what is missing."""
    found = _page(cluster, snapshot, now)
    if isinstance(found, str):
        missing = f"no metrics were found: {found}"
        chosen = Chosen(remarks=[*notes, missing])
        words = "what the cluster shows; no metrics were found"
        return _Found(chosen, Origin(()), words, notes=(*notes, missing))
    place, source = found
    chosen = choose(source)
    remarks = [*notes, *chosen.remarks, *source.problems]
    if not (chosen.ratios or chosen.slow):
        words = f"the metrics page :{place.port}{place.path} has no metric that is known here"
        remarks.append(words)
        notes = (*notes, words)
    keys = [("provider", "pods"), ("port", str(place.port))]
    if place.path != "/metrics":
        keys.append(("path", place.path))
    words = f"the metrics page :{place.port}{place.path} of a pod"
    return _Found(replace(chosen, remarks=remarks), Origin(tuple(keys)), words, notes=notes)


def _with_probe(
    cluster: Cluster, snapshot: Snapshot, found: _Found, environ: Mapping[str, str]
) -> _Found:
    """Add a probe of the readiness page, or say why there is none."""
    from deploy_guard.drafting.probe import probe

    services = nearby.services_of(cluster, snapshot.target, _pod_labels(snapshot))
    added = probe(snapshot, services, environ=environ)
    if not isinstance(added, str):
        return replace(found, more=(added,))
    remarks = [*found.chosen.remarks, added]
    chosen = replace(found.chosen, remarks=remarks)
    return replace(found, chosen=chosen, notes=(*found.notes, added))


def _page(cluster: Cluster, snapshot: Snapshot, now: float) -> tuple[Place, PageSource] | str:
    """Return the metrics page of a pod, or why there is none."""
    from deploy_guard.cluster.workload import pod_of
    from deploy_guard.drafting.from_pods import PageSource, places, read
    from deploy_guard.signals.pod_pages import through_api_server

    pods = [(pod_of(raw), raw) for raw in snapshot.pods]
    ready = [pair for pair in pods if pair[0].ready and not pair[0].terminating]
    if not ready:
        return "no pod is ready"
    pod, raw = min(ready, key=lambda pair: pair[0].ready_since or now)
    tries = [
        (place, through_api_server(cluster, port=place.port, path=place.path))
        for place in places(raw)
    ]
    found = read(tries, namespace=snapshot.target.namespace, pod=pod)
    if isinstance(found, str):
        return found
    age = now - (pod.ready_since or pod.created)
    return found[0], PageSource(found[1], now=now, age=age, pods=len(ready))


class _Drafter:
    """Writes the draft, tries it on ordinary days, and loosens it while it cries wolf."""

    def __init__(
        self,
        snapshot: Snapshot,
        found: _Found,
        *,
        environ: Mapping[str, str],
        file: str,
        clock: Callable[[], float],
        tell: Tell,
    ) -> None:
        self._snapshot, self._found = snapshot, found
        self._environ, self._file = environ, file
        self._clock, self._tell = clock, tell

    def draft(self) -> Drafted:
        """Return the strictest draft that does not cry wolf, else the loosest."""
        parts, loaded = self._attempt(LADDER[0])
        history = self._history(loaded)
        if history is None:
            return self._drafted(parts, None, ())
        first = alarms = history.judge(_policy(loaded))
        for strict in LADDER[1:] if first.cries_wolf else ():
            looser, loaded = self._attempt(strict)
            found = history.judge(_policy(loaded))
            if _fewer(found, alarms):
                parts, alarms = looser, found
            if not found.cries_wolf:
                break
        return self._drafted(parts, alarms, tuple(_loosened(first, alarms)))

    def _drafted(self, parts: Draft, alarms: Alarms | None, notes: tuple[str, ...]) -> Drafted:
        written = self._text(parts, alarms, notes)
        return Drafted(written, _load(written, self._file), (*self._found.notes, *notes), alarms)

    def _attempt(self, strict: Strictness) -> tuple[Draft, Loaded]:
        pods = [_start(pod) for pod in self._pods()]
        parts = compose(
            self._found.chosen,
            self._found.origin,
            starts=[start for start in pods if start is not None],
            scraped=self._found.scraped,
            strict=strict,
            more=self._found.more,
        )
        return parts, _load(self._text(parts, None, ()), self._file)

    def _pods(self) -> list[Pod]:
        from deploy_guard.cluster.workload import pod_of

        return [pod_of(raw) for raw in self._snapshot.pods]

    def _history(self, loaded: Loaded) -> History | None:
        if self._found.since is None or not self._found.prometheus:
            return None
        from deploy_guard.drafting.alarms import History, read

        self._tell("trying the draft on ordinary moments of the past")
        try:
            return read(
                _policy(loaded),
                self._snapshot,
                since=self._found.since,
                now=self._clock(),
                environ=self._environ,
            )
        except GuardError as error:
            return History((), error.message)

    def _text(self, parts: Draft, alarms: Alarms | None, notes: tuple[str, ...]) -> str:
        target, found = self._snapshot.target, self._found
        date = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%d")
        bad = " Bad times and quiet hours: 19 of 20 moments were better, or busier."
        head = [
            f"What guard watches after a deploy of {target} in the namespace {target.namespace}.",
            f"Drafted by guard init on {date} from {found.words}; the numbers in the comments are "
            f"of that time.{bad if found.since else ''}",
        ]
        if alarms is not None:
            told = f"{alarms.sentence[:1].upper()}{alarms.sentence[1:]}."
            head.append(told + "".join(f" {note[:1].upper()}{note[1:]}." for note in notes))
        elif found.prometheus:
            head.append(
                "How often it would be wrong is not known: there is no history to try it on."
            )
        else:
            head.append(
                "How often it would be wrong is not known: that takes the history of a Prometheus."
            )
        return write(parts, name=target.name, head=head, prometheus=found.prometheus)


def _start(pod: Pod) -> float | None:
    """Return how many seconds a pod took to become ready, None where that is not seen."""
    if pod.ready_since is None or any(container.restarts for container in pod.containers):
        return None
    took = pod.ready_since - pod.created
    return took if 0 <= took <= _SLOWEST_START else None


def _fewer(one: Alarms, other: Alarms) -> bool:
    """Tell whether a draft is wrong less often than another one."""
    return one.false is not None and other.false is not None and one.false.count < other.false.count


def _loosened(first: Alarms, now: Alarms) -> Iterator[str]:
    """Say what was done about a draft that cries wolf, and what is left to do."""
    if first.false is not None and now is not first:
        yield f"with the defaults it would have been {first.false.count}: so it was loosened"
    if now.cries_wolf:
        yield (
            "that is too many, and looser settings do not help: have it only report "
            "(rollback.enabled: false) until the service is calmer, or watch while old pods still "
            "serve (hold)"
        )


def _load(written: str, file: str) -> Loaded:
    """Read a draft as a policy; raises GuardError for one with errors, which is a bug."""
    from deploy_guard.policy.load import STDIN, inspect

    loaded = inspect([STDIN], stdin=io.BytesIO(written.encode()), stdin_name=file)
    if loaded.policy is None:
        first = loaded.problems[0]
        raise GuardError(f"the draft is no valid policy: {first.message} (line {first.line})")
    return loaded


def _policy(loaded: Loaded) -> Policy:
    assert loaded.policy is not None  # noqa: S101 - `_load` has seen to it
    return loaded.policy
