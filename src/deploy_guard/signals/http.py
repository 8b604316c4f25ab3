"""Probes of an API integration: one call, and whether it answered as expected.

Decides what a good answer is. A peer that cannot be reached is a failed probe, for that is the
answer; no data means that guard itself could not ask, as when it cannot see the cluster either.
How many failures in a row count is decided by the detector.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from deploy_guard.model import NoData, NoDataReason, Probe, Reading, Sample, Workload
from deploy_guard.policy.template import TemplateError, render
from deploy_guard.signals.http_client import Answer, HttpClient
from deploy_guard.signals.http_failures import CallFailed, NotConfigured

if TYPE_CHECKING:
    from deploy_guard.policy.models import Expect, HttpSignal

_LONGEST_VALUE = 60


class HttpProbeSignal:
    """Calls an API and judges the answer, each time it is read."""

    def __init__(
        self,
        spec: HttpSignal,
        *,
        interval: float,
        variables: Callable[[Workload], Mapping[str, str]],
        environ: Mapping[str, str],
    ) -> None:
        self.warnings: tuple[str, ...] = ()
        self.name = spec.name
        self.interval = interval
        self._spec = spec
        self._variables = variables
        self._client = HttpClient(
            environ=environ, timeout=spec.timeout, tls=spec.tls, headers=spec.headers
        )
        self._last_read: float | None = None
        self._served: set[str] = set()

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def read(self, workload: Workload, now: float) -> list[Reading]:
        """Call once and return one sample with a Probe, or why guard could not call."""
        first = self._last_read is None
        seconds = 0.0 if self._last_read is None else now - self._last_read
        self._last_read = now
        try:
            probe = self._probe(workload, now)
        except NotConfigured as error:
            return [NoData(self.name, now, error.reason, error.detail)]
        except TemplateError as error:
            return [NoData(self.name, now, NoDataReason.REJECTED, error.message)]
        if self._speaks_of_candidate(workload, now, first=first):
            return [Sample(self.name, now, seconds, candidate=probe)]
        return [Sample(self.name, now, seconds, control=probe)]

    def _speaks_of_candidate(self, workload: Workload, now: float, *, first: bool) -> bool:
        """Tell whether the candidate could be the cause of what the probe saw.

        Not before one of its pods is ready, while old pods still serve; but when no pod is ready
        at all after the first look, the deploy took them away.
        """
        if now < workload.deployed_at:
            return False
        if workload.candidate in self._served:
            return True
        if any(pod.ready for pod in workload.candidates()):
            self._served.add(workload.candidate)
            return True
        return not first and not any(pod.ready for pod in workload.controls())

    def _probe(self, workload: Workload, now: float) -> Probe:
        spec = self._spec
        url = render(spec.url, self._variables(workload))
        try:
            answer = self._client.call(spec.method, url, body=spec.body)
        except NotConfigured:
            raise
        except CallFailed as error:
            if workload.blind:  # then guard's own network is the likelier cause
                words = f"{error.detail}, and the cluster cannot be seen either"
                raise NotConfigured(error.reason, words) from None
            took = spec.timeout if error.reason is NoDataReason.TIMEOUT else 0.0
            return Probe(False, took, error.detail)
        problems = list(_problems(spec.expect, answer, now))
        if spec.expect.tls_valid_for is not None and answer.certificate_ends is None:
            problems.append(_no_certificate(url, verify=spec.tls.verify))
        good = f"answered {answer.status} in {_milliseconds(answer.seconds)}"
        return Probe(not problems, answer.seconds, "; ".join(problems) or good)


def _problems(expect: Expect, answer: Answer, now: float) -> list[str]:
    """Return what is wrong with an answer; empty when it is good."""
    found = []
    if answer.status not in expect.status:
        wanted = " or ".join(str(status) for status in expect.status)
        text = f"expected status {wanted}, got {answer.status}"
        found.append(f"{text} to {answer.location}" if answer.location else text)
    elif expect.json_ is not None:
        problem = _json_problem(expect.json_.path, expect.json_.equals, answer)
        found += [problem] if problem else []
    if expect.latency is not None and answer.seconds > expect.latency:
        limit = _milliseconds(expect.latency)
        found.append(f"expected an answer within {limit}, took {_milliseconds(answer.seconds)}")
    ends = answer.certificate_ends
    if expect.tls_valid_for is not None and ends is not None and ends - now < expect.tls_valid_for:
        left, wanted = (ends - now) / 86400, f"{expect.tls_valid_for / 86400:.3g} days"
        found.append(f"expected a certificate valid for {wanted}, it ends in {left:.3g} days")
    return found


def _no_certificate(url: str, *, verify: bool) -> str:
    if url.startswith("https:") and not verify:
        return "expected a certificate, but tls.verify is false and so its end is not known"
    return "expected a certificate, but the connection has none"


def _json_problem(path: str, wanted: str | int | float | bool | None, answer: Answer) -> str:
    """Say what is wrong with the value at `path` of a JSON answer; empty when it is right."""
    if answer.cut:
        return f"expected JSON, the answer is larger than {len(answer.body)} bytes"
    try:
        value: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        return f"expected JSON, got {answer.kind or 'something else'}"
    for key in path.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return f"expected {path} in the answer, it is not there"
    same_kind = isinstance(value, bool) == isinstance(wanted, bool)  # in Python True equals 1
    if same_kind and value == wanted:
        return ""
    expected = json.dumps(wanted, ensure_ascii=False)
    return f"expected {path} to be {expected}, got {_short(value, answer)}"


def _short(value: object, answer: Answer) -> str:
    text = answer.hide(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
