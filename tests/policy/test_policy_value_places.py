"""What a value becomes as a part of a URL: it never leaves the part in which it stands."""

import pytest

from deploy_guard.policy.models import HttpSignal
from deploy_guard.policy.problems import Severity

from .conftest import ReadAll

SECRET = "    headers: {Authorization: {env: TOKEN}}\n"


def _policy(url: str) -> str:
    """Return a policy with a probe that sends a secret."""
    head = "version: 1\nvalues: {x: {type: text}}\nsignals:\n  - name: a\n    provider: http\n"
    return f"{head}    url: '{url}'\n{SECRET}"


@pytest.mark.parametrize(
    ("url", "value", "expected"),
    [
        ("http://{{ values.x }}.example:1/", "a-b.c_d", "http://a-b.c_d.example:1/"),
        ("http://a{{ values.x }}/", "", "http://a/"),
        ("http://{{ values.x }}/b", "a:9090", "http://a:9090/b"),
        ("http://{{ values.x }}/b", "[::1]:9090", "http://[::1]:9090/b"),
        ("http://a:{{ values.x }}/b", "9090", "http://a:9090/b"),
        ("http://{{ name }}.{{ values.x }}/", "b", "http://{{ name }}.b/"),
        ("{{ values.x }}://a/", "https", "https://a/"),
        ("http{{ values.x }}://a/", "s", "https://a/"),
        ("{{ values.x }}/b", "http://a:1/c", "http://a:1/c/b"),
        ("{{ values.x }}:90/b", "http://a", "http://a:90/b"),
        ("{{ values.x }}?b", "http://a", "http://a?b"),
        ("{{ values.x }}", "http://a/b?c=d#e", "http://a/b?c=d#e"),
        ("http://a/{{ values.x }}/c", "b/é?x#y%20", "http://a/b/%C3%A9%3Fx%23y%2520/c"),
        ("http://a/?b={{ values.x }}&c", "1&admin=1/#", "http://a/?b=1%26admin%3D1%2F%23&c"),
    ],
)
def test_a_value_in_a_url(url: str, value: str, expected: str, read_all: ReadAll) -> None:
    """A host is plain letters; behind it, what would end the part is written in percent form."""
    loaded = read_all({"policy.yaml": _policy(url)}, f"x={value}")
    assert loaded.policy is not None, loaded.problems
    signal = loaded.policy.signals[0]
    assert isinstance(signal, HttpSignal) and signal.url == expected


@pytest.mark.parametrize(
    ("url", "value", "said"),
    [
        ("http://{{ values.x }}.example/", "evil.test/", "a part of the host"),
        ("http://{{ values.x }}.example/", "evil.test?", "a part of the host"),
        ("http://{{ values.x }}.example/", "evil.test#", "a part of the host"),
        ("http://{{ values.x }}.example/", "user@evil.test", "a part of the host"),
        ("http://{{ values.x }}.example/", "evil.test\\", "a part of the host"),
        ("http://{{ values.x }}.example/", "evil.test%2f", "a part of the host"),
        ("http://{{ values.x }}.example/", "ｅvil.test", "a part of the host"),
        ("http://{{ values.x }}.example/", "evil。test", "a part of the host"),
        ("http://{{ name }}.{{ values.x }}/", "a/b", "a part of the host"),
        ("{{ values.x }}://a/", "http://evil.test/?", "the scheme"),
        ("{{ values.x }}://a/", "file", "the scheme"),
        ("{{ values.x }}.example/", "http://evil.test/", "the beginning"),
        ("{{ values.x }}.example/", "http://evil", "the beginning"),
        ("{{ values.x }}:90/", "http://evil.test/", "the beginning"),
        ("{{ values.x }}/b", "http://evil.test?", "the beginning"),
        ("{{ values.x }}/b", "http://user@evil.test", "the beginning"),
        ("http:{{ values.x }}/b", "//evil.test", "the beginning"),
        ("http://a/b/{{ values.x }}/d", "../admin", "another path"),
        ("http://a/b/{{ values.x }}", "..", "another path"),
    ],
)
def test_a_value_sends_no_secret_elsewhere(
    url: str, value: str, said: str, read_all: ReadAll
) -> None:
    """What would make another host, scheme or path of a URL is refused, with both places."""
    loaded = read_all({"policy.yaml": _policy(url)}, f"x={value}")
    (problem,) = [p for p in loaded.problems if p.severity is Severity.ERROR]
    assert (problem.place, problem.code) == ("--set x", "bad-value")
    assert said in problem.message and "used in policy.yaml:6:10" in problem.message


def test_a_wrong_value_is_not_told_of_the_next_one(read_all: ReadAll) -> None:
    """The value in the path is right, whatever is before it."""
    text = _policy("{{ values.y }}/{{ values.x }}").replace(
        "values: {", "values: {y: {type: text}, "
    )
    loaded = read_all({"policy.yaml": text}, "y=nothing", "x=a")
    (problem,) = [p for p in loaded.problems if p.severity is Severity.ERROR]
    assert (problem.place, "the beginning" in problem.message) == ("--set y", True)


def test_the_connection_is_held_to_the_same(read_all: ReadAll) -> None:
    """The bearer token of Prometheus stays with the host that the policy means."""
    text = "version: 1\nvalues: {x: {type: text}}\nprometheus:\n"
    text += "  url: 'http://{{ values.x }}.example'\n  bearer: {env: TOKEN}\n"
    policy = read_all({"policy.yaml": text}, "x=a").policy
    assert policy is not None and policy.prometheus is not None
    assert policy.prometheus.url == "http://a.example"
    loaded = read_all({"policy.yaml": text}, "x=evil.test/")
    (problem,) = [p for p in loaded.problems if p.severity is Severity.ERROR]
    assert "a part of the host" in problem.message


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("{{ {{ values.x }} }}", "pods"),
        ("{{ pods{{ values.x }} }}", ""),
        ("{{ {{ values.x }}s }}", "pod"),
        ("{{{ values.x }}{ pods }}", ""),
        ("{{{ values.x }}}", "{ pods }"),
        ("{{ values.x }}{ pods }", "{"),
    ],
)
def test_no_template_variable_is_made_of_pieces(label: str, value: str, read_all: ReadAll) -> None:
    """A value is neither a name in a variable nor one of its braces."""
    text = "version: 1\nvalues: {x: {type: text}}\nprometheus: {url: 'http://a'}\nsignals:\n"
    text += "  - name: a\n    provider: prometheus\n    above: 1\n"
    text += f'    value: max(a{{b=~"{label}"}})\n'
    loaded = read_all({"policy.yaml": text}, f"x={value}")
    (problem,) = [p for p in loaded.problems if p.severity is Severity.ERROR]
    assert problem.message == "'value': values may not make template variables"
    assert problem.place == "policy.yaml:8:12"
