"""The table and the text of a live check: every width, no terminal obeyed, no secret shown."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from dataclasses import replace

import pytest

from check_live.shop import ERRORS, FROM_PROMETHEUS, GUARD, Shop, at, result
from deploy_guard.check_live import LiveReport
from deploy_guard.check_live.document import document
from deploy_guard.check_live.report import SignalReport
from deploy_guard.check_live.show import show
from deploy_guard.check_live.table import FIRST_TO_GO, HEADS, table
from deploy_guard.outputs import format as fmt
from signals.web_server import Reply, Request, WebServer

SEVERAL = (
    ERRORS.replace("limit: 20%", "limit: 20%\n    min_requests: 1000000")
    + """\
  - name: a-signal-with-quite-a-long-name-that-goes-on
    provider: pods
    port: http
    value: open_payments
    above: 100000
    for: 5s
  - name: payments
    provider: http
    url: http://127.0.0.1:1/health
    failures: 5
"""
)


@pytest.fixture
def report(shop: Shop) -> LiveReport:
    """Return the report of a policy with several kinds of signals."""
    shop.serve(200)
    return shop.check(SEVERAL)


def words(rows: list[list[tuple[str, str]]]) -> list[str]:
    """Return the rows of a table without their styles."""
    return ["".join(piece for piece, _ in row) for row in rows]


def test_every_width_has_a_table_and_no_line_is_wider(report: LiveReport) -> None:
    """Columns go where there is no room; the signal, its finding and what fires never do."""
    for width in (40, 60, 80, 100, 132, 200):
        lines = show(report, width=width).splitlines()
        too_wide = [line for line in lines if fmt.cells(line) > width]
        assert too_wide == [], width
        head, *rows = words(table(report.signals, pods=3, width=width))
        assert {"signal", "finding", "newest", "now"} <= set(head.split()), width
        assert head.endswith("fires at")
        assert len(rows) == len(report.signals) == 4
        assert head in show(report, width=width)
    assert [h for h in HEADS if h not in words(table(report.signals, pods=3, width=60))[0]]
    assert all(h in words(table(report.signals, pods=3, width=132))[0] for h in FIRST_TO_GO)


def test_the_row_of_a_signal_says_what_it_reads_and_when_it_fires(report: LiveReport) -> None:
    """Pods that are read are counted; what is read at the source is as new as now."""
    rows = words(table(report.signals, pods=3, width=100))
    errors = next(row for row in rows if row.startswith("errors"))
    assert re.search(r" 3/3 +now +0 % +– at most 20 % ≥ \d\d %$", errors), errors
    payments = next(row for row in rows if row.startswith("payments"))
    assert re.search(r" – +now +fails +– +– never$", payments), payments


def test_colours_are_only_styles(report: LiveReport) -> None:
    """With the styles taken away, the text is that without colours."""
    coloured = show(report, colour=True)
    assert "\x1b[1m" in coloured
    assert re.sub(r"\x1b\[\d*m", "", coloured) == show(report)


def test_callouts_and_notes_stand_before_the_verdict(report: LiveReport) -> None:
    """Too little traffic and the API that fails are called out, in text and in JSON alike."""
    text, live = show(report, width=1000), document(report)
    kinds = {(c["kind"], c["signal"]) for c in live["callouts"]}
    assert kinds == {("too_little", "errors"), ("never_fires", "payments")}
    for callout in live["callouts"]:
        line = f"! {callout['signal']}: {callout['text']}"
        assert text.index(line) < text.index("if the watch ended now: ")


def test_a_hostile_server_moves_no_cursor(shop: Shop) -> None:
    """Escape sequences in labels, warnings and errors are harmless in the text."""
    evil = "\x1b[2J\x1b]0;owned\x07\r\n::error::x"

    def answer(request: Request) -> Reply:
        if "query_range" in request.path:
            body = {"status": "error", "errorType": "internal", "error": evil}
            return Reply(status=503, body=json.dumps(body))
        reply = result("vector", {"metric": {"pod": evil}, "value": [0, "1"]})
        return replace(reply, body=reply.body[:-1] + f', "warnings": [{json.dumps(evil)}]}}')

    with WebServer(answer) as server:
        found = shop.check(at(server) + FROM_PROMETHEUS)
    text = show(found)
    assert "::error::x" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert "could not be read" in text
    json.dumps(document(found))


def test_no_secret_is_shown(shop: Shop) -> None:
    """Neither the token nor what a reference holds is in the text or in the document."""
    shop.environ = {"TOKEN": "hunter2-hunter2", "TENANT": "tenant-4711"}
    with WebServer(lambda request: Reply(status=400, body="hunter2-hunter2")) as server:
        connection = (
            f"prometheus: {{url: {server.url}, bearer: {{env: TOKEN}}, "
            "headers: {X-Scope-OrgID: {env: TENANT}}}\n"
        )
        found = shop.check(connection + FROM_PROMETHEUS)
        assert any("hunter2" in str(request.headers) for request in server.requests)
    for told in (show(found), json.dumps(document(found))):
        assert "hunter2" not in told
        assert "tenant-4711" not in told


def test_a_very_long_query_is_wrapped(shop: Shop) -> None:
    """A selector without a blank, of more than a screen's width, is broken into lines."""
    long = "|".join(f"/api/v1/resource{n}" for n in range(60))
    text = FROM_PROMETHEUS.replace('code=~"5.."', f'code=~"5..", path=~"{long}"')
    with WebServer(lambda _: result("vector")) as server:
        found = shop.check(at(server) + text)
    shown = show(found, width=80)
    assert max(fmt.cells(line) for line in shown.splitlines()) <= 80
    assert "resource59" in re.sub(r"\s", "", shown)


def test_the_document_has_all_of_the_table(report: LiveReport) -> None:
    """Age, present number, thresholds and times stand in JSON as numbers."""
    signals = {s["name"]: s for s in document(report)["signals"]}
    assert signals["kubernetes"]["fires"] is None
    errors: dict[str, object] = signals["errors"]
    assert errors["newest"] == {"age_seconds": 0.0, "gone": False}
    assert isinstance(errors["now"], dict)
    assert errors["now"]["value"] == 0
    assert errors["now"]["requests_per_second"] > 0
    fires = errors["fires"]
    assert isinstance(fires, dict)
    assert fires["measure"] == "ratio"
    assert fires["never"] is None
    (threshold,) = fires["thresholds"]
    assert threshold["direction"] == "above"
    assert 0.2 < threshold["at"] < 1
    assert 0 < threshold["after_seconds"] <= fires["within_seconds"] == 600
    assert fires["examples"][-1]["at"] == 1.0
    payments = signals["payments"]["fires"]
    assert payments["thresholds"] == []
    assert payments["never"].startswith("the call fails already")
    json.dumps(document(report), allow_nan=False)


def test_a_policy_that_would_fire_now_is_called_out(shop: Shop) -> None:
    """What runs now is beyond the limit: said of it, and the exit code stays 0."""
    shop.release(3, ERROR_RATIO="0.5")
    shop.serve(300)
    found = shop.check(ERRORS)
    (callout,) = found.callouts
    assert callout.kind == "fires_now"
    assert callout.text.startswith("would condemn what runs now: errors ")
    assert found.exit_code == 0


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_it_is_as_wide_as_that(shop: Shop, columns: int) -> None:
    """The terminal's own width counts, and it gets colours."""
    shop.serve(100)
    shop.policy(SEVERAL)
    screen = _on_terminal(shop, columns)
    assert "\x1b[2msignal" in screen
    plain = re.sub(r"\x1b\[\d*m", "", screen)
    lines = plain.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("web on deployment/web"))
    widths = [fmt.cells(line) for line in lines[begin:]]
    assert columns - 20 < max(widths) <= columns


def _on_terminal(shop: Shop, columns: int) -> str:
    """Run the command with a terminal of this width; return all that it wrote."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environ = {k: v for k, v in os.environ.items() if k not in ("CI", "NO_COLOR", "COLUMNS")}
    command = [*GUARD, "--target", "deployment/web", "--kubeconfig", str(shop.kubeconfig)]
    process = subprocess.Popen(
        command, cwd=shop.folder, stdout=theirs, env=environ | {"TERM": "xterm-256color"}
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 4096):
            written += chunk
    except OSError:  # the other end was closed
        pass
    finally:
        os.close(ours)
        process.wait(60)
    return written.decode().replace("\r\n", "\n")


def signal(report: LiveReport, name: str) -> SignalReport:
    """Return one signal of a report."""
    return next(s for s in report.signals if s.summary.name == name)


def test_without_a_number_there_is_a_dash(shop: Shop) -> None:
    """A server that is away leaves dashes, not zeros."""
    found = shop.check("prometheus: {url: 'http://127.0.0.1:1'}\n" + FROM_PROMETHEUS)
    assert signal(found, "errors").firing is None
    row = words(table(found.signals, pods=3, width=100))[-1]
    assert re.search(r"\? no data +– +– +– +– +– +at most 20 % –$", row), row
