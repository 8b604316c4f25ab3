"""How often a drafted policy would have cried wolf: pseudo-deploys on the days before.

Decides how many, and when a policy has to be loosened. Reading history and judging it is
`backtest`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deploy_guard import text
from deploy_guard.backtest.deploys import deploys_in
from deploy_guard.backtest.judging import judge
from deploy_guard.backtest.model import Trial
from deploy_guard.backtest.ordinary import ordinary_days
from deploy_guard.backtest.reading import read_trials
from deploy_guard.backtest.statistics import Rate, rate
from deploy_guard.cluster.snapshot import Snapshot
from deploy_guard.policy.models import Policy

ORDINARY = 60  # pseudo-deploys
FEWEST = 10  # of which anything can be said
ACCEPTED = 0.01  # of the deploys of ordinary days: the default of watch.sensitivity
SEED = 1

Progress = Callable[[str, int, int], None]  # what is done, how many, of how many


@dataclass(frozen=True, slots=True)
class Alarms:
    """False rollbacks of pseudo-deploys, None where history does not tell; `why` not, then."""

    false: Rate | None
    why: str = ""

    @property
    def cries_wolf(self) -> bool:
        """Whether it is wrong more often than is accepted, beyond chance."""
        return self.false is not None and self.false.low > ACCEPTED

    @property
    def sentence(self) -> str:
        """What is to be expected, in words."""
        if self.false is None:
            return f"expected false rollbacks: not known, {self.why}"
        of = text.plural(self.false.of, "pseudo-deploy")
        return (
            f"expected false rollbacks: {self.false.count} of {of} on ordinary days, at most "
            f"{text.percent(self.false.high)} of deploys (95 % confidence)"
        )


class History:
    """The pseudo-deploys of a workload, read once and judged by several policies.

    What is read does not depend on how strict a policy is.
    """

    def __init__(self, trials: Sequence[Trial], why: str = "") -> None:
        self._trials, self._why = tuple(trials), why

    def judge(self, policy: Policy, progress: Progress = lambda *_: None) -> Alarms:
        """Return how often a policy would have rolled back."""
        if self._why:
            return Alarms(None, self._why)
        judged = []
        for number, trial in enumerate(self._trials, 1):
            one = judge(policy, trial)
            judged += [one] if one.counts else []
            progress("judged", number, len(self._trials))
        if len(judged) < FEWEST:
            return Alarms(None, "the history of these metrics is too short or has gaps")
        return Alarms(rate(sum(one.regressed for one in judged), len(judged)))


def read(
    policy: Policy,
    snapshot: Snapshot,
    *,
    since: float,
    now: float,
    environ: Mapping[str, str],
    progress: Progress = lambda *_: None,
) -> History:
    """Read pseudo-deploys between two moments, away from the deploys that the cluster knows.

    Raises GuardError when nothing can be read.
    """
    watch = policy.watch
    known = text.seconds(max(1.0, now - since))
    if now - since < 4 * (watch.baseline + watch.duration):
        return History((), f"a history of {known} is too short")
    drawn = ordinary_days(
        policy,
        snapshot.target,
        count=ORDINARY,
        start=since + watch.baseline,
        end=now - watch.duration,
        environ=environ,
        seed=SEED,
        avoid=deploys_in(snapshot),
        progress=lambda done, total: progress("asked where there are data:", done, total),
    )
    if len(drawn) < FEWEST:
        return History((), f"{known} of history have too few hours without a deploy or a gap")
    trials = []
    for trial in read_trials(policy, snapshot.target, drawn, environ=environ):
        trials.append(trial)
        progress("read", len(trials), len(drawn))
    return History(trials)
