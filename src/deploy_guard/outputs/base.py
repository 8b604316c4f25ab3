"""The interface of an output: one method. Also the words that an event's kind may be."""

from __future__ import annotations

from typing import Protocol

from deploy_guard.model import Event, Outcome, Progress

Item = Event | Progress | Outcome

EVENT_KINDS: dict[str, str] = {
    "preflight": "what was found before anything was watched",
    "deploy": "what the command of `guard deploy` does, and what it changed",
    "rollout": "how far the candidate's pods are, and what the cluster says of them",
    "hold": "the rollout is paused by guard, or resumed, and why",
    "signal": "what a signal says has changed",
    "no-data": "a signal cannot be read, or can be read again",
    "verdict": "what the evidence of all signals says",
    "rollback": "what is done to the cluster, or would be, or could not be",
    "recovery": "what the signals say after a rollback",
    "warning": "something that the reader should know and that does not end the watch",
    "story": "narration of the demo",
}
"""Kinds of the timeline."""

LINE_KINDS: dict[str, str] = {
    "status": "the state of the watch at that moment: time left, rollout, every signal",
    "outcome": "the last line: exit code, verdict, action and the reason",
}
"""Kinds that only event lines have, besides those of the timeline."""


class Output(Protocol):
    """A way to tell what happens in a watch."""

    def show(self, item: Item) -> None:
        """Tell one thing. Never raises for anything that the outside world does."""
        ...
