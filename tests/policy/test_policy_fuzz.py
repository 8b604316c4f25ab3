"""Whatever stands in a file, it is a policy or problems with places; nothing else comes out."""

import io
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deploy_guard.errors import UsageError
from deploy_guard.policy.codes import CODES
from deploy_guard.policy.load import Loaded, dump, inspect, restore
from deploy_guard.policy.problems import PolicyError, Severity, render
from deploy_guard.policy.schema import all_sections
from deploy_guard.policy.shape import keys
from deploy_guard.policy.values import Values, read_values

from .good import GOOD

KEYS = sorted({key for section in all_sections() for key in keys(section)})
MARKS = (
    *("prometheus", "pods", "http", "5%", "5m", "0", "1:30", "true", "on", "~", "''", '"x', "{{"),
    *("'{{nmae}}'", "sum(x", "[", "]", "{", "}", "*a", "&a", "<<", "!x", "---", "- ", "#", "|"),
    *(">", "@", "\t", "http://a:b@c", "[1, 2]", "{env: A}", "{file: a, env: A}", "<text>"),
    *("{{ name }}", "{a: b}", "<mapping>", "base.yaml", "'{{ values.limit }}'", "{type: text}"),
    *('"x{a=\'{{ values.limit }}"', "{limit: {type: percentage, default: 1%}}", "[errors, x]"),
    *("{{ values.", "{{ values.x }}", "'{{values.limit}}{{ values.label }}'", "own.yaml", "/"),
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


BASE = GOOD.replace("limit: 5%", "limit: '{{ values.limit }}'").replace(
    "queue_depth)", 'queue_depth{a="{{ values.label }}"})'
)
BASE += "values: {limit: {type: percentage, default: 5%}, label: {type: text, default: a}}\n"
OWN = """\
version: 1
extends: base.yaml
omit: [slow]
values: {limit: {default: 1%}, port: {type: integer, default: 80}}
watch: {for: 20m}
signals:
  - {name: errors, min_requests: 3}
  - {name: pages, port: "{{ values.port }}", path: "/{{ values.label }}"}
"""


def _read_both(own: bytes, base: bytes, values: Values | None = None) -> Loaded:
    """Read a file that may extend another and check what always holds."""
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder, name)) for name in ("own.yaml", "base.yaml")]
        for name, data in zip(names, (own, base), strict=True):
            Path(name).write_bytes(data)
        loaded = inspect(names[:1], values=values)
    for problem in loaded.problems:
        assert problem.code in CODES
        given = problem.file.startswith("--set ") or problem.file.endswith("v.yaml")
        assert problem.file in names or given
        assert "\n" not in problem.message + problem.help
    broken = any(problem.severity is Severity.ERROR for problem in loaded.problems)
    assert broken == (loaded.policy is None)
    assert "\x1b" not in render(loaded.problems)
    if loaded.policy is not None:
        assert restore(dump(loaded.policy)) == loaded.policy
    return loaded


def test_the_files_that_are_broken_are_right() -> None:
    """What the next tests break is itself without any problem."""
    loaded = _read_both(OWN.encode(), BASE.encode())
    assert loaded.problems == ()


@BOUNDED
@given(st.binary(max_size=200))
def test_any_bytes_in_a_base(data: bytes) -> None:
    """A base of any bytes is told as what it is."""
    _read_both(OWN.encode(), data)


@BOUNDED
@given(st.booleans(), st.integers(0, len(BASE)), st.integers(0, 30), WORDS)
def test_a_file_or_its_base_with_a_cut_and_a_word(
    in_own: bool, at: int, cut: int, word: str
) -> None:
    """A piece of either file is replaced by another: a policy, or problems of either file."""
    text = OWN if in_own else BASE
    at %= len(text) + 1
    broken = (text[:at] + word + text[at + cut :]).encode()
    _read_both(*((broken, BASE.encode()) if in_own else (OWN.encode(), broken)))


DOCUMENTS = st.dictionaries(st.sampled_from([*KEYS, "signals", "version"]), TREES, max_size=6)


@BOUNDED
@given(DOCUMENTS, DOCUMENTS)
@example({"signals": "[x]"}, {"signals": "[[a], {name: [b]}, {name: x}]"})
@example({"values": "{x: {type: {}}}"}, {"values": "{x: [a]}"})
@example({"values": "[x]"}, {"values": "{x: {type: text}}"})
@example({"values": "{x: {type: text}}"}, {"values": "[x]"})
@example({"omit": "[[a], {}]"}, {"signals": "{name: a}"})
def test_any_two_structures(own: dict[str, str], base: dict[str, str]) -> None:
    """Known keys in wrong places are put together without anything else than problems."""
    texts = ("\n".join(f"{key}: {value}" for key, value in tree.items()) for tree in (own, base))
    mine, theirs = texts
    _read_both(f"version: 1\nextends: base.yaml\n{mine}".encode(), f"version: 1\n{theirs}".encode())


@BOUNDED
@given(st.text(max_size=60), st.sampled_from(["limit", "label", "port"]))
@example('"} or vector(1)', "label")
@example("{", "label")
@example("\ud800", "label")
@example("\u2028", "label")
@example("5% ", "limit")
def test_any_text_as_a_value(text: str, name: str) -> None:
    """Any text of --set is a value of its type, or refused; it never ends the text of a query."""
    try:
        values = read_values([], [f"{name}={text}"])
    except UsageError:
        return
    loaded = _read_both(OWN.encode(), BASE.encode(), values)
    if loaded.policy is not None and name == "label":
        (queue,) = (s for s in loaded.policy.signals if s.name == "queue")
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        assert queue.model_dump()["value"] == f'max(queue_depth{{a="{escaped}"}})'


@BOUNDED
@given(
    st.binary(max_size=200) | DOCUMENTS.map(lambda d: "\n".join(map(": ".join, d.items())).encode())
)
def test_any_file_of_values(data: bytes) -> None:
    """A file of values is read, or refused with a place."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "v.yaml")
        file.write_bytes(data)
        try:
            values = read_values([file])
        except PolicyError as error:
            assert {p.file for p in error.problems} == {str(file)}
            assert all(p.code in CODES for p in error.problems)
            return
    _read_both(OWN.encode(), BASE.encode(), values)
