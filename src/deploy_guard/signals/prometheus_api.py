"""Prometheus' HTTP API: two queries, two lists of names, and every way in which they can fail.

Decides which failure is whose: the network's, the credentials', the query's or the server's.
Speaks to Prometheus, VictoriaMetrics, Thanos and Mimir alike. What the numbers mean is not
decided here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from deploy_guard.model import NoDataReason
from deploy_guard.signals.credentials import resolve
from deploy_guard.signals.http_client import Answer, HttpClient
from deploy_guard.signals.http_failures import CallFailed, public_host

if TYPE_CHECKING:
    from deploy_guard.policy.models import PrometheusConnection

LARGEST_ANSWER = 64 << 20  # bytes; a baseline of many pods and buckets is some megabytes
MOST_NAMES = 10_000  # of metrics or labels; a workload has some hundreds
_LONGEST_ERROR = 300


@dataclass(frozen=True, slots=True)
class PromSeries:
    """One series of a result: pairs of Unix seconds and value; one pair in an instant query."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """The series of a result, and what the server warns of (partial answers, odd queries)."""

    series: tuple[PromSeries, ...]
    warnings: tuple[str, ...] = ()


class BadQuery(CallFailed):
    """The query itself is at fault, not the way to the server; `error` has the server's words."""

    def __init__(self, detail: str, error: str = "") -> None:
        super().__init__(NoDataReason.REJECTED, detail)
        self.error = error or detail


class Asked(Protocol):
    """What a signal asks: a server, or what is kept of its answers.

    `timeout` is in seconds; `clock` the server's time, None when it is not known.
    """

    timeout: float
    clock: float | None

    def instant(self, query: str, *, at: float, seconds: float) -> Result:
        """Return the value of each series at a moment; raises CallFailed."""
        ...

    def range(self, query: str, *, start: float, end: float, step: float, seconds: float) -> Result:
        """Return the values of each series from `start` to `end`; raises CallFailed."""
        ...


class PrometheusApi:
    """Asks one server; raises CallFailed with a reason for everything that goes wrong."""

    def __init__(self, connection: PrometheusConnection, *, environ: Mapping[str, str]) -> None:
        self._connection = connection
        self._environ = environ
        self._post = True
        self._client = HttpClient(
            environ=environ,
            timeout=connection.timeout,
            tls=connection.tls,
            headers=connection.headers,
            bearer=connection.bearer,
            basic=connection.basic,
            largest=LARGEST_ANSWER,
        )
        self.timeout = connection.timeout
        self.clock: float | None = None  # Unix seconds by the Date of the latest answer

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def instant(self, query: str, *, at: float, seconds: float) -> Result:
        """Return the value of each series at a moment (Unix seconds), within `seconds`."""
        return self._ask("query", {"query": query, "time": f"{at:.3f}"}, seconds)

    def range(self, query: str, *, start: float, end: float, step: float, seconds: float) -> Result:
        """Return the values of each series on the grid start, start + step, ... up to end."""
        form = {
            "query": query,
            "start": f"{start:.3f}",
            "end": f"{end:.3f}",
            "step": f"{step:.3f}",
        }
        return self._ask("query_range", form, seconds)

    def label_names(
        self, *, match: str, start: float, end: float, seconds: float
    ) -> tuple[str, ...]:
        """Return the names of the labels of the series that a selector finds in a time, sorted."""
        return self._names("labels", match, start, end, seconds)

    def label_values(
        self, label: str, *, match: str, start: float, end: float, seconds: float
    ) -> tuple[str, ...]:
        """Return the values of a label among the series that a selector finds in a time, sorted.

        At most MOST_NAMES. Those of ``__name__`` are the names of the metrics.
        """
        return self._names(f"label/{label}/values", match, start, end, seconds)

    def _names(
        self, what: str, match: str, start: float, end: float, seconds: float
    ) -> tuple[str, ...]:
        """Ask for a list of names; by GET, which every server knows here."""
        form = {"match[]": match, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        url = self._url(what, seconds)
        answer = self._client.call(
            "GET", url, query={**form, "limit": str(MOST_NAMES)}, seconds=seconds
        )
        self.clock = _date(answer.headers.get("date", "")) or self.clock
        return _names(answer, public_host(url))

    def _ask(self, what: str, form: Mapping[str, str], seconds: float) -> Result:
        url = self._url(what, seconds)
        form = {**form, "timeout": f"{seconds:.3f}"}  # seconds; a unit allows no fraction
        if self._post:
            answer = self._client.call("POST", url, form=form, seconds=seconds)
            self._post = answer.status != 405
        if not self._post:
            answer = self._client.call("GET", url, query=form, seconds=seconds)
        self.clock = _date(answer.headers.get("date", "")) or self.clock
        return _read(answer, public_host(url), ranged=what == "query_range")

    def _url(self, what: str, seconds: float) -> str:
        if seconds <= 0:
            raise CallFailed(NoDataReason.TIMEOUT, f"no answer within {self.timeout:g} s")
        base = self._connection.url
        base = base if isinstance(base, str) else resolve(base, self._environ)
        return f"{base.rstrip('/')}/api/v1/{what}"


def _date(header: str) -> float | None:
    try:
        return parsedate_to_datetime(header).timestamp() + 0.5  # whole seconds, cut off
    except ValueError:
        return None


def _read(answer: Answer, host: str, *, ranged: bool) -> Result:
    """Return the result of an answer; raise CallFailed for any other."""
    document = _document(answer)
    if answer.status != 200 or document is None or document.get("status") != "success":
        raise _failure(answer, document, host)
    data = document.get("data")
    if not isinstance(data, dict):
        raise CallFailed(NoDataReason.PROVIDER_ERROR, f"{host} answers without data")
    notes = [*(document.get("warnings") or ()), *(document.get("infos") or ())]
    warnings = tuple(_short(answer.hide(str(note))) for note in notes)
    try:
        return Result(_series(data, ranged=ranged), warnings)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        text = f"the result of {host} has an unknown form"
        raise CallFailed(NoDataReason.PROVIDER_ERROR, text) from None


def _names(answer: Answer, host: str) -> tuple[str, ...]:
    """Return the list of names of an answer; raise CallFailed for any other."""
    document = _document(answer)
    if answer.status != 200 or document is None or document.get("status") != "success":
        raise _failure(answer, document, host)
    names = document.get("data") or []  # some servers write null for none
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        text = f"the list of names of {host} has an unknown form"
        raise CallFailed(NoDataReason.PROVIDER_ERROR, text)
    return tuple(sorted(names)[:MOST_NAMES])


def _document(answer: Answer) -> dict[str, Any] | None:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _series(data: Mapping[str, Any], *, ranged: bool) -> tuple[PromSeries, ...]:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return (PromSeries({}, (_point(result),)),)
    if kind == "string":
        raise CallFailed(NoDataReason.NOT_A_NUMBER, "the query gives a text, not a number")
    if kind == "matrix" and not ranged:
        text = "the query gives a range of values (a range vector), not one number a series"
        raise BadQuery(text)
    if kind != ("matrix" if ranged else "vector"):
        raise ValueError(kind)
    found = []
    result.reverse()
    while result:  # a baseline of many pods is large: each series is let go once it is read
        item = result.pop()
        if "histogram" in item or "histograms" in item:
            text = "the query gives native histograms; classic buckets with the label le are needed"
            raise BadQuery(text)
        points = item["values"] if ranged else [item["value"]]
        found.append(PromSeries(item["metric"], tuple(_point(point) for point in points)))
    return tuple(found)


def _point(point: Any) -> tuple[float, float]:
    moment, value = point
    return float(moment), float(value)  # float() knows NaN, +Inf and -Inf


def _failure(answer: Answer, document: Mapping[str, Any] | None, host: str) -> CallFailed:
    """Sort an answer that is no result; the error's text is Prometheus' own where there is one."""
    status = answer.status
    kind = _short(answer.hide(str((document or {}).get("errorType") or "")))
    error = _short(answer.hide(str((document or {}).get("error") or "")))
    said = ": ".join(part for part in (kind, error) if part)
    if status in (401, 403):
        text = f"{host} answers {status}: the credentials are missing, wrong or not enough"
        return CallFailed(NoDataReason.UNAUTHORIZED, text)
    if 300 <= status < 400:
        text = f"{host} redirects to {answer.location or 'nowhere'}; use the API's own address"
        return CallFailed(NoDataReason.REJECTED, text)
    if kind in ("timeout", "canceled"):
        return CallFailed(NoDataReason.TIMEOUT, f"{host} gave up: {said}")
    if status == 429:
        return CallFailed(NoDataReason.PROVIDER_ERROR, f"{host} answers 429: too many requests")
    if status >= 500:
        text = f"{host} answers {status}" + (f": {said}" if said else "")
        return CallFailed(NoDataReason.PROVIDER_ERROR, text)
    if status == 404 and not said:
        text = f"{host} answers 404: no Prometheus API there; check the URL's path"
        return CallFailed(NoDataReason.REJECTED, text)
    if status >= 400:
        text = f"{host} refuses the query ({status})" + (f": {said}" if said else "")
        if kind and status in (400, 422):  # Prometheus' words for a query, by its own error type
            return BadQuery(text, error)
        return CallFailed(NoDataReason.REJECTED, text)
    if document is None:
        return CallFailed(NoDataReason.PROVIDER_ERROR, _no_json(answer, host))
    text = f"{host} reports an error" + (f": {said}" if said else "")
    if kind in ("bad_data", "execution"):
        return BadQuery(text, error)
    return CallFailed(NoDataReason.PROVIDER_ERROR, text)


def _no_json(answer: Answer, host: str) -> str:
    if answer.cut:
        return f"the answer of {host} is larger than {len(answer.body) >> 20} MiB"
    kind = answer.kind or "something else"
    hint = "; is it a login page?" if kind == "text/html" else ""
    return f"{host} answers {kind} where JSON is expected{hint}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_ERROR else line[: _LONGEST_ERROR - 1] + "…"
