"""What `guard check --target` found: values for the text and the JSON document.

Decides the exit code, and what to do about missing data. Reads and judges nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from deploy_guard.check_live.callouts import Callout
from deploy_guard.check_live.firing import Firing
from deploy_guard.check_live.queries import QueryRun
from deploy_guard.check_live.recent import Recent
from deploy_guard.errors import ExitCode
from deploy_guard.model import (
    Counts,
    Decision,
    Finding,
    Gauge,
    Latencies,
    NoData,
    NoDataReason,
    Probe,
    SignalSummary,
    Workload,
)
from deploy_guard.policy.models import HttpSignal, LatencyLimit, Signal
from deploy_guard.policy.problems import Problem
from deploy_guard.watch import second_zero

WHAT_TO_DO: dict[NoDataReason, str] = {
    NoDataReason.UNREACHABLE: "check the address, the network policy, tls.ca",
    NoDataReason.TIMEOUT: "make the query cheaper or timeout longer; for pods, see whether the "
    "pod hangs",
    NoDataReason.UNAUTHORIZED: "check the token, the tenant header, the account's right to "
    "pods/proxy",
    NoDataReason.REJECTED: "the detail has the provider's own words",
    NoDataReason.PROVIDER_ERROR: "look at the provider; check that the URL is the API's own",
    NoDataReason.EMPTY: "run the query by hand; look at the scrape targets; see that the clocks "
    "of guard and server agree",
    NoDataReason.SEVERAL_SERIES: "aggregate: sum(…) or sum by (pod) (…)",
    NoDataReason.NOT_A_NUMBER: "avoid a division by zero in the query; for ratio give both "
    "counters instead",
    NoDataReason.STALE: "look at the scrape targets of the new pods",
    NoDataReason.NO_PODS: "wait; the signal kubernetes says why pods do not start",
    NoDataReason.MISSING_METRIC: "check the metric's name; a metric that is declared (# TYPE) "
    "counts from zero, some libraries declare it only after its first use",
}


def quantile_of(spec: Signal | None) -> float:
    """Return the quantile by which a latency is shown: that of its limit, else 99 %."""
    limit = None if spec is None or isinstance(spec, HttpSignal) else spec.limit
    return limit.share if isinstance(limit, LatencyLimit) else 0.99


@dataclass(frozen=True, slots=True)
class SignalReport:
    """What one signal said.

    `queries` are as they were asked, `pods` how many pods were read (None: it reads none),
    `probe` the answer of an API, `failure` the last reason for no data, `warnings` what was left
    out. `recent` is what a watch that begins now would know, `firing` what would make it fire:
    None for the cluster's own signs, and `firing` where nothing is known. `quantile` is that of
    a latency.
    """

    summary: SignalSummary
    queries: tuple[QueryRun, ...] = ()
    pods: int | None = None
    probe: Probe | None = None
    failure: NoData | None = None
    optional: bool = False
    warnings: tuple[str, ...] = ()
    quantile: float = 0.99
    recent: Recent | None = None
    firing: Firing | None = None

    @property
    def now(self) -> float | None:
        """The present number in the signal's unit: of the last minutes where there is a past."""
        value = self.recent.numbers.now if self.recent is not None else None
        if isinstance(value, Counts):
            found = value.ratio
        elif isinstance(value, Latencies):
            found = value.quantile(self.quantile)
        elif isinstance(value, Gauge):
            found = value.value
        else:
            return self.summary.current
        return found if math.isfinite(found) else None

    @property
    def help(self) -> str:
        """What to do about missing data; empty when nothing is missing."""
        if self.failure is None or self.summary.finding is not Finding.NO_DATA:
            return ""
        return WHAT_TO_DO[self.failure.reason]


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What a policy says of a workload now.

    `found` is what a watch would tell at second 0, with the rollback that it would do; `decision`
    the verdict if the watch ended now; `problems` the queries that the server refused;
    `callouts` warnings about the policy, `notes` what else is worth knowing. `line_warnings`
    are the call-outs, and what else has no data, as warnings at the policy's lines.
    """

    policy: str
    workload: Workload
    found: second_zero.Findings
    signals: tuple[SignalReport, ...]
    decision: Decision
    problems: tuple[Problem, ...] = ()
    callouts: tuple[Callout, ...] = ()
    notes: tuple[str, ...] = ()
    line_warnings: tuple[Problem, ...] = ()

    @property
    def silent(self) -> tuple[str, ...]:
        """The names of signals that have no data, without the optional ones."""
        return tuple(
            s.summary.name
            for s in self.signals
            if s.summary.finding is Finding.NO_DATA and not s.optional
        )

    @property
    def exit_code(self) -> ExitCode:
        """3 for a refused query, 12 for a signal without data, else 0, whatever the verdict."""
        if self.problems:
            return ExitCode.INVALID_POLICY
        return ExitCode.INCONCLUSIVE if self.silent else ExitCode.OK
