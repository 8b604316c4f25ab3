"""The guide: every policy in it is valid, and what it says that guard says, guard says."""

import re
from pathlib import Path

import pytest

from deploy_guard.policy.problems import Severity, render

from .conftest import ReadAll
from .good import GOOD, Read

ROOT = Path(__file__).parents[2]
DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "policies.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
TRAPS = re.findall(r"^\| `(\w+): ([^`]+)` \| (.*?) \| .* \|$", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_of_the_guide_is_valid(number: int, read: Read) -> None:
    """Each YAML block is a whole policy without errors; only signals may be missing."""
    problems = [p for p in read(EXAMPLES[number]).problems if p.code != "no-signals"]
    assert [p for p in problems if p.severity is not Severity.NOTE] == [], render(problems)


def test_the_guide_has_examples_of_every_provider() -> None:
    """All three providers are shown."""
    text = "".join(EXAMPLES)
    assert len(EXAMPLES) >= 7
    assert all(f"provider: {name}" in text for name in ("prometheus", "pods", "http"))


@pytest.mark.parametrize(("key", "value", "said"), TRAPS)
def test_a_trap_of_the_guide_is_told_so(key: str, value: str, said: str, read: Read) -> None:
    """What the table says that guard says, it says, as message or as help."""
    broken, count = re.subn(rf"(?m)^(\s*){key}: \S+$", rf"\g<1>{key}: {value}", GOOD, count=1)
    assert count == 1
    (problem,) = read(broken).problems
    assert said in f"{problem.message} {problem.help}"


def test_the_table_of_traps_is_read() -> None:
    """The traps that are a key with a value are tested."""
    assert len(TRAPS) == 6


def test_the_sample_of_an_error_is_real(read: Read) -> None:
    """The error in the guide is what guard prints for its smallest policy with that mistake."""
    (sample,) = re.findall(r"```\n(checkout\.yaml:.*?)```", GUIDE, re.DOTALL)
    problems = read(EXAMPLES[0].replace("errors: http", "erors: http")).problems
    said = render(problems).replace(problems[0].file, "checkout.yaml")
    assert said + "\n" == sample


def test_links_between_the_pages_hold() -> None:
    """Files and headings that the guide links to exist."""
    for target in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", GUIDE):
        file = DOCS / target[0]
        assert file.is_file()
        if target[1]:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert target[1] in {heading.lower().replace(" ", "-") for heading in headings}


REUSE = (DOCS / "policy-reuse.md").read_text()
SHOP = {file.name: file.read_text() for file in (ROOT / "examples/policies/shop").iterdir()}


def test_the_excerpts_of_the_guide_to_reuse_are_those_of_the_examples() -> None:
    """Each block of policy is a part of a file that a test checks."""
    blocks = re.findall(r"```yaml\n(.*?)```", REUSE, re.DOTALL)
    own = [block for block in blocks if not any(block in text for text in SHOP.values())]
    assert len(blocks) == 5
    assert own == ["extends: base.yaml\nomit: [latency]\n"]


def test_the_samples_of_errors_of_values_are_real(read_all: ReadAll) -> None:
    """What the guide shows of wrong values is what guard prints for its examples."""
    first, second = re.findall(r"```\n(prod.values.yaml:.*?|--set .*?)\n```", REUSE, re.DOTALL)
    wrong = SHOP["prod.values.yaml"].partition("\n")[2] + "error_limit: 5\n"
    files = {"checkout.yaml": SHOP["checkout.yaml"], **SHOP, "prod.values.yaml": wrong}
    assert render(read_all(files).problems) == first
    given = {name: text for name, text in files.items() if name != "prod.values.yaml"}
    assert render(read_all(given, "watch_for=0s").problems) == second
