"""What a test file may say: one class per mapping, one field per key.

Decides names, types, defaults and what contradicts itself within one mapping. What does not fit the
policy under test is found by `rules`. The descriptions and examples are the reference and the help
in editors.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

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

from deploy_guard.policy.models import Section, Version
from deploy_guard.policy.scalars import (
    DURATION_PATTERN,
    Duration,
    Integer,
    Kind,
    Percent,
    PositiveDuration,
    fault,
    parse_duration,
)
from deploy_guard.policy_tests.notation import (
    Amount,
    Answer,
    Expected,
    parse_answer,
    parse_bound,
    parse_expected,
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
    if isinstance(value, BaseModel):
        return "<groups>"
    grouped = isinstance(value, dict) and any(isinstance(item, dict) for item in value.values())
    return (
        "<groups>"
        if grouped or (isinstance(value, dict) and set(value) & set(GROUPS))
        else ("<times>")
    )


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
_text = WithJsonSchema({**_TEXT, "examples": ["40/s", "0+600x40"]})
Requests = Annotated[Amount, BeforeValidator(parse_requests), _text, Kind("rate or series")]
PartOf = Annotated[
    Amount,
    BeforeValidator(parse_part),
    WithJsonSchema({"type": "string", "examples": ["0.5%", "2/s", "0.5%x8 20%x31"]}),
    Kind("share, rate or series"),
]
Plain = Annotated[
    Amount,
    BeforeValidator(parse_value),
    WithJsonSchema({**_TEXT, "examples": [10, "10x4 500x40"]}),
    Kind("number or series"),
]
Answered = Annotated[
    Answer,
    BeforeValidator(parse_answer),
    WithJsonSchema({**_TEXT, "examples": ["ok", "fail", 503, "800ms"]}),
    Kind("answer"),
]
Bound = Annotated[str, AfterValidator(_bound), WithJsonSchema({"type": "string"})]
Buckets = Annotated[
    dict[Bound, Percent], Field(min_length=1), AfterValidator(_rising), Kind("shares by bound")
]

RequestsOverTime = Annotated[
    Annotated[Requests, Tag("<text>")]
    | Annotated[dict[Moment, Requests], AfterValidator(_nothing_twice), Tag("<times>")],
    Discriminator(_at_times),
]
PartOverTime = Annotated[
    Annotated[PartOf, Tag("<text>")]
    | Annotated[dict[Moment, PartOf], AfterValidator(_nothing_twice), Tag("<times>")],
    Discriminator(_at_times),
]
PlainOverTime = Annotated[
    Annotated[Plain, Tag("<text>")]
    | Annotated[dict[Moment, Plain], AfterValidator(_nothing_twice), Tag("<times>")],
    Discriminator(_at_times),
]
AnswerOverTime = Annotated[
    Annotated[Answered, Tag("<text>")]
    | Annotated[dict[Moment, Answered], AfterValidator(_nothing_twice), Tag("<times>")],
    Discriminator(_at_times),
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
    old: RequestsOverTime | None = Field(None, description=_OLD)
    new: RequestsOverTime | None = Field(None, description=_NEW)


class PartByGroup(ByGroup):
    """A part of the requests before the deploy, on old pods, on new pods."""

    before: PartOf | None = Field(None, description=_BEFORE)
    old: PartOverTime | None = Field(None, description=_OLD)
    new: PartOverTime | None = Field(None, description=_NEW)


class PlainByGroup(ByGroup):
    """A number before the deploy, on old pods, on new pods."""

    before: Plain | None = Field(None, description=_BEFORE)
    old: PlainOverTime | None = Field(None, description=_OLD)
    new: PlainOverTime | None = Field(None, description=_NEW)


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
    new: AnswerOverTime | None = Field(
        None, description="Since the first new pod is ready; default: as before."
    )


class SignalInput(Section):
    """What one signal would read. Which keys it needs follows from its measure in the policy.

    A value holds for all pods at all times; or it changes at times after the deploy,
    `{0s: 0.5%, 3m: 20%}`; or it differs `before` the deploy, on `old` pods and on `new` pods.
    """

    requests: (
        Annotated[
            Annotated[Requests, Tag("<text>")]
            | Annotated[dict[Moment, Requests], AfterValidator(_from_the_deploy), Tag("<times>")]
            | Annotated[RequestsByGroup, Tag("<groups>")],
            Discriminator(_shape),
        ]
        | None
    ) = Field(
        None,
        description="Requests of all pods together, for a `ratio` or a `latency`: a rate, or a "
        "counter's values in promtool's notation, the first at the deploy. Every ready pod has its "
        "share of them.",
        examples=["40/s", "0+600x40", {"0s": "40/s", "5m": "4/s"}],
    )
    errors: (
        Annotated[
            Annotated[PartOf, Tag("<text>")]
            | Annotated[dict[Moment, PartOf], AfterValidator(_from_the_deploy), Tag("<times>")]
            | Annotated[PartByGroup, Tag("<groups>")],
            Discriminator(_shape),
        ]
        | None
    ) = Field(
        None,
        description="Failed requests, for a `ratio`: a share of the requests, a rate, or a series.",
        examples=["0.5%", {"before": "0.5%", "new": "20%"}],
    )
    slow: (
        Annotated[
            Annotated[PartOf, Tag("<text>")]
            | Annotated[dict[Moment, PartOf], AfterValidator(_from_the_deploy), Tag("<times>")]
            | Annotated[PartByGroup, Tag("<groups>")],
            Discriminator(_shape),
        ]
        | None
    ) = Field(
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
    value: (
        Annotated[
            Annotated[Plain, Tag("<text>")]
            | Annotated[dict[Moment, Plain], AfterValidator(_from_the_deploy), Tag("<times>")]
            | Annotated[PlainByGroup, Tag("<groups>")],
            Discriminator(_shape),
        ]
        | None
    ) = Field(
        None,
        description="The number, for a `value`.",
        examples=[10, "10x4 500x40", {"before": 10, "new": 500}],
    )
    answers: (
        Annotated[
            Annotated[Answered, Tag("<text>")]
            | Annotated[dict[Moment, Answered], AfterValidator(_from_the_deploy), Tag("<times>")]
            | Annotated[AnswersByGroup, Tag("<groups>")],
            Discriminator(_shape),
        ]
        | None
    ) = Field(
        None,
        description="What the API answers, for the provider `http`: `ok`, `fail`, a status, or how "
        "long it takes; the signal's `expect` judges the last two.",
        examples=["ok", {"before": "ok", "new": 503}],
    )


OfReadings = Literal[
    "no data",
    "NaN",
    "slow",
    "unreachable",
    "timeout",
    "unauthorized",
    "rejected",
    "provider error",
    "no series",
    "several series",
    "not a number",
    "stale",
    "no pods",
    "missing metric",
]
OfPods = Literal[
    "crash",
    "restart",
    "unready",
    "unschedulable",
    "OOMKilled",
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PostStartHookError",
]
OF_PODS: tuple[str, ...] = get_args(OfPods)


class Fault(Section):
    """Something that goes wrong: with the readings of a signal, or with pods."""

    at: Duration = Field(0.0, description="When it begins, after the deploy.")
    duration: PositiveDuration | None = Field(
        None, alias="for", description="How long it lasts; default: to the end."
    )
    what: Literal[OfReadings, OfPods] = Field(
        description="Of readings: why there is no data, in the words of reports, or `slow`. "
        "Of pods: what the cluster says; `crash` is CrashLoopBackOff, `restart` one restart."
    )
    signal: str | None = Field(
        None,
        description="Whose readings; default: every signal's. `kubernetes`: the cluster cannot be "
        "seen.",
    )
    takes: PositiveDuration = Field(10.0, description="How long a `slow` reading takes.")
    pods: Integer | None = Field(None, ge=1, description="How many pods; default: all.")
    of: Literal["new", "old", "both"] = Field("new", description="Whose pods.")


class Expectation(Section):
    """What the case has to end with."""

    verdict: Literal["healthy", "regressed", "inconclusive", "no data"] = Field(
        description="The verdict."
    )
    after: Duration | None = Field(
        None, description="Not sooner than this after the deploy; for `regressed`."
    )
    by: Duration | None = Field(
        None, description="At the latest so long after the deploy; for `regressed`."
    )
    signal: str | None = Field(
        None, description="The signal that is held against the deploy; for `regressed`."
    )
    reason: str | None = Field(
        None, min_length=1, description="Words that the reason of the verdict contains."
    )

    @model_validator(mode="after")
    def _times(self) -> Self:
        only = [key for key in ("after", "by", "signal") if getattr(self, key) is not None]
        if only and self.verdict != "regressed":
            raise fault(f"'{only[0]}' is for regressed: other verdicts come at the end of a watch")
        if self.after is not None and self.by is not None and self.after > self.by:
            raise fault("'after' is later than 'by'")
        return self


def _expectation(text: object) -> object:
    """Read an expectation's short form."""
    if not isinstance(text, str):
        return text
    found: Expected = parse_expected(text)
    return Expectation.model_validate(
        {
            "verdict": found.verdict,
            "after": found.after,
            "by": found.by,
            "signal": found.signal,
        }
    )


_EXPECT_PATTERN = (
    r"^(healthy|inconclusive|no data|regressed( after \S+)?( by \S+)?( \([^()\s]+\))?)$"
)
Expect = Annotated[
    Annotated[
        Expectation,
        BeforeValidator(_expectation),
        WithJsonSchema({"type": "string", "pattern": _EXPECT_PATTERN}),
        Tag("<text>"),
    ]
    | Annotated[Expectation, Tag("<mapping>")],
    Discriminator(lambda v: "<text>" if not isinstance(v, dict | BaseModel) else "<mapping>"),
]


ValueText = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]}), Kind("text")]
ValueName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


class Setting(Section):
    """What cases may share: the deploy, and what signals read."""

    pods: Integer | None = Field(None, ge=1, le=500, description="Pods of the workload; default 4.")
    rollout: Duration | None = Field(
        None,
        description="How long the rollout takes: pods are replaced one after the other; default "
        "30s.",
    )
    interval: PositiveDuration | None = Field(
        None,
        description="Time between two values of a series; default: the signal's own interval.",
    )
    baseline: Duration | None = Field(
        None,
        description="How far back the metrics server's history goes, where that is less than the "
        "policy's `watch.baseline`; `0s`: there is none.",
    )
    noise: Literal["none", "poisson"] | None = Field(
        None,
        description="`poisson`: requests and failures come by chance, drawn with `seed`; default "
        "`none`: as evenly as whole numbers can be.",
    )
    seed: Integer | None = Field(None, description="Another seed draws other counts; default 0.")
    values: dict[ValueName, ValueText] = Field(
        default_factory=dict,
        description="Values that the policy declares; `--set` and `--values` win over them.",
        examples=[{"error_limit": "5%"}],
    )
    signals: dict[str, SignalInput] = Field(
        default_factory=dict, description="What each signal of the policy reads, by its name."
    )


class Case(Setting):
    """One deploy that did not happen, and what has to come of it.

    Keys that `defaults` has, too, replace those; of signals, key by key.
    """

    name: str = Field(
        min_length=1,
        max_length=200,
        description="What it shows, in words.",
        examples=["a jump to 20 % is taken back within 90 s"],
    )
    faults: list[Fault] = Field(default_factory=list, description="What goes wrong.")
    expect: Expect = Field(
        description="What it has to end with: `healthy`, `inconclusive`, `no data`, or `regressed` "
        "with `after`, `by` and the signal, each where it matters.",
        examples=["healthy", "regressed by 90s", "regressed after 30s by 90s (http-errors)"],
    )


class PolicyTests(Section):
    """A file of tests: which policy, and the cases."""

    version: Version = Field(description="Version of this format.", examples=[1])
    policy: str | None = Field(
        None,
        min_length=1,
        description="The policy's file, beside this one; default: NAME.yaml for NAME.test.yaml.",
        examples=["http-errors.yaml"],
    )
    policies: list[str] = Field(
        default_factory=list,
        description="Several files that are watched together, instead of `policy`.",
    )
    defaults: Setting = Field(default_factory=Setting, description="What the cases share.")
    cases: list[Case] = Field(min_length=1, description="The tests.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.policy is not None and self.policies:
            raise fault("expected either 'policy' or 'policies', not both")
        return self
