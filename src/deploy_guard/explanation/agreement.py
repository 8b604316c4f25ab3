"""Whether the replay says what the record says, and what a difference may come from."""

from __future__ import annotations

from dataclasses import dataclass

from deploy_guard import __version__, text
from deploy_guard.explanation.model import Explanation
from deploy_guard.model import Verdict

SAME_MOMENT = 1e-3  # seconds


@dataclass(frozen=True, slots=True)
class Agreement:
    """`same` is None where the record has no decision to compare with."""

    same: bool | None
    text: str


def agreement(found: Explanation) -> Agreement:
    """Compare the verdict of the replay with the recorded one."""
    recorded, replayed = found.parts.recorded, found.replay.decision
    if recorded is None and found.parts.acted:
        words = "the verdict was another guard's, whose watch this one went on with"
        return Agreement(None, f"{words}: it is not in this record")
    if recorded is None and replayed.verdict is None:
        return Agreement(None, f"the record has no verdict: {_why_none(found)}")
    if recorded is None:
        words = f"the record has no verdict: {_why_none(found)}"
        return Agreement(None, f"{words}; its readings say {verdict_words(replayed.verdict)}")
    if recorded.verdict is replayed.verdict:
        late = replayed.at - recorded.at
        if abs(late) <= SAME_MOMENT:
            return Agreement(True, "the replay gives the recorded verdict at the recorded moment")
        when = f"{text.seconds(abs(late))} {'later' if late > 0 else 'sooner'}"
        return Agreement(True, f"the replay gives the recorded verdict {when}; {_versions(found)}")
    words = f"the record says {verdict_words(recorded.verdict)}"
    words += f", the replay says {verdict_words(replayed.verdict)}: {_versions(found)}"
    return Agreement(False, words)


def verdict_words(verdict: Verdict | None) -> str:
    """Return a verdict in words."""
    return "no verdict" if verdict is None else verdict.value.replace("_", " ")


def _why_none(found: Explanation) -> str:
    if found.outcome is not None and isinstance(found.outcome.get("action"), str):
        return f"the watch ended before one ({found.outcome['action'].replace('_', ' ')})"
    if found.torn:
        return "it was cut off, as by a killed guard"
    return "the watch ended before one, and left no outcome.json"


def _versions(found: Explanation) -> str:
    if found.header.guard == __version__:
        return "the file was changed, or cut off, after it was written"
    return f"guard {found.header.guard} wrote it, guard {__version__} replays it"
