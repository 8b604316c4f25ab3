"""Every mistake of a test file at once, each with its place and what to do."""

from pathlib import Path

import pytest

from deploy_guard.policy_tests.load import Loaded, find, inspect

from .cases import POLICY, read

HEAD = """\
version: 1
defaults:
  signals:
    errors: {requests: 40/s, errors: 0.5%}
    latency: {requests: 40/s, slow: 0.3%}
cases:
  - name: first
    expect: healthy
"""
CASE = "  - name: second\n"


def _one(loaded: Loaded) -> tuple[str, int, int, str]:
    assert len(loaded.problems) == 1, [p.message for p in loaded.problems]
    problem = loaded.problems[0]
    return problem.code, problem.line, problem.column, f"{problem.message} | {problem.help}"


def test_a_good_file_has_cases(tmp_path: Path) -> None:
    """A valid file has its cases, each with the policy beside it, and no problem."""
    loaded = read(tmp_path, HEAD)
    assert loaded.problems == () and [one.case.name for one in loaded.cases] == ["first"]
    assert loaded.policies == (str(tmp_path / "shop.yaml"),)
    assert loaded.cases[0].policy.signals[0].name == "errors"


BROKEN = {  # the case's lines after its name: code, column, words of message and help
    "expect: regresed": ("bad-value", 13, "did you mean 'regressed'"),
    "expect: {verdict: healthy, by: 30s}": ("bad-value", 13, "'by' is for regressed"),
    "expect: regressed after 2m by 1m": ("bad-value", 13, "later than 'by'"),
    "expect: regressed (erors)": ("unknown-signal", 5, "did you mean 'errors'"),
    "expect: regressed by 11m": ("no-effect", 5, "'by' is not within the watch, which ends after"),
    "expect: {verdict: regressed, after: 11m}": ("no-effect", 41, "'after' is not within"),
    "expect: healthy\n    signals: {errors: {errors: {before: 1/s, new: 41/s}}}": (
        "more-than-all",
        24,
        "'errors' are more than the 40 requests per second",
    ),
    "expct: healthy": ("unknown-key", 5, "did you mean 'expect'"),
    "expect: healthy\n    pods: 0": ("bad-value", 11, "at least 1"),
    "expect: healthy\n    rollout: 30": ("bad-value", 14, "write 30s"),
    "expect: healthy\n    noise: poison": ("bad-value", 12, "did you mean 'poisson'"),
    "expect: healthy\n    signals: {erors: {errors: 1%}}": (
        "unknown-signal",
        15,
        "no signal 'erors' | did you mean 'errors'",
    ),
    "expect: healthy\n    signals: {errors: {slow: 1%}}": (
        "wrong-key",
        24,
        "which is a ratio | expected 'requests' or 'errors'",
    ),
    "expect: healthy\n    signals: {errors: {errors: 5}}": (
        "bad-value",
        32,
        "write 5% for a share",
    ),
    "expect: healthy\n    signals: {errors: {requests: 5}}": ("bad-value", 34, "write 5/s"),
    "expect: healthy\n    signals: {errors: {errors: {befor: 1%}}}": (
        "unknown-key",
        33,
        "did you mean 'before'",
    ),
    "expect: healthy\n    signals: {errors: {errors: {before: 1%x3, new: 1%}}}": (
        "bad-value",
        32,
        "cannot be a series | a series begins at the deploy",
    ),
    "expect: healthy\n    signals: {errors: {errors: {new: 1}}}": ("bad-value", 38, "write 1% for"),
    "expect: healthy\n    signals: {errors: {errors: {3m: 1%}}}": ("bad-value", 32, "time 0s"),
    "expect: healthy\n    signals: {errors: {errors: {0s: 1%, 3x: 2%}}}": (
        "bad-value",
        41,
        "duration with its unit",
    ),
    "expect: healthy\n    signals: {errors: {errors: {0s: 1%, 60s: 2%, 1m: 3%}}}": (
        "bad-value",
        32,
        "each time once",
    ),
    "expect: healthy\n    signals: {latency: {slow: 1%, buckets: {1: 90%}}}": (
        "contradiction",
        25,
        "in two ways",
    ),
    "expect: healthy\n    signals: {latency: {buckets: {0.1: 90%, 0.5: 80%}}}": (
        "bad-value",
        34,
        "rise with the bound",
    ),
    "expect: healthy\n    signals: {latency: {buckets: {0.1: 90%, 100ms: 95%}}}": (
        "bad-value",
        34,
        "each bound once",
    ),
    "expect: healthy\n    signals: {latency: {buckets: {before: {1: 90%}, new: {2: 90%}}}}": (
        "bad-value",
        34,
        "same bounds in every group",
    ),
    "expect: healthy\n    signals: {queue: {value: 5%}}": ("bad-value", 30, "without a unit"),
    "expect: healthy\n    signals: {payments: {answers: fial}}": (
        "bad-value",
        35,
        "did you mean 'fail'",
    ),
    "expect: healthy\n    faults: [{what: crsh}]": ("bad-value", 21, "did you mean 'crash'"),
    "expect: healthy\n    faults: [{at: 1m}]": ("missing-key", 14, "needs the key 'what'"),
    "expect: healthy\n    faults: [{what: crash, signal: errors}]": (
        "no-effect",
        28,
        "is a fault of pods",
    ),
    "expect: healthy\n    faults: [{what: NaN, pods: 2}]": ("no-effect", 26, "fault of readings"),
    "expect: healthy\n    faults: [{what: NaN, takes: 9s}]": ("no-effect", 26, "for slow readings"),
    "expect: healthy\n    faults: [{what: NaN, signal: eror}]": (
        "unknown-signal",
        26,
        "did you mean 'errors'",
    ),
    "expect: healthy\n    faults: [{what: crash, pods: 9}]": ("bad-value", 34, "only 4"),
    "expect: healthy\n    faults: [{what: crash, at: 10m}]": ("no-effect", 32, "within the watch"),
    "expect: healthy\n    values: {limit: 1}": ("unknown-value", 14, "declares the value 'limit'"),
}


@pytest.mark.parametrize("lines", BROKEN)
def test_a_mistake_has_its_place_and_help(tmp_path: Path, lines: str) -> None:
    """Each mistake is told once, at its line and column, with what to write instead."""
    code, column, words = BROKEN[lines]
    text = HEAD + CASE + f"    {lines}\n"
    found = _one(read(tmp_path, text))
    assert (found[0], found[2]) == (code, column) and words in found[3], found
    assert found[1] == 9 + len(lines.splitlines())


def test_a_name_is_given_once(tmp_path: Path) -> None:
    """Two cases of one name could not be told apart."""
    loaded = read(tmp_path, HEAD + "  - name: first\n    expect: healthy\n")
    assert _one(loaded)[:3] == ("duplicate-name", 9, 11)
    assert "line 7" in loaded.problems[0].help


def test_every_signal_needs_its_input(tmp_path: Path) -> None:
    """A signal that is not optional must read something, or a fault takes all of it away."""
    text = HEAD.replace("    errors: {requests: 40/s, errors: 0.5%}\n", "")
    code, line, _, words = _one(read(tmp_path, text))
    assert (code, line) == ("missing-signal", 6) and "{requests: 40/s, errors: 0.1%}" in words
    fault = "    faults: [{signal: errors, what: no series}]\n"
    assert read(tmp_path, text + fault).problems == ()
    code, *_, words = _one(read(tmp_path, HEAD.replace(", errors: 0.5%", "")))
    assert code == "missing-key" and "needs 'errors'" in words


def test_slow_needs_a_limit(tmp_path: Path) -> None:
    """Without a limit nobody knows what is slow: buckets say it."""
    policy = POLICY.replace("    limit: {share: 99%, below: 500ms}\n", "")
    loaded = read(tmp_path, HEAD, text=policy)
    code, line, _, words = _one(loaded)
    assert (code, line) == ("wrong-key", 5) and "buckets" in words


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Wrong cases do not hide what is wrong with others, nor with the policy's name."""
    text = HEAD.replace("version: 1\n", "version: 1\npolicy: shp.yaml\n")
    text += "  - name: 2\n    expect: bad\n    signals: {errors: {errors: 5}}\n"
    text += "  - name: first\n    expect: healthy\n    faults: [{what: crash, takes: 3s}]\n"
    loaded = read(tmp_path, text)
    assert loaded.cases == ()
    assert [p.code for p in loaded.problems] == [
        "no-policy",
        "bad-value",
        "bad-value",
        "duplicate-name",
        "no-effect",
    ]
    assert "did you mean 'shop.yaml'" in loaded.problems[0].help
    assert [p.line for p in loaded.problems] == sorted(p.line for p in loaded.problems)


def test_problems_of_the_policy_are_its_own(tmp_path: Path) -> None:
    """An invalid policy is told with its file and line, once, and no case is run."""
    loaded = read(tmp_path, HEAD + CASE + "    expect: healthy\n", text=POLICY + "wach: 1\n")
    assert loaded.cases == ()
    assert [(Path(p.file).name, p.code) for p in loaded.problems] == [("shop.yaml", "unknown-key")]


def test_a_policy_may_be_named(tmp_path: Path) -> None:
    """`policy` names another file, `policies` several that are watched together."""
    (tmp_path / "more.yaml").write_text(
        "version: 1\nsignals: [{name: more, provider: http, url: http://more}]\n"
    )
    text = HEAD.replace("version: 1\n", "version: 1\npolicies: [shop.yaml, more.yaml]\n")
    assert _one(read(tmp_path, text))[0] == "missing-signal"
    loaded = read(tmp_path, text.replace("cases:\n", "    more: {answers: ok}\ncases:\n"))
    assert loaded.problems == ()
    assert [signal.name for signal in loaded.cases[0].policy.signals][-1] == "more"
    both = text.replace("version: 1\n", "version: 1\npolicy: shop.yaml\n")
    assert "either 'policy' or 'policies'" in read(tmp_path, both).problems[0].message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad-type"),
        ("[]", "bad-type"),
        ("version: 1", "missing-key"),
        ("version: 2\ncases: []", "bad-value"),
        ("version: 1\ncases: []", "bad-value"),
        ("version: 1\ncases: {a: b}", "bad-type"),
        ("a: [", "yaml-syntax"),
        ("a: 1\na: 2", "duplicate-key"),
    ],
)
def test_what_is_no_test_file(tmp_path: Path, text: str, code: str) -> None:
    """A file without cases is a problem at its place."""
    loaded = read(tmp_path, text)
    assert code in [p.code for p in loaded.problems]
    assert all("policy needs" not in p.message for p in loaded.problems)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A test file that cannot be read is a problem."""
    assert [p.code for p in inspect(tmp_path / "no.test.yaml").problems] == ["unreadable"]
    (tmp_path / "alone.test.yaml").write_text(HEAD)
    assert (
        "there is no policy alone.yaml" in inspect(tmp_path / "alone.test.yaml").problems[0].message
    )


def test_a_policy_without_tests_is_told(tmp_path: Path) -> None:
    """A policy that is named needs its tests; a file that does not exist is named itself."""
    (tmp_path / "a.yaml").write_text(POLICY)
    files, problems = find([tmp_path / "a.yaml"])
    assert (files, [p.code for p in problems]) == ([], ["no-tests"])
    assert "a.test.yaml" in problems[0].message
    assert find([tmp_path / "b.yaml"]) == ([str(tmp_path / "b.yaml")], [])


def test_a_directory_stands_for_its_tests(tmp_path: Path) -> None:
    """All test files below a directory, hidden ones left out; a policy stands for its own."""
    for name in ("b.test.yaml", "a.yaml", "a.test.yaml", "sub/c.test.yml", ".git/d.test.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    files, problems = find([tmp_path, tmp_path / "a.yaml"])
    assert [str(Path(f).relative_to(tmp_path)) for f in files] == [
        "a.test.yaml",
        "b.test.yaml",
        "sub/c.test.yml",
    ]
    assert problems == []
    _, problems = find([tmp_path / ".git" / ".." / "sub" / "..", tmp_path / "sub"])
    (tmp_path / "empty").mkdir()
    assert [p.code for p in find([tmp_path / "empty"])[1]] == ["no-tests"]


VALUED = POLICY.replace("limit: 5%", 'limit: "{{ values.limit }}"') + (
    "values:\n  limit: {type: percentage, default: 5%}\n"
)


def test_values_of_a_case_win_over_those_of_the_file(tmp_path: Path) -> None:
    """A case may try the policy with other values; without, the file's hold."""
    text = HEAD.replace("defaults:\n", "defaults:\n  values: {limit: 7%}\n")
    text += CASE + "    expect: healthy\n    values: {limit: 9%}\n"
    loaded = read(tmp_path, text, text=VALUED)
    assert loaded.problems == ()
    limits = [getattr(one.policy.signals[0], "limit", None) for one in loaded.cases]
    assert limits == pytest.approx([0.07, 0.09])


def test_a_value_of_the_wrong_type_is_told_where_it_stands(tmp_path: Path) -> None:
    """The place of a wrong value is that in the test file."""
    loaded = read(
        tmp_path, HEAD + CASE + "    expect: healthy\n    values: {limit: x}\n", text=VALUED
    )
    assert [(Path(p.file).name, p.line) for p in loaded.problems] == [("shop.test.yaml", 11)]
