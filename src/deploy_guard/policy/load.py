"""Policy files to one checked policy: read, parse, map, merge, check; every problem at once.

Decides which files are read and what may not be read. Several files are one policy: their signals
are put together, and a section (`watch`, `rollback`, `prometheus`, `kubernetes`) may stand in
several files only if it says the same in each: half a connection from one file and a password
from another would send secrets to the wrong place.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, BinaryIO

from deploy_guard.errors import UsageError
from deploy_guard.policy import yaml
from deploy_guard.policy.connection_rules import is_base_url
from deploy_guard.policy.mapping import nulls_in, to_policy
from deploy_guard.policy.merge import Part, Places, merge
from deploy_guard.policy.models import Policy, PrometheusConnection
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import PolicyError, Problem, Severity, first_of
from deploy_guard.policy.reading import (
    MAX_BYTES,
    STDIN,
    STDIN_NAME,
    SUFFIXES,
    hide_secrets,
    read_source,
)
from deploy_guard.policy.resolve import resolve
from deploy_guard.policy.rules import check
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.source import Source
from deploy_guard.policy.values import Values

__all__ = ["MAX_BYTES", "STDIN", "STDIN_NAME", "SUFFIXES"]
OF_TESTS = (".test.yaml", ".test.yml")  # how names of policy tests end
OF_VALUES = (".values.yaml", ".values.yml")  # and those of files for --values


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of some files: the policy, None if there is any error, and all problems.

    `places` tells where its parts stand, for problems that only show later. An `abstract` policy
    may lack anything: it is only there to be extended. `declared` are the names of the values
    that the files declare, None if not all files could be read.
    """

    policy: Policy | None
    problems: tuple[Problem, ...]
    places: Places | None = None
    abstract: bool = False
    declared: frozenset[str] | None = None


def load_file(
    file: FilePath | str, *, prometheus_url: str | None = None, values: Values | None = None
) -> Policy:
    """Return the policy of one file (``-`` is standard input); see `load_all`."""
    return load_all([file], prometheus_url=prometheus_url, values=values)


def load_all(
    files: Sequence[FilePath | str],
    *,
    prometheus_url: str | None = None,
    values: Values | None = None,
) -> Policy:
    """Return the one policy that several files or directories make.

    `prometheus_url` replaces the URL that the files give; `values` are those of `--set` and
    `--values`. Raises PolicyError with every problem of every file, also for a value that none of
    them declares, and UsageError for a URL that cannot be one.
    """
    if prometheus_url is not None:
        require_base_url(prometheus_url)
    given = prometheus_url is not None
    loaded = inspect(find(files), prometheus_given=given, values=values)
    undeclared = []
    if values is not None and loaded.declared is not None:
        undeclared = values.undeclared(loaded.declared)
    if loaded.policy is None or undeclared:
        raise PolicyError([*loaded.problems, *undeclared])
    return loaded.policy if prometheus_url is None else with_url(loaded.policy, prometheus_url)


def require_base_url(url: str) -> None:
    """Raise UsageError for a URL that cannot be that of a Prometheus."""
    if not is_base_url(url):
        raise UsageError(
            "the URL of Prometheus is not one: expected http:// or https:// and a host",
            help="such as http://prometheus.monitoring:9090, without user, password or query",
        )


def with_url(policy: Policy, url: str) -> Policy:
    """Return the policy with another Prometheus; credentials and headers stay."""
    known = policy.prometheus
    connection = (
        PrometheusConnection(url=url) if known is None else known.model_copy(update={"url": url})
    )
    return policy.model_copy(update={"prometheus": connection})


def find(names: Iterable[FilePath | str]) -> list[str]:
    """Return the files that paths name: a directory stands for all YAML files below it.

    The order is that of the arguments, within a directory by name; tests of policies
    (``*.test.yaml``) and values (``*.values.yaml``) are none of them. A path that does not exist
    is returned as it is: reading it tells. Raises PolicyError for a directory without policies.
    """
    files: list[str] = []
    for path in map(str, names):
        # an empty name is a variable that is not set, never the current directory
        folder = path not in {STDIN, ""} and FilePath(path).is_dir()
        below = find_below(path, onerror=_cannot_be_listed) if folder else [path]
        if not below:
            message = "the directory has no policy: expected files that end in .yaml or .yml"
            raise PolicyError([Problem("no-policy", message, path)])
        files += [file for file in below if file not in files]
    return files


def find_below(directory: str, *, onerror: Callable[[OSError], object]) -> list[str]:
    """Return all YAML files below a directory, sorted; hidden directories are left out.

    So are links to directories, and what is no file, such as a pipe. `onerror` hears of each
    directory that cannot be listed: what is in it would pass unseen.
    """
    found = []
    for folder, folders, names in os.walk(directory, onerror=onerror):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = [str(FilePath(folder, name)) for name in sorted(names) if _is_policy(name)]
        found += [file for file in files if _is_file_or_nothing(file)]
    return found


def _is_file_or_nothing(path: str) -> bool:
    """Tell whether reading a path says all there is to say: of a pipe it would wait forever."""
    # os.path answers where pathlib raises: a directory whose files may be listed, not looked at
    return os.path.isfile(path) or not os.path.exists(path)  # noqa: PTH110, PTH113


def _is_policy(name: str) -> bool:
    """Tell whether a file of this name in a directory is a policy: tests of policies are not."""
    return name.endswith(SUFFIXES) and not name.endswith(OF_TESTS + OF_VALUES)


def unlisted(error: OSError) -> Problem:
    """Return the problem of a directory that cannot be listed."""
    message = f"the directory cannot be read: {(error.strerror or str(error)).lower()}"
    return Problem("unreadable", message, str(error.filename))


def _cannot_be_listed(error: OSError) -> None:
    """Raise the problem of a directory."""
    raise PolicyError([unlisted(error)]) from error


def inspect(
    files: Sequence[FilePath | str],
    *,
    prometheus_given: bool = False,
    stdin: BinaryIO | None = None,
    stdin_name: str = STDIN_NAME,
    values: Values | None = None,
    abstract_too: bool = False,
) -> Loaded:
    """Read files as one policy and return it with every problem, warnings and notes too.

    `stdin_name` is what problems call standard input: the file that an editor has open.
    `abstract_too`: a file that is only there to be extended is no error, as for a check.
    Values that no file declares are left to `Values.undeclared`: another file may declare them.
    """
    values = values or Values()
    reads: list[_Read] = []
    problems: list[Problem] = []
    sources: dict[str, Source] = dict(values.sources)
    for file in map(str, files):
        source = read_source(file, stdin, stdin_name)
        if isinstance(source, Problem):
            problems.append(source)
            continue
        read = _read(source, values)
        sources |= {**read.sources, source.file: source}
        problems += read.problems
        reads.append(read)
    parts = [read.part for read in reads if read.part is not None]
    merged, places = merge(parts)
    abstract = any(read.abstract for read in reads)
    if places is not None:
        places.sources = sources
        problems += [problem for part in parts for problem in part.conflicts]
        if len(parts) < len(files):
            places.broken |= {"prometheus", "watch", "signals"}
        found = check(merged, places, prometheus_given=prometheus_given)
        problems += [p for p in found if not abstract or p.code != "no-effect"]
    if not abstract_too:
        problems += [read.not_alone() for read in reads if read.abstract]
    broken = any(problem.severity is Severity.ERROR for problem in problems)
    names = [stdin_name if str(file) == STDIN else str(file) for file in files]
    told = _told(problems, sources, names)
    policy = None if broken or not parts else merged
    known = len(parts) == len(files)
    declared = frozenset(name for read in reads for name in read.declared) if known else None
    return Loaded(policy, tuple(told), places, abstract, declared)


@dataclass(slots=True)
class _Read:
    """One file that was read: what can be used of it, and its problems."""

    part: Part | None
    problems: list[Problem]
    place: Place | None = None
    abstract: bool = False
    sources: dict[str, Source] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()

    def not_alone(self) -> Problem:
        """Return the problem of an abstract file that is used as a policy."""
        assert self.place is not None  # noqa: S101 - an abstract file was read
        message = "this policy is abstract: it is there to be extended, not to be used"
        help = "write a file that has: extends: and the name of this one"
        return self.place.key("abstract", ("abstract",), message, help=help)


def _told(
    problems: list[Problem], sources: dict[str, Source], files: list[str]
) -> Iterator[Problem]:
    """Yield problems in the order of files and lines, with what may be shown of their lines.

    An anchor that is used twice is one mistake. A file with very many shows only the first.
    """
    order = {file: number for number, file in enumerate(files)}
    unique: dict[tuple[object, ...], Problem] = {}
    for problem in problems:
        unique.setdefault(_mistake(problem), problem)
    by_file = sorted(
        unique.values(), key=lambda p: (order.get(p.file, 0), p.file, p.line, p.column)
    )
    for file, group in itertools.groupby(by_file, key=lambda p: p.file):
        shown, more = first_of(list(group))
        for problem in shown:
            yield sources[file].illustrate(problem) if file in sources else problem
        yield from more


def _mistake(problem: Problem) -> tuple[object, ...]:
    """Return what tells a mistake from others: not which signal an anchor was used in."""
    words = re.sub(r"\bsignal \d+", "signal", problem.message)
    return problem.code, problem.file, problem.line, problem.column, words


def _read(source: Source, values: Values) -> _Read:
    """Read one file, with the files that it extends and the values in it."""
    root, problems = yaml.parse(source)
    if root is not None:
        hide_secrets(source, root)
    if root is None or not isinstance(root.value, dict):
        return _Read(None, problems or [_no_mapping(source, root)])
    own = Place(source, root)
    resolved = resolve(own, values)
    part, found = None, resolved.problems
    place = resolved.place or own
    nulls = nulls_in(place)
    if resolved.place is not None:
        part, more = to_policy(resolved.place, resolved.unknown, abstract=resolved.abstract)
        found = [*found, *more]
    problems += [problem for path, problem in found if path not in nulls]
    wrong = {path for path, problem in found if problem.code == "bad-type"}
    inside = {at for at in nulls if any(at[:depth] in wrong for depth in range(1, len(at)))}
    problems += [problem for at, problem in nulls.items() if at not in inside]
    return _Read(part, problems, own, resolved.abstract, resolved.sources, resolved.declared)


def _no_mapping(source: Source, root: yaml.Node | None) -> Problem:
    """Explain a file that has no mapping at its top."""
    help = "begin with: version: 1"
    if root is None or (isinstance(root.value, Scalar) and root.value.is_null):
        return Problem("empty", "the file has no policy", source.file, 1, 1, help=help)
    message = "a policy is a mapping: expected keys such as 'version' and 'signals'"
    return source.problem("bad-type", message, root.start, root.start + 1, help=help)


def dump(policy: Policy) -> dict[str, Any]:
    """Return a policy as JSON values, resolved: defaults filled in, durations in seconds."""
    return policy.model_dump(mode="json", by_alias=True)


def restore(value: dict[str, Any]) -> Policy:
    """Return the policy of `dump`. Raises ValueError when it is none."""
    return Policy.model_validate(value, by_alias=True, by_name=False)
