"""The values of a backtest: a moment to judge, and what a watch would have observed then.

Times are Unix seconds, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploy_guard.decide import Observation
from deploy_guard.model import Revision, Tick


@dataclass(frozen=True, slots=True)
class Deploy:
    """A moment at which a policy is tried.

    `ordinary` means that nothing was deployed then: a regression found there is a false alarm.
    `bad` is whether the deploy is known to have hurt users, None when nobody knows.
    """

    at: float
    label: str
    ordinary: bool = False
    revision: Revision | None = None
    bad: bool | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One deploy as a watch would have observed it, to be folded with `decide.replay`.

    `missing` has the signals that history does not have, each with the reason.
    """

    deploy: Deploy
    started_at: float
    observations: tuple[Observation | Tick, ...]
    ends_at: float | None = None
    missing: tuple[tuple[str, str], ...] = ()
