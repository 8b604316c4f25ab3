"""A tree to a policy, or to a policy of what is right in it.

Decides what is told of a tree whose form is wrong, and what an abstract file may leave open.
"""

from __future__ import annotations

from pathlib import Path as FilePath

from pydantic import ValidationError

from deploy_guard.policy import yaml
from deploy_guard.policy.explain import explain, paths
from deploy_guard.policy.merge import SECTIONS, Part
from deploy_guard.policy.models import Policy
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import Problem
from deploy_guard.policy.reading import STDIN_NAME
from deploy_guard.policy.reuse import without_header
from deploy_guard.policy.salvage import salvage
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.yaml import Path


def nulls_in(place: Place) -> dict[Path, Problem]:
    """Return a problem for every key without a value; only `equals` may be null."""
    found = {}
    for path, node in yaml.walk(place.root):
        if not isinstance(node.value, Scalar) or not node.value.is_null or not path:
            continue
        if path[-1] == "equals" or str(path[0]).startswith("x-"):
            continue
        what = f"item {path[-1] + 1}" if isinstance(path[-1], int) else f"'{path[-1][:60]}'"
        help = "give it a value, or remove it to have the default"
        found[path] = place.key("empty-value", path, f"{what} has no value", help=help)
    return found


def to_policy(
    place: Place, unknown: set[Path], *, abstract: bool
) -> tuple[Part | None, list[tuple[Path, Problem]]]:
    """Turn a tree into a policy; if parts of it are wrong, a policy of the parts that are right.

    Nothing is said of `unknown` parts, and of signals to which an abstract file leaves a key.
    """
    value = without_header(yaml.plain(place.root))
    listed = value.get("signals")
    positions = list(range(len(listed))) if isinstance(listed, list) else []
    problems: list[tuple[Path, Problem]] = []
    policy: Policy | None
    bad = set(unknown)
    told = {at[:depth] for at in unknown for depth in range(1, len(at) + 1)}
    try:
        policy, rest = Policy.model_validate(value, by_alias=True, by_name=False), None
    except ValidationError as error:
        problems = [
            (path, problem)
            for path, problem in explain(error, value, place)
            if not (abstract and _may_come_later(path, problem)) and path not in told
        ]
        bad |= paths(error, value)
    if bad:
        policy, rest = salvage(value, bad, paths)
    if policy is None:
        return None, problems
    if not policy.name:
        stem = FilePath(place.source.file).stem
        name = "stdin" if place.source.file == STDIN_NAME else stem
        policy = policy.model_copy(update={"name": name})
    part = Part(policy, place, positions)
    if rest is not None:
        part = Part(policy, place, rest.signals, rest.broken, rest.damaged)
    if abstract:
        part.broken |= {*SECTIONS, "signals"}
        for position in part.signals:
            part.damaged.setdefault(position, set()).add("limit")
    return part, problems


def _may_come_later(path: Path, problem: Problem) -> bool:
    """Whether a problem is that a signal lacks a key, which an extending file may have."""
    lacks = problem.code == "missing-key" and path[:1] == ("signals",)
    return lacks and len(path) <= 3 and path[-1] != "name"
