"""Every shipped policy has tests, and they pass."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from deploy_guard.policy.models import Section
from deploy_guard.policy.schema import all_sections
from deploy_guard.policy.shape import keys
from deploy_guard.policy_tests.models import PolicyTests
from deploy_guard.policy_tests.reference import reference
from deploy_guard.policy_tests.schema import json_schema, text
from deploy_guard.policy_tests.suite import run

ROOT = Path(__file__).parents[2]
FILES = sorted(
    [*(ROOT / "policies").rglob("*.test.yaml"), *(ROOT / "examples").rglob("*.test.yaml")]
)


def test_guard_test_passes_for_all_that_is_shipped() -> None:
    """`guard test policies examples` passes, and no policy is without tests."""
    results = run([ROOT / "policies", ROOT / "examples"])
    failed = [problem.message for file in results.files for problem in file.failures()]
    assert failed == [] and results.exit_code == 0
    assert results.notes == []
    assert len(results.cases) > 70


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_shipped_tests_cover_what_matters(file: Path) -> None:
    """Each has a healthy deploy, a regression, and one that ends without a finding."""
    verdicts = {case.expect.verdict for case in _tests(file).cases}
    assert {"healthy", "regressed"} <= verdicts and {"no data", "inconclusive"} & verdicts


def _tests(file: Path) -> PolicyTests:
    from deploy_guard.policy_tests.load import inspect

    loaded = inspect(file)
    assert loaded.tests is not None, loaded.problems
    return loaded.tests


def test_the_schema_is_one_and_complete() -> None:
    """It is a valid draft 2020-12 schema; every key has a description, every example is right."""
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    for section in (schema, *schema["$defs"].values()):
        for key, value in section["properties"].items():
            assert value.get("description"), key
            found = Draft202012Validator({**value, "$defs": schema["$defs"]})
            for example in (
                *value.get("examples", ()),
                *[value[d] for d in ("default",) if d in value],
            ):
                assert list(found.iter_errors(example)) == [], (key, example)


def test_the_shipped_schema_is_current() -> None:
    """policies/policy-test.schema.json is what `guard schema --of test` prints today."""
    assert (ROOT / "policies/policy-test.schema.json").read_text() == text()


def test_the_reference_is_current() -> None:
    """The tables in docs/policy-tests.md are what the models say today, and have every key."""
    page = (ROOT / "docs/policy-tests.md").read_text()
    assert reference() in page
    sections: list[type[Section]] = all_sections(PolicyTests)
    assert [key for s in sections for key in keys(s) if f"`{key}`" not in page] == []
