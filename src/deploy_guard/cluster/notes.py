"""Notes in annotations: JSON by guard, copied by controllers, changed by anybody.

Decides what can be read at all. Whether a note is believed is decided by whoever reads it.
"""

from __future__ import annotations

import json
from typing import Any


def parsed(text: object) -> dict[str, Any]:
    """Return the JSON object of a note, empty for everything else; raises nothing.

    A note that could not be written again as it is (infinite numbers, half surrogates, nested too
    deeply) is none: guard writes no such note.
    """
    if not isinstance(text, str):
        return {}
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
