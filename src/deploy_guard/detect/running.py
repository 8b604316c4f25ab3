"""Running totals that notice at once: an outage of the candidate, trouble of the old pods.

Each is Page's cumulative sum (Continuous Inspection Schemes, 1954): a score that rises with every
increment which speaks for the fault, falls with every other, and never below zero. What it counted
since it was last zero is the fault so far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from deploy_guard.detect.baseline import NOTHING
from deploy_guard.detect.distributions import incomplete_beta
from deploy_guard.detect.windows import Pair
from deploy_guard.model import Counts

TIMES = 3.0  # trouble is a ratio of so many times the usual one
ENOUGH = 20.0  # scores grow no further, so that the end of a fault is soon seen
LONG = 30.0  # seconds of an increment that is more than a blip
SILENCE = 10.0  # seconds without a request of an old pod, after which none is left;
FEW = 5.0  # where they are rare, the time in which so many of them were expected
TROUBLE = math.log(20)  # so much better explains trouble than health what the old pods did


@dataclass(frozen=True, slots=True)
class Outage:
    """The score of a ratio that is twice the smallest outage's, or 95 %, against that one.

    `began` is in seconds since the deploy, `seconds` its length so far.
    """

    score: float = 0.0
    began: float = 0.0
    seconds: float = 0.0
    counts: Pair = field(default_factory=Pair)
    worst: Counts = NOTHING  # the increment with most errors
    now: bool = False  # the last increment was one, too

    def add(self, at: float, seconds: float, new: Counts, old: Counts, *, least: float) -> Outage:
        """Return the score with one more increment that began `at`."""
        if new.requests <= 0 or least >= 1:
            return self
        twice = min(0.95, 2 * least)
        well = new.requests - new.errors
        gain = new.errors * math.log(twice / least) + well * math.log((1 - twice) / (1 - least))
        score = min(ENOUGH, self.score + gain)
        if score <= 0:
            return Outage()
        return Outage(
            score,
            at if self.score <= 0 else self.began,
            self.seconds + seconds,
            self.counts.add(new, old),
            max(self.worst, new, key=_errors) if seconds < LONG else self.worst,
            now=new.errors >= least * new.requests,
        )

    def chance(self, least: float, clustering: float, *, whole: bool = False) -> float:
        """Return P(so many errors) at the smallest ratio that is an outage.

        Binomial, of independent causes. A single bad poll is no outage, so the one with most
        errors is left out, unless `whole` is asked for or it is `LONG` enough to be more than a
        blip.
        """
        seen = self.counts.candidate
        n, x = seen.requests, seen.errors
        if not whole:
            n, x = n - self.worst.requests, x - self.worst.errors
        if not self.now or x <= 0 or x <= least * n:
            return 1.0
        return incomplete_beta(x / clustering, (n - x) / clustering + 1, least)


@dataclass(frozen=True, slots=True)
class Trouble:
    """The score of `TIMES` the usual ratio against the usual one.

    `began` is in seconds since the deploy.
    """

    score: float = 0.0
    began: float = math.inf
    counts: Counts = NOTHING

    def add(self, at: float, counts: Counts, *, usual: float, clustering: float) -> Trouble:
        """Return the score with one more increment that began `at`."""
        if usual == math.inf:
            return self
        gain = counts.errors * math.log(TIMES) - (TIMES - 1) * counts.requests * usual
        score = min(ENOUGH, self.score + gain / clustering)
        if score <= 0:
            return Trouble()
        return Trouble(score, at if self.score <= 0 else self.began, self.counts + counts)


@dataclass(frozen=True, slots=True)
class OldPods:
    """What is known of the old pods: whether they live, and whether they are in trouble."""

    silent: float = math.inf  # seconds since their last request
    alive: bool = False
    requests: float = 0.0  # all of them
    seconds: float = 0.0  # in which they lived
    gone: float = math.inf  # seconds from the deploy to the end of their last request
    trouble: Trouble = field(default_factory=Trouble)
    outage: Outage = field(default_factory=Outage)

    @property
    def in_trouble(self) -> bool:
        """Whether they are surely worse than is usual."""
        return self.trouble.score >= TROUBLE

    @property
    def worst(self) -> Counts:
        """What they counted since their trouble began, or since the outage that it became."""
        return max(self.trouble.counts, self.outage.counts.candidate, key=_ratio)

    def add(
        self,
        at: float,
        seconds: float,
        old: Counts | None,
        *,
        usual: float,
        clustering: float,
        least: float,
    ) -> OldPods:
        """Return what is known after an increment that began `at`; None when none is left."""
        if old is None or old.requests <= 0:
            silent = self.silent + seconds
            patience = min(SILENCE, 1.5 * seconds)  # a single read may fail
            if old is not None and self.requests > 0:
                patience = max(SILENCE, 1.5 * seconds, FEW * self.seconds / self.requests)
            lived = self.seconds + seconds
            return replace(self, silent=silent, alive=silent <= patience, seconds=lived)
        trouble = self.trouble.add(at, old, usual=usual, clustering=clustering)
        outage = self.outage.add(at, seconds, old, NOTHING, least=least)
        return OldPods(
            0.0,
            True,
            self.requests + old.requests,
            self.seconds + seconds,
            at + seconds,
            trouble,
            outage,
        )


def _errors(counts: Counts) -> float:
    return counts.errors


def _ratio(counts: Counts) -> float:
    return counts.errors / (counts.requests + 1)
