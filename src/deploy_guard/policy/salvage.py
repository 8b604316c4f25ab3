"""What is left of a policy when the wrong parts are taken out, so that rules can judge the rest.

One run tells every problem: a typo in one key does not hide what is wrong with another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from deploy_guard.policy.models import Policy
from deploy_guard.policy.yaml import Path

Wrong = Callable[[ValidationError, dict[str, Any]], set[Path]]


@dataclass(slots=True)
class Salvage:
    """A document with parts taken out.

    `signals` are the positions of the signals that are left; `damaged` has, by position, the keys
    that were taken out of one. `broken` names the sections with a problem, ``signals`` too.
    """

    value: dict[str, Any]
    signals: list[int]
    broken: set[str] = field(default_factory=set)
    damaged: dict[int, set[str]] = field(default_factory=dict)

    def without_keys(self, wrong: Iterable[Path]) -> None:
        """Take out the wrong keys of sections and signals, and what is wrong as a whole."""
        whole = set()
        keys: dict[str, set[str]] = {}
        for path in wrong:
            self.broken.add(str(path[0]) if path else "")
            if path[:1] == ("signals",) and len(path) > 2 and isinstance(path[1], int):
                self.damaged.setdefault(path[1], set()).add(str(path[2]))
            elif len(path) > 1 and path[0] != "signals":
                keys.setdefault(str(path[0]), set()).add(str(path[1]))
            else:
                whole.add(path)
        for name, bad in keys.items():
            self.value[name] = _without(self.value[name], bad)
        for position, bad in self.damaged.items():
            items = self.value["signals"]
            items[position] = _without(items[position], bad)
        self.without(whole)

    def without(self, wrong: Iterable[Path]) -> None:
        """Take out whole sections and signals; paths count the signals that are left."""
        bad = set()
        for path in wrong:
            if len(path) > 1 and path[0] == "signals":
                bad.add(path[1])
            elif path:
                self.value.pop(str(path[0]), None)
        if isinstance(self.value.get("signals"), list):
            left = [n for n in range(len(self.signals)) if n not in bad]
            self.value["signals"] = [self.value["signals"][n] for n in left]
            self.signals = [self.signals[n] for n in left]
        else:
            self.signals = []
        self.value.setdefault("version", "1")


def _without(mapping: Any, keys: set[str]) -> Any:
    """Return a mapping without some keys; anything else as it is."""
    if not isinstance(mapping, dict):
        return mapping
    return {key: value for key, value in mapping.items() if key not in keys}


def salvage(value: dict[str, Any], bad: set[Path], wrong: Wrong) -> tuple[Policy | None, Salvage]:
    """Return a policy of what is right in a document, None if nothing is.

    `bad` are the paths of what is wrong; `wrong` gives those of an error's values.
    """
    listed = value.get("signals")
    rest = Salvage({**value}, list(range(len(listed))) if isinstance(listed, list) else [])
    if isinstance(listed, list):
        rest.value["signals"] = list(listed)
    rest.without_keys(bad)
    for _ in range(2):
        try:
            return Policy.model_validate(rest.value, by_alias=True, by_name=False), rest
        except ValidationError as again:
            rest.without(
                {
                    path[:2] if path[:1] == ("signals",) else path[:1]
                    for path in wrong(again, rest.value)
                }
            )
    return None, rest
