"""When each signal is read in a case, and what the cluster and called APIs answer.

Decides the moments of readings, as a watch has them, and the readings of the signals that are no
metrics: the cluster's own signs are read by the real signal from the looks at the workload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from deploy_guard.model import NoData, Probe, Reading, Sample
from deploy_guard.policy.models import HttpSignal
from deploy_guard.policy.scalars import parse_duration
from deploy_guard.policy_tests.flows import Gap, gap_at
from deploy_guard.policy_tests.inputs import AnswersByGroup, SignalInput
from deploy_guard.policy_tests.notation import Answer
from deploy_guard.policy_tests.readings import SAID
from deploy_guard.policy_tests.world import DEPLOYED_AT, World

QUICK = 0.05  # seconds that an answer takes


@dataclass(frozen=True, slots=True)
class Slowness:
    """Readings that begin between two moments take so long, all in seconds."""

    begin: float
    end: float
    takes: float


def moments(
    interval: float, length: float, slow: Iterable[Slowness] = ()
) -> Iterator[tuple[float, float]]:
    """Yield when readings begin and when they end, in seconds after the deploy.

    The grid is kept as a watch keeps it: what a slow reading missed is skipped. None ends with the
    watch or after it.
    """
    slow, number, free = tuple(slow), 0, 0.0
    while (due := max(number * interval, free)) < length - 1e-9:
        takes = max((s.takes for s in slow if s.begin <= due < s.end), default=0.0)
        if due + takes < length - 1e-9:
            yield due, due + takes
        free = due + takes
        number = max(number + 1, int(free / interval + 1e-9))


class ProbeReadings:
    """Calls an API that answers as the case says; `read` is called at rising times."""

    def __init__(
        self, spec: HttpSignal, given: SignalInput | None, world: World, gaps: tuple[Gap, ...]
    ) -> None:
        self._spec, self._world, self._gaps = spec, world, gaps
        self._before, self._after = _answers(given)
        self._last: float | None = None
        self._served = False

    def read(self, moment: float) -> list[Reading]:
        """Return the answer at a moment, of the candidate once a new pod could be its cause.

        The rule is that of `signals.http`.
        """
        name, at = self._spec.name, DEPLOYED_AT + moment
        first, last = self._last is None, self._last
        self._last = moment
        if reason := gap_at(self._gaps, moment):
            return [NoData(name, at, reason, SAID)]
        seconds = 0.0 if last is None else moment - last
        ready = [pod for pod, _ in self._world.present(moment)]
        self._served = self._served or any(pod.new for pod in ready)
        probe = self._probe(self._answer(moment))
        if self._served or (not first and not ready):
            return [Sample(name, at, seconds, candidate=probe)]
        return [Sample(name, at, seconds, control=probe)]

    def _answer(self, moment: float) -> Answer:
        if not self._served and self._before is not None:
            return self._before
        return [answer for at, answer in self._after if at <= moment + 1e-9][-1]

    def _probe(self, answer: Answer) -> Probe:
        """Judge an answer by what the policy expects."""
        expect = self._spec.expect
        seconds = QUICK if answer.seconds is None else answer.seconds
        if answer.ok is False:
            return Probe(False, seconds, "it did not answer as expected")
        status = expect.status[0] if answer.status is None else answer.status
        if status not in expect.status:
            wanted = " or ".join(map(str, expect.status))
            return Probe(False, seconds, f"expected status {wanted}, got {status}")
        if seconds > self._spec.timeout:
            return Probe(False, self._spec.timeout, "no answer in time")
        if expect.latency is not None and seconds > expect.latency:
            words = f"expected an answer within {expect.latency:g} s, took {seconds:g} s"
            return Probe(False, seconds, words)
        return Probe(True, seconds, f"answered {status}")


def _answers(given: SignalInput | None) -> tuple[Answer | None, tuple[tuple[float, Answer], ...]]:
    """Return the answer before a new pod serves (None: as after), and those since the deploy."""
    value = None if given is None else given.answers
    if isinstance(value, AnswersByGroup):
        before = value.before
        after = value.new if value.new is not None else before
    else:
        before, after = None, value
    if after is None:
        after = Answer(ok=True)
    if isinstance(after, Mapping):
        found = [(parse_duration(at), answer) for at, answer in after.items()]
        found.sort(key=lambda pair: pair[0])
        if found[0][0] > 0:
            found.insert(0, (0.0, before or found[0][1]))
        return before, tuple(found)
    return before, ((0.0, after),)
