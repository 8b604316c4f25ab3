"""How a rollback by hand is told: lines as it happens, one JSON document at the end.

The document's keys are in docs/commands.md; version 1 may gain keys and never loses or changes one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deploy_guard.masking import masked
from deploy_guard.model import Action, Event
from deploy_guard.outputs.format import clean, wrap
from deploy_guard.outputs.json import change_document, revision_document, time_text
from deploy_guard.rollback.by_hand import ByHand

LEFT_OUT = ("restored", "failed", "nothing")
"""Kinds that make no line: an end is told by the result."""


class Told:
    """Tells each event once; remembers whether the cluster accepted the rollback.

    One line per event, or with a `width`, as of a terminal, as many as it takes.
    """

    def __init__(self, write: Callable[[str], object], *, width: int | None = None) -> None:
        self._write = write
        self._width = width
        self._lines: list[str] = []
        self.accepted = False

    def __call__(self, event: Event) -> None:
        """Tell an event."""
        self.accepted = self.accepted or event.kind == "rolled-back"
        if event.kind == "patch":  # as it is, so that it can be copied
            self._write(f"{event.kind:<11} what would be sent, a JSON Patch\n{event.text}")
            return
        begin = f"{event.kind:<11} "
        line = begin + clean(event.text)
        if event.kind not in LEFT_OUT and line not in self._lines[-1:]:
            self._write(self._fitted(begin, clean(event.text)))
            self._lines.append(line)

    def _fitted(self, begin: str, text: str) -> str:
        if self._width is None:
            return begin + text
        return "\n".join(wrap(text, width=self._width, first=begin, rest=" " * len(begin)))

    def has_said(self, text: str) -> bool:
        """Tell whether some line has this text already."""
        return any(text in line for line in self._lines)


def action_of(result: ByHand) -> Action:
    """Return what was done, in the words of a watch's document."""
    if result.done is not None and not result.done.dry:
        if result.restored is None or result.restored.serves:
            return Action.ROLLED_BACK
        return Action.SUPERSEDED if result.restored.superseded else Action.ROLLBACK_FAILED
    if result.plan.blocking is not None and not result.plan.nothing_to_do:
        return Action.REFUSED
    something = result.changes or result.restores_config
    return Action.WOULD_ROLL_BACK if result.exit_code == 0 and something else Action.NONE


def as_json(result: ByHand, *, dry_run: bool, exit_code: int) -> dict[str, Any]:
    """Return the documented JSON document, version 1."""
    plan, done, restored = result.plan, result.done, result.restored
    return {
        "version": 1,
        "action": action_of(result).value,
        "text": result.text,
        "help": result.help,
        "exit_code": exit_code,
        "dry_run": dry_run,
        "target": {
            "kind": plan.target.kind,
            "namespace": plan.target.namespace,
            "name": plan.target.name,
        },
        "candidate": revision_document(plan.candidate),
        "target_revision": revision_document(plan.revision),
        "choice": plan.choice,
        "passed_over": [
            {"revision": revision.number, "reason": why} for revision, why in plan.passed_over
        ],
        "changes": [change_document(change) for change in result.changes],
        "configuration": {
            "changes": [change_document(change) for change in result.configuration],
            "restored": result.restores_config,
        },
        "patch": masked(list(plan.operations)) if dry_run else None,
        "problems": [
            {"kind": p.kind, "blocks": p.blocks, "text": p.text, "help": p.help}
            for p in plan.problems
        ],
        "rolled_back_at": time_text(done.at) if done else None,
        "restored_at": time_text(restored.at) if restored and restored.serves else None,
    }
