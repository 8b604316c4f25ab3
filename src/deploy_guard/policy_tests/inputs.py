"""What signals read in a test file: amounts for all pods, at times, or by group of pods.

Decides the forms in which an amount may be written and what contradicts itself within one. Their
texts are read by `notation`, the rest of a test file is in `models`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from deploy_guard.policy.models import Section
from deploy_guard.policy.scalars import DURATION_PATTERN, Kind, Percent, fault, parse_duration
from deploy_guard.policy_tests.notation import (
    ANSWER_PATTERN,
    BOUND_PATTERN,
    PART_PATTERN,
    REQUESTS_PATTERN,
    VALUE_PATTERN,
    Amount,
    Answer,
    parse_answer,
    parse_bound,
    parse_part,
    parse_requests,
    parse_value,
)

_TEXT = {"type": ["string", "number"]}
GROUPS = ("before", "old", "new")


def _moment(text: str) -> str:
    """Check the time of a change, which stays as it was written."""
    parse_duration(text)
    return text


def _shape(value: Any) -> str:
    """Tell one value from changes at times and from values by group."""
    if isinstance(value, BaseModel):
        return "<groups>"
    if not isinstance(value, dict):
        return "<text>"
    return "<times>" if value and all(str(key)[:1].isdigit() for key in value) else "<groups>"


def _plain_or_groups(value: Any) -> str:
    """Tell shares by bound from such shares by group."""
    if not isinstance(value, dict):
        return "<groups>" if isinstance(value, BaseModel) else "<times>"
    grouped = any(isinstance(item, dict) for item in value.values())
    return "<groups>" if grouped or set(value) & set(GROUPS) else "<times>"


def _at_times(value: Any) -> str:
    return "<times>" if isinstance(value, dict) else "<text>"


def _nothing_twice(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse two changes at one time."""
    if len({parse_duration(key) for key in value}) < len(value):
        raise fault("expected each time once")
    return value


def _bound(text: str) -> str:
    """Check the bound of a bucket, which stays as it was written."""
    parse_bound(text)
    return text


def _rising(value: dict[str, float]) -> dict[str, float]:
    """Check that no share is below that of a smaller bound."""
    ordered = sorted((parse_bound(key), share) for key, share in value.items())
    if len({bound for bound, _ in ordered}) < len(ordered):
        raise fault("expected each bound once")
    shares = [share for _, share in ordered]
    if shares != sorted(shares):
        raise fault("expected shares that rise with the bound: of requests at most so slow")
    if math.isinf(ordered[-1][0]) and shares[-1] < 1:
        raise fault("expected 100% at +Inf: every request takes some time")
    return value


def _from_the_deploy(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse changes of which nobody knows what was before the first."""
    if value and min(parse_duration(key) for key in value) > 0:
        raise fault("expected the time 0s: what is it until the first change?")
    return _nothing_twice(value)


Moment = Annotated[
    str,
    AfterValidator(_moment),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
Requests = Annotated[
    Amount,
    BeforeValidator(parse_requests),
    WithJsonSchema(
        {"type": "string", "pattern": REQUESTS_PATTERN, "examples": ["40/s", "0+600x40"]}
    ),
    Kind("rate or series"),
]
PartOf = Annotated[
    Amount,
    BeforeValidator(parse_part),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": PART_PATTERN,
            "examples": ["0.5%", "2/s", "0.5%x8 20%x31"],
        }
    ),
    Kind("share, rate or series"),
]
Plain = Annotated[
    Amount,
    BeforeValidator(parse_value),
    WithJsonSchema({**_TEXT, "pattern": VALUE_PATTERN, "examples": [10, "10x4 500x40"]}),
    Kind("number or series"),
]
Answered = Annotated[
    Answer,
    BeforeValidator(parse_answer),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": ANSWER_PATTERN,
            "minimum": 100,
            "maximum": 599,
            "examples": ["ok", "fail", 503, "800ms"],
        }
    ),
    Kind("answer"),
]
Bound = Annotated[
    str,
    AfterValidator(_bound),
    WithJsonSchema({"type": "string", "pattern": BOUND_PATTERN}),
]
Buckets = Annotated[
    dict[Bound, Percent], Field(min_length=1), AfterValidator(_rising), Kind("shares by bound")
]

T = TypeVar("T")
G = TypeVar("G")
OverTime = Annotated[  # one value, or changes at times
    Annotated[T, Tag("<text>")]
    | Annotated[dict[Moment, T], AfterValidator(_nothing_twice), Tag("<times>")],
    Discriminator(_at_times),
]
Given = Annotated[  # the same from the deploy on, or by group
    Annotated[T, Tag("<text>")]
    | Annotated[dict[Moment, T], AfterValidator(_from_the_deploy), Tag("<times>")]
    | Annotated[G, Tag("<groups>")],
    Discriminator(_shape),
]
_BEFORE = "Before the deploy; default: as `old`."
_OLD = "On old pods after the deploy; default: as before it."
_NEW = "On new pods; default: as on the old ones."


class ByGroup(Section):
    """What values by group have in common."""

    changes: ClassVar[bool] = True  # a mapping in it has changes at times

    @model_validator(mode="after")
    def _known_from_the_deploy(self) -> Self:
        given = [getattr(self, key, None) for key in GROUPS]
        if all(value is None for value in given):
            raise fault("expected at least one of 'before', 'old' and 'new'")
        if isinstance(given[0], Amount) and given[0].series:
            help = "a series begins at the deploy: write it under 'new', or under 'old'"
            raise fault("'before' cannot be a series", help)
        for value in given:
            others = [other for other in given if other is not None and other is not value]
            if isinstance(value, dict) and not others and self.changes:
                _from_the_deploy(value)
        return self


class RequestsByGroup(ByGroup):
    """Requests before the deploy and after it."""

    before: Requests | None = Field(None, description="Before the deploy; default: as `new`.")
    old: OverTime[Requests] | None = Field(None, description=_OLD)
    new: OverTime[Requests] | None = Field(None, description=_NEW)


class PartByGroup(ByGroup):
    """A part of the requests before the deploy, on old pods, on new pods."""

    before: PartOf | None = Field(None, description=_BEFORE)
    old: OverTime[PartOf] | None = Field(None, description=_OLD)
    new: OverTime[PartOf] | None = Field(None, description=_NEW)


class PlainByGroup(ByGroup):
    """A number before the deploy, on old pods, on new pods."""

    before: Plain | None = Field(None, description=_BEFORE)
    old: OverTime[Plain] | None = Field(None, description=_OLD)
    new: OverTime[Plain] | None = Field(None, description=_NEW)


class BucketsByGroup(ByGroup):
    """A histogram before the deploy, on old pods, on new pods."""

    changes: ClassVar[bool] = False

    before: Buckets | None = Field(None, description=_BEFORE)
    old: Buckets | None = Field(None, description=_OLD)
    new: Buckets | None = Field(None, description=_NEW)


class AnswersByGroup(ByGroup):
    """What an API answers while only old pods serve, and since the first new one does."""

    before: Answered | None = Field(
        None, description="While only old pods serve; default: as `new`."
    )
    new: OverTime[Answered] | None = Field(
        None, description="Since the first new pod is ready; default: as before."
    )


class SignalInput(Section):
    """What one signal would read. Which keys it needs follows from its measure in the policy.

    A value holds for all pods at all times; or it changes at times after the deploy,
    `{0s: 0.5%, 3m: 20%}`; or it differs `before` the deploy, on `old` pods and on `new` pods.
    """

    requests: Given[Requests, RequestsByGroup] | None = Field(
        None,
        description="Requests of all pods together, for a `ratio` or a `latency`: a rate, or a "
        "counter's values in promtool's notation, the first at the deploy. Every ready pod has its "
        "share of them.",
        examples=["40/s", "0+600x40", {"0s": "40/s", "5m": "4/s"}],
    )
    errors: Given[PartOf, PartByGroup] | None = Field(
        None,
        description="Failed requests, for a `ratio`: a share of the requests, a rate, or a series.",
        examples=["0.5%", {"before": "0.5%", "new": "20%"}],
    )
    slow: Given[PartOf, PartByGroup] | None = Field(
        None,
        description="Requests slower than the signal's `limit.below`, for a `latency` with a "
        "limit. The histogram then has that one bound.",
        examples=[{"before": "0.5%", "new": "4%"}],
    )
    buckets: (
        Annotated[
            Annotated[Buckets, Tag("<times>")] | Annotated[BucketsByGroup, Tag("<groups>")],
            Discriminator(_plain_or_groups),
        ]
        | None
    ) = Field(
        None,
        description="Instead of `slow`: the share of requests that took at most so many seconds, "
        "by bound. `+Inf` may be left out.",
        examples=[{"0.1": "90%", "0.5": "99%"}],
    )
    value: Given[Plain, PlainByGroup] | None = Field(
        None,
        description="The number, for a `value`.",
        examples=[10, "10x4 500x40", {"before": 10, "new": 500}],
    )
    answers: Given[Answered, AnswersByGroup] | None = Field(
        None,
        description="What the API answers, for the provider `http`: `ok`, `fail`, a status, or how "
        "long it takes; the signal's `expect` judges the last two.",
        examples=["ok", {"before": "ok", "new": 503}],
    )
