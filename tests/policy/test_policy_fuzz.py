"""Whatever stands in a file, it is a policy or problems with places; nothing else comes out."""

import io

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deploy_guard.policy.codes import CODES
from deploy_guard.policy.load import Loaded, dump, inspect, restore
from deploy_guard.policy.problems import PolicyError, Severity, render
from deploy_guard.policy.schema import all_sections
from deploy_guard.policy.shape import keys

from .good import GOOD

KEYS = sorted({key for section in all_sections() for key in keys(section)})
MARKS = (
    *("prometheus", "pods", "http", "5%", "5m", "0", "1:30", "true", "on", "~", "''", '"x', "{{"),
    *("'{{nmae}}'", "sum(x", "[", "]", "{", "}", "*a", "&a", "<<", "!x", "---", "- ", "#", "|"),
    *(">", "@", "\t", "http://a:b@c", "[1, 2]", "{env: A}", "{file: a, env: A}", "<text>"),
    *("{{ name }}", "{a: b}", "<mapping>"),
)
WORDS = st.sampled_from([*KEYS, *MARKS])
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _read(data: bytes) -> Loaded:
    """Read bytes as a policy and check what always holds."""
    loaded = inspect(["-"], stdin=io.BytesIO(data))
    lines = data.count(b"\n") + data.count(b"\r") + 1
    for problem in loaded.problems:
        assert problem.code in CODES
        assert 0 <= problem.line <= lines and problem.column >= (problem.line > 0)
        assert "\n" not in problem.message + problem.help
        assert problem.length >= 1
    broken = any(problem.severity is Severity.ERROR for problem in loaded.problems)
    assert broken == (loaded.policy is None)
    assert "\x1b" not in render(loaded.problems)
    if loaded.policy is None:
        assert PolicyError(loaded.problems).exit_code == 3
    else:
        assert restore(dump(loaded.policy)) == loaded.policy
    return loaded


@BOUNDED
@given(st.binary(max_size=300))
@example(b"\xff\xfe")
@example(b"\x00")
def test_any_bytes(data: bytes) -> None:
    """Bytes of any kind are told as what they are."""
    _read(data)


@BOUNDED
@given(st.text(max_size=200))
@example("? ? a")
@example("&a : b")
@example("a: !<tag:yaml.org,2002:str> b")
@example("\u2028: \x85")
def test_any_text(text: str) -> None:
    """Text of any kind, YAML or not, is read or refused."""
    _read(text.encode("utf-8", "surrogatepass"))


@BOUNDED
@given(st.integers(min_value=0, max_value=len(GOOD)), st.integers(0, 30), WORDS)
def test_a_good_policy_with_a_cut_and_a_word(at: int, cut: int, word: str) -> None:
    """A good policy in which a piece was replaced by another is a policy or problems."""
    _read((GOOD[:at] + word + GOOD[at + cut :]).encode())


TREES = st.recursive(
    WORDS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        )
    ),
    max_leaves=25,
)


@BOUNDED
@given(st.dictionaries(st.sampled_from([*KEYS, "signals", "version"]), TREES, max_size=6))
@example({"version": "1", "signals": "[{provider: prometheus, prometheus: {provider: x}}]"})
@example({"version": "1", "signals": "[{provider: [prometheus], name: x}]"})
@example({"version": "1", "signals": "{0: {provider: http}}"})
@example({"version": "1", "prometheus": "{url: {env: {file: {}}}}"})
@example({"version": "1", "signals": "[{provider: http, headers: {<mapping>: {env: 1 2}}}]"})
def test_any_structure_of_known_words(tree: dict[str, str]) -> None:
    """Known keys and values in the wrong places are problems, each with a place."""
    _read("\n".join(f"{key}: {value}" for key, value in tree.items()).encode())
