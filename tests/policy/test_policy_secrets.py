"""Secrets that stand in a policy are refused and never shown."""

import io
import json

import pytest

from deploy_guard.check import check, document, show
from deploy_guard.policy.problems import PolicyError, render

from .good import GOOD, Read

SECRET = "hunter2-Zm9vYmFy"

# case: (old, new, code of the problem)
TOKEN = "{env: PROMETHEUS_TOKEN}"
HEADERS = "{X-Scope-OrgID: shop}"
ACCEPT = "{Accept: text/plain}"
TIMEOUT = "  timeout: 10s"
CASES: dict[str, tuple[str, str, str]] = {
    "bearer": (TOKEN, SECRET, "bad-type"),
    "bearer-under-a-wrong-key": (f"bearer: {TOKEN}", f"bearr: {SECRET}", "unknown-key"),
    "bearer-as-the-name-of-a-variable": (TOKEN, f"{{env: {SECRET}}}", "bad-value"),
    "bearer-under-a-wrong-key-of-the-reference": (TOKEN, f"{{value: {SECRET}}}", "unknown-key"),
    "header": (HEADERS, f"{{Authorization: Bearer {SECRET}}}", "literal-secret"),
    "header-in-lines": (HEADERS, f"\n    Authorization: |\n      {SECRET}", "literal-secret"),
    "own-header": (ACCEPT, f"{{X-Api-Key: {SECRET}}}", "literal-secret"),
    "header-as-a-list": (ACCEPT, f"{{Authorization: [{SECRET}]}}", "bad-type"),
    "header-of-a-cloud": (ACCEPT, f"{{Ocp-Apim-Subscription-Key: {SECRET}}}", "literal-secret"),
    "header-of-a-proxy": (ACCEPT, f"{{X-Auth: {SECRET}}}", "literal-secret"),
    "blank-missing": (TIMEOUT, f"  token:{SECRET}", "yaml-syntax"),
    "dash-without-a-blank": (TIMEOUT, f"  -password: {SECRET}", "unknown-key"),
    "url": ("http://prometheus:9090", f"http://admin:{SECRET}@host", "literal-secret"),
    "key-in-a-url": ("svc/payments", f"svc/payments?api_key={SECRET}", "literal-secret"),
    "basic-as-a-text": (TIMEOUT, f"  basic: admin:{SECRET}", "bad-type"),
    "password": (TIMEOUT, f"  basic: {{username: a, password: {SECRET}}}", "bad-type"),
    "password-twice": (
        TIMEOUT,
        f"  basic: {{username: a, password: {SECRET}, password: {SECRET}}}",
        "duplicate-key",
    ),
    "line-that-is-no-yaml": (TIMEOUT, f"  token: {SECRET}: x", "yaml-syntax"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_written_secret_is_refused_and_not_shown(case: str, read: Read) -> None:
    """The problem is told with its place; the secret is in no text, help, source line or JSON."""
    old, new, code = CASES[case]
    assert GOOD.count(old) == 1
    loaded = read(GOOD.replace(old, new))
    assert code in {p.code for p in loaded.problems}
    assert SECRET not in render(loaded.problems)
    assert SECRET not in repr(loaded.problems)
    assert SECRET not in str(PolicyError(loaded.problems))


def test_reports_of_a_check_do_not_show_it() -> None:
    """Neither the text nor the JSON of `guard check` has the secret."""
    text = GOOD.replace("{env: PROMETHEUS_TOKEN}", SECRET)
    report = check(["-"], stdin=io.BytesIO(text.encode()))
    assert report.exit_code == 3
    assert SECRET not in show(report)
    assert SECRET not in json.dumps(document(report.files))


@pytest.mark.parametrize(
    "name", ["X-Scope-OrgID", "Accept", "X-Request-Source", "X-Author", "Idempotency-Key"]
)
def test_other_headers_may_be_written_out(name: str, read: Read) -> None:
    """A header that is no secret by its name may have a literal value."""
    assert read(GOOD.replace("{Accept: text/plain}", f"{{{name}: shop}}")).policy is not None


def test_a_problem_next_to_a_secret_keeps_its_place(read: Read) -> None:
    """A secret before the problem on the line is blanked, and the caret still stands right."""
    headers = f"{{X-Token: {SECRET}, X Y: a, Authorization: {{env: A}}}}"
    problems = read(GOOD.replace("{X-Scope-OrgID: shop}", headers)).problems
    problem = next(p for p in problems if p.code == "bad-header")
    assert problem.source == "  headers: {X-Token: ***, X Y: ***, Authorization: {env: A}}"
    line, caret = render([problem]).splitlines()[2:4]
    assert line[caret.index("^") :].startswith("X Y")
    assert caret.count("^") == 3


def test_a_secret_far_out_on_a_long_line_is_not_shown(read: Read) -> None:
    """Cutting a long line around a problem does not cut the name off its secret."""
    filler = "a" * 1990
    headers = f"{{Authorization: {filler}{SECRET}, X Y: b}}"
    problems = read(GOOD.replace("{X-Scope-OrgID: shop}", headers)).problems
    assert "bad-header" in {p.code for p in problems}
    assert SECRET not in repr(problems)
