"""Values: declared with a type, given by --set and --values, put into scalars and nowhere else."""

import time
from pathlib import Path

import pytest

from deploy_guard.errors import UsageError
from deploy_guard.policy.load import Loaded, load_all
from deploy_guard.policy.models import HttpSignal, Metrics
from deploy_guard.policy.problems import PolicyError, Problem, Severity, render
from deploy_guard.policy.promql import parse_selector
from deploy_guard.policy.values import read_values

from .conftest import ReadAll

POLICY = """\
version: 1
values:
  error_limit: {type: percentage, default: 5%}
  length: {type: duration, default: 10m}
  label: {type: text, default: prod}
  metric: {type: text, default: failed_total}
  depth: {type: number, default: 1.5}
  restarts: {type: integer, default: 2}
  enabled: {type: boolean, default: true}
watch:
  for: "{{ values.length }}"
rollback:
  enabled: "{{ values.enabled }}"
kubernetes:
  restarts: '{{values.restarts}}'
prometheus:
  url: http://prometheus.{{ values.label }}:9090
  headers: {X-Scope-OrgID: "{{ values.label }}"}
signals:
  - name: errors
    provider: prometheus
    ratio:
      errors: sum by (pod) ({{ values.metric }}{env="{{ values.label }}", pod=~"{{ pods }}"})
      requests: sum by (pod) (all_total{env='{{ values.label }}'})
    limit: "{{ values.error_limit }}"
  - name: depth
    provider: prometheus
    value: max_over_time(depth{env=`{{ values.label }}`}[{{ values.length }}]) / {{ values.depth }}
    above: "{{ values.depth }}"
"""
HEAD = "version: 1\nvalues:\n  x: {type: text, default: a}\n"
SIGNAL = "signals:\n  - {name: a, provider: prometheus, above: 1, value: '%s'}\n"


def _errors(loaded: Loaded) -> list[Problem]:
    """Return the errors of a file."""
    return [problem for problem in loaded.problems if problem.severity is Severity.ERROR]


def _error(loaded: Loaded) -> Problem:
    """Return the only error of a file."""
    (problem,) = _errors(loaded)
    return problem


def _metrics(loaded: Loaded, position: int = 0) -> Metrics:
    """Return a signal of a policy that has no errors."""
    assert loaded.policy is not None, render(loaded.problems)
    signal = loaded.policy.signals[position]
    assert isinstance(signal, Metrics)
    return signal


def test_values_are_put_in_before_anything_is_checked(read_all: ReadAll) -> None:
    """Alone in a scalar a value has the type of its place; in a text it is a part of it."""
    loaded = read_all({"policy.yaml": POLICY})
    assert loaded.problems == ()
    policy, errors, depth = loaded.policy, _metrics(loaded), _metrics(loaded, 1)
    assert policy is not None and policy.prometheus is not None
    assert (policy.watch.duration, policy.rollback.enabled) == (600, True)
    assert policy.kubernetes.restarts == 2
    assert policy.prometheus.url == "http://prometheus.prod:9090"
    assert policy.prometheus.headers == {"X-Scope-OrgID": "prod"}
    assert errors.ratio is not None
    assert errors.ratio.errors == 'sum by (pod) (failed_total{env="prod", pod=~"{{ pods }}"})'
    assert (errors.limit, depth.above) == (0.05, 1.5)
    assert depth.value == "max_over_time(depth{env=`prod`}[10m]) / 1.5"


def test_a_later_file_wins_and_set_wins_over_all(read_all: ReadAll) -> None:
    """Files in their order, then --set; what none of them has is the default."""
    files = {
        "policy.yaml": POLICY,
        "a.values.yaml": "error_limit: 1%\nlabel: one\ndepth: 3\n",
        "b.values.yaml": "label: two\nrestarts: 4\n",
    }
    loaded = read_all(files, "restarts=7", "length=1h")
    policy = loaded.policy
    assert policy is not None and policy.prometheus is not None
    assert policy.prometheus.url == "http://prometheus.two:9090"
    assert (policy.kubernetes.restarts, policy.watch.duration) == (7, 3600)
    assert (_metrics(loaded).limit, _metrics(loaded, 1).above) == (0.01, 3)
    assert (_metrics(loaded, 1).value or "").endswith("[1h]) / 3")


def test_values_of_a_base_are_inherited_with_another_default(read_all: ReadAll) -> None:
    """The type stays; what is given wins over both defaults."""
    own = "version: 1\nextends: base.yaml\nvalues: {error_limit: {default: 2%}}\n"
    files = {"own.yaml": own, "base.yaml": POLICY}
    assert _metrics(read_all(files)).limit == 0.02
    assert _metrics(read_all(files, "error_limit=3%")).limit == 0.03
    assert _metrics(read_all({"base.yaml": POLICY})).limit == 0.05
    other = own.replace("{default: 2%}", "{type: text, default: x}")
    problem = _errors(read_all({"own.yaml": other, "base.yaml": POLICY}))[0]
    assert (problem.place, problem.code) == ("own.yaml:3:30", "conflict")
    assert "base.yaml:3" in problem.message


def test_a_value_of_the_wrong_type_is_told_where_it_was_given(read_all: ReadAll) -> None:
    """The file of values with line and column, or --set; and where it is declared."""
    files = {"policy.yaml": POLICY, "prod.values.yaml": "label: a\nerror_limit: 5\n"}
    problem = _error(read_all(files))
    assert problem.place == "prod.values.yaml:2:14"
    assert (problem.source, problem.length) == ("error_limit: 5", 1)
    assert "declared in policy.yaml:3" in problem.message and "got '5'" in problem.message
    assert problem.help == "write 5%"
    problem = _error(read_all(files, "error_limit=high"))
    assert problem.place == "--set error_limit"
    assert "expected a percentage with its sign, got 'high'" in problem.message


def test_a_value_in_a_place_of_another_type_names_both_places(read_all: ReadAll) -> None:
    """A percentage cannot be a duration: the value's place, and where it is used."""
    text = POLICY.replace('for: "{{ values.length }}"', 'for: "{{ values.error_limit }}"')
    text = text.replace("[{{ values.length }}]", "[5m]").replace(
        "  length: {type: duration, default: 10m}\n", ""
    )
    problem = _error(read_all({"policy.yaml": text}))
    assert problem.place == "policy.yaml:3:44"
    assert problem.message == (
        "'for': expected a duration with its unit, got '5%' "
        "(the value 'error_limit', used in policy.yaml:10:8)"
    )
    problem = _error(read_all({"policy.yaml": text}, "error_limit=7%"))
    assert problem.place == "--set error_limit"
    assert "used in policy.yaml:10:8" in problem.message


def test_a_rule_that_a_value_breaks_is_told_where_it_was_given(read_all: ReadAll) -> None:
    """A limit that can never be passed, by the value of one environment."""
    files = {"policy.yaml": POLICY, "prod.values.yaml": "error_limit: 100%\n"}
    problem = _error(read_all(files))
    assert (problem.place, problem.code) == ("prod.values.yaml:1:14", "never-fires")
    assert "used in policy.yaml:25:12" in problem.message


def test_what_is_wrong_within_a_text_is_told_at_its_character(read_all: ReadAll) -> None:
    """Also behind a value that is longer or shorter than its name; the values are named."""
    query = 'sum(x{a="{{ values.x }}", b="{{ nmae }}"})'
    text = HEAD + "prometheus: {url: 'http://a:1'}\n" + SIGNAL % query
    for given in ([], ["x=a-very-long-value-that-moves-everything"]):
        loaded = read_all({"policy.yaml": text}, *given)
        problem = _error(loaded)
        assert problem.source[problem.caret :][: problem.length] == "nmae"
        assert (problem.code, problem.help) == ("template", "did you mean 'name'?")
        assert "with the value 'x' from" in problem.message


@pytest.mark.parametrize(
    ("declaration", "place", "code", "said"),
    [
        ("{}", "policy.yaml:3:3", "missing-key", "needs the key 'type'"),
        ("{type: percent}", "policy.yaml:3:13", "bad-value", "got 'percent'"),
        ("{type: percentage, defualt: 5%}", "policy.yaml:3:25", "unknown-key", "'defualt'"),
        ("{type: percentage, default: 5}", "policy.yaml:3:34", "bad-value", "with its sign"),
        ("{type: duration, default: 5%}", "policy.yaml:3:32", "bad-value", "with its unit"),
        ("{type: integer, default: 1.5}", "policy.yaml:3:31", "bad-value", "whole number"),
        ("{type: number, default: ten}", "policy.yaml:3:30", "bad-value", "a number"),
        ("{type: boolean, default: yes}", "policy.yaml:3:31", "bad-value", "true or false"),
        ("{type: text, default: [a]}", "policy.yaml:3:28", "bad-value", "expected a text"),
        ("{type: text, default: '{{ name }}'}", "policy.yaml:3:28", "bad-value", "cannot contain"),
        ('{type: text, default: "a\\nb"}', "policy.yaml:3:28", "bad-value", "on one line"),
        ("{type: text, default: c, one_of: [a, b]}", "policy.yaml:3:28", "bad-value", "'one_of'"),
        ("{type: integer, one_of: [1, b]}", "policy.yaml:3:34", "bad-value", "whole number"),
        ("{type: text, one_of: []}", "policy.yaml:3:27", "bad-value", "at least"),
        ("{type: text, default: }", "policy.yaml:3:19", "empty-value", "'default' has no value"),
        ("5%", "policy.yaml:3:6", "bad-type", "expected a mapping"),
        ("{type: text}", "policy.yaml:3:3", "missing-value", "was not given"),
    ],
)
def test_what_is_wrong_with_a_declaration(
    declaration: str, place: str, code: str, said: str, read_all: ReadAll
) -> None:
    """One problem at its place, and none where the value is used."""
    text = f"version: 1\nvalues:\n  x: {declaration}\nwatch: {{for: '{{{{ values.x }}}}'}}\n"
    text += SIGNAL % "max(a)" + "prometheus: {url: 'http://{{ values.x }}:1'}\n"
    loaded = read_all({"policy.yaml": text})
    found = [p for p in _errors(loaded) if p.code != "missing-value" or code == "missing-value"]
    assert [(p.place, p.code) for p in found] == [(place, code)]
    assert said in found[0].message


@pytest.mark.parametrize("name", ["a-b", "1a", "ä", "a b", "a.b", "x" * 64])
def test_names_of_values_are_words(name: str, read_all: ReadAll) -> None:
    """Letters, digits and _: such a name needs no quotes anywhere."""
    text = f"version: 1\nvalues:\n  {name}: {{type: text, default: a}}\n"
    assert (_error(read_all({"policy.yaml": text})).place) == "policy.yaml:3:3"


@pytest.mark.parametrize("name", ["token", "api_key", "db_password", "client_secret"])
def test_a_value_is_no_secret(name: str, read_all: ReadAll) -> None:
    """The name of a secret is refused, and what stands there is not shown."""
    text = f"version: 1\nvalues:\n  {name}: {{type: text, default: hunter2-Zm9v}}\n"
    loaded = read_all({"policy.yaml": text})
    assert [p.code for p in _errors(loaded)] == ["secret-value"]
    assert "hunter2" not in repr(loaded.problems)


@pytest.mark.parametrize(
    "place",
    [
        "prometheus: {url: 'http://a:1', bearer: %s}",
        "prometheus: {url: 'http://a:1', bearer: {env: %s}}",
        "prometheus: {url: 'http://a:1', basic: {username: a, password: %s}}",
        "prometheus: {url: 'http://a:1', basic: {username: a, password: {env: %s}}}",
        "prometheus: {url: 'http://a:1', headers: {Authorization: %s}}",
        "prometheus: {url: 'http://a:1', headers: {X-Api-Key: %s}}",
        "prometheus: {url: 'http://a:1', headers: {X-Scope-OrgID: {env: %s}}}",
        "signals: [{name: a, provider: http, url: 'http://a', headers: {Cookie: %s}}]",
    ],
)
@pytest.mark.parametrize("written", ["'{{ values.x }}'", "'Bearer {{ values.x }}'"])
def test_a_secret_is_never_a_value(place: str, written: str, read_all: ReadAll) -> None:
    """Where a secret is expected a value is refused, and not shown, wherever it was given."""
    text = HEAD.replace("default: a", "default: hunter2-Zm9v") + place % written + "\n"
    given = {"policy.yaml": text, "prod.values.yaml": "x: hunter2-Zm9v\n"}
    for files in ({"policy.yaml": text}, given):
        loaded = read_all(files)
        problem = _error(loaded)
        assert (problem.code, problem.line) == ("secret-value", 4)
        assert problem.help == "write {env: NAME} or {file: PATH}"
        assert "hunter2" not in render(loaded.problems) + repr(loaded.problems)


def test_the_file_of_a_secret_may_be_of_an_environment(read_all: ReadAll) -> None:
    """The path is no secret; neither are a user's name, a URL and a tenant."""
    text = HEAD + (
        "prometheus:\n  url: http://{{ values.x }}:1\n"
        "  basic: {username: '{{ values.x }}', password: {file: '/run/{{ values.x }}/word'}}\n"
        "  headers: {X-Scope-OrgID: '{{ values.x }}'}\n"
    )
    policy = read_all({"policy.yaml": text}, "x=prod").policy
    assert policy is not None and policy.prometheus is not None
    basic = policy.prometheus.basic
    assert basic is not None
    assert (basic.username, basic.password.file) == ("prod", "/run/prod/word")


def test_credentials_in_the_value_of_a_url_are_not_shown(read_all: ReadAll) -> None:
    """They are refused as in any URL."""
    text = HEAD + "prometheus: {url: '{{ values.x }}'}\n"
    url = "http://admin:hunter2-Zm9v@host"
    loaded = read_all({"policy.yaml": text, "a.values.yaml": f"x: {url}\n"})
    assert [p.code for p in _errors(loaded)] == ["literal-secret"]
    assert "hunter2" not in render(loaded.problems) + repr(loaded.problems)
    loaded = read_all({"policy.yaml": text}, f"x={url}")
    assert "hunter2" not in render(loaded.problems) + repr(loaded.problems)


@pytest.mark.parametrize(
    "value", ['a"b', "a'b", "a\\b", 'a\\"b', '"} or vector(1) #', "a}b", "a # b", "\\"]
)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_value_never_ends_the_quotes_of_a_query(
    value: str, quote: str, read_all: ReadAll
) -> None:
    """Whatever it is, the label has exactly this value: a real reader of selectors agrees."""
    query = f"x{{a={quote}{{{{ values.x }}}}{quote},b={quote}1{quote}}}"
    text = "version: 1\nvalues: {x: {type: text}}\nsignals:\n  - name: a\n"
    text += f"    provider: pods\n    port: 1\n    above: 1\n    value: |-\n      {query}\n"
    signal = _metrics(read_all({"policy.yaml": text}, f"x={value}"))
    selector = parse_selector(signal.value or "")
    assert [(m.label, m.value) for m in selector.matchers] == [("a", value), ("b", "1")]


@pytest.mark.parametrize(
    ("query", "type", "value", "said"),
    [
        ("x{a=`{{ values.x }}`}", "text", "a`b", "has a ` in it"),
        (r'x{a="\{{ values.x }}"}', "text", '"} or y #', "behind a backslash"),
        ("{{ values.x }}", "text", "x{", "is not closed"),
        ("{{ values.x }}_total", "text", "x{a=", "expected a name"),
        ("max({{ values.x }})", "text", "x) or (y", "expected a name"),
        ("max({{ values.x }})", "text", "a b", "expected a name"),
        ("max({{ values.x }})", "text", "", "expected a name"),
        ("max(a) > {{ values.x }}", "percentage", "5%", "is a percentage"),
        ("max(a) > {{ values.x }}", "boolean", "true", "is a boolean"),
        ('max(a{x="{{ values.x }}"}) # {{ values.x }}', "text", "a) b", "expected a name"),
        ("max(a{{{ values.x }} pods }})", "text", "{", "expected a name"),
        ("max(a{b=\"{{{ values.x }} pods }}\"})", "text", "{", "may not make template"),
    ],
)  # fmt: skip
def test_outside_of_quotes_a_value_is_a_name_or_a_number(
    query: str, type: str, value: str, said: str, read_all: ReadAll
) -> None:
    """Nothing else can stand there; both places are named."""
    text = f"version: 1\nvalues: {{x: {{type: {type}}}}}\nprometheus: {{url: 'http://a:1'}}\n"
    text += "signals:\n  - name: a\n    provider: prometheus\n    above: 1\n"
    text += f"    value: |-\n      {query}\n"
    problem = _error(read_all({"policy.yaml": text}, f"x={value}"))
    assert said in problem.message
    assert "policy.yaml:8:12" in f"{problem.place} {problem.message}"


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        ("number", "1e3", "max(a) > 1e3"),
        ("integer", "-5", "max(a) > (-5)"),
        ("duration", "1.5h", "max(a) > 1h30m"),
        ("text", "other_metric:rate5m", "max(a) > other_metric:rate5m"),
    ],
)
def test_names_numbers_and_durations_stand_in_a_query(
    type: str, value: str, expected: str, read_all: ReadAll
) -> None:
    """A duration is written as PromQL has it, and a sign belongs to its number: -5 ^ 2 is -25."""
    text = f"version: 1\nvalues: {{x: {{type: {type}}}}}\nprometheus: {{url: 'http://a:1'}}\n"
    loaded = read_all({"policy.yaml": text + SIGNAL % "max(a) > {{ values.x }}"}, f"x={value}")
    assert _metrics(loaded).value == expected


@pytest.mark.parametrize(
    "value", ["{a: b}", "[1]", "a: b", "- a", "null", "~", "true", "5m", "# x", "&a", "*a", "!x"]
)
def test_a_value_is_never_structure(value: str, read_all: ReadAll) -> None:
    """A text that YAML would read as more stays that text."""
    text = "version: 1\nvalues: {x: {type: text}}\nsignals:\n  - name: a\n    provider: http\n"
    text += "    url: http://a\n    description: '{{ values.x }}'\n"
    text += "    expect: {json: {path: a, equals: '{{ values.x }}'}}\n"
    policy = read_all({"policy.yaml": text}, f"x={value}").policy
    assert policy is not None
    signal = policy.signals[0]
    assert isinstance(signal, HttpSignal) and signal.expect.json_ is not None
    assert (signal.description, signal.expect.json_.equals) == (value, value)


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [("text", "5", "5"), ("integer", "5", 5), ("number", "0.5", 0.5), ("boolean", "true", True)],
)
def test_an_answer_is_compared_with_a_value_of_its_type(
    type: str, value: str, expected: object, read_all: ReadAll
) -> None:
    """In `equals`, where quotes make a text, the declared type says what it is."""
    text = f"version: 1\nvalues: {{x: {{type: {type}}}}}\nsignals:\n  - name: a\n"
    text += "    provider: http\n    url: http://a\n"
    text += "    expect: {json: {path: a, equals: '{{ values.x }}'}}\n"
    policy = read_all({"policy.yaml": text}, f"x={value}").policy
    assert policy is not None
    signal = policy.signals[0]
    assert isinstance(signal, HttpSignal) and signal.expect.json_ is not None
    assert signal.expect.json_.equals == expected
    assert type == "text" or not isinstance(signal.expect.json_.equals, str)


def test_an_unknown_value_is_told_at_its_name(read_all: ReadAll) -> None:
    """With the declared name that is nearest, each place once."""
    text = POLICY.replace("{{ values.error_limit }}", "{{ values.eror_limit }}")
    loaded = read_all({"policy.yaml": text})
    problem = _error(loaded)
    assert (problem.code, problem.line) == ("unknown-value", 25)
    assert problem.source[problem.caret :].startswith("eror_limit")
    assert problem.help == "did you mean 'error_limit'?"
    unused = [p for p in loaded.problems if p.severity is Severity.WARNING]
    assert [(p.code, p.place) for p in unused] == [("unused-value", "policy.yaml:3:3")]


@pytest.mark.parametrize("written", ["value.x", "Values.x", "vaules.x"])
def test_a_misspelled_word_values_is_recognised(written: str, read_all: ReadAll) -> None:
    """In a query it would be an unknown template variable: the help has what was meant."""
    query = f'max(a{{b="{{{{ {written} }}}}"}})'
    text = HEAD + "prometheus: {url: 'http://a:1'}\n" + SIGNAL % query
    problem = _error(read_all({"policy.yaml": text}))
    assert (problem.code, problem.help) == ("template", "did you mean 'values.x'?")


def test_a_value_that_begins_a_scalar_needs_quotes(read_all: ReadAll) -> None:
    """Without, YAML reads a mapping; the help says what to do."""
    problem = _error(read_all({"policy.yaml": HEAD + "watch:\n  for: {{ values.x }}\n"}))
    assert (problem.line, problem.help) == (
        5,
        "a text that begins with {{ must stand in quotes",
    )


def test_without_declarations_the_help_says_how_to_declare(read_all: ReadAll) -> None:
    """Who writes the first value of a policy is told where it belongs."""
    text = "version: 1\nwatch: {for: '{{ values.length }}'}\n"
    problem = _error(read_all({"policy.yaml": text}))
    assert (problem.code, problem.place) == ("unknown-value", "policy.yaml:2:25")
    assert "declare it under 'values'" in problem.help


def test_a_value_that_no_policy_declares_is_refused(read_all: ReadAll, tmp_path: Path) -> None:
    """By --set or in a file, with a suggestion and the place."""
    read_all({"policy.yaml": POLICY, "prod.values.yaml": "label: a\neror_limit: 5%\n"})
    values = read_values(["prod.values.yaml"], ["lable=x"])
    with pytest.raises(PolicyError) as raised:
        load_all(["policy.yaml"], values=values)
    found = [p for p in raised.value.problems if p.severity is Severity.ERROR]
    assert [(p.place, p.code, p.help) for p in found] == [
        ("prod.values.yaml:2:1", "unknown-value", "did you mean 'error_limit'?"),
        ("--set lable", "unknown-value", "did you mean 'label'?"),
    ]
    assert tmp_path.name not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["limit"], "--set has no '='"),
        (["=5"], "the name of '' in --set is not one"),
        (["a-b=5"], "the name of 'a-b' in --set is not one"),
        (["a=b\nc"], "on one line"),
        (["a=\x1b[1m"], "on one line"),
        (["a={{ name }}"], "cannot contain '{{'"),
        (["a=" + "x" * 20_000], "at most 10000 characters"),
    ],
)
def test_a_setting_has_a_form(settings: list[str], said: str) -> None:
    """Anything but NAME=VALUE is a mistake of the command line; the value is not shown."""
    with pytest.raises(UsageError, match=r".") as raised:
        read_values([], settings)
    assert said in str(raised.value)
    assert "xxx" not in str(raised.value) and "\x1b" not in str(raised.value)


def test_an_equals_sign_and_nothing_may_stand_in_a_value() -> None:
    """Only the first equals sign divides; an empty text is a value."""
    given = read_values([], ["a=b=c", "b="]).given
    assert {name: value.text for name, value in given.items()} == {"a": "b=c", "b": ""}


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("a: [1]\n", "v.yaml:1:1", "bad-type"),
        ("a: {b: c}\n", "v.yaml:1:1", "bad-type"),
        ("a:\n", "v.yaml:1:1", "empty-value"),
        ("- a\n", "v.yaml:1:1", "bad-type"),
        ("a: b: c\n", "v.yaml:1:5", "yaml-syntax"),
        ("a: 1\na: 2\n", "v.yaml:2:1", "duplicate-key"),
        ("a: |\n  b\n  c\n", "v.yaml:1:4", "bad-value"),
        ("a: '{{ values.b }}'\n", "v.yaml:1:4", "bad-value"),
        ("\x00", "v.yaml:1:1", "binary"),
    ],
)
def test_a_file_of_values_is_a_mapping_of_scalars(
    text: str, place: str, code: str, tmp_path: Path, read_all: ReadAll
) -> None:
    """Anything else is told at its place."""
    read_all({"policy.yaml": POLICY})
    (tmp_path / "v.yaml").write_text(text)
    with pytest.raises(PolicyError) as raised:
        read_values(["v.yaml"])
    assert [(p.place, p.code) for p in raised.value.problems] == [(place, code)]


def test_an_empty_file_of_values_has_none(tmp_path: Path) -> None:
    """Neither a file of comments is a mistake; a missing one is."""
    (tmp_path / "v.yaml").write_text("# nothing yet\n")
    assert read_values([tmp_path / "v.yaml"]).given == {}
    with pytest.raises(PolicyError, match="cannot be read"):
        read_values([tmp_path / "w.yaml"])
    with pytest.raises(PolicyError, match="standard input"):
        read_values(["-"])


def test_ten_thousand_values_are_told_in_a_moment(read_all: ReadAll) -> None:
    """Declared, used and misspelled: bounded work, and a bounded list of problems."""
    declared = "".join(f"  v{n}: {{type: text, default: a}}\n" for n in range(3000))
    used = " ".join(f"{{{{ values.w{n} }}}}" for n in range(5000))
    text = f"version: 1\nvalues:\n{declared}description: '{used}'\n"
    loaded = read_all({"policy.yaml": text})
    assert len(loaded.problems) == 101
    values = read_values([], [f"n{n}=1" for n in range(10_000)])
    assert len(values.undeclared(f"m{n}" for n in range(10_000))) == 100


def test_values_cannot_make_a_policy_huge(read_all: ReadAll) -> None:
    """A bomb of values is refused before it is built."""
    body = "{{ values.x }}" * 100
    text = "version: 1\nvalues: {x: {type: text}}\nsignals:\n" + "".join(
        f"  - {{name: s{n}, provider: http, url: 'http://a', method: POST, body: '{body}'}}\n"
        for n in range(100)
    )
    loaded = read_all({"policy.yaml": text}, "x=" + "y" * 5000)
    assert [p.code for p in _errors(loaded)] == ["too-large"]


@pytest.mark.parametrize(
    "text",
    ["{{ values." + " " * 900_000, "{{ values.a" + " " * 900_000 + "b }}", "{{ values." * 80_000],
    ids=["blanks", "name with blanks", "never closed"],
)
def test_a_long_text_is_searched_once(text: str, read_all: ReadAll) -> None:
    """A megabyte that begins like a value costs no more than another one."""
    begun = time.process_time()
    read_all({"policy.yaml": HEAD + f"description: '{text}'\n"})
    assert time.process_time() - begun < 10  # it is a few hundredths of a second


def test_deep_nesting_with_values_is_bounded(read_all: ReadAll) -> None:
    """The bound of nesting holds with and without values."""
    text = HEAD + "watch: " + "[" * 25 + "'{{ values.x }}'" + "]" * 25 + "\n"
    assert [p.code for p in _errors(read_all({"policy.yaml": text}))] == ["bad-type"]
