"""What stands in the way of a rollback, or should be known before it, and what to do about it.

Decides the form of a problem. Which ones there are is said where they are found.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from deploy_guard.errors import ExitCode, GuardError


class Weight(IntEnum):
    """How bad a problem is; the worst are told first."""

    NOTE = 0  # good to know, nothing to do now
    WARNING = 1  # the rollback works, but not as one might expect
    HARMS = 2  # the rollback would be done and be a second outage, so it is not tried
    BLOCKS = 3  # the rollback cannot be done


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: `kind` is a stable word for machines, `help` says what to do."""

    kind: str
    text: str
    help: str = ""
    weight: Weight = Weight.BLOCKS

    @property
    def blocks(self) -> bool:
        """Whether a rollback must not be tried."""
        return self.weight >= Weight.HARMS


def warning(kind: str, text: str, help: str = "") -> Problem:
    """Make a problem that does not stand in the way."""
    return Problem(kind, text, help, Weight.WARNING)


def note(kind: str, text: str, help: str = "") -> Problem:
    """Make a problem that is merely good to know."""
    return Problem(kind, text, help, Weight.NOTE)


def harm(kind: str, text: str, help: str = "") -> Problem:
    """Make a problem with which a rollback would be a second outage."""
    return Problem(kind, text, help, Weight.HARMS)


def worst_first(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems; those of one weight stay in their order."""
    return tuple(sorted(problems, key=lambda problem: -problem.weight))


class Refused(GuardError):
    """A rollback is not possible or not safe; nothing was written. `problem` says why."""

    exit_code = ExitCode.NOT_ROLLED_BACK

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text, help=problem.help)
        self.problem = problem


class Superseded(GuardError):
    """A newer deploy arrived: what was condemned is no longer live, so nothing was written."""

    exit_code = ExitCode.SUPERSEDED
