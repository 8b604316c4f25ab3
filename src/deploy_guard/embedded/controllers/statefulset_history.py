"""The history of a StatefulSet: which revision is the current one, which the update's, which go.

Source: kubernetes/pkg/controller/statefulset/stateful_set_control.go (getStatefulSetRevisions,
truncateHistory).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from deploy_guard.embedded.controllers.revisions import (
    create_revision,
    delete_revision,
    next_number,
    renumber,
    revision_data,
    template_of,
)
from deploy_guard.embedded.store import Object, Store

HASH_LABEL = "controller.kubernetes.io/hash"


def choose_revisions(
    store: Store, owner: Object, revisions: Sequence[Object]
) -> tuple[Object, Object, int]:
    """Return the current and the update revision, and the collisions of hashes so far.

    `revisions` are the owner's, oldest first. The update's is made, or gets the next number.
    """
    status = owner.get("status") or {}
    collisions = int(status.get("collisionCount") or 0)
    number = next_number(revisions)
    data = revision_data(owner)
    equal = [revision for revision in revisions if revision.get("data") == data]
    if revisions and _is_for(revisions[-1], owner, equal):
        update = revisions[-1]
    elif equal:
        update = renumber(store, equal[-1], number)
    else:
        update, collisions = create_revision(
            store, owner, number, hash_label=HASH_LABEL, collisions=collisions
        )
    named = [r for r in revisions if r["metadata"]["name"] == status.get("currentRevision")]
    return (named[0] if named else update), update, collisions


def clean_up(
    store: Store, owner: Object, revisions: Sequence[Object], live: Collection[str]
) -> None:
    """Delete the oldest revisions beyond revisionHistoryLimit; the names in `live` are in use."""
    old = [revision for revision in revisions if revision["metadata"]["name"] not in live]
    limit = int(owner["spec"].get("revisionHistoryLimit", 10))
    for revision in old[: max(0, len(old) - limit)]:
        delete_revision(store, revision)


def _is_for(last: Object, owner: Object, equal: Sequence[Object]) -> bool:
    """Tell whether the newest revision is the template's: one of the equal ones, or by effect."""
    if equal:
        return last is equal[-1]
    return bool(template_of(last, owner) == owner["spec"]["template"])
