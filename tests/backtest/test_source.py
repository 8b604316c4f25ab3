"""Where the history of a target comes from: what is noted, counted, and asked."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from deploy_guard.backtest.command import Options, Source, backtest
from deploy_guard.backtest.model import Deploy
from deploy_guard.backtest.prometheus_source import history_source
from deploy_guard.backtest.reading import plan, with_series
from deploy_guard.backtest.show import show
from deploy_guard.errors import ExitCode
from deploy_guard.model import Target
from deploy_guard.policy.models import Policy
from signals.web_server import Reply, Request, WebServer

WEB = Target("deployment", "shop", "web")
DAY = 86400.0
END = 1.74e9
SPAN = (END - 30 * DAY, END)
ERRORS = {"provider": "prometheus", "name": "errors", "value": 'sum(x{pod=~"{{ pods }}"})'}
PROBE = {"provider": "http", "name": "payments", "url": "http://payments.example/healthz"}


def policy(url: str, *signals: dict[str, Any]) -> Policy:
    """Return a policy with these signals, else one of Prometheus."""
    chosen = signals or (ERRORS | {"above": 5},)
    prometheus = {"prometheus": {"url": url}} if url else {}
    return Policy.model_validate({"version": 1, **prometheus, "signals": [*chosen]})


def source(rules: Policy, deploys: list[Deploy], *, since: float | None = None) -> Source:
    """Return the history of these deploys with some ordinary days."""
    options = Options(ordinary=3, processes=1)
    return history_source(rules, WEB, deploys, options, span=SPAN, known_since=since, environ={})


def answering(*, series: bool = True, warning: str = "") -> Any:
    """Return what answers every query, with or without a series, and warns."""

    def answer(request: Request) -> Reply:
        form = {key: values[0] for key, values in parse_qs(request.body).items()}
        result: list[Any] = []
        if series and "step" in form:
            start, end, step = (float(form[key]) for key in ("start", "end", "step"))
            values = [[start + i * step, "1"] for i in range(round((end - start) / step) + 1)]
            result = [{"metric": {}, "values": values}]
        kind = "matrix" if "step" in form else "vector"
        found = {"status": "success", "data": {"resultType": kind, "result": result}}
        return Reply(body=json.dumps(found | ({"warnings": [warning]} if warning else {})))

    return answer


def test_what_the_server_warns_of_is_in_the_result() -> None:
    """Answers that are partial are told, once, however many there were."""
    with WebServer(answering(warning="a store did not answer")) as server:
        found = backtest(source(policy(server.url), []), Options(processes=1))
    assert len(found.ordinary) == 3
    notes = [note for note in found.notes if "warns" in note]
    assert notes == ["Prometheus warns: a store did not answer"]


def test_a_target_that_has_no_data_is_told_with_what_to_do() -> None:
    """Not that there is no room between deploys: the name or the namespace is wrong."""
    with WebServer(answering(series=False)) as server:
        found = backtest(source(policy(server.url), []), Options(processes=1))
    assert found.exit_code is ExitCode.INCONCLUSIVE
    [note] = [note for note in found.notes if "no data of deployment/web -n shop" in note]
    assert "guard check --target" in note
    assert "nothing: there is no deploy to judge" in show(found)


def test_a_policy_without_prometheus_has_nothing_to_judge() -> None:
    """Probes keep no history: that is told, and is no mistake in the arguments."""
    found = backtest(source(policy("", PROBE), [Deploy(END - DAY, "a")]), Options())
    assert found.exit_code is ExitCode.INCONCLUSIVE
    assert "no signal of the policy has a history" in show(found)


@pytest.mark.parametrize(
    ("since", "count", "origin"),
    [
        (float("-inf"), 5.0, "5 deploys in 30 d"),
        (END - 10 * DAY, 12.0, "4 deploys in 10 d"),
        (END - DAY / 2, 20.0, "assumed"),
        (None, 20.0, "assumed"),
    ],
)
def test_deploys_a_month_are_counted_since_all_are_known(
    since: float | None, count: float, origin: str
) -> None:
    """What the history limit took is not counted as days without a deploy."""
    first = END - 10 * DAY if since is None else max(since, END - 10 * DAY)
    deploys = [Deploy(first + i * (END - first) / 6, f"{i}") for i in range(5)]
    with WebServer(answering()) as server:
        found = backtest(source(policy(server.url), deploys, since=since), Options(processes=1))
    assert found.frequency.deploys == pytest.approx(count)
    assert origin in found.frequency.origin
    cut_off = any("no revision from before" in note for note in found.notes)
    assert cut_off == (since is not None and since > 0)


def test_a_server_that_does_not_say_how_many_series_there_are_is_asked_once() -> None:
    """The load is stated without that; reading will tell what is wrong."""
    with WebServer(lambda _: Reply(401, "no")) as server:
        rules = policy(
            server.url, ERRORS | {"above": 5}, ERRORS | {"name": "b", "value": "y", "above": 1}
        )
        made = plan(rules, WEB, [Deploy(END - DAY, "a")])
        assert with_series(made, rules, environ={}).points == made.points
        assert len(server.requests) == 1
