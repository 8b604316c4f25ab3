"""Write src/deploy_guard/embedded/fields.json: the fields of the types the embedded API serves.

Run it when `embedded/resources.py` gains a kind: ``python tools/embedded_fields.py``. The types
come from the models of the installed `kubernetes` package. Notation: ``s`` text, ``i`` integer,
``b`` boolean, ``n`` number, ``o`` anything, ``[x`` list of x, ``{x`` map to x, else a type's name.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from kubernetes import client

from deploy_guard.embedded.resources import RESOURCES

TARGET = Path(__file__).parent.parent / "src/deploy_guard/embedded/fields.json"
TEXTS = {"str": "s", "bytes": "s", "datetime": "s"}
SIMPLE = {**TEXTS, "int": "i", "bool": "b", "float": "n", "object": "o"}
EVENTS = {"": "CoreV1Event", "events.k8s.io": "EventsV1Event"}


def notation(kind: str, pending: set[str]) -> str:
    """Return a model field's type in the notation of the file, and note types it needs."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    if match := re.fullmatch(r"List\[(.+)\]|list\[(.+)\]", kind):
        return "[" + notation(match[1] or match[2], pending)
    if match := re.fullmatch(r"[Dd]ict\[str, (.+)\]|[Dd]ict\(str, (.+)\)", kind):
        return "{" + notation(match[1] or match[2], pending)
    pending.add(kind)
    return kind


def collect(roots: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the fields of all types that can be reached from the models named."""
    types: dict[str, dict[str, str]] = {}
    pending = set(roots.values())
    while pending:
        name = pending.pop()
        if name in types:
            continue
        model: Any = getattr(client, name)
        types[name] = {
            model.attribute_map[field]: notation(kind, pending)
            for field, kind in model.openapi_types.items()
        }
        pending -= types.keys()
    return types


def main() -> None:
    """Write the file."""
    roots = {
        f"{r.api_version}/{r.kind}": EVENTS[r.group] if r.kind == "Event" else f"V1{r.kind}"
        for r in RESOURCES
    }
    types = collect(roots)
    document = {"kinds": dict(sorted(roots.items())), "types": dict(sorted(types.items()))}
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    TARGET.write_text(text.replace("},", "},\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
