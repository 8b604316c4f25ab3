"""The JSON Schema, the shipped policies and the reference: all current, all agreeing."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from deploy_guard.policy.codes import CODES
from deploy_guard.policy.load import find, load_all, load_file
from deploy_guard.policy.models import Metrics
from deploy_guard.policy.problems import Severity
from deploy_guard.policy.reference import reference
from deploy_guard.policy.schema import json_schema, text

from .good import GOOD, Read

ROOT = Path(__file__).parents[2]
SHIPPED = [Path(file) for file in find([ROOT / "policies"])]
TOY_METRICS = {
    "http_requests_total": {"code", "method", "path"},
    "http_request_duration_seconds_bucket": {"le"},
    "api_client_requests_total": {"integration", "code"},
    "api_client_request_duration_seconds_bucket": {"integration", "code", "le"},
}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    """Return a validator of the generated schema."""
    return Draft202012Validator(json_schema())


def test_the_schema_is_one() -> None:
    """The generated document is a valid draft 2020-12 schema with an id and a title."""
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "urn:deploy-guard:policy:1"
    assert schema["title"] == "deploy-guard policy"


def test_every_key_has_a_description() -> None:
    """An editor has something to show for every key."""

    def keys(schema: dict[str, Any]) -> list[tuple[str, str]]:
        return [(key, value.get("description", "")) for key, value in schema["properties"].items()]

    schema = json_schema()
    found = keys(schema) + [pair for section in schema["$defs"].values() for pair in keys(section)]
    assert len(found) > 60
    assert [key for key, description in found if not description] == []


def test_defaults_are_written_as_users_write_them(validator: Draft202012Validator) -> None:
    """A default of ten minutes is `10m`, and each default is valid where it stands."""
    defs = json_schema()["$defs"]
    assert defs["Watch"]["properties"]["for"]["default"] == "10m"
    assert defs["Watch"]["properties"]["sensitivity"]["default"] == "1%"
    for section in defs.values():
        for schema in section["properties"].values():
            if "default" in schema:
                Draft202012Validator({**schema, "$defs": defs}).validate(schema["default"])
            for example in schema.get("examples", ()):
                Draft202012Validator({**schema, "$defs": defs}).validate(example)


def test_the_shipped_schema_is_current() -> None:
    """policies/policy.schema.json is what `guard schema` prints today."""
    assert (ROOT / "policies/policy.schema.json").read_text() == text()


def test_the_reference_is_current() -> None:
    """docs/policy-reference.md is what the models say today."""
    assert (ROOT / "docs/policy-reference.md").read_text() == reference()


def test_links_of_problems_lead_into_the_reference(read: Read) -> None:
    """The section that a problem points to is a heading of the reference."""
    headings = {line.lstrip("# ") for line in reference().splitlines() if line.startswith("#")}
    broken = GOOD.replace("for: 10m", "for: 1").replace("restarts: 2", "restarts: x")
    broken = broken.replace("limit: 5%", "limit: x").replace("name: shop", "nam: shop")
    problems = read(broken).problems
    assert len(problems) == 4
    for problem in problems:
        page, _, anchor = problem.docs.partition("#")
        assert page == "policy-reference.md" and anchor in headings


def test_every_documented_code_exists() -> None:
    """No id is explained that the source does not use."""
    source = "".join(
        file.read_text()
        for folder in ("policy", "check", "check_live")
        for file in sorted((ROOT / "src/deploy_guard" / folder).glob("*.py"))
        if file.name != "codes.py"
    )
    assert [code for code in CODES if f'"{code}"' not in source] == []


def test_the_good_policy_is_valid(validator: Draft202012Validator) -> None:
    """What guard accepts the schema accepts."""
    assert list(validator.iter_errors(yaml.safe_load(GOOD))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("for: 10m", "for: 10"),
        ("limit: 5%", "limit: 5"),
        ("name: shop", "nmae: shop"),
        ("version: 1", "version: 2"),
        ("provider: pods", "provider: pod"),
        ("enabled: true", "enabled: maybe"),
        ("    port: 8080\n", ""),
        ("port: 8080", "port: 80800"),
        ("{env: PROMETHEUS_TOKEN}", "{}"),
        ("{env: PROMETHEUS_TOKEN}", "{env: A, file: b}"),
        ("bearer: {env: PROMETHEUS_TOKEN}", "bearer: word"),
        ("    value: max(queue_depth)\n", ""),
        ("    above: 100", "    latency: x\n    above: 100"),
        ("status: [200]", "status: 200"),
        ("port: 8080", "port: '99999'"),
        ("port: 8080", "port: 8-0"),
        ("interval: 15s", "interval: 0s"),
        ("timeout: 5s", "timeout: 0.0s"),
        ("sensitivity: 1%", "sensitivity: 101%"),
        ("limit: 5%", "limit: 100.1%"),
        ("- name: errors", "- name: Errors"),
    ],
)
def test_broken_policies_are_invalid(
    old: str, new: str, validator: Draft202012Validator, read: Read
) -> None:
    """What the schema can know it refuses, and so does guard."""
    assert GOOD.count(old) == 1
    broken = GOOD.replace(old, new)
    assert not validator.is_valid(yaml.safe_load(broken))
    assert read(broken).policy is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("warm_up: 30s", "warm_up: 0s"),
        ("timeout: 5s", "timeout: 0.5s"),
        ("timeout: 5s", "timeout: 1h0m10s"),
        ("limit: 5%", "limit: 99.99%"),
        ("limit: 5%", "limit: 00.1 %"),
        ("difference: 1%", "difference: 0%"),
        ("share: 99%", "share: 100.0%"),
        ("port: 8080", "port: 8-http"),
        ("port: 8080", "port: 65535"),
    ],
)
def test_odd_policies_are_valid(
    old: str, new: str, validator: Draft202012Validator, read: Read
) -> None:
    """What guard takes at the edge of a range the schema takes, too."""
    assert GOOD.count(old) == 1
    odd = GOOD.replace(old, new)
    assert list(validator.iter_errors(yaml.safe_load(odd))) == []
    assert read(odd).policy is not None


def test_a_value_may_stand_in_every_scalar(validator: Draft202012Validator) -> None:
    """Whatever a scalar is, an editor takes `{{ values.x }}` there, but not for a secret."""
    value, document = "{{ values.x }}", yaml.safe_load(GOOD)

    def replaced(node: Any, path: tuple[str | int, ...] = ()) -> Any:
        if isinstance(node, dict):
            return {key: replaced(item, (*path, key)) for key, item in node.items()}
        if isinstance(node, list):
            return [replaced(item, (*path, n)) for n, item in enumerate(node)]
        return node if path[-1] in {"version", "provider", "env"} else value

    everywhere = replaced(document)
    everywhere["values"] = {"x": {"type": "text"}}
    assert [e.message for e in validator.iter_errors(everywhere)] == []
    everywhere["prometheus"]["bearer"] = {"env": value}
    assert not validator.is_valid(everywhere)


@pytest.mark.parametrize(
    "text",
    [
        "extends: base.yaml",
        "extends: [a.yaml, b.yaml]\nomit: [latency]\nsignals: [{name: a, limit: 1%}]",
        "abstract: true\nsignals: [{name: a, provider: http}]",
        "values: {a: {type: percentage, default: 5%, one_of: [1%, 5%], description: x}}",
        "values: {a: {type: integer, default: 3}, b: {type: boolean, default: true}}",
        "extends: a\nvalues: {a: {default: 3}}",
    ],
)
def test_keys_of_reuse_are_in_the_schema(text: str, validator: Draft202012Validator) -> None:
    """An editor knows them, and that signals may then lack keys."""
    assert list(validator.iter_errors(yaml.safe_load(f"version: 1\n{text}"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "extends: 3",
        "extends: ['']",
        "extends: a\nsignals: [{limit: 1%}]",
        "extends: a\nsignals: [{name: a, limit: 1}]",
        "extends: a\nsignals: [{name: a, provider: pod}]",
        "extends: a\nsignals: [{name: a, limt: 1%}]",
        "signals: [{name: a, limit: 1%}]",
        "abstract: false\nsignals: [{name: a, limit: 1%}]",
        "values: {a: {type: percent}}",
        "values: {a-b: {type: text}}",
        "values: {a: {type: text, default: [1]}}",
        "values: {a: {defualt: 1}}",
        "watch: {for: '{{ name }}'}",
        "watch: {for: '{{ values. }}'}",
    ],
)
def test_wrong_keys_of_reuse_are_told_by_the_schema(
    text: str, validator: Draft202012Validator
) -> None:
    """What the schema can know of them it refuses."""
    assert not validator.is_valid(yaml.safe_load(f"version: 1\n{text}"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: str(file.name))
def test_a_shipped_policy_is_valid(file: Path, validator: Draft202012Validator, read: Read) -> None:
    """Each shipped policy has no problem, not even a note, names the schema, and is commented."""
    content = file.read_text()
    assert [p.message for p in read(content).problems] == []
    assert list(validator.iter_errors(yaml.safe_load(content))) == []
    lines = content.splitlines()
    assert lines[0] == "# yaml-language-server: $schema=policy.schema.json"
    assert sum("#" in line for line in lines) >= 8


def test_the_shipped_policies_are_the_documented_ones() -> None:
    """One file for each need, and one that combines them."""
    names = ["api-integrations", "combined", "http-errors", "latency", "pod-health"]
    assert [file.stem for file in SHIPPED] == names


def test_the_single_policies_can_be_given_together() -> None:
    """`-p a -p b …` of all but the combined one is one policy."""
    policy = load_all([file for file in SHIPPED if file.stem != "combined"])
    assert len(policy.signals) == 4


def test_the_probe_of_the_integrations_can_be_taken_out_of_its_comment(read: Read) -> None:
    """Without its "#" the probe of api-integrations.yaml is a second signal, with no problem."""
    content = (SHIPPED[0].parent / "api-integrations.yaml").read_text()
    found = read(re.sub(r"(?m)^  #(?=- |  )", "  ", content))
    assert [p.message for p in found.problems] == []
    assert found.policy is not None
    assert [s.name for s in found.policy.signals] == ["payments-errors", "payments-probe"]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: str(file.name))
def test_a_shipped_policy_asks_for_metrics_that_the_toy_service_has(file: Path) -> None:
    """The queries name only metrics and labels that the embedded service exposes."""
    from deploy_guard.policy.signal_rules import queries

    for signal in load_file(file).signals:
        if not isinstance(signal, Metrics):
            continue
        for _, query in queries(signal):
            (metric,) = re.findall(r"\b\w+_(?:total|bucket)\b", query)
            labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query))
            assert labels <= TOY_METRICS[metric] | {"namespace", "pod"}


def test_nothing_that_help_loads_imports_pydantic() -> None:
    """The package, its problems and the logic of `guard check` can be imported without pydantic."""
    code = (
        "import sys, deploy_guard.policy, deploy_guard.policy.problems, deploy_guard.check;"
        "print([m for m in ('pydantic', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_severities_are_stable_words() -> None:
    """Severities are words of the JSON document; renaming one would break its readers."""
    assert [severity.value for severity in Severity] == ["error", "warning", "note"]
