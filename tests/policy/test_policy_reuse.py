"""`extends`: what is inherited, what wins, what cannot be put together, and where that is told."""

import io
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from deploy_guard.check import check
from deploy_guard.errors import ExitCode
from deploy_guard.policy.load import Loaded, dump, inspect, load_all, restore
from deploy_guard.policy.models import HttpSignal, Metrics
from deploy_guard.policy.problems import PolicyError, Severity
from deploy_guard.policy.reading import MAX_BYTES
from deploy_guard.policy.resolved import as_yaml
from deploy_guard.policy.schema import json_schema
from deploy_guard.policy.values import read_values

from .conftest import ReadAll
from .good import GOOD

BASE = """\
version: 1
name: of the base
description: of the base
watch:
  for: 5m
  interval: 10s
rollback: {enabled: false}
prometheus:
  url: http://prometheus:9090
  bearer: {env: PROMETHEUS_TOKEN}
signals:
  - name: errors
    provider: pods
    port: 8080
    ratio: {errors: failed, requests: all}
    limit: 5%
    compare: {ratio: 2, difference: 1%}
  - name: slow
    provider: pods
    port: 8080
    latency: seconds_bucket
    limit: {share: 95%, below: 500ms}
"""
OWN = "version: 1\nextends: base.yaml\n"
ABSTRACT = "version: 1\nabstract: true\n"


def _told(loaded: Loaded) -> list[str]:
    """Return the errors and warnings as ``place code``."""
    shown = [p for p in loaded.problems if p.severity is not Severity.NOTE]
    return [f"{p.place} {p.code}" for p in shown]


def _metrics(loaded: Loaded, position: int = 0) -> Metrics:
    """Return a signal of a policy that has no errors."""
    assert loaded.policy is not None, loaded.problems
    signal = loaded.policy.signals[position]
    assert isinstance(signal, Metrics)
    return signal


def test_a_file_that_only_extends_is_the_base_under_its_own_name(read_all: ReadAll) -> None:
    """All is inherited but the name and the description."""
    loaded = read_all({"checkout.yaml": OWN, "base.yaml": BASE})
    base = read_all({"base.yaml": BASE})
    assert loaded.policy is not None and base.policy is not None
    assert (loaded.policy.name, loaded.policy.description) == ("checkout", "")
    assert loaded.policy == base.policy.model_copy(update={"name": "checkout", "description": ""})


def test_own_keys_of_a_section_win_and_the_others_stay(read_all: ReadAll) -> None:
    """`watch` and `rollback` are merged key by key."""
    own = OWN + "watch: {for: 20m, warm_up: 5s}\nrollback: {enabled: true, timeout: 5m}\n"
    policy = read_all({"own.yaml": own, "base.yaml": BASE}).policy
    assert policy is not None
    assert (policy.watch.duration, policy.watch.interval, policy.watch.warm_up) == (1200, 10, 5)
    assert (policy.rollback.enabled, policy.rollback.timeout) == (True, 300)


def test_a_connection_is_replaced_as_a_whole(read_all: ReadAll) -> None:
    """The token of one file is never sent to the server of another."""
    own = OWN + "prometheus: {url: 'http://other:9090'}\n"
    policy = read_all({"own.yaml": own, "base.yaml": BASE}).policy
    assert policy is not None and policy.prometheus is not None
    assert (policy.prometheus.url, policy.prometheus.bearer) == ("http://other:9090", None)


def test_a_signal_of_the_same_name_has_only_what_differs(read_all: ReadAll) -> None:
    """Own keys win, the order is that of the base, and new signals come after."""
    own = OWN + (
        "signals:\n  - {name: slow, min_requests: 10}\n"
        "  - {name: own, provider: pods, port: 1, value: depth, above: 3}\n"
        "  - {name: errors, limit: 1%}\n"
    )
    loaded = read_all({"own.yaml": own, "base.yaml": BASE})
    assert loaded.policy is not None, loaded.problems
    assert [signal.name for signal in loaded.policy.signals] == ["errors", "slow", "own"]
    assert (_metrics(loaded).limit, _metrics(loaded, 1).min_requests) == (0.01, 10)
    assert _metrics(loaded).ratio is not None


def test_a_mapping_in_a_signal_is_replaced_as_a_whole(read_all: ReadAll) -> None:
    """`compare` of the base does not show through: `difference` is the default again."""
    own = OWN + "signals:\n  - {name: errors, compare: {ratio: 3}}\n"
    compare = _metrics(read_all({"own.yaml": own, "base.yaml": BASE})).compare
    assert compare is not None and not isinstance(compare, bool)
    assert (compare.ratio, compare.difference) == (3, 0.0005)


def test_half_a_mapping_is_an_error_where_it_stands(read_all: ReadAll) -> None:
    """Who writes `ratio` writes all of it; the own file is to blame."""
    own = OWN + "signals:\n  - name: errors\n    ratio:\n      errors: other\n"
    loaded = read_all({"own.yaml": own, "base.yaml": BASE})
    assert _told(loaded) == ["own.yaml:6:7 missing-key"]
    assert "'requests'" in loaded.problems[0].message


def test_a_second_measure_is_an_error_at_the_own_key(read_all: ReadAll) -> None:
    """A signal that has a ratio in the base cannot become a latency by halves."""
    own = OWN + "signals:\n  - name: errors\n    latency: seconds_bucket\n"
    loaded = read_all({"own.yaml": own, "base.yaml": BASE})
    assert _told(loaded) == ["own.yaml:5:5 several-measures"]
    assert "measures 'ratio'" in loaded.problems[0].message
    assert "omit: [errors]" in loaded.problems[0].help


def test_a_misspelled_name_of_a_signal_is_one_problem(read_all: ReadAll) -> None:
    """A signal without a provider has to have the name of an inherited one."""
    own = OWN + "signals:\n  - {name: slwo, min_requests: 10}\n  - {name: queue, above: 1}\n"
    first, second = read_all({"own.yaml": own, "base.yaml": BASE}).problems
    assert (first.place, first.code) == ("own.yaml:4:12", "unknown-signal")
    assert (first.help, second.help) == ("did you mean 'slow'?", "inherited: errors, slow")


def test_an_inherited_signal_that_is_written_twice_is_one_problem(read_all: ReadAll) -> None:
    """The second is no new signal that lacks everything."""
    own = OWN + "signals:\n  - {name: errors, limit: 4%}\n  - {name: errors, port: 1}\n"
    loaded = read_all({"own.yaml": own, "base.yaml": BASE})
    assert _told(loaded) == ["own.yaml:5:12 duplicate-name"]
    assert "taken by the signal at own.yaml:4" in loaded.problems[-1].message


def test_another_provider_is_an_error_at_the_own_key(read_all: ReadAll) -> None:
    """The keys of one provider are not those of another; the same one may be written again."""
    own = OWN + "signals:\n  - {name: slow, provider: http, url: 'http://a'}\n"
    problems = read_all({"own.yaml": own, "base.yaml": BASE}).problems
    assert (problems[0].place, problems[0].code) == ("own.yaml:4:28", "contradiction")
    assert "has the provider 'pods'" in problems[0].message
    assert {problem.file for problem in problems} == {"own.yaml"}
    again = OWN + "signals:\n  - {name: slow, provider: pods, min_requests: 10}\n"
    assert read_all({"own.yaml": again, "base.yaml": BASE}).policy is not None


def test_an_omitted_signal_is_not_inherited(read_all: ReadAll) -> None:
    """What is omitted may be written anew, with nothing of the old one."""
    own = OWN + (
        "omit: [errors, slow]\n"
        "signals:\n  - {name: errors, provider: pods, port: 1, latency: x_bucket}\n"
    )
    loaded = read_all({"own.yaml": own, "base.yaml": BASE})
    assert loaded.policy is not None, loaded.problems
    assert [signal.name for signal in loaded.policy.signals] == ["errors"]
    assert (_metrics(loaded).ratio, _metrics(loaded).limit) == (None, None)


def test_an_inherited_secret_header_goes_to_no_other_url(read_all: ReadAll) -> None:
    """A signal with another `url` has to say which headers are for it."""
    base = "version: 1\nsignals:\n" + (
        "  - name: api\n    provider: http\n    url: http://one/\n"
        "    headers: {Authorization: {env: TOKEN}}\n"
    )
    own = OWN + "signals:\n  - name: api\n    url: http://two/\n"
    loaded = read_all({"own.yaml": own, "base.yaml": base})
    assert _told(loaded) == ["own.yaml:5:5 secret-elsewhere"]
    plain = base.replace("{env: TOKEN}", "text").replace("Authorization", "Accept")
    assert read_all({"own.yaml": own, "base.yaml": plain}).policy is not None
    both = own + "    headers: {Authorization: {env: OTHER}}\n"
    policy = read_all({"own.yaml": both, "base.yaml": base}).policy
    assert policy is not None and isinstance(policy.signals[0], HttpSignal)


def test_fewer_choices_than_the_base_has_but_no_others(read_all: ReadAll) -> None:
    """`one_of` of a base says where its password may go: who extends it cannot add a host."""
    base = "version: 1\nvalues:\n  host: {type: text, default: one, one_of: [one, two]}\n"
    base += "prometheus: {url: 'http://{{ values.host }}', bearer: {env: TOKEN}}\n"
    own = OWN + "values:\n  host: {default: two, one_of: [%s]}\n"
    loaded = read_all({"own.yaml": own % "two", "base.yaml": base})
    assert loaded.policy is not None and loaded.policy.prometheus is not None
    assert loaded.policy.prometheus.url == "http://two"
    loaded = read_all({"own.yaml": own % "two, three", "base.yaml": base})
    assert _told(loaded)[1:] == ["own.yaml:4:38 conflict"]
    assert "allows more than base.yaml:3" in loaded.problems[1].message


def test_connections_are_shared_by_a_file_of_their_own(read_all: ReadAll) -> None:
    """Two files are extended together: one has the connection, the other the signals."""
    files = {
        "own.yaml": "version: 1\nextends: [connections.yaml, signals.yaml]\n",
        "connections.yaml": "version: 1\nprometheus: {url: 'http://prometheus:9090'}\n",
        "signals.yaml": "version: 1\nsignals:\n"
        "  - {name: a, provider: prometheus, value: 'max(x)', above: 1}\n",
    }
    policy = read_all(files).policy
    assert policy is not None and policy.prometheus is not None
    assert [signal.name for signal in policy.signals] == ["a"]


def test_files_that_are_extended_together_must_not_contradict_each_other(
    read_all: ReadAll,
) -> None:
    """Another section or a second signal of one name is an error; the same in words is none."""
    own = "version: 1\nextends: [base.yaml, other.yaml]\n"
    other = "version: 1\nwatch: {for: 300s, interval: 10s}\n"
    files = {"own.yaml": own, "base.yaml": BASE, "other.yaml": other}
    assert read_all(files).policy is not None
    loaded = read_all({**files, "other.yaml": "version: 1\nwatch: {for: 6m}\n"})
    assert _told(loaded) == ["other.yaml:2:1 conflict"]
    assert "base.yaml:4" in loaded.problems[0].message
    assert "own.yaml:2 extends both" in loaded.problems[0].message
    signal = "version: 1\nsignals:\n  - {name: slow, provider: pods, port: 1, latency: b}\n"
    assert _told(read_all({**files, "other.yaml": signal})) == ["other.yaml:3:12 duplicate-name"]


@pytest.mark.parametrize(
    ("own", "place", "said", "help"),
    [
        ("extends: zzz", "own.yaml:2:10", "does not exist", "relative to"),
        ("extends: bsae.yaml", "own.yaml:2:10", "does not exist", "did you mean 'base.yaml'?"),
        ("extends: folder", "own.yaml:2:10", "is a directory", "name each file"),
        ("extends: own.yaml", "own.yaml:2:10", "cannot extend itself", "remove it"),
        ("extends: ./own.yaml", "own.yaml:2:10", "cannot extend itself", "remove it"),
        ("extends: [base.yaml, ./base.yaml]", "own.yaml:2:22", "extended twice", "remove it"),
        ("extends: second.yaml", "own.yaml:2:10", "extends files itself", "second.yaml:2:10"),
        ("extends: cycle.yaml", "own.yaml:2:10", "extends files itself", "extend them here"),
        ("extends: '{{ values.a }}'", "own.yaml:2:10", "values cannot be used", "name of"),
        ("extends: '-'", "own.yaml:2:10", "not the name of a file", ""),
        ('extends: "a\\0b"', "own.yaml:2:10", "not the name of a file", ""),
        ("extends: /dev/null", "own.yaml:2:10", "not a regular file", ""),
        ("extends: key.pem", "own.yaml:2:10", "is no policy file", ""),
        ("extends: key.yaml", "own.yaml:2:10", "is no policy file", ""),
        ("extends: gone.yaml", "own.yaml:2:10", "a link that leads to no file", ""),
        ("extends: list.yaml", "own.yaml:2:10", "expected a mapping", ""),
        ("extends: empty.yaml", "own.yaml:2:10", "expected a mapping", ""),
        ("extends: [a, b, c, d, e, f, g, h, i, j, k]", "own.yaml:2:10", "at most", ""),
        ("extends: {base: base.yaml}", "own.yaml:2:10", "expected a list", ""),
        ("extends: ''", "own.yaml:2:1", "at least", ""),
        ("extends:", "own.yaml:2:1", "has no value", "remove it"),
        ("abstract: yes", "own.yaml:2:11", "expected true or false", "write true"),
        ("omit: [slow]", "own.yaml:2:8", "no inherited signal", ""),
        ("extends: base.yaml\nomit: [solw]", "own.yaml:3:8", "no inherited", "mean 'slow'?"),
        ("extends: base.yaml\nomit: [queue]", "own.yaml:3:8", "no inherited", "errors, slow"),
        ("extends: base.yaml\nomit: slow", "own.yaml:3:7", "expected a list", "[slow]"),
        ("extedns: base.yaml", "own.yaml:2:1", "unknown key", "did you mean 'extends'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_extended(
    own: str, place: str, said: str, help: str, read_all: ReadAll
) -> None:
    """Each is one error at the line that says it, with what to do; other files are not shown."""
    Path("key.yaml").symlink_to("key.pem")
    Path("gone.yaml").symlink_to("gone.yaml")
    files = {
        "own.yaml": f"version: 1\n{own}\n",
        "key.pem": "hunter2: x\n",
        "base.yaml": BASE,
        "second.yaml": "version: 1\nextends: base.yaml\n",
        "cycle.yaml": "version: 1\nextends: own.yaml\n",
        "list.yaml": "- a\n",
        "empty.yaml": "",
        "folder/a.yaml": BASE,
    }
    (problem,) = [p for p in read_all(files).problems if p.severity is Severity.ERROR]
    assert problem.place == place
    assert said in problem.message
    assert help in problem.help
    assert "hunter2" not in repr(problem)


@pytest.mark.parametrize(
    ("old", "new", "place", "code"),
    [
        ("interval: 10s", "interval: 10", "base.yaml:6:13", "bad-value"),
        ("interval: 10s", "intreval: 10s", "base.yaml:6:3", "unknown-key"),
        ("interval: 10s", "interval: 20m", "base.yaml:6:13", "never-fires"),
        ("limit: 5%", "limit: 100%", "base.yaml:16:12", "never-fires"),
        ("errors: failed", "errors: 'failed{'", "base.yaml:15:28", "query"),
        ("port: 8080\n    latency", "latency", "base.yaml:18:5", "missing-key"),
        ("{env: PROMETHEUS_TOKEN}", "hunter2-Zm9v", "base.yaml:10:11", "bad-type"),
        ("version: 1", "version: 2", "base.yaml:1:10", "bad-value"),
        ("version: 1\n", "", "base.yaml:1:1", "missing-key"),
        ("name: slow", "name: *slow", "base.yaml:18:11", "unknown-anchor"),
        ("interval: 10s", "interval: 10s\n  interval: 10s", "base.yaml:7:3", "duplicate-key"),
        ("interval: 10s", "interval:", "base.yaml:6:3", "empty-value"),
    ],
)
def test_a_mistake_of_the_base_is_told_in_the_base(
    old: str, new: str, place: str, code: str, read_all: ReadAll
) -> None:
    """File, line and column are those of the text that is wrong; no secret is shown."""
    assert BASE.count(old) == 1
    base = BASE.replace(old, new)
    loaded = read_all({"own.yaml": OWN + "watch: {warm_up: 5s}\n", "base.yaml": base})
    assert loaded.policy is None
    errors = [p for p in loaded.problems if p.severity is Severity.ERROR]
    assert [(p.place, p.code) for p in errors] == [(place, code)]
    line = base.splitlines()[errors[0].line - 1]
    assert errors[0].source == line or "***" in errors[0].source
    assert "hunter2" not in repr(loaded.problems)


def test_mistakes_of_both_files_are_told_at_once(read_all: ReadAll) -> None:
    """One run has the own mistakes and those of the base."""
    own = OWN + "watch: {warm_up: 5}\nsignals:\n  - {name: errors, limit: 5}\n"
    base = BASE.replace("interval: 10s", "interval: 10")
    loaded = read_all({"own.yaml": own, "base.yaml": base})
    assert _told(loaded) == [
        "base.yaml:6:13 bad-value",
        "own.yaml:3:18 bad-value",
        "own.yaml:5:27 bad-value",
    ]


def test_what_is_replaced_is_not_judged(read_all: ReadAll) -> None:
    """A key of the base that the own file replaces need not be right for it."""
    own = OWN + "watch: {interval: 10s}\n"
    base = BASE.replace("interval: 10s", "interval: 20m")
    assert read_all({"own.yaml": own, "base.yaml": base}).policy is not None


def test_a_wrong_kind_of_section_is_told_though_the_other_is_right(read_all: ReadAll) -> None:
    """A text cannot be merged with a mapping, on either side."""
    for own, base, place in (
        (OWN + "watch: 5m\n", BASE, "own.yaml:3:8"),
        (OWN + "watch: {for: 5m}\n", "version: 1\nwatch: 5m\n", "base.yaml:2:8"),
        (OWN + "signals: {}\n", BASE, "own.yaml:3:10"),
        (OWN + "signals: []\n", "version: 1\nsignals: {}\n", "base.yaml:2:10"),
    ):
        errors = [p for p in read_all({"own.yaml": own, "base.yaml": base}).problems
                  if p.severity is Severity.ERROR]  # fmt: skip
        assert [(p.place, p.code) for p in errors] == [(place, "bad-type")]


def test_paths_are_relative_to_the_file_that_says_them(read_all: ReadAll) -> None:
    """Not to the current directory; from standard input they are."""
    own = "version: 1\nextends: ../base.yaml\n"
    files = {"a/b/own.yaml": own, "a/base.yaml": BASE}
    assert read_all(files).policy is not None
    loaded = inspect(["-"], stdin=io.BytesIO(b"version: 1\nextends: a/base.yaml\n"))
    assert loaded.policy is not None and loaded.policy.name == "stdin"
    edited = inspect(["-"], stdin=io.BytesIO(own.encode()), stdin_name="a/b/own.yaml")
    assert edited.policy is not None


def test_a_link_to_a_folder_leads_to_the_same_base(read_all: ReadAll) -> None:
    """A policy is the same by whatever way it is reached."""
    files = {
        "services/shop/own.yaml": "version: 1\nextends: ../base.yaml\n",
        "services/base.yaml": "version: 1\nwatch: {for: 4m}\n",
        "base.yaml": "version: 1\nwatch: {for: 3m}\n",
    }
    Path("link").symlink_to("services/shop")
    for name in ("services/shop/own.yaml", "link/own.yaml"):
        policy = read_all(files, only=name).policy
        assert policy is not None and policy.watch.duration == 240


def test_own_key_anchors_do_not_leave_their_file(read_all: ReadAll) -> None:
    """Keys that begin with x- are not inherited; what they were used for is."""
    base = "version: 1\nx-all: &all {provider: pods, port: 1}\nsignals:\n" + (
        "  - {<<: *all, name: a, value: depth, above: 1}\n"
    )
    assert read_all({"own.yaml": OWN, "base.yaml": base}).policy is not None


def test_two_services_of_one_base_are_one_policy_if_they_agree(read_all: ReadAll) -> None:
    """With several -p the rule of several files holds for what has come out."""
    base = "version: 1\nwatch: {for: 5m}\n"
    signal = "signals:\n  - {{name: {name}, provider: pods, port: 1, value: x, above: 1}}\n"
    files = {
        "a.yaml": OWN + signal.format(name="a"),
        "b.yaml": OWN + signal.format(name="b"),
        "base.yaml": base,
    }
    both = ["a.yaml", "b.yaml"]
    policy = read_all(files, only=both).policy
    assert policy is not None and policy.name == "a, b" and policy.watch.duration == 300
    files["b.yaml"] += "watch: {interval: 5s}\n"
    loaded = read_all(files, only=both)
    assert [p.code for p in loaded.problems] == ["conflict"]
    assert loaded.problems[0].place == "b.yaml:5:1"


def test_a_signal_that_two_policies_inherit_is_told_where_they_extend(read_all: ReadAll) -> None:
    """With several -p it would be watched twice; the second file has to leave it out."""
    files = {"a.yaml": OWN + "omit: [slow]\n", "b.yaml": OWN, "base.yaml": BASE}
    (problem,) = read_all(files, only=["a.yaml", "b.yaml"]).problems
    assert (problem.place, problem.code) == ("b.yaml:2:1", "duplicate-name")
    assert problem.message == "'errors' of base.yaml:12 is inherited here, and by a.yaml"
    files["b.yaml"] += "omit: [errors]\n"
    assert read_all(files, only=["a.yaml", "b.yaml"]).policy is not None


@pytest.mark.parametrize(
    "rest",
    [
        "watch: {interval: 20m}\n",
        "signals:\n  - {name: errors, limit: 5%}\n",
        "signals:\n  - {name: errors, provider: prometheus, value: 'max(x)'}\n",
        "signals:\n  - {name: errors, provider: pods, value: x, above: 1}\n",
        "signals:\n  - {name: errors, provider: pods, port: 1, compare: false, latency: x}\n",
        "hold: {for: 20m}\n",
        "rollback: {enabled: false, timeout: 5m}\n",
        "values: {limit: {type: percentage}}\n",
    ],
)
def test_an_abstract_policy_need_not_be_complete(rest: str, read_all: ReadAll) -> None:
    """A check has nothing to say of what an extending file can still bring."""
    loaded = read_all({"base.yaml": ABSTRACT + rest}, abstract_too=True)
    assert (loaded.problems, loaded.abstract) == ((), True)
    assert loaded.policy is not None


@pytest.mark.parametrize(
    ("rest", "place", "code"),
    [
        ("watch: {interval: 20}\n", "base.yaml:3:19", "bad-value"),
        ("wacth: {}\n", "base.yaml:3:1", "unknown-key"),
        ("prometheus: {bearer: {env: A}}\n", "base.yaml:3:13", "missing-key"),
        ("signals:\n  - {limit: 5%, provider: pods}\n", "base.yaml:4:5", "missing-key"),
        ("signals:\n  - {name: a, limit: 5, provider: pods}\n", "base.yaml:4:22", "bad-value"),
        ("signals:\n  - {name: a, ratio: {errors: x}, provider: pods}\n", "base.yaml:4:22", ""),
    ],
)
def test_what_is_wrong_in_an_abstract_policy_is_told(
    rest: str, place: str, code: str, read_all: ReadAll
) -> None:
    """A wrong value stays wrong, and a connection is whole or not there."""
    loaded = read_all({"base.yaml": ABSTRACT + rest}, abstract_too=True)
    errors = [p for p in loaded.problems if p.severity is Severity.ERROR]
    assert place in [p.place for p in errors], errors
    assert code in "".join(p.code for p in errors)


def test_an_abstract_policy_is_not_watched_with(read_all: ReadAll, tmp_path: Path) -> None:
    """Used as a policy it is an error at `abstract`, alone or beside others."""
    read_all({"base.yaml": ABSTRACT, "own.yaml": "version: 1\nextends: base.yaml\n"})
    with pytest.raises(PolicyError) as raised:
        load_all(["base.yaml", "own.yaml"])
    (problem, *_) = raised.value.problems
    assert (problem.place, problem.code) == ("base.yaml:2:1", "abstract")
    assert "extends:" in problem.help
    report = check([tmp_path])
    assert report.exit_code is ExitCode.OK
    assert {file.path.rpartition("/")[2]: file.abstract for file in report.files} == {
        "base.yaml": True,
        "own.yaml": False,
    }


def test_who_extends_is_complete(read_all: ReadAll) -> None:
    """What an abstract base leaves open is demanded of the file that extends it."""
    base = ABSTRACT + "signals:\n  - {name: errors, provider: pods, limit: 5%}\n"
    loaded = read_all({"own.yaml": OWN, "base.yaml": base})
    assert _told(loaded) == ["base.yaml:4:5 missing-key"]
    own = OWN + "signals:\n  - {name: errors, port: 1}\n"
    loaded = read_all({"own.yaml": own, "base.yaml": base})
    assert _told(loaded) == ["own.yaml:4:5 no-measure"]


def test_a_large_base_is_bounded(read_all: ReadAll) -> None:
    """A base has the bounds of any policy: bytes, values, depth."""
    large = {
        "#" * (MAX_BYTES + 1): "too-large",
        "version: 1\nx: [" + "a, " * 30_000 + "]\n": "too-large",
        "version: 1\nx: " + "[" * 200 + "]" * 200 + "\n": "too-deep",
    }
    for base, code in large.items():
        (problem,) = read_all({"own.yaml": OWN, "base.yaml": base}).problems
        assert (problem.file, problem.code) == ("base.yaml", code)


def test_hundreds_of_inherited_signals_and_wrong_names_are_bounded(read_all: ReadAll) -> None:
    """Thousands of mistakes are cut; nothing takes its time."""
    signals = "".join(
        f"  - {{name: s{n}, provider: pods, port: 1, value: x, above: 1}}\n" for n in range(800)
    )
    own = OWN + "omit: [" + ", ".join(f"t{n}" for n in range(4000)) + "]\nsignals:\n"
    own += "".join(f"  - {{name: s{n}, above: 2}}\n" for n in range(800))
    loaded = read_all({"own.yaml": own, "base.yaml": f"version: 1\nsignals:\n{signals}"})
    assert len(loaded.problems) == 101
    assert loaded.problems[-1].message == "3900 more problems are not shown"


def test_a_resolved_policy_is_kept_as_one(read_all: ReadAll) -> None:
    """In a record the policy is what has come out, with no trace of how it was made."""
    loaded = read_all({"own.yaml": OWN, "base.yaml": BASE})
    assert loaded.policy is not None
    document = dump(loaded.policy)
    assert {"extends", "omit", "abstract", "values"}.isdisjoint(document)
    assert restore(document) == loaded.policy


def test_the_good_policy_can_be_extended(read_all: ReadAll) -> None:
    """Any complete policy is a base, too."""
    loaded = read_all({"own.yaml": OWN, "base.yaml": GOOD})
    assert loaded.problems == ()
    assert loaded.policy is not None and len(loaded.policy.signals) == 5


SHOP = Path(__file__).parents[2] / "examples/policies/shop"


@pytest.mark.parametrize("text", [GOOD, BASE])
@pytest.mark.parametrize("equals", ["ok", "'5'", "'1e3'", "'null'", "5", "0.5", "true"])
def test_a_policy_as_yaml_again_is_the_same(text: str, equals: str, read_all: ReadAll) -> None:
    """What `--resolved` prints is read as the policy that it was, and needs no other file."""
    policy = read_all({"a.yaml": text.replace("equals: ok", f"equals: {equals}")}).policy
    assert policy is not None
    again = read_all({"b.yaml": as_yaml(policy)})
    assert again.problems == ()
    assert again.policy == policy


@pytest.mark.parametrize("name", ["checkout", "mailer"])
def test_an_example_is_the_same_when_it_is_resolved(name: str, read_all: ReadAll) -> None:
    """The services of the examples, with the values of production."""
    values = read_values([SHOP / "prod.values.yaml"])
    policy = load_all([SHOP / f"{name}.yaml"], values=values)
    assert policy.prometheus is not None
    assert policy.prometheus.url == "http://prometheus.production.example:9090"
    assert (policy.name, policy.watch.duration) == (name, 600)
    assert read_all({f"{name}.yaml": as_yaml(policy)}).policy == policy


def test_the_files_of_the_example_are_valid() -> None:
    """Neither `guard check`, with values and without, nor the schema finds anything."""
    for values in (None, read_values([SHOP / "prod.values.yaml"])):
        report = check([SHOP], values=values)
        assert [problem for file in report.files for problem in file.problems] == []
        assert len(report.files) == 4
    validator = Draft202012Validator(json_schema())
    for file in report.files:
        document = yaml.safe_load(Path(file.path).read_text())
        assert [error.message for error in validator.iter_errors(document)] == []
