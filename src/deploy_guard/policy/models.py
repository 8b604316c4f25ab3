"""What a policy file may say: one class per mapping, one field per key.

Decides names, types, defaults and what contradicts itself. Does not read files (`load`) and does
not know positions: errors carry a path, which the loader turns into file:line:column. The
descriptions of the fields are the policy reference and the help in editors.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deploy_guard.policy.scalars import Duration, Percent


class Section(BaseModel):
    """A mapping in a policy: unknown keys are errors, values never change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SecretRef(Section):
    """Where a secret is found when it is needed; the secret itself never stands in a policy."""

    env: str | None = Field(None, description="Name of an environment variable.")
    file: str | None = Field(None, description="Path of a file, read anew for every use.")


class BasicAuth(Section):
    """HTTP basic authentication."""

    username: str = Field(description="User name.")
    password: SecretRef = Field(description="Where the password is found.")


class Tls(Section):
    """Certificates of a connection."""

    ca: str | None = Field(None, description="File of the certificate authority to trust.")
    cert: str | None = Field(None, description="File of the client certificate.")
    key: str | None = Field(None, description="File of the client certificate's key.")
    verify: bool = Field(True, description="Verify the server's certificate.")


class PrometheusConnection(Section):
    """How to reach Prometheus, or anything that speaks its HTTP API."""

    url: str | SecretRef = Field(
        description="Base URL, such as http://prometheus.monitoring:9090, or where it is found."
    )
    bearer: SecretRef | None = Field(None, description="Bearer token.")
    basic: BasicAuth | None = Field(None, description="User name and password.")
    tls: Tls = Field(default_factory=Tls, description="Own CA, client certificate.")
    headers: dict[str, str | SecretRef] = Field(
        default_factory=dict, description="Extra headers, such as X-Scope-OrgID for Mimir."
    )
    timeout: Duration = Field(10.0, description="Time for one request.")


class Watch(Section):
    """How long and how carefully to watch."""

    duration: Duration = Field(
        600.0, alias="for", description="How long to watch before the verdict can be healthy."
    )
    interval: Duration = Field(15.0, description="Time between two readings of a signal.")
    baseline: Duration = Field(3600.0, description="How much of the time before is the baseline.")
    warm_up: Duration = Field(
        30.0, description="First seconds of the deploy that comparisons leave out."
    )
    sensitivity: Percent = Field(
        0.01, description="Accepted chance of a false rollback per deploy, over all signals."
    )


class Rollback(Section):
    """What to do on a regression."""

    enabled: bool = Field(True, description="false: report the regression, change nothing.")
    timeout: Duration = Field(600.0, description="Time for the target revision to serve again.")
    verify: Duration = Field(
        120.0, description="How long to look at the signals after the rollback."
    )


class Compare(Section):
    """The smallest regression against the baseline that is worth acting on; both must hold."""

    ratio: float = Field(1.5, gt=1, description="Times the baseline.")
    difference: Percent = Field(0.0005, description="Percentage points above the baseline.")


class SignalBase(Section):
    """What all signals have."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", description="Unique name.")
    description: str = Field("", description="What it means when this signal is bad.")
    interval: Duration | None = Field(None, description="Instead of watch.interval.")
    optional: bool = Field(False, description="true: healthy does not need this signal's data.")


class Ratio(Section):
    """Two counters: failed requests and all requests."""

    errors: str = Field(description="Counter of failed requests.")
    requests: str = Field(description="Counter of all requests.")


class LatencyLimit(Section):
    """A share of the requests that has to be quick."""

    share: Percent = Field(0.99, description="Share of requests that must be quicker.")
    below: Duration = Field(description="Than this; best a bound of the histogram.")


class Metrics(SignalBase):
    """A signal made of metrics: exactly one of ratio, latency, value."""

    ratio: Ratio | None = Field(None, description="Share of requests that fail.")
    latency: str | None = Field(None, description="Histogram of durations, kept by `le`.")
    value: str | None = Field(None, description="A plain number.")
    limit: Percent | LatencyLimit | None = Field(
        None, description="Absolute limit: a percentage for ratio, {share, below} for latency."
    )
    above: float | None = Field(None, description="A value above this is bad.")
    below: float | None = Field(None, description="A value below this is bad.")
    hold: Duration = Field(
        60.0, alias="for", description="How long a value must stay bad without a break."
    )
    compare: bool | Compare = Field(
        default_factory=Compare, description="Compare with the baseline; false: limits only."
    )
    min_requests: int = Field(
        50, ge=1, description="Fewest requests of the candidate that can show it healthy."
    )


class PrometheusSignal(Metrics):
    """Metrics by PromQL."""

    provider: Literal["prometheus"] = Field(description="Reads PromQL over the HTTP API.")


class PodsSignal(Metrics):
    """Metrics read from the pods themselves; no metrics server is needed."""

    provider: Literal["pods"] = Field(description="Reads /metrics of every pod.")
    port: int | str = Field(description="Number or name of the container port.")
    path: str = Field("/metrics", description="Path of the metrics page.")
    via: Literal["proxy", "ip"] = Field(
        "proxy", description="Through the API server's pod proxy, or straight to the pod's IP."
    )


class JsonExpectation(Section):
    """A value inside the JSON answer."""

    path: str = Field(description="Keys joined by dots, list positions as numbers: data.0.state.")
    equals: str | int | float | bool | None = Field(description="The value it must have.")


class Expect(Section):
    """What a good answer of an API integration looks like."""

    status: list[int] = Field(default_factory=lambda: [200], description="Accepted statuses.")
    json_: JsonExpectation | None = Field(None, alias="json", description="Value in the answer.")
    latency: Duration | None = Field(None, description="Slower answers are failures.")
    tls_valid_for: Duration | None = Field(
        None, description="The certificate must be valid for at least so long."
    )


class HttpSignal(SignalBase):
    """The health of an API integration, probed over HTTP."""

    provider: Literal["http"] = Field(description="Calls an API and looks at the answer.")
    url: str = Field(description="What to call; template variables may be used.")
    method: Literal["GET", "HEAD", "POST", "PUT"] = Field("GET", description="HTTP method.")
    headers: dict[str, str | SecretRef] = Field(default_factory=dict, description="Headers.")
    body: str | None = Field(None, description="Body to send.")
    tls: Tls = Field(default_factory=Tls, description="Own CA, client certificate.")
    expect: Expect = Field(default_factory=Expect, description="What a good answer looks like.")
    failures: int = Field(3, ge=1, description="Consecutive failures before it counts as bad.")
    timeout: Duration = Field(5.0, description="Time for one call.")


class KubernetesSettings(Section):
    """What the cluster itself says of the candidate's pods; always on."""

    restarts: int = Field(2, ge=1, description="Restarts of candidate containers that are bad.")
    unready: Duration = Field(
        300.0, description="How long a candidate pod may stay unready before that is bad."
    )


Signal = Annotated[PrometheusSignal | PodsSignal | HttpSignal, Field(discriminator="provider")]


class Policy(Section):
    """A policy: what to watch after a deploy, and what to do when it hurts users."""

    version: Literal[1] = Field(description="Version of this format.")
    name: str = Field("", description="Shown in reports; default: the file's name.")
    description: str = Field("", description="For its readers.")
    watch: Watch = Field(default_factory=Watch, description="How long and how carefully.")
    rollback: Rollback = Field(default_factory=Rollback, description="What to do.")
    prometheus: PrometheusConnection | None = Field(None, description="The metrics server.")
    kubernetes: KubernetesSettings = Field(
        default_factory=KubernetesSettings, description="The cluster's own signs."
    )
    signals: list[Signal] = Field(default_factory=list, description="What to watch.")
