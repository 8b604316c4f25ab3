"""Who owns a workload, by its marks, and what that means for a rollback."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from deploy_guard.ownership.details import look_closer
from deploy_guard.ownership.rules import (
    Owner,
    Rule,
    Tool,
    find_owners,
    owner_problems,
)
from embedded.recordings import load
from ownership.shop import (
    APPLICATION,
    HELM_RELEASE,
    KUSTOMIZATION,
    GitopsShop,
)

Json = dict[str, Any]

RULES: tuple[Rule, ...] = get_args(Rule)
ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
INSTANCE = "app.kubernetes.io/instance"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[GitopsShop]:
    with GitopsShop(tmp_path) as running:
        yield running


def recorded(scenario: str, step: str) -> Json:
    """Return the object that answered a recorded step."""
    answer: Json = next(s.answer for s in load(scenario).steps if s.name == step)
    return copy.deepcopy(answer)


def web(*, kind: str = "Deployment", **metadata: Any) -> Json:
    """Return the workload `web` in namespace `shop` with these marks."""
    return {"kind": kind, "metadata": {"name": "web", "namespace": "shop", **metadata}}


def told(workload: Json) -> list[tuple[str, str, str]]:
    """Return tool, name and namespace of each owner."""
    return [(o.tool, o.name, o.namespace) for o in find_owners(workload)]


@pytest.mark.parametrize(
    ("step", "owner"),
    [
        ("Helm", ("Helm", "helm", "rec-17")),
        ("Argo CD, tracked by annotation", ("Argo CD", "argo", "argocd")),
        ("Flux Kustomization", ("Flux Kustomization", "apps", "flux-system")),
        ("Flux HelmRelease", ("Flux HelmRelease", "flux-helm", "rec-17")),
        ("owned by a controller (operator)", ("operator", "owner", "rec-17")),
    ],
)
def test_recorded_marks(step: str, owner: tuple[str, str, str]) -> None:
    """The marks that each tool leaves name the tool, its object and that object's namespace."""
    assert told(recorded("17-owners", step)) == [owner]


@pytest.mark.parametrize(
    ("step", "owner"),
    [
        ("create by apply", ("Flux Kustomization", "", "")),
        ("created by an update manager (helm)", ("Helm", "helm", "rec-18")),
        ("created by apply (argocd-controller)", ("Argo CD", "argo", "argocd")),
    ],
)
def test_recorded_field_managers(step: str, owner: tuple[str, str, str]) -> None:
    """Field managers tell the tool where there is no label; the object's name is not known then."""
    assert told(recorded("18-server-side-apply", step)) == [owner]


def test_instance_label_alone_accuses_nobody() -> None:
    """Helm charts set Argo CD's default label too, so the label alone is no evidence."""
    assert told(recorded("17-owners", "Argo CD, tracked by label")) == []


def test_instance_label_with_argocd_as_manager() -> None:
    """With Argo CD among the field managers the label is the Application's name."""
    fields = [{"manager": "argocd-controller", "operation": "Update"}]
    workload = web(labels={INSTANCE: "shop"}, managedFields=fields)
    assert told(workload) == [("Argo CD", "shop", "argocd")]


@pytest.mark.parametrize(
    ("tracking", "expected"),
    [
        pytest.param("shop:apps/Deployment:shop/web", [("Argo CD", "shop", "argocd")], id="plain"),
        pytest.param(
            "team_shop:apps/Deployment:shop/web", [("Argo CD", "shop", "team")], id="any namespace"
        ),
        pytest.param("shop:apps/Deployment:shop/other", [], id="copied from another object"),
        pytest.param("shop:apps/StatefulSet:shop/web", [], id="copied from another kind"),
        pytest.param("shop:apps/Deployment:prod/web", [], id="copied from another namespace"),
        pytest.param("../../x:apps/Deployment:shop/web", [("Argo CD", "", "")], id="no name"),
        pytest.param("$(reboot):apps/Deployment:shop/web", [("Argo CD", "", "")], id="a command"),
    ],
)
def test_tracking_ids(tracking: str, expected: list[tuple[str, str, str]]) -> None:
    """A tracking id counts if it is about this object; what cannot be a name is not used."""
    assert told(web(annotations={ARGO_TRACKING: tracking})) == expected


def test_argocd_elsewhere() -> None:
    """The namespace of Argo CD is the one that the policy names."""
    workload = web(labels={"argocd.argoproj.io/instance": "shop"})
    (owner,) = find_owners(workload, argocd_namespace="gitops")
    assert (owner.name, owner.namespace, owner.argocd_name) == ("shop", "gitops", "shop")


def test_application_in_any_namespace_is_qualified() -> None:
    """Argo CD's own command needs the namespace of an Application outside of Argo CD's."""
    tracking = {ARGO_TRACKING: "team_shop:apps/Deployment:shop/web"}
    (problem,) = owner_problems(find_owners(web(annotations=tracking)), "proceed")
    assert "argocd app set team/shop --sync-policy none" in problem.help


def test_flux_told_to_leave_it_alone() -> None:
    """An object that Flux is told not to reconcile is not brought back, so nothing blocks."""
    note = {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}
    workload = web(labels={"kustomize.toolkit.fluxcd.io/name": "apps"}, annotations=note)
    (problem,) = owner_problems(find_owners(workload), "refuse")
    assert not problem.blocks


def test_kubectl_apply_counts_last() -> None:
    """kubectl apply is named only without another owner: Argo CD leaves its annotation, too."""
    notes = {LAST_APPLIED: "{}"}
    assert told(web(annotations=notes)) == [("kubectl apply", "", "")]
    notes[ARGO_TRACKING] = "shop:apps/Deployment:shop/web"
    assert told(web(annotations=notes)) == [("Argo CD", "shop", "argocd")]
    fields = [{"manager": "kubectl", "operation": "Apply"}]
    assert told(web(managedFields=fields)) == [("kubectl apply", "", "")]
    assert told(web()) == []


def owner(tool: Tool, **more: Any) -> Owner:
    return Owner(tool, "x", "ns", "StatefulSet", "web", kind="Database", **more)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("tool", list(Tool))
def test_what_blocks(tool: Tool, rule: Rule) -> None:
    """Only `refuse` blocks, and only for owners that revert a rollback by themselves."""
    (problem,) = owner_problems([owner(tool)], rule)
    drives = tool not in (Tool.HELM, Tool.KUBECTL_APPLY)
    assert problem.blocks == (rule == "refuse" and drives)
    assert problem.kind == "owner"
    assert problem.help


def test_nothing_blocks_where_nothing_is_reverted() -> None:
    """An owner that is known to be switched off is a warning even under `refuse`."""
    problems = owner_problems([owner(Tool.ARGO_CD, reverts="never")], "refuse")
    assert [p.blocks for p in problems] == [False]
    assert "automated sync is off" in problems[0].text


def test_worst_first() -> None:
    """What blocks is told before what does not."""
    problems = owner_problems([owner(Tool.HELM), owner(Tool.FLUX_KUSTOMIZATION)], "refuse")
    assert [p.blocks for p in problems] == [True, False]


@pytest.mark.parametrize(
    ("tool", "command"),
    [
        (Tool.ARGO_CD, "argocd app set x --sync-policy none"),
        (Tool.FLUX_KUSTOMIZATION, "flux suspend kustomization x -n ns"),
        (Tool.FLUX_HELM_RELEASE, "flux suspend helmrelease x -n ns"),
        (Tool.HELM, "helm rollback x -n ns"),
        (Tool.ARGO_ROLLOUTS, "kubectl argo rollouts undo x -n ns"),
    ],
)
@pytest.mark.parametrize("rule", ["refuse", "proceed"])
def test_commands(tool: Tool, command: str, rule: Rule) -> None:
    """Each tool's own command is told, with the object's name and namespace."""
    (problem,) = owner_problems([owner(tool)], rule)
    assert command in problem.help


def test_suspending_is_announced() -> None:
    """Under `suspend` it is told that guard suspends the tool; not where it does not know which."""
    (problem,) = owner_problems([owner(Tool.ARGO_CD)], "suspend")
    assert problem.help.startswith("guard suspends it first")
    (problem,) = owner_problems([Owner(Tool.ARGO_CD)], "suspend")
    assert problem.help == "revert the commit, or: argocd app set APP --sync-policy none"


def test_the_kind_is_named() -> None:
    """The text names the kind of the workload; a Deployment out of a list has none in its JSON."""
    (problem,) = owner_problems([owner(Tool.OPERATOR)], "proceed")
    assert problem.text == "Database x owns this StatefulSet and may revert it"
    listed = web(annotations={"meta.helm.sh/release-name": "r"})
    del listed["kind"]
    (problem,) = owner_problems(find_owners(listed, kind="Deployment"), "proceed")
    assert "owns this Deployment" in problem.text


# --- what the cluster knows beyond the marks --------------------------------------------------


@pytest.mark.parametrize(
    ("automated", "reverts"),
    [
        ({"prune": True, "selfHeal": True}, "any change"),
        ({"enabled": True, "selfHeal": True}, "any change"),
        ({}, "next release"),
        ({"enabled": False, "selfHeal": True}, "never"),
        (None, "never"),
    ],
)
def test_what_argocd_reverts(shop: GitopsShop, automated: Json | None, reverts: str) -> None:
    """An Application's sync policy tells whether Argo CD reverts a rollback, and when."""
    shop.make(APPLICATION, {"syncPolicy": {} if automated is None else {"automated": automated}})
    (found,) = look_closer(shop.cluster, web(), [APPLICATION])
    assert found.reverts == reverts
    (problem,) = owner_problems([found], "refuse")
    assert problem.blocks == (reverts != "never")


@pytest.mark.parametrize(
    ("made", "spec", "reverts"),
    [
        (KUSTOMIZATION, {}, "any change"),
        (KUSTOMIZATION, {"suspend": False}, "any change"),
        (KUSTOMIZATION, {"suspend": True}, "never"),
        (HELM_RELEASE, {}, "next release"),
        (HELM_RELEASE, {"driftDetection": {"mode": "enabled"}}, "any change"),
        (HELM_RELEASE, {"driftDetection": {"mode": "warn"}}, "next release"),
        (HELM_RELEASE, {"suspend": True}, "never"),
    ],
)
def test_what_flux_reverts(shop: GitopsShop, made: Owner, spec: Json, reverts: str) -> None:
    """A Kustomization reverts any change, a HelmRelease only with drift detection or an upgrade."""
    shop.make(made, spec)
    (found,) = look_closer(shop.cluster, web(), [made])
    assert found.reverts == reverts


def test_what_cannot_be_read_stays_unknown(shop: GitopsShop) -> None:
    """Without the object, as where the tool runs in another cluster, nothing is claimed."""
    assert look_closer(shop.cluster, web(), [APPLICATION, HELM_RELEASE]) == (
        APPLICATION,
        HELM_RELEASE,
    )


def secret(shop: GitopsShop, version: int, status: str, *, name: str = "web") -> None:
    """Make the Secret in which Helm keeps a revision of a release."""
    labels = {"owner": "helm", "name": name, "status": status, "version": str(version)}
    metadata = {"name": f"sh.helm.release.v1.{name}.v{version}", "labels": labels}
    body = {"metadata": metadata, "type": "helm.sh/release.v1", "data": {"release": "eHg="}}
    shop.cluster.create("/api/v1/namespaces/shop/secrets", body)


@pytest.mark.parametrize(
    ("statuses", "revision"),
    [
        pytest.param(["superseded", "deployed"], 1, id="the one before"),
        pytest.param(["superseded", "failed", "deployed"], 1, id="not the failed one"),
        pytest.param(["superseded", "deployed", "failed"], 2, id="the last upgrade failed"),
        pytest.param(["superseded", "deployed", "pending-upgrade"], 2, id="an upgrade hangs"),
        pytest.param(["deployed"], 0, id="no earlier one"),
        pytest.param([], 0, id="no Secrets"),
    ],
)
def test_helm_revision(shop: GitopsShop, statuses: list[str], revision: int) -> None:
    """`helm rollback` is told with the newest revision before the last that had worked."""
    for version, status in enumerate(statuses, start=1):
        secret(shop, version, status)
    secret(shop, 7, "superseded", name="other")
    release = Owner(Tool.HELM, "web", "shop", "Deployment", "web")
    (found,) = look_closer(shop.cluster, web(), [release])
    assert found.revision == revision
    (problem,) = owner_problems([found], "proceed")
    if revision:
        assert problem.help == f"afterwards: helm rollback web {revision} -n shop"
    else:
        assert "without a number" in problem.help


def rollout(shop: GitopsShop, name: str) -> None:
    """Make a Rollout that takes a Deployment of this name as its template."""
    made = Owner(Tool.ARGO_ROLLOUTS, "canary", "shop")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    path = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts"
    body = {"metadata": {"name": made.name}, "spec": {"workloadRef": reference}}
    shop.cluster.create(path, body)


def test_rollout_behind_a_deployment(shop: GitopsShop) -> None:
    """A Deployment that is the template of a Rollout is told to be rolled back there."""
    rollout(shop, "web")
    (found,) = look_closer(shop.cluster, web(), [])
    assert (found.tool, found.name) == (Tool.ARGO_ROLLOUTS, "canary")
    (problem,) = owner_problems([found], "refuse")
    assert problem.blocks
    assert problem.help == "roll back with: kubectl argo rollouts undo canary -n shop"


def test_rollout_of_another_deployment(shop: GitopsShop) -> None:
    """A Rollout of another Deployment, or of another kind, is nobody's owner here."""
    rollout(shop, "other")
    assert look_closer(shop.cluster, web(), []) == ()
    assert look_closer(shop.cluster, web(kind="StatefulSet"), []) == ()


@pytest.mark.parametrize(("listed", "count"), [("web", 1), ("other", 0)])
def test_application_by_the_ambiguous_label(shop: GitopsShop, listed: str, count: int) -> None:
    """The instance label counts once the Application of that name lists the workload."""
    resources = [{"group": "apps", "kind": "Deployment", "namespace": "shop", "name": listed}]
    spec = {"syncPolicy": {"automated": {"selfHeal": True}}}
    shop.make(APPLICATION, spec, status={"resources": resources})
    workload = web(labels={INSTANCE: "shop"}, annotations={LAST_APPLIED: "{}"})
    found = look_closer(shop.cluster, workload, find_owners(workload))
    tools = [owner.tool for owner in found]
    assert tools == ([Tool.ARGO_CD] if count else [Tool.KUBECTL_APPLY])
    assert [o.reverts for o in found if o.tool is Tool.ARGO_CD] == ["any change"] * count
