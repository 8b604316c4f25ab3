"""The rights that each part of the configuration feature needs, as data.

For access reviews and the documentation. None of them is needed for a rollback without it.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploy_guard.cluster.references import CONFIG_MAP, SECRET
from deploy_guard.cluster.target import revisions_of
from deploy_guard.configuration.objects import PLURALS
from deploy_guard.model import Target


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource of an API group, and what is lost without it."""

    verb: str
    group: str
    resource: str
    why: str


def snapshot_rights(target: Target) -> tuple[Right, ...]:
    """Return what taking a snapshot of a workload needs."""
    revisions = revisions_of(target)
    return (
        *_on_both("get", "their contents cannot be kept"),
        *_on_both("create", "no copies can be made"),
        Right("patch", "apps", revisions, "which copies belong to which revision is not noted"),
        Right("list", "apps", revisions, "copies that are not needed any more stay"),
        *_on_both("list", "copies that are not needed any more stay"),
        *_on_both("delete", "copies that are not needed any more stay"),
    )


def diff_rights() -> tuple[Right, ...]:
    """Return what comparing with a snapshot needs."""
    return _on_both("get", "what was changed cannot be told")


def restore_rights() -> tuple[Right, ...]:
    """Return what putting a snapshot back needs."""
    return (
        *diff_rights(),
        *_on_both("patch", "what was changed cannot be put back"),
        *_on_both("create", "what is gone cannot be made again"),
        *_on_both("delete", "immutable ones cannot be put back"),
    )


def _on_both(verb: str, why: str) -> tuple[Right, ...]:
    return tuple(Right(verb, "", PLURALS[kind], why) for kind in (CONFIG_MAP, SECRET))
