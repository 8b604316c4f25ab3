"""Scalars that people write in a policy: durations and percentages, parsed from their text."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
DURATION_PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"
PERCENT_PATTERN = r"^\d+(\.\d+)?( ?%)?$"


def parse_duration(text: object) -> float:
    """Return the seconds of a duration such as ``90s``, ``1m30s``, ``500ms``, ``1.5h``.

    A number without a unit is refused: nobody can tell whether 30 means seconds or minutes.
    Raises ValueError.
    """
    if isinstance(text, float):  # already parsed: models are also built in code
        return text
    parts = _PART.findall(str(text))
    if not parts or "".join(n + u for n, u in parts) != str(text):
        raise ValueError("expected a duration with its unit, such as 30s, 5m or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not math.isfinite(seconds):
        raise ValueError("the duration is too long to be meant")
    return seconds


def parse_percent(text: object) -> float:
    """Return the fraction of a percentage such as ``5%`` or ``0.1 %``; ``0.05`` is a fraction.

    Raises ValueError.
    """
    if isinstance(text, float):
        return text
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(%?)", str(text))
    if match is None:
        raise ValueError("expected a percentage, such as 5% or 0.1%")
    fraction = float(match[1]) / (100 if match[2] else 1)
    if fraction > 1:
        raise ValueError(f"{text} is more than everything: did you mean {match[1]}%?")
    return fraction


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "1h30m"]}),
]
Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN, "examples": ["5%", "0.1%"]}),
]
