"""Rights: each feature's rights are enough for it, and each one that is missing is named."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.scripted import ScriptedServer, answer, connect, silence
from deploy_guard.cluster import errors
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.lease import Lease
from deploy_guard.cluster.retry import NO_RETRIES
from deploy_guard.cluster.snapshot import take
from deploy_guard.cluster.templates import hash_of, live_revision, template_of
from deploy_guard.configuration.comparing import compare
from deploy_guard.configuration.index import index_of
from deploy_guard.configuration.restoring import restore
from deploy_guard.configuration.taking import take_snapshot
from deploy_guard.errors import ExitCode
from deploy_guard.model import Target
from deploy_guard.rollback.by_hand import rollback_by_hand
from deploy_guard.rollback.preflight import features
from deploy_guard.rollback.preflight.access import allowed, check_access
from deploy_guard.rollback.preflight.features import BASE, FEATURES, Feature, Right, suspending
from deploy_guard.rollback.trail import write_event
from rollback.roles import MANIFESTS, ROLES, as_account, exactly, rules_of, verbs_of, without
from rollback.shop import PATH, WEB, Shop

SET = Target("statefulset", "shop", "db")
DAEMON = Target("daemonset", "shop", "agent")
CASES = [
    (target, feature, right.of(target))
    for target, some in ((WEB, FEATURES), (SET, BASE), (DAEMON, BASE))
    for feature in some
    for right in feature.rights
]


def name_of(case: object) -> str:
    if isinstance(case, Right):
        return f"{case.verb}-{case.where}"
    return case.name if isinstance(case, Feature) else str(getattr(case, "kind", case))


@pytest.mark.parametrize(("target", "feature", "missing"), CASES, ids=name_of)
def test_each_missing_right_is_named(
    shop: Shop, tmp_path: Path, target: Target, feature: Feature, missing: Right
) -> None:
    """A right that a feature lacks is told with verb, resource, what is lost and the Role."""
    rights = [right.of(target) for right in feature.rights]
    assert missing in rights
    rules = exactly(right for right in rights if right != missing)
    with as_account(shop, tmp_path, rules) as cluster:
        (problem,) = check_access(cluster, target, (feature,))
    assert f'"{missing.verb}" on {missing.where} in shop: {feature.without}' in problem.text
    assert f"examples/manifests/{features.role_of(feature, missing)}" in problem.help
    assert problem.blocks is feature.asked


@pytest.mark.parametrize("target", [WEB, SET, DAEMON], ids=name_of)
def test_exactly_the_rights_of_all_features_satisfy_them(
    shop: Shop, tmp_path: Path, target: Target
) -> None:
    """With the listed rights, by name where they have one, no right is missed."""
    rules = exactly(right.of(target) for feature in FEATURES for right in feature.rights)
    with as_account(shop, tmp_path, rules) as cluster:
        assert check_access(cluster, target, FEATURES) == ()


def test_rights_that_one_rule_lacks_are_one_problem(shop: Shop, tmp_path: Path) -> None:
    """Without any right there is one line for each feature and resource, not for each verb."""
    with as_account(shop, tmp_path, []) as cluster:
        found = check_access(cluster, WEB)
    assert [problem.text.partition(" in shop")[0] for problem in found] == [
        'the account lacks the right "get", "patch" on deployments.apps',
        'the account lacks the right "list" on replicasets.apps',
        'the account lacks the right "list", "watch" on deployments.apps',
        'the account lacks the right "watch" on replicasets.apps',
        'the account lacks the right "list", "watch" on pods',
        'the account lacks the right "patch" on replicasets.apps',
    ]
    assert [problem.blocks for problem in found] == [True, True, False, False, False, False]


def test_a_feature_that_was_asked_for_blocks_without_its_rights(shop: Shop, tmp_path: Path) -> None:
    """What only warns as an extra stands in the way once somebody wants it."""
    with as_account(shop, tmp_path, []) as cluster:
        (extra,) = check_access(cluster, WEB, (features.EVENTS,))
        (asked,) = check_access(cluster, WEB, (features.EVENTS.asked_for(),))
    assert (extra.blocks, asked.blocks) == (False, True)


def test_the_right_to_suspend_an_owner_is_asked_for_where_the_owner_lives(
    shop: Shop, tmp_path: Path
) -> None:
    """An owner may live in another namespace, in which the account may lack the rights."""
    feature = suspending("argoproj.io", "applications", "argocd", "checkout").asked_for()
    with as_account(shop, tmp_path, exactly(feature.rights)) as cluster:
        (problem,) = check_access(cluster, WEB, (feature,))
    assert '"get", "patch" on applications.argoproj.io in argocd' in problem.text
    assert "role-owners.yaml" in problem.help
    assert problem.blocks


@pytest.mark.parametrize("role", ROLES)
def test_the_roles_grant_what_the_features_need_and_no_more(role: str) -> None:
    """Each Role of the examples has exactly the verbs of its features."""
    wanted = {
        (right.verb, right.group, right.resource)
        for target in (WEB, SET, DAEMON)
        for feature in FEATURES
        for right in (r.of(target) for r in feature.rights)
        if features.role_of(feature, right) == role
    }
    if role == features.ROLE_CONFIG:  # the revisions are in the Roles of the workloads
        wanted = {right for right in wanted if right[1] == ""}
    if role == features.ROLE_OWNERS:
        owners = (
            ("argoproj.io", "applications"),
            ("kustomize.toolkit.fluxcd.io", "kustomizations"),
            ("helm.toolkit.fluxcd.io", "helmreleases"),
        )
        found = [right for g, r in owners for right in suspending(g, r, "n", "checkout").rights]
        wanted = {(right.verb, right.group, right.resource) for right in found}
    assert verbs_of(rules_of(role)) == wanted


def test_the_documentation_has_a_row_for_each_feature() -> None:
    """The table of the docs names exactly the rights, the loss and the Role of each feature."""
    text = (MANIFESTS.parents[1] / "docs/rollback.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.* on .*) \|$", text, flags=re.MULTILINE))
    assert set(rows) == {feature.name for feature in FEATURES}
    for feature in FEATURES:
        rights, without_, role = rows[feature.name].split(" | ")
        told = {
            (verb.strip(), resource.strip(" `"))
            for part in rights.split("; ")
            for verb in part.partition(" on ")[0].split(",")
            for resource in part.partition(" on ")[2].split(",")
        }
        assert told == {(r.verb, r.resource) for r in (r.of(WEB) for r in feature.rights)}
        assert (without_, role) == (feature.without, f"`{feature.role}`")


def by_hand(cluster: Cluster, shop: Shop) -> list[str]:
    """Roll back by hand and follow it; return what was told of rights."""
    told: list[str] = []
    result = rollback_by_hand(cluster, WEB, report=lambda event: told.append(event.text))
    assert result.exit_code is ExitCode.OK, result.text
    assert result.restored is not None
    assert result.restored.serves
    assert shop.image == "web:1"
    return [text for text in told if "lacks the right" in text or "be recorded" in text]


def events(cluster: Cluster, shop: Shop) -> list[str]:
    """Write an Event; return what went wrong."""
    workload = shop.deployment()
    options = {"reason": "RolledBack", "text": "to revision 1", "type": "Warning", "at": 1.8e9}
    problem = write_event(cluster, WEB, workload, **options)  # type: ignore[arg-type]
    return [problem.text] if problem else []


def lease(cluster: Cluster, shop: Shop) -> list[str]:
    """Take the lease, note something, release it and take it again; return what went wrong."""
    found = []
    for note in ("one", "two"):
        held = Lease.acquire(cluster, WEB, shop.deployment(), holder="job")
        held.note({"state": note})
        found += [held.warning.text] if held.warning else []
        held.release()
    return found


def snapshots(cluster: Cluster, shop: Shop) -> list[str]:
    """Keep a ConfigMap, change it, put it back; return what went wrong."""
    metadata = {"name": "settings", "namespace": "shop"}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    shop.embedded.apply({**settings, "data": {"a": "right"}})
    source = {"name": "web", "envFrom": [{"configMapRef": {"name": "settings"}}]}
    body = {"spec": {"template": {"spec": {"containers": [source]}}}}
    shop.cluster.patch(PATH, body, content_type="application/strategic-merge-patch+json")
    shop.settle()
    found = take(shop.cluster, WEB)
    assert found.workload is not None
    revision = live_revision(found.workload, found.revisions)
    assert revision is not None
    taken = take_snapshot(
        cluster,
        WEB,
        found.workload,
        revision,
        template=template_of(found.workload),
        template_hash=hash_of(revision),
        at=1.8e9,
        by="job",
    )
    assert taken.complete, taken.problems
    shop.embedded.apply({**settings, "data": {"a": "wrong"}})
    live = live_revision(found.workload, take(shop.cluster, WEB).revisions)
    index = index_of(live or {})
    assert index is not None
    done = restore(cluster, compare(cluster, WEB, index), by="job", reason="", at=1.8e9)
    now = shop.embedded.store.get("configmaps", "shop", "settings")
    assert now["data"] == {"a": "right"}
    return [problem.text for problem in (*taken.problems, *done.problems)]


WORKS: list[tuple[tuple[Feature, ...], Callable[[Cluster, Shop], list[str]]]] = [
    ((*BASE, features.REFERENCES, features.LEASE, features.EVENTS), by_hand),
    ((features.EVENTS,), events),
    ((features.LEASE,), lease),
    ((features.SNAPSHOTS, features.RESTORE), snapshots),
]


@pytest.mark.parametrize(("needed", "work"), WORKS, ids=lambda case: getattr(case, "__name__", ""))
def test_a_feature_works_with_its_rights_alone(
    shop: Shop,
    tmp_path: Path,
    needed: tuple[Feature, ...],
    work: Callable[[Cluster, Shop], list[str]],
) -> None:
    """Exactly the rights of the table are enough for the real thing."""
    shop.release("1")
    shop.release("2")
    rules = exactly(right.of(WEB) for feature in needed for right in feature.rights)
    with as_account(shop, tmp_path, rules) as cluster:
        told = work(cluster, shop)
    assert told == []


def test_a_verdict_that_may_not_be_written_is_a_warning(shop: Shop, tmp_path: Path) -> None:
    """Without the right to patch revisions the rollback succeeds and says what is missing."""
    shop.release("1")
    shop.release("2")
    rules = without(rules_of("role.yaml"), "patch", "replicasets")
    with as_account(shop, tmp_path, rules) as cluster:
        told = by_hand(cluster, shop)
    assert [text for text in told if '"patch" on replicasets.apps' in text]


def test_without_the_right_to_patch_nothing_is_tried(shop: Shop, tmp_path: Path) -> None:
    """A rollback that would be forbidden is refused before the question, with the right's name."""
    shop.release("1")
    shop.release("2")
    rules = without(rules_of("role.yaml"), "patch", "deployments")
    with as_account(shop, tmp_path, rules) as cluster:
        result = rollback_by_hand(cluster, WEB, confirm=lambda *_: pytest.fail("was asked"))
    assert result.exit_code is ExitCode.NOT_ROLLED_BACK
    assert '"patch" on deployments.apps' in result.text
    assert "docs/rollback.md" in result.help
    assert [p.kind for p in result.plan.problems if p.blocks] == ["access"]  # and no echo of it


def test_without_any_right_the_first_one_is_named(shop: Shop, tmp_path: Path) -> None:
    """With no rights at all the very first read says what is missing."""
    shop.release("1")
    with as_account(shop, tmp_path, []) as cluster, pytest.raises(errors.Forbidden) as caught:
        rollback_by_hand(cluster, WEB)
    assert caught.value.missing_right.startswith('"get" on "deployments"')


def test_a_review_names_subresources_apart(shop: Shop, tmp_path: Path) -> None:
    """A right on pods is none on their proxy, and the other way round."""
    right = Right("get", "pods/proxy").of(WEB)
    with as_account(shop, tmp_path, exactly([right])) as cluster:
        assert allowed(cluster, right)
        assert not allowed(cluster, dataclasses.replace(right, resource="pods"))


def test_rights_that_cannot_be_checked_are_one_warning(tmp_path: Path) -> None:
    """A server that refuses to say what is allowed does not stand in the way."""
    with (
        ScriptedServer(answer(500, "no")) as server,
        connect(tmp_path, server.url, retries=NO_RETRIES) as cluster,
    ):
        (problem,) = check_access(cluster, WEB)
    assert problem.kind == "access-unknown"
    assert not problem.blocks


def test_a_silent_server_does_not_hold_anybody_up(tmp_path: Path) -> None:
    """Rights that nobody answers for are told as unknown once the time is over."""
    with ScriptedServer(silence) as server, connect(tmp_path, server.url) as cluster:
        (problem,) = check_access(cluster, WEB, seconds=0.2)
    assert "no answer within 0.2 s" in problem.text
