"""What happens in a rollback by hand, as events with words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from deploy_guard.masking import HIDDEN
from deploy_guard.model import Event, Revision, Rollout
from deploy_guard.problems import Problem
from deploy_guard.rollback.differences import NEXT_APPLY, masked, not_restored
from deploy_guard.rollback.execution import Done
from deploy_guard.rollback.planning import Plan
from deploy_guard.rollback.preparing import Prepared
from deploy_guard.secret_names import hide


def named(revision: Revision | None) -> str:
    """Name a revision as people know it: number, image, change-cause."""
    if revision is None:
        return "no revision"
    images = ", ".join(revision.images)
    cause = f", {hide(revision.change_cause, HIDDEN)}" if revision.change_cause else ""
    return f"revision {revision.number} ({images}{cause})"


class Teller:
    """Turns what happens into events."""

    def __init__(self, report: Callable[[Event], None] | None, clock: Callable[[], float]) -> None:
        self._report = report
        self._clock = clock

    def __call__(self, kind: str, text: str, **data: Any) -> None:
        """Report one event."""
        if self._report is not None:
            self._report(Event(self._clock(), kind, text, data))

    def plan(self, made: Plan) -> None:
        """Tell what is planned, which revisions were passed over, and every problem."""
        if made.in_place:
            self("plan", f"{made.target}: {named(made.candidate)}: {made.choice}")
        elif made.revision is not None:
            self(
                "plan",
                f"{made.target}: from {named(made.candidate)} back to {named(made.revision)}: "
                f"{made.choice}",
                to=made.revision.number,
                template=made.revision.template_hash,
            )
        for revision, why in made.passed_over:
            self("note", f"revision {revision.number} is passed over: it {why}")
        for problem in made.problems:
            self.problem(problem)

    def problem(self, problem: Problem) -> None:
        """Tell a problem with what to do about it."""
        self(
            "problem",
            problem.text + (f" ({problem.help})" if problem.help else ""),
            problem=problem.kind,
            blocks=problem.blocks,
        )

    def changes(self, made: Prepared) -> None:
        """Tell what changes, what is not restored, and what brings the condemned version back."""
        shown = [*made.changes, *(made.configuration if made.restores else ())]
        for change in shown:
            self(
                "change",
                f"{change.where}: {change.before} → {change.after}",
                where=change.where,
                before=change.before,
                after=change.after,
            )
        if not made.restores:
            for change in made.configuration:
                self("note", f"not restored: {change.where}: {change.before} → {change.after}")
        for text in not_restored(made.plan.target):
            if not (made.restores and "ConfigMaps" in text):
                self("note", text)
        if not made.plan.in_place:
            self("note", NEXT_APPLY)

    def patch(self, made: Plan) -> None:
        """Tell exactly what would be sent, but for literal values that may be secrets."""
        shown = masked(list(made.operations))
        self("patch", json.dumps(shown, indent=2, ensure_ascii=False), patch=shown)

    def done(self, made: Plan, done: Done) -> None:
        """Tell that the server accepted, or had it already."""
        if made.in_place:
            self("rolled-back", f"{made.target} has its configuration back")
            return
        how = "was rolled back already" if done.already else "is rolled back"
        what = f" to {named(made.revision)}" if made.revision is not None else ""
        self("rolled-back", f"{made.target} {how}{what}")

    def progress(self, rollout: Rollout) -> None:
        """Tell how far the rollout of the old revision is."""
        text = (
            f"{rollout.updated} of {rollout.desired} pods replaced, {rollout.available} available"
        )
        self("progress", text + (f", {rollout.old} to go" if rollout.old else ""))
