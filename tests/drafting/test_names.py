"""The lists of names that Prometheus' API gives: asked for within a time, bounded, checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy_guard.model import NoDataReason
from deploy_guard.policy.models import PrometheusConnection
from deploy_guard.signals.http_failures import CallFailed
from deploy_guard.signals.prometheus_api import MOST_NAMES, PrometheusApi
from signals.web_server import Reply, WebServer


@contextmanager
def api(server: WebServer) -> Iterator[PrometheusApi]:
    """Connect to a server."""
    found = PrometheusApi(PrometheusConnection(url=server.url), environ={})
    try:
        yield found
    finally:
        found.close()


def names(data: object) -> Reply:
    """Answer with a list of names, or what stands in its place."""
    return Reply(body=json.dumps({"status": "success", "data": data}))


def test_names_are_asked_for_by_get_with_the_selector_and_the_time() -> None:
    """Servers know no POST for the values of a label."""
    with WebServer(lambda _: names(["b", "a"])) as server, api(server) as asked:
        found = asked.label_values("__name__", match='{pod="x"}', start=1, end=2, seconds=5)
        assert found == ("a", "b")
        assert asked.label_names(match="up", start=1, end=2, seconds=5) == ("a", "b")
        first, second = server.requests
    assert (first.method, urlsplit(first.path).path) == ("GET", "/api/v1/label/__name__/values")
    asked_for = parse_qs(urlsplit(first.path).query)
    assert asked_for["match[]"] == ['{pod="x"}']
    assert (asked_for["start"], asked_for["end"]) == (["1.000"], ["2.000"])
    assert urlsplit(second.path).path == "/api/v1/labels"


def test_a_server_that_has_none_may_answer_null_and_one_with_many_is_cut() -> None:
    """Neither is an error."""
    replies = [names(None), names([f"n{number}" for number in range(MOST_NAMES + 5)])]
    with WebServer(lambda _: replies.pop(0)) as server, api(server) as asked:
        assert asked.label_names(match="up", start=1, end=2, seconds=5) == ()
        assert len(asked.label_names(match="up", start=1, end=2, seconds=5)) == MOST_NAMES


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (names({"a": 1}), NoDataReason.PROVIDER_ERROR),
        (names([1]), NoDataReason.PROVIDER_ERROR),
        (Reply(body="[]"), NoDataReason.PROVIDER_ERROR),
        (Reply(401), NoDataReason.UNAUTHORIZED),
        (
            Reply(400, '{"status":"error","errorType":"bad_data","error":"x"}'),
            NoDataReason.REJECTED,
        ),
    ],
)
def test_an_answer_that_is_no_list_of_names_is_a_failure(
    reply: Reply, reason: NoDataReason
) -> None:
    """With the reason, as for queries."""
    with WebServer(lambda _: reply) as server, api(server) as asked, pytest.raises(CallFailed) as e:
        asked.label_names(match="up", start=1, end=2, seconds=5)
    assert e.value.reason is reason
