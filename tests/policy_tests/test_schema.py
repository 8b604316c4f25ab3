"""The JSON Schemas, as editors and an independent validator read them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from deploy_guard.policy import schema as of_policy
from deploy_guard.policy.load import find_below
from deploy_guard.policy_tests import inputs, notation
from deploy_guard.policy_tests import schema as of_tests
from deploy_guard.policy_tests.load import find, inspect

ROOT = Path(__file__).parents[2]
FOLDERS = [str(ROOT / "policies"), str(ROOT / "examples/policies")]
POLICIES = [path for folder in FOLDERS for path in find_below(folder, onerror=lambda _: None)]
TESTS = find(FOLDERS)[0]
BOTH: dict[str, dict[str, Any]] = {
    "policy": of_policy.json_schema(),
    "test": of_tests.json_schema(),
}
VALIDATORS = (Draft202012Validator, Draft7Validator)  # as declared; as most editors read it
UNDERSTOOD = {  # keywords of draft 7, which editors have, and the newer name of its definitions
    *("$schema", "$id", "$ref", "$defs", "title", "description", "default", "examples"),
    *("type", "enum", "const", "anyOf", "oneOf", "if", "then", "else"),
    *("properties", "patternProperties", "additionalProperties", "propertyNames", "required"),
    *("minProperties", "items", "minItems", "maxItems", "pattern", "minLength", "maxLength"),
    *("minimum", "maximum", "exclusiveMinimum"),
}


def _json(value: object) -> Any:
    """Return YAML's values as JSON has them: keys are texts."""
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    return [_json(item) for item in value] if isinstance(value, list) else value


def _schemas(schema: Any, *, names: bool = False) -> Iterator[dict[str, Any]]:
    """Yield every schema within a schema; with `names` the keys are names, no keywords."""
    if isinstance(schema, list):
        for item in schema:
            yield from _schemas(item)
    elif isinstance(schema, dict):
        if not names:
            yield schema
        for key, value in schema.items():
            if names or key not in {"default", "examples", "enum", "const"}:
                of_names = key in {"properties", "patternProperties", "$defs"}
                yield from _schemas(value, names=of_names and not names)


@pytest.mark.parametrize("kind", BOTH)
def test_only_what_editors_understand_is_in_the_schema(kind: str) -> None:
    """There is no keyword that draft 7 does not have, and none that no draft has."""
    assert {key for one in _schemas(BOTH[kind]) for key in one} <= UNDERSTOOD


@pytest.mark.parametrize("kind", BOTH)
def test_every_pattern_is_one_of_javascript(kind: str) -> None:
    """Patterns have no named group and no flag, which editors would not take."""
    patterns = {one["pattern"] for one in _schemas(BOTH[kind]) if "pattern" in one}
    assert len(patterns) > 3
    for pattern in patterns:
        re.compile(pattern)
        assert "(?P" not in pattern and "\\A" not in pattern and "\\Z" not in pattern


@pytest.mark.parametrize("validator", VALIDATORS)
@pytest.mark.parametrize("path", [*POLICIES, *TESTS], ids=lambda path: Path(path).name)
def test_what_is_shipped_is_valid(path: str, validator: Any) -> None:
    """Each policy and each test that is shipped is valid for an editor, bases and parts, too."""
    schema = BOTH["test" if path in TESTS else "policy"]
    document = _json(yaml.safe_load(Path(path).read_text()))
    assert [error.message for error in validator(schema).iter_errors(document)] == []


def _values(schema: dict[str, Any], defs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schemas that a value may be of."""
    if "$ref" in schema:
        yield from _values(defs[schema["$ref"].rpartition("/")[2]], defs)
    yield schema
    for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _values(option, defs)


@pytest.mark.parametrize("kind", BOTH)
def test_every_key_shows_what_can_stand_there(kind: str) -> None:
    """A key has words to choose from, a default, an example, or keys of its own."""
    schema = BOTH[kind]
    defs = schema["$defs"]
    elsewhere = {"signals"} if kind == "policy" else set()  # its items are under `if`
    helpful = {"enum", "const", "default", "examples", "properties", "patternProperties", "items"}
    for section in (schema, *defs.values()):
        for key, value in section["properties"].items():
            shown = list(_values(value, defs))
            helped = any(helpful & set(one) or one.get("type") == "boolean" for one in shown)
            assert helped or key in elsewhere, key


GOOD = """\
version: 1
policy: shop.yaml
defaults:
  pods: 4
  rollout: 30s
  interval: 15s
  signals:
    errors: {requests: 40/s, errors: {before: 0.5%, old: 1%, new: {0s: 1%, 3m: 20%x3 _ 5%}}}
    latency: {requests: 0+600x40, buckets: {0.1: 90%, 500ms: 99%, +Inf: 100%}}
    queue: {value: {before: 10, new: 10x4 stale 500x40}}
    payments: {answers: {0s: ok, 60s: 503, 2m: 800ms}}
cases:
  - name: one
    seed: 2
    noise: poisson
    faults: [{at: 1m, pods: 1, what: crash, of: both}]
    expect: regressed after 10s by 90s (errors)
  - name: two
    expect: {verdict: healthy, reason: good}
"""


@pytest.mark.parametrize("validator", VALIDATORS)
def test_the_good_file_is_good(validator: Any) -> None:
    """What the defects below are made from is valid."""
    document = _json(yaml.safe_load(GOOD))
    assert [error.message for error in validator(BOTH["test"]).iter_errors(document)] == []


DEFECTS = [
    ("version: 1", "version: 2"),
    ("version: 1\n", ""),
    ("policy: shop.yaml", "polcy: shop.yaml"),
    ("policy: shop.yaml", "policy: [shop.yaml]"),
    ("pods: 4", "pods: 0"),
    ("pods: 4", "pods: 501"),
    ("pods: 4", "pods: four"),
    ("rollout: 30s", "rollout: 30"),
    ("interval: 15s", "interval: 0s"),
    ("requests: 40/s", "requests: 40"),
    ("requests: 40/s", "requests: '40'"),
    ("requests: 40/s", "requests: 40/d"),
    ("requests: 40/s", "requests: 40%"),
    ("requests: 0+600x40", "requests: 0+600"),
    ("requests: 0+600x40", "requests: 0+600*40"),
    ("before: 0.5%", "before: 0.5"),
    ("before: 0.5%", "befor: 0.5%"),
    ("0s: 1%", "0: 1%"),
    ("20%x3 _ 5%", "20%x3 old 5%"),
    ("0.1: 90%", "fast: 90%"),
    ("0.1: 90%", "0.1: 90"),
    ("500ms: 99%", "500ms: 199%"),
    ("10x4 stale 500x40", "10x4 old 500x40"),
    ("before: 10", "before: 10%"),
    ("0s: ok", "0s: okay"),
    ("60s: 503", "60s: 703"),
    ("60s: 503", "60s: true"),
    ("2m: 800ms", "2m: 800 million"),
    ("name: one", "nam: one"),
    ("name: one", "name: ''"),
    ("seed: 2", "seed: 2.5"),
    ("noise: poisson", "noise: normal"),
    ("at: 1m", "at: 1"),
    ("pods: 1,", "pods: -1,"),
    ("what: crash", "what: crashes"),
    ("of: both", "of: all"),
    ("regressed after", "regresed after"),
    ("by 90s (errors)", "by ninety (errors)"),
    ("by 90s (errors)", "within 90s"),
    ("verdict: healthy", "verdict: fine"),
    ("verdict: healthy, ", ""),
    ("reason: good", "because: good"),
    ("    expect: {verdict: healthy, reason: good}\n", ""),
]


@pytest.mark.parametrize(("old", "new"), DEFECTS)
def test_a_defect_is_told_by_the_schema_and_by_guard(old: str, new: str, tmp_path: Path) -> None:
    """What the schema can know it refuses in every draft, and so does guard."""
    assert GOOD.count(old) == 1
    broken = GOOD.replace(old, new)
    for validator in VALIDATORS:
        assert not validator(BOTH["test"]).is_valid(_json(yaml.safe_load(broken)))
    file = tmp_path / "shop.test.yaml"
    file.write_text(broken)
    codes = {problem.code for problem in inspect(file).problems}
    assert codes - {"no-policy"}  # there is none beside it: all else is found without


PARSERS: dict[str, tuple[str, Callable[[str], object]]] = {
    "requests": (notation.REQUESTS_PATTERN, notation.parse_requests),
    "part": (notation.PART_PATTERN, notation.parse_part),
    "value": (notation.VALUE_PATTERN, notation.parse_value),
    "answer": (notation.ANSWER_PATTERN, notation.parse_answer),
    "bound": (notation.BOUND_PATTERN, notation.parse_bound),
}
PIECES = st.sampled_from(
    (
        *("0", "1", "57", ".5", "1e3", "+", "-", "x", "%", "/", "s", "m", "ms", " ", "_", "stale"),
        *("NaN", "Inf", "40/s", "0+600x40", "0.5%", "ok", "fail", "503", "800ms"),
    )
)


@pytest.mark.parametrize("name", PARSERS)
@given(text=st.lists(PIECES, min_size=1, max_size=6).map("".join).map(str.strip).filter(bool))
@example(text="0+600x2 300+600x2")
@example(text="1 % 2")
def test_editors_accept_every_text_that_guard_accepts(name: str, text: str) -> None:
    """No text that guard reads is marked as wrong; of what is marked guard reads nothing."""
    pattern, parse = PARSERS[name]
    try:
        parse(text)
    except ValueError:
        return
    assert re.search(pattern, text), text


def test_groups_are_those_of_the_models() -> None:
    """Whatever is given by group has these groups and no other."""
    for section in (inputs.PartByGroup, inputs.RequestsByGroup, inputs.BucketsByGroup):
        assert tuple(section.model_fields) == inputs.GROUPS
