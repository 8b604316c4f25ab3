"""A good policy, one thing broken: each defect is one problem, at its exact place, with help."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy_guard.policy.codes import CODES
from deploy_guard.policy.problems import Problem, Severity

from .good import GOOD, Read, marked


@dataclass(frozen=True)
class Case:
    """One entry of defects.txt."""

    name: str
    old: str
    new: str
    kind: str  # severity and code
    message: str
    help: str


def _cases() -> list[Case]:
    """Read defects.txt, whose head says what its lines mean."""
    cases = []
    for block in (Path(__file__).parent / "defects.txt").read_text().split("\n\n"):
        parts: dict[str, list[str]] = {}
        for line in block.strip("\n").splitlines():
            parts.setdefault(line.split(" ", 1)[0], []).append(line.split(" ", 1)[-1])
        if "case:" in parts:
            name, old, new, kind, message, help = (
                "\n".join(parts.get(mark, [])) for mark in ("case:", "-", "+", "=", ":", "?")
            )
            cases.append(Case(name, old, new, kind, message, help))
    return cases


CASES = _cases()


def _place(problem: Problem) -> tuple[str, int, int, int]:
    kind = f"{problem.severity} {problem.code}"
    return kind, problem.line, problem.column, problem.length


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_defect_is_one_problem_at_its_place(case: Case, read: Read) -> None:
    """Each defect gives exactly one problem, with code, line, column, length, message and help."""
    text, line, column, length = marked(case.old, case.new)
    loaded = read(text)
    found = [p for p in loaded.problems if p.severity is not Severity.NOTE or "note" in case.kind]
    assert [_place(p) for p in found] == [(case.kind, line, column, length)], loaded.problems
    assert case.message in found[0].message
    assert case.help in found[0].help
    assert found[0].code in CODES
    assert found[0].source == text.splitlines()[line - 1] or "***" in found[0].source
    assert (loaded.policy is None) == case.kind.startswith("error")


def test_the_cases_are_read() -> None:
    """Every entry of the file has a name of its own, and each part that the test needs."""
    assert len(CASES) == len({case.name for case in CASES}) > 100
    assert [case.name for case in CASES if not (case.old and case.kind and case.message)] == []


def test_the_good_policy_has_no_problem(read: Read) -> None:
    """The policy that all cases break is itself without any problem."""
    loaded = read(GOOD)
    assert loaded.policy is not None
    assert loaded.problems == ()


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "x-a: &a {provider: pods, prot: 80}\nsignals:\n"
            "  - {<<: *a, name: a, value: x, above: 1}\n"
            "  - {<<: *a, name: b, value: y, above: 1}\n",
            [("unknown-key", 2, "did you mean 'port'?")],
        ),
        (
            "signals:\n  - {name: a, provder: pods, prot: 80}\n",
            [
                ("unknown-key", 3, "did you mean 'provider'?"),
                ("unknown-key", 3, "did you mean 'port'?"),
            ],
        ),
        (
            "signals:\n  - nmae: a\n    provider: pod\n",
            [
                ("unknown-key", 3, "did you mean 'name'?"),
                ("unknown-provider", 4, "did you mean 'pods'?"),
            ],
        ),
        ("Signals: []\n", [("unknown-key", 2, "did you mean 'signals'?")]),
        (
            'signals:\n  - {name: a, provider: pods, port: 1, above: 1, value: {__name__="x"}}\n',
            [("bad-type", 3, "put it in quotes: a text cannot begin with { or [")],
        ),
        (
            "signals:\n  - {name: a, provider: pods, port: 1, above: 1, value: x{a=“b”}}\n",
            [("yaml-syntax", 3, "")],
        ),
        (
            "signals:\n  - {name: a, provider: pods, port: 1, above: 1, value: 'x{a=“b”}'}\n",
            [("query", 3, "write \" or '; some editors change them")],
        ),
    ],
    ids=[
        "anchor", "provider misspelled", "key of unknown provider", "no second problem",
        "selector without quotes", "flow", "curly quotes",
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem_and_hides_no_other(
    text: str, expected: list[tuple[str, int, str]], read: Read
) -> None:
    """What follows from a mistake is not told as another, and other mistakes are told beside it."""
    found = read(f"version: 1\n{text}").problems
    assert [(p.code, p.line, p.help) for p in found] == expected


def test_no_signal_at_all_is_a_warning(read: Read) -> None:
    """A policy without signals is valid: the cluster's own signs are always watched."""
    loaded = read("version: 1\n")
    assert [(p.code, p.severity) for p in loaded.problems] == [("no-signals", Severity.WARNING)]
    assert loaded.policy is not None


@pytest.mark.parametrize(
    ("measures", "severity"),
    [
        ("limit: 5%", Severity.WARNING),
        ("compare: true", Severity.ERROR),
        ("limit: 5%\n    compare: false", None),
    ],
    ids=["limit and comparison", "comparison only", "limit only"],
)
def test_a_warm_up_of_the_whole_watch_is_as_bad_as_what_is_left(
    measures: str, severity: Severity | None, read: Read
) -> None:
    """Who shortens the watch loses the comparison: an error only where no limit is left."""
    text = (
        "version: 1\nwatch: {for: 20s}\nsignals:\n  - name: errors\n    provider: pods\n"
        f"    port: 80\n    ratio: {{errors: a, requests: b}}\n    {measures}\n"
    )
    found = read(text).problems
    assert [(p.code, p.severity, p.line) for p in found] == (
        [("never-fires", severity, 2)] if severity else []
    )


def test_a_shorter_watch_of_a_shipped_policy_is_valid(read: Read) -> None:
    """Nobody has to touch the safety nets of a policy to watch for a shorter time."""
    text = (Path(__file__).parents[2] / "policies/combined.yaml").read_text()
    loaded = read(text.replace("  for: 10m\n", "  for: 2m\n", 1))
    assert loaded.policy is not None and loaded.policy.watch.duration == 120
    assert {p.severity for p in loaded.problems} == {Severity.WARNING}


def test_a_gate_is_passed_within_the_watch_also_by_default(read: Read) -> None:
    """A gate whose time nobody wrote is an error in a watch that is shorter than the default."""
    text = "version: 1\nwatch: {for: 2m}\nhold: {at: 25%}\n"
    found = [p for p in read(text).problems if p.code != "no-signals"]
    assert [(p.code, p.line, p.column, p.help) for p in found] == [
        ("never-fires", 3, 1, "for: 2m or less")
    ]
    assert read(text.replace("25%", "25%, for: 2m")).policy is not None


def test_a_policy_without_a_hold_wants_none(read: Read) -> None:
    """No rollout is ever paused unless a policy says so."""
    policy = read(GOOD).policy
    assert policy is not None
    assert not policy.hold.wanted
    assert (policy.rollback.fast, policy.rollback.owner) == (False, "proceed")


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
    problems = read(f"version: 1\nsignals: [x]\nwatch:\n{lines}\n").problems
    assert [(p.code, p.line) for p in problems[:3]] == [
        ("bad-type", 2),
        ("unknown-key", 4),
        ("unknown-key", 5),
    ]
    assert all(p.message and p.source for p in problems[:100])
    assert [p.message for p in problems[100:]] == ["2901 more problems are not shown"]
