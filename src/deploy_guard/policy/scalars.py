"""Scalars that people write in a policy, parsed from their text: YAML's own guesses are not used.

YAML 1.1 reads `1:30` as 90, `on` as true and `0777` as 511; here a scalar stays text until the
field that it stands in says what it has to be. Values that already have the right type pass:
models are also built in code and restored from JSON.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_LONGEST = 60  # characters of a number with its unit
_WORDS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
_ABOVE_ZERO = r"^(?=.*[1-9])"  # in front of a pattern: any digit but zero
PERCENT_PATTERN = r"^0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?) ?%$"
_PORT_NAME = r"^(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$"


class Scalar(str):
    """The text of a YAML scalar; `plain` when it was written without quotes or block marks."""

    __slots__ = ("plain",)
    plain: bool

    def __new__(cls, text: str, *, plain: bool = True) -> Scalar:
        """Return the text, knowing how it was written."""
        scalar = super().__new__(cls, text)
        scalar.plain = plain
        return scalar

    @property
    def is_null(self) -> bool:
        """Whether YAML reads it as nothing."""
        return self.plain and self in {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True, slots=True)
class Kind:
    """Marks a type for the schema and the reference: what it is called there."""

    name: str


def fault(message: str, help: str = "") -> PydanticCustomError:
    """Return the error of a value: what was expected and, in `help`, what to write instead."""
    context = {"text": message, "help": help}
    return PydanticCustomError("bad-value", "{text}", context)


def parse_duration(text: object) -> float:
    """Return the seconds of a duration such as ``90s``, ``1m30s``, ``500ms``, ``1.5h``.

    A number without a unit is refused: nobody can tell whether 30 means seconds or minutes.
    Raises ValueError.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    if not isinstance(text, str):
        raise fault("expected a duration, such as 30s")
    parts = _PART.findall(text) if len(text) <= _LONGEST else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise fault("expected a duration with its unit", _duration_help(text))
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds <= 366 * 86400:
        raise fault("expected a duration of at most a year")
    return seconds


def _duration_help(text: str) -> str:
    """Say what to write instead of a duration that cannot be read."""
    if len(text) > _LONGEST:
        return ""
    if _NUMBER.fullmatch(text) and not text.startswith(("-", "+")):
        return f"write {text}s for seconds or {text}m for minutes"
    if clock := re.fullmatch(r"([0-9]+):([0-9]{2})", text):
        return f"write {int(clock[1])}m{int(clock[2])}s or {int(clock[1])}h{int(clock[2])}m"
    squeezed = re.sub(r"\s+", "", text)
    if squeezed != text and re.fullmatch(DURATION_PATTERN, squeezed):
        return f"write {squeezed}, without blanks"
    return "units are ms, s, m, h and d: 500ms, 30s, 5m, 1h30m"


def positive(seconds: float) -> float:
    """Refuse a duration of nothing. Raises ValueError."""
    if not seconds > 0:
        raise fault("expected a duration above zero")
    return seconds


def format_duration(seconds: float) -> str:
    """Write seconds as people write them in a policy: ``90`` is ``1m30s``, ``0.5`` is ``500ms``."""
    rest = round(seconds * 1000)
    words = ""
    for unit in ("d", "h", "m", "s", "ms"):
        size = round(_UNITS[unit] * 1000)
        count, rest = divmod(rest, size)
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def parse_percent(text: object) -> float:
    """Return the fraction of a percentage such as ``5%`` or ``0.1 %``; a float passes.

    Text without the sign is refused: 0.5 may mean half of all or half of a percent.
    Raises ValueError.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    if not isinstance(text, str):
        raise fault("expected a percentage, such as 5%")
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?%", text[: _LONGEST + 1])
    if match is None:
        raise fault("expected a percentage with its sign", _percent_help(text))
    fraction = float(match[1]) / 100
    if fraction > 1:
        raise fault("expected at most 100%", "a share cannot be more than everything")
    return fraction


def _percent_help(text: str) -> str:
    """Say what to write instead of a percentage that cannot be read."""
    if len(text) <= _LONGEST and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        number = float(text)
        if number >= 1:
            return f"write {text}%"
        return f"write {number * 100:.10g}% if {text} is a share of 1, or {text}% if it is not"
    return "a number and the sign: 5%, 0.1%"


def format_percent(fraction: float) -> str:
    """Write a fraction as a percentage: 0.001 is ``0.1%``."""
    return f"{fraction * 100:.10g}%"


def parse_bool(value: object) -> object:
    """Return the truth of ``true`` and ``false``; YAML 1.1's other words are refused."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in {"true", "false"}:
        return value == "true"
    meant = _WORDS.get(value.lower()) if isinstance(value, str) else None
    help = "" if meant is None else f"write {str(meant).lower()}"
    raise fault("expected true or false", help)


def parse_integer(value: object) -> object:
    """Return a whole number in decimal; 0777, 0x1F and 1_000 are refused."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    help = "leading zeros are not allowed" if re.fullmatch(r"0[0-9]+", str(value)) else ""
    raise fault("expected a whole number", help)


def parse_number(value: object) -> object:
    """Return a finite number; 1e3 is one, 1:30 and .nan are not."""
    if isinstance(value, str) and len(value) <= _LONGEST and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise fault("expected a number")


def parse_port(value: object) -> int | str:
    """Return a port's number (1 to 65535) or its name in the container."""
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        if re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?", value) and re.search("[a-z]", value):
            return str(value)
    elif isinstance(value, int | str) and not isinstance(value, bool) and 0 < int(value) < 65536:
        return int(value)
    raise fault("expected a port: a number up to 65535, or a name such as http")


def parse_json_scalar(value: object) -> object:
    """Return what a scalar means in JSON: quoted is text, plain may be a number, true or null."""
    if not isinstance(value, Scalar):
        if isinstance(value, dict | list):
            raise fault("expected a text, a number, true, false or null")
        return value
    if not value.plain:
        return str(value)
    if value.is_null:
        return None
    if value in {"true", "false"}:
        return value == "true"
    if _INTEGER.fullmatch(value):
        return int(value)
    if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", value):
        return float(value)
    return str(value)


_DURATION = WithJsonSchema(
    {"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "1h30m"]}
)
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    _DURATION,
    Kind("duration"),
]
PositiveDuration = Annotated[
    float,
    BeforeValidator(parse_duration),
    AfterValidator(positive),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _ABOVE_ZERO + DURATION_PATTERN[1:],
            "examples": ["30s", "1h30m"],
        }
    ),
    Kind("duration"),
]
Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN, "examples": ["5%", "0.1%"]}),
    Kind("percentage"),
]
Bool = Annotated[
    bool, BeforeValidator(parse_bool), WithJsonSchema({"type": "boolean"}), Kind("true or false")
]
Integer = Annotated[int, BeforeValidator(parse_integer), Kind("whole number")]
Number = Annotated[float, BeforeValidator(parse_number), Kind("number")]
Port = Annotated[
    int | str,
    BeforeValidator(parse_port),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"type": "string", "pattern": _PORT_NAME},
            ],
            "examples": [8080, "http"],
        }
    ),
    Kind("port number or name"),
]
JsonScalar = Annotated[
    str | int | float | bool | None,
    BeforeValidator(parse_json_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
    Kind("text, number, true, false or null"),
]
