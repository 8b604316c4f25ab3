"""What a test file may say: one class per mapping, one field per key.

Decides names, types, defaults and what contradicts itself within one mapping. What signals read is
in `inputs`; what does not fit the policy under test is found by `rules`. The descriptions and
examples are the reference and the help in editors.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from deploy_guard.model import KUBERNETES
from deploy_guard.policy.models import Section, Version
from deploy_guard.policy.scalars import (
    DURATION_PATTERN,
    Duration,
    Integer,
    Kind,
    PositiveDuration,
    fault,
    parse_integer,
)
from deploy_guard.policy_tests.inputs import SignalInput
from deploy_guard.policy_tests.notation import Expected, parse_expected

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
Pods = Annotated[  # the range comes first: pydantic then tells editors of it, too
    int, Field(ge=1, le=500), BeforeValidator(parse_integer), Kind("whole number")
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
        examples=["http-errors", KUBERNETES],
    )
    takes: PositiveDuration = Field(10.0, description="How long a `slow` reading takes.")
    pods: Pods | None = Field(None, description="How many pods; default: all.", examples=[1])
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
        None,
        description="The signal that is held against the deploy; for `regressed`.",
        examples=["http-errors", KUBERNETES],
    )
    reason: str | None = Field(
        None,
        min_length=1,
        description="Words that the reason of the verdict contains.",
        examples=["not the deploy"],
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


_TIME = DURATION_PATTERN.strip("^$")
_EXPECT_PATTERN = (
    rf"^(healthy|inconclusive|no data|regressed( after {_TIME})?( by {_TIME})?( \([^()\s]+\))?)$"
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

    pods: Pods | None = Field(None, description="Pods of the workload; default 4.", examples=[4])
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
    seed: Integer | None = Field(
        None, description="Another seed draws other counts; default 0.", examples=[1]
    )
    values: dict[ValueName, ValueText] = Field(
        default_factory=dict,
        description="Values that the policy declares; `--set` and `--values` win over them.",
        examples=[{"error_limit": "5%"}],
    )
    signals: dict[str, SignalInput] = Field(
        default_factory=dict,
        description="What each signal of the policy reads, by its name.",
        examples=[{"http-errors": {"requests": "40/s", "errors": "0.5%"}}],
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
    faults: list[Fault] = Field(
        default_factory=list,
        description="What goes wrong.",
        examples=[[{"at": "2m", "for": "1m", "signal": "http-errors", "what": "timeout"}]],
    )
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
        examples=[["http-errors.yaml", "latency.yaml"]],
    )
    defaults: Setting = Field(default_factory=Setting, description="What the cases share.")
    cases: list[Case] = Field(min_length=1, description="The tests.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.policy is not None and self.policies:
            raise fault("expected either 'policy' or 'policies', not both")
        return self
