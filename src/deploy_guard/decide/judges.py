"""Turn a policy into judges: which rule judges a signal, at which level, with which limits."""

from __future__ import annotations

from deploy_guard import detect, text
from deploy_guard.decide.gauge import GaugeJudge
from deploy_guard.decide.health import HealthJudge
from deploy_guard.decide.judge import Judge, Watched, longest_gap
from deploy_guard.decide.latency import SLOW_SHARES, LatencyJudge
from deploy_guard.decide.probe import ProbeJudge
from deploy_guard.decide.ratio import RatioJudge
from deploy_guard.model import KUBERNETES
from deploy_guard.policy.models import Compare, HttpSignal, LatencyLimit, Metrics, Policy, Signal


def watched_signals(policy: Policy) -> tuple[Watched, ...]:
    """Return what is watched: the cluster's own signs first, then the policy's signals."""
    level = policy.watch.sensitivity / max(1, _comparisons(policy))
    watched = [
        Watched(
            name=signal.name,
            provider=signal.provider,
            judge=_judge_for(signal, policy, level),
            interval=signal.interval or policy.watch.interval,
            optional=signal.optional,
            limit_text=limit_text(signal),
        )
        for signal in policy.signals
    ]
    cluster = Watched(KUBERNETES, KUBERNETES, HealthJudge(KUBERNETES), interval=1.0)
    return (cluster, *watched)


def limit_text(signal: Signal) -> str:
    """Return the signal's absolute limit in words, empty without one."""
    if isinstance(signal, HttpSignal):
        return f"{text.plural(signal.failures, 'failure')} in a row"
    if isinstance(signal.limit, LatencyLimit):
        limit = signal.limit
        return f"{text.percent(limit.share)} below {text.seconds(limit.below)}"
    if isinstance(signal.limit, float):
        return f"at most {text.percent(signal.limit)}"
    limits = [("at most", signal.above), ("at least", signal.below)]
    return " and ".join(f"{w} {text.number(v)}" for w, v in limits if v is not None)


def _comparisons(policy: Policy) -> int:
    """Return how many tests share the accepted chance of a false rollback."""
    return sum(_tests(s) for s in policy.signals if isinstance(s, Metrics))


def _tests(signal: Metrics) -> int:
    if signal.latency is not None:
        compares = len(SLOW_SHARES) if signal.compare else 0
        return compares + (signal.limit is not None)
    if signal.ratio is None:
        return 0
    return (signal.compare is not False) + (signal.limit is not None)


def _judge_for(signal: Signal, policy: Policy, level: float) -> Judge:
    if isinstance(signal, HttpSignal):
        return ProbeJudge(signal.name, signal.failures, limit=signal.expect.latency)
    interval = signal.interval or policy.watch.interval
    if signal.value is not None:
        return GaugeJudge(
            signal.name, signal.above, signal.below, signal.hold, gap=longest_gap(interval)
        )
    compare = signal.compare if isinstance(signal.compare, Compare) else Compare()
    settings = detect.Settings(
        level=level,
        ratio=compare.ratio,
        difference=compare.difference,
        warm_up=policy.watch.warm_up,
        limit=signal.limit if isinstance(signal.limit, float) else None,
        compare=signal.compare is not False,
        attribute=policy.watch.attribution,
        late=policy.watch.late_regressions,
    )
    if signal.ratio is not None:
        return RatioJudge(signal.name, detect.State(settings), signal.min_requests)
    limit = signal.limit if isinstance(signal.limit, LatencyLimit) else None
    return LatencyJudge(
        signal.name,
        settings,
        signal.min_requests,
        share=limit.share if limit is not None else None,
        below=limit.below if limit is not None else None,
    )
