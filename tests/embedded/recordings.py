"""Load the recordings of a real Kubernetes control plane (see tests/recordings/README.md)."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "recordings"


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a scenario with its complete answer."""

    index: int
    name: str
    sender: str  # "" for a cluster administrator
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int
    answer_headers: dict[str, Any]
    answer: Any
    events: tuple[dict[str, Any], ...] | None  # of a watch; None for an ordinary request
    ended_by: str
    began_ms: float

    @property
    def label(self) -> str:
        """The step's number and name, as test ids and tables of differences use it."""
        return f"{self.index:02d} {self.name}"


@dataclass(frozen=True, slots=True)
class Recording:
    """One scenario."""

    name: str
    title: str
    steps: tuple[Step, ...]

    def answer(self, index: int) -> Any:
        """Return the body that answered a step."""
        return self.steps[index].answer


def raw(name: str) -> dict[str, Any]:
    """Return a recording as it is in its file."""
    with gzip.open(FOLDER / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        document: dict[str, Any] = json.load(file)
    return document


@cache
def load(name: str) -> Recording:
    """Return a recording by the name of its file, such as ``06-concurrency``."""
    document = raw(name)
    steps = tuple(_step(index, step) for index, step in enumerate(document["steps"]))
    return Recording(name, document["title"], steps)


def _step(index: int, step: dict[str, Any]) -> Step:
    request, response = step["request"], step["response"]
    events = response.get("events")
    return Step(
        index,
        step["name"],
        step.get("as", ""),
        request["method"],
        request["path"],
        request.get("headers", {}),
        request.get("body"),
        response["status"],
        response.get("headers", {}),
        response.get("body"),
        None if events is None else tuple(events),
        response.get("ended_by", ""),
        step["began_ms"],
    )
