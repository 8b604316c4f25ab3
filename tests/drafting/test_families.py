"""What is drafted for each kind of metrics, on a real Prometheus and a real VictoriaMetrics."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy_guard.drafting.choose import Chosen, choose
from deploy_guard.drafting.compose import Draft, Origin, compose
from deploy_guard.drafting.from_prometheus import PrometheusSource
from deploy_guard.drafting.tests import cases_of
from deploy_guard.drafting.write import write
from deploy_guard.policy.load import STDIN, Loaded, inspect
from deploy_guard.policy.models import Metrics, Policy, PrometheusConnection
from deploy_guard.policy.problems import Severity
from deploy_guard.policy.template import render, variables
from deploy_guard.policy_tests.suite import run
from deploy_guard.signals import measures
from deploy_guard.signals.prometheus_api import PrometheusApi
from drafting.families import CASES, Case, history
from prometheus_server import PrometheusServer, needs_prometheus
from victoria_server import VictoriaServer, needs_victoria


@dataclass
class Drafting:
    """A server with the history of all workloads."""

    server: PrometheusServer
    now: int

    def variables(self, case: Case) -> dict[str, str]:
        """Return the template variables of a workload."""
        return variables(namespace="shop", name=case.name, candidate_hash="5d4f8c7b9d")

    def choose(self, case: Case) -> tuple[Chosen, PrometheusSource]:
        """Choose for one workload."""
        api = PrometheusApi(PrometheusConnection(url=self.server.url), environ={})
        source = PrometheusSource(
            api, self.variables(case), names=(case.name,), now=float(self.now), days=7
        )
        try:
            return choose(source), source
        finally:
            api.close()

    def compose(self, case: Case) -> Draft:
        """Return the parts of a workload's policy."""
        chosen, _ = self.choose(case)
        origin = Origin((("provider", "prometheus"),), history=True)
        return compose(chosen, origin, starts=(3.0, 4.0), scraped=60.0)

    def draft(self, case: Case) -> tuple[str, Loaded]:
        """Draft for one workload and read the text as a policy."""
        parts = self.compose(case)
        connection = (("url", self.server.url),)
        text = write(parts, name=case.name, head=["Head."], prometheus=connection)
        return text, inspect([STDIN], stdin=io.BytesIO(text.encode()))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(PrometheusServer, marks=needs_prometheus, id="prometheus"),
        pytest.param(VictoriaServer, marks=needs_victoria, id="victoria"),
    ],
)
def drafting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Drafting]:
    """One server of each kind for all tests."""
    now = int(time.time()) - 30
    folder = tmp_path_factory.mktemp("server")
    with request.param(folder, history=history(now)) as server:
        yield Drafting(server, now)


def specs(policy: Policy) -> dict[str, Metrics]:
    """Return the signals by name."""
    return {spec.name: spec for spec in policy.signals if isinstance(spec, Metrics)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_kind_of_metrics_becomes_a_policy_without_a_complaint(
    drafting: Drafting, case: Case
) -> None:
    """The signals are the expected ones, their queries too, and guard check has no warning."""
    text, loaded = drafting.draft(case)
    assert loaded.policy is not None, (loaded.problems, text)
    found = specs(loaded.policy)
    order = list(case.signals) if case.name != "hostile" else sorted(case.signals)
    assert (list(found) if case.name != "hostile" else sorted(found)) == order, text
    for name, parts in case.signals.items():
        queries = " ".join(measures.queries(found[name]).values())
        for part in parts:
            assert part in queries
    kinds = {p.code for p in loaded.problems if p.severity is not Severity.NOTE or case.told_apart}
    assert kinds == ({"no-signals"} if not case.signals else set())
    comments = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    for remark in case.remarks:
        assert remark in comments


@pytest.mark.parametrize("case", [case for case in CASES if case.signals], ids=lambda c: c.name)
def test_every_query_finds_series_and_pods_where_they_are_told_apart(
    drafting: Drafting, case: Case
) -> None:
    """Each query has a result on the server; the label pod names the workload's pods.

    Where nothing failed, the query of the errors has none.
    """
    _, loaded = drafting.draft(case)
    assert loaded.policy is not None
    for spec in specs(loaded.policy).values():
        for role, query in measures.queries(spec).items():
            rendered = render(query, drafting.variables(case))
            found = drafting.server.query(rendered, at=drafting.now)
            if not found and role == measures.ERRORS and case.name in ("rpc", "hostile"):
                continue
            assert found, rendered
            names = {labels.get("pod", "") for labels, _ in found}
            assert len(names) == (2 if case.told_apart else 1)
            assert all(name.startswith(case.name) for name in names if case.told_apart)


@pytest.mark.parametrize("case", [case for case in CASES if case.signals], ids=lambda c: c.name)
def test_the_tests_of_each_draft_pass(drafting: Drafting, case: Case, tmp_path: Path) -> None:
    """What is written beside the policy is true of it."""
    text, _ = drafting.draft(case)
    tests = cases_of(drafting.compose(case), name=case.name)
    assert tests is not None
    (tmp_path / f"{case.name}.yaml").write_text(text)
    file = tmp_path / f"{case.name}.test.yaml"
    file.write_text(tests)
    results = run([file])
    assert [problem for one in results.files for problem in one.failures()] == [], tests
    assert len(results.cases) >= 3


def test_the_numbers_of_the_history_are_measured(drafting: Drafting) -> None:
    """Traffic, failures, the bounds of the histogram and the interval of the samples."""
    case = next(case for case in CASES if case.name == "web")
    chosen, source = drafting.choose(case)
    (ratio,), (slow,) = chosen.ratios, chosen.slow
    assert ratio.traffic.mean == pytest.approx(10, rel=0.05)
    assert ratio.failed is not None
    assert ratio.failed.overall == pytest.approx(0.002, rel=0.2)
    assert [bound.label for bound in slow.bounds] == ["0.05", "0.1", "0.25", "0.5", "1"]
    assert slow.bounds[2].slower.overall == pytest.approx(0.004, rel=0.2)
    assert source.interval(ratio.requests) == 60
    assert source.since == pytest.approx(drafting.now - 3 * 3600, abs=900)
    assert source.problems == []
