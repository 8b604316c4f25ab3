"""Files that a policy extends: which can be, and where it is told that one cannot.

Decides that a base is a policy file of its own version that extends nothing itself: one level only,
so that who reads a policy has one place to look at. What is inherited is decided by `inherit`.
"""

from __future__ import annotations

import os

from pydantic import ValidationError

from deploy_guard.policy import yaml
from deploy_guard.policy.explain import explain
from deploy_guard.policy.models import Policy
from deploy_guard.policy.place import Place
from deploy_guard.policy.problems import Problem, suggestion
from deploy_guard.policy.reading import STDIN_NAME, SUFFIXES, hide_secrets, read_source
from deploy_guard.policy.source import Source
from deploy_guard.policy.yaml import Node, Path


def read_base(
    place: Place, position: int, name: str, sources: dict[str, Source]
) -> Node | list[Problem]:
    """Return the tree of a file that is extended, or why it cannot be.

    `position` and `name` are those of the item of `extends`; what is read is put to `sources`.
    """
    folder = "" if place.source.file == STDIN_NAME else os.path.dirname(place.source.file)  # noqa: PTH120
    file = _path(folder, name)
    at: Path = ("extends", position) if place.is_list(("extends",)) else ("extends",)
    if fault := _why_unusable(file, folder, name):
        return [place.at("bad-base", at, fault[0], help=fault[1])]
    itself = os.path.normpath(place.source.file) == file
    if file in sources or itself:
        message = "a file cannot extend itself" if itself else f"'{name[:60]}' is extended twice"
        return [place.at("bad-base", at, message, help="remove it")]
    source = read_source(file)
    if isinstance(source, Problem):
        if source.line or source.code == "too-large":
            return [source]
        return [place.at("bad-base", at, f"'{name[:60]}': {source.message}")]
    sources[file] = source
    root, problems = yaml.parse(source)
    if root is not None:
        hide_secrets(source, root)
    if problems:
        return problems
    if root is None or not isinstance(root.value, dict):
        return [place.at("bad-base", at, f"'{name[:60]}' is no policy: expected a mapping")]
    base = Place(source, root)
    if "extends" in root.value:
        message = f"'{name[:60]}' extends files itself: one level is all there is"
        help = f"extend them here, beside it; see {base.where(('extends',))}"
        return [place.at("bad-base", at, message, help=help)]
    return _version(base) or root


def _path(folder: str, name: str) -> str:
    """Return the path of a name in a folder, without detours.

    ``..`` of a folder that is a link is where the link leads, as for all other programs.
    """
    joined = os.path.join(folder, name)  # noqa: PTH118
    short = os.path.normpath(joined)
    if "\0" in name:  # which is refused
        return short
    real = os.path.realpath(joined)
    return short if os.path.realpath(short) == real else real


def _version(base: Place) -> list[Problem]:
    """Return what is wrong with the version of a file that is extended."""
    assert isinstance(base.root.value, dict)  # noqa: S101 - looked at before
    entry = base.root.value.get("version")
    value = {} if entry is None else {"version": yaml.plain(entry.node)}
    try:
        Policy.model_validate(value)
    except ValidationError as error:
        return [problem for _, problem in explain(error, value, base)]
    return []


def _why_unusable(file: str, folder: str, name: str) -> tuple[str, str] | None:
    """Return why a path can be no policy file, and help."""
    if "{{" in name:
        return "values cannot be used in 'extends'", "write the name of the file"
    if "\0" in name or file == "-":
        return f"'{name[:60]}' is not the name of a file", ""
    if os.path.isdir(file):  # noqa: PTH112
        return f"'{name[:60]}' is a directory: expected a policy file", "name each file"
    if os.path.isfile(file):  # noqa: PTH113
        # what a policy names must not show what else is on a machine: keys, an environment
        if os.path.realpath(file).endswith(SUFFIXES):
            return None
        return f"'{name[:60]}' is no policy file: expected a name that ends in .yaml or .yml", ""
    if os.path.exists(file):  # noqa: PTH110
        return f"'{name[:60]}' is not a regular file", ""
    if os.path.islink(file):  # noqa: PTH114
        return f"'{name[:60]}' is a link that leads to no file", ""
    near = os.path.join(folder, os.path.dirname(name))  # noqa: PTH118, PTH120
    try:
        known = os.listdir(near or ".")[:1000]  # noqa: PTH208
    except OSError:
        known = []
    help = suggestion(os.path.basename(name), known)  # noqa: PTH119
    where = "the current directory" if not folder else f"'{folder[:200]}'"
    return f"'{name[:60]}' does not exist", help or f"paths are relative to {where}"
