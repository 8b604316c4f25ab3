"""Queries: template variables, and what can be told of PromQL and selectors without a server."""

import pytest

from deploy_guard.policy.promql import Selector, keeps_label, parse_selector, query_flaws, speed
from deploy_guard.policy.template import VARIABLES, TemplateError, render, variables

SHOP = variables(
    namespace="shop", name="checkout", candidate_hash="6d4cf56db6", baseline_hashes=["7b9f8c5d4c"]
)


def test_every_variable_has_a_value() -> None:
    """All documented variables are given, and no other."""
    assert list(SHOP) == list(VARIABLES)


def test_variables_are_replaced_with_or_without_blanks() -> None:
    """`{{name}}` and `{{  name  }}` are the same."""
    assert render("a{{name}}b{{  namespace\t}}", SHOP) == "acheckoutbshop"


def test_text_without_variables_is_kept() -> None:
    """Single braces, as PromQL has them, are no template."""
    text = 'http_requests_total{code=~"5..", le="0.5"}'
    assert render(text, SHOP) == text


def test_values_are_not_rendered_again() -> None:
    """A value that looks like a template stays as it is."""
    assert render("{{ name }}", {"name": "{{ namespace }}"}) == "{{ namespace }}"


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        ("x {{ nmae }}", "unknown template variable 'nmae' at character 6", "did you mean 'name'?"),
        ("x {{ name", "'{{' is not closed at character 3", "write {{ name }} on one line"),
        ("{{ pods | upper }}", "unknown template variable 'pods | upper' at character 4", ""),
    ],
)
def test_a_template_that_cannot_be_rendered_says_where(text: str, message: str, help: str) -> None:
    """An unknown variable is an error with its position and a suggestion, never empty text."""
    with pytest.raises(TemplateError) as caught:
        render(text, SHOP)
    assert caught.value.message == message
    assert help in caught.value.help


def test_a_variable_without_a_value_is_an_error() -> None:
    """A known variable that this workload has no value for is not rendered as nothing."""
    with pytest.raises(TemplateError, match="'pods' has no value here at character 4"):
        render("{{ pods }}", {"name": "a"})


@pytest.mark.parametrize(
    ("pod", "group"),
    [
        ("checkout-6d4cf56db6-x7k2p", "candidate_pods"),
        ("checkout-7b9f8c5d4c-abcde", "baseline_pods"),
    ],
)
def test_the_regular_expressions_tell_pods_apart(pod: str, group: str) -> None:
    """Each pod matches `pods` and its own group only."""
    import re

    groups = {
        name
        for name in ("pods", "candidate_pods", "baseline_pods")
        if re.fullmatch(SHOP[name], pod)
    }
    assert groups == {"pods", group}


def test_other_workloads_with_the_same_beginning_do_not_match() -> None:
    """checkout-worker's pods are not checkout's; a dot in a name is a dot."""
    import re

    assert not re.fullmatch(SHOP["pods"], "checkout-worker-6d4cf56db6-x7k2p")
    dotted = variables(namespace="a", name="v1.shop", candidate_hash="abc")
    assert re.fullmatch(dotted["pods"], "v1.shop-abc-xyz")
    assert not re.fullmatch(dotted["pods"], "v1xshop-abc-xyz")


def _pod(name: str, hash: str) -> str:
    """Return the name that Kubernetes gives to a pod of a revision."""
    return f"{name}-{hash}-"[:58] + "x7k2p"


@pytest.mark.parametrize("length", [1, 45, 46, 47, 48, 52, 56, 57, 58, 59, 63, 70])
def test_pods_of_a_long_name_are_found(length: int) -> None:
    """Kubernetes cuts a pod's name at 58 characters and its suffix; the expressions follow it."""
    import re

    name = ("v1.shop-" * 10)[: length - 1] + "z"
    new, old, older = "6d4cf56db6", "7b9f8c5d4c", "849c5c4d7"
    found = variables(
        namespace="a", name=name, candidate_hash=new, baseline_hashes=sorted([old, older])
    )
    for group, hashes in (("candidate_pods", [new]), ("baseline_pods", [old, older])):
        for hash in hashes:
            assert re.fullmatch(found[group], _pod(name, hash))
            assert re.fullmatch(found["pods"], _pod(name, hash))
    if length < 57:  # of longer names nothing of the hash is left
        assert not re.fullmatch(found["candidate_pods"], _pod(name, old))
        assert not re.fullmatch(found["baseline_pods"], _pod(name, new))
        assert not re.fullmatch(found["pods"], f"{name}-0")


def test_several_baselines_and_none() -> None:
    """All older revisions are the baseline; without any no pod matches."""
    import re

    two = variables(namespace="a", name="b", candidate_hash="c", baseline_hashes=["d", "e"])
    assert re.fullmatch(two["baseline_pods"], "b-d-x") and re.fullmatch(
        two["baseline_pods"], "b-e-x"
    )
    none = variables(namespace="a", name="b", candidate_hash="c")
    assert not re.fullmatch(none["baseline_pods"], "b-c-x")


@pytest.mark.parametrize(
    "query",
    [
        'sum by (pod) (rate(x{a="b"}[5m:1m] offset 1d))',
        'x{a=")]}"}',
        "x{a='\\''} # a comment with ( and \"",
        "x{a=`\\`}",
        'label_replace(x, "a", "$1", "b", "(.*)")',
        'x{namespace="{{ namespace }}"}',
        "1",
    ],
)
def test_balanced_queries_have_no_flaw(query: str) -> None:
    """Brackets in strings and comments do not count."""
    assert query_flaws(query) == []


@pytest.mark.parametrize(
    ("query", "offset"),
    [
        ("sum(x", 3),
        ("sum(x))", 6),
        ('x{a="b}', 4),
        ("x[5m)", 4),
        ("  ", 0),
        ("(x # )\n", 0),
        ("x{a='b\n'}", 4),
    ],
)
def test_an_unbalanced_query_says_where(query: str, offset: int) -> None:
    """The flaw is at the bracket or quote that has no partner."""
    assert [flaw.offset for flaw in query_flaws(query)] == [offset]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("x_total", True),
        ("sum by (pod) (x)", True),
        ("sum(x) by (pod, code)", True),
        ("sum without (code) (x)", True),
        ("sum without (pod) (x)", False),
        ("sum(x)", False),
        ("sum by (code) (x)", False),
        ("sum by (pod) (x) / sum(y)", False),
        ('sum by (code) (x{a="by (pod)"})', False),
        ('sum_of_things{a="b"}', True),
    ],
)
def test_whether_a_query_keeps_the_pod(query: str, kept: bool) -> None:
    """Every aggregation has to group by a label for it to be kept."""
    assert keeps_label(query, "pod") is kept


@pytest.mark.parametrize(
    ("query", "function"),
    [
        ("rate(x[5m])", "rate"),
        ("sum(increase(x[5m]))", "increase"),
        ("x_rate_total", None),
        ('x{a="rate("}', None),
    ],
)
def test_functions_that_make_a_counter_something_else(query: str, function: str | None) -> None:
    """Only calls count, not names and texts that look alike."""
    found = speed(query)
    assert (query[found.offset :][: found.length] if found else None) == function


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("x", {}, True),
        ('x{code="500"}', {"code": "500"}, True),
        ('x{code="500"}', {"code": "200"}, False),
        ('x{code=~"5.."}', {"code": "503"}, True),
        ('x{code=~"5"}', {"code": "503"}, False),
        ('x{code!~"2..", path!="/"}', {"code": "500", "path": "/a"}, True),
        ('x{code!="500"}', {}, True),
        ('x{a=""}', {}, True),
        ("x{a='b,c}',}", {"a": "b,c}"}, True),
        ('x{a="q\\"q"}', {"a": 'q"q'}, True),
    ],
)
def test_selectors_match_as_in_promql(text: str, labels: dict[str, str], matches: bool) -> None:
    """Matching is anchored, and an absent label is the empty text."""
    selector = parse_selector(text)
    assert selector.metric == "x"
    assert selector.matches(labels) is matches


def test_a_selector_without_conditions() -> None:
    """A bare name, also with empty braces, selects every series of the metric."""
    assert parse_selector(" x ") == parse_selector("x{}") == Selector("x", ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{a='b'}",
        "x{a}",
        "x{a=b}",
        "x{a='b' c='d'}",
        "x{a='b'",
        "x[5m]",
        "sum(x)",
        "x + y",
        "x{a=~'('}",
    ],
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    """Anything beyond a name and its label conditions is a ValueError."""
    with pytest.raises(ValueError, match=r"expected|not valid"):
        parse_selector(text)
