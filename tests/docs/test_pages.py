"""The documentation cannot drift: links, policies, commands, help texts and tables are held."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from deploy_guard.cli import guard
from deploy_guard.errors import EXIT_CODES
from deploy_guard.policy.load import inspect
from deploy_guard.policy.problems import Severity, render
from deploy_guard.policy_tests.suite import run as run_tests

from .pages import LINK, ROOT, SPAN, Page, pages

PAGES = pages()
BY_NAME = {page.name: page for page in PAGES}
README = BY_NAME["README.md"]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_every_relative_link_leads_somewhere(page: Page) -> None:
    """Files that a page links to exist, and so do the headings behind a #."""
    for link in LINK.findall(page.prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in Page(target).anchors, link


@every_page
def test_every_policy_is_valid(page: Page, tmp_path: Path) -> None:
    """Each YAML block is YAML; each that is a policy has no error, tests of one pass."""
    for number, fence in enumerate(page.fences):
        if fence.language not in ("yaml", "yml"):
            continue
        for document in yaml.safe_load_all(fence.text):
            if isinstance(document, dict) and "cases" in document:
                shutil.copytree(ROOT / "policies", tmp_path / "policies")
                tests = tmp_path / "policies/of-this-page.test.yaml"
                tests.write_text(fence.text)
                failures = [p for file in run_tests([tests]).files for p in file.failures()]
                assert not failures, render(failures)
            elif isinstance(document, dict) and "version" in document:
                file = tmp_path / f"{number}.yaml"
                file.write_text(fence.text)
                problems = inspect([str(file)]).problems
                assert not [p for p in problems if p.severity is Severity.ERROR], render(problems)


def commands(page: Page) -> list[str]:
    """Return the command lines of guard in the fenced blocks of a page."""
    found = []
    for fence in page.fences:
        if fence.language not in ("", "console", "bash", "sh", "text"):
            continue
        for line in fence.text.replace("\\\n", " ").splitlines():
            text = line.strip().removeprefix("$ ")
            if text.startswith(("guard ", "kubectl guard ")) and not text.startswith("guard: "):
                found.append(text.removeprefix("kubectl "))
    return found


def parse(text: str) -> None:
    """Parse a command line of guard as the command would, without running it."""
    words = shlex.split(text, comments=True)[1:]
    for end in ("|", "||", "&&", ">", ";"):
        words = words[: words.index(end)] if end in words else words
    if not words or words[0].startswith("-"):
        with pytest.raises(click.exceptions.Exit):
            guard.make_context("guard", words)
        return
    command = guard.commands[words[0]]
    try:
        with command.make_context(words[0], words[1:]):
            pass
    except click.exceptions.Exit as exit_:  # --help
        assert exit_.exit_code == 0


@every_page
def test_every_command_line_can_be_parsed(page: Page) -> None:
    """Each line of a block that calls guard has a command, options and arguments that exist."""
    for text in commands(page):
        try:
            parse(text)
        except (click.ClickException, KeyError) as error:
            pytest.fail(f"{text}: {error!r}")


@pytest.mark.parametrize(
    "text",
    [
        "guard wach deployment/checkout -p a.yaml",
        "guard watch deployment/checkout",
        "guard watch deployment/checkout -p a.yaml --polcy b.yaml",
        "guard rollback deployment/checkout --timeout 5",
    ],
)
def test_a_wrong_command_line_would_be_found(text: str) -> None:
    """An unknown command or option, a missing one and a wrong value are all refused."""
    with pytest.raises((click.ClickException, KeyError)):
        parse(text)


@every_page
def test_every_command_in_the_prose_exists(page: Page) -> None:
    """What stands as `guard …` in a sentence has a command and options that exist."""
    for span in SPAN.findall(page.prose):
        words = span.split()
        if words[:1] != ["guard"] or len(words) < 2 or not words[1].islower():
            continue
        command = guard.commands.get(words[1])
        assert command is not None or words[1].startswith("-"), span
        known = {name for p in (command or guard).params for name in p.opts} | {"-h", "--help"}
        assert {word for word in words[2:] if word.startswith("-")} <= known, span


def test_the_readme_shows_commands() -> None:
    """The search for command lines finds those of the README and of the pages."""
    assert len(commands(README)) >= 5
    assert len(commands(BY_NAME["docs/commands.md"])) >= 7


def test_the_help_texts_are_the_real_ones(tmp_path: Path) -> None:
    """`make docs` would change no help text."""
    copies = []
    for name in ("README.md", "docs/commands.md"):
        copy = tmp_path / Path(name).name
        shutil.copy(ROOT / name, copy)
        copies.append(copy)
    tool = str(ROOT / "tools/help_blocks.py")
    subprocess.run([sys.executable, tool, *map(str, copies)], check=True)
    helps = "".join(copy.read_text() for copy in copies)
    assert helps == README.text + BY_NAME["docs/commands.md"].text
    for command in ["", *(f" {name}" for name in guard.commands)]:
        assert f"$ guard{command} --help\nUsage: guard{command} [" in helps


def test_the_exit_codes_of_the_readme_are_the_real_ones() -> None:
    """The table has every exit code with its meaning, in order."""
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", README.text, re.MULTILINE)
    assert rows == [(str(int(code)), meaning) for code, meaning in EXIT_CODES.items()]


def test_the_index_lists_every_page() -> None:
    """docs/index.md links to each page of the documentation."""
    index = BY_NAME["docs/index.md"]
    listed = set(LINK.findall(index.text))
    assert {page.path.name for page in PAGES if page.name.startswith("docs/")} <= {
        *listed,
        "index.md",
    }


def test_the_layout_lists_every_package() -> None:
    """CONTRIBUTING.md says of each package of the source what it decides."""
    text = BY_NAME["CONTRIBUTING.md"].text
    for folder in (ROOT / "src/deploy_guard").iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert f"`{folder.name}`" in text, folder.name


@every_page
def test_no_page_is_unfinished(page: Page) -> None:
    """No page has a note to its own writers."""
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD)\b", page.text)


@every_page
def test_every_make_target_exists(page: Page) -> None:
    """Each `make` target that a page names is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^\$ |^)make ([a-z-]+)", page.text, re.MULTILINE)
    assert set(named) <= targets
