"""Windows of the watch: sums over bins, since the warm-up and over the last minutes.

Decides what a bin counts for and how old and new pods are weighted against each other; knows no
probabilities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from deploy_guard.detect.baseline import NOTHING
from deploy_guard.model import Counts

BIN = 10.0  # seconds: quicker increments are added up to bins of at least this length
TRAILING = (120.0, 600.0)  # seconds of the trailing windows, which have at least
BINS = 4  # bins
WHOLE_CAP = 10.0  # a bin counts for at most 1 + this times the expected errors
TRAILING_CAP = 3.0


class Strata(NamedTuple):
    """Sums over intervals in which both groups had requests, each interval weighted by itself.

    In an interval with n requests of the candidate and m of the old pods the weights are
    w = m/(n+m) and 1-w, so that both groups have the same exposure n·w = m·(1-w). Under "no
    difference" the weighted errors of both groups then have the same expectation, whatever the
    ratio did from interval to interval and however the shares moved during the rollout (the idea
    of Mantel and Haenszel, 1959). Summing first and comparing afterwards would not: old pods that
    served mostly before a shared fault would acquit it.
    """

    exposure: float = 0.0  # Σ n·w
    new: float = 0.0  # weighted errors of the candidate
    new_squares: float = 0.0  # Σ x·w²
    old: float = 0.0  # weighted errors of the old pods
    old_squares: float = 0.0
    old_exposure_squares: float = 0.0  # Σ m·(1-w)²

    @classmethod
    def of(cls, new: Counts, old: Counts) -> Strata:
        """Return the sums of one interval; nothing where one of the groups had no request."""
        if new.requests <= 0 or old.requests <= 0:
            return cls()
        w = old.requests / (new.requests + old.requests)
        rest = 1 - w
        return cls(
            new.requests * w,
            new.errors * w,
            new.errors * w * w,
            old.errors * rest,
            old.errors * rest * rest,
            old.requests * rest * rest,
        )

    def plus(self, other: Strata) -> Strata:
        """Return the sums over both."""
        if other.exposure <= 0:
            return self
        return Strata(*[a + b for a, b in zip(self, other, strict=True)])

    def minus(self, other: Strata) -> Strata:
        """Return the sums over what is not in the other; rounding leaves nothing negative."""
        if other.exposure <= 0:
            return self
        return Strata(*[max(0.0, a - b) for a, b in zip(self, other, strict=True)])

    def of_one_error(self, at_least: float) -> tuple[float, float]:
        """Return the mean weight of an error of the candidate and of the old pods.

        `at_least` is a ratio that stands in for errors which did not happen.
        """
        new = self.new_squares / self.new if self.new > 0 else 1.0
        old = (self.old_squares + at_least * self.old_exposure_squares) / (
            self.old + at_least * self.exposure
        )
        return new, old


class Caps(NamedTuple):
    """The ratios that a bin's errors are held against: expected, and the absolute limit."""

    expected: float = math.inf
    limit: float = math.inf

    def sums(self, seconds: float, new: Counts, old: Counts, beside: Counts) -> Sums:
        """Return what one bin counts for; `beside` is the candidate's part while there were others.

        A burst or a cluster of retries decides nothing: what is beyond the cap does not count.
        """
        n, x = new.requests, new.errors
        return Sums(
            seconds,
            n,
            x,
            min(x, 1 + WHOLE_CAP * n * self.expected) if n else 0.0,
            min(x, 1 + TRAILING_CAP * n * self.expected) if n else 0.0,
            min(x, 1 + WHOLE_CAP * n * self.limit) if n else 0.0,
            old.requests,
            old.errors,
            Strata.of(beside, old),
        )


class Sums(NamedTuple):
    """Sums over the bins of a window."""

    seconds: float = 0.0
    requests: float = 0.0  # of the candidate
    errors: float = 0.0
    held: float = 0.0  # errors, each bin held at the whole window's cap
    tightly: float = 0.0  # errors, each bin held at the trailing windows' cap
    to_limit: float = 0.0  # errors, each bin held at the cap of the limit
    old_requests: float = 0.0
    old_errors: float = 0.0
    strata: Strata = Strata()

    @property
    def new(self) -> Counts:
        """The candidate's counts."""
        return Counts(self.requests, self.errors)

    @property
    def old(self) -> Counts:
        """The old pods' counts."""
        return Counts(self.old_requests, self.old_errors)

    def plus(self, other: Sums) -> Sums:
        """Return the sums over both."""
        return Sums(
            self.seconds + other.seconds,
            self.requests + other.requests,
            self.errors + other.errors,
            self.held + other.held,
            self.tightly + other.tightly,
            self.to_limit + other.to_limit,
            self.old_requests + other.old_requests,
            self.old_errors + other.old_errors,
            self.strata.plus(other.strata),
        )

    def minus(self, other: Sums) -> Sums:
        """Return the sums over what is not in the other."""
        return Sums(
            self.seconds - other.seconds,
            max(0.0, self.requests - other.requests),
            max(0.0, self.errors - other.errors),
            max(0.0, self.held - other.held),
            max(0.0, self.tightly - other.tightly),
            max(0.0, self.to_limit - other.to_limit),
            max(0.0, self.old_requests - other.old_requests),
            max(0.0, self.old_errors - other.old_errors),
            self.strata.minus(other.strata),
        )


EMPTY = Sums()


@dataclass(frozen=True, slots=True)
class Windows:
    """All bins since the warm-up, as sums: bounded, however long the watch.

    `marks` are the sums as they were at the ends of the last bins, oldest first; a trailing
    window is the difference of two of them. `open_beside` is what the candidate had in the open bin
    up to the old pods' last request: what came after that is not compared with them.
    """

    closed: Sums = EMPTY
    marks: tuple[Sums, ...] = ()
    open_seconds: float = 0.0
    open_new: Counts = NOTHING
    open_old: Counts = NOTHING
    open_beside: Counts = NOTHING

    def add(self, seconds: float, new: Counts, old: Counts, caps: Caps) -> Self:
        """Return the windows with one more increment."""
        length = self.open_seconds + seconds
        together = old.requests > 0
        new, old = self.open_new + new, self.open_old + old
        beside = new if together else self.open_beside
        if length < BIN - 1e-9:
            return type(self)(self.closed, self.marks, length, new, old, beside)
        marks = (*self.marks, self.closed)
        closed = self.closed.plus(caps.sums(length, new, old, beside))
        while len(marks) > 1 and closed.seconds - marks[1].seconds >= TRAILING[-1]:
            marks = marks[1:]
        return type(self)(closed, marks)

    def whole(self, caps: Caps) -> Sums:
        """Return the sums since the warm-up, the open bin included."""
        if self.open_seconds <= 0:
            return self.closed
        bin = caps.sums(self.open_seconds, self.open_new, self.open_old, self.open_beside)
        return self.closed.plus(bin)

    @property
    def last(self) -> Sums:
        """The last closed bin, empty before there is one."""
        return self.closed.minus(self.marks[-1]) if self.marks else EMPTY

    def trailing(self, seconds: float) -> Sums | None:
        """Return the sums over the last closed bins of at least so many seconds in all.

        At least `BINS` bins, so that one cannot decide. None while a bin is open, and where the
        watch is not longer than that.
        """
        if self.open_seconds > 0 or self.closed.seconds <= seconds:
            return None
        for mark in reversed(self.marks[: 1 - BINS]):
            if self.closed.seconds - mark.seconds >= seconds - 1e-9:
                return self.closed.minus(mark)
        return None


@dataclass(frozen=True, slots=True)
class Pair:
    """Counts of both groups since some moment: all of the candidate, and beside old pods."""

    candidate: Counts = NOTHING
    beside: Counts = NOTHING  # the candidate's, in the intervals that have a control
    control: Counts = NOTHING
    strata: Strata = field(default_factory=Strata)

    def add(self, candidate: Counts, control: Counts) -> Pair:
        """Return the counts with one more interval; a group without requests says nothing."""
        if control.requests <= 0:
            return Pair(self.candidate + candidate, self.beside, self.control, self.strata)
        return Pair(
            self.candidate + candidate,
            self.beside + candidate,
            self.control + control,
            self.strata.plus(Strata.of(candidate, control)),
        )
