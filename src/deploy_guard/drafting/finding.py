"""Where a draft's numbers come from: Prometheus, else a pod's own page, else nothing but a probe.

Decides who is asked and what is said about it. What is chosen of the answers is decided in
`choose`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deploy_guard import text
from deploy_guard.drafting import nearby
from deploy_guard.drafting.choose import Chosen, choose
from deploy_guard.drafting.compose import Origin, SignalDraft

if TYPE_CHECKING:
    from deploy_guard.cluster.client import Cluster
    from deploy_guard.cluster.snapshot import Snapshot
    from deploy_guard.drafting.from_pods import PageSource, Place
    from deploy_guard.drafting.from_prometheus import PrometheusSource
    from deploy_guard.model import Target
    from deploy_guard.policy.models import PrometheusConnection

TOKEN = "PROMETHEUS_TOKEN"  # noqa: S105 - the name of a variable
TIMEOUT = 30.0  # seconds for one query
A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Found:
    """What the metrics of a workload gave, and where they are from in words."""

    chosen: Chosen
    origin: Origin
    words: str
    prometheus: tuple[tuple[str, str], ...] = ()
    scraped: float | None = None
    since: float | None = None  # the first moment of the history
    notes: tuple[str, ...] = ()
    more: tuple[SignalDraft, ...] = ()


def connect(url: str, environ: Mapping[str, str]) -> PrometheusConnection:
    """Return the connection to a URL, with the token of the environment where there is one."""
    from deploy_guard.policy.models import PrometheusConnection, SecretRef

    bearer = SecretRef(env=TOKEN) if environ.get(TOKEN) else None
    return PrometheusConnection(url=url, bearer=bearer, timeout=TIMEOUT)


def suggestion(cluster: Cluster, target: Target) -> tuple[str, ...]:
    """Say what to do to draft from Prometheus."""
    found = nearby.find_prometheus(cluster, target)
    if found is None:
        return ("no Prometheus was named: --prometheus-url or $GUARD_PROMETHEUS_URL says where",)
    return (
        f"service/{found.name} in {found.namespace} looks like a Prometheus; to draft from it: "
        f"{found.command}, and --prometheus-url {found.url}",
    )


def ask_prometheus(
    cluster: Cluster,
    snapshot: Snapshot,
    connection: PrometheusConnection,
    *,
    environ: Mapping[str, str],
    days: float,
    now: float,
) -> Found:
    """Ask Prometheus; raises GuardError when it cannot be asked at all."""
    from deploy_guard.drafting.from_prometheus import PrometheusSource
    from deploy_guard.policy.template import variables
    from deploy_guard.signals.prometheus_api import PrometheusApi

    target = snapshot.target
    services = nearby.services_of(cluster, target, _pod_labels(snapshot)) or []
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
    return Found(
        chosen,
        Origin((("provider", "prometheus"),), history=True),
        f"what Prometheus had of the last {_span(seconds)}"
        if source.since
        else "what Prometheus had",
        tuple(keys),
        scraped,
        source.since,
        tuple(source.problems),
    )


def _span(seconds: float) -> str:
    """Say how long a history is: ``7 days``, ``day``, ``55 m``."""
    days = round(seconds / A_DAY, 1)
    if days < 1:
        return text.seconds(seconds)
    return "day" if days == 1 else f"{days:g} days"


def _interval(source: PrometheusSource, chosen: Chosen) -> float | None:
    picks = [ratio.requests for ratio in chosen.ratios] + [slow.buckets for slow in chosen.slow]
    return source.interval(picks[0]) if picks else None


def _pod_labels(snapshot: Snapshot) -> dict[str, str]:
    template = (snapshot.workload or {}).get("spec", {}).get("template", {})
    return dict(template.get("metadata", {}).get("labels") or {})


def read_pods(cluster: Cluster, snapshot: Snapshot, notes: tuple[str, ...], now: float) -> Found:
    """Read the page of the pod that is ready for longest; without any, say what is missing."""
    found = _page(cluster, snapshot, now)
    if isinstance(found, str):
        missing = f"no metrics were found: {found}"
        chosen = Chosen(remarks=[*notes, missing])
        words = "what the cluster shows; no metrics were found"
        return Found(chosen, Origin(()), words, notes=(*notes, missing))
    place, source = found
    chosen = choose(source)
    remarks = [*notes, *chosen.remarks, *source.problems]
    if not (chosen.ratios or chosen.slow):
        words = f"the metrics page :{place.port}{place.path} has no metric that is known here"
        why = source.problems or [words]
        remarks = [*notes, *chosen.remarks, *why]
        notes = (*notes, *why)
    keys = [("provider", "pods"), ("port", str(place.port))]
    if place.path != "/metrics":
        keys.append(("path", place.path))
    words = f"the metrics page :{place.port}{place.path} of a pod"
    return Found(replace(chosen, remarks=remarks), Origin(tuple(keys)), words, notes=notes)


def with_probe(
    cluster: Cluster, snapshot: Snapshot, found: Found, environ: Mapping[str, str]
) -> Found:
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
    restarted = any(container.restarts for container in pod.containers)
    age = now - (pod.ready_since or now if restarted else pod.created)
    return found[0], PageSource(found[1], now=now, age=age, pods=len(ready))
