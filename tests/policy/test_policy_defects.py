"""A good policy, one thing broken: each defect is one problem, at its exact place, with help."""

import pytest

from deploy_guard.policy.codes import CODES
from deploy_guard.policy.problems import Problem, Severity

from .good import GOOD, Read, marked

# defect: (old, new with «the place», code, part of the message, part of the help)
CASES: dict[str, tuple[str, str, str, str, str]] = {
    # --- keys
    "unknown-key-with-a-near-one": (
        "  sensitivity:", "  «sensitvity»:", "unknown-key", "'sensitvity' in 'watch'", "'sensitivity'"),
    "unknown-key-at-the-top": ("name: shop", "«nmae»: shop", "unknown-key", "'nmae'", "'name'"),
    "unknown-key-with-nothing-near": (
        "restarts: 2", "«zzz»: 2", "unknown-key", "'zzz'", "known: restarts, unready"),
    "key-of-the-mapping-below": (
        "    above: 100", "    above: 100\n    «errors»: x", "unknown-key", "'errors' in signal 3",
        "'errors' belongs under 'ratio'"),
    "misspelled-required-key-is-one-problem": (
        "      errors: sum", "      «erors»: sum", "unknown-key", "'erors'", "did you mean 'errors'?"),
    "field-name-instead-of-key": (
        "  for: 10m", "  «duration»: 10m", "unknown-key", "'duration'", "known: for"),
    "duplicate-key": (
        "  warm_up: 30s", "  warm_up: 30s\n  «warm_up»: 10s", "duplicate-key", "'warm_up' is there twice",
        "first given in line 7"),
    "missing-version": ("version: 1\nname", "«name»", "missing-key", "'version'", "format"),
    "missing-name-of-a-signal": (
        "  - name: errors\n    provider", "  - «provider»", "missing-key", "signal 1", "Unique name"),
    "missing-port": ("    port: 8080\n", "", "missing-key", "'port'", "container port"),
    "missing-key-of-a-flow-mapping": (
        "{share: 99%, below: 500ms}", "«{»share: 99%}", "missing-key", "'limit' needs the key 'below'", ""),
    "key-without-value": ("timeout: 10s", "«timeout»:", "empty-value", "'timeout' has no value", "default"),
    "section-without-value": (
        "kubernetes:\n  restarts: 2", "«kubernetes»:", "empty-value", "'kubernetes'", "remove it"),
    "null-value": ("sensitivity: 1%", "«sensitivity»: ~", "empty-value", "'sensitivity'", ""),
    "key-that-is-a-list": (
        "restarts: 2", "? «[a]»\n  : 1", "key", "a key must be a text", ""),
    # --- scalars
    "duration-without-unit": (
        "for: 10m", "for: «10»", "bad-value", "got '10'", "write 10s for seconds or 10m for minutes"),
    "duration-as-a-clock": ("warm_up: 30s", "warm_up: «1:30»", "bad-value", "duration", "1m30s or 1h30m"),
    "duration-with-a-blank": ("baseline: 1h", "baseline: «1 h»", "bad-value", "duration", "write 1h"),
    "duration-with-unknown-unit": ("baseline: 1h", "baseline: «1w»", "bad-value", "duration", "ms, s, m"),
    "negative-duration": ("warm_up: 30s", "warm_up: «-30s»", "bad-value", "duration", "units"),
    "duration-of-nothing": ("  interval: 15s", "  interval: «0s»", "bad-value", "above zero", ""),
    "duration-beyond-a-year": ("baseline: 1h", "baseline: «999d»", "bad-value", "a year", ""),
    "duration-that-is-a-list": ("baseline: 1h", "baseline: «[»1h]", "bad-value", "a duration", ""),
    "percentage-without-sign": ("limit: 5%", "limit: «5»", "bad-value", "sign", "write 5%"),
    "percentage-as-a-fraction": (
        "limit: 5%", "limit: «0.05»", "bad-value", "sign", "5% if 0.05 is a share of 1, or 0.05%"),
    "percentage-above-all": ("limit: 5%", "limit: «120%»", "bad-value", "at most 100%", ""),
    "percentage-in-words": ("sensitivity: 1%", "sensitivity: «low»", "bad-value", "percentage", "5%"),
    "truth-in-yaml-1.1": ("enabled: true", "enabled: «on»", "bad-value", "true or false", "write true"),
    "truth-as-a-number": ("enabled: true", "enabled: «1»", "bad-value", "true or false", ""),
    "octal-number": ("restarts: 2", "restarts: «0777»", "bad-value", "whole number", "leading zeros"),
    "number-with-underscore": ("restarts: 2", "restarts: «1_0»", "bad-value", "whole number", ""),
    "number-with-a-fraction": ("failures: 3", "failures: «2.5»", "bad-value", "whole number", ""),
    "number-too-small": ("failures: 3", "failures: «0»", "bad-value", "at least 1", ""),
    "number-that-is-none": ("above: 100", "above: «.nan»", "bad-value", "a number", ""),
    "number-as-a-clock": ("above: 100", "above: «1:30»", "bad-value", "a number", ""),
    "ratio-of-nothing-worse": (
        "{ratio: 2, difference", "{ratio: «1», difference", "bad-value", "above 1", ""),
    "port-out-of-range": ("port: 8080", "port: «80800»", "bad-value", "65535", ""),
    "port-with-a-bad-name": ("port: 8080", "port: «Web_Port»", "bad-value", "port", "",),
    "status-out-of-range": ("status: [200]", "status: [«20»]", "bad-value", "at least 100", ""),
    "version-of-the-future": ("version: 1", "version: «2»", "bad-value", "'2'", "knows version 1"),
    "name-in-capitals": ("- name: errors", "- name: «Errors»", "bad-value", "small letters", "http-errors"),
    "method-in-small-letters": (
        "    failures: 3", "    failures: 3\n    method: «post»", "bad-value", "'POST'", "did you mean 'POST'"),
    # --- kinds of values
    "text-instead-of-a-mapping": (
        "kubernetes:\n  restarts: 2", "kubernetes: «2»", "bad-type", "'kubernetes': expected a mapping, got '2'", ""),
    "number-instead-of-a-list": ("status: [200]", "status: «200»", "bad-type", "a list", "write [200]"),
    "list-instead-of-a-text": ("Accept: text/plain", "Accept: «[»text/plain]", "bad-type", "a text", ""),
    "text-instead-of-a-signal": ("  - name: errors\n", "  - «word»\n  - name: errors\n", "bad-type", "signal 1: expected a mapping", ""),
    # --- providers
    "unknown-provider": (
        "provider: pods", "provider: «pod»", "unknown-provider", "'pod'", "did you mean 'pods'?"),
    "provider-with-nothing-near": (
        "provider: pods", "provider: «graphite»", "unknown-provider", "'graphite'", "'prometheus', 'pods' or 'http'"),
    "kubernetes-as-a-provider": (
        "provider: pods", "provider: «kubernetes»", "unknown-provider", "'kubernetes'", "always on"),
    "no-provider": ("  - name: pages\n    provider: pods", "  - «name»: pages", "missing-key", "signal 4 needs the key 'provider'", "'pods'"),
    # --- queries
    "unknown-variable": (
        'pod=~"{{ pods }}"', 'pod=~"{{ «pod» }}"', "template", "'pod'", "did you mean 'pods'?"),
    "second-unknown-variable-on-a-line": (
        "http://{{ name }}.{{ namespace }}", "http://{{ name }}.{{ «namespce» }}", "template", "'namespce'", "'namespace'"),
    "unknown-variable-in-a-block": (
        "value: max(queue_depth)", 'value: |\n      max(\n        queue_depth{x="{{ «nam» }}"}\n      )',
        "template", "'nam'", "'name'"),
    "unclosed-variable": ('pod=~"{{ pods }}"', 'pod=~"«{{» pods"', "template", "not closed", "one line"),
    "variable-without-a-name": ('pod=~"{{ pods }}"', 'pod=~"«{{ }»}"', "template", "names no variable", ""),
    "unclosed-bracket": ("max(queue_depth)", "max«(»queue_depth", "query", "'(' is not closed", ""),
    "bracket-too-many": ("max(queue_depth)", "max(queue_depth)«)»", "query", "closes nothing", ""),
    "wrong-bracket": ("max(queue_depth)", "max(queue_depth«]»", "query", "does not close '('", ""),
    "unclosed-quote": ("max(queue_depth)", "max(queue_depth{a=«\"»x})", "query", "quote", ""),
    "empty-query": ("value: max(queue_depth)", "value: «''»", "query", "empty", ""),
    "rate-of-a-counter": (
        "(failed_total{namespace=\"{{ namespace }}\"})", "(«rate»(failed_total[5m]))", "not-a-counter", "rate()", "leave out"),
    "buckets-aggregated-away": ("latency: sum by (pod, le) (seconds_bucket{pod=~\"{{ pods }}\"})", "latency: «sum by (pod) (seconds_bucket)»", "no-buckets", "'le'", "pod, le"),
    "function-for-a-page": (
        "requests: http_requests_total", "requests: «sum(http_requests_total)»", "bad-selector", "expected", "PromQL"),
    "bad-regular-expression": (
        'http_requests_total{code=~"5.."}', '«http_requests_total{code=~"5(.."}»', "bad-selector", "regular expression", ""),
    # --- limits
    "limit-of-a-latency-for-a-ratio": (
        "limit: 5%", "«limit»: {share: 99%, below: 1s}", "wrong-limit", "ratio is a percentage", "5%"),
    "limit-of-a-ratio-for-a-latency": (
        "limit: {share: 99%, below: 500ms}", "«limit»: 5%", "wrong-limit", "share and a duration", "below"),
    "above-for-a-ratio": ("    limit: 5%", "    «above»: 5", "wrong-limit", "'above' is for a 'value'", "5%"),
    "limit-for-a-value": ("    above: 100", "    above: 100\n    «limit»: 5%", "wrong-limit", "no 'limit'", ""),
    "comparison-of-a-value": (
        "    above: 100", "    above: 100\n    «compare»: true", "wrong-limit", "not compared", "ratio or a latency"),
    "nothing-measured": (
        "    value: max(queue_depth)\n    above: 100\n    for: 1m", "", "no-measure", "'queue' measures nothing", ""),
    "two-things-measured": (
        "    value: max(queue_depth)", "    latency: x_bucket\n    «value»: max(queue_depth)", "several-measures",
        "'latency' and 'value'", "own signal"),
    # --- conditions that never fire, or always
    "limit-of-all": ("limit: 5%", "limit: «100%»", "never-fires", "never be passed", ""),
    "share-of-nothing": ("{share: 99%", "{share: «0%»", "never-fires", "never be passed", ""),
    "difference-of-all": ("difference: 1%", "difference: «100%»", "never-fires", "never be passed", ""),
    "neither-limit-nor-comparison": ("limit: 5%", "«compare»: false", "never-fires", "can never be bad", "limit"),
    "value-without-limits": ("    above: 100\n", "", "never-fires", "'above' or 'below'", ""),
    "value-always-bad": ("above: 100", "above: 100\n    «below»: 200", "always-fires", "always bad", "between"),
    "hold-longer-than-the-watch": ("for: 1m", "for: «11m»", "never-fires", "longer than the watch, 10m", "shorter"),
    "interval-longer-than-the-watch": ("  interval: 15s", "  interval: «15m»", "never-fires", "longer than the watch", ""),
    "signal-interval-longer-than-the-watch": (
        "    above: 100", "    above: 100\n    interval: «11m»", "never-fires", "longer than the watch", ""),
    "warm-up-of-the-whole-watch": ("warm_up: 30s", "warm_up: «10m»", "never-fires", "nothing is ever compared", ""),
    "failures-longer-than-the-watch": ("failures: 3", "failures: «50»", "never-fires", "12m30s", "fewer failures"),
    "slower-than-the-call-may-be": ("latency: 2s", "latency: «10s»", "never-fires", "ends after 5s", "longer 'timeout'"),
    "unready-longer-than-the-watch": ("restarts: 2", "unready: «20m»", "never-fires", "never be reached", ""),
    "no-evidence-accepted": ("sensitivity: 1%", "sensitivity: «0%»", "never-fires", "0%", "1%"),
    "any-evidence-accepted": ("sensitivity: 1%", "sensitivity: «60%»", "always-fires", "50%", ""),
    "json-of-head": (
        "    failures: 3", "    failures: 3\n    method: HEAD", "always-fires", "no body", ""),
    "certificate-of-http": (
        "      latency: 2s", "      latency: 2s\n      «tls_valid_for»: 14d", "always-fires", "no certificate", ""),
    "body-of-get": ("    failures: 3", "    failures: 3\n    «body»: x", "no-effect", "not sent with GET", "",),
    # --- connections
    "url-without-scheme": (
        "url: http://prometheus:9090", "url: «prometheus:9090»", "bad-url", "not an HTTP URL",
        "did you mean http://prometheus:9090?"),
    "url-of-another-scheme": ("url: http://prometheus:9090", "url: «ftp://prometheus»", "bad-url", "HTTP URL", ""),
    "url-with-a-bad-port": ("url: http://prometheus:9090", "url: «http://prometheus:x»", "bad-url", "HTTP URL", ""),
    "url-with-a-blank": ("url: http://prometheus:9090", "url: «http://prometheus /»", "bad-url", "blank", ""),
    "url-with-a-query": ("url: http://prometheus:9090", "url: «http://prometheus/?a=b»", "bad-url", "query", ""),
    "url-of-the-api": (
        "url: http://prometheus:9090", "url: «http://prometheus/api/v1/query»", "bad-url", "path of the API", "/api/v1"),
    "header-with-a-bad-name": ("X-Scope-OrgID: shop", "«X Scope»: shop", "bad-header", "not the name", ""),
    "two-authorizations": (
        "  timeout: 10s", "  timeout: 10s\n  «basic»: {username: a, password: {env: B}}", "contradiction",
        "one Authorization", "keep one"),
    "certificate-without-key": (
        "  timeout: 10s", "  timeout: 10s\n  tls: «{»cert: a.pem}", "bad-value", "needs 'key'", ""),
    "secret-from-two-places": (
        "{env: PROMETHEUS_TOKEN}", "«{»env: A, file: b}", "bad-value", "exactly one of 'env' and 'file'", ""),
    "secret-from-nowhere": ("{env: PROMETHEUS_TOKEN}", "«{»}", "bad-value", "exactly one", ""),
    "name-taken": ("name: slow", "name: «errors»", "duplicate-name", "policy.yaml:20", "own name"),
}  # fmt: skip


def _break(case: str) -> tuple[str, int, int, int]:
    """Return the broken text and the place of the problem."""
    old, new, *_ = CASES[case]
    if case == "missing-port":
        return GOOD.replace(old, new), 36, 5, 4
    if case == "nothing-measured":
        return GOOD.replace(old, new), 31, 5, 4
    if case == "value-without-limits":
        return GOOD.replace(old, new), 33, 5, 5
    if case == "json-of-head":
        return GOOD.replace(old, new), 49, 7, 4
    return marked(old, new)


@pytest.mark.parametrize("case", CASES)
def test_a_defect_is_one_problem_at_its_place(case: str, read: Read) -> None:
    """Each defect gives exactly one error, with code, line, column, length, message and help."""
    _, _, code, message, help = CASES[case]
    text, line, column, length = _break(case)
    loaded = read(text)
    errors = [p for p in loaded.problems if p.severity is Severity.ERROR]
    assert [_place(p) for p in errors] == [(code, line, column, length)], loaded.problems
    assert message in errors[0].message
    assert help in errors[0].help
    assert errors[0].source == text.splitlines()[line - 1] or "***" in errors[0].source
    assert loaded.policy is None


def _place(problem: Problem) -> tuple[str, int, int, int]:
    return problem.code, problem.line, problem.column, problem.length


def test_the_good_policy_has_no_problem(read: Read) -> None:
    """The policy that all cases break is itself without any error or warning."""
    loaded = read(GOOD)
    assert loaded.policy is not None
    assert [p for p in loaded.problems if p.severity is not Severity.NOTE] == []


def test_every_code_of_the_cases_is_documented() -> None:
    """A problem's code is one that the reference explains."""
    assert {case[2] for case in CASES.values()} <= CODES.keys()


WARNINGS: dict[str, tuple[str, str, str, str, Severity]] = {
    "hold-of-a-ratio": (
        "    limit: 5%", "    limit: 5%\n    «for»: 1m", "no-effect", "no effect on a ratio", Severity.WARNING),
    "requests-of-a-value": (
        "    above: 100", "    above: 100\n    «min_requests»: 5", "no-effect", "plain number", Severity.WARNING),
    "settings-of-a-disabled-rollback": (
        "enabled: true\n  timeout", "enabled: false\n  «timeout»", "no-effect", "'enabled' is false", Severity.WARNING),
    "certificates-for-http": (
        "  timeout: 10s", "  timeout: 10s\n  «tls»: {ca: a.pem}", "no-effect", "http://", Severity.WARNING),
    "pods-not-told-apart": (
        'sum by (pod) (all_total{namespace="{{ namespace }}"})', "«sum(all_total)»", "no-pods", "look the same", Severity.NOTE),
}  # fmt: skip


@pytest.mark.parametrize("case", WARNINGS)
def test_a_doubtful_thing_is_told_and_does_not_invalidate(case: str, read: Read) -> None:
    """Warnings and notes have a place too, and the policy stays valid."""
    old, new, code, message, severity = WARNINGS[case]
    text, line, column, length = marked(old, new)
    loaded = read(text)
    assert [_place(p) for p in loaded.problems] == [(code, line, column, length)]
    assert message in loaded.problems[0].message
    assert loaded.problems[0].severity is severity
    assert loaded.policy is not None


def test_every_problem_is_told_at_once(read: Read) -> None:
    """Problems of keys, values, queries and rules, all in one run and in the order of lines."""
    text = (
        GOOD.replace("for: 10m", "for: 10")
        .replace("enabled: true", "enabled: yes")
        .replace("http://prometheus:9090", "prometheus:9090")
        .replace("bearer: {env: PROMETHEUS_TOKEN}", "bearer: {}")
        .replace("limit: 5%", "limit: 5% or so")
        .replace("{{ pods }}", "{{ pdos }}")
        .replace("name: queue", "name: errors")
        .replace("provider: pods", "provider: pot")
        .replace("latency: 2s", "latency: 2s\n      latncy: 2s")
    )
    found = [(p.line, p.code) for p in read(text).problems if p.severity is Severity.ERROR]
    assert found == [
        (4, "bad-value"),
        (10, "bad-value"),
        (13, "bad-url"),
        (14, "bad-value"),
        (25, "bad-value"),
        (28, "template"),
        (31, "duplicate-name"),
        (37, "unknown-provider"),
        (49, "unknown-key"),
    ]


def test_no_signal_at_all_is_a_warning(read: Read) -> None:
    """A policy without signals is valid: the cluster's own signs are always watched."""
    loaded = read("version: 1\n")
    assert [(p.code, p.severity) for p in loaded.problems] == [("no-signals", Severity.WARNING)]
    assert loaded.policy is not None


def test_prometheus_may_come_from_elsewhere(read: Read) -> None:
    """Without a connection a Prometheus signal is an error, unless the command line has one."""
    start, end = GOOD.index("prometheus:\n"), GOOD.index("kubernetes:")
    text = GOOD[:start] + GOOD[end:]
    errors = [p for p in read(text).problems if p.severity is Severity.ERROR]
    assert [(p.code, p.line, p.column) for p in errors] == [("no-connection", 16, 15)]
    assert "--prometheus-url" in errors[0].help
    assert read(text, prometheus_given=True).policy is not None


def test_many_problems_are_cut(read: Read) -> None:
    """A file with thousands of mistakes shows the first hundred and says how many are left."""
    lines = "\n".join(f"  key{n}: 1" for n in range(3000))
    problems = read(f"version: 1\nwatch:\n{lines}\n").problems
    assert sum(p.code == "unknown-key" for p in problems) == 100
    assert [p.message for p in problems if p.code == "too-many"] == [
        "2900 more problems are not shown"
    ]
