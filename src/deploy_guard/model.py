"""The values that the parts of guard hand to each other; no behaviour beyond their own arithmetic.

Times are Unix seconds (float, UTC); durations are seconds; ratios are fractions (0.05 is 5 %).
A signal's reading gives samples or `NoData` with a reason, never None, never a made-up zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

KUBERNETES = "kubernetes"  # the signal, and its provider, that is always on


class Verdict(StrEnum):
    """What the evidence of all signals says of the candidate."""

    HEALTHY = "healthy"
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"


class Action(StrEnum):
    """What guard did, or did not do, about the verdict."""

    NONE = "none"
    ROLLED_BACK = "rolled_back"
    WOULD_ROLL_BACK = "would_roll_back"  # dry run, or the policy forbids it
    REFUSED = "refused"  # a rollback is not possible or not safe; nothing was written
    ROLLBACK_FAILED = "rollback_failed"  # written, but the target revision does not serve
    SUPERSEDED = "superseded"  # a newer deploy arrived; left alone
    INTERRUPTED = "interrupted"


class Recovery(StrEnum):
    """What the signals say after a rollback."""

    RECOVERED = "recovered"
    STILL_BAD = "still_bad"  # the deploy was not the cause, or not the only one
    UNKNOWN = "unknown"  # too little evidence after the rollback


# --- the workload -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """A workload as kubectl names it: kind (``deployment``), namespace, name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Container:
    """What the kubelet says of one container of a pod."""

    name: str
    ready: bool = False
    restarts: int = 0
    waiting: str = ""  # reason, such as CrashLoopBackOff; empty when not waiting
    message: str = ""
    terminated: str = ""  # reason of the current or last termination, such as OOMKilled
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of the workload; `template` is the hash in its labels that names its revision."""

    name: str
    template: str
    created: float
    ip: str = ""
    phase: str = "Pending"
    ready: bool = False
    ready_since: float | None = None
    terminating: bool = False
    unschedulable: str = ""  # the scheduler's message while it finds no node
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a workload's status."""

    type: str
    status: str
    reason: str
    message: str
    since: float  # lastUpdateTime


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far the candidate's rollout is: counts of pods, and what the controller has seen."""

    desired: int = 0
    updated: int = 0  # pods of the candidate
    ready: int = 0  # ready pods of all revisions
    available: int = 0  # available pods of all revisions
    old: int = 0  # pods of other revisions that are still there
    observed: bool = False  # observedGeneration >= generation, and the new ReplicaSet exists
    paused: bool = False
    complete: bool = False
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """One look at the workload: its pods, told apart by revision, and its rollout.

    `candidate` is the pod-template-hash of the revision under judgement; pods of any other
    revision are the control. `seen_at` is when the look was taken. `blind` says why the cluster
    cannot be seen now, so that all this is from before; empty when it can.
    """

    target: Target
    candidate: str
    deployed_at: float
    seen_at: float
    pods: tuple[Pod, ...] = ()
    rollout: Rollout = field(default_factory=Rollout)
    blind: str = ""

    def candidates(self) -> tuple[Pod, ...]:
        """Return the pods of the revision under judgement."""
        return tuple(p for p in self.pods if p.template == self.candidate)

    def controls(self) -> tuple[Pod, ...]:
        """Return the pods of all other revisions."""
        return tuple(p for p in self.pods if p.template != self.candidate)


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision in the workload's history, newest number first known by `number`."""

    number: int
    name: str  # of the ReplicaSet or ControllerRevision
    uid: str
    template_hash: str
    images: tuple[str, ...]
    created: float
    change_cause: str = ""
    former_numbers: tuple[int, ...] = ()
    replicas: int | None = 0  # None: not known
    verdict: Verdict | None = None  # that guard recorded
    verdict_at: float | None = None


# --- samples ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and failed requests in an interval (increments, not totals)."""

    requests: float
    errors: float

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.requests + other.requests, self.errors + other.errors)

    @property
    def ratio(self) -> float:
        """Failed requests per request; NaN without requests."""
        return self.errors / self.requests if self.requests > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Latencies:
    """Observations of a histogram in an interval: `at_most[i]` took at most `bounds[i]` seconds.

    Bounds rise and end with infinity; `at_most` is cumulative, as in Prometheus.
    """

    bounds: tuple[float, ...]
    at_most: tuple[float, ...]

    def __add__(self, other: Latencies) -> Latencies:
        if self.bounds != other.bounds:
            raise ValueError(f"histogram bounds differ: {self.bounds} and {other.bounds}")
        total = tuple(a + b for a, b in zip(self.at_most, other.at_most, strict=True))
        return Latencies(self.bounds, total)

    @property
    def count(self) -> float:
        """All observations."""
        return self.at_most[-1] if self.at_most else 0.0

    def slower_than(self, seconds: float) -> Counts:
        """Count observations above the largest bound that is not above `seconds` as errors.

        A bound below the asked one counts too many as slow, so callers choose bounds that exist;
        without any such bound all observations count as slow.
        """
        quick = 0.0
        for bound, at_most in zip(self.bounds, self.at_most, strict=True):
            if bound > seconds * (1 + 1e-9):
                break
            quick = at_most
        return Counts(self.count, max(0.0, self.count - quick))

    def quantile(self, q: float) -> float:
        """Estimate the q-quantile in seconds, linear within its bucket, NaN without observations.

        The same rule as Prometheus' histogram_quantile: the last finite bound when the quantile
        falls into the open bucket.
        """
        rank = q * self.count
        if self.count <= 0 or len(self.bounds) < 2:
            return math.nan
        low, below = 0.0, 0.0
        for bound, at_most in zip(self.bounds, self.at_most, strict=True):
            if at_most >= rank:
                if math.isinf(bound):
                    return low
                inside = at_most - below
                return low + (bound - low) * ((rank - below) / inside if inside > 0 else 1.0)
            low, below = bound, at_most
        return low


@dataclass(frozen=True, slots=True)
class Gauge:
    """A plain number at one moment."""

    value: float


@dataclass(frozen=True, slots=True)
class Probe:
    """One call of an API integration: whether it answered as expected, and how long it took."""

    ok: bool
    seconds: float
    detail: str  # what was expected and what came


@dataclass(frozen=True, slots=True)
class Symptom:
    """Something the cluster itself says of a group of pods, such as CrashLoopBackOff."""

    reason: str
    detail: str
    pods: int = 1
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What the cluster says of a group of pods at one moment."""

    pods: int
    ready: int
    restarts: int
    symptoms: tuple[Symptom, ...] = ()


Value = Counts | Latencies | Gauge | Probe | Health


@dataclass(frozen=True, slots=True)
class Sample:
    """What a signal read for the interval of `seconds` that ended `at`.

    `candidate` is the part of the revision under judgement, `control` that of all other pods in
    the same interval. Before the deploy there is only control: such samples are the baseline.
    A query that does not tell pods apart gives candidate alone once the deploy has begun.

    `warming` is the part of a candidate's Counts or Latencies that pods served which were younger
    than the policy's warm-up when the interval began: a zero of the same kind when none was, None
    when the signal cannot tell pods apart or the value has no parts.
    """

    signal: str
    at: float
    seconds: float
    candidate: Value | None = None
    control: Value | None = None
    warming: Value | None = None


class NoDataReason(StrEnum):
    """Why a signal could not be read; the words are stable, for pipelines and reports."""

    UNREACHABLE = "unreachable"  # no connection, name not found, connection reset
    TIMEOUT = "timeout"
    UNAUTHORIZED = "unauthorized"  # 401, 403
    REJECTED = "rejected"  # the provider refused the request: other 4xx, a query error
    PROVIDER_ERROR = "provider error"  # 5xx, an answer that cannot be understood
    EMPTY = "no series"  # the query has no result
    SEVERAL_SERIES = "several series"  # one number was expected
    NOT_A_NUMBER = "not a number"  # NaN or Inf
    STALE = "stale"  # the newest sample is too old to speak of the candidate
    NO_PODS = "no pods"  # nothing to read from yet
    MISSING_METRIC = "missing metric"  # the pod answers, the metric is not there


@dataclass(frozen=True, slots=True)
class NoData:
    """A signal that could not be read, and why."""

    signal: str
    at: float
    reason: NoDataReason
    detail: str


Reading = Sample | NoData


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment at which the watch asked for a decision without a new observation."""

    at: float


# --- findings ---------------------------------------------------------------------------------


class Finding(StrEnum):
    """What one signal's evidence says so far."""

    GOOD = "good"
    SUSPECT = "suspect"  # early, cheap to be wrong about; never a reason for a rollback
    BAD = "bad"
    SHARED = "not the deploy"  # bad, but the old pods are as bad
    LITTLE = "too little"  # some data, not enough to say good
    NO_DATA = "no data"


class OldPods(StrEnum):
    """What the old pods say, at the same time, of something that is bad on the new ones."""

    SILENT = "silent"  # there are none, or they have not served enough to tell
    BETTER = "better"  # the deploy is to blame
    AS_BAD = "as bad"  # the world is to blame


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a signal is judged as it is, in words and numbers.

    `old_pods` says how the old pods do at the same time, as far as is known.

    `current`, `baseline` and `limit` are in the signal's `unit` (``ratio``, ``seconds``, or empty
    for a plain number); None where there is none.
    """

    signal: str
    finding: Finding
    text: str
    at: float
    old_pods: OldPods = OldPods.SILENT
    rule: str = ""  # "limit", "comparison", "probe", "cluster", or empty
    unit: str = ""
    current: float | None = None
    baseline: float | None = None
    limit: float | None = None
    samples: int = 0
    no_data: int = 0
    numbers: dict[str, float] = field(default_factory=dict)  # counts, expected, p_value, level


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict over all signals; `verdict` is None while the watch goes on."""

    verdict: Verdict | None
    reason: str
    at: float
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the timeline. `kind` is one of the documented words; `data` is for machines."""

    at: float
    kind: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: where, what is live now, what the rollback restores."""

    where: str
    before: str
    after: str


# --- what a watch tells -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignalSummary:
    """One signal as the live view, the final screen and the JSON document show it.

    `history` has the candidate's value of each poll, oldest first, None where there was no data.
    """

    name: str
    provider: str
    unit: str  # "ratio", "seconds", or empty for a plain number
    finding: Finding
    current: float | None = None
    baseline: float | None = None
    limit: float | None = None
    limit_text: str = ""
    history: tuple[float | None, ...] = ()
    samples: int = 0
    no_data: int = 0
    problem: str = ""  # the last reason for no data, empty when the last reading had data
    text: str = ""  # the evidence in words


class Phase(StrEnum):
    """Where a watch is."""

    PREFLIGHT = "preflight"
    WATCHING = "watching"
    ROLLING_BACK = "rolling back"
    VERIFYING = "verifying"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a watch at one moment, for a live view."""

    at: float
    phase: Phase
    started_at: float
    ends_at: float  # when the current phase ends at the latest
    workload: Workload | None
    candidate: Revision | None
    target_revision: Revision | None
    signals: tuple[SignalSummary, ...] = ()
    dry_run: bool = False


class DeployResult(StrEnum):
    """What the command of `guard deploy` did, as far as the target is concerned."""

    CHANGED = "changed"  # another template is live: it was watched
    UNCHANGED = "unchanged"  # it succeeded, and nothing was deployed
    CONFIGURATION_ONLY = "configuration_only"  # only ConfigMaps or Secrets that the target reads
    SOMETHING_ELSE = "something_else"  # other workloads of the namespace, not the target
    MISSING = "missing"  # the target exists neither before nor after
    DELETED = "deleted"  # the target is gone
    FAILED = "failed"  # it failed, and the target's template is what it was
    FAILED_AFTER_CHANGE = "failed_after_change"  # it failed, and another template is live
    UNFINISHED = "unfinished"  # it still ran when guard ended, interrupted
    NOT_RUN = "not_run"  # dry run


@dataclass(frozen=True, slots=True)
class Deploy:
    """The command of `guard deploy`: what it was, how it ended, what it changed.

    `command` and the last lines of `output` are without secrets. `exit_code` is None when the
    command was ended by `signal` or has not ended. `others` are changed workloads of the namespace
    besides the target, `configuration` changed ConfigMaps and Secrets that the target reads.
    """

    result: DeployResult
    command: str
    exit_code: int | None = None
    signal: str = ""  # such as SIGTERM
    started_at: float | None = None
    ended_at: float | None = None
    watched: bool = False  # whether there was a watch, whose verdict counts
    others: tuple[str, ...] = ()
    configuration: tuple[str, ...] = ()
    output: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a watch ended: the one thing that the final screen, the JSON and the exit code tell."""

    target: Target
    verdict: Verdict | None  # None: ended before a verdict (superseded, interrupted)
    action: Action
    reason: str  # one sentence: why this verdict and this action
    exit_code: int
    started_at: float
    ended_at: float
    deployed_at: float | None = None
    regressed_at: float | None = None  # when the verdict fell
    rolled_back_at: float | None = None  # when the rollback was accepted
    answer_lost: bool = False  # a rollback was sent, whether it was accepted is not known
    restored_at: float | None = None  # when the target revision served again
    candidate: Revision | None = None
    target_revision: Revision | None = None
    recovered: Recovery | None = None
    dry_run: bool = False
    policy: str = ""
    signals: tuple[SignalSummary, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    timeline: tuple[Event, ...] = ()
    next_steps: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()  # of the template, from the candidate to the target revision
    configuration: tuple[Change, ...] = ()  # of ConfigMaps and Secrets, now and in the snapshot
    configuration_restored: bool = False
    deploy: Deploy | None = None  # only `guard deploy` has one
