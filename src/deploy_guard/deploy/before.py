"""Before the command: what is live, whether it could be gone back to, a copy of what it reads.

Decides what is told before anything is deployed. A missing right is told and stops nothing: the
watch after the command says what it means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.lease import read
from deploy_guard.cluster.snapshot import Json, Snapshot, take
from deploy_guard.cluster.templates import hash_of, live_revision, template_of
from deploy_guard.cluster.workload import revision_of
from deploy_guard.configuration.taking import take_snapshot
from deploy_guard.deploy.contents import Changed, Known, changed_contents, read_contents
from deploy_guard.deploy.others import Others, changed_others, read_others
from deploy_guard.deploy.sight import Deployed
from deploy_guard.model import Target, Verdict
from deploy_guard.rollback.preflight.access import check_access

Tell = Callable[[str, str], object]  # kind and words of an event


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before the command; `workload` is None on the first deploy ever.

    `obstacles` is how many things would stand in the way of a rollback whatever is deployed.
    """

    workload: Json | None = None
    others: Others = field(default_factory=lambda: Others({}))
    contents: Known = field(default_factory=dict)
    obstacles: int = 0

    @property
    def template(self) -> Json | None:
        """The pod template that was live."""
        return template_of(self.workload) if self.workload is not None else None


def look_before(
    cluster: Cluster, target: Target, workload: Json | None, *, tell: Tell, at: float, by: str
) -> Before:
    """Look at the target, at what it reads and at its neighbours; keep copies of what it reads."""
    if Deployed.of(workload) is None:
        workload = None
        tell("warning", f"{target} does not exist yet: there will be nothing to roll back to")
    blocking = [problem for problem in check_access(cluster, target) if problem.blocks]
    for problem in blocking:
        tell("warning", f"{problem.text}; {problem.help}".rstrip("; "))
    if workload is not None:
        _tell_other_guard(cluster, target, tell=tell, by=by)
        _tell_live(cluster, target, workload, tell=tell, at=at, by=by)
    template = template_of(workload) if workload is not None else None
    known, unseen = read_contents(cluster, target, template)
    if unseen:
        words = f"whether the command changes their contents cannot be seen: {', '.join(unseen)}"
        tell("warning", words)
    return Before(workload, read_others(cluster, target), known, len(blocking))


def look_after(
    cluster: Cluster, target: Target, before: Before
) -> tuple[tuple[str, ...], tuple[Changed, ...]]:
    """Return which other workloads changed since, and which of the configuration."""
    others = changed_others(before.others, read_others(cluster, target))
    known, _ = read_contents(cluster, target, before.template)
    return others, changed_contents(before.template, before.contents, known)


def _tell_other_guard(cluster: Cluster, target: Target, *, tell: Tell, by: str) -> None:
    """Say that another guard still watches the deploy before: this one will end its watch."""
    try:
        holding = read(cluster, target)
    except ApiError:
        return  # the watch tells what stands in the way
    now = cluster.server_time.now()
    if holding is None or now is None or holding.expired(now) or holding.died_here(by):
        return
    words = f"{holding.holder} still watches {target}; what the command deploys ends that watch"
    tell("warning", words)


def _tell_live(
    cluster: Cluster, target: Target, workload: Json, *, tell: Tell, at: float, by: str
) -> None:
    """Tell what is live, and take the snapshot of what it reads."""
    try:
        snapshot = take(cluster, target, pods=False)
    except ApiError as error:
        tell("warning", f"the revisions of {target} cannot be read: {error.detail}")
        return
    live = live_revision(workload, snapshot.revisions)
    if live is None:
        tell("warning", f"{target} has no revision of its template yet: is a rollout under way?")
    else:
        revision = revision_of(live)
        images = ", ".join(revision.images)
        tell("preflight", f"live before the deploy: revision {revision.number} ({images})")
        if revision.verdict is Verdict.REGRESSED:
            tell("warning", f"revision {revision.number} was itself judged regressed")
    if workload["spec"].get("paused"):
        tell("warning", f"{target} is paused: what is deployed does not run until it is resumed")
    _keep(cluster, snapshot, workload, live, tell=tell, at=at, by=by)


def _keep(
    cluster: Cluster,
    snapshot: Snapshot,
    workload: Json,
    live: Json | None,
    *,
    tell: Tell,
    at: float,
    by: str,
) -> None:
    taken = take_snapshot(
        cluster,
        snapshot.target,
        workload,
        live,
        template=template_of(workload),
        template_hash=hash_of(live) if live is not None else "",
        at=at,
        by=by,
    )
    if taken.index.kept:
        names = ", ".join(str(kept) for kept in taken.index.kept)
        tell("preflight", f"{'would keep' if taken.dry else 'kept'} the contents of {names}")
    for problem in taken.problems if taken.index.kept or taken.index.without else ():
        tell("warning", f"{problem.text}; {problem.help}".rstrip("; "))
