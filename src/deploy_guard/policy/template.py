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
    "candidate_hash": "the pod-template-hash of the new revision",
    "baseline_hash": "the pod-template-hash of the revisions before, joined by |",
}

_NAMED = re.compile(r"\{\{([^{}\r\n]*)\}\}")
_MOST = 20  # flaws of one text that are told
_NO_PODS = "-"  # no pod can have this name


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
    help = suggestion(name, VARIABLES) or f"known: {', '.join(VARIABLES)}"
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
    *, namespace: str, name: str, candidate_hash: str, baseline_hashes: Sequence[str] = ()
) -> dict[str, str]:
    """Return the values of all variables for one workload.

    Pods of a Deployment are called ``name-hash-suffix``. Without a baseline, `baseline_pods`
    matches no pod. Dots are written as ``[.]``: a backslash would need a second one in PromQL.
    """
    stem, suffix = name.replace(".", "[.]"), "[a-z0-9]+"
    baseline = "|".join(baseline_hashes)
    group = f"({baseline})" if len(baseline_hashes) > 1 else baseline
    return {
        "namespace": namespace,
        "name": name,
        "pods": f"{stem}-{suffix}-{suffix}",
        "candidate_pods": f"{stem}-{candidate_hash}-{suffix}",
        "baseline_pods": f"{stem}-{group}-{suffix}" if baseline else _NO_PODS,
        "candidate_hash": candidate_hash,
        "baseline_hash": baseline or _NO_PODS,
    }


def blank(text: str) -> str:
    """Replace each variable by a word of the same length, for checks of the text around it."""
    return _NAMED.sub(lambda match: "x" * len(match[0]), text)
