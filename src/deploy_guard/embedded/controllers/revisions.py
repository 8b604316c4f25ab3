"""ControllerRevisions: the history that StatefulSets and DaemonSets keep of their templates.

Decides what a revision holds, which one equals a template, and how one is made or gets a newer
number. Which of them may go is the controllers' own. Source: kubernetes/pkg/controller/history/
controller_history.go, and getPatch in pkg/controller/{statefulset,daemon}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from deploy_guard.embedded.controllers.objects import (
    REVISIONS,
    SyncError,
    claim,
    controller_of,
    is_terminating,
    owner_reference,
    private,
    replace,
)
from deploy_guard.embedded.controllers.templates import annotations_of, template_hash
from deploy_guard.embedded.selectors import matches_label_selector
from deploy_guard.embedded.store import AlreadyExistsError, Object, Store

DIRECTIVE = "$patch"
IsFrozen = Callable[[str], bool]  # asked with a uid: can nothing of the revision be patched?


def owned_revisions(store: Store, owner: Object, is_frozen: IsFrozen) -> list[Object]:
    """Return the owner's revisions, oldest first; orphans with its labels are adopted.

    Raises SyncError at an orphan that cannot be adopted: the owner is stuck until it goes.
    """
    refused: list[str] = []

    def may_claim(revision: Object) -> bool:
        meta = revision["metadata"]
        if controller_of(revision) is not None or not is_frozen(meta["uid"]):
            return True
        labels, selector = meta.get("labels") or {}, owner["spec"]["selector"]
        if matches_label_selector(selector, labels) and not is_terminating(owner):
            refused.append(meta["name"])
        return False

    claimed = claim(store, REVISIONS, owner, may_claim)
    if refused:
        why = "data: Invalid value: field is immutable"
        raise SyncError(f'ControllerRevision.apps "{refused[0]}" is invalid: {why}')
    return by_number(claimed)


def revision_data(owner: Object) -> Object:
    """Return the patch that a revision keeps: it puts the owner's template back as a whole."""
    template = {DIRECTIVE: "replace", **owner["spec"]["template"]}
    data: Object = json.loads(json.dumps({"spec": {"template": template}}, sort_keys=True))
    return data


def template_of(revision: Object, owner: Object) -> Object:
    """Return the owner's template after the revision was applied to it."""
    found = ((revision.get("data") or {}).get("spec") or {}).get("template")
    if not isinstance(found, dict):
        return private(owner["spec"]["template"])
    return {key: value for key, value in private(found).items() if key != DIRECTIVE}


def by_number(revisions: Iterable[Object]) -> list[Object]:
    """Return revisions oldest first: by number, then age, then name."""
    return sorted(
        revisions,
        key=lambda r: (r["revision"], r["metadata"]["creationTimestamp"], r["metadata"]["name"]),
    )


def next_number(revisions: Sequence[Object]) -> int:
    """Return the number after the newest one's."""
    return max((int(r["revision"]) for r in revisions), default=0) + 1


def new_revision(owner: Object, number: int, *, hash_label: str, collisions: int) -> Object:
    """Return a revision of the owner's template that is not stored yet."""
    data = revision_data(owner)
    hashed = template_hash(data, collisions or None)
    labels = owner["spec"]["template"]["metadata"].get("labels") or {}
    meta: Object = {
        "name": f"{owner['metadata']['name']}-{hashed}",
        "namespace": owner["metadata"]["namespace"],
        "labels": {**labels, hash_label: hashed},
    }
    if annotations_of(owner):
        meta["annotations"] = dict(annotations_of(owner))
    meta["ownerReferences"] = [owner_reference(owner)]
    return {
        "kind": "ControllerRevision",
        "apiVersion": "apps/v1",
        "metadata": meta,
        "data": data,
        "revision": number,
    }


def create_revision(
    store: Store, owner: Object, number: int, *, hash_label: str, collisions: int
) -> tuple[Object, int]:
    """Store a revision of the owner's template; return it and the collisions that were counted.

    A revision of that name with other data is a collision: the next hash is tried.
    """
    while True:
        wanted = new_revision(owner, number, hash_label=hash_label, collisions=collisions)
        try:
            return store.create(REVISIONS, wanted), collisions
        except AlreadyExistsError:
            meta = wanted["metadata"]
            found = store.find(REVISIONS, meta["namespace"], meta["name"])
            if found is not None and found["data"] == wanted["data"]:
                return found, collisions
            collisions += found is not None


def renumber(store: Store, revision: Object, number: int) -> Object:
    """Give a revision a newer number; its annotations and everything else stay."""
    changed = private(revision)
    changed["revision"] = number
    return replace(store, REVISIONS, changed)


def delete_revision(store: Store, revision: Object) -> None:
    """Remove a revision from the history. Raises NotFoundError."""
    meta = revision["metadata"]
    store.delete(REVISIONS, meta["namespace"], meta["name"])
