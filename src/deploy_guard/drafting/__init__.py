"""`guard init`: a policy from nothing, from what the workload's metrics show.

Decides where the numbers come from (Prometheus, else the pods' own pages, else only the cluster's
signs) and when a draft has to be loosened. Reads only, the cluster as well as Prometheus.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deploy_guard.drafting.compose import LADDER, Draft, Strictness, compose
from deploy_guard.drafting.finding import (
    Found,
    ask_prometheus,
    connect,
    read_pods,
    suggestion,
    with_probe,
)
from deploy_guard.drafting.tests import cases_of
from deploy_guard.drafting.write import write
from deploy_guard.errors import GuardError
from deploy_guard.model import Pod

if TYPE_CHECKING:
    from deploy_guard.cluster.client import Cluster
    from deploy_guard.cluster.snapshot import Snapshot
    from deploy_guard.drafting.alarms import Alarms, History
    from deploy_guard.model import Target
    from deploy_guard.policy.load import Loaded
    from deploy_guard.policy.models import Policy

_SLOWEST_START = 3600.0  # seconds: a pod that became ready later was not starting

Tell = Callable[[str], object]
Progress = Callable[[str, int, int], None]  # what is done, how many, of how many


@dataclass(frozen=True, slots=True)
class Drafted:
    """A policy's text, the policy that it is, and what to know about it."""

    text: str
    loaded: Loaded
    notes: tuple[str, ...]
    alarms: Alarms | None = None
    tests: str | None = None  # of the policy, where traffic was measured

    @property
    def policy(self) -> Policy:
        """The policy of the text."""
        assert self.loaded.policy is not None  # noqa: S101 - `draft` has seen to it
        return self.loaded.policy


def draft(
    cluster: Cluster,
    target: Target,
    *,
    prometheus_url: str | None,
    environ: Mapping[str, str],
    days: float = 7.0,
    file: str = "draft",
    tell: Tell = lambda _: None,
    progress: Progress = lambda *_: None,
    clock: Callable[[], float] = time.time,
) -> Drafted:
    """Return a policy for a workload; `tell` hears what is waited for, `progress` how far it is.

    `file` is how the draft is called in problems with it. Raises GuardError when the cluster or
    Prometheus cannot be asked.
    """
    from deploy_guard.cluster.snapshot import take

    snapshot = take(cluster, target)
    found = None
    notes: tuple[str, ...] = ()
    if prometheus_url is not None:
        connection = connect(prometheus_url, environ)
        tell(f"asking Prometheus what it has of {target}")
        found = ask_prometheus(
            cluster, snapshot, connection, environ=environ, days=days, now=clock()
        )
        if not (found.chosen.ratios or found.chosen.slow):
            nothing = "Prometheus has no metric of these pods that is known here"
            notes = (nothing, *found.chosen.remarks)
            found = None
    else:
        notes = suggestion(cluster, target)
    if found is None:
        tell("reading a pod's own metrics page")
        found = read_pods(cluster, snapshot, notes, clock())
        if not (found.chosen.ratios or found.chosen.slow):
            found = with_probe(cluster, snapshot, found, environ)
    drafter = _Drafter(
        snapshot, found, environ=environ, file=file, clock=clock, tell=tell, progress=progress
    )
    return drafter.draft()


class _Drafter:
    """Writes the draft, tries it on ordinary days, and loosens it while it cries wolf."""

    def __init__(
        self,
        snapshot: Snapshot,
        found: Found,
        *,
        environ: Mapping[str, str],
        file: str,
        clock: Callable[[], float],
        tell: Tell,
        progress: Progress,
    ) -> None:
        self._snapshot, self._found = snapshot, found
        self._environ, self._file = environ, file
        self._clock, self._tell, self._progress = clock, tell, progress

    def draft(self) -> Drafted:
        """Return the strictest draft that does not cry wolf, else the loosest."""
        parts, loaded = self._attempt(LADDER[0])
        history = self._history(loaded)
        if history is None:
            return self._drafted(parts, None, ())
        first = alarms = history.judge(_policy(loaded), self._progress)
        for strict in LADDER[1:] if first.cries_wolf else ():
            looser, loaded = self._attempt(strict)
            found = history.judge(_policy(loaded), self._progress)
            if _fewer(found, alarms):
                parts, alarms = looser, found
            if not found.cries_wolf:
                break
        return self._drafted(parts, alarms, tuple(_loosened(first, alarms)))

    def _drafted(self, parts: Draft, alarms: Alarms | None, notes: tuple[str, ...]) -> Drafted:
        written = self._text(parts, alarms, notes)
        loaded = _load(written, self._file)
        tests = cases_of(parts, name=self._snapshot.target.name)
        return Drafted(written, loaded, (*self._found.notes, *notes), alarms, tests)

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
                progress=self._progress,
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
