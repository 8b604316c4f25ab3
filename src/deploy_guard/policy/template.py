"""Template variables in queries and URLs: ``{{ name }}``, checked at load, rendered per workload.

Decides the syntax and the names. Nothing else of any template language exists, on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy_guard.errors import GuardError
from deploy_guard.policy.problems import quoted, suggestion

VARIABLES: dict[str, str] = {
    "namespace": "the workload's namespace",
    "name": "the workload's name",
    "pods": "a regular expression that matches all its pods",
    "candidate_pods": "a regular expression that matches the pods of the new revision",
    "baseline_pods": "a regular expression that matches the pods of the revisions before",
    "candidate_hash": "the pod-template-hash (or controller-revision-hash) of the new revision",
    "baseline_hash": "that of the revisions before, joined by |",
}

_NAMED = re.compile(r"\{\{([^{}\r\n]*)\}\}")
_MOST = 20  # flaws of one text that are told
_NO_PODS = "-"  # no pod can have this name
BASE = 58  # characters of a pod's generated name before its suffix: Kubernetes cuts the rest
_SUFFIX = "[a-z0-9]+"
_SUFFIX_LENGTH = 5
_LONGEST_HASH = 10


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong within a text, at `offset` and so many characters long."""

    message: str
    offset: int
    length: int
    help: str = ""


class TemplateError(GuardError):
    """A text cannot be rendered; `flaw` says where."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(f"{flaw.message} at character {flaw.offset + 1}", help=flaw.help)
        self.flaw = flaw


def flaws(text: str) -> list[Flaw]:
    """Return what is wrong with the template variables of a text."""
    found: list[Flaw] = []
    at = text.find("{{")
    while at >= 0 and len(found) < _MOST:
        match = _NAMED.match(text, at)
        if match is None:
            found.append(Flaw("'{{' is not closed", at, 2, "write {{ name }} on one line"))
            break
        name = match[1].strip(" \t")
        if name not in VARIABLES:
            offset = match.start(1) + match[1].index(name)
            found.append(_unknown(name, *((offset, len(name)) if name else (at, len(match[0])))))
        at = text.find("{{", match.end())
    return found


def _unknown(name: str, offset: int, length: int) -> Flaw:
    """Return the flaw of a variable that does not exist."""
    first, dot, rest = name.partition(".")
    help = suggestion(name, VARIABLES) or f"known: {', '.join(VARIABLES)}"
    if dot and suggestion(first, ["values"]):
        help = f"did you mean 'values.{rest[:60]}'?"
    message = f"unknown template variable '{name[:60]}'" if name else "'{{ }}' names no variable"
    return Flaw(message, offset, length, help)


def render(text: str, variables: Mapping[str, str]) -> str:
    """Return the text with every ``{{ name }}`` replaced by its value.

    Raises TemplateError for a name that does not exist or has no value here.
    """
    for flaw in flaws(text):
        raise TemplateError(flaw)

    def value(match: re.Match[str]) -> str:
        name = match[1].strip(" \t")
        if name not in variables:
            message = f"the template variable '{name}' has no value here"
            known = f"given: {quoted(variables)}" if variables else ""
            offset = match.start(1) + match[1].index(name)
            raise TemplateError(Flaw(message, offset, len(name), known))
        return variables[name]

    return _NAMED.sub(value, text)


def origin(text: str, variables: Mapping[str, str], offset: int) -> int:
    """Return the index in a template that an index in its rendering comes from.

    All of a variable's value comes from the variable's name.
    """
    grown = 0  # characters that the rendering is ahead of the template
    for match in _NAMED.finditer(text):
        begin = match.start() + grown
        if offset < begin:
            break
        name = match[1].strip(" \t")
        if offset < begin + len(variables[name]):
            return match.start(1) + match[1].index(name)
        grown += len(variables[name]) - len(match[0])
    return min(offset - grown, len(text))


def variables(
    *,
    namespace: str,
    name: str,
    candidate_hash: str,
    baseline_hashes: Sequence[str] = (),
    kind: str = "deployment",
    candidate_names: Sequence[str] = (),
    baseline_names: Sequence[str] = (),
) -> dict[str, str]:
    """Return the values of all variables for one workload.

    Pods of a StatefulSet or DaemonSet do not tell their revision by name: the `candidate_names` and
    `baseline_names` of this moment are what matches. Without any, or without a baseline, no pod
    does.
    """
    if kind == "deployment":
        every = _all_pods(name)
        new, old = _pods_of(name, candidate_hash), _pods_of_all(name, baseline_hashes)
    else:
        every = stateful_pod(name) if kind == "statefulset" else daemon_pod(name)
        new, old = _one_of(candidate_names), _one_of(baseline_names)
    return {
        "namespace": namespace,
        "name": name,
        "pods": every,
        "candidate_pods": new,
        "baseline_pods": old,
        "candidate_hash": candidate_hash,
        "baseline_hash": "|".join(baseline_hashes) or _NO_PODS,
    }


def stateful_pod(name: str) -> str:
    """Return the expression of a StatefulSet's pods: NAME-ORDINAL."""
    return f"{_literal(name)}-[0-9]+"


def daemon_pod(name: str) -> str:
    """Return the expression of a DaemonSet's pods: NAME-SUFFIX, of a long name cut."""
    return f"{_literal(f'{name}-'[:BASE])}[a-z0-9]{{{_SUFFIX_LENGTH}}}"


def _one_of(names: Sequence[str]) -> str:
    """Return the expression of some pods by their names."""
    return f"({'|'.join(map(_literal, names))})" if names else _NO_PODS


def pod_base(name: str, hash: str) -> str:
    """Return what the names of one revision's pods begin with, before their random suffix.

    It is ``name-hash-``, cut: of a long name nothing of the hash is left, and revisions cannot be
    told apart by it. Source: the API server's SimpleNameGenerator, which serves generateName.
    """
    return f"{name}-{hash}-"[:BASE]


def _pods_of(name: str, hash: str) -> str:
    """Return the expression of one revision's pods."""
    return _literal(pod_base(name, hash)) + _SUFFIX


def _pods_of_all(name: str, hashes: Sequence[str]) -> str:
    """Return the expression of the pods of several revisions."""
    each = list(dict.fromkeys(_pods_of(name, hash) for hash in hashes))
    return f"({'|'.join(each)})" if len(each) > 1 else "".join(each) or _NO_PODS


def _all_pods(name: str) -> str:
    """Return the expression of all pods of a workload."""
    stem = f"{name}-"
    left = BASE - len(stem)  # for the hash, of up to ten characters, and its dash
    if left <= 0:
        return f"{_literal(stem[:BASE])}[a-z0-9]{{{_SUFFIX_LENGTH}}}"
    whole = f"{_SUFFIX}-{_SUFFIX}"
    if left > _LONGEST_HASH:
        return _literal(stem) + whole
    return f"{_literal(stem)}({whole}|[a-z0-9]{{{left + _SUFFIX_LENGTH}}})"


def _literal(text: str) -> str:
    """Escape a name's dots as ``[.]``: a backslash would need a second one in PromQL."""
    return text.replace(".", "[.]")


def names_of(text: str) -> list[str]:
    """Return the names of the template variables of a text, in their order."""
    return [match[1].strip(" \t") for match in _NAMED.finditer(text)]


def blank(text: str) -> str:
    """Replace each variable by a word of the same length, for checks of the text around it."""
    return _NAMED.sub(lambda match: "x" * len(match[0]), text)
