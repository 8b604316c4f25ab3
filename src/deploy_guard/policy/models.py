"""What a policy file may say: one class per mapping, one field per key.

Decides names, types, defaults and what contradicts itself within one mapping. Does not read files
(`load`), does not know positions (errors carry a path, which `explain` turns into a place), and
leaves what makes no sense over several mappings to `rules`. The descriptions and examples of the
fields are the policy reference and the help in editors.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from deploy_guard.policy.promql import query_flaws
from deploy_guard.policy.scalars import (
    Bool,
    Duration,
    Integer,
    JsonScalar,
    Kind,
    Number,
    Percent,
    Port,
    PositiveDuration,
    fault,
    parse_integer,
)
from deploy_guard.policy.template import Flaw, flaws

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


def _refuse(found: list[Flaw]) -> None:
    """Raise one error that carries all flaws of a text."""
    if found:
        raise PydanticCustomError("flaws", "{text}", {"text": found[0].message, "flaws": found})


def _check_query(text: str) -> str:
    _refuse(query_flaws(text))
    return text


def _check_template(text: str) -> str:
    _refuse(flaws(text))
    return text


def _shape(value: Any) -> str:
    """Tell a mapping from a scalar, so that a union has one meaning and one error."""
    return "<mapping>" if isinstance(value, dict | BaseModel) else "<text>"


Query = Annotated[str, AfterValidator(_check_query), Kind("query")]
Template = Annotated[str, AfterValidator(_check_template), Kind("text with variables")]
Version = Annotated[Literal[1], BeforeValidator(parse_integer)]


class Section(BaseModel):
    """A mapping in a policy: unknown keys are errors, values never change once read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True
    )


class SecretRef(Section):
    """Where a secret is found when it is needed: exactly one of `env` and `file`."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["env"]}, {"required": ["file"]}]}
    )

    env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of an environment variable.",
        examples=["PROMETHEUS_TOKEN"],
    )
    file: str | None = Field(
        None,
        min_length=1,
        description="Path of a file, read anew for every use; blanks around it are cut.",
        examples=["/var/run/secrets/prometheus/token"],
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise fault("expected exactly one of 'env' and 'file'")
        return self


SecretOrText = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[SecretRef, Tag("<mapping>")], Discriminator(_shape)
]


class BasicAuth(Section):
    """HTTP basic authentication."""

    username: str = Field(min_length=1, description="User name.", examples=["guard"])
    password: SecretRef = Field(description="Where the password is found.")


class Tls(Section):
    """Certificates of a connection. Files are in PEM format."""

    ca: str | None = Field(
        None, description="File of the certificate authority to trust.", examples=["ca.pem"]
    )
    cert: str | None = Field(
        None, description="File of the client certificate.", examples=["client.pem"]
    )
    key: str | None = Field(
        None, description="File of the client certificate's key.", examples=["client.key"]
    )
    verify: Bool = Field(
        True, description="`false` accepts any server certificate: for experiments only."
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert is None) != (self.key is None):
            missing = "key" if self.key is None else "cert"
            raise fault(f"a client certificate needs '{missing}' too")
        return self


class PrometheusConnection(Section):
    """How to reach Prometheus, or anything that speaks its HTTP API.

    `--prometheus-url` on the command line replaces `url`.
    """

    url: SecretOrText = Field(
        description="Base URL, or where it is found.",
        examples=["http://prometheus.monitoring:9090", {"env": "PROMETHEUS_URL"}],
    )
    bearer: SecretRef | None = Field(None, description="Bearer token.")
    basic: BasicAuth | None = Field(None, description="User name and password.")
    tls: Tls = Field(default_factory=Tls, description="Own CA, client certificate.")
    headers: dict[str, SecretOrText] = Field(
        default_factory=dict,
        description="Extra headers; secret ones as `{env: NAME}` or `{file: PATH}`.",
        examples=[{"X-Scope-OrgID": "shop"}],
    )
    timeout: PositiveDuration = Field(10.0, description="Time for one request.")


class Watch(Section):
    """How long and how carefully to watch."""

    duration: PositiveDuration = Field(
        600.0,
        alias="for",
        description="How long to watch before the verdict can be healthy. A regression is told "
        "as soon as the evidence is there.",
    )
    interval: PositiveDuration = Field(15.0, description="Time between two readings of a signal.")
    baseline: PositiveDuration = Field(
        3600.0, description="How much of the time before the deploy is the baseline."
    )
    warm_up: Duration = Field(
        30.0,
        description="First seconds that comparisons leave out: of each new pod, from when it is "
        "ready, where a signal tells pods apart; else of the deploy.",
    )
    sensitivity: Percent = Field(
        0.01, description="Accepted chance of a false rollback per deploy, over all signals."
    )
    attribution: Bool = Field(
        True,
        description="Old pods that are as bad at the same time acquit the deploy. `false`: a "
        "regression is one, whoever's fault it is.",
    )
    late_regressions: Literal["outage", "any", "none"] = Field(
        "outage",
        description="What is held against the deploy of what begins when no old pod is left to "
        "compare with, after the new pods had been well next to them: an outage, `any` "
        "regression, or `none`. The rest is inconclusive.",
    )


class Rollback(Section):
    """What to do on a regression."""

    enabled: Bool = Field(
        True, description="`false`: report the regression (exit 11), change nothing."
    )
    timeout: PositiveDuration = Field(
        600.0, description="Time for the target revision to serve again."
    )
    verify: Duration = Field(
        120.0, description="How long to look at the signals after the rollback; `0s`: not at all."
    )
    max_age: PositiveDuration = Field(
        3600.0,
        description="A revision that was deployed longer ago, when the watch begins, is not taken "
        "back: it is not what hurts now, as when a pipeline ran again and changed nothing.",
    )
    fast: Bool = Field(
        False,
        description="All pods of the target revision at once: a Deployment's `maxSurge` is 100% "
        "while the rollback runs, and restored afterwards. Needs room for twice the pods.",
    )
    restore_config: Bool = Field(
        False,
        description="Restore the ConfigMaps and Secrets that the target revision ran with, from "
        "its snapshot, together with the template.",
    )
    owner: Literal["refuse", "suspend", "proceed"] = Field(
        "proceed",
        description="What to do when a GitOps tool owns the workload and may revert a rollback: "
        "`refuse` it, `suspend` the tool first, or `proceed` and say so.",
    )
    argocd_namespace: str = Field(
        "argocd",
        pattern=NAME_PATTERN,
        max_length=63,
        description="Where Argo CD's Applications are; for `owner: suspend`.",
    )


class Hold(Section):
    """A gate: the rollout is paused while only a part of the pods is new, and judged there.

    For Deployments. A pause ends by itself: the rollout is resumed or taken back.
    """

    at: Percent | None = Field(
        None,
        description="Pause the rollout when this share of the pods is new, rounded down, at least "
        "one pod; without it there is no gate.",
        examples=["25%"],
    )
    duration: PositiveDuration = Field(
        300.0,
        alias="for",
        description="How long to judge, at least, before the rest of the pods follows; every "
        "signal that is not optional has to be good then.",
    )
    on_suspicion: Bool = Field(
        False,
        description="Pause the rollout as soon as a signal is suspect; resume it when the "
        "suspicion is gone.",
    )
    without_evidence: Literal["resume", "take_back"] = Field(
        "resume",
        description="What follows when the rollout was held for as long as `watch.for`, and it is "
        "proven neither good nor bad.",
    )

    @property
    def wanted(self) -> bool:
        """Whether there is anything to pause a rollout for."""
        return self.at is not None or self.on_suspicion


class Compare(Section):
    """The smallest regression against the baseline that is worth acting on; both must hold."""

    ratio: Number = Field(1.5, gt=1, description="Times the baseline.")
    difference: Percent = Field(0.0005, description="Percentage points above the baseline.")


class SignalBase(Section):
    """What all signals have."""

    name: str = Field(
        pattern=NAME_PATTERN,
        max_length=63,
        description="Unique name, in small letters, digits and dashes.",
        examples=["http-errors"],
    )
    description: str = Field(
        "",
        description="What it means when this signal is bad; shown in the report.",
        examples=["Users get server errors."],
    )
    interval: PositiveDuration | None = Field(None, description="Instead of `watch.interval`.")
    optional: Bool = Field(
        False, description="`true`: the verdict can be healthy without this signal's data."
    )


class Ratio(Section):
    """Two counters: failed requests and all requests. No rate(): guard takes the increments."""

    errors: Query = Field(
        description="Counter of failed requests.",
        examples=['sum by (pod) (http_requests_total{pod=~"{{ pods }}", code=~"5.."})'],
    )
    requests: Query = Field(
        description="Counter of all requests, the failed ones among them.",
        examples=['sum by (pod) (http_requests_total{pod=~"{{ pods }}"})'],
    )


class LatencyLimit(Section):
    """A share of the requests that has to be quick."""

    share: Percent = Field(0.99, description="Share of requests that must be at most so slow.")
    below: PositiveDuration = Field(
        description="How slow; best a bound of the histogram.", examples=["500ms"]
    )


Limit = Annotated[
    Annotated[Percent, Tag("<text>")] | Annotated[LatencyLimit, Tag("<mapping>")],
    Discriminator(_shape),
]
Comparison = Annotated[
    Annotated[Bool, Tag("<text>")] | Annotated[Compare, Tag("<mapping>")], Discriminator(_shape)
]
_MEASURES: list[JsonValue] = [{"required": [key]} for key in ("ratio", "latency", "value")]


class Metrics(SignalBase):
    """A signal made of metrics: exactly one of ratio, latency, value."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _MEASURES})

    ratio: Ratio | None = Field(None, description="Share of requests that fail.")
    latency: Query | None = Field(
        None,
        description="Buckets of a histogram of durations in seconds; the label `le` must be kept.",
        examples=[
            "sum by (pod, le) "
            '(http_request_duration_seconds_bucket{namespace="{{ namespace }}", '
            'pod=~"{{ pods }}"})'
        ],
    )
    value: Query | None = Field(
        None,
        description="A plain number; needs `above`, `below`, or both.",
        examples=['max(queue_depth{namespace="{{ namespace }}"})'],
    )
    limit: Limit | None = Field(
        None,
        description="Worse than this is bad whatever the baseline says: a percentage for `ratio`, "
        "`{share, below}` for `latency`.",
        examples=["5%", {"share": "99%", "below": "500ms"}],
    )
    above: Number | None = Field(None, description="A `value` above this is bad.", examples=[100])
    below: Number | None = Field(None, description="A `value` below this is bad.", examples=[1])
    hold: Duration = Field(
        60.0, alias="for", description="How long a `value` must stay bad without a break."
    )
    compare: Comparison = Field(
        default_factory=Compare,
        description="Compare `ratio` or `latency` with the baseline; `false`: only the limit.",
    )
    min_requests: Integer = Field(
        50, ge=1, description="Fewest requests of the candidate that can show it healthy."
    )


class PrometheusSignal(Metrics):
    """Metrics by PromQL. Queries that keep the label `pod` tell new pods from old ones."""

    provider: Literal["prometheus"] = Field(description="Reads PromQL over the HTTP API.")


class PodsSignal(Metrics):
    """Metrics read from the pods themselves; no metrics server is needed.

    `errors`, `requests`, `latency` and `value` are selectors: `http_requests_total{code=~"5.."}`.
    """

    provider: Literal["pods"] = Field(description="Reads the metrics page of every pod.")
    port: Port = Field(description="Number or name of the container port.", examples=[8080])
    path: str = Field("/metrics", pattern="^/", description="Path of the metrics page.")
    via: Literal["proxy", "ip"] = Field(
        "proxy", description="Through the API server's pod proxy, or straight to the pod's IP."
    )


class JsonExpectation(Section):
    """A value inside the JSON answer."""

    path: str = Field(
        min_length=1,
        description="Keys joined by dots, list positions as numbers.",
        examples=["data.0.state"],
    )
    equals: JsonScalar = Field(
        description="The value it must have. Quoted, it is a text.", examples=["ready", True]
    )


Status = Annotated[
    Integer,
    Field(ge=100, le=599),
    WithJsonSchema({"type": "integer", "minimum": 100, "maximum": 599}),
]


class Expect(Section):
    """What a good answer of an API integration looks like."""

    status: list[Status] = Field(
        default_factory=lambda: [200], min_length=1, description="Accepted statuses."
    )
    json_: JsonExpectation | None = Field(None, alias="json", description="Value in the answer.")
    latency: PositiveDuration | None = Field(None, description="Slower answers are failures.")
    tls_valid_for: PositiveDuration | None = Field(
        None,
        description="The certificate must be valid for at least so long.",
        examples=["14d"],
    )


class HttpSignal(SignalBase):
    """The health of an API integration, probed over HTTP."""

    provider: Literal["http"] = Field(description="Calls an API and looks at the answer.")
    url: Template = Field(
        description="What to call; template variables may be used.",
        examples=["http://{{ name }}.{{ namespace }}.svc/healthz/payments"],
    )
    method: Literal["GET", "HEAD", "POST", "PUT"] = Field("GET", description="HTTP method.")
    headers: dict[str, SecretOrText] = Field(
        default_factory=dict,
        description="Headers; secret ones as `{env: NAME}` or `{file: PATH}`.",
        examples=[{"Authorization": {"env": "PAYMENTS_AUTHORIZATION"}}],
    )
    body: str | None = Field(None, description="Body to send.", examples=['{"amount": 0}'])
    tls: Tls = Field(default_factory=Tls, description="Own CA, client certificate.")
    expect: Expect = Field(default_factory=Expect, description="What a good answer looks like.")
    failures: Integer = Field(3, ge=1, description="Consecutive failures before it counts as bad.")
    timeout: PositiveDuration = Field(5.0, description="Time for one call.")


class KubernetesSettings(Section):
    """What the cluster itself says of the candidate's pods; always on."""

    restarts: Integer = Field(2, ge=1, description="Restarts of candidate containers that are bad.")
    unready: PositiveDuration = Field(
        300.0, description="How long a candidate pod may stay unready before that is bad."
    )


Signal = Annotated[PrometheusSignal | PodsSignal | HttpSignal, Field(discriminator="provider")]


class Policy(Section):
    """A policy: what to watch after a deploy, and what to do when it hurts users."""

    version: Version = Field(description="Version of this format.", examples=[1])
    name: str = Field(
        "", description="Shown in reports; default: the file's name.", examples=["checkout"]
    )
    description: str = Field(
        "", description="For its readers.", examples=["Do customers get their answers?"]
    )
    watch: Watch = Field(default_factory=Watch, description="How long and how carefully.")
    rollback: Rollback = Field(default_factory=Rollback, description="What to do.")
    hold: Hold = Field(
        default_factory=Hold, description="Whether to stop the rollout half way and judge there."
    )
    prometheus: PrometheusConnection | None = Field(
        None, description="The metrics server; needed by signals of the provider `prometheus`."
    )
    kubernetes: KubernetesSettings = Field(
        default_factory=KubernetesSettings, description="The cluster's own signs."
    )
    signals: list[Signal] = Field(default_factory=list, description="What to watch.")
