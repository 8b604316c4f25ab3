"""What makes no sense in a policy although each value is right: rules over several keys.

Decides conditions that can never fire, or always do, parts that contradict each other, and
secrets that are written out. What can never fire is an error where nothing else would catch the
same; beside other conditions, such as a limit beside a comparison, it is a warning.
`signal_rules` has the rules of one signal, `connection_rules` those of URLs and headers. A rule
yields problems and never raises.
"""

from __future__ import annotations

from collections.abc import Iterator

from deploy_guard.policy import connection_rules, signal_rules
from deploy_guard.policy.merge import Places
from deploy_guard.policy.models import Metrics, Policy, PrometheusSignal
from deploy_guard.policy.problems import Problem, Severity, suggestion
from deploy_guard.policy.scalars import format_duration


def check(policy: Policy, places: Places, *, prometheus_given: bool = False) -> list[Problem]:
    """Return every problem of a policy whose values are right.

    `prometheus_given`: the connection to Prometheus comes from elsewhere.
    """
    problems = [*_watch(policy, places), *_rollback(policy, places), *_hold(policy, places)]
    if policy.prometheus is not None:
        problems += connection_rules.prometheus(policy.prometheus, places)
    problems += _connection(policy, places, prometheus_given=prometheus_given)
    problems += _names(policy, places)
    watch = None if "watch" in places.broken else policy.watch
    for position, signal in enumerate(policy.signals):
        damaged = places.damaged[position]
        problems += signal_rules.check(
            signal, ("signals", position), places, watch=watch, damaged=damaged
        )
    misspelled = any(suggestion(name, ["signals"]) for name in places.broken)
    if not policy.signals and not misspelled:
        problems.append(_no_signals(places))
    return problems


def _watch(policy: Policy, places: Places) -> Iterator[Problem]:
    """Check the times of the watch against each other."""
    watch = policy.watch
    if "watch" in places.broken:
        return
    length = format_duration(watch.duration)
    if watch.interval > watch.duration:
        message = f"'interval' is longer than the watch, {length}: no signal is read twice"
        yield places.at("never-fires", ("watch", "interval"), message)
    if watch.warm_up >= watch.duration:
        yield from _warm_up(policy, places)
    if watch.sensitivity == 0:
        message = "'sensitivity' of 0% accepts no evidence at all"
        help = "1% is one false rollback in a hundred healthy deploys"
        yield places.at("never-fires", ("watch", "sensitivity"), message, help=help)
    if watch.sensitivity > 0.5:
        message = "'sensitivity' above 50% rolls back healthy deploys: expected at most 50%"
        yield places.at("always-fires", ("watch", "sensitivity"), message, help="1% is usual")
    unready = policy.kubernetes.unready
    explicit = "unready" in policy.kubernetes.model_fields_set
    if explicit and unready > watch.duration and "kubernetes" not in places.broken:
        message = f"'unready' is longer than the watch, {length}: it can never be reached"
        help = "crashes and failed starts are still seen; write a shorter time, or a longer watch"
        at = ("kubernetes", "unready")
        yield places.at("never-fires", at, message, help=help, severity=Severity.WARNING)


def _warm_up(policy: Policy, places: Places) -> Iterator[Problem]:
    """Tell that nothing is compared; a signal that has a limit is still judged."""
    compared = [
        (signal, damaged)
        for signal, damaged in zip(policy.signals, places.damaged, strict=True)
        if isinstance(signal, Metrics) and signal.value is None and signal.compare is not False
    ]
    if not compared:
        return
    limitless = (s.name for s, damaged in compared if s.limit is None and "limit" not in damaged)
    only = next(limitless, None)
    times = f"({format_duration(policy.watch.warm_up)} of {format_duration(policy.watch.duration)})"
    message = f"'warm_up' takes the whole watch {times}: nothing is ever compared"
    help = "write a shorter time, or a longer watch"
    help += f"; the signal '{only}' has no 'limit' either" if only else "; limits still hold"
    severity = Severity.ERROR if only else Severity.WARNING
    yield places.at("never-fires", ("watch", "warm_up"), message, help=help, severity=severity)


def _rollback(policy: Policy, places: Places) -> Iterator[Problem]:
    """Warn of settings of a rollback that never happens."""
    rollback = policy.rollback
    for key in sorted(rollback.model_fields_set - {"enabled"}):
        if not rollback.enabled:
            message = f"'{key}' has no effect: 'enabled' is false"
            yield places.key("no-effect", ("rollback", key), message, severity=Severity.WARNING)
    unused = "argocd_namespace" in rollback.model_fields_set and rollback.owner != "suspend"
    if unused and rollback.enabled:
        message = f"'argocd_namespace' has no effect: 'owner' is {rollback.owner}"
        at = ("rollback", "argocd_namespace")
        yield places.key("no-effect", at, message, severity=Severity.WARNING)


def _hold(policy: Policy, places: Places) -> Iterator[Problem]:
    """Check that a gate can be reached, passed, and acted on."""
    hold = policy.hold
    given = hold.model_fields_set
    if "hold" in places.broken or "hold" not in policy.model_fields_set:
        return
    if not hold.wanted:
        message = "'hold' has no effect: neither 'at' nor 'on_suspicion: true' is there"
        help = "at: 25% stops the rollout when a quarter of the pods is new"
        yield places.key("no-effect", ("hold",), message, help=help)
        return
    if hold.at is not None and not 0 < hold.at < 1:
        much = "no pod is" if hold.at == 0 else "all pods are"
        message = (
            f"'at' is reached when {much} new: there is nothing to compare, or nothing to stop"
        )
        yield places.at("never-fires", ("hold", "at"), message, help="25% is usual")
    yield from _hold_times(policy, places)
    if hold.at is None and "duration" in given:
        message = "'for' has no effect without 'at': a suspicion is held until it is gone"
        yield places.key("no-effect", ("hold", "for"), message, severity=Severity.WARNING)
    if "rollback" not in places.broken and not policy.rollback.enabled:
        message = "'hold' pauses the rollout, 'rollback.enabled: false' lets guard change nothing"
        help = "leave one of them out; guard watch --dry-run tries a policy and changes nothing"
        yield places.key("contradiction", ("hold",), message, help=help)


def _hold_times(policy: Policy, places: Places) -> Iterator[Problem]:
    """Check that the gate can be passed before its time is over."""
    hold = policy.hold
    if hold.at is None or "watch" in places.broken or hold.duration <= policy.watch.duration:
        return
    length, wanted = format_duration(policy.watch.duration), format_duration(hold.duration)
    message = f"'for' ({wanted}) is longer than the watch, {length}: the gate is never passed"
    help = "write a shorter time, or a longer watch"
    if "duration" in hold.model_fields_set:
        yield places.at("never-fires", ("hold", "for"), message, help=help)
    else:
        yield places.key("never-fires", ("hold",), message, help=f"for: {length} or less")


def _connection(policy: Policy, places: Places, *, prometheus_given: bool) -> Iterator[Problem]:
    """Check that signals of Prometheus have a Prometheus."""
    if policy.prometheus is not None or prometheus_given or "prometheus" in places.broken:
        return
    for position, signal in enumerate(policy.signals):
        if isinstance(signal, PrometheusSignal):
            yield places.at(
                "no-connection",
                ("signals", position, "provider"),
                "the policy does not say where Prometheus is",
                help="add prometheus: {url: http://…}, or give --prometheus-url",
            )
            return


def _names(policy: Policy, places: Places) -> Iterator[Problem]:
    """Check that no two signals have one name."""
    seen: dict[str, int] = {}
    for position, signal in enumerate(policy.signals):
        if signal.name in seen:
            yield _taken(signal.name, seen[signal.name], position, places)
        seen.setdefault(signal.name, position)


def _taken(name: str, first: int, second: int, places: Places) -> Problem:
    """Explain a name that two signals have; they may be one that two files inherit."""
    path = ("signals", second, "name")
    where = places.where(("signals", first, "name"))
    one, two = places.signals[first][0], places.signals[second][0]
    if one is not two and places.where(path) == where:
        message = f"'{name}' of {where} is inherited here, and by {one.source.file}"
        help = f"omit: [{name}] in one of them, or watch with one"
        return two.key("duplicate-name", ("extends",), message, help=help)
    message = f"the name '{name}' is taken by the signal at {where}"
    return places.at("duplicate-name", path, message, help="give each signal its own name")


def _no_signals(places: Places) -> Problem:
    """Warn of a policy that only sees what the cluster says."""
    return places.key(
        "no-signals",
        ("signals",),
        "the policy has no signals: only crashes and failed starts of pods will be seen",
        help="add a signal for errors or latency",
        severity=Severity.WARNING,
    )
