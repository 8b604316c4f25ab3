"""The keys by which policy files are made from others: `extends`, `omit`, `abstract`, `values`.

Decides their names and types, as `models` does for all other keys. A `Policy` has none of them:
it is what has come out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from deploy_guard.policy.models import Policy, Section
from deploy_guard.policy.scalars import Bool, JsonScalar, Kind, Scalar

MOST_BASES = 10
VALUE_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
REUSE = ("extends", "omit", "abstract", "values")


def _as_list(value: Any) -> Any:
    """Return a list of one for a text; that a key has no value is told elsewhere."""
    if isinstance(value, Scalar) and value.is_null:
        return []
    return [value] if isinstance(value, str) else value


_Names = list[Annotated[str, Field(min_length=1, max_length=4096)]]
Files = Annotated[
    _Names,
    BeforeValidator(_as_list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1},
                    "maxItems": MOST_BASES,
                },
            ]
        }
    ),
    Kind("file or list of files"),
]


class Declaration(Section):
    """A value that differs from one environment to the other, used as `{{ values.NAME }}`."""

    type: Literal["text", "number", "integer", "percentage", "duration", "boolean"] | None = Field(
        None, description="What it is; a file that extends another may leave it out."
    )
    default: JsonScalar = Field(
        None,
        description="Without it the value has to be given, by `--set` or `--values`.",
        examples=["5%", 3, True],
    )
    description: str = Field(
        "", description="For those who set it.", examples=["The highest share of failed requests."]
    )
    one_of: Annotated[list[JsonScalar], Kind("list of values")] | None = Field(
        None, min_length=1, description="All that it may be.", examples=[["1%", "5%"]]
    )


class Header(Section):
    """The keys of a file that say how the policy is made of it and of others."""

    extends: Files = Field(
        default_factory=list,
        max_length=MOST_BASES,
        description="Policy files that this one is made from, relative to it. They cannot extend "
        "others themselves, and must not contradict each other.",
        examples=["base.yaml", ["connections.yaml", "base.yaml"]],
    )
    omit: Annotated[_Names, Kind("list of texts")] = Field(
        default_factory=list,
        description="Names of inherited signals that are left out.",
        examples=[["latency"]],
    )
    abstract: Bool = Field(
        False,
        description="`true`: this file is only there to be extended, and need not be complete.",
    )
    values: dict[str, Declaration] = Field(
        default_factory=dict,
        description="Values that `--set NAME=VALUE` and `--values FILE` can give, by name.",
        examples=[{"error_limit": {"type": "percentage", "default": "5%"}}],
        json_schema_extra={"propertyNames": {"pattern": VALUE_NAME}},
    )


class PolicyFile(Header, Policy):
    """How a file is made from others, and what can be set from outside.

    `version` stands in every file; all else may come from the files that it extends.
    """
