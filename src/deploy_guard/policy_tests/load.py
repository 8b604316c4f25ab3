"""Test files to checked tests: read, parse, map, compare with the policy; every problem at once.

Decides which files are tests and which policy a test is about. Nothing is run here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from deploy_guard.policy import yaml
from deploy_guard.policy.explain import explain, paths
from deploy_guard.policy.given import Given
from deploy_guard.policy.load import OF_TESTS
from deploy_guard.policy.load import inspect as inspect_policy
from deploy_guard.policy.models import Policy
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import Problem, Severity, first_of, suggestion
from deploy_guard.policy.reading import hide_secrets, read_source
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.values import NAME, Values, text_fault
from deploy_guard.policy.yaml import Path
from deploy_guard.policy_tests import rules
from deploy_guard.policy_tests.models import Case, PolicyTests, Setting
from deploy_guard.policy_tests.shape import section_at

DOCS = "policy-tests.md"


@dataclass(frozen=True, slots=True)
class OneCase:
    """A case with its policy and its position among the cases of its file."""

    case: Case
    number: int
    policy: Policy


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a test file: its cases, none if there is any error, and all problems.

    `policies` are the files that it is about.
    """

    path: str
    tests: PolicyTests | None
    cases: tuple[OneCase, ...]
    problems: tuple[Problem, ...]
    policies: tuple[str, ...] = ()
    place: Place | None = None
    declared: frozenset[str] = frozenset()  # names of values that its policies have

    def problem(self, code: str, case: int, key: str, message: str, *, help: str = "") -> Problem:
        """Return a problem at a key's value of a case, as it can be shown."""
        assert self.place is not None  # noqa: S101 - a file with cases was read
        found = self.place.at(code, ("cases", case, key), message, help=help)
        return replace(self.place.source.illustrate(found), docs=DOCS)


def is_test(path: str) -> bool:
    """Tell whether a file of this name has tests of a policy."""
    return path.endswith(OF_TESTS)


def find(names: Iterable[FilePath | str]) -> tuple[list[str], list[Problem]]:
    """Return the test files that paths name, and problems of directories.

    A directory stands for all test files below it, by name; hidden ones are left out. A policy
    stands for the test file beside it.
    """
    files: list[str] = []
    problems: list[Problem] = []
    for name in map(str, names):
        if FilePath(name or "-").is_dir():
            below = list(_below(name, problems))
            if not below:
                message = f"the directory has no tests: expected files that end in {OF_TESTS[0]}"
                problems.append(Problem("no-tests", message, name, docs=DOCS))
        else:
            below = list(_beside(name, problems))
        files += [file for file in below if file not in files]
    return files, problems


def _below(directory: str, problems: list[Problem]) -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        message = f"the directory cannot be read: {(error.strerror or str(error)).lower()}"
        problems.append(Problem("unreadable", message, str(error.filename)))

    for folder, folders, names in os.walk(directory, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if is_test(name) and FilePath(folder, name).is_file():
                yield str(FilePath(folder, name))


def _beside(name: str, problems: list[Problem]) -> Iterator[str]:
    """Yield the test file of a policy, and any other file as it is."""
    path = FilePath(name)
    if is_test(name) or path.suffix not in (".yaml", ".yml"):
        yield name
        return
    places = [path.with_name(path.stem + ending) for ending in OF_TESTS]
    if found := next((place for place in places if place.is_file()), None):
        yield str(found)
    elif path.exists():
        message = f"the policy has no tests: expected them beside it, in {places[0].name}"
        problems.append(Problem("no-tests", message, name, docs=DOCS))
    else:
        yield name  # reading it tells why it cannot be read


@dataclass(slots=True)
class _Reading:
    """A file on its way to tests."""

    place: Place
    values: Values
    problems: list[Problem] = field(default_factory=list)
    policies: tuple[str, ...] = ()
    of_policies: list[Problem] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)


def inspect(path: FilePath | str, *, values: Values | None = None) -> Loaded:
    """Read a test file with its policies and return it with every problem.

    `values` are from the command line: they win over those in the file.
    """
    source = read_source(str(path))
    if isinstance(source, Problem):
        return Loaded(str(path), None, (), (replace(source, docs=DOCS),))
    root, problems = yaml.parse(source)
    if root is not None:
        hide_secrets(source, root)
    if root is None or not isinstance(root.value, dict):
        if not problems:
            help = "begin with: version: 1"
            message = "the tests of a policy are a mapping: expected 'version' and 'cases'"
            at = (0, 1) if root is None else (root.start, root.start + 1)
            problems = [source.problem("bad-type", message, *at, help=help)]
        return Loaded(str(path), None, (), _told(problems, source.illustrate))
    reading = _Reading(Place(source, root), values or Values(), problems)
    tests, positions, whole = _map(reading)
    cases = [] if tests is None else list(_cases(reading, tests, positions))
    told = _told(reading.problems, source.illustrate)
    told = (*told, *dict.fromkeys(reading.of_policies))
    broken = not whole or any(p.severity is Severity.ERROR for p in told)
    found = () if broken else tuple(cases)
    declared = frozenset(reading.declared)
    return Loaded(str(path), tests, found, told, reading.policies, reading.place, declared)


def _map(reading: _Reading) -> tuple[PolicyTests | None, list[int], bool]:
    """Return the tests, the positions of their cases in the file, and whether that is all.

    If some cases are wrong, the others are returned, so that they are checked as well.
    """
    plain = yaml.plain(reading.place.root)
    value = {key: item for key, item in plain.items() if not key.startswith("x-")}
    listed = value.get("cases")
    positions = list(range(len(listed))) if isinstance(listed, list) else []
    try:
        tests = PolicyTests.model_validate(value, by_alias=True, by_name=False)
        return tests, positions, True
    except ValidationError as error:
        found = explain(error, value, reading.place, known=section_at)
        reading.problems += [problem for _, problem in found]
        wrong = paths(error, value)
    bad = {path[1] for path in wrong if path[:1] == ("cases",) and len(path) > 1}
    positions = [number for number in positions if number not in bad]
    rest = {key: item for key, item in value.items() if (key,) not in {p[:1] for p in wrong}}
    if isinstance(listed, list):
        rest["cases"] = [listed[number] for number in positions]
    try:
        tests = PolicyTests.model_validate({"version": "1", **rest}, by_alias=True, by_name=False)
    except ValidationError:
        return _header(rest), [], False
    return tests, positions, False


def _header(value: Mapping[str, Any]) -> PolicyTests:
    """Return tests without any case, so that their policies are looked for all the same."""
    policy, several = value.get("policy"), value.get("policies")
    return PolicyTests.model_construct(
        version=1,
        policy=policy if isinstance(policy, str) and policy else None,
        policies=[name for name in several if isinstance(name, str)]
        if isinstance(several, list)
        else [],
        defaults=Setting(),
        cases=[],
    )


def _cases(reading: _Reading, tests: PolicyTests, positions: list[int]) -> Iterator[OneCase]:
    """Yield each case with its policy; what is wrong with them is added to the problems."""
    reading.policies = tuple(_policies(reading, tests))
    defaults = _values(reading, ("defaults", "values"))
    known: dict[tuple[tuple[str, str], ...], Policy | None] = {}
    checked = rules.Checked(tests, reading.place, reading.problems)
    for case, number in zip(tests.cases, positions, strict=True):
        own = _values(reading, ("cases", number, "values"))
        given = {**defaults, **own, **reading.values.given}
        key = tuple(sorted((name, str(one.text)) for name, one in given.items()))
        if key not in known:
            known[key] = _policy(reading, Values(given))
        policy = known[key]
        checked.case(case, number, policy)
        if policy is not None:
            yield OneCase(case, number, policy)
    checked.whole([policy for policy in known.values() if policy is not None])


def _policies(reading: _Reading, tests: PolicyTests) -> Iterator[str]:
    """Yield the files of the policies; one that does not exist is a problem."""
    here = reading.place.source.file
    folder = FilePath(here).parent
    named: list[tuple[Path, str]] = [
        (("policies", number), name) for number, name in enumerate(tests.policies)
    ]
    if tests.policy is not None:
        named = [(("policy",), tests.policy)]
    for path, name in named:
        if is_test(name):
            message = f"'{name[:80]}' has tests: expected the file of a policy"
            reading.problems.append(reading.place.at("no-policy", path, message))
        elif (folder / name).is_file():
            yield str(folder / name)
        else:
            files = [] if not folder.is_dir() else [f.name for f in folder.glob("*.y*ml")]
            near = suggestion(name, [file for file in files if not is_test(file)])
            message = f"the policy '{name[:80]}' does not exist beside this file"
            reading.problems.append(reading.place.at("no-policy", path, message, help=near))
    if named:
        return
    stem = FilePath(here).name.removesuffix(".yaml").removesuffix(".yml").removesuffix(".test")
    for suffix in (".yaml", ".yml"):
        if (file := FilePath(here).with_name(stem + suffix)).is_file() and str(file) != here:
            yield str(file)
            return
    message = f"there is no policy {stem}.yaml beside this file"
    help = "name the policy: policy: FILE"
    reading.problems.append(reading.place.at("no-policy", (), message, help=help))


def _policy(reading: _Reading, values: Values) -> Policy | None:
    """Return the policy with some values, and keep its problems."""
    if not reading.policies:
        return None
    loaded = inspect_policy(reading.policies, prometheus_given=True, values=values)
    wrong = [p for p in loaded.problems if p.severity is Severity.ERROR]
    if loaded.declared is not None:
        reading.declared |= loaded.declared
        here = reading.place.source
        own = {name: given for name, given in values.given.items() if given.source is here}
        wrong += Values(own).undeclared(loaded.declared)
    reading.of_policies += wrong
    return None if wrong else loaded.policy


def _values(reading: _Reading, path: Path) -> dict[str, Given]:
    """Return the values at a path of the file, each with its place."""
    node: yaml.Node | None = reading.place.root
    for step in path:
        value = node.value if node is not None else None
        if isinstance(value, dict) and isinstance(step, str) and step in value:
            node = value[step].node
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            node = value[step]
        else:
            return {}
    source = reading.place.source
    found: dict[str, Given] = {}
    entries: Mapping[str, Any] = node.value if node and isinstance(node.value, dict) else {}
    for name, entry in entries.items():
        text = entry.node.value
        if not isinstance(text, Scalar) or not NAME.fullmatch(name):
            continue  # the models have told
        if fault := text_fault(text):
            at = (*path, name)
            reading.problems.append(reading.place.at("bad-value", at, f"'{name}': {fault}"))
            continue
        node, name_at = entry.node, (entry.start, entry.end)
        found[name] = Given(name, text, source, node.start, node.end, name_at)
    return found


def _told(problems: Iterable[Problem], illustrate: Any) -> tuple[Problem, ...]:
    """Return problems in the order of lines, each once, with what may be shown of their lines."""
    unique = {(p.code, p.line, p.column, p.message): p for p in problems}
    ordered = sorted(unique.values(), key=lambda p: (p.line, p.column))
    shown, more = first_of(ordered)
    return (*(illustrate(_of_tests(problem)) for problem in shown), *more)


def _of_tests(problem: Problem) -> Problem:
    """Say "test file" where the shared words say "policy", and name its documentation."""
    message = problem.message
    for before, after in (
        ("the policy:", "the test file:"),
        ("the policy needs", "the test file needs"),
    ):
        message = message.replace(before, after, 1) if message.startswith(before) else message
    return replace(problem, message=message, docs=DOCS)
