"""`guard check --target -o github|sarif|junit`: what a cluster adds to the problems of files."""

from __future__ import annotations

import json

import pytest

from check_live.shop import ERRORS, FROM_PROMETHEUS, Shop, at
from signals.web_server import Reply, WebServer

REFUSED = Reply(400, json.dumps({"status": "error", "errorType": "bad_data", "error": "unknown"}))


@pytest.mark.parametrize("form", ["github", "sarif", "junit"])
def test_a_refused_query_is_a_problem_in_every_form(shop: Shop, form: str) -> None:
    """It is marked at its line, and what else the cluster said is told on stderr."""
    with WebServer(lambda _: REFUSED) as server:
        shop.policy(at(server) + FROM_PROMETHEUS)
        done = shop.guard("--target", "deployment/web", "-o", form)
    assert done.returncode == 3
    sign = {"github": "::error file=", "sarif": '"ruleId": "refused-query"', "junit": ": error: "}
    assert done.stdout.count(sign[form]) == 2
    assert "the server refuses it" in done.stdout
    assert "if the watch ended now" not in done.stdout
    assert "web on deployment/web -n shop, now:" in done.stderr
    assert done.stderr.splitlines()[-1] == "1 file checked: 2 errors"


def test_missing_data_are_no_problem_of_a_file(shop: Shop) -> None:
    """A signal without data is told on stderr and by the exit code, 12, as in the text."""
    shop.policy(ERRORS.replace("requests: http_requests_total", "requests: absent_total"))
    done = shop.guard("--target", "deployment/web", "-o", "github")
    assert (done.returncode, done.stdout) == (12, "")
    assert "no data" in done.stderr
