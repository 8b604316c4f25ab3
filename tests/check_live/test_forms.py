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


@pytest.mark.parametrize("form", ["github", "sarif", "junit"])
def test_a_callout_is_a_warning_at_its_signal(shop: Shop, form: str) -> None:
    """What cannot fire is shown at the line of the signal; only the exit code fails, with 12."""
    shop.policy(ERRORS.replace("requests: http_requests_total", "requests: absent_total"))
    done = shop.guard("--target", "deployment/web", "-o", form)
    assert done.returncode == 12
    sign = {
        "github": "::warning file=web.yaml,line=4,col=11,endColumn=17,"
        "title=deploy-guard%3A live-never-fires::web.yaml:4:11: errors: can never fire now: ",
        "sarif": '"ruleId": "live-never-fires"',
        "junit": "web.yaml:4:11: warning: errors: can never fire now: ",
    }
    assert sign[form] in done.stdout
    assert 'failures="1"' not in done.stdout
    assert "::error" not in done.stdout
    assert "no data" in done.stderr
    assert done.stderr.splitlines()[-1] == "1 file checked: no errors, 2 warnings"


def test_missing_data_without_a_callout_are_a_warning(shop: Shop) -> None:
    """A server that is away is told at the signal, with what to do, and by the exit code, 12."""
    shop.policy("prometheus: {url: 'http://127.0.0.1:1'}\n" + FROM_PROMETHEUS)
    done = shop.guard("--target", "deployment/web", "-o", "github")
    assert done.returncode == 12
    assert "title=deploy-guard%3A live-no-data::web.yaml:5:11: errors: no data: " in done.stdout
    assert "%0Ahelp: check the address, the network policy, tls.ca" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_an_optional_signal_without_data_is_no_warning(shop: Shop) -> None:
    """Its data may lack."""
    signal = FROM_PROMETHEUS.replace("    limit: 20%", "    limit: 20%\n    optional: true")
    shop.policy("prometheus: {url: 'http://127.0.0.1:1'}\n" + signal)
    done = shop.guard("--target", "deployment/web", "-o", "github")
    assert (done.returncode, done.stdout) == (0, "")
