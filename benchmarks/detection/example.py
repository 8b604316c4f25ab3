"""One deploy as an example, simulated request by request and judged by guard's own comparison.

Decides the traffic and the fault; how it is drawn is decided in `picture`. Standard library only:
the random numbers are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from deploy_guard.detect import BIN, Settings, State, learn, step, tail
from deploy_guard.model import Counts

# With this seed guard takes a little longer than it mostly does, and its moments lie apart.
SEED = 33
USUAL, WORSE = 0.001, 0.005  # failed requests of all
RATE, POLL = 100, 2  # requests per second, seconds
BASELINE, WATCH = 3600, 150  # seconds
ROLLOUT, ROLLBACK = 180, 20  # seconds until the last pod is replaced


@dataclass(frozen=True, slots=True)
class Poll:
    """What was counted in the `POLL` seconds up to a moment, in seconds from the deploy."""

    end: int
    old: Counts
    new: Counts


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely so many errors since the warm-up would be by chance, and what is too unlikely."""

    end: int
    p_value: float
    level: float


@dataclass(slots=True)
class Deploy:
    """A deploy that was replayed, with what guard said when, in seconds from it.

    `proven` is when so many errors were beyond chance; `acted` when guard knew whose fault it is.
    """

    warm_up: float
    polls: list[Poll] = field(default_factory=list)
    chances: list[Chance] = field(default_factory=list)
    suspected: int = 0
    proven: int = 0
    acted: int = 0
    usual: tuple[float, float] = (0.0, 0.0)  # between these are 95 % of the bins
    seen: tuple[Counts, Counts] = (Counts(0, 0), Counts(0, 0))  # new and old, when guard acted

    @property
    def gone(self) -> int:
        """When the last new pod was gone."""
        return self.acted + ROLLBACK


def replayed(seed: int = SEED) -> Deploy:
    """Simulate a deploy, request by request, and ask guard's comparison after each poll."""
    random = Random(seed)
    state = State()
    deploy = Deploy(state.settings.warm_up)
    for end in range(POLL - BASELINE, 1, POLL):
        seen = _failed(random, RATE * POLL, USUAL)
        state = learn(state, POLL, seen)
        deploy.polls.append(Poll(end, seen, Counts(0, 0)))
    deploy.usual = _usual(state)
    # The time since the warm-up against the time before, alone: the line of the lower panel.
    alone = State(Settings(warm_up=0, attribute=False), state.baseline)
    for end in range(POLL, WATCH + 1, POLL):
        share = _share(end - POLL, deploy.acted)
        requests = round(RATE * POLL * share)
        new = _failed(random, requests, WORSE)
        old = _failed(random, RATE * POLL - requests, USUAL)
        deploy.polls.append(Poll(end, old, new))
        if deploy.acted:
            continue
        state = step(state, POLL, new, old)
        if end > deploy.warm_up:
            alone = step(alone, POLL, new)
        _note(deploy, end, state, alone)
    return deploy


def _note(deploy: Deploy, end: int, state: State, alone: State) -> None:
    """Write down what the comparison says after the poll that ended then."""
    said, chance = state.judgement, alone.judgement
    if end > deploy.warm_up:
        deploy.chances.append(Chance(end, chance.p_value, chance.level))
    if not deploy.suspected and (said.suspect or said.bad):
        deploy.suspected = end
    if not deploy.proven and chance.bad:
        deploy.proven = end
    if said.bad:
        deploy.acted = end
        deploy.seen = state.mature.candidate, state.mature.control


def _share(second: int, acted: int) -> float:
    """Return the new pods' share of the traffic: it grows from a third on, until guard acts."""
    grown = 1 / 3 + 2 / 3 * min(second, acted or second) / ROLLOUT
    left = 1 - (second - acted) / ROLLBACK if acted else 1.0
    return max(0.0, grown * left)


def _failed(random: Random, requests: int, share: float) -> Counts:
    return Counts(requests, sum(random.random() < share for _ in range(requests)))


def _usual(state: State) -> tuple[float, float]:
    """Return between which ratios 95 % of the bins are, by what the baseline makes us expect."""
    expected, requests = state.baseline.expectation(), RATE * BIN
    size, mean = expected.size(BIN, 1.0), requests * expected.observed
    low = max(k for k in range(1000) if tail(k, mean, size) >= 0.975)
    high = min(k for k in range(1000) if tail(k + 1, mean, size) <= 0.025)
    return low / requests, high / requests
