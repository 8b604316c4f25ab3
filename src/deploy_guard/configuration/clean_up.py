"""Delete the copies that no revision needs any more.

Decides by the notes of all revisions that exist. Touches only what carries guard's labels and is
owned by this very workload, each by uid and version, and nothing that is younger than ten minutes:
another guard may be about to note it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Conflict, NotFound
from deploy_guard.cluster.snapshot import Json, owner, selector_text
from deploy_guard.cluster.target import collection_path, revisions_of
from deploy_guard.cluster.times import seconds
from deploy_guard.configuration.at_once import at_once
from deploy_guard.configuration.index import Index, copies_named
from deploy_guard.configuration.objects import path_of
from deploy_guard.model import Target
from deploy_guard.problems import Problem, warning

YOUNG = 600.0  # seconds
Copies = dict[str, tuple[Json, ...] | ApiError]
"""By kind the metadata of all copies of the workload, or why they could not be listed."""


def clean_up(
    cluster: Cluster,
    target: Target,
    workload: Json,
    copies: Copies,
    index: Index,
    *,
    now: float,
    young: float = YOUNG,
) -> tuple[Problem, ...]:
    """Delete what neither `index` nor any note of a revision names; return what stood against it.

    `now` counts where the server has not told its time.
    """
    told = cluster.server_time.now()
    old = [
        (kind, item["metadata"])
        for kind, item in _owned(copies, workload["metadata"]["uid"])
        if (told or now) - seconds(item["metadata"]["creationTimestamp"]) > young
    ]
    kept = {each.copy for each in index.kept}
    unlisted = [answer for answer in copies.values() if isinstance(answer, ApiError)]
    if not all(metadata["name"] in kept for _, metadata in old):
        try:
            kept |= copies_named([workload, *_revisions(cluster, target, workload)])
        except ApiError as error:
            return _told([error])
    gone = [
        partial(
            cluster.delete,
            path_of(target, kind, metadata["name"]),
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
        )
        for kind, metadata in old
        if metadata["name"] not in kept
    ]
    failed = [answer for answer in at_once(gone) if isinstance(answer, ApiError)]
    return _told([*unlisted, *(e for e in failed if not isinstance(e, NotFound | Conflict))])


def _owned(copies: Copies, workload_uid: str) -> Iterator[tuple[str, Json]]:
    for kind, items in copies.items():
        if isinstance(items, ApiError):
            continue
        for item in items:
            owners = item["metadata"].get("ownerReferences") or ()
            if [reference["uid"] for reference in owners] == [workload_uid]:
                yield kind, item


def _revisions(cluster: Cluster, target: Target, workload: Json) -> Iterable[Json]:
    path = collection_path(target, revisions_of(target))
    found = cluster.get(path, params={"labelSelector": selector_text(workload)})["items"]
    return [revision for revision in found if owner(revision) == workload["metadata"]["uid"]]


def _told(errors: list[ApiError]) -> tuple[Problem, ...]:
    if not errors:
        return ()
    call = errors[0].call
    text = (
        f"copies of configuration that are not needed any more stay: cannot {call.verb} "
        f"{call.resource}: {errors[0].detail}"
    )
    return (warning("snapshot-clean-up", text, "they go with the workload"),)
