"""The values of an explanation; no behaviour. Times are Unix seconds, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_guard.decide import Observation, State
from deploy_guard.model import Decision, Event, Evidence, Finding, Recovery, Tick
from deploy_guard.policy.models import Policy
from deploy_guard.record import Header

Entries = tuple[Observation | Tick, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """A record by what its entries are for.

    `watched` is what the verdict was made from, `after` what was read after a rollback; `recorded`
    is the decision, None when the watch ended before one. `acted` says that another guard's
    verdict was acted on. `until` is when the first part ends.
    """

    watched: Entries
    after: Entries
    events: tuple[Event, ...]
    recorded: Decision | None
    acted: bool
    until: float


@dataclass(frozen=True, slots=True)
class Step:
    """How every signal stood at one moment; `rollout` says how far the rollout was."""

    at: float
    evidence: tuple[Evidence, ...]
    rollout: str
    second: bool = False  # after the rollback


@dataclass(frozen=True, slots=True)
class Point:
    """One reading, in the signal's unit: of the new pods, and of the old ones (or before)."""

    at: float
    new: float | None
    old: float | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A signal's finding became another one."""

    at: float
    signal: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Replay:
    """What a policy says of a record: step by step, and in the end.

    `decision` is the last one, without a verdict when the entries end before it; `complete` when
    all entries were folded.
    """

    policy: Policy
    steps: tuple[Step, ...]
    turns: tuple[Turn, ...]
    points: dict[str, tuple[Point, ...]]
    decision: Decision
    state: State
    complete: bool


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What the signals said after the rollback; `recovery` is None while that cannot be told."""

    began: float
    at: float
    accused: tuple[str, ...]
    steps: tuple[Step, ...]
    points: dict[str, tuple[Point, ...]]
    evidence: tuple[Evidence, ...]
    recovery: Recovery | None


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something about which the record cannot tell what another policy would have said."""

    kind: str  # "not_recorded", "other_measure", "other_query", "other_setting", "record_ends"
    signal: str  # empty: about all of them
    text: str


@dataclass(frozen=True, slots=True)
class Other:
    """What another policy says of the same record, and what of that is not to be believed."""

    replay: Replay
    doubts: tuple[Doubt, ...]
    absent: tuple[str, ...]  # signals that could not be judged at all


@dataclass(frozen=True, slots=True)
class Explanation:
    """A record, explained. `outcome` is the document beside it, None without one."""

    file: Path
    header: Header
    torn: bool
    entries: int
    parts: Parts
    every: float
    replay: Replay
    second: SecondLook | None
    outcome: dict[str, Any] | None
    other: Other | None = None
