"""Signals: what is read, each by its provider. One file a provider, named as in a policy.

Decides which class reads a signal of a policy, and what the signals share. Providers are imported
when a policy uses them: not every policy needs `requests`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from deploy_guard.model import Workload
from deploy_guard.policy.template import variables as template_variables
from deploy_guard.signals.base import Signal

if TYPE_CHECKING:
    from deploy_guard.policy.models import (
        HttpSignal,
        PodsSignal,
        Policy,
        PrometheusSignal,
    )
    from deploy_guard.signals.pod_pages import PageReader, PodPages, PodReader

KUBERNETES_INTERVAL = 5.0  # seconds at most: the cluster's own signs cost nothing to read
Variables = Callable[[Workload], Mapping[str, str]]


def workload_variables(workload: Workload) -> dict[str, str]:
    """Return the template variables of a workload; pods that are not the candidate's are old."""
    hashes = {pod.template for pod in workload.controls() if pod.template}
    return template_variables(
        namespace=workload.target.namespace,
        name=workload.target.name,
        candidate_hash=workload.candidate,
        baseline_hashes=sorted(hashes),
        kind=workload.target.kind,
        candidate_names=sorted(pod.name for pod in workload.candidates()),
        baseline_names=sorted(pod.name for pod in workload.controls()),
    )


def open_signals(
    policy: Policy,
    *,
    cluster: PodReader,
    variables: Variables = workload_variables,
    environ: Mapping[str, str] | None = None,
) -> list[Signal]:
    """Return a reader for every signal of a policy, after the cluster's own signal.

    Opens no connection. `environ` is where secrets are looked up (default: the process').
    """
    from deploy_guard.signals.kubernetes import KubernetesSignal

    opener = _Opener(policy, cluster, variables, os.environ if environ is None else environ)
    first = KubernetesSignal(
        policy.kubernetes, interval=min(policy.watch.interval, KUBERNETES_INTERVAL)
    )
    return [first, *(opener.open(spec) for spec in policy.signals)]


class _Opener:
    """Builds the signals of one policy, with what they share."""

    def __init__(
        self, policy: Policy, cluster: PodReader, variables: Variables, environ: Mapping[str, str]
    ) -> None:
        self._policy = policy
        self._cluster = cluster
        self._variables = variables
        self._environ = environ
        self._pages: dict[tuple[object, ...], PodPages] = {}

    def open(self, spec: PrometheusSignal | PodsSignal | HttpSignal) -> Signal:
        interval = self._policy.watch.interval if spec.interval is None else spec.interval
        if spec.provider == "pods":
            return self._pods(spec, interval)
        if spec.provider == "http":
            return self._http(spec, interval)
        return self._prometheus(spec, interval)

    def _http(self, spec: HttpSignal, interval: float) -> Signal:
        from deploy_guard.signals.http import HttpProbeSignal

        return HttpProbeSignal(
            spec, interval=interval, variables=self._variables, environ=self._environ
        )

    def _pods(self, spec: PodsSignal, interval: float) -> Signal:
        from deploy_guard.signals.pod_pages import PodPages
        from deploy_guard.signals.pods import PodMetricsSignal

        key = (spec.via, spec.port, spec.path)
        if key not in self._pages:
            self._pages[key] = PodPages(self._page_reader(spec), seconds=max(1.0, interval))
        warm_up = self._policy.watch.warm_up
        return PodMetricsSignal(spec, interval=interval, warm_up=warm_up, pages=self._pages[key])

    def _page_reader(self, spec: PodsSignal) -> PageReader:
        from deploy_guard.signals.pod_pages import (
            LARGEST_PAGE,
            LONGEST,
            straight,
            through_api_server,
        )

        if spec.via == "proxy":
            return through_api_server(self._cluster, port=spec.port, path=spec.path)
        from deploy_guard.errors import UsageError
        from deploy_guard.signals.http_client import HttpClient

        if not isinstance(spec.port, int):
            text = f"signal {spec.name}: via: ip needs the port's number, got {spec.port!r}"
            raise UsageError(text, help="name the number, or read through the proxy (via: proxy)")
        client = HttpClient(
            environ=self._environ, timeout=LONGEST, largest=LARGEST_PAGE, proxies=False
        )
        return straight(client, port=spec.port, path=spec.path)

    def _prometheus(self, spec: PrometheusSignal, interval: float) -> Signal:
        from deploy_guard.errors import UsageError
        from deploy_guard.signals.prometheus import PrometheusMetricsSignal
        from deploy_guard.signals.prometheus_api import PrometheusApi

        connection = self._policy.prometheus
        if connection is None:
            text = f"signal {spec.name}: provider prometheus needs to know where Prometheus is"
            raise UsageError(text, help="add the key prometheus: with its url to the policy")
        return PrometheusMetricsSignal(
            spec,
            interval=interval,
            baseline=self._policy.watch.baseline,
            warm_up=self._policy.watch.warm_up,
            api=PrometheusApi(connection, environ=self._environ),
            variables=self._variables,
        )
